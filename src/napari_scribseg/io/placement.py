"""Where a layer of napari lies: what a reader left in its metadata, moved as the layer was moved since.

A *world matrix* of shape (n + 1, n + 1) maps an index of a layer of n axes to napari's world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Geometry
from napari_scribseg.core.geometry import is_singular
from napari_scribseg.io.foreign import foreign_geometry
from napari_scribseg.io.units import in_millimetres, in_seconds

__all__ = [
    "LayerPlace",
    "display_placement",
    "kept_geometry",
    "knows_place",
    "layer_geometry",
    "left_by",
    "nearest_axes",
    "same_world",
]

Matrix = NDArray[np.float64]
_MOVED = 1e-3  # of a voxel; a layer that lies nearer to where it was has not been moved
_TO_RAS = np.eye(4)[[2, 1, 0, 3]]  # napari's (z, y, x) as (x, y, z)


@dataclass(frozen=True, slots=True, eq=False)
class LayerPlace:
    """What a layer of n axes says about its place.

    Attributes
    ----------
    world : ndarray of shape (n + 1, n + 1)
        Its world matrix.
    units : tuple of str
        One for each axis.
    metadata : mapping
        Its metadata, ours and those of other readers.
    """

    world: Matrix
    units: tuple[str, ...]
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, meta: Mapping[str, Any], n_axes: int) -> LayerPlace:
        """From the arguments of a layer; what is missing is napari's default.

        ``rotate`` is a matrix, ``shear`` a matrix or its upper triangle, as layers have them.
        """
        scale, translate = (np.array(meta.get(k, v), float) for k, v in (("scale", [1] * n_axes), ("translate", 0.0)))
        shear = np.array(meta.get("shear", np.eye(n_axes)), float)
        if shear.ndim == 1:
            triangle, shear = shear, np.eye(n_axes)
            shear[np.triu_indices(n_axes, 1)] = triangle
        world = np.eye(n_axes + 1)
        world[:-1, :-1] = np.array(meta.get("rotate", np.eye(n_axes)), float) @ shear * scale
        world[:-1, -1] = translate
        units = meta.get("units") or "pixel"
        named = (str(units),) * n_axes if isinstance(units, str) else tuple(str(u) for u in units)
        affine = meta.get("affine")
        if affine is not None:
            world = np.array(getattr(affine, "affine_matrix", affine), float) @ world
        return cls(world, named, meta.get("metadata") or {})

    def without(self, axes: Sequence[int]) -> LayerPlace:
        """Of the layer without some of its axes, such as one of channels."""
        world = np.delete(np.delete(self.world, axes, 0), axes, 1)
        return LayerPlace(world, tuple(u for a, u in enumerate(self.units) if a not in axes), self.metadata)


def kept_geometry(metadata: Mapping[str, Any]) -> Geometry | None:
    """What a reader of ours left in the metadata of a layer; it holds as long as the layer is not moved."""
    left = metadata.get("scribseg")
    kept = left.get("geometry") if isinstance(left, Mapping) else None
    return kept if isinstance(kept, Geometry) else None


def layer_geometry(shape: tuple[int, ...], place: LayerPlace) -> Geometry:
    """Where the voxels of a layer lie now.

    The geometry that a reader left in the metadata, ours or another's, is moved as the layer was moved since it was
    opened. Where nothing was left, napari's world is the patient's: its last three axes point to the head, the front
    and the right; a layer that has nothing but voxel sizes has no place.

    Parameters
    ----------
    shape : tuple of int
        Two to four axes.
    place : LayerPlace
        Of these axes.
    """
    world, metric = _in_millimetres(place)
    opened = _opened(shape, place, world)
    if opened is None:
        unknown = Geometry(shape, (1.0,) * len(shape), unit="pixel")
        return _with_matrix(unknown, np.eye(len(shape) + 1), world, "millimeter" if metric else "pixel")
    kept, before = opened
    unit = "millimeter" if metric else kept.unit
    if same_world(world, before, shape):
        return kept if (kept.shape, kept.unit) == (shape, unit) else replace(kept, shape=shape, unit=unit)
    return _with_matrix(replace(kept, shape=shape), before, world, unit)


def left_by(geometry: Geometry, place: LayerPlace) -> dict[str, Any]:
    """What to leave as ``metadata["scribseg"]`` of a layer at this place: its geometry, and what it is bound to."""
    return {"geometry": geometry, "world": _in_millimetres(place)[0]}


def knows_place(shape: tuple[int, ...], place: LayerPlace) -> bool:
    """Whether a reader left in the metadata where the voxels lie."""
    return _opened(shape, place, _in_millimetres(place)[0]) is not None


def same_world(first: Matrix, second: Matrix, shape: Sequence[int]) -> bool:
    """Whether two world matrices put every voxel of an array at the same place, but for a thousandth of a voxel."""
    if first.shape != second.shape:
        return False
    corners = np.array([[*index, 1.0] for index in product(*((0, max(n - 1, 1)) for n in shape))])
    sizes = np.linalg.norm(second[:-1, :-1], axis=0)
    return bool(np.abs(corners @ (first - second).T).max() <= _MOVED * sizes.min())


def display_placement(geometry: Geometry) -> dict[str, Any]:
    """Scale, translation, units and names that show a grid upright: the nearest orthogonal geometry.

    Rows and columns stay as the file has them and never run backwards on the screen; the translation is the position
    of the first voxel along each axis' own direction. So volumes of one orientation lie on one another as in the
    patient, and painting always has straight voxels under the pen. The true affine stays in the layer's metadata.

    Parameters
    ----------
    geometry : Geometry
        Of two to four axes.
    """
    n_axes = len(geometry.shape)
    translate = np.zeros(n_axes)
    if geometry.affine is not None and n_axes >= 3:
        columns = geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)
        translate[-3:] = nearest_axes(columns).T @ geometry.affine[:3, 3]
    space = "mm" if geometry.unit == "millimeter" else "pixel"
    units = ("s",) * (n_axes == 4 and space == "mm") + (space,) * (n_axes - (n_axes == 4 and space == "mm"))
    return {
        "scale": tuple(geometry.spacing),
        "translate": tuple(float(t) for t in translate),
        "units": units,
        "axis_labels": tuple(geometry.axis_names),
    }


def nearest_axes(directions: Matrix) -> Matrix:
    """The signed permutation matrix nearest to three unit columns: each column a different world axis."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-np.abs(directions))
    nearest = np.zeros((3, 3))
    nearest[rows, columns] = np.where(directions[rows, columns] < 0, -1.0, 1.0)
    return nearest


