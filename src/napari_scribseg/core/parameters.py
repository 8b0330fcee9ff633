"""The parameters of an engine, read from the annotated fields of its dataclass: for checks, forms and texts."""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from napari_scribseg.core.errors import InputError

__all__ = ["Parameter", "Range", "Shown", "check_parameters", "parameters_of", "parse_parameters", "values_of"]


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a parameter, given as ``Annotated[float, Range(0, 10)]``; ``doc`` holds its meaning and unit."""

    low: float
    high: float
    step: float | None = None
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """How a form shows a parameter, given beside its type: ``Annotated[float, Range(0, 10), Shown("Detail")]``.

    Attributes
    ----------
    label : str
        Its name in the user's words; empty: the field's name.
    tip : str
        What it does, in plain words; empty: the field's documentation without its markup.
    when : tuple of str and tuple, optional
        Name of another parameter, and the values of it with which this one has an effect; it is hidden otherwise.
    choices : tuple of str
        The texts of its choices; empty: their values.
    """

    label: str = ""
    tip: str = ""
    when: tuple[str, tuple[Any, ...]] | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of an engine.

    Attributes
    ----------
    name : str
        Of the field.
    kind : {"float", "int", "bool", "choice", "text"}
        What it holds.
    default : Any
        Of the field; None where it must be given.
    low, high, step : float
        Of a number; infinite where it has no :class:`Range`.
    choices : tuple
        Of a choice.
    optional : bool
        Whether None ("the engine chooses") is allowed.
    doc : str
        Meaning and unit.
    shown : Shown
        How a form shows it.
    """

    name: str
    kind: Literal["float", "int", "bool", "choice", "text"]
    default: Any
    low: float = -math.inf
    high: float = math.inf
    step: float = 1.0
    choices: tuple[Any, ...] = ()
    optional: bool = False
    doc: str = ""
    shown: Shown = Shown()

    @property
    def label(self) -> str:
        """Its name in the user's words."""
        return self.shown.label or self.name.replace("_", " ")

    @property
    def tip(self) -> str:
        """What it does, in plain words."""
        return self.shown.tip or _plain(self.doc)

    def check(self, value: object) -> None:
        """Check a text, a choice, or a number that has a :class:`Range`.

        Raises
        ------
        InputError
            If the value has another type, is no finite number, lies outside its range, or is not among its choices.
        """
        if value is None and self.optional:
            return
        if self.kind == "text" and not isinstance(value, str):
            raise InputError(f"{self.name} is {value!r}; text is expected")
        if self.kind == "choice" and value not in self.choices:
            raise InputError(f"{self.name} is {value!r}; expected one of {', '.join(map(str, self.choices))}")
        if math.isinf(self.low) and math.isinf(self.high):
            return
        whole = self.kind == "int"
        if isinstance(value, bool) or not isinstance(value, numbers.Integral if whole else numbers.Real):
            raise InputError(f"{self.name} is {value!r}; a {'whole' if whole else 'finite'} number is expected")
        if not math.isfinite(value):
            raise InputError(f"{self.name} is {value!r}; a finite number is expected")
        if not self.low <= float(value) <= self.high:
            raise InputError(f"{self.name} is {value}; expected {self.low:g} to {self.high:g}")

    def parse(self, text: str) -> Any:
        """The value that a text stands for; ``none`` is None, ``true`` and ``false`` are booleans.

        Raises
        ------
        InputError
            If the text does not fit the kind.
        """
        if self.optional and text.lower() == "none":
            return None
        if self.kind == "text":
            return text
        values: dict[str, Any] = {str(choice): choice for choice in self.choices}
        if self.kind == "bool":
            values, text = {"true": True, "false": False}, text.lower()
        if text in values:
            return values[text]
        if self.kind in ("int", "float"):
            try:
                return int(text) if self.kind == "int" else float(text)
            except ValueError:
                pass
        expected = {"int": "a whole number", "float": "a number"}.get(self.kind, f"one of {', '.join(values)}")
        raise InputError(f"the parameter {self.name} is {text!r}; {expected}{' or none' * self.optional} is expected")


def parameters_of(engine: type[Any]) -> tuple[Parameter, ...]:
    """The parameters of an engine class, in the order of its fields.

    Parameters
    ----------
    engine : dataclass
        Fields annotated ``bool``, ``str``, ``Literal["a", "b"]``, or ``int`` and ``float``, also as
        ``Annotated[float, Range(low, high)]``, are read, each of them also with ``| None``; others are left out.
    """
    return _read(engine)  # type: ignore[arg-type]  # mypy does not know that classes are hashable


