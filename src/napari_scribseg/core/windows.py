"""The range of values that an image is shown in: windows of CT, and the middle of the histogram of other images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.padding import measured_values

__all__ = ["HOUNSFIELD_WINDOWS", "DisplayWindow", "display_windows", "histogram_window", "is_hounsfield"]

MIDDLE = "automatic"  # the middle of the histogram, in a word that fits a narrow dock
_TAIL = 0.5  # percent of the values beyond either end
_AIR, _TISSUE = (-1100.0, -900.0), (-150.0, 250.0)  # Hounsfield units; air is -1000, fat -100, blood 50
_LEAST_SHARE = 0.02  # of the values, in both
_MOST_BELOW = 0.01  # of the values, darker than air
_PICTURE = 64  # the least maximum of an 8-bit image whose range has been chosen already


@dataclass(frozen=True, slots=True)
class DisplayWindow:
    """A range of values, shown from black to white.

    Attributes
    ----------
    name : str
        For people.
    low, high : float
        In the image's own values; the lower and the upper end.
    """

    name: str
    low: float
    high: float

    @classmethod
    def of(cls, name: str, center: float, width: float) -> DisplayWindow:
        """From level and width, as radiology gives them."""
        return cls(name, center - width / 2, center + width / 2)


#: The usual windows of CT in Hounsfield units; the first is for an image of which nothing else is known.
#: Level and width: Murphy, "Windowing (CT)", Radiopaedia.org, https://doi.org/10.53347/rID-52108.
HOUNSFIELD_WINDOWS = (
    DisplayWindow.of("soft tissue", 40, 400),
    DisplayWindow.of("lung", -600, 1500),
    DisplayWindow.of("bone", 400, 1800),
    DisplayWindow.of("brain", 40, 80),
    DisplayWindow.of("liver", 30, 150),
)


def display_windows(
    array: NDArray[Any], modality: str = "", windows: tuple[DisplayWindow, ...] = ()
) -> tuple[DisplayWindow, ...]:
    """The windows to offer for an image; the first is the one to show it in. None for a mask or an 8-bit picture.

    They are those of the file that show any of its values, the usual ones if it is CT, and the middle of the histogram.
    It is CT if the file says so, or if it names no modality and :func:`is_hounsfield` holds.

    Parameters
    ----------
    array : ndarray of two or more axes
        Of one channel, or channels first.
    modality : str
        As of :attr:`Source.modality <napari_scribseg.core.Source.modality>`.
    windows : tuple of DisplayWindow
        Those of the file.
    """
    ct = modality == "CT" or (not modality and is_hounsfield(array))
    offered = windows + (HOUNSFIELD_WINDOWS if ct else ())
    if offered:
        values = measured_values(array)
        offered = tuple(w for w in offered if values.size and w.low < values.max() and w.high > values.min())
    middle = histogram_window(array)
    return (*offered, middle) if middle else offered


def is_hounsfield(array: NDArray[Any]) -> bool:
    """Whether the values are Hounsfield units, by the air around and inside of a body.

    They are if, without padding, at least 2 % lie between -1100 and -900 (air), at least 2 % between -150 and 250 (fat
    to soft tissue), and at most 1 % below -1100.

    Parameters
    ----------
    array : ndarray of two or more axes
        Of any real type; a sample of its slices is read.
    """
    if np.dtype(array.dtype).kind not in "if":
        return False
    values = measured_values(array)
    if not values.size:
        return False

    def share(low: float, high: float) -> float:
        return float(np.mean((values >= low) & (values <= high)))

    return (
        share(*_AIR) >= _LEAST_SHARE
        and share(*_TISSUE) >= _LEAST_SHARE
        and float(np.mean(values < _AIR[0])) <= _MOST_BELOW
    )


def histogram_window(array: NDArray[Any]) -> DisplayWindow | None:
    """From the 0.5th to the 99.5th percentile without padding; the whole range where these are equal.

    None for a constant image, a mask and an 8-bit picture, whose range has been chosen by whoever made it.

    Parameters
    ----------
    array : ndarray of two or more axes
        Of any real type; a sample of its slices is read.
    """
    dtype = np.dtype(array.dtype)
    if dtype.kind == "b":
        return None
    values = measured_values(array)
    if not values.size or (dtype == np.uint8 and values.max() >= _PICTURE):
        return None
    low, high = (float(v) for v in np.percentile(values, (_TAIL, 100 - _TAIL)))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return DisplayWindow(MIDDLE, low, high) if low < high else None
