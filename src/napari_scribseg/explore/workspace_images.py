"""The images of a workspace, from arrays, images and files of any kind."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Geometry, Image, InputError, Source
from napari_scribseg.core.paths import user_path
from napari_scribseg.io import image_extensions, read_volume
from napari_scribseg.io.formats import extension

__all__ = ["Added", "Picture", "Pictures", "read_pictures"]

MAX_CHANNELS = 16
MAX_PIXELS = 1 << 28

Pictures = Any  # a path, an array, an Image, a Source, or an iterable of those


@dataclass(frozen=True, eq=False)
class Picture:
    """One image, or one slice of a volume.

    Attributes
    ----------
    name : str
        For people, and for the file of its labels.
    array : ndarray of shape (H, W) or (H, W, C)
        The given pixels; read-only.
    path : str or None
        Its file.
    z_index : int or None
        Index of the slice along the first axis of its volume; None where it is no slice.
    geometry : Geometry
        Of the image, or of the whole volume.
    volume : int
        The same number for the slices of one volume.
    """

    name: str
    array: NDArray[Any]
    path: str | None
    z_index: int | None
    geometry: Geometry
    volume: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.array.shape[0], self.array.shape[1]

    @property
    def data(self) -> NDArray[np.float32]:
        """Channels first, shape (C, H, W), float32."""
        array = self.array if self.array.ndim == 3 else self.array[..., np.newaxis]
        return np.ascontiguousarray(np.moveaxis(array, -1, 0), dtype=np.float32)

    @cached_property
    def digest(self) -> str:
        """Hash of shape and values, 32 hexadecimal digits."""
        made = hashlib.sha256(f"{self.array.shape} {self.array.dtype}".encode())
        made.update(np.ascontiguousarray(self.array).tobytes())
        return made.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Added:
    """Result of adding images.

    Attributes
    ----------
    indices : tuple of int
        The new images of the workspace.
    skipped : tuple of str
        A message for each file that could not be read.
    """

    indices: tuple[int, ...]
    skipped: tuple[str, ...] = ()


def read_pictures(given: Pictures, first_volume: int, name: str = "") -> tuple[list[Picture], list[str]]:
    """Read images from files, or take them from memory.

    Parameters
    ----------
    given, name
        See :meth:`Workspace.add_images`, also for errors.
    first_volume : int
        Number of the first volume among them.

    Returns
    -------
    pictures : list of Picture
    skipped : list of str
        A message for each file that could not be read.
    """
    pictures: list[Picture] = []
    skipped: list[str] = []
    items = list(_items(given))
    for count, item in enumerate(items, 1):
        number = first_volume + len({p.volume for p in pictures})
        if not isinstance(item, (str, os.PathLike)):
            own = f"image {number}" if not name else name if len(items) == 1 else f"{name} {count}"
            pictures += _slices(_from_memory(item), own, number)
            continue
        try:
            source = read_volume(item)
            pictures += _slices(source, source.name, number, str(user_path(item).resolve()))
        except InputError as error:
            skipped.append(str(error))
    if not pictures:
        raise InputError(skipped[0] if skipped else "no images were given; at least one is expected")
    return pictures, skipped


def _items(given: Pictures) -> Iterable[Any]:
    if isinstance(given, (str, os.PathLike)):
        path = user_path(given)
        return _files(path) if path.is_dir() else [path]
    return [given] if isinstance(given, (np.ndarray, Image, Source)) else list(given)


def _files(folder: Path) -> list[Path]:
    """The images of a folder, or the folder itself where it is a DICOM series."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    images = [p for p in files if extension(p) in image_extensions() and extension(p) != ".dcm"]
    if images:
        return images
    if files:
        return [folder]
    raise InputError(f"the folder {folder} holds no images; files with {', '.join(image_extensions())} are expected")


def _from_memory(item: Any) -> Source:
    if isinstance(item, Source):
        return item
    if isinstance(item, Image):
        array = item.data[0] if item.n_channels == 1 else np.moveaxis(item.data, 0, -1)
        affine = item.affine if item.affine is not None and item.affine.shape == (4, 4) else None
        geometry = Geometry(item.shape, item.spacing, affine)
        return Source.from_array(array, geometry, channels=item.n_channels > 1)
    array = np.asarray(item)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] > MAX_CHANNELS):
        raise InputError(
            f"an image has shape {array.shape}; (rows, columns) or (rows, columns, channels) with at most "
            f"{MAX_CHANNELS} channels is expected (make a volume an Image of three spacings)"
        )
    return Source.from_array(array, channels=array.ndim == 3)


def _slices(source: Source, name: str, number: int, path: str | None = None) -> list[Picture]:
    if source.ndim not in (2, 3):
        raise InputError(f"{name}: it has {source.ndim} spatial axes; an image or a volume is expected")
    array = np.asarray(source.array)
    if source.ndim == 2:
        return [Picture(name, _checked(array, name), path, None, source.geometry, number)]
    labels = [f"{name} [{z}]" for z in range(len(array))]
    return [
        Picture(label, _checked(pixels, label), path, z, source.geometry, number)
        for z, (pixels, label) in enumerate(zip(array, labels, strict=True))
    ]


def _checked(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise InputError(f"{name}: it has shape {array.shape}; at most {MAX_PIXELS} pixels are expected")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{name}: it holds NaN or infinite values; finite values are expected")
    copy = np.array(array, dtype=np.float32 if array.dtype == np.float64 else array.dtype)
    copy.setflags(write=False)
    return copy
