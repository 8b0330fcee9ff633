"""Read and write label volumes."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError
from napari_scribseg.core.classes import MAX_ID
from napari_scribseg.io.loaded import LoadedVolume
from napari_scribseg.io.volumes import NIFTI, extension, read_volume

__all__ = ["LABEL_EXTENSIONS", "read_labels", "write_labels"]

LABEL_EXTENSIONS = NIFTI


def read_labels(path: str | PathLike[str]) -> LoadedVolume:
    """Read a label volume.

    Returns
    -------
    LoadedVolume
        The array has the smallest unsigned integer type that holds its ids; ``classes`` has the names and colours that
        the file or a table beside it gives, and default ones for the other ids.

    Raises
    ------
    InputError
        If the file cannot be read, has channels, or does not hold whole numbers from 0 to 65535.
    """
    file = Path(path).expanduser()
    loaded = read_volume(file)
    if loaded.channels:
        raise InputError(f"{file.name}: it has {loaded.array.shape[-1]} channels; a label volume has one")
    array, ids = as_labels(loaded.array, file.name)
    return replace(loaded, array=array, classes=loaded.classes.with_ids(ids))


def as_labels(array: NDArray[Any], name: str) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Whole numbers in the smallest sufficient type, and the ids found."""
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name}: it holds {array.dtype} values; whole label ids from 0 to {MAX_ID} are expected")
    if array.dtype.kind == "f":
        fractional = next((part for part in array if not np.array_equal(part, np.rint(part))), None)
        if fractional is not None:
            raise InputError(f"{name}: it holds fractions or NaN; whole label ids from 0 to {MAX_ID} are expected")
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if low < 0 or high > MAX_ID:
        raise InputError(f"{name}: its values reach from {low} to {high}; label ids from 0 to {MAX_ID} are expected")
    dtype = np.uint8 if high <= 255 else np.uint16
    labels = array.astype(dtype, copy=False)
    counts = np.zeros(int(high) + 1, dtype=np.int64)
    for part in labels.reshape(labels.shape[0], -1) if labels.ndim > 1 else [labels]:
        counts += np.bincount(part.ravel(), minlength=len(counts))
    return labels, tuple(int(i) for i in np.flatnonzero(counts) if i)


def write_labels(
    path: str | PathLike[str],
    labels: NDArray[np.integer],
    geometry: Geometry,
    classes: ClassTable | None = None,
) -> tuple[Path, ...]:
    """Write a label volume with its geometry; the format follows the extension.

    Parameters
    ----------
    path : str or PathLike
        ``.nii`` or ``.nii.gz``.
    labels : ndarray of shape ``(*S)``, integer
        Ids from 0 (background) to 65535, axes as in ``geometry``.
    geometry : Geometry
        Of the image that was annotated; of a time series' geometry the last three axes also do.
    classes : ClassTable, optional
        Names and colours; a class marked as background is 0 in the volume and is not written.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        If the labels do not fit the geometry or are not ids, the format is unknown, or the file cannot be written; a
        file that was there is then unchanged.
    """
    file = Path(path).expanduser()
    kind = extension(file)
    if kind not in LABEL_EXTENSIONS:
        raise InputError(
            f"{file.name}: labels can be saved as {', '.join(LABEL_EXTENSIONS)}; give one of these extensions"
        )
    array, _ = as_labels(np.asarray(labels), "the label volume")
    grid = matching(geometry, array.shape)
    from napari_scribseg.io.nifti import write_nifti_labels

    write_nifti_labels(file, array, grid)
    return (file,)


def matching(geometry: Geometry, shape: tuple[int, ...]) -> Geometry:
    """The geometry of an array of shape ``shape`` on this grid: itself, or without its time axis."""
    if geometry.shape == shape:
        return geometry
    if len(geometry.shape) == 4 and geometry.shape[1:] == shape:
        return replace(geometry, shape=shape, spacing=geometry.spacing[1:], axis_names=geometry.axis_names[1:])
    raise InputError(f"the labels have the shape {shape}; the image has {geometry.shape}")
