"""Motion of the image from an anchor to each slice of a span, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.flow import compose, optical_flow
from napari_scribseg.numerics.threads import in_parallel

__all__ = ["flows_from", "grey_slices"]

TAIL = 1.0  # percent of the values beyond either end of the scale
LARGE = 192 * 192  # pixels above which motion is computed on half the rows and columns

Float32 = NDArray[np.float32]


def grey_slices(images: Sequence[NDArray[np.generic]], box: tuple[slice, slice]) -> list[Float32]:
    """The part of each slice in a box, one channel, scaled so that most values lie between 0 and 1.

    Parameters
    ----------
    images : sequence of ndarray of shape (C, H, W)
    box : tuple of 2 slice

    Returns
    -------
    list of ndarray of shape (h, w), float32
    """
    parts = [np.asarray(image)[:, box[0], box[1]].astype(np.float32).mean(axis=0) for image in images]
    low, high = np.percentile(np.stack([parts[0], parts[-1]]), [TAIL, 100 - TAIL])
    if not high > low:
        return [np.zeros_like(part) for part in parts]
    return [np.clip((part - low) / (high - low), 0, 1).astype(np.float32) for part in parts]


def flows_from(
    anchors: Sequence[int], slices: Sequence[Float32], done: Callable[[float], None]
) -> list[list[Float32 | None]]:
    """For each anchor, the motion that leads from each slice back to it.

    Parameters
    ----------
    anchors : sequence of int
        Their indices: the first slice, the last, or both.
    slices : sequence of ndarray of shape (H, W), float32
    done : callable
        Called after each step, with the share of all that is done.

    Returns
    -------
    list of list of ndarray of shape (2, H, W), float32
        In pixels: the slice at x shows what the anchor shows at x + flow. None at the anchor itself.
    """
    n = len(slices)
    found: list[list[Float32 | None]] = [[None] * n for _ in anchors]

    for step in range(1, n):

        def advance(i: int, step: int = step) -> None:
            way = 1 if anchors[i] == 0 else -1
            at = anchors[i] + way * step
            flow = optical_flow(slices[at], slices[at - way], coarse=slices[at].size > LARGE)
            before = found[i][at - way]
            found[i][at] = flow if before is None else compose(flow, before)

        in_parallel(advance, len(anchors))
        done(step / (n - 1))
    return found
