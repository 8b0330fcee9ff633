"""What the user does to segments: cut, split, assign, undo, redo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report
from napari_scribseg.explore.correction import as_pixels, split_mask
from napari_scribseg.explore.cutting import CutSettings, Cutter, with_threshold
from napari_scribseg.explore.history import History, MapPatch, Step
from napari_scribseg.explore.pictures import Picture
from napari_scribseg.explore.segments import SegmentTable, describe_regions

__all__ = ["Editor"]

REGIONS = 50  # segments an image, where no threshold was chosen

Ids = NDArray[np.int64]
_WHOLE = (slice(None), slice(None))
_NOBODY = np.zeros(0, dtype=np.int64)
_NOTHING = np.zeros(0, dtype=np.int32)


class Editor:
    """Changes a table of segments, one undoable step at a time.

    Attributes
    ----------
    settings : CutSettings
        Of the last cut.
    """

    def __init__(
        self, table: SegmentTable, pictures: Sequence[Picture], lock: RLock, device: str, *, subprocess: bool
    ) -> None:
        self.table, self.pictures, self.cutter = table, pictures, Cutter(device, subprocess=subprocess)
        self.settings = CutSettings()
        self.history = History()
        self._lock = lock

    def chosen(self, threshold: float | None, settings: dict[str, Any]) -> CutSettings:
        """The settings of the last cut with some changed."""
        known = {"gradient", "criterion", "simplification"}
        if not set(settings) <= known:
            raise InputError(f"the settings {sorted(set(settings) - known)} are unknown; {sorted(known)} are expected")
        chosen = replace(self.settings, **settings)
        return chosen if threshold is None else replace(chosen, threshold=float(threshold))

    def cut(
        self,
        indices: Sequence[int],
        threshold: float | None,
        regions: float | None,
        settings: dict[str, Any],
        report: Report,
    ) -> tuple[int, ...]:
        """Cut images; the indices of those that changed. See :meth:`Workspace.cut`."""
        if threshold is not None and regions is not None:
            raise InputError("a threshold and a number of regions were given; one of the two is expected")
        chosen = self.chosen(threshold, settings)
        hierarchies = []
        for n, index in enumerate(indices):
            report(n / len(indices))
            hierarchies.append(self.cutter.hierarchy(index, self.pictures[index], chosen))
        if threshold is None and (regions is not None or chosen != self.settings or not chosen.threshold):
            chosen = with_threshold(chosen, hierarchies, REGIONS if regions is None else regions)
        cuts = [hierarchy.cut(chosen.threshold) for hierarchy in hierarchies]
        report(1.0)
        with self._lock:
            self.settings = chosen
            patches = [p for i, cut in zip(indices, cuts, strict=True) if (p := self._placed(i, cut)) is not None]
            if patches:
                self._apply(Step("cut", tuple(patches), _NOBODY, _NOTHING, _NOTHING))
        return tuple(patch.image for patch in patches)

    def replace_segments(self, index: int, regions: NDArray[np.int32]) -> bool:
        """Take the segments of an image from elsewhere; whether they differ. See :meth:`Workspace.set_segments`."""
        with self._lock:
            patch = self._placed(index, regions)
            if patch is not None:
                self._apply(Step("cut", (patch,), _NOBODY, _NOTHING, _NOTHING))
            return patch is not None

    def split(self, segment: int, positive: Any, negative: Any) -> tuple[Ids, Ids, int]:
        """Split a segment; positive parts, negative parts, and their image. See :meth:`Workspace.split`."""
        with self._lock:
            (identity,) = self.table.require([segment])
            index = int(self.table.image[identity])
            picture, found = self.pictures[index], self.table.maps[index]
            assert found is not None
            top, left, bottom, right = (int(n) for n in self.table.box[identity])
            window = (slice(top, bottom), slice(left, right))
            before = found[window].copy()
            mask = before == identity
            marks = [as_pixels(strokes, picture.shape)[window] for strokes in (positive, negative)]
            gradient = self.cutter.around(index, picture, self.settings.gradient, window)
            parts, n_positive = split_mask(gradient, mask, *marks)
            ids = self.table.identify(index, describe_regions(parts, (top, left), picture.shape[1]))
            new = ids[~self.table.has_embedding[ids]]
            self.table.xy[new] = self.table.xy[identity]
            after = before.copy()
            after[mask] = ids[parts[mask]]
            labels = np.where(np.arange(len(ids)) < n_positive, self.table.label[identity], 0).astype(np.int32)
            patch = MapPatch.of(index, window, before, after)
            self._apply(Step("split", (patch,), ids, self.table.label[ids], labels))
        return ids[:n_positive], ids[n_positive:], index

    def assign(self, ids: Any, label: int) -> Ids:
        """Give segments a class; those that had another. See :meth:`Workspace.assign`."""
        with self._lock:
            given = self.table.require(ids)
            wanted: Ids = given[self.table.label[given] != label]
            if len(wanted):
                after = np.full(len(wanted), label, dtype=np.int32)
                self._apply(Step("assign", (), wanted, self.table.label[wanted], after))
            return wanted

    def turn(self, *, back: bool) -> Step | None:
        """Take back the last step, or do again what was taken back last; None where there is none."""
        with self._lock:
            step = self.history.back() if back else self.history.forth()
            if step is not None:
                self._show(step, after=not back)
            return step

    def _placed(self, index: int, regions: NDArray[np.int32]) -> MapPatch | None:
        """The change that makes regions the segments of an image; None where they are it already."""
        ids = self.table.identify(index, describe_regions(regions, (0, 0), regions.shape[1]))
        after = ids.astype(np.int32)[regions]
        before = self.table.maps[index]
        if before is not None and np.array_equal(before, after):
            return None
        return MapPatch.of(index, _WHOLE, before, after)

    def _apply(self, step: Step) -> None:
        self.history.add(step)
        self._show(step, after=True)

    def _show(self, step: Step, *, after: bool) -> None:
        for patch in step.patches:
            self.table.put(patch.image, patch.window, patch.ids(after), self.pictures[patch.image].shape)
        self.table.label[step.ids] = step.after if after else step.before
