"""What an engine's fields say of the widgets that they want: no Qt here."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from napari_scribseg.core.engine import Range

__all__ = ["Parameter", "parameters_of"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of an engine, as a form needs it.

    Attributes
    ----------
    name : str
        Of the field.
    kind : str
        ``"float"``, ``"int"``, ``"bool"``, ``"choice"`` or ``"text"``.
    default : Any
        Of the field; None where it must be given.
    low, high, step : float
        Of a number.
    choices : tuple
        Of a choice.
    optional : bool
        Whether None ("the engine chooses") is allowed.
    doc : str
        Meaning and unit.
    """

    name: str
    kind: str
    default: Any
    low: float = -math.inf
    high: float = math.inf
    step: float = 1.0
    choices: tuple[Any, ...] = ()
    optional: bool = False
    doc: str = ""


def parameters_of(engine: type[Any]) -> tuple[Parameter, ...]:
    """The parameters of an engine class, in the order of its fields; those of a type without a widget are left out."""
    hints = typing.get_type_hints(engine, include_extras=True)
    docs = _documented(engine.__doc__ or "")
    found = (_parameter(field, hints[field.name], docs) for field in dataclasses.fields(engine) if field.init)
    return tuple(parameter for parameter in found if parameter is not None)


def _parameter(field: dataclasses.Field[Any], hint: Any, docs: dict[str, str]) -> Parameter | None:
    bare, bounds, optional = _unwrap(hint)
    default = field.default
    if default is dataclasses.MISSING:
        default = None if field.default_factory is dataclasses.MISSING else field.default_factory()
    doc = (bounds.doc if bounds else "") or docs.get(field.name, "")
    if get_origin(bare) is Literal:
        return Parameter(field.name, "choice", default, choices=get_args(bare), optional=optional, doc=doc)
    if bare is bool:
        return Parameter(field.name, "bool", default, optional=optional, doc=doc)
    if bare is str:
        return Parameter(field.name, "text", default, optional=optional, doc=doc)
    if bare not in (int, float):
        return None
    low, high = (bounds.low, bounds.high) if bounds else (-math.inf, math.inf)
    step = (bounds.step if bounds else None) or (1.0 if bare is int else _step(default, low, high))
    return Parameter(field.name, bare.__name__, default, low, high, step, optional=optional, doc=doc)


def _unwrap(hint: Any) -> tuple[Any, Range | None, bool]:
    """A type without its ``Annotated`` and ``| None``, the :class:`Range` found there, and whether None is allowed."""
    bounds, optional = None, False
    while True:
        if get_origin(hint) is Annotated:
            hint, *extras = get_args(hint)
            bounds = next((extra for extra in extras if isinstance(extra, Range)), bounds)
        elif get_origin(hint) in (typing.Union, types.UnionType):
            inner = [part for part in get_args(hint) if part is not type(None)]
            optional = optional or len(inner) < len(get_args(hint))
            if len(inner) != 1:
                return None, bounds, optional
            hint = inner[0]
        else:
            return hint, bounds, optional


def _step(default: Any, low: float, high: float) -> float:
    """A power of ten near a tenth of the default, or a hundredth of the range."""
    if isinstance(default, int | float) and default:
        size = abs(float(default)) / 10
    elif math.isfinite(low) and math.isfinite(high) and high > low:
        size = (high - low) / 100
    else:
        size = 0.1
    return float(10 ** math.floor(math.log10(size) + 0.5))


def _documented(doc: str) -> dict[str, str]:
    """Texts of the ``Attributes`` or ``Parameters`` section of a numpydoc docstring, by name."""
    found: dict[str, str] = {}
    names: list[str] = []
    margin = re.compile(r"^( *)(\w+(?:, \w+)*) : ")
    depth = -1
    for line in doc.expandtabs().splitlines():
        head = margin.match(line)
        indent = len(line) - len(line.lstrip())
        if head:
            names, depth = head[2].split(", "), len(head[1])
        elif names and line.strip() and indent > depth:
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip()
        elif line.strip():
            names = []
    return found
