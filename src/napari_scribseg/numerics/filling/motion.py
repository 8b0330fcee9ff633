"""Motion of the image from an anchor to each slice of a span, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from napari_scribseg.numerics.filling.shapes import borders
from napari_scribseg.numerics.fused.flow import compose, doubled, halved, optical_flow
from napari_scribseg.numerics.threads import in_parallel

__all__ = ["CompactFlow", "GreyScale", "flows_from", "motion"]

TAIL = 5.0  # percent of the values near the borders beyond either end of the scale
BAND = 8  # pixels around the borders of the anchors whose values make the scale
WIDE = (-1.0, 2.0)  # what is kept of the values beyond
LARGE = 192 * 192  # pixels above which motion is computed on half the rows and columns

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class GreyScale:
    """The part of a slice in a box as one channel, where most values near the borders of the classes are 0 to 1.

    Attributes
    ----------
    box : tuple of 2 slice
    low, high : float
        Values that become 0 and 1.
    """

    box: tuple[slice, slice]
    low: float
    high: float

    @classmethod
    def of(
        cls, anchors: Sequence[tuple[NDArray[np.integer], NDArray[np.generic]]], box: tuple[slice, slice]
    ) -> GreyScale:
        """From the labels (H, W) and the image (C, H, W) of each anchor."""
        values = [
            _mean(image, box)[binary_dilation(borders(labels[box]), iterations=BAND)] for labels, image in anchors
        ]
        near = np.concatenate(values)
        low, high = np.percentile(near, [TAIL, 100 - TAIL]) if near.size else (0.0, 0.0)
        return cls(box, float(low), float(high))

    def read(self, image: NDArray[np.generic]) -> Float32:
        """The part of a slice of shape (C, H, W), shape (h, w)."""
        grey = _mean(image, self.box)
        if not self.high > self.low:
            return np.zeros_like(grey)
        unit: Float32 = np.clip((grey - self.low) / (self.high - self.low), *WIDE).astype(np.float32)
        return unit


def motion(fixed: Float32, moving: Float32) -> Float32:
    """Where each pixel of one slice is found in its neighbour; both (H, W), by a :class:`GreyScale`."""
    still, moved = (np.clip(slice_, 0, 1) for slice_ in (fixed, moving))
    return optical_flow(still, moved, coarse=fixed.size > LARGE)


@dataclass(frozen=True, slots=True, eq=False)
class CompactFlow:
    """A motion in an eighth of its memory, where it was computed on half the rows and columns.

    Attributes
    ----------
    values : ndarray of shape (2, h, w), float16
        Pixels, on the grid that it was computed on.
    shape : tuple of 2 int
        Rows and columns of the slice.
    """

    values: NDArray[np.float16]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, flow: Float32) -> CompactFlow:
        """Of a motion of shape (2, H, W)."""
        shape = flow.shape[1:]
        small = halved(flow) if shape[0] * shape[1] > LARGE else flow
        return cls(small.astype(np.float16), shape)

    def whole(self) -> Float32:
        """The motion, shape (2, H, W)."""
        flow = self.values.astype(np.float32)
        return flow if flow.shape[1:] == self.shape else doubled(flow, self.shape)


def flows_from(slices: Sequence[Float32], done: Callable[[float], None]) -> tuple[list[CompactFlow], list[CompactFlow]]:
    """The motion that leads from each slice between two anchors back to either.

    Parameters
    ----------
    slices : sequence of ndarray of shape (H, W), float32
        With the anchors; two threads read them.
    done : callable
        Called after each step, with the share of all that is done.

    Returns
    -------
    tuple of 2 list of CompactFlow
        To the first and to the last slice, in pixels, one for each slice between: it shows at x what the anchor shows
        at x + flow.
    """
    n = len(slices) - 1
    found: tuple[list[CompactFlow], list[CompactFlow]] = ([], [])
    last: list[Float32 | None] = [None, None]

    for step in range(1, n):

        def advance(side: int, step: int = step) -> None:
            at, before = (step, step - 1) if side == 0 else (n - step, n - step + 1)
            flow = motion(slices[at], slices[before])
            farther = last[side]
            last[side] = flow = flow if farther is None else compose(flow, farther)
            found[side].append(CompactFlow.of(flow))

        in_parallel(advance, 2)
        done(step / (n - 1))
    return found[0], found[1][::-1]


def _mean(image: NDArray[np.generic], box: tuple[slice, slice]) -> Float32:
    grey: Float32 = np.asarray(image)[:, box[0], box[1]].astype(np.float32).mean(axis=0)
    return grey
