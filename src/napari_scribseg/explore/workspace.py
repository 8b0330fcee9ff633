"""A workspace: images, their segments, what they look like, and their classes."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_scribseg.core import ClassTable, InputError, Report, Stroke, silent
from napari_scribseg.core.classes import MAX_ID
from napari_scribseg.core.paths import user_path
from napari_scribseg.explore import output, storage
from napari_scribseg.explore.cache import FeatureCache, default_folder
from napari_scribseg.explore.gradients import as_edge_map
from napari_scribseg.explore.pictures import Added, Pictures, read_pictures
from napari_scribseg.explore.reading import Reader
from napari_scribseg.io.lock import FileLock
from napari_scribseg.kernel import Autosave

__all__ = ["Workspace"]


Ids = NDArray[np.int64]


class Workspace(Reader):
    """Images cut into segments that get their classes many at a time.

    Parameters
    ----------
    classes : ClassTable, optional
        Names and colours; classes that :meth:`assign` is given and that it does not know are added.
    device : str
        Where encoders run: ``"auto"``, ``"cpu"``, ``"cuda"``.
    cache : PathLike, optional
        Folder for features; the user's cache folder by default.
    subprocess : bool
        Cut, and compute embeddings, in helper processes: for windows, which stand still while UMAP gets ready, or
        higra is at work, in theirs.

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
    embedding_changed : Signal()
        The embedding is another; segments may have moved, come or gone.
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
        folder = default_folder() if cache is None else Path(cache)
        super().__init__(device, FeatureCache(folder), subprocess=subprocess)
        self._classes = classes or ClassTable()
        self._autosave: Autosave[storage.Content] | None = None
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
        images : path, array, Image, or an iterable of those
            A file, a folder, arrays of shape (H, W) or (H, W, C), :class:`~napari_scribseg.Image`. Sizes and channels
            may differ. A volume becomes its slices along the first axis.
        name : str
            For images that are no files; numbered where there are several.
        report : Report

        Returns
        -------
        Added
            The new indices, and a sentence for each file that was skipped because it cannot be read.

        Raises
        ------
        InputError
            If nothing could be read, or an array is no image; nothing is added then.
        Cancelled
            If ``report`` asked for it; nothing is added then.
        """
        pictures, skipped = read_pictures(images, 1 + max((p.volume for p in self.pictures), default=0), name)
        report(1.0)
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
        """Cut images into segments; segments that stay the same keep id, class, features and place.

        Parameters
        ----------
        images : iterable of int, optional
            All by default.
        threshold : float, optional
            See :class:`CutSettings`; that of the last cut by default.
        regions : float, optional
            Choose the threshold at which the images have so many segments on average; 50 where there is no threshold
            yet, or another criterion or gradient.
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

    def set_segments(self, index: int, regions: ArrayLike) -> None:
        """Take the segments of an image from elsewhere: integers of shape (H, W), each value one segment."""
        given, shape = np.asarray(regions), self._picture(index).shape
        if given.shape != shape or given.dtype.kind not in "iu":
            raise InputError(
                f"the segments have shape {given.shape} and type {given.dtype}; integers of shape {shape} are expected"
            )
        compact = np.unique(given, return_inverse=True)[1].reshape(shape).astype(np.int32)
        if self._editor.replace_segments(index, compact):
            self._segments_changed((index,))

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

    # what they look like

    def use_encoder(self, view: str = "maps", backbone: str = "") -> None:
        """Choose what describes segments; features, metric and plane of another choice are forgotten.

        Parameters are those of :func:`~napari_scribseg.explore.encoders.make_encoder`: ``"maps"`` (one look at each
        image) or ``"crops"`` (a look at each segment, as in the paper), and the network.
        """
        self._space.use(view, backbone)

    def embed(self, *, refit: bool = False, report: Report = silent) -> Ids:
        """Describe the segments that are new, and give them places in the plane; those that have one stay.

        Where the new ones outnumber the others, all are placed anew, from where they are.

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
        placed = self._space.embed(refit=refit, report=report)
        if len(placed):
            self.embedding_changed.emit()
        return placed

    def learn(self, report: Report = silent, *, backbone: bool = False) -> int:
        """Learn from the classes which segments are alike, and place all segments anew, from where they are.

        One round of metric learning on a linear layer behind the encoder; further rounds go on from it.

        Parameters
        ----------
        report : Report
        backbone : bool
            Learn the last stage of the encoder's network, too, and describe all segments anew: for a network of this
            package, in both views.

        Returns
        -------
        int
            How many labelled segments were learned from.

        Raises
        ------
        InputError
            If there are labelled segments of fewer than two classes, a package of the extra is missing, or the network
            is one of timm and shall be learned.
        Cancelled
            If ``report`` asked for it; nothing was learned then.
        """
        count = self._space.learn(report, backbone=backbone)
        self.embedding_changed.emit()
        return count

    # output

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
            Whether to replace files that are there; the workspace's own images never are.

        Returns
        -------
        tuple of Path
            The files written: ``NAME_labels.nii.gz`` and its table of classes.

        Raises
        ------
        InputError
            If nothing was cut, or a file cannot be written; see :func:`napari_scribseg.io.write_labels`.
        """
        return output.save_labels(self, user_path(folder), extension, overwrite=overwrite)

    def save(self, path: str | PathLike[str]) -> None:
        """Write images' places, segments, classes, features, what was learned and the plane to one file.

        Images that came from files are named, not copied. Undo does not outlive a file.

        Raises
        ------
        InputError
            If the file cannot be written, or another workspace keeps it; one that was there is unchanged.
        """
        path = user_path(path)
        if self._autosave is not None and self._autosave.path == path.resolve():
            self.flush()  # nothing older is written after it
            storage.write(self._packed(), path)
            return
        with contextlib.closing(FileLock(path)):
            storage.write(self._packed(), path)

    def keep(self, path: str | PathLike[str], tell: Callable[[str], object] = warnings.warn) -> None:
        """Keep a file up to date from now on, a second or two behind, until :meth:`close`.

        It is written in a thread of its own, also while a long method runs.

        Parameters
        ----------
        path : path
            Another file may have been kept before.
        tell : callable
            Gets one sentence, in any thread, when the file cannot be written, and none again until it could be.

        Raises
        ------
        InUseError
            If another workspace keeps this file.
        """
        lock = FileLock(user_path(path))
        self.close()
        self._autosave = Autosave(lock, self._packed, storage.Writer().write, tell, lambda function: function())
        self._touch()

    def flush(self) -> None:
        """Bring the file that is kept up to date now; returns when it is on the disk."""
        if self._autosave is not None:
            self._autosave.flush()

    def close(self) -> None:
        """Write the file that is kept for the last time."""
        if self._autosave is not None:
            self._autosave.close()
        self._autosave = None

    def _touch(self, *_changed: object) -> None:
        """Note that there is something to save."""
        with self._lock:  # what is packed last is the newest
            if self._autosave is not None and self.pictures:
                self._autosave.touch()

    def _packed(self) -> storage.Content:
        with self._lock:
            return storage.pack(self)

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        device: str = "auto",
        cache: str | PathLike[str] | None = None,
        subprocess: bool = False,
    ) -> Workspace:
        """Go on with a workspace from a file.

        Raises
        ------
        InputError
            If the file is missing, damaged, not a workspace or from a newer version, or an image of it is not where it
            was nor beside the file, or has changed its size.
        """
        workspace = cls(device=device, cache=cache, subprocess=subprocess)
        storage.restore(workspace, user_path(path))
        return workspace

    def _segments_changed(self, images: Sequence[int]) -> None:
        if images:
            self.segments_changed.emit(tuple(images))
            self.embedding_changed.emit()

    def _turn(self, *, back: bool) -> str:
        step = self._editor.turn(back=back)
        if step is None:
            return ""
        self._segments_changed(tuple(dict.fromkeys(patch.image for patch in step.patches)))
        if len(step.ids):
            self.labels_changed.emit(step.ids)
        return step.kind
