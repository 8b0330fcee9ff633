"""Snapshots of a session, which are written to files, and sessions made from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_scribseg.annotate.annotation import Annotation
from napari_scribseg.annotate.document import Document, EngineRecord
from napari_scribseg.annotate.entries import Entry
from napari_scribseg.annotate.stroke_store import StrokeStore
from napari_scribseg.core.classes import ClassTable
from napari_scribseg.core.engine import Engine
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.io import read_volume
from napari_scribseg.kernel.patches import PackedRegion

__all__ = ["Snapshot", "find_volume", "make", "restore", "take"]

TRUST = "trust"  # the parameter of an engine that allows code from elsewhere to run; no file can set it


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All of a session, immutable, so that any thread can write it.

    Attributes
    ----------
    shape : tuple of int
        Spatial shape of the volume.
    spacing : tuple of float
        Of the volume.
    source : str or None
        The file that the volume came from.
    engines : tuple of EngineRecord
        Name and parameters of every engine that entries point to; the last is the one in use.
    device, overlap : str
        Settings.
    slice_index : SliceIndex or None
        The slice drawn on last.
    classes : ClassTable
        As it was.
    strokes, fixed : StrokeStore
        What was painted, and what was edited by hand; copies.
    base : tuple of (SliceIndex, PackedRegion)
        The labels in the beginning.
    entries : tuple of Entry
        The log.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    source: str | None
    engines: tuple[EngineRecord, ...]
    device: str
    overlap: str
    slice_index: SliceIndex | None
    classes: ClassTable
    strokes: StrokeStore
    fixed: StrokeStore
    base: tuple[tuple[SliceIndex, PackedRegion], ...]
    entries: tuple[Entry, ...]


def take(document: Document) -> Snapshot:
    """A snapshot of a session; takes milliseconds, because its parts are compressed already.

    Raises
    ------
    InputError
        If an engine has a parameter that is not a number, text, truth value or a sequence of those.
    """
    return Snapshot(
        shape=document.source.shape,
        spacing=tuple(float(s) for s in document.source.geometry.spacing),
        source=document.source.path,
        engines=tuple(e if isinstance(e, tuple) else _record(e) for e in (*document.engines, document.engine)),
        device=document.device,
        overlap=document.overlap,
        slice_index=document.slice_index,
        classes=document.classes,
        strokes=document.annotation.strokes.copy(),
        fixed=document.annotation.fixed.copy(),
        base=document.base,
        entries=tuple(document.history.entries()),
    )


def _record(engine: Engine[Any]) -> EngineRecord:
    fields = dataclasses.fields(engine)  # type: ignore[arg-type]
    kept = {f.name: _plain(getattr(engine, f.name), engine, f.name) for f in fields if f.init}
    return engine.info.name, {**kept, TRUST: False} if TRUST in kept else kept


def _plain(value: Any, engine: Engine[Any], name: str) -> Any:
    """A value as JSON can represent it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [_plain(v, engine, name) for v in value]
    raise InputError(
        f"the parameter {name!r} of the engine {engine.info.name!r} is a {type(value).__name__}; only numbers, text, "
        "truth values and sequences of them can be saved"
    )


def find_volume(snapshot: Snapshot, path: Path) -> Source:
    """Read the image of a saved session, from where it was or from beside the session file.

    Raises
    ------
    InputError
        If it is in neither place, or cannot be read.
    """
    if snapshot.source is None:
        raise InputError(f"{path} does not name its image; give the volume")
    places = (Path(snapshot.source), path.parent / Path(snapshot.source).name)
    for place in places:
        if place.is_file() or place.is_dir():
            return read_volume(place)
    raise InputError(f"the image {snapshot.source} of {path} is not there any more; give the volume")


def restore(
    snapshot: Snapshot,
    volume: Source,
    *,
    engine: str | Engine[Any] | None = None,
    make_engine: Callable[..., Engine[Any]],
    trust: bool = False,
    run: Callable[[Document, Entry], Entry] | None = None,
) -> Document:
    """The session as it was.

    Nothing is computed, unless ``run`` is given: it repeats an engine's run on the document as it is by then, writes
    the result, and returns the entry with it.

    Raises
    ------
    InputError
        If the volume is another one, or the engine in use is missing and ``engine`` names no other.
    """
    if volume.shape != snapshot.shape:
        raise InputError(f"the session belongs to an image of shape {snapshot.shape}; this one has {volume.shape}")
    if engine is None:
        engine = make(snapshot.engines[-1], make_engine, trust=trust)
    document = Document(
        volume, engine, classes=snapshot.classes, device=snapshot.device, overlap=snapshot.overlap, labels=None
    )
    annotation = document.annotation
    for slice_index, patch in snapshot.base:
        _put(annotation, slice_index, patch)
    entries = []
    for entry in snapshot.entries:
        slice_index = volume.require(entry.slice_index)
        if entry.kind in ("run", "fill", "draft", "edit"):
            annotation.store_original(slice_index, annotation.committed(slice_index))
        if entry.kind in ("run", "fill", "draft") and annotation.underlay(slice_index) is None:
            annotation.set_underlay(slice_index, annotation.committed(slice_index))
        if run is not None and (entry.kind == "run" or (entry.fill is not None and not entry.fill.restored)):
            entry = run(document, entry)
        elif entry.labels is not None:
            former = annotation.committed(slice_index)
            _put(annotation, slice_index, entry.labels)
            if entry.kind == "edit":
                labels = annotation.committed(slice_index)
                annotation.cover(slice_index, former != labels, labels)
        _settle(annotation, entry)
        entries.append(entry)
    document.base, document.engines = snapshot.base, list(snapshot.engines[:-1])
    document.slice_index = snapshot.slice_index
    document.sequence = max((entry.sequence for entry in entries), default=0)
    annotation.strokes, annotation.fixed = snapshot.strokes.copy(), snapshot.fixed.copy()
    document.history.load(entries)
    return document


def make(record: EngineRecord, make_engine: Callable[..., Engine[Any]], *, trust: bool = False) -> Engine[Any]:
    """An engine by its record; sequences become tuples, as frozen dataclasses have them.

    Code that the record names may run only with ``trust``, whatever the record holds.
    """
    name, parameters = record
    allowed = {TRUST: trust} if TRUST in parameters else {}
    return make_engine(name, **{key: _frozen(value) for key, value in parameters.items()} | allowed)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def _put(annotation: Annotation, slice_index: SliceIndex, patch: PackedRegion) -> None:
    """Write a patch into the output."""
    labels = annotation.committed(slice_index).astype(np.uint16)
    labels[patch.region] = patch.unpack()
    annotation.write(slice_index, labels)


def _settle(annotation: Annotation, entry: Entry) -> None:
    """What an entry does besides changing labels."""
    if entry.recipe is not None and not entry.recipe.propagated:
        annotation.set_prior(entry.slice_index, b"" if entry.prior is None else entry.prior.values)
    elif entry.kind != "accept":
        annotation.set_prior(entry.slice_index, None)
    if entry.kind == "clear":
        annotation.set_underlay(entry.slice_index, None)
        annotation.drop_original(entry.slice_index)
    elif entry.kind in ("accept", "reopen"):
        annotation.accept(entry.slice_index, entry.kind == "accept")
