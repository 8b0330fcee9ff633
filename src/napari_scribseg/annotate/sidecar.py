"""The session file: a container with a JSON header and compressed pieces, to which the header refers.

The pieces are zlib streams one after the other in an array of bytes, found by offset and length.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_scribseg.annotate.entries import KINDS, DraftMap, DraftRecipe, Entry, FillRecipe, Recipe
from napari_scribseg.annotate.rules import OVERLAPS
from napari_scribseg.annotate.snapshot import Snapshot
from napari_scribseg.annotate.solve_span import SPAN_METHODS
from napari_scribseg.annotate.stroke_store import StrokeStore
from napari_scribseg.core.classes import MAX_ID
from napari_scribseg.core.scribbles import UNKNOWN
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel.container import (
    Arrays,
    ContainerFormat,
    ContainerWriter,
    classes_from_json,
    classes_to_json,
)
from napari_scribseg.kernel.patches import PackedBox, PackedRegion, unpack

__all__ = ["FORMAT", "SessionWriter", "read"]

# since version 2, runs have the labels that their strokes corrected, and whether they were propagated; since version 3,
# there are labels that were fixed by hand; since version 4, slices are filled; since version 5,
# slices are drafted, and entries say who and when
FORMAT = ContainerFormat("napari-scribseg session", version=5, noun="session", deflated=False)

_ABSENT: tuple[Any, ...] = (None, None, None, None, None, None, "", 0.0)  # what an entry of an earlier version lacks


class _Pieces:
    """Byte strings laid end to end."""

    def __init__(self, data: bytes = b"") -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._spans: dict[bytes, list[int]] = {}
        self._data = memoryview(data)

    def add(self, piece: bytes) -> list[int]:
        if piece not in self._spans:  # all strokes on a slice correct the same labels
            self._parts.append(piece)
            self._spans[piece] = [self._size, len(piece)]
            self._size += len(piece)
        return self._spans[piece]

    def __len__(self) -> int:
        return len(self._parts)

    def cut(self, count: int) -> None:
        """Keep the first ``count`` only."""
        for part in self._parts[count:]:
            self._size -= len(part)
            del self._spans[part]
        del self._parts[count:]

    def get(self, offset: int, length: int) -> bytes:
        if not 0 <= offset <= offset + length <= len(self._data):
            raise ValueError(f"a piece of {length} bytes at {offset} lies outside the file")
        return bytes(self._data[offset : offset + length])

    def joined(self) -> bytes:
        return b"".join(self._parts)


class SessionWriter:
    """Writes a session file again and again; what the last one held is not encoded again.

    Entries that were written stay as they are, or are undone from the newest on.
    """

    def __init__(self) -> None:
        self._pieces = _Pieces()
        self._base: object = None
        self._base_text = ""
        self._base_end = 0
        self._entries: list[tuple[Entry, str, int]] = []  # each with its text, and the number of pieces up to its end

    def write(self, snapshot: Snapshot, path: Path) -> None:
        """Write the file; where it fails, one that was there stays as it was.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        self._follow(snapshot)
        kept = len(self._pieces)
        text = json.dumps(_header(snapshot, self._pieces))
        entries = ", ".join(text for _, text, _ in self._entries)
        header = f'{text[:-1]}, "base": {self._base_text}, "entries": [{entries}]}}'
        content = self._pieces.joined()
        self._pieces.cut(kept)
        ContainerWriter(FORMAT).write(path, header, {"pieces": np.frombuffer(content, np.uint8)})

    def _follow(self, snapshot: Snapshot) -> None:
        """Bring what is encoded up to date."""
        if snapshot.base is not self._base:
            self._pieces, self._entries, self._base = _Pieces(), [], snapshot.base
            base = [[_slice_out(slice_index), _patch_out(patch, self._pieces)] for slice_index, patch in snapshot.base]
            self._base_text, self._base_end = json.dumps(base), len(self._pieces)
        same = 0
        for (former, _, _), entry in zip(self._entries, snapshot.entries, strict=False):
            if former is not entry:
                break
            same += 1
        del self._entries[same:]
        self._pieces.cut(self._entries[-1][2] if self._entries else self._base_end)
        for entry in snapshot.entries[same:]:
            text = json.dumps(_entry_out(entry, self._pieces))
            self._entries.append((entry, text, len(self._pieces)))


def read(path: Path) -> Snapshot:
    """Read a session file; InputError as of :meth:`ContainerFormat.read`."""
    return FORMAT.read(path, _snapshot)


# to JSON


