"""Strokes, and the seeds and prior labels that an engine gets."""

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
    """The seeds of every class on the grid of an image, and an optional prior; read-only.

    Evidence has two ranks. Seeds are hard: their class is forced. A prior holds labels from before the strokes; seeds
    override it, and it stays where no seed contradicts it, unless it is a guess.

    Attributes
    ----------
    seeds : ndarray of shape (\\*S), int32
        Class index 0..K-1 of each painted voxel; -1 where nothing is painted.
    n_classes : int
        Number of classes K, those without a seed included.
    ids : tuple of int
        The label id of each class; 0..K-1 where none were given.
    prior : ndarray of shape (\\*S), int32, or None
        Class index of each voxel in labels that were propagated, loaded or drafted; -1 where there is none. Every
        engine takes it through :func:`napari_scribseg.numerics.prior.segment_with_prior`.
    weight : ndarray of shape (\\*S), float32, or None
        How sure the prior is at each voxel, in (0, 1]; 1 everywhere by default: labels that somebody made. Below 1 it
        is a guess. None without a prior.
    """

    seeds: NDArray[np.int32]
    n_classes: int
    ids: tuple[int, ...] = ()
    prior: NDArray[np.int32] | None = None
    weight: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        seeds = self._class_indices(self.seeds, "seeds")
        ids = self.ids or tuple(range(self.n_classes))
        if len(ids) != self.n_classes or len(set(ids)) != len(ids):
            raise InputError(f"ids are {ids}; expected {self.n_classes} different label ids")
        object.__setattr__(self, "seeds", seeds)
        object.__setattr__(self, "ids", tuple(int(i) for i in ids))
        if self.prior is not None:
            object.__setattr__(self, "prior", self._class_indices(self.prior, "the prior"))
            object.__setattr__(self, "weight", self._checked_weight())
        elif self.weight is not None:
            raise InputError("a weight was given without a prior; give the labels that it belongs to")

    def _class_indices(self, given: ArrayLike, what: str) -> NDArray[np.int32]:
        """A read-only copy."""
        found = np.asarray(given)
        hold, reach = ("hold", "reach") if what == "seeds" else ("holds", "reaches")
        if found.dtype.kind not in "iu":
            raise InputError(f"{what} {hold} {found.dtype} values; integers are expected")
        if found.size and (found.min() < UNKNOWN or found.max() >= self.n_classes):
            raise InputError(
                f"{what} {reach} from {found.min()} to {found.max()}; expected -1 (unknown) to {self.n_classes - 1}"
            )
        if what != "seeds" and found.shape != self.seeds.shape:
            raise InputError(f"{what} has shape {found.shape}; the seeds have {self.seeds.shape}")
        found = np.array(found, dtype=np.int32)
        found.setflags(write=False)
        return found

    def _checked_weight(self) -> NDArray[np.float32]:
        """A read-only copy; ones where none was given."""
        given = np.ones(self.seeds.shape, np.float32) if self.weight is None else np.array(self.weight, np.float32)
        if given.shape != self.seeds.shape:
            raise InputError(f"the weight of the prior has shape {given.shape}; the seeds have {self.seeds.shape}")
        if not ((given > 0) & (given <= 1)).all():
            raise InputError(f"the weight of the prior goes from {given.min()} to {given.max()}; (0, 1] is expected")
        given.setflags(write=False)
        return given

    @classmethod
    def from_labels(
        cls,
        labels: ArrayLike,
        *,
        background: int | None = None,
        prior: ArrayLike | None = None,
        weight: ArrayLike | None = None,
    ) -> Scribbles:
        """Read the scribbles off a painted label array.

        Parameters
        ----------
        labels : array_like of shape (\\*S), integer
            0 is unpainted, as in a napari labels layer; every other value is the id of a class.
        background : int, optional
            The id whose strokes mark the background: it becomes class 0, and its id in the result is 0.
        prior : array_like of shape (\\*S), integer, optional
            Label ids from before the strokes: propagated, loaded or drafted; 0 is the background, -1 is unknown.
        weight : array_like of shape (\\*S), optional
            How sure they are, in (0, 1]; 1 by default.

        Raises
        ------
        InputError
            If an array does not hold integers, holds ids that are too small, or has another shape.
        """
        painted = np.asarray(labels)
        if painted.dtype.kind not in "iub":
            raise InputError(f"the painted labels hold {painted.dtype} values; integers are expected")
        present = [int(i) for i in np.unique(painted[painted != 0])]
        if present and present[0] < 0:
            raise InputError(f"the painted labels hold the id {present[0]}; ids from 1 are expected (0 is unpainted)")
        ids = {0 if identity == background else identity: identity for identity in present}
        labelled = None if prior is None else np.asarray(prior)
        if labelled is not None:
            if labelled.dtype.kind not in "iub":
                raise InputError(f"the prior holds {labelled.dtype} values; integers are expected")
            ids = {**{int(i): -1 for i in np.unique(labelled) if i != UNKNOWN}, **ids}
            if min(ids, default=0) < 0:
                raise InputError(f"the prior holds the id {min(ids)}; ids from 0 are expected, and -1 where unknown")
        order = tuple(sorted(ids))
        seeds = np.full(painted.shape, UNKNOWN, dtype=np.int32)
        indices = None if labelled is None else np.full(labelled.shape, UNKNOWN, dtype=np.int32)
        for index, identity in enumerate(order):
            if ids[identity] != -1:
                seeds[painted == ids[identity]] = index
            if labelled is not None and indices is not None:
                indices[labelled == identity] = index
        return cls(seeds, len(order), order, indices, None if weight is None else np.asarray(weight))

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

    def with_rest(self, *, several: bool = False) -> Scribbles:
        """These scribbles with a class of id 0 without any, for all that fits no class that has some.

        For engines that one class is enough for (:attr:`EngineInfo.min_classes <napari_scribseg.core.EngineInfo>`).
        Unchanged where there are strokes of the background, none at all, or a prior of several classes.

        Parameters
        ----------
        several : bool
            Also where strokes are of two classes or more, which otherwise share the whole image.
        """
        enough = self.n_classes == 1 or (several and self.n_classes > 1 and self.prior is None)
        if 0 in self.ids or not enough:
            return self
        prior = None if self.prior is None else np.where(self.prior == 0, np.int32(1), np.int32(UNKNOWN))
        seeds = np.where(self.seeds == UNKNOWN, np.int32(UNKNOWN), self.seeds + 1)
        return Scribbles(seeds, self.n_classes + 1, (0, *self.ids), prior, self.weight)

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

    def require(self, shape: tuple[int, ...], *, max_classes: int | None = None, min_classes: int = 2) -> None:
        """Check that an engine can work with these scribbles on an image of spatial shape ``shape``.

        Parameters
        ----------
        shape : tuple of int
        max_classes : int, optional
        min_classes : {0, 1, 2}
            1: strokes of one of two classes are enough, as :attr:`EngineInfo.min_classes` states. 0: those of one of
            any number of classes are, for a network that predicts its classes without strokes.

        Raises
        ------
        InputError
            If the shapes differ, nothing is painted, seeds and prior together have fewer than two classes, or there are
            too many classes.
        """
        if self.shape != tuple(shape):
            raise InputError(f"the scribbles have shape {self.shape}; the image has shape {tuple(shape)}")
        drawn = int(np.count_nonzero(self.counts))
        if drawn == 0:
            raise InputError("no strokes were given; paint at least one stroke for each of two classes")
        in_prior = set() if self.prior is None else set(np.unique(self.prior).tolist()) - {UNKNOWN}
        alone = drawn == 1 and not (min_classes == 0 or (min_classes == 1 and self.n_classes == 2))
        if alone and not in_prior - {int(np.argmax(self.counts))}:
            only = self.ids[int(np.argmax(self.counts))]
            raise InputError(
                f"strokes of one class only (id {only}) were given; paint at least one stroke of a second class, "
                "such as the background"
            )
        if max_classes is not None and self.n_classes > max_classes:
            raise InputError(f"{self.n_classes} classes were given; this engine takes at most {max_classes}")
