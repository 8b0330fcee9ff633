"""A workspace: images, their segments, the feature space of these, and their classes."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_scribseg.core import ClassTable, InputError, Report, Scribbles, Stroke, silent
from napari_scribseg.core.classes import MAX_ID
from napari_scribseg.core.paths import user_path
from napari_scribseg.explore import storage
from napari_scribseg.explore.cutting import CutSettings, Cutter, Gradient
from napari_scribseg.explore.edits import Edit, as_mask, assign_edit, box_of, cut_edit, split_edit
from napari_scribseg.explore.embedding import fit_embedding, inside
from napari_scribseg.explore.feature_cache import FeatureCache, default_folder
from napari_scribseg.explore.feature_space import Embedded, FeatureSpace, Learned, Resources
from napari_scribseg.explore.gradients import as_edge_map
from napari_scribseg.explore.hierarchy import common_threshold
from napari_scribseg.explore.labelling import Labelling
from napari_scribseg.explore.segments import SegmentTable
from napari_scribseg.explore.task import WorkspaceTask
from napari_scribseg.explore.thumbnails import Thumbnails, thumbnails
from napari_scribseg.explore.uncertainty import uncertainty
from napari_scribseg.explore.workspace_images import Added, Picture, Pictures, read_pictures
from napari_scribseg.io.lock import FileLock
from napari_scribseg.kernel import Autosave, Deliver, History
from napari_scribseg.numerics.device import choose_device

__all__ = ["Filter", "Workspace"]

BATCH = 15  # images, as in the authors' code
REGIONS = 50  # segments an image, where no threshold was chosen
UNCERTAIN = 0.5  # entropy from which on a segment is called uncertain

Filter = Literal["all", "unlabelled", "uncertain"]
Ids = NDArray[np.int64]
Float32 = NDArray[np.float32]


class Workspace:
    """Images cut into segments that get their classes many at a time.

    Parameters
    ----------
    classes : ClassTable, optional
        Names and colours; :meth:`assign` adds the classes that are missing.
    device : str
        Where encoders run: ``"auto"``, ``"cpu"``, ``"cuda"``.
    cache : PathLike, optional
        Folder for features; the user's cache folder by default.
    subprocess : bool
        Build hierarchies in a subprocess: for windows, which higra would block.

    Attributes
    ----------
    pictures : list of Picture
        The images.
    table : SegmentTable
        The segments.
    settings : CutSettings
        Of the last cut.
    space : FeatureSpace
        The encoder, and what was learned.
    images_changed : Signal()
        Images were added.
    segments_changed : Signal(tuple of int)
        These images have other segments.
    labels_changed : Signal(ndarray of int64)
        These segments have another class.
    embedding_changed : Signal()
        Segments have other positions in the embedding, came or went.
    classes_changed : Signal()
        There are other classes, names or colours.

    Notes
    -----
    All methods belong to one thread, the owner's, in which the signals are emitted. A method that takes long has a twin
    that gives it as a :class:`~napari_scribseg.explore.task.WorkspaceTask`, whose work any thread may do, such as a
    worker of a window. It ends where ``report`` raises :class:`~napari_scribseg.core.Cancelled`; the workspace is then
    as before, or has the part that was finished. Segments have ids: whole numbers from 1 on that stand for the same
    pixels as long as the workspace exists.
    """

    images_changed = Signal()
    segments_changed = Signal(tuple)
    labels_changed = Signal(np.ndarray)
    embedding_changed = Signal()
    classes_changed = Signal()

    def __init__(
        self,
        classes: ClassTable | None = None,
        *,
        device: str = "auto",
        cache: str | PathLike[str] | None = None,
        subprocess: bool = False,
    ) -> None:
        self.pictures: list[Picture] = []
        self.table = SegmentTable()
        self.settings = CutSettings()
        self._classes = classes or ClassTable()
        self._device, self._cache = device, FeatureCache(default_folder() if cache is None else Path(cache))
        self._cutter = Cutter(device, subprocess=subprocess)
        self.space = FeatureSpace()
        self._history: History[Edit] = History(min_steps=1, max_steps=1000, max_bytes=512 << 20)
        self._autosave: Autosave[storage.Snapshot] | None = None
        for signal in (
            self.images_changed,
            self.segments_changed,
            self.labels_changed,
            self.embedding_changed,
            self.classes_changed,
        ):
            signal.connect(self._touch)

    # images

    def add_images(self, images: Pictures, name: str = "", *, report: Report = silent) -> Added:
        """Add images; they have no segments until :meth:`cut`.

        Parameters
        ----------
        images : path, array, Image, Source, or an iterable of those
            A path is a file, or a folder of image files (sorted by name, hidden ones left out) or of a DICOM series. An
            array is one image of shape (H, W) or (H, W, C). A volume, in a file or as a 3D
            :class:`~napari_scribseg.Image` or :class:`~napari_scribseg.core.source.Source`, becomes its slices along
            the first axis. Sizes and channels may differ.
        name : str
            For images that are no files; numbered where there are several.
        report : Report

        Returns
        -------
        Added
            The new indices, and a message for each file that cannot be read and was skipped.

        Raises
        ------
        InputError
            If nothing could be read, or an array is no image; nothing is added then.
        Cancelled
            If ``report`` asked for it; nothing is added then.
        """
        return self.add_task(lambda: images, name)(report)

    def add_task(
        self, images: Callable[[], Pictures], name: str = ""
    ) -> WorkspaceTask[tuple[list[Picture], list[str]], Added]:
        """:meth:`add_images` as a task; ``images()`` gives the images, in its thread."""
        volume = 1 + max((p.volume for p in self.pictures), default=0)

        def work(report: Report, _deliver: Deliver) -> tuple[list[Picture], list[str]]:
            found = read_pictures(images(), volume, name)
            report(1.0)
            return found

        def finish(found: tuple[list[Picture], list[str]]) -> Added:
            pictures, skipped = found
            first = len(self.pictures)
            self.pictures += pictures
            self.table.add_images([p.shape for p in pictures])
            self.images_changed.emit()
            return Added(tuple(range(first, first + len(pictures))), tuple(skipped))

        return WorkspaceTask(work, finish)

    def set_edges(self, index: int, edges: ArrayLike) -> None:
        """Give an edge map of shape (H, W) for an image, for ``cut(gradient="given")``."""
        self._cutter.set_edges(index, as_edge_map(edges, self._picture(index).shape))

    def has_edges(self, index: int) -> bool:
        """Whether an image has an edge map for ``cut(gradient="given")``."""
        return self._index(index) in self._cutter.edges

    # segments

    def cut(
        self,
        images: Iterable[int] | None = None,
        *,
        threshold: float | None = None,
        regions: float | None = None,
        report: Report = silent,
        **settings: Any,
    ) -> tuple[int, ...]:
        """Cut images into segments; those that stay the same keep id, class, features and embedding.

        Parameters
        ----------
        images : iterable of int, optional
            All by default.
        threshold : float, optional
            See :class:`CutSettings`; that of the last cut by default.
        regions : float, optional
            Choose the threshold that gives this number of segments an image on average; 50 where there is no threshold
            yet, or the criterion or the gradient changes.
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
            If ``report`` asked for it; no segment has changed.
        """
        return self.cut_task(images, threshold=threshold, regions=regions, **settings)(report)

    def cut_task(
        self,
        images: Iterable[int] | None = None,
        *,
        threshold: float | None = None,
        regions: float | None = None,
        **settings: Any,
    ) -> WorkspaceTask[tuple[CutSettings, dict[int, NDArray[np.int32]]], tuple[int, ...]]:
        """:meth:`cut` as a task."""
        indices = [self._index(i) for i in (range(len(self.pictures)) if images is None else images)]
        if not indices:
            raise InputError("there are no images to cut; add some first")
        if threshold is not None and regions is not None:
            raise InputError("a threshold and a number of regions were given; one of the two is expected")
        chosen = self._chosen(threshold, settings)
        is_given = threshold is not None or (regions is None and chosen == self.settings and chosen.threshold)
        builders = [self._cutter.hierarchy(i, self.pictures[i], chosen) for i in indices]

        def work(report: Report, deliver: Deliver) -> tuple[CutSettings, dict[int, NDArray[np.int32]]]:
            hierarchies = []
            for n, build in enumerate(builders):
                report(n / len(builders))
                hierarchies.append(build(deliver))
            best = (
                chosen.threshold if is_given else common_threshold(hierarchies, REGIONS if regions is None else regions)
            )
            cuts = {i: hierarchy.cut(best) for i, hierarchy in zip(indices, hierarchies, strict=True)}
            report(1.0)
            return replace(chosen, threshold=best), cuts

        def finish(result: tuple[CutSettings, dict[int, NDArray[np.int32]]]) -> tuple[int, ...]:
            self.settings, cuts = result
            edit = cut_edit(self.table, cuts)
            self._apply(edit)
            return () if edit is None else edit.images

        return WorkspaceTask(work, finish)

    def preview(self, index: int, threshold: float | None = None, **settings: Any) -> NDArray[np.int32]:
        """Regions that :meth:`cut` would make of an image: 0 to k - 1, shape (H, W). Nothing changes."""
        return self.preview_task(index, threshold, **settings)()

    def preview_task(
        self, index: int, threshold: float | None = None, **settings: Any
    ) -> WorkspaceTask[NDArray[np.int32], NDArray[np.int32]]:
        """:meth:`preview` as a task."""
        chosen = self._chosen(threshold, settings)
        build = self._cutter.hierarchy(index, self._picture(index), chosen)
        return WorkspaceTask(lambda _report, deliver: build(deliver).cut(chosen.threshold))

    def gradient(self, index: int, kind: Gradient | None = None) -> Float32:
        """The gradient that an image is cut by, or one of another kind, shape (H, W), 0 to 1."""
        chosen = self.settings if kind is None else replace(self.settings, gradient=kind)
        return self._cutter.gradient(index, self._picture(index), chosen.gradient)

    def next_batch(self, size: int = BATCH) -> tuple[int, ...]:
        """The next images without segments, at most so many, to be given to :meth:`cut`."""
        return tuple(i for i, found in enumerate(self.table.maps) if found is None)[:size]

    def set_segments(self, index: int, regions: ArrayLike) -> None:
        """Take the segments of an image from elsewhere: integers of shape (H, W), each value one segment."""
        given, shape = np.asarray(regions), self._picture(index).shape
        if given.shape != shape or given.dtype.kind not in "iu":
            raise InputError(
                f"the segments have shape {given.shape} and type {given.dtype}; integers of shape {shape} are expected"
            )
        compact = np.unique(given, return_inverse=True)[1].reshape(shape).astype(np.int32)
        self._apply(cut_edit(self.table, {index: compact}))

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
            In coordinates of the image; pixels outside the segment do not count.

        Returns
        -------
        tuple of 2 ndarray of int64
            Ids of the positive and of the negative parts. The positive parts keep the class, the negative ones have
            none. They have the segment's position in the embedding until :meth:`embed`.

        Raises
        ------
        InputError
            If there is no such segment, or not a stroke of each sign in it.
        """
        (identity,) = self.table.require([segment]).tolist()
        index, window = int(self.table.image[identity]), box_of(self.table, identity)
        marks = [as_mask(strokes, self.pictures[index].shape)[window] for strokes in (positive, negative)]
        gradient = self.gradient(index)[window]
        edit, positives, negatives = split_edit(self.table, identity, gradient, *marks)
        self._apply(edit)
        return positives, negatives

    def ids(self, index: int | None = None) -> Ids:
        """The segments of an image, or of all."""
        return self.table.ids(index if index is None else self._index(index))

    def segments(self, index: int) -> NDArray[np.int32]:
        """The id of the segment of each pixel, shape (H, W); 0 everywhere where the image was not cut. A copy."""
        return self.table.map(self._index(index)).copy()

    def segment_at(self, index: int, row: int, column: int) -> int:
        """The segment of a pixel; 0 outside of the image and where it was not cut."""
        height, width = self._picture(index).shape
        is_inside = 0 <= row < height and 0 <= column < width
        return int(self.table.map(index)[row, column]) if is_inside else 0

    def thumbnail(self, segment: int, size: int = 48) -> NDArray[np.uint8]:
        """A small picture of a segment and its surroundings, which are darker; shape (size, size, 3)."""
        _, made = self.thumbnails_task(self.table.require([segment]), size)()
        pixels: NDArray[np.uint8] = made[0]
        return pixels

    def thumbnails_task(self, ids: Ids, size: int = 48) -> WorkspaceTask[Thumbnails, Thumbnails]:
        """Ids and thumbnails, shape (n, size, size, 3), of those of the segments that there are, as a task."""
        ids = ids[self.table.alive(ids)]
        segments, pictures = self.table.snapshot(ids), tuple(self.pictures)
        return WorkspaceTask(lambda _report, _deliver: thumbnails(pictures, segments, size))

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
            The segments whose class changed.

        Raises
        ------
        InputError
            If an id is no segment now, or the class is no valid id.
        """
        if isinstance(label, bool) or int(label) != label or not 0 <= label <= MAX_ID:
            raise InputError(f"the class is {label!r}; a whole number from 0 (none) to {MAX_ID} is expected")
        edit = assign_edit(self.table, ids, int(label))
        if edit is None:
            return np.zeros(0, dtype=np.int64)
        if label and label not in self.classes:
            self.classes = self.classes.with_ids([int(label)])
        self._apply(edit)
        return edit.ids

    def undo(self) -> str:
        """Undo the last assignment, split or cut; returns its kind, empty where there is none."""
        return self._apply(self._history.undo(), after=False)

    def redo(self) -> str:
        """Redo the step that was undone last; returns its kind, empty where there is none."""
        return self._apply(self._history.redo(), after=True)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return self._history.can_redo

    # feature space

    @property
    def encoder(self) -> tuple[str, str]:
        """What describes segments: view and network, as :meth:`use_encoder` takes them."""
        return self.space.view, self.space.backbone

    def use_encoder(self, view: str = "maps", backbone: str = "") -> None:
        """Choose what describes segments; features, metric and embedding of another choice are dropped.

        Parameters are those of :func:`~napari_scribseg.explore.encoders.make_encoder`: ``"maps"`` (each image is shown
        once) or ``"crops"`` (each segment by itself, as in the paper), and the network.
        """
        space = FeatureSpace(view, backbone)
        space.encoder(self._device)
        if (view, backbone) != self.encoder:
            self.space = space
            self.table.clear_features()
            self.table.has_embedding[:] = False

    @property
    def device(self) -> str:
        """Where networks compute, as it was chosen: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``."""
        return self._device

    def use_device(self, device: str) -> None:
        """Choose where networks compute from now on; what was computed stays.

        Raises
        ------
        InputError
            If the name is unknown, or there is no such device.
        """
        choose_device(device)
        self._device = self._cutter.device = device

    def embed(self, *, refit: bool = False, report: Report = silent) -> Ids:
        """Describe and embed the segments that are new; those that have an embedding do not move.

        Where the new ones outnumber the others, all are embedded again, from where they are.

        Parameters
        ----------
        refit : bool
            Embed all again, by their classes too, from where they are.
        report : Report

        Returns
        -------
        ndarray of int64
            The segments that were embedded.

        Raises
        ------
        InputError
            If there are no segments, or a network cannot be loaded.
        Cancelled
            If ``report`` asked for it; features that were computed are kept.
        """
        return self.embed_task(refit=refit)(report)

    def embed_task(self, *, refit: bool = False) -> WorkspaceTask[Embedded, Ids]:
        """:meth:`embed` as a task."""
        space, segments = self.space, self.table.snapshot(self.ids())
        if not len(segments.ids):
            raise InputError("there are no segments to embed; cut the images first")

        def work(report: Report, deliver: Deliver) -> Embedded:
            return space.embed(segments, self._resources(space, deliver, pictures), report, refit=refit)

        pictures = tuple(self.pictures)
        return WorkspaceTask(work, partial(self._take_embedding, space))

    def learn(self, report: Report = silent, *, backbone: bool = False) -> int:
        """Learn a metric from the classes, and embed all segments again, from where they are.

        One round trains a linear layer behind the encoder; further rounds continue from it.

        Parameters
        ----------
        report : Report
        backbone : bool
            Train the last stage of the encoder's network, too, and describe all segments again: for a network of this
            package, in both views.

        Returns
        -------
        int
            How many labelled segments were learned from.

        Raises
        ------
        InputError
            If there are labelled segments of fewer than two classes, a package of the extra is missing, or a network of
            timm was to be trained.
        Cancelled
            If ``report`` asked for it; nothing was learned then.
        """
        return self.learn_task(backbone=backbone)(report)

    def learn_task(self, *, backbone: bool = False) -> WorkspaceTask[Learned, int]:
        """:meth:`learn` as a task."""
        space, segments, pictures = self.space, self.table.snapshot(self.ids()), tuple(self.pictures)

        def work(report: Report, deliver: Deliver) -> Learned:
            return space.learn(segments, self._resources(space, deliver, pictures), report, backbone=backbone)

        def finish(learned: Learned) -> int:
            if self.space is space:
                self.space = learned.space
                if learned.features is not None:
                    self.table.clear_features()
                    self.table.set_features(segments.ids, learned.features)
            self._take_embedding(learned.space, learned.embedded)
            return learned.count

        return WorkspaceTask(work, finish)

    def xy(self, ids: ArrayLike) -> Float32:
        """Positions in the embedding, shape (n, 2), in the order of ``ids``; NaN where a segment has none yet."""
        return self.table.xy[np.asarray(ids, dtype=np.int64)]

    def inside(self, outline: ArrayLike, ids: ArrayLike | None = None) -> Ids:
        """The segments whose positions lie in a box or lasso.

        Parameters
        ----------
        outline : array_like of shape (2, 2) or (N, 2)
            Two opposite corners of a box, or the corners of a lasso, in coordinates of :meth:`xy`.
        ids : array_like of int, optional
            Only among these; all by default.
        """
        among = self.ids() if ids is None else self.table.require(ids)
        return inside(self.table.xy[among], np.asarray(outline, dtype=np.float64), among)

    def local_embedding(self, ids: ArrayLike, report: Report = silent) -> tuple[Ids, Float32]:
        """An embedding of a selection by itself, in which nearest neighbours matter most.

        Returns
        -------
        ids : ndarray of shape (n,), int64
        xy : ndarray of shape (n, 2), float32
            The embedding of the workspace does not change.
        """
        return self.local_task(ids)(report)

    def local_task(self, ids: ArrayLike) -> WorkspaceTask[tuple[Ids, Float32], tuple[Ids, Float32]]:
        """:meth:`local_embedding` as a task."""
        wanted = self.table.require(ids)
        missing = int((~self.table.described(wanted)).sum())
        if missing:
            raise InputError(f"{missing} of the {len(wanted)} segments have no features yet; embed first")
        space, features, labels = self.space, self.table.features[wanted], self.table.label[wanted]

        def work(report: Report, _deliver: Deliver) -> tuple[Ids, Float32]:
            return wanted, fit_embedding(space.apply_metric(features), labels, local=True, report=report)

        return WorkspaceTask(work)

    def uncertainty(self, ids: ArrayLike | None = None) -> Float32:
        """How uncertain the class of each segment is by its features, 0 to 1; of all by default."""
        return self._uncertainty(self.ids() if ids is None else np.asarray(ids, dtype=np.int64))()

    def filtered(self, which: Filter) -> Ids:
        """All segments, the unlabelled ones, or the unlabelled ones whose uncertainty is at least 0.5."""
        return self.filter_task(which)()

    def filter_task(self, which: Filter) -> WorkspaceTask[Ids, Ids]:
        """:meth:`filtered` as a task."""
        ids = self.ids()
        if which not in ("all", "unlabelled", "uncertain"):
            raise InputError(f"the filter is {which!r}; one of all, unlabelled, uncertain is expected")
        if which != "all":
            ids = ids[self.table.label[ids] == 0]
        compute = self._uncertainty(ids) if which == "uncertain" else None

        def work(_report: Report, _deliver: Deliver) -> Ids:
            return ids if compute is None else ids[compute() >= UNCERTAIN]

        return WorkspaceTask(work)

    def most_uncertain(self, count: int = 1) -> Ids:
        """The unlabelled segments to look at next, the most uncertain first."""
        return self.most_uncertain_task(count)()

    def most_uncertain_task(self, count: int = 1) -> WorkspaceTask[Ids, Ids]:
        """:meth:`most_uncertain` as a task."""
        ids = self.filtered("unlabelled")
        compute = self._uncertainty(ids)
        return WorkspaceTask(lambda _report, _deliver: ids[np.argsort(-compute(), kind="stable")[:count]])

    # results and files

    def labels(self, index: int) -> NDArray[Any]:
        """The label image, shape (H, W), uint8 or uint16: 0 where no class is assigned, and for the background."""
        return self.labelling().image(self._index(index))

    def scribbles(self, index: int) -> Scribbles:
        """Strokes for an engine from the classes of an image: the middle lines of its labelled segments.

        Raises
        ------
        InputError
            If no segment of the image has a class.
        """
        return self.labelling().scribbles(self._index(index))

    def labelling(self) -> Labelling:
        """The classes of all images as they are now, for any thread."""
        return Labelling(tuple(self.pictures), tuple(self.table.maps), self.table.label.copy(), self.classes)

    def save_labels(
        self, folder: str | PathLike[str], extension: str = ".nii.gz", *, overwrite: bool = True
    ) -> tuple[Path, ...]:
        """Write the labels of all images that were cut, one file for each image or volume, with names and colours.

        Parameters
        ----------
        folder : path
            Made where it is missing.
        extension : str
            Tells the format.
        overwrite : bool
            Whether to replace existing files; the workspace's own images never are.

        Returns
        -------
        tuple of Path
            The files written: ``NAME_labels.nii.gz`` and its table of classes.

        Raises
        ------
        InputError
            If nothing was cut, or a file cannot be written; see :func:`napari_scribseg.io.write_labels`.
        """
        return self.labelling().save(user_path(folder), extension, overwrite=overwrite)

    def save(self, path: str | PathLike[str]) -> None:
        """Write images, segments, classes, features, what was learned and the embedding to one file.

        Images that came from files are named, not copied. Undo steps are not saved.

        Raises
        ------
        InputError
            If the file cannot be written, or another workspace autosaves to it; the former file is unchanged then.
        """
        self.save_task(path)()

    def save_task(self, path: str | PathLike[str]) -> WorkspaceTask[None, None]:
        """:meth:`save` as a task."""
        target, snapshot, autosave = user_path(path), self._snapshot(), self._autosave

        def work(_report: Report, _deliver: Deliver) -> None:
            if autosave is not None and autosave.path == target.resolve():
                autosave.flush()  # nothing older is written after it
                storage.writer()(snapshot, target)
                return
            with contextlib.closing(FileLock(target)):
                storage.writer()(snapshot, target)

        return WorkspaceTask(work)

    def autosave(self, path: str | PathLike[str], notify: Callable[[str], object] = warnings.warn) -> None:
        """Keep a file up to date from now on, a second or two behind, until :meth:`close`.

        It is written in a thread of its own.

        Parameters
        ----------
        path : path
            Replaces the file of a former call.
        notify : callable
            Gets one sentence, in any thread, when the file cannot be written, and none again until it could be.

        Raises
        ------
        InUseError
            If another workspace autosaves to this file.
        """
        lock = FileLock(user_path(path))
        self.close()
        self._autosave = Autosave(lock, self._snapshot, storage.writer(), notify, lambda function: function())
        self._touch()

    def flush(self) -> None:
        """Bring the autosaved file up to date now; returns when it is on the disk."""
        if self._autosave is not None:
            self._autosave.flush()

    def close(self) -> None:
        """Autosave for the last time."""
        autosave, self._autosave = self._autosave, None
        if autosave is not None:
            autosave.close()

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        device: str = "auto",
        cache: str | PathLike[str] | None = None,
        subprocess: bool = False,
    ) -> Workspace:
        """Continue with a workspace from a file; it belongs to whoever uses it first.

        Raises
        ------
        InputError
            If the file is missing, damaged, not a workspace or from a newer version, or an image of it is neither in
            its place nor beside the file, or has another size.
        """
        content = storage.read(user_path(path))
        workspace = cls(content.classes, device=device, cache=cache, subprocess=subprocess)
        content.space.encoder(device)
        workspace.pictures += content.pictures
        workspace.table, workspace.settings, workspace.space = content.table, content.settings, content.space
        for index, edges in content.edges.items():
            workspace._cutter.set_edges(index, edges)
        return workspace

    # inner

    def _index(self, index: int) -> int:
        if isinstance(index, bool) or int(index) != index or not 0 <= index < len(self.pictures):
            raise InputError(f"there is no image {index!r}; 0 to {len(self.pictures) - 1} are expected")
        return int(index)

    def _picture(self, index: int) -> Picture:
        return self.pictures[self._index(index)]

    def _chosen(self, threshold: float | None, settings: dict[str, Any]) -> CutSettings:
        """The settings of the last cut with some changed."""
        names = {"gradient", "criterion", "simplification"}
        if not set(settings) <= names:
            raise InputError(f"the settings {sorted(set(settings) - names)} are unknown; {sorted(names)} are expected")
        chosen = replace(self.settings, **settings)
        return chosen if threshold is None else replace(chosen, threshold=float(threshold))

    def _apply(self, edit: Edit | None, *, after: bool | None = None) -> str:
        """Apply a new edit, or one of the history; emits what it changes, and returns its kind."""
        if edit is None:
            return ""
        if after is None:
            self._history.add(edit)
        edit.apply(self.table, after=after is not False)
        if edit.images:
            self.segments_changed.emit(edit.images)
            self.embedding_changed.emit()
        if len(edit.ids):
            self.labels_changed.emit(edit.ids)
        return edit.kind

    def _resources(self, space: FeatureSpace, deliver: Deliver, pictures: Sequence[Picture]) -> Resources:
        def set_features(ids: Ids, rows: Float32) -> None:
            if self.space is space:  # another encoder has other features
                self.table.set_features(ids, rows)

        def keep(ids: Ids, rows: Float32) -> None:
            deliver(lambda: set_features(ids, rows))

        return Resources(tuple(pictures), self._device, self._cache, keep)

    def _take_embedding(self, space: FeatureSpace, found: Embedded) -> Ids:
        """Take over positions of a feature space, if it is still the one in use."""
        if self.space is not space or not len(found.ids):
            return found.ids[:0]
        if found.is_refit:
            self.table.has_embedding[:] = False
        self.table.xy[found.ids], self.table.has_embedding[found.ids] = found.xy, True
        self.embedding_changed.emit()
        return found.ids

    def _uncertainty(self, ids: Ids) -> Callable[[], Float32]:
        """A function that computes the uncertainty of segments, in any thread; 1 without features."""
        table, space = self.table, self.space
        alive, described = table.ids(), table.described(ids)
        labelled = alive[(table.label[alive] > 0) & table.described(alive)]
        features, labels = table.features, table.label[labelled]

        def compute() -> Float32:
            found = np.ones(len(ids), dtype=np.float32)
            if described.any():
                examples = space.apply_metric(features[labelled])
                found[described] = uncertainty(space.apply_metric(features[ids[described]]), examples, labels)
            return found

        return compute

    def _touch(self, *_changed: object) -> None:
        """Note that there is something to save."""
        if self._autosave is not None and self.pictures:
            self._autosave.touch()

    def _snapshot(self) -> storage.Snapshot:
        edges = dict(self._cutter.edges)
        return storage.snapshot(
            storage.WorkspaceContent(self.pictures, self.table, edges, self.settings, self.space, self._classes)
        )
