"""The file of a workspace, in the kernel's container."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError
from napari_scribseg.explore.cutting import CutSettings
from napari_scribseg.explore.feature_space import FeatureSpace
from napari_scribseg.explore.gradients import as_edge_map
from napari_scribseg.explore.metric import Head
from napari_scribseg.explore.segments import SegmentTable
from napari_scribseg.explore.tuning import Tuning
from napari_scribseg.explore.workspace_images import Picture, read_pictures
from napari_scribseg.kernel import ContainerFormat, ContainerWriter
from napari_scribseg.kernel.container import Arrays, classes_from_json, classes_to_json

__all__ = ["Snapshot", "WorkspaceContent", "read", "snapshot", "writer"]

_FORMAT = ContainerFormat("napari-scribseg workspace", 1, "workspace", deflated=True)
_COLUMNS = {  # of a file, and of the table
    "image": "image",
    "area": "area",
    "box": "box",
    "label": "label",
    "place": "xy",
    "settled": "has_embedding",
    "print": "fingerprint",
}
_DENSE, _GIVEN = 1 << 20, 100  # ids beyond this number, and this number for each segment, are renumbered

Snapshot = tuple[str, Arrays]  # header and arrays


@dataclass(frozen=True, slots=True, eq=False)
class WorkspaceContent:
    """What a file holds.

    Attributes
    ----------
    pictures : sequence of Picture
    table : SegmentTable
    edges : dict of int to ndarray of shape (H, W), float32
        The user's edge maps by image.
    settings : CutSettings
    space : FeatureSpace
    classes : ClassTable
    """

    pictures: Sequence[Picture]
    table: SegmentTable
    edges: dict[int, NDArray[np.float32]]
    settings: CutSettings
    space: FeatureSpace
    classes: ClassTable


def snapshot(content: WorkspaceContent) -> Snapshot:
    """Header and arrays of a file; no later change of the workspace changes them."""
    table, space, cut = content.table, content.space, content.settings
    ids = table.ids()
    arrays: Arrays = {name: getattr(table, column)[ids] for name, column in _COLUMNS.items()}
    arrays |= {"ids": ids, "features": table.features[ids]}
    if space.head is not None:
        arrays |= {"weight": space.head.weight, "bias": space.head.bias}
    if space.tuning is not None:
        arrays |= {f"tuned {name}": value for name, value in space.tuning.weights.items()}
    for index, picture in enumerate(content.pictures):
        found = table.maps[index]
        if found is not None:
            arrays[f"map {index}"] = found  # replaced, never written into
        if picture.path is None:
            arrays[f"array {index}"] = picture.array
        if index in content.edges:
            arrays[f"edges {index}"] = content.edges[index]
    header = {
        "next": len(table),
        "settings": [cut.gradient, cut.criterion, cut.threshold, cut.simplification],
        "encoder": [space.view, space.backbone],
        "rounds": space.rounds,
        "classes": classes_to_json(content.classes),
        "pictures": [_picture_to_json(picture) for picture in content.pictures],
    }
    return json.dumps(header), arrays


def writer() -> Callable[[Snapshot, Path], None]:
    """A function that writes a snapshot to a file, again and again; see :class:`ContainerWriter`."""
    container = ContainerWriter(_FORMAT)
    return lambda snapshot, path: container.write(path, *snapshot)


def read(path: Path) -> WorkspaceContent:
    """The content of a file; see :meth:`Workspace.load` for the errors."""
    if not path.is_file():
        raise InputError(f"there is no workspace file {path}")
    return _FORMAT.read(path, lambda header, arrays: _parse(header, arrays, path))


def _parse(header: dict[str, Any], arrays: Arrays, path: Path) -> WorkspaceContent:
    pictures = _pictures(header["pictures"], arrays, path)
    table = _table(header, arrays, [p.shape for p in pictures])
    gradient, criterion, threshold, simplification = header["settings"]
    settings = CutSettings(gradient, criterion, float(threshold), float(simplification))
    edges = {
        index: as_edge_map(arrays[f"edges {index}"], picture.shape)
        for index, picture in enumerate(pictures)
        if f"edges {index}" in arrays
    }
    ids, features = arrays["ids"], arrays["features"].astype(np.float32)
    size = features.shape[1]
    if size:
        table.set_features(ids, _shaped(features, (len(ids), size)))
    head = None
    if "weight" in arrays:
        weight, bias = (arrays[name].astype(np.float32) for name in ("weight", "bias"))
        head = Head(_shaped(weight, (size, size)), _shaped(bias, (size,)))
    tuned = {name[len("tuned ") :]: value for name, value in arrays.items() if name.startswith("tuned ")}
    view, backbone = (str(text) for text in header["encoder"])
    space = FeatureSpace(view, backbone, head, Tuning(tuned) if tuned else None, int(header["rounds"]))
    return WorkspaceContent(pictures, table, edges, settings, space, classes_from_json(header["classes"]))


def _table(header: dict[str, Any], arrays: Arrays, shapes: list[tuple[int, int]]) -> SegmentTable:
    ids, size = arrays["ids"], int(header["next"])
    ordered = np.unique(ids)
    if ids.ndim != 1 or ids.dtype.kind != "i" or len(ordered) < len(ids) or (ids.size and not ids.min() > 0):
        raise ValueError("the ids of the segments are not in order")
    if ids.size and not ids.max() < size <= 1 << 31:
        raise ValueError(f"the next segment has the id {size}, but there is one of the id {ids.max()}")
    maps = {index: found for index in range(len(shapes)) if (found := arrays.get(f"map {index}")) is not None}
    if size > max(_DENSE, _GIVEN * len(ids)):  # the table has room for each id, also of segments that are no more
        if not all(np.isin(found, ordered).all() for found in maps.values()):
            raise ValueError("a map holds other segments than the table")
        ids = arrays["ids"] = np.searchsorted(ordered, ids) + 1
        maps = {index: np.searchsorted(ordered, found) + 1 for index, found in maps.items()}
        size = len(ids) + 1
    table = SegmentTable()
    table.reserve(size)
    for name, attribute in _COLUMNS.items():
        column = getattr(table, attribute)
        column[ids] = _shaped(arrays[name], (len(ids), *column.shape[1:]))
    table.add_images(shapes)
    for index, found in maps.items():
        own = ids[table.image[ids] == index]
        if not np.array_equal(np.unique(found), np.sort(own)):
            raise ValueError(f"the map of image {index} holds other segments than the table")
        table.put(index, (slice(None), slice(None)), _shaped(found.astype(np.int32), shapes[index]))
    for i in ids.tolist():
        first, second = map(int, table.fingerprint[i])
        table.keys[(int(table.image[i]), int(table.area[i]), first, second)] = i
    return table


def _shaped(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape != shape:
        raise ValueError(f"an array of shape {array.shape} stands where {shape} is expected")
    return array


def _picture_to_json(picture: Picture) -> dict[str, Any]:
    grid = picture.geometry
    affine = None if grid.affine is None else grid.affine.tolist()
    return {
        "name": picture.name,
        "source": picture.path,
        "plane": picture.z_index,
        "volume": picture.volume,
        "shape": list(picture.shape),
        "grid": [list(grid.shape), list(grid.spacing), affine, grid.unit],
    }


def _pictures(found: list[dict[str, Any]], arrays: Arrays, path: Path) -> list[Picture]:
    files: dict[str, list[Picture]] = {}
    pictures = []
    for index, entry in enumerate(found):
        shape, source = tuple(int(n) for n in entry["shape"]), entry["source"]
        z_index = None if entry["plane"] is None else int(entry["plane"])
        if source is None:
            grid_shape, spacing, affine, unit = entry["grid"]
            array = _image(arrays[f"array {index}"], shape)
            matrix = None if affine is None else np.asarray(affine, dtype=np.float64)
            grid = Geometry(tuple(grid_shape), tuple(spacing), matrix, str(unit))
        else:
            if source not in files:
                files[source] = _read_source(str(source), path)
            original = files[source][z_index or 0]
            if original.shape != shape:
                raise InputError(f"{source} has shape {original.shape} now; the workspace {path} was made with {shape}")
            array, grid = original.array, original.geometry
        pictures.append(Picture(str(entry["name"]), array, source, z_index, grid, int(entry["volume"])))
    return pictures


def _image(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape[:2] != shape or array.dtype.kind not in "biuf":
        raise ValueError(f"an image of shape {array.shape} stands where {shape} is expected")
    array.setflags(write=False)
    return array


def _read_source(source: str, path: Path) -> list[Picture]:
    """The images of a file, from its former place or from beside the workspace."""
    for candidate in (Path(source), path.parent / Path(source).name):
        if candidate.is_file() or candidate.is_dir():
            return read_pictures(candidate, 0)[0]
    raise InputError(f"the image {source} of {path} is not there any more; put it back, or beside {path.name}")
