"""Data sets as one compact file: a zip of pictures and one index; nothing in it can run code.

Grey pictures and labels are PNG; colour pictures, most of which come from JPEG files, are JPEG.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_scribseg.core import InputError
from napari_scribseg.core.padding import without_padding
from napari_scribseg.datasets import Case, DataSet, slices
from napari_scribseg.io.atomic import write_files

__all__ = ["Item", "Pack", "PackOptions", "read_pack", "write_pack"]

_FORMAT = "napari-scribseg training pack 1"
_MAX_ITEM = 1 << 26  # bytes of one picture, and of the index
_MAX_SIDE = 4096
_JPEG_QUALITY = 92
_DAMAGE = (OSError, KeyError, TypeError, ValueError, SyntaxError, EOFError, RuntimeError, struct.error, zlib.error)
_SAMPLES = 1 << 18  # pixels that percentiles are read from


@dataclass(frozen=True, slots=True)
class PackOptions:
    """Limits of what is packed.

    Attributes
    ----------
    side : int
        Longest side of a picture, in pixels; a larger one is scaled down. One more than twice as large, such as an
        electron micrograph, is cut into tiles of full resolution.
    tiles : int
        Most tiles of a picture.
    slices : int
        Most slices of a volume along each axis, evenly spaced among those with objects.
    tail : float
        Percentage of the intensities beyond each end of the 8-bit scale.
    """

    side: int = 352
    tiles: int = 6
    slices: int = 4
    tail: float = 0.5

    def __post_init__(self) -> None:
        if not (16 <= self.side <= _MAX_SIDE and self.tiles >= 1 and self.slices >= 1 and 0 <= self.tail < 50):
            raise InputError(
                f"side, tiles, slices and tail are {self.side}, {self.tiles}, {self.slices} and {self.tail}; a side "
                f"from 16 to {_MAX_SIDE}, counts of at least 1 and a percentage under 50 are expected"
            )


@dataclass(frozen=True, slots=True)
class Item:
    """One packed picture.

    Attributes
    ----------
    name, source, group, data_set, licence : str
        As in :class:`~napari_scribseg.datasets.case.Case` and ``DataSet``; so are the next two and ``labels_only``.
    background : int or None
    instances : bool
    image, labels : str
        Names in the zip.
    labels_only : bool
    """

    name: str
    source: str
    group: str
    data_set: str
    licence: str
    background: int | None
    instances: bool
    image: str
    labels: str
    labels_only: bool = False


class Pack:
    """A packed file, read picture by picture; picklable without its pictures.

    Attributes
    ----------
    path : Path
    items : tuple of Item
    """

    def __init__(self, path: Path, items: tuple[Item, ...]) -> None:
        self.path, self.items = path, items
        self._decoded: dict[str, tuple[NDArray[np.uint8], NDArray[Any]]] = {}
        self._file: zipfile.ZipFile | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, sorted."""
        return tuple(sorted({item.source for item in self.items}))

    def require(self, sources: Sequence[str], purpose: str) -> None:
        """Check that the pack has some sources, and that there is one.

        Raises
        ------
        InputError
            Else.
        """
        missing = sorted(set(sources) - set(self.sources))
        if missing or not sources:
            raise InputError(
                f"the pack has no source {', '.join(missing) or purpose}; it has {', '.join(self.sources)}"
            )

    def load(self, item: Item) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """A picture and its labels; decoded once.

        Returns
        -------
        image : ndarray of shape (H, W, C), uint8
            C is 1 or 3.
        labels : ndarray of shape (H, W), int32
            -1 where the truth is not known.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        if item.image not in self._decoded:
            try:
                file = self._file = self._file or zipfile.ZipFile(io.BytesIO(self.path.read_bytes()))
                image, stored = (_decode(file, name) for name in (item.image, item.labels))
            except InputError:
                raise
            except (zipfile.BadZipFile, Picture.DecompressionBombError, *_DAMAGE) as error:
                raise InputError(
                    f"{self.path.name} is damaged at {item.name} ({error}); pack the data again"
                ) from error
            if image.shape[:2] != stored.shape or image.dtype != np.uint8 or image.ndim not in (2, 3):
                raise InputError(f"{self.path.name} is damaged at {item.name}; pack the data again")
            self._decoded[item.image] = (image.reshape(*image.shape[:2], -1), stored)
        image, stored = self._decoded[item.image]
        return image, stored.astype(np.int32) - 1

    def preload(self, sources: Iterable[str]) -> None:
        """Decode all pictures of some sources; processes forked later share them."""
        wanted = set(sources)
        for item in self.items:
            if item.source in wanted:
                self.load(item)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "items": self.items, "_decoded": {}, "_file": None}


def _decode(file: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with Picture.open(io.BytesIO(_member(file, name)), formats=("PNG", "JPEG")) as picture:
        if max(picture.size) > _MAX_SIDE:
            raise InputError(f"{file.filename}: {name} measures {picture.size}; at most {_MAX_SIDE} pixels expected")
        return np.array(picture)


def _member(file: zipfile.ZipFile, name: str) -> bytes:
    """An entry of a packed file, uncompressed: the size that zipfile allocates is then that in the file."""
    info = file.getinfo(name)
    if info.file_size > _MAX_ITEM:
        raise InputError(f"{file.filename}: {name} has {info.file_size} bytes; at most {_MAX_ITEM} expected")
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise InputError(f"{file.filename}: {name} is compressed, or its size is damaged; pack the data again")
    return file.read(name)


def read_pack(path: str | Path) -> Pack:
    """Open a packed file.

    Raises
    ------
    InputError
        If it is missing, damaged, or no packed file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; one written by `scribseg train pack` is expected")
    try:
        with zipfile.ZipFile(path) as file:
            index = json.loads(_member(file, "index.json"))
            if index["format"] != _FORMAT:
                raise InputError(f"{path.name} is {str(index['format'])[:60]!r}; {_FORMAT!r} is expected")
            items = tuple(Item(**entry) for entry in index["items"])
    except InputError:
        raise
    except (zipfile.BadZipFile, *_DAMAGE) as error:
        raise InputError(f"{path.name} is no packed file, or damaged ({error}); pack the data again") from error
    return Pack(path, items)


