"""A workspace: images, their segments, what they look like, and their classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from threading import RLock
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_scribseg.core import ClassTable, InputError, Report, Scribbles, Stroke, silent
from napari_scribseg.core.classes import MAX_ID
from napari_scribseg.explore import output, storage
from napari_scribseg.explore.cache import FeatureCache, default_folder
from napari_scribseg.explore.cutting import CutSettings
from napari_scribseg.explore.editor import Editor
from napari_scribseg.explore.gradients import as_edge_map
from napari_scribseg.explore.looks import Looks
from napari_scribseg.explore.pictures import Added, Picture, Pictures, read_pictures
from napari_scribseg.explore.segments import SegmentTable

__all__ = ["Workspace"]

BATCH = 15  # images, as in the authors' code
REGIONS = 50  # segments an image, where no threshold was chosen

Ids = NDArray[np.int64]
Filter = Literal["all", "unlabelled", "uncertain"]
UNCERTAIN = 0.5  # of the entropy; from here on a segment is called uncertain


class Workspace:
    """Images cut into segments that get their classes many at a time.

    Parameters
    ----------
    classes : ClassTable, optional
        Names and colours; classes that :meth:`assign` is given and that it does not know are added.
    device : str
        Where encoders run: ``"auto"``, ``"cpu"``, ``"cuda"``.
    cache : PathLike, optional
        Folder for features; the user's cache folder by default.

    Attributes
    ----------
    pictures : list of Picture
        The images.
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

    def __init__(
        self,
        classes: ClassTable | None = None,
        *,
        device: str = "auto",
        cache: str | PathLike[str] | None = None,
    ) -> None:
        self._classes = classes or ClassTable()
        self.pictures: list[Picture] = []
        self.table = SegmentTable()
        self._lock = RLock()
        self._editor = Editor(self.table, self.pictures, self._lock, device)
        folder = default_folder() if cache is None else Path(cache)
        self._looks = Looks(self.table, self.pictures, self._lock, device, FeatureCache(folder))

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
        self._editor.cutter.set_edges(index, as_edge_map(edges, picture.shape))

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
        indices = [self._index(i) for i in indices]
        changed = self._editor.cut(indices, threshold, regions, settings, report)
        self._segments_changed(changed)
        return changed

    @property
    def settings(self) -> CutSettings:
        """How the images were cut last."""
        return self._editor.settings

    def preview(self, index: int, threshold: float | None = None, **settings: Any) -> NDArray[np.int32]:
        """What :meth:`cut` would make of an image: regions 0 to k - 1, shape (H, W). Nothing changes."""
        chosen = self._editor.chosen(threshold, settings)
        return self._editor.cutter.hierarchy(index, self._picture(index), chosen).cut(chosen.threshold)

    def gradient(self, index: int, kind: str | None = None) -> NDArray[np.float32]:
        """The gradient that an image is cut by, shape (H, W), 0 to 1."""
        chosen = replace(self.settings, gradient=kind) if kind else self.settings  # type: ignore[arg-type]
        return self._editor.cutter.gradient(index, self._picture(index), chosen.gradient)

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
        positives, negatives, index = self._editor.split(segment, positive, negative)
        self._segments_changed((index,))
        self.labels_changed.emit(np.concatenate((positives, negatives)))
        return positives, negatives

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
        wanted = self._editor.assign(ids, int(label))
        if not len(wanted):
            return wanted
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
        return bool(self._editor.history.done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._editor.history.undone)

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

    def inside(self, outline: ArrayLike, ids: ArrayLike | None = None) -> Ids:
        """The segments whose places lie in a box or lasso.

        Parameters
        ----------
        outline : array_like of shape (2, 2) or (N, 2)
            Two opposite corners of a box, or the corners of a lasso, in coordinates of :meth:`places`.
        ids : array_like of int, optional
            Look among these only; all by default.
        """
        among = self.ids() if ids is None else self.table.require(ids)
        return output.inside(self.table.place[among], np.asarray(outline, dtype=np.float64), among)

    def places(self, ids: ArrayLike) -> NDArray[np.float32]:
        """Places in the plane, shape (n, 2), in the order of ``ids``; NaN where a segment was not embedded yet."""
        return self.table.place[np.asarray(ids, dtype=np.int64)]

    def thumbnail(self, segment: int, size: int = 48) -> NDArray[np.uint8]:
        """A small picture of a segment and a little around it, which is darker; shape (size, size, 3)."""
        (identity,) = self.table.require([segment])
        index = int(self.table.image[identity])
        return output.thumbnail(self.pictures[index], self._map(index), int(identity), self.table.box[identity], size)

    # what they look like

    def use_encoder(self, view: str = "maps", backbone: str = "") -> None:
        """Choose what describes segments; features, metric and plane of another choice are forgotten.

        Parameters are those of :func:`~napari_scribseg.explore.encoders.make_encoder`: ``"maps"`` (one look at each
        image) or ``"crops"`` (a look at each segment, as in the paper), and the network.
        """
        self._looks.use(view, backbone)

    def embed(self, *, refit: bool = False, report: Report = silent) -> Ids:
        """Describe the segments that are new, and give them places in the plane; those that have one stay.

        Parameters
        ----------
        refit : bool
            Place all anew, by their classes too, starting from where they are.
        report : Report

        Returns
        -------
        ndarray of int64
            The segments that got places.

        Raises
        ------
        InputError
            If there are no segments, umap-learn is not installed, or a network cannot be had.
        Cancelled
            If ``report`` asked for it; features that were computed are kept.
        """
        placed = self._looks.embed(refit=refit, report=report)
        if len(placed):
            self.places_changed.emit()
        return placed

    def learn(self, report: Report = silent) -> int:
        """Learn from the classes which segments are alike, and place all segments anew, from where they are.

        One round of metric learning on a linear layer behind the encoder; further rounds go on from it.

        Returns
        -------
        int
            How many labelled segments were learned from.

        Raises
        ------
        InputError
            If there are labelled segments of fewer than two classes, or a package of the extra is missing.
        Cancelled
            If ``report`` asked for it; nothing was learned then.
        """
        count = self._looks.learn(report)
        self.places_changed.emit()
        return count

    def local_places(self, ids: ArrayLike, report: Report = silent) -> tuple[Ids, NDArray[np.float32]]:
        """A plane of its own for a selection, in which nearest neighbours matter most.

        Returns
        -------
        ids : ndarray of shape (n,), int64
        places : ndarray of shape (n, 2), float32
            The places of the workspace do not change.
        """
        wanted = self.table.require(ids)
        return wanted, self._looks.local(wanted, report)

    def uncertainty(self, ids: ArrayLike | None = None) -> NDArray[np.float32]:
        """How uncertain the class of each segment is by its looks, 0 to 1, in the order of ``ids`` (all by default)."""
        return self._looks.uncertainty(self.ids() if ids is None else np.asarray(ids, dtype=np.int64))

    def filtered(self, which: Filter) -> Ids:
        """All segments, the unlabelled ones, or the unlabelled ones whose uncertainty is at least 0.5."""
        ids = self.ids()
        if which not in ("all", "unlabelled", "uncertain"):
            raise InputError(f"the filter is {which!r}; one of all, unlabelled, uncertain is expected")
        if which == "all":
            return ids
        ids = ids[self.table.label[ids] == 0]
        return ids if which == "unlabelled" else ids[self._looks.uncertainty(ids) >= UNCERTAIN]

    def most_uncertain(self, count: int = 1) -> Ids:
        """The unlabelled segments to look at next, the most uncertain first."""
        ids = self.filtered("unlabelled")
        return ids[np.argsort(-self._looks.uncertainty(ids), kind="stable")[:count]]

    # output

    def labels(self, index: int) -> NDArray[Any]:
        """The label image, shape (H, W), uint8 or uint16: 0 where no class is assigned, and for the background."""
        with self._lock:
            return output.label_image(self._map(self._index(index)), self.table.label, self.classes.background)

    def scribbles(self, index: int) -> Scribbles:
        """Strokes for an engine from the classes of an image: the middle lines of its labelled segments.

        Raises
        ------
        InputError
            If no segment of the image has a class.
        """
        with self._lock:
            return output.as_scribbles(self._map(self._index(index)), self.table.label, self.classes.background)

    def save_labels(self, folder: str | PathLike[str], extension: str = ".nii.gz") -> tuple[Path, ...]:
        """Write the labels of all images that were cut, one file for each image or volume, with names and colours.

        Returns
        -------
        tuple of Path
            The files written: ``NAME_labels.nii.gz`` and its table of classes.

        Raises
        ------
        InputError
            If nothing was cut, or a file cannot be written; see :func:`napari_scribseg.io.write_labels`.
        """
        return output.save_labels(self, Path(folder).expanduser(), extension)

    def save(self, path: str | PathLike[str]) -> None:
        """Write images' places, segments, classes, features, what was learned and the plane to one file.

        Images that came from files are named, not copied. Undo does not outlive a file.

        Raises
        ------
        InputError
            If the file cannot be written; one that was there is unchanged.
        """
        with self._lock:
            content = storage.pack(self)
        storage.write(content, Path(path).expanduser())

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        device: str = "auto",
        cache: str | PathLike[str] | None = None,
    ) -> Workspace:
        """Go on with a workspace from a file.

        Raises
        ------
        InputError
            If the file is missing, damaged, not a workspace or from a newer version, or an image of it is not where it
            was nor beside the file, or has changed its size.
        """
        workspace = cls(device=device, cache=cache)
        storage.restore(workspace, Path(path).expanduser())
        return workspace

    def _index(self, index: int) -> int:
        if isinstance(index, bool) or int(index) != index or not 0 <= index < len(self.pictures):
            raise InputError(f"there is no image {index!r}; 0 to {len(self.pictures) - 1} are expected")
        return int(index)

    def _picture(self, index: int) -> Picture:
        return self.pictures[self._index(index)]

    def _map(self, index: int) -> NDArray[np.int32]:
        found = self.table.maps[index]
        return np.zeros(self.pictures[index].shape, dtype=np.int32) if found is None else found

    def _segments_changed(self, images: Sequence[int]) -> None:
        if images:
            self.segments_changed.emit(tuple(images))
            self.places_changed.emit()

    def _turn(self, *, back: bool) -> str:
        step = self._editor.turn(back=back)
        if step is None:
            return ""
        self._segments_changed(tuple(dict.fromkeys(patch.image for patch in step.patches)))
        if len(step.ids):
            self.labels_changed.emit(step.ids)
        return step.kind
