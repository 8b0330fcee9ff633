"""What other packages add, by the entry points that they declare."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TypeVar

from napari_scribseg.core.errors import InputError

__all__ = ["add_installed"]

Added = TypeVar("Added")


def add_installed(group: str, kind: type[Added], add: Callable[[Added], object]) -> None:
    """Add what installed packages declare in a group of entry points; what cannot be added is left out with a warning.

    Parameters
    ----------
    group : str
        Such as ``"scribseg.formats"``.
    kind : type
        The class of what is declared.
    add : callable
        ``add(found)`` adds one; what it raises is the reason in the warning.
    """
    for point in entry_points(group=group):
        try:
            found = point.load()
            if not isinstance(found, kind):
                raise InputError(f"it is of the class {type(found).__name__}; {kind.__name__} is expected")
            add(found)
        except Exception as error:  # noqa: BLE001 - a third party's import may raise anything
            warnings.warn(
                f"{point.name!r} of {group} ({point.value}) is left out: {error}", RuntimeWarning, stacklevel=3
            )
