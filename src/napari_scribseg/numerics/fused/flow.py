"""Motion between two slices by TV-L1 optical flow, and images moved by it, compiled for the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import inlined, kernel
from napari_scribseg.numerics.threads import band_edges, in_parallel

__all__ = ["compose", "doubled", "halved", "move", "optical_flow"]

_SMALLEST = 16  # pixels of the shorter side of the coarsest level
_TIGHTNESS = 0.3
_STEP = 0.25
_DUAL_STEPS = 2

Float32 = NDArray[np.float32]


def optical_flow(
    fixed: Float32,
    moving: Float32,
    attachment: float = 15.0,
    n_warps: int = 5,
    n_iterations: int = 10,
    *,
    coarse: bool = False,
) -> Float32:
    """Where each pixel of one image is found in another: coarse to fine, total variation and an L1 data term.

    Parameters
    ----------
    fixed, moving : ndarray of shape (H, W), float32
        Values of about 0 to 1.
    attachment : float
        The smaller, the smoother is the flow.
    n_warps : int
        Linearisations of the images on each level.
    n_iterations : int
        Steps between two of them.
    coarse : bool
        Whether to stop at half the rows and columns.

    Returns
    -------
    ndarray of shape (2, H, W), float32
        Steps in rows and in columns, in pixels: ``fixed`` at x resembles ``moving`` at x + flow.

    References
    ----------
    Zach, Pock & Bischof, A duality based approach for realtime TV-L1 optical flow, DAGM 2007; the steps are those of
    scikit-image's ``optical_flow_tvl1``.
    """
    levels = [(fixed, moving)]
    while min(levels[-1][0].shape) > 2 * _SMALLEST:
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    flow = np.zeros((2, *levels[-1][0].shape), np.float32)
    for still, moved in reversed(levels[1:] if coarse and len(levels) > 1 else levels):
        if flow.shape[1:] != still.shape:
            flow = doubled(flow, still.shape)
        duals = np.zeros((2, 2, *still.shape), np.float32)
        for _ in range(n_warps):
            _advance(still, moved, flow, duals, np.float32(attachment), n_iterations)
    return flow if flow.shape[1:] == fixed.shape else doubled(flow, fixed.shape)


def move(images: Float32, flow: Float32) -> Float32:
    """Images read at x + flow, bilinearly; outside is the nearest pixel of the border.

    Parameters
    ----------
    images : ndarray of shape (C, H, W), float32
    flow : ndarray of shape (2, H, W), float32

    Returns
    -------
    ndarray of shape (C, H, W), float32
    """
    found = np.empty_like(images)
    edges = band_edges(images.shape[1])
    in_parallel(lambda i: _move(images, flow, found, edges[i], edges[i + 1]), len(edges) - 1)
    return found


def compose(flow: Float32, farther: Float32) -> Float32:
    """The flow to a third image: first ``flow``, then from where it leads ``farther``; each of shape (2, H, W)."""
    return flow + move(farther, flow)


def halved(flow: Float32) -> Float32:
    """A flow of shape (2, H, W) on half the rows and columns, in pixels of these."""
    return np.stack([_halved(part) for part in flow]) * np.float32(0.5)


def _halved(image: Float32) -> Float32:
    """Means of two by two pixels; a last odd row or column counts twice."""
    height, width = image.shape
    even: Float32 = np.pad(image, ((0, height % 2), (0, width % 2)), mode="edge")
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) * np.float32(0.25)


def doubled(flow: Float32, shape: tuple[int, ...]) -> Float32:
    """A flow of shape (2, h, w) on twice the rows and columns, in pixels of these."""
    found = np.empty((2, *shape), np.float32)
    _enlarge(flow, found)
    return found


@inlined
def _clamp(value, most):
    return min(max(value, np.float32(0)), most)


@kernel
def _enlarge(flow, found):
    """Bilinear, (2, h, w) to (2, H, W), pixel borders on one another, and twice the length."""
    _, height, width = flow.shape
    for c in range(2):
        for y in range(found.shape[1]):
            at_y = _clamp(np.float32(0.5) * (np.float32(y) + np.float32(0.5)) - np.float32(0.5), np.float32(height - 1))
            y0 = int(at_y)
            y1, fy = min(y0 + 1, height - 1), at_y - np.float32(y0)
            for x in range(found.shape[2]):
                at_x = _clamp(
                    np.float32(0.5) * (np.float32(x) + np.float32(0.5)) - np.float32(0.5), np.float32(width - 1)
                )
                x0 = int(at_x)
                x1, fx = min(x0 + 1, width - 1), at_x - np.float32(x0)
                above = flow[c, y0, x0] + fx * (flow[c, y0, x1] - flow[c, y0, x0])
                below = flow[c, y1, x0] + fx * (flow[c, y1, x1] - flow[c, y1, x0])
                found[c, y, x] = np.float32(2) * (above + fy * (below - above))


@kernel
def _move(images, flow, found, first, stop):
    """Rows ``first`` to ``stop`` of ``found`` (C, H, W): ``images`` (C, H, W) at x + flow, bilinear."""
    channels, height, width = images.shape
    for y in range(first, stop):
        for x in range(width):
            at_y = _clamp(np.float32(y) + flow[0, y, x], np.float32(height - 1))
            at_x = _clamp(np.float32(x) + flow[1, y, x], np.float32(width - 1))
            y0, x0 = int(at_y), int(at_x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            fy, fx = at_y - np.float32(y0), at_x - np.float32(x0)
            for c in range(channels):
                above = images[c, y0, x0] + fx * (images[c, y0, x1] - images[c, y0, x0])
                below = images[c, y1, x0] + fx * (images[c, y1, x1] - images[c, y1, x0])
                found[c, y, x] = above + fy * (below - above)


@kernel
def _advance(fixed, moving, flow, duals, attachment, n_iterations):
    """One linearisation and its iterations; ``flow`` (2, H, W) and ``duals`` (2, 2, H, W) are changed."""
    height, width = fixed.shape
    moved = np.empty((1, height, width), np.float32)
    _move(moving.reshape((1, height, width)), flow, moved, 0, height)
    warped = moved[0]
    gradient = np.empty((2, height, width), np.float32)
    rest, size = np.empty_like(fixed), np.empty_like(fixed)
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            gy = (warped[below, x] - warped[above, x]) / np.float32(max(below - above, 1))
            gx = (warped[y, right] - warped[y, left]) / np.float32(max(right - left, 1))
            gradient[0, y, x], gradient[1, y, x] = gy, gx
            size[y, x] = gy * gy + gx * gx
            rest[y, x] = warped[y, x] - fixed[y, x] - gy * flow[0, y, x] - gx * flow[1, y, x]
    limit = attachment * np.float32(_TIGHTNESS)
    auxiliary = np.empty_like(flow)
    for _ in range(n_iterations):
        for y in range(height):
            for x in range(width):
                gy, gx, s = gradient[0, y, x], gradient[1, y, x], size[y, x]
                r = rest[y, x] + gy * flow[0, y, x] + gx * flow[1, y, x]
                step = np.float32(0)
                if s > np.float32(0):
                    step = min(max(r / s, -limit), limit)
                auxiliary[0, y, x] = flow[0, y, x] - step * gy
                auxiliary[1, y, x] = flow[1, y, x] - step * gx
        for c in range(2):
            flow[c] = auxiliary[c]
            for _k in range(_DUAL_STEPS):
                _smooth(auxiliary[c], flow[c], duals[c])


@kernel
def _smooth(data, flow, dual):
    """One dual step of total variation: ``dual`` (2, H, W) and ``flow`` (H, W) are changed."""
    height, width = data.shape
    ratio, step = np.float32(_STEP / _TIGHTNESS), np.float32(_STEP)
    for y in range(height):
        for x in range(width):
            gy = flow[min(y + 1, height - 1), x] - flow[y, x]
            gx = flow[y, min(x + 1, width - 1)] - flow[y, x]
            norm = np.float32(1) / (np.float32(1) + ratio * np.sqrt(gy * gy + gx * gx))
            dual[0, y, x] = (dual[0, y, x] - step * gy) * norm
            dual[1, y, x] = (dual[1, y, x] - step * gx) * norm
    for y in range(height):
        for x in range(width):
            divergence = dual[0, y, x] + dual[1, y, x]
            if y > 0:
                divergence -= dual[0, y - 1, x]
            if x > 0:
                divergence -= dual[1, y, x - 1]
            flow[y, x] = data[y, x] - divergence
