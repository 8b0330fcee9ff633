"""From strokes to probabilities: coarse labels, and the network's reconstruction of each class."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_scribseg.core import Hint, Image, Report, Scribbles, Segmentation
from napari_scribseg.engines.coarse_to_fine.fitting import Fit
from napari_scribseg.engines.coarse_to_fine.parameters import CoarseToFineParameters
from napari_scribseg.engines.coarse_to_fine.rough_outlines import Drawing, cell_labels, read_drawing
from napari_scribseg.engines.coarse_to_fine.shapes import Regions, snap
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.numerics.intensity import scale_intensities

__all__ = ["CoarseState", "coarse_picture", "prepare", "segment"]

_DARKEST = 0.2  # the image's black; hidden cells are 0
_FITTED = 0.95  # of the progress that the fit takes
_PREVIEW = 0.9  # probability of the drawn areas in the preview
_BATCH = 8  # classes
CURVE_EVERY = 0.5  # seconds between two previews with the curve
_FEW = 9  # cells, below which an object is too small for the grid


@dataclass(frozen=True, slots=True, eq=False)
class CoarseState:
    """A prepared image.

    Attributes
    ----------
    fit : Fit
        The network, fitted or partly fitted.
    picture : ndarray of shape (C, h, w), float32
        The image from 0 to 1, at the network's resolution.
    shape : tuple of 2 int
        Of the image.
    """

    fit: Fit
    picture: NDArray[np.float32]
    shape: tuple[int, int]


def prepare(parameters: CoarseToFineParameters, image: Image, device: str) -> CoarseState:
    """The state for a fresh image; the network is fitted with the first strokes, where progress can be shown."""
    chosen = choose_device(device)
    picture = np.clip(scale_intensities(image.data) / np.float32(255), 0, 1)
    longest = max(image.shape)
    if longest > parameters.resolution:
        size = [max(round(n * parameters.resolution / longest), 1) for n in image.shape]
        picture = _resized(picture, (size[0], size[1]))
    shown = np.ascontiguousarray(_DARKEST + (1 - _DARKEST) * picture, dtype=np.float32)
    return CoarseState(Fit(parameters, shown, chosen), picture, _pair(image.shape))


def segment(
    parameters: CoarseToFineParameters, scribbles: Scribbles, state: CoarseState, report: Report
) -> Segmentation[CoarseState]:
    """Segment one set of strokes."""
    fit, small = state.fit, state.picture.shape[1:]
    grid = fit.net.grid
    report(0.0)
    drawing = read_drawing(scribbles, scribbles.shape[0] / grid[0])
    rough = _snapped(_shrunk(drawing, (small[0], small[1])), fit.regions)
    cells = cell_labels(rough, state.picture, grid, scribbles.n_classes)
    if not fit.done:
        shares = _one_hot(cells, scribbles.n_classes) * np.float32(_PREVIEW) + np.float32(
            (1 - _PREVIEW) / scribbles.n_classes
        )
        preview: Segmentation[Any] = _result(_resized(shares, _pair(scribbles.shape)), drawing, state, ())
        report(0.01, preview)
        fit.advance(_watched(fit, preview, report))
    report(_FITTED)
    shares = _class_shares(parameters, cells, scribbles.n_classes, drawing.background, state)
    notes: tuple[str, ...] = (
        f"a network of {grid[0]} x {grid[1]} cells, fitted in {len(fit.scores)} rounds; "
        f"error on what was held back {min(fit.scores):.4f}",
    )
    covered = np.bincount(cells.reshape(-1), minlength=scribbles.n_classes)
    few = [scribbles.ids[k] for k in np.unique(drawing.areas[drawing.areas >= 0]) if covered[k] < _FEW]
    if few:
        n_cells = covered[scribbles.ids.index(few[0])]
        notes += (Hint(f"the outlines of class {few[0]} cover {n_cells} cells: a smaller ratio sees more"),)
    result = _result(_resized(shares, _pair(scribbles.shape)), drawing, state, notes)
    report(1.0)
    return result


def coarse_picture(state: CoarseState) -> NDArray[np.float32]:
    """What the network is shown of the image: its cells, as colours of shape (H, W, 3), from 0 to 1."""
    cells = (state.fit.small[0].cpu().numpy() - _DARKEST) / (1 - _DARKEST)  # (C, h, w)
    cells = cells.mean(axis=0, keepdims=True) if len(cells) not in (1, 3) else cells
    rows, columns = ((np.arange(n) * m // n) for n, m in zip(state.shape, cells.shape[1:], strict=True))
    colours = np.broadcast_to(cells[:, rows[:, np.newaxis], columns], (3, *state.shape))
    return np.ascontiguousarray(np.clip(np.moveaxis(colours, 0, -1), 0, 1), dtype=np.float32)


def _watched(fit: Fit, preview: Segmentation[Any], report: Report) -> Callable[[float], None]:
    """Report the share of a fit, and at intervals a preview of the drawn areas with the curve so far."""
    shown, n_points = time.monotonic(), fit.points

    def progress(share: float) -> None:
        nonlocal shown, n_points
        news = fit.points > n_points and time.monotonic() - shown >= CURVE_EVERY
        if news:
            shown, n_points = time.monotonic(), fit.points
        report(0.01 + (_FITTED - 0.01) * share, replace(preview, curve=fit.curve) if news else None)

    return progress


def _class_shares(
    parameters: CoarseToFineParameters,
    cells: NDArray[np.int32],
    n_classes: int,
    background: int | None,
    state: CoarseState,
) -> NDArray[np.float32]:
    """The share of each class in each pixel, shape (K, h, w); the rest is the background's."""
    fit = state.fit
    shares = np.zeros((n_classes, *state.picture.shape[1:]), dtype=np.float32)
    predicted = [k for k in np.unique(cells).tolist() if k != background]
    for start in range(0, len(predicted), _BATCH):
        some = predicted[start : start + _BATCH]
        shown = torch.from_numpy(np.stack([cells == k for k in some])[:, np.newaxis].astype(np.float32))
        noise = torch.Generator().manual_seed(parameters.seed)
        with torch.no_grad():
            made = fit.reconstruct(shown.to(fit.image.device), noise)  # (N, out, h, w)
            if parameters.mask == "thresholded":
                made = (made * fit.image).sum(1, keepdim=True) / fit.image.square().sum(1, keepdim=True)
        found = made[:, 0].clamp(0, 1).cpu().numpy()
        if fit.regions:  # cells are coarse: half of the mask is moved to the borders of regions
            found = (found + np.stack([snap(one > 0.5, fit.regions) for one in found])) / 2
        shares[some] = found
    if background is not None:
        shares[background] = 1 - shares.max(axis=0)
    return shares