def _header(snapshot: Snapshot, pieces: _Pieces) -> dict[str, Any]:
    """All but the labels in the beginning and the entries."""
    return {
        "shape": list(snapshot.shape),
        "spacing": list(snapshot.spacing),
        "source": snapshot.source,
        "engines": [{"name": name, "parameters": parameters} for name, parameters in snapshot.engines],
        "device": snapshot.device,
        "overlap": snapshot.overlap,
        "plane": None if snapshot.slice_index is None else _slice_out(snapshot.slice_index),
        "classes": classes_to_json(snapshot.classes),
        "strokes": _strokes_out(snapshot.strokes, pieces),
        "fixed": _strokes_out(snapshot.fixed, pieces),
    }


def _strokes_out(store: StrokeStore, pieces: _Pieces) -> dict[str, Any]:
    flat, values = store.voxels()
    steps = np.diff(flat, prepend=0).astype("<i8")
    return {
        "count": int(flat.size),
        "steps": pieces.add(zlib.compress(steps.tobytes(), 1)),
        "ids": pieces.add(zlib.compress(values.astype("<u2").tobytes(), 1)),
    }


def _slice_out(slice_index: SliceIndex) -> list[Any]:
    return [list(slice_index.displayed), list(slice_index.position)]


def _patch_out(patch: PackedRegion | None, pieces: _Pieces) -> list[Any] | None:
    if patch is None:
        return None
    rows, columns = patch.region
    return [rows.start, rows.stop, columns.start, columns.stop, patch.dtype, *pieces.add(patch.values)]


def _entry_out(entry: Entry, pieces: _Pieces) -> list[Any]:
    labels, seeds, prior, fixed = (
        _patch_out(patch, pieces) for patch in (entry.labels, entry.seeds, entry.prior, entry.fixed)
    )
    recipe = None if entry.recipe is None else astuple(entry.recipe)
    fill = None if entry.fill is None else astuple(entry.fill)
    around = None if entry.around is None else _box_out(entry.around, pieces)
    draft = None if entry.draft is None else astuple(entry.draft)
    maps = () if entry.drafted is None else (entry.drafted.labels, entry.drafted.certainty)
    drafted = [_patch_out(each, pieces) for each in maps] or None
    where = _slice_out(entry.slice_index)
    who = entry.by, round(entry.at, 3)
    return [entry.sequence, entry.kind, where, labels, seeds, recipe, prior, fixed, fill, around, draft, drafted, *who]


def _box_out(box: PackedBox, pieces: _Pieces) -> list[int]:
    rows, columns = box.region
    return [rows.start, rows.stop, columns.start, columns.stop, box.count, *pieces.add(box.values)]


# from JSON


def _snapshot(header: dict[str, Any], arrays: Arrays) -> Snapshot:
    if arrays.keys() != {"pieces"} or arrays["pieces"].dtype != np.uint8:
        raise ValueError(f"parts named {', '.join(arrays)}")
    pieces = _Pieces(arrays["pieces"].tobytes())
    shape = tuple(int(n) for n in header["shape"])
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"the volume has shape {shape}")
    if len(header["spacing"]) != len(shape):
        raise ValueError(f"the volume has the shape {shape} and the spacing {header['spacing']}")
    engines = tuple((str(e["name"]), dict(e["parameters"])) for e in header["engines"])
    if not engines:
        raise ValueError("no engine is named")
    snapshot = Snapshot(
        shape=shape,
        spacing=tuple(float(s) for s in header["spacing"]),
        source=None if header["source"] is None else _text(header["source"]),
        engines=engines,
        device=_text(header["device"]),
        overlap=_text(header["overlap"], OVERLAPS),
        slice_index=None if header["plane"] is None else _slice_in(header["plane"], shape),
        classes=classes_from_json(header["classes"]),
        strokes=_strokes_in(header["strokes"], pieces, shape),
        fixed=_strokes_in(header["fixed"], pieces, shape) if int(header["version"]) > 2 else StrokeStore(shape),
        base=tuple(_base_in(found, pieces, shape) for found in header["base"]),
        entries=tuple(_entry_in(entry, pieces, shape, len(engines) - 1) for entry in header["entries"]),
    )
    if int(header["version"]) == 1:
        snapshot = replace(snapshot, entries=tuple(_mark_propagated(e, snapshot.strokes) for e in snapshot.entries))
    _check_lineage(snapshot.entries)
    return snapshot


def _text(found: Any, allowed: tuple[str, ...] = ()) -> str:
    if not isinstance(found, str) or (allowed and found not in allowed):
        raise ValueError(f"{found!r} stands where {' or '.join(allowed) or 'text'} is expected")
    return found