def write_pack(path: str | Path, data_sets: Iterable[DataSet], options: PackOptions | None = None) -> Pack:
    """Pack data sets into one file.

    Parameters
    ----------
    path : str or Path
        Ends in ``.pack`` or ``.zip``; an older file is replaced once the new one is complete.
    data_sets : iterable of DataSet
        All their cases are packed, whether they may be trained on or not.
    options : PackOptions, optional

    Returns
    -------
    Pack

    Raises
    ------
    InputError
        If a case cannot be read, there is none, or the file cannot be written.
    """
    path, options = Path(path), options or PackOptions()
    items: list[Item] = []
    if path.suffix not in (".pack", ".zip"):
        raise InputError(f"the pack is to be {path.name}; a name that ends in .pack or .zip is expected")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        for data_set in data_sets:
            for case in data_set:
                for part in _pictures(case, options):
                    items.append(_add(file, f"{len(items):05d}", data_set, part))
        if not items:
            raise InputError("there is nothing to pack; data sets with at least one case with objects are expected")
        index = {"format": _FORMAT, "options": asdict(options), "items": [asdict(item) for item in items]}
        file.writestr("index.json", json.dumps(index))
    write_files({path: content.getvalue()})
    return read_pack(path)


def _add(file: zipfile.ZipFile, number: str, data_set: DataSet, case: Case) -> Item:
    """Write the 8-bit image of a case and its labels, counted from 1, and return their entry of the index."""
    stored = case.truth + 1
    for kind, values in (("image", case.image), ("labels", stored.astype("u1" if stored.max() < 256 else "u2"))):
        buffer = io.BytesIO()
        if values.ndim == 3:
            Picture.fromarray(values).save(buffer, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)
        else:
            Picture.fromarray(values).save(buffer, format="PNG")
        file.writestr(f"{kind}/{number}", buffer.getvalue())
    return Item(
        case.name, case.source, case.group, data_set.name, data_set.licence, case.background, case.instances,
        f"image/{number}", f"labels/{number}", data_set.labels_only,
    )  # fmt: skip


def _pictures(case: Case, options: PackOptions) -> Iterator[Case]:
    """The 2D pictures of a case, image uint8 of shape (H, W) or (H, W, 3)."""
    flat = replace(case, image=_eight_bits(case, options.tail))
    for whole in [flat] if case.truth.ndim == 2 else _some_slices(flat, options.slices):
        for part in _tiles(whole, options):
            if len(part.ids) > 1 or part.objects:
                yield _shrunk(part, options.side)


def _eight_bits(case: Case, tail: float) -> NDArray[np.uint8]:
    """Intensities from 0 to 255 by percentiles of the whole case; those of an 8-bit picture unchanged."""
    image = case.image
    if case.channels and image.shape[-1] not in (1, 3):
        image = image[..., :3] if image.shape[-1] > 3 else image[..., :1]
    if case.channels and (image.shape[-1] == 1 or (image == image[..., :1]).all()):
        image = image[..., 0]
    if image.dtype == np.uint8:
        return image
    values = without_padding(np.nan_to_num(image.astype(np.float32), posinf=0, neginf=0))
    sample = values.reshape(-1)[:: max(values.size // _SAMPLES, 1)]
    low, high = np.percentile(sample, (tail, 100 - tail))
    if high <= low:
        low, high = float(values.min()), max(float(values.max()), float(values.min()) + 1)
    scaled: NDArray[np.uint8] = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return scaled


def _some_slices(case: Case, count: int) -> Iterator[Case]:
    """At most ``count`` slices across each axis, evenly spaced among those with objects."""
    for axis in range(3):
        found = list(slices(case, axis))
        if not found:
            continue
        for index in np.unique(np.linspace(0, len(found) - 1, count + 2).round().astype(int)[1:-1]):
            yield replace(found[index], name=f"{found[index].name} axis {axis}")


def _tiles(case: Case, options: PackOptions) -> Iterator[Case]:
    """The case, or evenly spaced tiles of it where it is more than twice as large as allowed."""
    sides, side = case.truth.shape, options.side
    if max(sides) <= 2 * side:
        yield case
        return
    starts = [np.linspace(0, max(length - side, 0), max(-(-length // side), 1)).round().astype(int) for length in sides]
    places = [(int(r), int(c)) for r in starts[0] for c in starts[1]]
    for r, c in [places[i] for i in np.unique(np.linspace(0, len(places) - 1, options.tiles).round().astype(int))]:
        at = (slice(r, r + side), slice(c, c + side))
        yield replace(case, name=f"{case.name} at {r}, {c}", image=case.image[at], truth=case.truth[at], strokes=None)


def _shrunk(case: Case, side: int) -> Case:
    """The case with its longest side at most ``side``; the image is averaged, labels are those of the nearest pixel."""
    height, width = case.truth.shape
    scale = side / max(height, width)
    image, truth = np.ascontiguousarray(case.image), case.truth
    if scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        image = np.asarray(Picture.fromarray(image).resize(size, Picture.Resampling.BOX))
        truth = np.asarray(Picture.fromarray(truth).resize(size, Picture.Resampling.NEAREST), dtype=np.int32)
    return replace(case, image=image, truth=np.ascontiguousarray(truth), strokes=None)