def _result(
    shares: NDArray[np.float32], drawing: Drawing, state: CoarseState, notes: tuple[str, ...]
) -> Segmentation[CoarseState]:
    """The shares as probabilities; only strokes that are no outline are hard."""
    shares = np.clip(shares, 1e-4, 1)
    shares /= shares.sum(axis=0)
    hard = Scribbles(drawing.strokes, len(shares))
    outlines = bool((drawing.areas >= 0).any())
    return Segmentation.of(shares, hard, state, notes, outlines=outlines, curve=state.fit.curve)


def _one_hot(labels: NDArray[np.int32], n_classes: int) -> NDArray[np.float32]:
    hot: NDArray[np.float32] = (labels == np.arange(n_classes).reshape(-1, *(1,) * labels.ndim)).astype(np.float32)
    return hot


def _shrunk(drawing: Drawing, size: tuple[int, int]) -> Drawing:
    """The drawing at the resolution of the network; every thin stroke keeps at least a pixel."""
    shape = drawing.areas.shape
    if shape == size:
        return drawing
    at = [(np.arange(n) * s + s // 2) // n for n, s in zip(size, shape, strict=True)]
    strokes = np.full(size, -1, dtype=np.int32)
    rows, columns = np.nonzero(drawing.strokes >= 0)
    strokes[rows * size[0] // shape[0], columns * size[1] // shape[1]] = drawing.strokes[rows, columns]
    return Drawing(drawing.areas[np.ix_(*at)], strokes, drawing.background)


def _snapped(drawing: Drawing, regions: Regions) -> Drawing:
    """The drawing with its areas at the borders of regions, the smaller areas on top."""
    if not regions or not (drawing.areas >= 0).any():
        return drawing
    areas = np.full_like(drawing.areas, -1)
    classes, sizes = np.unique(drawing.areas[drawing.areas >= 0], return_counts=True)
    for index in classes[np.argsort(-sizes)]:
        areas[snap(drawing.areas == index, regions)] = index
    return Drawing(areas, drawing.strokes, drawing.background)


def _resized(channels: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Channels of shape (C, H, W) at another size: smoothed before they are made smaller, bilinear."""
    if channels.shape[1:] == size:
        return channels
    scaled = torch.nn.functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(channels))[None], size=size, mode="bilinear", antialias=True
    )
    made: NDArray[np.float32] = scaled[0].numpy()
    return made


def _pair(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0], shape[1]
