"""Whether an engine's parameters are what its dataclass fields say."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from napari_scribseg.core.engine import Range
from napari_scribseg.core.errors import InputError

__all__ = ["check_parameters"]


def check_parameters(engine: Any) -> None:
    """Check each field of an engine against its annotation; call it in ``__post_init__``.

    Parameters
    ----------
    engine : dataclass
        Fields annotated ``Annotated[float, Range(low, high)]``, ``Annotated[int, Range(low, high)]``,
        ``Literal["a", "b"]`` or ``str`` are checked, others are left alone.

    Raises
    ------
    InputError
        If a value has another type, is no finite number, lies outside its range, or is not among its choices.
    """
    hints = get_type_hints(type(engine), include_extras=True)
    for field in dataclasses.fields(engine):
        _check(field.name, getattr(engine, field.name), hints[field.name])


def _check(name: str, value: object, hint: Any) -> None:
    if hint is str and not isinstance(value, str):
        raise InputError(f"{name} is {value!r}; text is expected")
    choices = get_args(hint)
    if get_origin(hint) is Literal and value not in choices:
        raise InputError(f"{name} is {value!r}; expected one of {', '.join(map(str, choices))}")
    bounds = next((a for a in choices if isinstance(a, Range)), None)
    if bounds is None:
        return
    whole = choices[0] is int
    if isinstance(value, bool) or not isinstance(value, numbers.Integral if whole else numbers.Real):
        raise InputError(f"{name} is {value!r}; a {'whole' if whole else 'finite'} number is expected")
    if not np.isfinite(float(value)):
        raise InputError(f"{name} is {value!r}; a finite number is expected")
    if not bounds.low <= float(value) <= bounds.high:
        raise InputError(f"{name} is {value}; expected {bounds.low:g} to {bounds.high:g}")