def _strokes_in(found: dict[str, Any], pieces: _Pieces, shape: tuple[int, ...]) -> StrokeStore:
    count = int(found["count"])
    steps = unpack(pieces.get(*found["steps"]), (count,), "int64")
    values = unpack(pieces.get(*found["ids"]), (count,), "uint16")
    flat = np.cumsum(steps)
    ascending = count == 0 or (steps[0] >= 0 and bool((steps[1:] > 0).all()))
    if not ascending or (count and flat[-1] >= np.prod(shape, dtype=np.int64)) or not values.all():
        raise ValueError("the strokes are not in order")
    return StrokeStore.from_voxels(shape, flat, values)


def _slice_in(found: Any, shape: tuple[int, ...]) -> SliceIndex:
    slice_index = SliceIndex((int(found[0][0]), int(found[0][1])), tuple(int(p) for p in found[1]))
    outside = slice_index.ndim != len(shape) or any(
        p >= shape[axis] for axis, p in zip(slice_index.others, slice_index.position, strict=True)
    )
    if outside:
        raise ValueError(f"{slice_index} lies outside a volume of shape {shape}")
    return slice_index


def _patch_in(
    found: Any,
    slice_index: SliceIndex,
    pieces: _Pieces,
    shape: tuple[int, ...],
    dtypes: tuple[str, ...] = ("uint8", "uint16"),
) -> PackedRegion:
    top, bottom, left, right = (int(n) for n in found[:4])
    height, width = shape[slice_index.displayed[0]], shape[slice_index.displayed[1]]
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise ValueError(f"rows {top} to {bottom} and columns {left} to {right} lie outside {height} x {width}")
    if found[4] not in dtypes:
        raise ValueError(f"values of type {found[4]}")
    patch = PackedRegion((slice(top, bottom), slice(left, right)), pieces.get(int(found[5]), int(found[6])), found[4])
    patch.unpack()
    return patch


def _base_in(found: Any, pieces: _Pieces, shape: tuple[int, ...]) -> tuple[SliceIndex, PackedRegion]:
    slice_index = _slice_in(found[0], shape)
    return slice_index, _patch_in(found[1], slice_index, pieces, shape)


def _entry_in(found: Any, pieces: _Pieces, shape: tuple[int, ...], n_engines: int) -> Entry:
    sequence, kind, where, labels, seeds, recipe = found[:6]
    more = list(found[6:]) + list(_ABSENT[len(found) - 6 :])  # version 1 has none of them
    prior, fixed, fill, around, draft, drafted, by, at = more
    has = {"run": None not in (recipe, seeds), "fill": fill is not None, "draft": None not in (draft, drafted)}
    complete = kind in KINDS and all(present == (kind == name) for name, present in has.items())
    if not complete:
        raise ValueError(f"an entry of the kind {kind!r} that is not complete")
    slice_index = _slice_in(where, shape)
    return Entry(
        int(sequence),
        kind,
        slice_index,
        None if labels is None else _patch_in(labels, slice_index, pieces, shape),
        None if seeds is None else _patch_in(seeds, slice_index, pieces, shape),
        None if recipe is None else _recipe_in(*recipe, n_engines=n_engines),
        None if prior is None else _whole_in(prior, slice_index, pieces, shape),
        None if fixed is None else _whole_in(fixed, slice_index, pieces, shape),
        None if fill is None else _fill_in(slice_index, shape, *fill),
        None if around is None else _box_in(around, slice_index, pieces, shape),
        None if draft is None else _draft_in(*draft),
        None if drafted is None else _draft_map_in(drafted, slice_index, pieces, shape),
        _text(by),
        _time_in(at),
    )


def _time_in(found: Any) -> float:
    at = float(found)
    if not 0 <= at < math.inf:
        raise ValueError(f"an entry made at {at}")
    return at


def _box_in(found: Any, slice_index: SliceIndex, pieces: _Pieces, shape: tuple[int, ...]) -> PackedBox:
    top, bottom, left, right, count, offset, length = (int(n) for n in found)
    height, width = shape[slice_index.displayed[0]], shape[slice_index.displayed[1]]
    if not (0 <= top < bottom <= height and 0 <= left < right <= width and 0 < count <= max(shape)):
        raise ValueError(
            f"rows {top} to {bottom} and columns {left} to {right} of {count} slices of {height} x {width}"
        )
    box = PackedBox((slice(top, bottom), slice(left, right)), pieces.get(offset, length), count)
    values = unpack(box.values, (count, bottom - top, right - left), "int32")
    if values.min() < UNKNOWN or values.max() > MAX_ID:
        raise ValueError(f"labels from {values.min()} to {values.max()}")
    return box


