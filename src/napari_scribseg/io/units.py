"""Units of length and time as files spell them, in millimetres and seconds, by pint."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

__all__ = ["LengthUnit", "in_millimetres", "in_seconds", "length_or_warn"]

# OME's names that mean something else to pint: https://docs.openmicroscopy.org/ome-model/6.2.2/developers/ome-units.html
_OME = {"pt": "point", "li": "ome_line", "ua": "astronomical_unit"}
_NO_LENGTH = {"", "pixel", "pixels", "px", "voxel", "voxels", "reference frame", "unknown", "none"}
_NO_TIME = {"", "frame", "frames", "unknown", "none"}


@dataclass(frozen=True, slots=True)
class LengthUnit:
    """The unit of a file's lengths. Labels are written in the unit of their geometry's reference."""

    name: str
    millimetres: float


def in_millimetres(unit: str) -> float | None:
    """Millimetres of one unit of length, ``"um"``, ``"\\\\u00B5m"`` or ``"Micron"``; None where it is no length.

    Pixels are none: they have no size.
    """
    text = _plain(unit)
    return None if text.lower() in _NO_LENGTH else _converted(text, "millimeter")


def in_seconds(unit: str) -> float | None:
    """Seconds of one unit of time, such as ``"msec"``; None where it is no time."""
    text = _plain(unit)
    return None if text.lower() in _NO_TIME else _converted(text, "second")


def length_or_warn(unit: str, name: str) -> float | None:
    """As :func:`in_millimetres`; a unit that is not known becomes a warning."""
    found = in_millimetres(unit)
    if found is None and _plain(unit).lower() not in _NO_LENGTH:
        warnings.warn(
            f"{name}: its unit of length {unit[:40]!r} is not known; sizes are taken as pixels",
            UserWarning,
            stacklevel=3,
        )
    return found


def _plain(unit: str) -> str:
    """Without quotes, and with the escapes of ImageJ resolved."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), unit[:80])
    return text.strip().strip("\"'").strip()


@cache
def _converted(unit: str, wanted: str) -> float | None:
    """How many ``wanted`` a unit is; as it is spelt, else in lower case (``"Micron"``, ``"MM"``)."""
    if unit == {"millimeter": "mm", "second": "s"}[wanted]:  # most files; pint takes a second to load
        return 1.0
    if not re.fullmatch(r"[^\W\d_]{1,24}|[Åµμ]", unit):
        return None
    import pint

    registry = _registry()
    for spelt in (_OME.get(unit, unit), unit.lower()):
        try:
            return float(registry.Quantity(1.0, spelt).to(wanted).magnitude)
        except (pint.PintError, ValueError, AssertionError, TypeError):
            continue
    return None


@cache
def _registry() -> Any:
    """One of our own: napari's is loaded on first use, and that is not safe from several threads."""
    import pint

    registry: Any = pint.UnitRegistry()
    registry.define("ome_line = inch / 12")
    return registry
