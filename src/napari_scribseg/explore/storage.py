"""The file of a workspace: numpy's .npz without pickle, with JSON and plain arrays inside."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError, LabelClass
from napari_scribseg.explore.cutting import CutSettings
from napari_scribseg.explore.metric import Head
from napari_scribseg.explore.pictures import Picture, read_pictures
from napari_scribseg.explore.tuning import Tuning
from napari_scribseg.io.atomic import write_files
from napari_scribseg.io.limits import available_memory, human_size

if TYPE_CHECKING:
    from napari_scribseg.explore.workspace import Workspace

__all__ = ["FORMAT", "VERSION", "Content", "Writer", "pack", "restore", "write"]

FORMAT = "napari-scribseg workspace"
VERSION = 1
_COLUMNS = {  # of a file, and of the table
    "image": "image",
    "area": "area",
    "box": "box",
    "label": "label",
    "place": "xy",
    "settled": "has_embedding",
    "print": "fingerprint",
}

_DENSE, _GIVEN = 1 << 20, 100  # more ids than this, and so many for each segment, are not taken over

Content = dict[str, NDArray[Any]]


def pack(workspace: Workspace) -> Content:
    """All that is worth keeping, as arrays; the caller holds the lock."""
    table, feature_space, editor = workspace.table, workspace._space, workspace._editor
    ids = table.ids()
    content: Content = {name: getattr(table, column)[ids] for name, column in _COLUMNS.items()}
    content |= {"ids": ids, "features": table.features[ids]}
    if feature_space.head is not None:
        content |= {"weight": feature_space.head.weight, "bias": feature_space.head.bias}
    if feature_space.tuning is not None:
        content |= {f"tuned {name}": value for name, value in feature_space.tuning.weights.items()}
    for index, picture in enumerate(workspace.pictures):
        found = table.maps[index]
        if found is not None:
            content[f"map {index}"] = found  # replaced, never written into
        if picture.source is None:
            content[f"array {index}"] = picture.array
        if index in editor.cutter.edges:
            content[f"edges {index}"] = editor.cutter.edges[index]
    cut = editor.settings
    header = {
        "format": FORMAT,
        "version": VERSION,
        "next": len(table),
        "settings": [cut.gradient, cut.criterion, cut.threshold, cut.simplification],
        "encoder": [feature_space.view, feature_space.backbone],
        "rounds": feature_space.rounds,
        "classes": [[c.id, c.name, list(c.color), c.visible, c.locked, c.background] for c in workspace.classes],
        "pictures": [_picture_out(picture) for picture in workspace.pictures],
    }
    content["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    return content


def _picture_out(picture: Picture) -> dict[str, Any]:
    grid = picture.geometry
    affine = None if grid.affine is None else grid.affine.tolist()
    return {
        "name": picture.name,
        "source": picture.source,
        "plane": picture.z_index,
        "volume": picture.volume,
        "shape": list(picture.shape),
        "grid": [list(grid.shape), list(grid.spacing), affine, grid.unit],
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    """An array and what stands for it in a file."""

    array: NDArray[Any]
    deflated: bytes
    size: int
    crc: int

    @classmethod
    def of(cls, array: NDArray[Any]) -> _Member:
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array, allow_pickle=False)
        raw = buffer.getbuffer()
        squeeze = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        return cls(array, squeeze.compress(raw) + squeeze.flush(), len(raw), zlib.crc32(raw))

    def holds(self, array: NDArray[Any]) -> bool:
        """Whether it is of this array, or of one that is equal byte by byte."""
        if self.array is array:
            return True
        if (self.array.dtype, self.array.shape) != (array.dtype, array.shape):
            return False
        one, other = (np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in (self.array, array))
        return bool(np.array_equal(one, other))


class Writer:
    """Writes a workspace file again and again: what has not changed since the last time is not compressed anew."""

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}

    def write(self, content: Content, path: Path) -> None:
        """Write the file; where it fails, one that was there stays as it was.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        former = self._members
        self._members = {
            name: former[name] if name in former and former[name].holds(array) else _Member.of(array)
            for name, array in content.items()
        }
        write_files({path: self._write})

    def _write(self, file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, member in self._members.items():
                info = zipfile.ZipInfo(f"{name}.npy")
                if member.size > zipfile.ZIP64_LIMIT:
                    with archive.open(info, "w", force_zip64=True) as large:
                        np.lib.format.write_array(large, member.array, allow_pickle=False)
                    continue
                archive.writestr(info, member.deflated)
                info.compress_type, info.file_size, info.CRC = zipfile.ZIP_DEFLATED, member.size, member.crc
                end = file.tell()
                file.seek(info.header_offset)
                file.write(info.FileHeader())  # says now that the bytes behind it are deflated
                file.seek(end)


def write(content: Content, path: Path) -> None:
    """Write a workspace file once; see :meth:`Writer.write`."""
    Writer().write(content, path)


def restore(workspace: Workspace, path: Path) -> None:
    """Fill an empty workspace from a file; see :meth:`Workspace.load` for the errors."""
    try:
        header, content = _read(path)
        _fill(workspace, header, content, path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"the workspace {path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise InputError(f"{path} is not a workspace file of napari-scribseg, or it is damaged: {error}") from error
    except Exception as error:  # zip, numpy and what is made of the values have many kinds of errors for nonsense
        raise InputError(f"the workspace {path} is damaged: {type(error).__name__}: {error}") from error


def _read(path: Path) -> tuple[dict[str, Any], Content]:
    if not path.is_file():
        raise InputError(f"there is no workspace file {path}")
    with zipfile.ZipFile(path) as archive:
        if "header.npy" not in archive.namelist():
            raise InputError(f"{path} is not a workspace file of napari-scribseg")
        needed, free = sum(m.file_size for m in archive.infolist()), available_memory()
        if free is not None and needed > free:
            raise InputError(f"{path} needs {human_size(needed)} of memory, but {human_size(free)} is free")
    with np.load(path, allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise InputError(f"{path} is not a workspace file of napari-scribseg")
        if int(header["version"]) > VERSION:
            raise InputError(
                f"{path} was written by a newer version (format {header['version']}); this one reads up to {VERSION}"
            )
        return header, {name: archive[name] for name in archive.files if name != "header"}


def _fill(workspace: Workspace, header: dict[str, Any], content: Content, path: Path) -> None:
    pictures = _pictures(header["pictures"], content, path)
    table, feature_space, editor = workspace.table, workspace._space, workspace._editor
    _fill_table(table, header, content, [p.shape for p in pictures])
    workspace.pictures += pictures
    gradient, criterion, threshold, simplification = header["settings"]
    editor.settings = CutSettings(gradient, criterion, float(threshold), float(simplification))
    for index, picture in enumerate(pictures):
        if f"edges {index}" in content:
            workspace.set_edges(index, _shaped(content[f"edges {index}"], picture.shape))
    feature_space.use(*(str(part) for part in header["encoder"]))
    ids = content["ids"]
    features = content["features"].astype(np.float32)
    if features.shape[1]:
        table.set_features(ids, _shaped(features, (len(ids), features.shape[1])))
    if "weight" in content:
        size = features.shape[1]
        feature_space.head = Head(
            _shaped(content["weight"].astype(np.float32), (size, size)),
            _shaped(content["bias"].astype(np.float32), (size,)),
        )
    tuned = {name[len("tuned ") :]: value for name, value in content.items() if name.startswith("tuned ")}
    if tuned:
        feature_space.tuning = Tuning(tuned)
    feature_space.rounds = int(header["rounds"])
    table.has_embedding[ids] = content["settled"]
    workspace.classes = ClassTable(
        tuple(
            LabelClass(int(i), str(name), tuple(color), bool(seen), bool(locked), bool(background))
            for i, name, color, seen, locked, background in header["classes"]
        )
    )


def _fill_table(table: Any, header: dict[str, Any], content: Content, shapes: list[tuple[int, int]]) -> None:
    ids, size = content["ids"], int(header["next"])
    ordered = np.unique(ids)
    if ids.ndim != 1 or ids.dtype.kind != "i" or len(ordered) < len(ids) or (ids.size and not ids.min() > 0):
        raise ValueError("the ids of the segments are not in order")
    if ids.size and not ids.max() < size <= 1 << 31:
        raise ValueError(f"the next segment is to have the id {size}, and there is one of the id {ids.max()}")
    maps = {index: found for index in range(len(shapes)) if (found := content.get(f"map {index}")) is not None}
    if size > max(_DENSE, _GIVEN * len(ids)):  # the table has room for each id, also of segments that are no more
        if not all(np.isin(found, ordered).all() for found in maps.values()):
            raise ValueError("a map holds other segments than the table")
        ids = content["ids"] = np.searchsorted(ordered, ids) + 1
        maps = {index: np.searchsorted(ordered, found) + 1 for index, found in maps.items()}
        size = len(ids) + 1
    table.reserve(size)
    for name, attribute in _COLUMNS.items():
        column = getattr(table, attribute)
        column[ids] = _shaped(content[name], (len(ids), *column.shape[1:]))
    table.add_images(len(shapes))
    for index, found in maps.items():
        own = ids[table.image[ids] == index]
        if not np.array_equal(np.unique(found), np.sort(own)):
            raise ValueError(f"the map of image {index} holds other segments than the table")
        shape = shapes[index]
        table.put(index, (slice(None), slice(None)), _shaped(found.astype(np.int32), shape), shape)
    for i in ids.tolist():
        table.keys[(int(table.image[i]), int(table.area[i]), *map(int, table.fingerprint[i]))] = i


def _shaped(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape != shape:
        raise ValueError(f"an array of shape {array.shape} stands where {shape} is expected")
    return array


def _pictures(found: list[dict[str, Any]], content: Content, path: Path) -> list[Picture]:
    read: dict[str, list[Picture]] = {}
    pictures = []
    for index, entry in enumerate(found):
        shape, source = tuple(int(n) for n in entry["shape"]), entry["source"]
        grid_shape, spacing, affine, unit = entry["grid"]
        if source is None:
            array = _array(content[f"array {index}"], shape)
            matrix = None if affine is None else np.asarray(affine, dtype=np.float64)
            grid = Geometry(tuple(grid_shape), tuple(spacing), matrix, str(unit))
        else:
            if source not in read:
                read[source] = _again(str(source), path)
            slices, z = read[source], entry["plane"]
            original = slices[0 if z is None else int(z)]
            if original.shape != shape:
                raise InputError(f"{source} has shape {original.shape} now; the workspace was made with {shape}")
            array, grid = original.array, original.geometry
        z_index = None if entry["plane"] is None else int(entry["plane"])
        pictures.append(Picture(str(entry["name"]), array, source, z_index, grid, int(entry["volume"])))
    return pictures


def _array(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape[:2] != shape or array.dtype.kind not in "biuf":
        raise ValueError(f"an image of shape {array.shape} stands where {shape} is expected")
    array.setflags(write=False)
    return array


def _again(source: str, path: Path) -> list[Picture]:
    """The images of a file, from where it was or from beside the workspace."""
    for candidate in (Path(source), path.parent / Path(source).name):
        if candidate.is_file() or candidate.is_dir():
            return read_pictures(candidate, 0)[0]
    raise InputError(f"the image {source} of {path} is not there any more; put it back, or beside {path.name}")
