"""What can be asked of a workspace without changing it."""

from __future__ import annotations

from dataclasses import replace
from threading import RLock
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.core import ClassTable, InputError, Report, Scribbles, silent
from napari_scribseg.explore import output
from napari_scribseg.explore.cache import FeatureCache
from napari_scribseg.explore.cutting import CutSettings, Gradient
from napari_scribseg.explore.editor import Editor
from napari_scribseg.explore.feature_space import FeatureSpace
from napari_scribseg.explore.pictures import Picture
from napari_scribseg.explore.segments import SegmentTable

__all__ = ["Filter", "Reader"]

BATCH = 15  # images, as in the authors' code
UNCERTAIN = 0.5  # of the entropy; from here on a segment is called uncertain

Filter = Literal["all", "unlabelled", "uncertain"]
Ids = NDArray[np.int64]


class Reader:
    """The half of a :class:`~napari_scribseg.explore.Workspace` that only looks.

    Attributes
    ----------
    pictures : list of Picture
        The images.
    table : SegmentTable
        The segments.
    """

    _classes: ClassTable

    def __init__(self, device: str, cache: FeatureCache, *, subprocess: bool) -> None:
        self.pictures: list[Picture] = []
        self.table = SegmentTable()
        self._lock = RLock()
        self._editor = Editor(self.table, self.pictures, self._lock, device, subprocess=subprocess)
        self._space = FeatureSpace(self.table, self.pictures, self._lock, device, cache, subprocess=subprocess)

    @property
    def settings(self) -> CutSettings:
        """How the images were cut last."""
        return self._editor.settings

    @property
    def encoder(self) -> tuple[str, str]:
        """What describes segments: view and network, as :meth:`Workspace.use_encoder` takes them."""
        return self._space.view, self._space.backbone

    def has_edges(self, index: int) -> bool:
        """Whether an image has an edge map for ``cut(gradient="given")``."""
        return self._index(index) in self._editor.cutter.edges

    def next_batch(self, size: int = BATCH) -> tuple[int, ...]:
        """The next images without segments, at most so many, to be given to :meth:`cut`."""
        return tuple(i for i, found in enumerate(self.table.maps) if found is None)[:size]

    def preview(self, index: int, threshold: float | None = None, **settings: Any) -> NDArray[np.int32]:
        """What :meth:`cut` would make of an image: regions 0 to k - 1, shape (H, W). Nothing changes."""
        chosen = self._editor.chosen(threshold, settings)
        return self._editor.cutter.hierarchy(index, self._picture(index), chosen).cut(chosen.threshold)

    def gradient(self, index: int, kind: Gradient | None = None) -> NDArray[np.float32]:
        """The gradient that an image is cut by, or one of another kind, shape (H, W), 0 to 1."""
        chosen = self.settings if kind is None else replace(self.settings, gradient=kind)
        return self._editor.cutter.gradient(index, self._picture(index), chosen.gradient)

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
        return output.inside(self.table.xy[among], np.asarray(outline, dtype=np.float64), among)

    def xy(self, ids: ArrayLike) -> NDArray[np.float32]:
        """Places in the plane, shape (n, 2), in the order of ``ids``; NaN where a segment was not embedded yet."""
        return self.table.xy[np.asarray(ids, dtype=np.int64)]

    def thumbnail(self, segment: int, size: int = 48) -> NDArray[np.uint8]:
        """A small picture of a segment and a little around it, which is darker; shape (size, size, 3)."""
        (identity,) = self.table.require([segment])
        index = int(self.table.image[identity])
        return output.thumbnail(self.pictures[index], self._map(index), int(identity), self.table.box[identity], size)

    def local_embedding(self, ids: ArrayLike, report: Report = silent) -> tuple[Ids, NDArray[np.float32]]:
        """A plane of its own for a selection, in which nearest neighbours matter most.

        Returns
        -------
        ids : ndarray of shape (n,), int64
        places : ndarray of shape (n, 2), float32
            The places of the workspace do not change.
        """
        wanted = self.table.require(ids)
        return wanted, self._space.local(wanted, report)

    def uncertainty(self, ids: ArrayLike | None = None) -> NDArray[np.float32]:
        """How uncertain the class of each segment is by its looks, 0 to 1, in the order of ``ids`` (all by default)."""
        return self._space.uncertainty(self.ids() if ids is None else np.asarray(ids, dtype=np.int64))

    def filtered(self, which: Filter) -> Ids:
        """All segments, the unlabelled ones, or the unlabelled ones whose uncertainty is at least 0.5."""
        ids = self.ids()
        if which not in ("all", "unlabelled", "uncertain"):
            raise InputError(f"the filter is {which!r}; one of all, unlabelled, uncertain is expected")
        if which == "all":
            return ids
        ids = ids[self.table.label[ids] == 0]
        chosen: Ids = ids if which == "unlabelled" else ids[self._space.uncertainty(ids) >= UNCERTAIN]
        return chosen

    def most_uncertain(self, count: int = 1) -> Ids:
        """The unlabelled segments to look at next, the most uncertain first."""
        ids = self.filtered("unlabelled")
        chosen: Ids = ids[np.argsort(-self._space.uncertainty(ids), kind="stable")[:count]]
        return chosen

    def labels(self, index: int) -> NDArray[Any]:
        """The label image, shape (H, W), uint8 or uint16: 0 where no class is assigned, and for the background."""
        with self._lock:
            return output.label_image(self._map(self._index(index)), self.table.label, self._classes.background)

    def scribbles(self, index: int) -> Scribbles:
        """Strokes for an engine from the classes of an image: the middle lines of its labelled segments.

        Raises
        ------
        InputError
            If no segment of the image has a class.
        """
        with self._lock:
            return output.as_scribbles(self._map(self._index(index)), self.table.label, self._classes.background)

    def _index(self, index: int) -> int:
        if isinstance(index, bool) or int(index) != index or not 0 <= index < len(self.pictures):
            raise InputError(f"there is no image {index!r}; 0 to {len(self.pictures) - 1} are expected")
        return int(index)

    def _picture(self, index: int) -> Picture:
        return self.pictures[self._index(index)]

    def _map(self, index: int) -> NDArray[np.int32]:
        found = self.table.maps[index]
        return np.zeros(self.pictures[index].shape, dtype=np.int32) if found is None else found
