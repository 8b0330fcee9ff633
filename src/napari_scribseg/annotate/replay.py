"""A saved session run again without a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.document import Document
from napari_scribseg.annotate.engine_cache import MISSING
from napari_scribseg.annotate.entries import Entry, FillRecipe, Recipe
from napari_scribseg.annotate.pooling import pooled
from napari_scribseg.annotate.segment import SegmentJob
from napari_scribseg.annotate.snapshot import Snapshot, make, restore
from napari_scribseg.annotate.solve_span import SolvedSlice, SpanProblem, solve_span
from napari_scribseg.annotate.span import Span
from napari_scribseg.annotate.steps import ArrayChange
from napari_scribseg.core.engine import Engine, silent
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.source import SliceIndex, Source

__all__ = ["replay"]

_Key = tuple[SliceIndex, int, str]


def replay(
    snapshot: Snapshot,
    volume: Source,
    *,
    device: str | None = None,
    make_engine: Callable[..., Engine[Any]],
    trust: bool = False,
) -> Document:
    """The session with its output computed anew, entry by entry, each with its settings and from its starting state.

    ``device`` replaces the devices that were used; code that the session names runs only with ``trust``.

    Raises
    ------
    InputError
        If the volume is another one, an engine is missing, or an entry cannot be repeated.
    """
    entries = tuple(_on(entry, device) for entry in snapshot.entries)
    engines = [make(record, make_engine, trust=trust) for record in snapshot.engines[:-1]]
    repeat = _Repeat(engines, {_key(entry, entry.recipe): entry.sequence for entry in entries if entry.recipe})
    snapshot = replace(snapshot, entries=entries)
    return restore(snapshot, volume, make_engine=make_engine, trust=trust, run=repeat)


def _key(entry: Entry, recipe: Recipe) -> _Key:
    return entry.slice_index, recipe.engine, recipe.device


def _on(entry: Entry, device: str | None) -> Entry:
    """The entry with another device, if one is named."""
    if device is None or entry.recipe is None:
        return entry
    return replace(entry, recipe=replace(entry.recipe, device=device))


def _kept(entry: Entry, span: Span, shape: tuple[int, int]) -> Callable[[SliceIndex], NDArray[np.int32] | None]:
    """What gives the labels of a slice of the span of an entry that stayed."""
    around = entry.around

    @cache
    def whole() -> NDArray[np.int32] | None:
        return None if around is None else around.unpack(shape, -1)

    def on(slice_index: SliceIndex) -> NDArray[np.int32] | None:
        each = whole()
        if each is None:
            return None
        kept = each[slice_index.position[slice_index.others.index(span.axis)] - span.low]
        return kept if (kept >= 0).any() else None

    return on


@dataclass(slots=True)
class _Repeat:
    """Repeats runs and fills, and keeps the engine states that a later entry will start from, and the last span.

    ``last`` is the sequence number of the last entry of each slice and engine.
    """

    engines: list[Engine[Any]]
    last: dict[_Key, int]
    prepared: dict[_Key, Any] = field(default_factory=dict)
    warm: dict[_Key, Any] = field(default_factory=dict)
    solved: tuple[Any, dict[tuple[int, bool], SolvedSlice]] = field(default_factory=lambda: (None, {}))

    def __call__(self, document: Document, entry: Entry) -> Entry:
        """Repeat one run or fill; returns its entry with the labels as they are now."""
        if entry.fill is not None:
            return self._fill(document, entry, entry.fill)
        recipe, seeds, slice_index, source = entry.recipe, entry.seeds, entry.slice_index, document.source
        assert recipe is not None
        assert seeds is not None
        key = _key(entry, recipe)
        painted = np.zeros(source.slice_shape(slice_index), np.uint16)
        painted[seeds.region] = seeds.unpack()
        job = SegmentJob(
            source, slice_index, self.engines[recipe.engine], recipe.device, painted, recipe.background,
            prior=None if entry.prior is None else entry.prior.unpack(), drift=recipe.drift,
            fixed=None if entry.fixed is None else entry.fixed.unpack(), prepared=self.prepared.get(key, MISSING),
            warm=self.warm[key] if recipe.warm else MISSING,
        )  # fmt: skip
        outcome = job.run()
        result, where = outcome.result, source.where(slice_index)
        if result is None:
            raise InputError(f"{where} cannot be computed again: {outcome.error}") from outcome.error
        if outcome.checksum != recipe.checksum:
            raise InputError(f"the image differs at {where} from the one that the session was painted on")
        if self.last[key] == entry.sequence:
            self.prepared.pop(key, None)
            self.warm.pop(key, None)
        else:
            self.prepared[key], self.warm[key] = outcome.prepared, result.segmentation.state
        merged = document.combined(job, result, recipe.overlap, recipe.locked)
        _region, changes = document.annotation.write(slice_index, merged)
        return replace(entry, labels=next((c.diff.after for c in changes if isinstance(c, ArrayChange)), None))

    def _fill(self, document: Document, entry: Entry, recipe: FillRecipe) -> Entry:
        """Repeat the fill of one slice; its span is solved once."""
        slice_index, source = entry.slice_index, document.source
        span = Span.of(slice_index, recipe)
        first, last = (
            None if end is None else document.annotation.committed(span.at(end[0])) for end in (span.before, span.after)
        )
        kept = _kept(entry, span, source.slice_shape(slice_index))
        problem = SpanProblem(source, span, first, last, kept, recipe.method)
        around = None if entry.around is None else entry.around.values
        key = span, recipe.method, around, *(None if end is None else end.tobytes() for end in (first, last))
        if key != self.solved[0]:
            self.solved = key, {(found.index, found.final): found for found in solve_span(problem, silent)}
        index = slice_index.position[slice_index.others.index(span.axis)]
        found = self.solved[1].get((index, recipe.final))
        if found is None or found.checksum != recipe.checksum:
            where = source.where(slice_index)
            raise InputError(f"the image differs at {where} from the one that the slice was filled on")
        if entry.drafted is not None:
            found = pooled(found, entry.drafted, span.distance(index))
        merged = document.with_fill(slice_index, replace(found, kept=entry.fixed), problem.ids, recipe)
        _region, changes = document.annotation.write(slice_index, merged)
        return replace(entry, labels=next((c.diff.after for c in changes if isinstance(c, ArrayChange)), None))
