"""What the user painted: strokes, and the seed map that they leave."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.core.errors import InputError

__all__ = ["UNKNOWN", "Scribbles", "Stroke"]

UNKNOWN = -1


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """One movement of the pen.

    Attributes
    ----------
    points : ndarray of shape (N, ndim), float64
        Positions of the pen in voxel coordinates, joined by straight lines.
    radius : float
        Radius of the round brush, in voxels; 0 paints single voxels.
    class_index : int
        Index of the class painted, or -1 to erase.
    """

    points: NDArray[np.float64]
    radius: float
    class_index: int

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or 0 in self.points.shape:
            raise InputError(f"stroke points have shape {self.points.shape}; expected (N, ndim) with N >= 1")
        if not np.isfinite(self.points).all():
            raise InputError("stroke points hold NaN or infinite coordinates; finite voxel coordinates are expected")
        if not (np.isfinite(self.radius) and self.radius >= 0):
            raise InputError(f"the brush radius is {self.radius}; a finite number of voxels >= 0 is expected")

    def rasterize(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Voxels that the brush touched, as a mask of shape ``shape``; what lies outside is cut off."""
        if self.points.shape[1] != len(shape):
            raise InputError(f"the stroke has {self.points.shape[1]} coordinates; the grid has {len(shape)} axes")
        mask = np.zeros(shape, dtype=bool)
        path = self.path()
        reach = int(np.floor(self.radius))
        offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * len(shape), indexing="ij"), -1)
        offsets = offsets.reshape(-1, len(shape))
        offsets = offsets[(offsets**2).sum(1) <= self.radius**2]
        voxels = (np.rint(path).astype(np.int64)[:, np.newaxis] + offsets).reshape(-1, len(shape))
        inside = ((voxels >= 0) & (voxels < np.asarray(shape))).all(1)
        mask[tuple(voxels[inside].T)] = True
        return mask

    def path(self) -> NDArray[np.float64]:
        """The line sampled at most half a voxel apart along each axis, shape (L, ndim)."""
        pieces = [self.points[:1]]
        for start, stop in zip(self.points[:-1], self.points[1:], strict=True):
            n = max(int(np.ceil(np.abs(stop - start).max() * 2)), 1)
            pieces.append(start + (stop - start) * np.linspace(0, 1, n + 1)[1:, np.newaxis])
        return np.concatenate(pieces)


@dataclass(frozen=True, slots=True, eq=False)
class Scribbles:
    """The seeds of every class on the grid of an image; read-only.

    Attributes
    ----------
    seeds : ndarray of shape (\\*S), int32
        -1 where nothing is known, else the class index 0..K-1.
    n_classes : int
        Number of classes K, those without a seed included.
    ids : tuple of int
        The label id of each class; 0..K-1 where none were given.
    """

    seeds: NDArray[np.int32]
    n_classes: int
    ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        seeds = np.asarray(self.seeds)
        if seeds.dtype.kind not in "iu":
            raise InputError(f"seeds hold {seeds.dtype} values; integers are expected")
        if seeds.size and (seeds.min() < UNKNOWN or seeds.max() >= self.n_classes):
            raise InputError(
                f"seeds reach from {seeds.min()} to {seeds.max()}; expected -1 (unknown) to {self.n_classes - 1}"
            )
        seeds = np.array(seeds, dtype=np.int32)
        seeds.setflags(write=False)
        ids = self.ids or tuple(range(self.n_classes))
        if len(ids) != self.n_classes or len(set(ids)) != len(ids):
            raise InputError(f"ids are {ids}; expected {self.n_classes} different label ids")
        object.__setattr__(self, "seeds", seeds)
        object.__setattr__(self, "ids", tuple(int(i) for i in ids))

    @classmethod
    def from_labels(cls, labels: ArrayLike, *, background: int | None = None) -> Scribbles:
        """Read the scribbles off a painted label array.

        Parameters
        ----------
        labels : array_like of shape (\\*S), integer
            0 is unpainted, as in a napari labels layer; every other value is the id of a class.
        background : int, optional
            The id whose strokes mark the background: it becomes class 0, and its id in the result is 0.

        Raises
        ------
        InputError
            If the array does not hold integers, or holds negative ids.
        """
        painted = np.asarray(labels)
        if painted.dtype.kind not in "iub":
            raise InputError(f"the painted labels hold {painted.dtype} values; integers are expected")
        rows = painted[painted != 0]
        present = [int(i) for i in np.unique(rows)]
        if present and present[0] < 0:
            raise InputError(f"the painted labels hold the id {present[0]}; ids from 1 are expected (0 is unpainted)")
        if background in present:
            present.remove(background)
            present.insert(0, background)
        seeds = np.full(painted.shape, UNKNOWN, dtype=np.int32)
        for index, identity in enumerate(present):
            seeds[painted == identity] = index
        ids = tuple(0 if identity == background else identity for identity in present)
        return cls(seeds, len(present), ids)

    def add(self, stroke: Stroke) -> Scribbles:
        """These scribbles with one more stroke painted over them; a new object.

        Raises
        ------
        InputError
            If the stroke's class is not one of these, or its points have another number of axes.
        """
        if not UNKNOWN <= stroke.class_index < self.n_classes:
            raise InputError(f"the stroke has class {stroke.class_index}; expected -1 to {self.n_classes - 1}")
        seeds = self.seeds.copy()
        seeds[stroke.rasterize(self.shape)] = stroke.class_index
        return replace(self, seeds=seeds)

    def with_rest(self) -> Scribbles:
        """These scribbles, and if they are of one class only, a class of id 0 without any for all that is not its own.

        For engines that one class is enough for (:attr:`EngineInfo.min_classes <napari_scribseg.core.EngineInfo>`);
        unchanged if the only class is the background.
        """
        if self.n_classes != 1 or self.ids == (0,):
            return self
        return Scribbles(np.where(self.seeds == 0, np.int32(1), np.int32(UNKNOWN)), 2, (0, *self.ids))

    def to_ids(self, labels: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
        """Label ids for an array of class indices, in the smallest sufficient unsigned type."""
        table = np.asarray(self.ids, dtype=np.min_scalar_type(max(self.ids, default=0)))
        ids: NDArray[np.unsignedinteger] = table[labels]
        return ids

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape ``S``."""
        return self.seeds.shape

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of seed voxels of each class, shape (K,)."""
        return np.bincount(self.seeds[self.seeds >= 0], minlength=self.n_classes)

    def require(self, shape: tuple[int, ...], *, max_classes: int | None = None) -> None:
        """Check that an engine can work with these scribbles on an image of spatial shape ``shape``.

        Raises
        ------
        InputError
            If the shapes differ, nothing is painted, fewer than two classes are, or there are too many classes.
        """
        if self.shape != tuple(shape):
            raise InputError(f"the scribbles have shape {self.shape}; the image has shape {tuple(shape)}")
        drawn = int(np.count_nonzero(self.counts))
        if drawn == 0:
            raise InputError("no strokes were given; paint at least one stroke for each of two classes")
        if drawn == 1:
            only = self.ids[int(np.argmax(self.counts))]
            raise InputError(
                f"strokes of one class only (id {only}) were given; paint at least one stroke of a second class, "
                "such as the background"
            )
        if max_classes is not None and self.n_classes > max_classes:
            raise InputError(f"{self.n_classes} classes were given; this engine takes at most {max_classes}")