def _fill_in(
    slice_index: SliceIndex, shape: tuple[int, ...], axis: Any, before: Any, after: Any, reach: Any, method: Any,
    final: Any, overlap: Any, locked: Any, checksum: Any, certainty: Any, band: Any, restored: Any,
) -> FillRecipe:  # fmt: skip
    if int(axis) not in slice_index.others:
        raise ValueError(f"a slice filled along axis {axis}")
    at = slice_index.position[slice_index.others.index(int(axis))]
    ends = [None if end is None else (int(end[0]), int(end[1])) for end in (before, after)]
    low = int(reach) if ends[0] is None else ends[0][0]
    high = int(reach) if ends[1] is None else ends[1][0]
    inside = 0 <= low <= at <= high < shape[int(axis)]
    if not inside or ends == [None, None] or any(end is not None and end[0] == at for end in ends):
        raise ValueError(f"a slice at {at} filled between {before} and {after} up to {reach}")
    return FillRecipe(
        int(axis), ends[0], ends[1], int(reach), _text(method, tuple(SPAN_METHODS)), bool(final),
        _text(overlap, OVERLAPS), tuple(int(i) for i in locked), int(checksum), float(certainty), int(band),
        bool(restored),
    )  # fmt: skip


def _draft_in(
    drafter: Any, overlap: Any, locked: Any, certainty: Any, band: Any, restored: Any
) -> DraftRecipe:  # fmt: skip
    return DraftRecipe(
        _text(drafter), _text(overlap, OVERLAPS), tuple(int(i) for i in locked), float(certainty), int(band),
        bool(restored),
    )  # fmt: skip


def _draft_map_in(found: Any, slice_index: SliceIndex, pieces: _Pieces, shape: tuple[int, ...]) -> DraftMap:
    labels, certainty = (
        _patch_in(patch, slice_index, pieces, shape, (dtype,))
        for patch, dtype in zip(found, ("uint16", "uint8"), strict=True)
    )
    whole = shape[slice_index.displayed[0]], shape[slice_index.displayed[1]]
    if labels.shape != whole or certainty.shape != whole:
        raise ValueError(f"a draft of shape {labels.shape} with certainties of shape {certainty.shape}")
    return DraftMap(labels, certainty)


def _recipe_in(
    engine: Any, warm: Any, overlap: Any, locked: Any, background: Any, device: Any, checksum: Any,
    propagated: Any = False, drift: Any = 0.0, *, n_engines: int,
) -> Recipe:  # fmt: skip
    if not 0 <= int(engine) < n_engines:
        raise ValueError(f"engine {engine} of {n_engines}")
    if background is not None and not 1 <= int(background) <= MAX_ID:
        raise ValueError(f"the background has the id {background}")
    return Recipe(
        int(engine), bool(warm), _text(overlap, OVERLAPS), tuple(int(i) for i in locked), background, _text(device),
        int(checksum), bool(propagated), _drift_in(drift),
    )  # fmt: skip


def _drift_in(found: Any) -> float:
    drift = float(found)
    if not 0 <= drift < math.inf:
        raise ValueError(f"borders that moved by {drift}")
    return drift


def _whole_in(found: Any, slice_index: SliceIndex, pieces: _Pieces, shape: tuple[int, ...]) -> PackedRegion:
    """The labels of a whole slice that strokes corrected, or could not change."""
    patch = _patch_in(found, slice_index, pieces, shape, ("int32",))
    if patch.shape != (shape[slice_index.displayed[0]], shape[slice_index.displayed[1]]):
        raise ValueError(f"labels of shape {patch.shape}")
    values = patch.unpack()
    if values.min() < UNKNOWN or values.max() > MAX_ID:
        raise ValueError(f"labels from {values.min()} to {values.max()}")
    return patch


def _mark_propagated(entry: Entry, strokes: StrokeStore) -> Entry:
    """An entry of a file of version 1, with whether its seeds were propagated: they were, where they are no strokes."""
    if entry.recipe is None or entry.seeds is None:
        return entry
    seeds = entry.seeds.unpack()
    propagated = bool(((strokes.get(entry.slice_index)[entry.seeds.region] == 0) & (seeds != 0)).any())
    return replace(entry, recipe=replace(entry.recipe, propagated=propagated))


def _check_lineage(entries: tuple[Entry, ...]) -> None:
    """A warm start needs an entry to continue."""
    seen = set()
    for before, entry in zip((None, *entries), entries, strict=False):
        if before is not None and before.sequence >= entry.sequence:
            raise ValueError("the entries are not in order")
        if entry.recipe is not None:
            key = entry.slice_index, entry.recipe.engine, entry.recipe.device
            if entry.recipe.warm and key not in seen:
                raise ValueError("an entry continues one that is missing")
            seen.add(key)
