"""Pictures of a result: slices with their strokes and labels in colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.core.padding import without_padding
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.io.atomic import check_writable, write_files

__all__ = ["check_picture", "montage", "render_slice", "write_picture"]

_OPACITY = 0.45
_MOST = 4  # slices in a picture


def check_picture(path: Path) -> None:
    """Check the name of a picture before the work begins.

    Raises
    ------
    InputError
        If it is no PNG or JPEG, or cannot be written there.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"{path.name}: a picture can be saved as .png or .jpg; give one of these extensions")
    check_writable(path)


def write_picture(
    path: Path,
    volume: Source,
    strokes: Source,
    labels: NDArray[np.integer[Any]],
    classes: ClassTable,
    slices: Sequence[SliceIndex],
) -> None:
    """Write a :func:`montage` of up to four slices, evenly chosen.

    Parameters
    ----------
    path : Path
        PNG or JPEG, see :func:`check_picture`.
    volume, strokes : Source
    labels : ndarray of shape (\\*S)
        Label ids.
    classes : ClassTable
    slices : sequence of SliceIndex
        At least one.
    """
    from PIL import Image as Pillow

    chosen = [
        slices[i] for i in np.unique(np.linspace(0, len(slices) - 1, min(_MOST, len(slices))).round().astype(int))
    ]
    rows = [(np.asarray(volume.array[p.slicer]), np.asarray(strokes.array[p.slicer]), labels[p.slicer]) for p in chosen]
    first, second = (volume.geometry.spacing[axis] for axis in chosen[0].displayed)
    image = Pillow.fromarray(montage(rows, classes, spacing=(first, second)))
    write_files({path: lambda file: image.save(file, "png" if path.suffix.lower() == ".png" else "jpeg")})


def render_slice(
    image: NDArray[Any],
    labels: NDArray[np.integer[Any]],
    classes: ClassTable,
    *,
    opacity: float = _OPACITY,
    outline: bool = False,
) -> NDArray[np.uint8]:
    """One slice as a colour picture.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, C)
        Grey, or channels last; shown between its 0.5th and 99.5th percentile. Of more or fewer than three channels the
        mean is shown.
    labels : ndarray of shape (H, W)
        Label ids; 0 is left clear.
    classes : ClassTable
        Colours.
    opacity : float
        Of the labels, 0 to 1.
    outline : bool
        Draw the borders of the labels opaque.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
    """
    if labels.shape != image.shape[:2]:
        raise InputError(f"the labels have shape {labels.shape}; the slice has shape {image.shape[:2]}")
    values = np.asarray(image, dtype=np.float64)
    if values.ndim == 3 and values.shape[-1] != 3:
        values = values.mean(-1)
    values = without_padding(values)
    low, high = np.percentile(values, (0.5, 99.5))
    grey = np.clip((values - low) / (high - low or 1.0), 0, 1)
    rgb = np.repeat(grey[..., np.newaxis], 3, -1) if grey.ndim == 2 else grey
    rgb = rgb.copy()
    for label in classes.with_ids(int(i) for i in np.unique(labels)):
        mask = labels == label.id
        if label.visible and mask.any():
            rgb[mask] = (1 - opacity) * rgb[mask] + opacity * np.asarray(label.color[:3])
            if outline:
                rgb[mask & _border(labels)] = label.color[:3]
    return (rgb * 255).round().astype(np.uint8)


def _border(labels: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Pixels with a neighbour above, below, left or right of another label."""
    border = np.zeros(labels.shape, dtype=bool)
    down = labels[1:] != labels[:-1]
    right = labels[:, 1:] != labels[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return border


def montage(
    rows: list[tuple[NDArray[Any], NDArray[np.integer[Any]], NDArray[np.integer[Any]]]],
    classes: ClassTable,
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
    height: int = 320,
    gap: int = 4,
) -> NDArray[np.uint8]:
    """Slices below one another; on the left with their strokes, on the right with the result.

    Parameters
    ----------
    rows : list of (image, strokes, labels)
        Each of shape (H, W), the image with channels last where it has some.
    classes : ClassTable
        Colours; also for the background's strokes.
    spacing : tuple of float
        Size of a pixel along rows and columns, so that the picture is not distorted.
    height : int
        Least height of a slice in the picture, in pixels.
    gap : int
        Width of the white gaps, in pixels.

    Returns
    -------
    ndarray of shape (H', W', 3), uint8
    """
    if not rows:
        raise InputError("no slices were given for the picture; at least one is expected")
    pairs = []
    for image, strokes, labels in rows:
        left = _zoom(render_slice(image, strokes, classes, opacity=1.0), spacing, height)
        right = _zoom(render_slice(image, labels, classes, outline=True), spacing, height)
        pairs.append(np.concatenate([left, np.full((left.shape[0], gap, 3), 255, np.uint8), right], 1))
    width = max(p.shape[1] for p in pairs)
    padded = [np.pad(p, ((0, gap), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in pairs]
    return np.concatenate(padded)[:-gap]


def _zoom(picture: NDArray[np.uint8], spacing: tuple[float, float], height: int) -> NDArray[np.uint8]:
    """Enlarge by repeating pixels, so that a pixel of the slice becomes a sharp rectangle of the right proportions."""
    finest = min(spacing)
    whole = max(1, round(height * finest / spacing[0] / picture.shape[0]))
    counts = [max(1, round(whole * s / finest)) for s in spacing]
    return picture.repeat(counts[0], 0).repeat(counts[1], 1)
