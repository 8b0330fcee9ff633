"""A saved session run again without a window."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_scribseg.core.engine import Engine
from napari_scribseg.core.errors import InputError
from napari_scribseg.session.cache import MISSING
from napari_scribseg.session.history import ArrayChange, unpack
from napari_scribseg.session.journal import Entry, Patch, Recipe
from napari_scribseg.session.rules import combine
from napari_scribseg.session.snapshot import Snapshot, make, put, settle, start
from napari_scribseg.session.state import State
from napari_scribseg.session.volume import Plane, Volume
from napari_scribseg.session.worker import Job, run_job

__all__ = ["replay"]

_Key = tuple[Plane, int, str]


def _key(plane: Plane, recipe: Recipe) -> _Key:
    return plane, recipe.engine, recipe.device


@dataclass(slots=True)
class _Memory:
    """Engine states that a later entry will start from; ``last`` is the last entry for each plane and engine."""

    engines: dict[int, Engine[Any]]
    last: dict[_Key, int]
    prepared: dict[_Key, Any] = field(default_factory=dict)
    warm: dict[_Key, Any] = field(default_factory=dict)


def replay(
    snapshot: Snapshot,
    volume: Volume,
    *,
    device: str | None = None,
    make_engine: Callable[..., Engine[Any]],
    trust: bool = False,
) -> State:
    """The session with its output computed anew, entry by entry, each under the settings and from the state of then.

    ``device`` stands in for the devices of then; code that the session names runs only with ``trust``.

    Raises
    ------
    InputError
        If the volume is another one, an engine is missing, or an entry cannot be repeated.
    """
    state = start(snapshot, volume, None, make_engine, trust=trust)
    state.engines = list(snapshot.engines[:-1])
    engines = {index: make(record, make_engine, trust=trust) for index, record in enumerate(snapshot.engines[:-1])}
    entries = [_on(entry, device) for entry in snapshot.entries]
    runs = [entry for entry in entries if entry.recipe is not None]
    memory = _Memory(engines, {_key(e.plane, e.recipe): e.sequence for e in runs if e.recipe is not None})
    done = []
    for entry in entries:
        volume.require(entry.plane)
        if entry.kind in ("run", "edit"):
            state.canvas.keep_found(entry.plane, state.canvas.committed(entry.plane))
        if entry.recipe is not None and entry.seeds is not None:
            entry = _again(state, entry, entry.seeds, entry.recipe, memory)
        elif entry.labels is not None:
            put(state.canvas, entry.plane, entry.labels)
        settle(state.canvas, entry)
        done.append(entry)
    state.canvas.strokes = snapshot.strokes.copy()
    state.history.load(done)
    return state


def _on(entry: Entry, device: str | None) -> Entry:
    """The entry with another device, if one is named."""
    if device is None or entry.recipe is None:
        return entry
    return dataclasses.replace(entry, recipe=dataclasses.replace(entry.recipe, device=device))


def _again(state: State, entry: Entry, seeds: Patch, recipe: Recipe, memory: _Memory) -> Entry:
    """Repeat one run; returns its entry with the labels as they are now."""
    plane, key = entry.plane, _key(entry.plane, recipe)
    painted = np.zeros(state.volume.plane_shape(plane), np.uint16)
    painted[seeds.region] = unpack(seeds.values, seeds.shape, seeds.dtype)
    job = Job(plane, 0, memory.engines[recipe.engine], recipe.device, painted, recipe.background)
    if entry.prior is not None:
        job.prior = unpack(entry.prior.values, entry.prior.shape, entry.prior.dtype)
    job.prepared = memory.prepared.get(key, MISSING)
    if recipe.warm:
        job.warm = memory.warm[key]
    outcome = run_job(job, state.volume, lambda fraction: None, lambda answer: None)
    if outcome.answer is None:
        raise InputError(f"{state.volume.where(plane)} cannot be computed again: {outcome.error}") from outcome.error
    if outcome.checksum != recipe.checksum:
        raise InputError(
            f"the image differs at {state.volume.where(plane)} from the one that the session was painted on"
        )
    if memory.last[key] == entry.sequence:
        memory.prepared.pop(key, None)
        memory.warm.pop(key, None)
    else:
        memory.prepared[key], memory.warm[key] = outcome.prepared, outcome.answer.segmentation.state
    canvas = state.canvas
    current = canvas.committed(plane)
    underlay = canvas.underlay(plane)
    if underlay is None:
        canvas.set_underlay(plane, current)
        underlay = current
    merged = combine(
        outcome.answer.labels, current, underlay, ids=outcome.answer.ids, overlap=recipe.overlap,
        locked=recipe.locked, plane=plane, accepted=canvas.accepted, corrects=job.prior is not None,
    )  # fmt: skip
    change = next((c for c in canvas.write(plane, merged)[1] if isinstance(c, ArrayChange)), None)
    patch = None if change is None else Patch(change.region, change.after, change.dtype)
    return dataclasses.replace(entry, labels=patch)
