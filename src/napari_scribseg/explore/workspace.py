"""A workspace: images, their segments, what they look like, and their classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_scribseg.core import ClassTable, InputError, Report, Scribbles, Stroke, silent
from napari_scribseg.core.classes import MAX_ID
from napari_scribseg.explore.correction import as_pixels, split_mask
from napari_scribseg.explore.cutting import CutSettings, Cutter, with_threshold
from napari_scribseg.explore.gradients import as_edge_map
from napari_scribseg.explore.history import History, MapPatch, Step
from napari_scribseg.explore.pictures import Added, Picture, Pictures, read_pictures
from napari_scribseg.explore.segments import SegmentTable, describe_regions

__all__ = ["Workspace"]

BATCH = 15  # images, as in the authors' code
REGIONS = 50  # segments an image, where no threshold was chosen

Ids = NDArray[np.int64]
_WHOLE = (slice(None), slice(None))


class Workspace:
    """Images cut into segments that get their classes many at a time.

    Parameters
    ----------
    classes : ClassTable, optional
        Names and colours; classes that :meth:`assign` is given and that it does not know are added.
    device : str
        Where encoders run: ``"auto"``, ``"cpu"``, ``"cuda"``.

    Attributes
    ----------
    images_changed : Signal()
        Images were added.
    segments_changed : Signal(tuple of int)
        These images have other segments.
    labels_changed : Signal(ndarray of int64)
        These segments have another class.
    places_changed : Signal()
        The plane has other places; segments may have moved, come or gone.
    classes_changed : Signal()
        There are other classes, names or colours.

    Notes
    -----
    Every method may be called from any thread. Signals are emitted in the thread of the caller: connect a window with
    psygnal's ``thread="main"``. Long methods take a ``report`` and end where it raises
    :class:`~napari_scribseg.core.Cancelled`; the workspace is then what it was before, or holds the part that was
    finished. Segments have ids: whole numbers from 1 on that stand for the same pixels as long as the workspace lives.
    """

    images_changed = Signal()
    segments_changed = Signal(tuple)
    labels_changed = Signal(np.ndarray)
    places_changed = Signal()
    classes_changed = Signal()

    def __init__(self, classes: ClassTable | None = None, *, device: str = "auto") -> None:
        self._classes = classes or ClassTable()
        self.device = device
        self.pictures: list[Picture] = []
        self.settings = CutSettings()
        self.table = SegmentTable()
        self._cutter = Cutter(device)
        self._history = History()
        self._lock = RLock()

    # images

    def add_images(self, images: Pictures) -> Added:
        """Add images; they have no segments until :meth:`cut`.

        Parameters
        ----------
        images : path, array, Image, or an iterable of those
            A file, a folder, arrays of shape (H, W) or (H, W, C), :class:`~napari_scribseg.Image`. Sizes and channels
            may differ. A volume becomes its slices along the first axis.

        Returns
        -------
        Added
            The new indices, and a sentence for each file that was skipped because it cannot be read.

        Raises
        ------
        InputError
            If nothing could be read, or an array is no image; nothing is added then.
        """
        pictures, skipped = read_pictures(images, 1 + max((p.volume for p in self.pictures), default=0))
        with self._lock:
            first = len(self.pictures)
            self.pictures += pictures
            self.table.add_images(len(pictures))
        self.images_changed.emit()
        return Added(tuple(range(first, first + len(pictures))), tuple(skipped))

    def set_edges(self, index: int, edges: ArrayLike) -> None:
        """Give an edge map of shape (H, W) for an image, for ``cut(gradient="given")``."""
        picture = self._picture(index)
        self._cutter.set_edges(index, as_edge_map(edges, picture.shape))

    def next_batch(self, size: int = BATCH) -> tuple[int, ...]:
        """The next images without segments, at most so many, to be given to :meth:`cut`."""
        return tuple(i for i, found in enumerate(self.table.maps) if found is None)[:size]

    # segments

    def cut(
        self,
        images: Iterable[int] | None = None,
        *,
        threshold: float | None = None,
        regions: float = REGIONS,
        report: Report = silent,
        **settings: Any,
    ) -> tuple[int, ...]:
        """Cut images into segments; segments that stay the same keep id, class, features and place.

        Parameters
        ----------
        images : iterable of int, optional
            All by default.
        threshold : float, optional
            See :class:`CutSettings`. Where none is given and the images were not cut yet by these settings, the one at
            which they have ``regions`` segments on average.
        regions : float
            See ``threshold``.
        report : Report
        **settings
            ``gradient``, ``criterion``, ``simplification`` of :class:`CutSettings`; those of the last cut by default.

        Returns
        -------
        tuple of int
            Images whose segments changed.

        Raises
        ------
        InputError
            If an index or a setting is wrong, an edge map is missing, or higra is not installed.
        Cancelled
            If ``report`` asked for it; nothing has changed.
        """
        indices = list(range(len(self.pictures))) if images is None else [int(i) for i in images]
        if not indices:
            raise InputError("there are no images to cut; add some first")
        pictures = [self._picture(i) for i in indices]
        chosen = self._chosen(threshold, settings)
        hierarchies = []
        for n, (index, picture) in enumerate(zip(indices, pictures, strict=True)):
            report(n / len(indices))
            hierarchies.append(self._cutter.hierarchy(index, picture, chosen))
        if threshold is None and (chosen != self.settings or not chosen.threshold):
            chosen = with_threshold(chosen, hierarchies, regions)
        cuts = [hierarchy.cut(chosen.threshold) for hierarchy in hierarchies]
        report(1.0)
        with self._lock:
            self.settings = chosen
            patches = [p for i, cut in zip(indices, cuts, strict=True) if (p := self._placed(i, cut)) is not None]
            none = np.zeros(0, dtype=np.int64)
            if patches:
                self._apply(Step("cut", tuple(patches), none, none.astype(np.int32), none.astype(np.int32)))
        return self._changed(patches)

    def preview(self, index: int, threshold: float | None = None, **settings: Any) -> NDArray[np.int32]:
        """What :meth:`cut` would make of an image: regions 0 to k - 1, shape (H, W). Nothing changes."""
        chosen = self._chosen(threshold, settings)
        return self._cutter.hierarchy(index, self._picture(index), chosen).cut(chosen.threshold)

    def gradient(self, index: int, kind: str | None = None) -> NDArray[np.float32]:
        """The gradient that an image is cut by, shape (H, W), 0 to 1."""
        chosen = replace(self.settings, gradient=kind) if kind else self.settings  # type: ignore[arg-type]
        return self._cutter.gradient(index, self._picture(index), chosen.gradient)

    def split(
        self,
        segment: int,
        positive: ArrayLike | Stroke | list[Stroke],
        negative: ArrayLike | Stroke | list[Stroke],
    ) -> tuple[Ids, Ids]:
        """Split a segment by strokes, by the image foresting transform on the gradient of its image.

        Parameters
        ----------
        segment : int
        positive, negative : mask of shape (H, W), pixels of shape (N, 2), Stroke, or list of Stroke
            In coordinates of the image; what lies outside of the segment does not count.

        Returns
        -------
        tuple of 2 ndarray of int64
            Ids of the positive and of the negative parts. The positive parts keep the class, the negative ones have
            none. They lie where the segment lay until :meth:`embed` finds their own places.

        Raises
        ------
        InputError
            If there is no such segment, or not a stroke of each sign in it.
        """
        with self._lock:
            (identity,) = self.table.require([segment])
            index = int(self.table.image[identity])
            picture, window = self.pictures[index], self._window(identity)
            before = self._map(index)[window]
            marks = [as_pixels(strokes, picture.shape)[window] for strokes in (positive, negative)]
            gradient = self._cutter.around(index, picture, self.settings.gradient, window)
            mask = before == identity
            parts, n_positive = split_mask(gradient, mask, *marks)
            origin = (window[0].start, window[1].start)
            ids = self.table.identify(index, describe_regions(parts, origin, picture.shape[1]))
            new = ids[~self.table.described(ids)]
            self.table.place[new] = self.table.place[identity]
            after = before.copy()
            after[mask] = ids[parts[mask]]
            patch = MapPatch.of(index, window, before, after)
            labels = np.where(np.arange(len(ids)) < n_positive, self.table.label[identity], 0).astype(np.int32)
            self._apply(Step("split", (patch,), ids, self.table.label[ids], labels))
        self._changed([patch])
        return ids[:n_positive], ids[n_positive:]

    # classes

    @property
    def classes(self) -> ClassTable:
        """Names and colours; the class marked as background is written as 0."""
        return self._classes

    @classes.setter
    def classes(self, classes: ClassTable) -> None:
        if classes != self._classes:
            self._classes = classes
            self.classes_changed.emit()

    def assign(self, ids: ArrayLike, label: int) -> Ids:
        """Give segments a class; one step of undo.

        Parameters
        ----------
        ids : array_like of int
            Segments, such as those in a box or lasso: :meth:`inside`.
        label : int
            Id of a class, 1 to 65535; 0 takes the class away.

        Returns
        -------
        ndarray of int64
            The segments that had another class before.

        Raises
        ------
        InputError
            If one of them is no segment now, or the class cannot be.
        """
        if isinstance(label, bool) or int(label) != label or not 0 <= label <= MAX_ID:
            raise InputError(f"the class is {label!r}; a whole number from 0 (none) to {MAX_ID} is expected")
        with self._lock:
            wanted = self.table.require(ids)
            wanted = wanted[self.table.label[wanted] != label]
            if not len(wanted):
                return wanted
            after = np.full(len(wanted), label, dtype=np.int32)
            self._apply(Step("assign", (), wanted, self.table.label[wanted], after))
        if label and label not in self.classes:
            self.classes = self.classes.with_ids([int(label)])
        self.labels_changed.emit(wanted)
        return wanted

    def undo(self) -> str:
        """Take back the last assignment, split or cut; its kind, empty where there is none."""
        return self._turn(back=True)

    def redo(self) -> str:
        """Do again what was taken back last; its kind, empty where there is nothing."""
        return self._turn(back=False)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._history.done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._history.undone)

    # what a window asks

    def ids(self, index: int | None = None) -> Ids:
        """The segments of an image, or of all."""
        return self.table.ids(index if index is None else self._index(index))

    def segments(self, index: int) -> NDArray[np.int32]:
        """The id of the segment of each pixel, shape (H, W); 0 everywhere where the image was not cut. A copy."""
        with self._lock:
            return self._map(self._index(index)).copy()

    def segment_at(self, index: int, row: int, column: int) -> int:
        """The segment of a pixel; 0 outside of the image and where it was not cut."""
        height, width = self._picture(index).shape
        inside = 0 <= row < height and 0 <= column < width
        return int(self._map(index)[row, column]) if inside else 0

    def labels(self, index: int) -> NDArray[Any]:
        """The label image, shape (H, W), uint8 or uint16: 0 where no class is assigned, and for the background."""
        with self._lock:
            table = self.table.label.copy()
            found = self._map(self._index(index))
        if self.classes.background is not None:
            table[table == self.classes.background] = 0
        labels = table[found]
        return labels.astype(np.uint8 if labels.max(initial=0) <= 255 else np.uint16)

    def _chosen(self, threshold: float | None, settings: dict[str, Any]) -> CutSettings:
        known = {"gradient", "criterion", "simplification"}
        if not set(settings) <= known:
            raise InputError(f"the settings {sorted(set(settings) - known)} are unknown; {sorted(known)} are expected")
        chosen = replace(self.settings, **settings)
        return chosen if threshold is None else replace(chosen, threshold=threshold)

    def _index(self, index: int) -> int:
        if isinstance(index, bool) or int(index) != index or not 0 <= index < len(self.pictures):
            raise InputError(f"there is no image {index!r}; 0 to {len(self.pictures) - 1} are expected")
        return int(index)

    def _picture(self, index: int) -> Picture:
        return self.pictures[self._index(index)]

    def _map(self, index: int) -> NDArray[np.int32]:
        found = self.table.maps[index]
        return np.zeros(self.pictures[index].shape, dtype=np.int32) if found is None else found

    def _window(self, identity: int) -> tuple[slice, slice]:
        top, left, bottom, right = (int(n) for n in self.table.box[identity])
        return slice(top, bottom), slice(left, right)

    def _placed(self, index: int, regions: NDArray[np.int32]) -> MapPatch | None:
        """The change that makes regions the segments of an image; None where they are it already."""
        ids = self.table.identify(index, describe_regions(regions, (0, 0), regions.shape[1]))
        after = ids.astype(np.int32)[regions]
        before = self.table.maps[index]
        if before is not None and np.array_equal(before, after):
            return None
        return MapPatch.of(index, _WHOLE, before, after)

    def _apply(self, step: Step) -> None:
        self._history.add(step)
        self._show(step, after=True)

    def _show(self, step: Step, *, after: bool) -> None:
        for patch in step.patches:
            self.table.put(patch.image, patch.window, patch.ids(after), self.pictures[patch.image].shape)
        self.table.label[step.ids] = step.after if after else step.before

    def _changed(self, patches: Sequence[MapPatch]) -> tuple[int, ...]:
        images = tuple(dict.fromkeys(patch.image for patch in patches))
        if images:
            self.segments_changed.emit(images)
            self.places_changed.emit()
        return images

    def _turn(self, *, back: bool) -> str:
        with self._lock:
            step = self._history.back() if back else self._history.forth()
            if step is None:
                return ""
            self._show(step, after=not back)
        self._changed(step.patches)
        if len(step.ids):
            self.labels_changed.emit(step.ids)
        return step.kind
