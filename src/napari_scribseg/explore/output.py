"""What leaves a workspace: label images, strokes, files, thumbnails; and which segments lie in a lasso."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import points_in_poly
from skimage.morphology import skeletonize
from skimage.transform import resize

from napari_scribseg.core import InputError, Scribbles
from napari_scribseg.explore.pictures import Picture
from napari_scribseg.io import write_labels
from napari_scribseg.io.labels import check_label_path, label_outputs
from napari_scribseg.io.outputs import check_outputs
from napari_scribseg.prompting.channels import three_channels

if TYPE_CHECKING:
    from napari_scribseg.explore.workspace import Workspace

__all__ = ["as_scribbles", "inside", "label_image", "save_labels", "thumbnail"]

_AROUND = 0.15  # of a thumbnail's side that shows what lies around
_DARKER = 0.35


def label_image(found: NDArray[np.int32], label: NDArray[np.int32], background: int | None) -> NDArray[Any]:
    """Classes of a map of segments, in the smallest sufficient type; the background is 0."""
    table = label.copy()
    if background is not None:
        table[table == background] = 0
    labels = table[found]
    return labels.astype(np.uint8 if labels.max(initial=0) <= 255 else np.uint16)


def as_scribbles(found: NDArray[np.int32], label: NDArray[np.int32], background: int | None) -> Scribbles:
    """Middle lines of the labelled segments, those of one class taken together, as strokes.

    Parameters
    ----------
    found : ndarray of shape (H, W), int32
        Map of segments.
    label : ndarray, int32
        Class of each segment, 0 for none.
    background : int, optional
        Becomes the class of id 0.

    Raises
    ------
    InputError
        If no segment has a class.
    """
    painted = label[found]
    strokes = np.zeros(found.shape, dtype=np.int32)
    for identity in np.unique(painted[painted > 0]):
        inner = ndimage.binary_erosion(np.pad(painted == identity, 1, mode="edge"))[1:-1, 1:-1]
        region = inner if inner.any() else painted == identity
        strokes[skeletonize(region)] = identity  # type: ignore[no-untyped-call]
    if not (strokes > 0).any():
        raise InputError("no segment of the image has a class; assign one first")
    return Scribbles.from_labels(strokes, background=background)


def inside(xy: NDArray[np.float32], outline: NDArray[np.float64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids whose places lie in a box of two corners, or in a polygon of more."""
    if outline.ndim != 2 or outline.shape[1] != 2 or len(outline) < 2 or not np.isfinite(outline).all():
        raise InputError(
            f"the outline has shape {outline.shape}; two corners of a box or at least three of a lasso expected"
        )
    known = ~np.isnan(xy[:, 0])
    if len(outline) == 2:
        within = ((xy >= outline.min(axis=0)) & (xy <= outline.max(axis=0))).all(axis=1)
    else:
        within = np.zeros(len(xy), dtype=bool)
        within[known] = points_in_poly(xy[known], outline)  # type: ignore[no-untyped-call]
    chosen: NDArray[np.int64] = ids[within & known]
    return chosen


def thumbnail(
    picture: Picture, found: NDArray[np.int32], identity: int, box: Sequence[int] | NDArray[np.int32], size: int
) -> NDArray[np.uint8]:
    """A segment in a square, its surroundings darker, shape (size, size, 3)."""
    top, left, bottom, right = (int(n) for n in box)
    side = max(bottom - top, right - left)
    margin = max(int(side * _AROUND), 2)
    middle = (top + bottom) // 2, (left + right) // 2
    half = side // 2 + margin
    rows = slice(max(middle[0] - half, 0), middle[0] + half + 1)
    columns = slice(max(middle[1] - half, 0), middle[1] + half + 1)
    crop = (picture_channels(picture)[:, rows, columns] + 1) / 2
    shade = np.where(found[rows, columns] == identity, np.float32(1), np.float32(_DARKER))
    shown = resize(np.moveaxis(crop * shade, 0, -1), (size, size), order=1, anti_aliasing=True)  # type: ignore[no-untyped-call]
    seen: NDArray[np.uint8] = np.clip(np.rint(shown * 255), 0, 255).astype(np.uint8)
    return seen


def picture_channels(picture: Picture) -> NDArray[np.float32]:
    """Red, green and blue from -1 to 1, shape (3, H, W); those of the last picture are kept."""
    global _last
    if _last is None or _last[0] is not picture:
        _last = (picture, three_channels(picture.data))
    return _last[1]


_last: tuple[Picture, NDArray[np.float32]] | None = None


def save_labels(workspace: Workspace, folder: Path, extension: str, *, overwrite: bool) -> tuple[Path, ...]:
    """One label file for each image or volume; see :meth:`Workspace.save_labels`."""
    volumes: dict[int, list[int]] = {}
    for index, picture in enumerate(workspace.pictures):
        volumes.setdefault(picture.volume, []).append(index)
    cut = {v: indices for v, indices in volumes.items() if any(len(workspace.ids(i)) for i in indices)}
    if not cut:
        raise InputError("no image was cut into segments yet; there are no labels to save")
    names = _names({v: workspace.pictures[indices[0]] for v, indices in cut.items()})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be made: {error.strerror or error}") from error
    check_label_path(folder / f"x{extension}")
    paths = {volume: folder / f"{names[volume]}_labels{extension}" for volume in cut}
    outputs = [path for one in paths.values() for path in label_outputs(one, bids_tsv=True)]
    sources = {picture.source for picture in workspace.pictures if picture.source}
    check_outputs(outputs, map(Path, sorted(sources)), overwrite=overwrite)
    written: list[Path] = []
    for volume, indices in cut.items():
        slices = [workspace.labels(i) for i in indices]
        geometry = workspace.pictures[indices[0]].geometry
        labels = slices[0] if len(geometry.shape) == 2 else np.stack(slices)
        written += write_labels(paths[volume], labels, geometry, workspace.classes, bids_tsv=True)
    return tuple(written)


def _names(pictures: dict[int, Picture]) -> dict[int, str]:
    """A different file name for each volume."""
    names: dict[int, str] = {}
    for volume, picture in pictures.items():
        base = picture.name if picture.z_index is None else picture.name.rpartition(" [")[0]
        name = re.sub(r"[^\w.-]+", "_", base) or "image"
        names[volume] = name if name not in names.values() else f"{name}_{volume}"
    return names