def check_parameters(engine: Any) -> None:
    """Check each parameter of an engine; call it in ``__post_init__``.

    Raises
    ------
    InputError
        As of :meth:`Parameter.check`.
    """
    for parameter in parameters_of(type(engine)):
        parameter.check(getattr(engine, parameter.name))


def parse_parameters(engine: type[Any], pairs: Iterable[str]) -> dict[str, Any]:
    """Turn ``name=value`` texts into values for an engine class.

    Parameters
    ----------
    engine : type of Engine
        Whose parameters they are.
    pairs : iterable of str
        Each ``name=value``; ``none`` stands for None, ``true`` and ``false`` for booleans.

    Raises
    ------
    InputError
        If a text has no ``=``, names no parameter of the engine, or does not fit the parameter.
    """
    parameters = {parameter.name: parameter for parameter in parameters_of(engine)}
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"the parameter {pair!r} has no '='; name=value is expected")
        if name not in parameters:
            raise InputError(
                f"{engine.info.name!r} has no parameter {name!r}; it has {', '.join(parameters) or 'none'}"
            )
        values[name] = parameters[name].parse(text)
    return values


def values_of(engine: object) -> dict[str, Any]:
    """The values of an engine's parameters, by name; those that :func:`parameters_of` leaves out are not there."""
    return {parameter.name: getattr(engine, parameter.name) for parameter in parameters_of(type(engine))}


@cache
def _read(engine: type[Any]) -> tuple[Parameter, ...]:
    hints = typing.get_type_hints(engine, include_extras=True)
    docs: dict[str, str] = {}
    for cls in reversed(engine.__mro__):  # a field of a base class is documented there
        docs |= _documented(cls.__doc__ or "")
    found = (_parameter(field, hints[field.name], docs) for field in dataclasses.fields(engine) if field.init)
    return tuple(parameter for parameter in found if parameter is not None)


def _parameter(field: dataclasses.Field[Any], hint: Any, docs: dict[str, str]) -> Parameter | None:
    bare, bounds, shown, optional = _unwrap(hint)
    default = field.default
    if default is dataclasses.MISSING:
        default = None if field.default_factory is dataclasses.MISSING else field.default_factory()
    doc = (bounds.doc if bounds else "") or docs.get(field.name, "")
    if get_origin(bare) is Literal:
        return Parameter(field.name, "choice", default, choices=get_args(bare), optional=optional, doc=doc, shown=shown)
    if bare is bool:
        return Parameter(field.name, "bool", default, optional=optional, doc=doc, shown=shown)
    if bare is str:
        return Parameter(field.name, "text", default, optional=optional, doc=doc, shown=shown)
    if bare not in (int, float):
        return None
    low, high = (bounds.low, bounds.high) if bounds else (-math.inf, math.inf)
    step = (bounds.step if bounds else None) or (1.0 if bare is int else _step(default, low, high))
    kind: Literal["int", "float"] = "int" if bare is int else "float"
    return Parameter(field.name, kind, default, low, high, step, optional=optional, doc=doc, shown=shown)


def _unwrap(hint: Any) -> tuple[Any, Range | None, Shown, bool]:
    """A type without ``Annotated`` and ``| None``, :class:`Range` and :class:`Shown`, and whether None is allowed."""
    bounds, shown, optional = None, Shown(), False
    while True:
        if get_origin(hint) is Annotated:
            hint, *extras = get_args(hint)
            bounds = next((extra for extra in extras if isinstance(extra, Range)), bounds)
            shown = next((extra for extra in extras if isinstance(extra, Shown)), shown)
        elif get_origin(hint) in (typing.Union, types.UnionType):
            inner = [part for part in get_args(hint) if part is not type(None)]
            optional = optional or len(inner) < len(get_args(hint))
            if len(inner) != 1:
                return None, bounds, shown, optional
            hint = inner[0]
        else:
            return hint, bounds, shown, optional


def _plain(text: str) -> str:
    """A documentation text without the markup of reStructuredText."""
    text = re.sub(r":\w+:`(?:~[\w.]*?\.?(\w+)|([^<`]*?) *(?:<[^`]*>)?)`", lambda m: m[1] or m[2], text)
    return text.replace("``", "").replace("\\", "")


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
