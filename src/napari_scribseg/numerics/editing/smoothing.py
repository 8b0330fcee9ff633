"""The tool that smooths the edges of a class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Range, Report, Shown
from napari_scribseg.numerics.editing.tool import EditTool, Part, ToolInfo
from napari_scribseg.numerics.fused.flood import most_votes
from napari_scribseg.numerics.fused.windows import weighted_sum

__all__ = ["Smooth"]

_TRUNCATE = 4.0  # standard deviations at which a Gaussian ends, as in scipy.ndimage


@dataclass(frozen=True)
class Smooth(EditTool):
    """Smooth the edges of a class by a vote around each voxel.

    A voxel that gets more than half of the votes belongs to the class. One that loses it gets the class with the most
    other votes around it, so that no gap opens between two classes.

    Attributes
    ----------
    method : {"median", "gaussian"}
        With median, all voxels of a box vote alike; with gaussian, near ones count more, which keeps more of the shape.
    size : float
        Half the side of the box, or the standard deviation, in mm. Larger is smoother.
    """

    info: ClassVar[ToolInfo] = ToolInfo("smooth", "Smooth edges", "Smooths the edges of the class", grows=True)

    method: Literal["median", "gaussian"] = "median"
    size: Annotated[float, Range(0, 50, 0.5), Shown("size (mm)")] = 2.0

    @property
    def reach(self) -> float:
        """The farthest voxel that votes."""
        return self.size if self.method == "median" else self.size * _TRUNCATE

    def weights(self, spacing: tuple[float, ...]) -> list[NDArray[np.float32]]:
        """The weights of the vote along each axis, each with the sum 1 or of an odd number of voxels that count 1."""
        if self.method == "median":
            return [np.ones(2 * math.floor(self.size / step + 1e-6) + 1, np.float32) for step in spacing]
        return [_gaussian(self.size / step) for step in spacing]

    def apply(self, part: Part, report: Report) -> NDArray[Any]:
        """See :meth:`EditTool.apply`."""
        mask, weights = part.mask, self.weights(part.spacing)
        votes = weighted_sum(mask, weights, report)
        total = math.prod(float(w.sum(dtype=np.float64)) for w in weights)
        smooth = votes > total / 2
        out = part.changed(smooth, part.identity)
        lost = mask & ~smooth
        if lost.any():
            out[lost] = _others(part.labels, lost, part.identity, weights, report)
        return out


def _gaussian(sigma: float) -> NDArray[np.float32]:
    """Weights of a Gaussian with the sum 1, as ``scipy.ndimage.gaussian_filter`` has them."""
    if sigma < 1e-3:
        return np.ones(1, np.float32)
    half = int(_TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    scaled: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return scaled


def _others(
    labels: NDArray[Any], lost: NDArray[np.bool_], identity: int, weights: list[NDArray[np.float32]], report: Report
) -> NDArray[Any]:
    """For each lost voxel, shape (N,), the other value with the most votes in its window; the lowest of equal ones."""
    points = np.argwhere(lost)
    halves = np.asarray([len(w) // 2 for w in weights])
    low = np.maximum(points.min(axis=0) - halves, 0)
    high = np.minimum(points.max(axis=0) + halves + 1, labels.shape)
    window = labels[tuple(map(slice, low, high))]
    present = np.zeros(int(labels.max()) + 1, bool)
    present[window] = True
    present[identity] = False
    values = np.flatnonzero(present).astype(labels.dtype)
    if len(values) < 2:
        return np.full(len(points), values[0] if len(values) else 0, labels.dtype)
    ranks = np.full(len(present), -1, np.int32)
    ranks[values] = np.arange(len(values))
    missing = 3 - labels.ndim
    three = [np.ones(1, np.float32)] * missing + weights
    at = np.pad(points - low, ((0, 0), (missing, 0)))
    inside = ranks[window].reshape((1,) * missing + window.shape)
    return values[most_votes(inside, at, (three[0], three[1], three[2]), len(values), report)]
