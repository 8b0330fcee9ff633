"""Engines by name, found through the entry-point group ``scribseg.engines``."""

from __future__ import annotations

import dataclasses
import difflib
import warnings
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from napari_scribseg.core.engine import Engine, EngineInfo
from napari_scribseg.core.errors import InputError

__all__ = [
    "DEFAULT_ENGINE",
    "ENGINE_GROUP",
    "engine_class",
    "engine_infos",
    "engine_names",
    "get_engine",
    "registered_engines",
]

ENGINE_GROUP = "scribseg.engines"
DEFAULT_ENGINE = "scribble-net"  # answers from the first stroke on, of one class


@cache
def registered_engines() -> dict[str, EntryPoint]:
    """Installed entry points by name; of two with the same name the first is used, with a warning."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=ENGINE_GROUP):
        if point.name in found:
            if point.value != found[point.name].value:
                warnings.warn(
                    f"two engines are registered as {point.name!r}: {found[point.name].value} is used, "
                    f"{point.value} is not",
                    RuntimeWarning,
                    stacklevel=3,
                )
            continue
        found[point.name] = point
    return found


def engine_names() -> tuple[str, ...]:
    """Registered names, sorted; loads no engine."""
    return tuple(sorted(registered_engines()))


def engine_class(name: str) -> type[Engine[Any]]:
    """The engine class registered as ``name``.

    Raises
    ------
    InputError
        If no engine has this name, or the one that has does not load; the reason is in the message.
    """
    points = registered_engines()
    if name not in points:
        near = difflib.get_close_matches(name, points, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"there is no engine {name!r}; expected one of {', '.join(engine_names())}{hint}")
    try:
        loaded = points[name].load()
    except Exception as error:  # a third party's import may raise anything
        raise InputError(f"the engine {name!r} ({points[name].value}) does not load: {error}") from error
    if not (dataclasses.is_dataclass(loaded) and isinstance(getattr(loaded, "info", None), EngineInfo)):
        raise InputError(f"the engine {name!r} ({points[name].value}) is not a dataclass with an EngineInfo in `info`")
    return loaded  # type: ignore[return-value]


def get_engine(name: str = DEFAULT_ENGINE, **parameters: Any) -> Engine[Any]:
    """An engine by its registered name.

    Parameters
    ----------
    name : str
        One of :func:`engine_names`; by default the one to begin with.
    **parameters
        Values for the engine's fields; what is not named keeps its default.

    Raises
    ------
    InputError
        If the name or a parameter is unknown, or a value is out of its range.
    """
    cls = engine_class(name)
    names = [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]
    unknown = sorted(set(parameters) - set(names))
    if unknown:
        raise InputError(f"the engine {name!r} has no parameter {', '.join(unknown)}; it has {', '.join(names)}")
    return cls(**parameters)


def engine_infos() -> dict[str, EngineInfo]:
    """The :class:`EngineInfo` of every engine by name; one that does not load is left out with a warning."""
    infos: dict[str, EngineInfo] = {}
    for name in engine_names():
        try:
            infos[name] = engine_class(name).info
        except InputError as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)
    return infos