def _in_millimetres(place: LayerPlace) -> tuple[Matrix, bool]:
    """The world matrix in millimetres and seconds, and whether its units are lengths; else in its own numbers."""
    lengths = [in_millimetres(unit) for unit in place.units]
    times = [in_seconds(unit) if length is None else None for unit, length in zip(place.units, lengths, strict=True)]
    metric = all(length is not None for length in lengths[-2:])
    others = (lengths[-1] or 1.0) if metric else 1.0  # planes counted in pixels are taken to be as far apart as those
    factors = [length if metric and length else time or others for length, time in zip(lengths, times, strict=True)]
    if len(factors) == 4:
        factors[0] = times[0] or 1.0
    return np.diag([*factors, 1.0]) @ place.world, metric


def _opened(shape: tuple[int, ...], place: LayerPlace, world: Matrix) -> tuple[Geometry, Matrix] | None:
    """The geometry that a reader found, and the world matrix that the layer then had; None where none was left."""
    kept = kept_geometry(place.metadata)
    if kept is None:
        return foreign_geometry(shape, place.metadata, world)
    if len(kept.shape) != len(shape):
        return None
    before = np.array(place.metadata["scribseg"].get("world", LayerPlace.of(display_placement(kept), len(shape)).world))
    return (kept, before) if before.shape == world.shape else None


def _with_matrix(kept: Geometry, before: Matrix, world: Matrix, unit: str) -> Geometry:
    """A geometry whose layer was at ``before`` and now is at ``world``."""
    n_space = min(len(kept.shape), 3)
    now, then = _spatial(world, n_space), _spatial(before, n_space)
    if kept.affine is not None:
        affine: Matrix | None = kept.affine @ np.linalg.inv(then) @ now
    elif (now[:3, :3] == np.diag(np.abs(np.diag(now[:3, :3])))).all() and not now[:3, 3].any():
        affine = None  # voxel sizes and nothing else
    else:
        affine = _TO_RAS @ now
    lengths = np.linalg.norm((now if affine is None else affine)[:3, :3], axis=0)
    spacing = tuple(float(s) for s in lengths[-n_space:])
    if len(kept.shape) == 4:
        spacing = (float(abs(kept.spacing[0] * world[0, 0] / before[0, 0])), *spacing)
    if affine is not None and is_singular(affine[:3, :3]):
        affine = None
    return replace(kept, spacing=spacing, affine=affine, unit=unit)


def _spatial(world: Matrix, n_space: int) -> Matrix:
    """The part of a world matrix that belongs to plane, row and column, shape (4, 4)."""
    kept = np.eye(4)
    axes = [*range(len(world) - 1 - n_space, len(world))]
    rows = [*range(3 - n_space, 4)]
    kept[np.ix_(rows, rows)] = world[np.ix_(axes, axes)]
    return kept
