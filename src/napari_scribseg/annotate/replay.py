"""A saved session run again without a window."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_scribseg.annotate.document import Document
from napari_scribseg.annotate.engine_cache import MISSING
from napari_scribseg.annotate.entries import Entry, PackedRegion, Recipe
from napari_scribseg.annotate.rules import combine
from napari_scribseg.annotate.segment import SegmentJob
from napari_scribseg.annotate.snapshot import Snapshot, make, put, settle, start
from napari_scribseg.annotate.steps import ArrayChange
from napari_scribseg.core.engine import Engine
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.source import SliceIndex, Source

__all__ = ["replay"]

_Key = tuple[SliceIndex, int, str]


def _key(slice_index: SliceIndex, recipe: Recipe) -> _Key:
    return slice_index, recipe.engine, recipe.device


@dataclass(slots=True)
class _Memory:
    """Engine states that a later entry will start from; ``last`` is the last entry for each slice and engine."""

    engines: dict[int, Engine[Any]]
    last: dict[_Key, int]
    prepared: dict[_Key, Any] = field(default_factory=dict)
    warm: dict[_Key, Any] = field(default_factory=dict)


def replay(
    snapshot: Snapshot,
    volume: Source,
    *,
    device: str | None = None,
    make_engine: Callable[..., Engine[Any]],
    trust: bool = False,
) -> Document:
    """The session with its output computed anew, entry by entry, each under the settings and from the state of then.

    ``device`` stands in for the devices of then; code that the session names runs only with ``trust``.

    Raises
    ------
    InputError
        If the volume is another one, an engine is missing, or an entry cannot be repeated.
    """
    document = start(snapshot, volume, None, make_engine, trust=trust)
    document.engines = list(snapshot.engines[:-1])
    engines = {index: make(record, make_engine, trust=trust) for index, record in enumerate(snapshot.engines[:-1])}
    entries = [_on(entry, device) for entry in snapshot.entries]
    runs = [entry for entry in entries if entry.recipe is not None]
    memory = _Memory(engines, {_key(e.slice_index, e.recipe): e.sequence for e in runs if e.recipe is not None})
    done = []
    for entry in entries:
        volume.require(entry.slice_index)
        if entry.kind in ("run", "edit"):
            document.annotation.store_original(entry.slice_index, document.annotation.committed(entry.slice_index))
        if entry.recipe is not None and entry.seeds is not None:
            entry = _again(document, entry, entry.seeds, entry.recipe, memory)
        elif entry.labels is not None:
            put(document.annotation, entry.slice_index, entry.labels)
        settle(document.annotation, entry)
        done.append(entry)
    document.annotation.strokes = snapshot.strokes.copy()
    document.history.load(done)
    return document


def _on(entry: Entry, device: str | None) -> Entry:
    """The entry with another device, if one is named."""
    if device is None or entry.recipe is None:
        return entry
    return dataclasses.replace(entry, recipe=dataclasses.replace(entry.recipe, device=device))


def _again(document: Document, entry: Entry, seeds: PackedRegion, recipe: Recipe, memory: _Memory) -> Entry:
    """Repeat one run; returns its entry with the labels as they are now."""
    slice_index, key = entry.slice_index, _key(entry.slice_index, recipe)
    painted = np.zeros(document.source.slice_shape(slice_index), np.uint16)
    painted[seeds.region] = seeds.unpack()
    engine, source = memory.engines[recipe.engine], document.source
    job = SegmentJob(source, slice_index, engine, recipe.device, painted, recipe.background)
    if entry.prior is not None:
        job.prior = entry.prior.unpack()
    job.prepared = memory.prepared.get(key, MISSING)
    if recipe.warm:
        job.warm = memory.warm[key]
    outcome = job.run()
    result = outcome.result
    if result is None:
        raise InputError(
            f"{document.source.where(slice_index)} cannot be computed again: {outcome.error}"
        ) from outcome.error
    if outcome.checksum != recipe.checksum:
        raise InputError(
            f"the image differs at {document.source.where(slice_index)} from the one that the session was painted on"
        )
    if memory.last[key] == entry.sequence:
        memory.prepared.pop(key, None)
        memory.warm.pop(key, None)
    else:
        memory.prepared[key], memory.warm[key] = outcome.prepared, result.segmentation.state
    annotation = document.annotation
    current = annotation.committed(slice_index)
    underlay = annotation.underlay(slice_index)
    if underlay is None:
        annotation.set_underlay(slice_index, current)
        underlay = current
    merged = combine(
        result.labels, current, underlay, ids=result.ids, overlap=recipe.overlap,
        locked=recipe.locked, slice_index=slice_index, accepted=annotation.accepted, corrects=job.prior is not None,
    )  # fmt: skip
    change = next((c for c in annotation.write(slice_index, merged)[1] if isinstance(c, ArrayChange)), None)
    return dataclasses.replace(entry, labels=None if change is None else PackedRegion.after(change.diff))
