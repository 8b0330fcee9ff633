"""The geometry of a napari layer: what a reader left in its metadata, moved as the layer was moved since.

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
from napari_scribseg.core.anatomy import nearest_axes
from napari_scribseg.core.geometry import LPS_TO_RAS, is_singular
from napari_scribseg.io.units import in_millimetres, in_seconds

__all__ = [
    "LayerTransform",
    "display_placement",
    "has_reader_geometry",
    "layer_geometry",
    "layer_metadata",
    "reader_geometry",
    "same_world",
]

Matrix = NDArray[np.float64]
_MOVED = 1e-3  # of a voxel; a layer that lies nearer to where it was has not been moved
_REVERSED = np.eye(4)[[2, 1, 0, 3]]  # (z, y, x) and (x, y, z), one into the other


@dataclass(frozen=True, slots=True, eq=False)
class LayerTransform:
    """Transform, units and metadata of a layer of n axes.

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
    def of(cls, meta: Mapping[str, Any], n_axes: int) -> LayerTransform:
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

    def without(self, axes: Sequence[int]) -> LayerTransform:
        """The same without some of the axes, such as one of channels."""
        world = np.delete(np.delete(self.world, axes, 0), axes, 1)
        return LayerTransform(world, tuple(u for a, u in enumerate(self.units) if a not in axes), self.metadata)


def reader_geometry(metadata: Mapping[str, Any]) -> Geometry | None:
    """The geometry that a reader of ours left in the metadata of a layer; valid as long as the layer is not moved."""
    left = metadata.get("scribseg")
    geometry = left.get("geometry") if isinstance(left, Mapping) else None
    return geometry if isinstance(geometry, Geometry) else None


def layer_geometry(shape: tuple[int, ...], transform: LayerTransform) -> Geometry:
    """The geometry of a layer as it lies now.

    The geometry that a reader left in the metadata, ours or another's, is moved as the layer was moved since it was
    opened. Without one, napari's world is the patient's: its last three axes point to the head, the front and the
    right; a layer that has voxel sizes only has no affine.

    Parameters
    ----------
    shape : tuple of int
        Two to four axes.
    transform : LayerTransform
        Of these axes.
    """
    world, metric = _in_millimetres(transform)
    opened = _opened(shape, transform, world)
    if opened is None:
        unknown = Geometry(shape, (1.0,) * len(shape), unit="pixel")
        return _with_matrix(unknown, np.eye(len(shape) + 1), world, "millimeter" if metric else "pixel")
    geometry, before = opened
    unit = "millimeter" if metric else geometry.unit
    moved = replace(geometry, shape=shape, unit=unit)
    if same_world(world, before, shape):
        return geometry if (geometry.shape, geometry.unit) == (shape, unit) else moved
    return _with_matrix(moved, before, world, unit)


def layer_metadata(geometry: Geometry, transform: LayerTransform) -> dict[str, Any]:
    """What ``metadata["scribseg"]`` of a layer holds: its geometry, and the world matrix that belongs to it."""
    return {"geometry": geometry, "world": _in_millimetres(transform)[0]}


def has_reader_geometry(shape: tuple[int, ...], transform: LayerTransform) -> bool:
    """Whether a reader, ours or another, left a geometry in the metadata."""
    return _opened(shape, transform, _in_millimetres(transform)[0]) is not None


def same_world(first: Matrix, second: Matrix, shape: Sequence[int]) -> bool:
    """Whether two world matrices map every voxel of an array to the same position within a thousandth of a voxel."""
    if first.shape != second.shape:
        return False
    corners = np.array([[*index, 1.0] for index in product(*((0, max(n - 1, 1)) for n in shape))])
    sizes = np.linalg.norm(second[:-1, :-1], axis=0)
    return bool(np.abs(corners @ (first - second).T).max() <= _MOVED * sizes.min())


def display_placement(geometry: Geometry) -> dict[str, Any]:
    """Scale, translation, units and names that show a grid upright: the nearest orthogonal geometry.

    Rows and columns stay as the file has them and never run backwards on the screen; the translation is the position
    of the first voxel along each axis' own direction. So volumes of one orientation lie on one another as in the
    patient, and the brush has straight voxels under it. The true affine stays in the layer's metadata.

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


def _in_millimetres(transform: LayerTransform) -> tuple[Matrix, bool]:
    """The world matrix in millimetres and seconds, and whether its units are lengths; else in its own numbers."""
    lengths = [in_millimetres(unit) for unit in transform.units]
    times = [
        in_seconds(unit) if length is None else None for unit, length in zip(transform.units, lengths, strict=True)
    ]
    metric = all(length is not None for length in lengths[-2:])
    others = (lengths[-1] or 1.0) if metric else 1.0  # slices without a length are taken to be as far apart as pixels
    factors = [length if metric and length else time or others for length, time in zip(lengths, times, strict=True)]
    if len(factors) == 4:
        factors[0] = times[0] or 1.0
    return np.diag([*factors, 1.0]) @ transform.world, metric


def _opened(shape: tuple[int, ...], transform: LayerTransform, world: Matrix) -> tuple[Geometry, Matrix] | None:
    """The geometry that a reader left, and the world matrix that the layer then had; None where there is none."""
    geometry = reader_geometry(transform.metadata)
    if geometry is None:
        return _geometry_of_others(shape, transform.metadata, world)
    if len(geometry.shape) != len(shape):
        return None
    displayed = LayerTransform.of(display_placement(geometry), len(shape)).world
    before = np.array(transform.metadata["scribseg"].get("world", displayed))
    return (geometry, before) if before.shape == world.shape else None


def _with_matrix(geometry: Geometry, before: Matrix, world: Matrix, unit: str) -> Geometry:
    """A geometry whose layer had the world matrix ``before`` and now has ``world``."""
    n_space = min(len(geometry.shape), 3)
    now, then = _spatial(world, n_space), _spatial(before, n_space)
    if geometry.affine is not None:
        affine: Matrix | None = geometry.affine @ np.linalg.inv(then) @ now
    elif (now[:3, :3] == np.diag(np.abs(np.diag(now[:3, :3])))).all() and not now[:3, 3].any():
        affine = None  # voxel sizes and nothing else
    else:
        affine = _REVERSED @ now
    lengths = np.linalg.norm((now if affine is None else affine)[:3, :3], axis=0)
    spacing = tuple(float(s) for s in lengths[-n_space:])
    if len(geometry.shape) == 4:
        spacing = (float(abs(geometry.spacing[0] * world[0, 0] / before[0, 0])), *spacing)
    if affine is not None and is_singular(affine[:3, :3]):
        affine = None
    return replace(geometry, spacing=spacing, affine=affine, unit=unit)


def _spatial(world: Matrix, n_space: int) -> Matrix:
    """The part of a world matrix that belongs to the axes (z, y, x), shape (4, 4)."""
    part = np.eye(4)
    axes = [*range(len(world) - 1 - n_space, len(world))]
    rows = [*range(3 - n_space, 4)]
    part[np.ix_(rows, rows)] = world[np.ix_(axes, axes)]
    return part


def _geometry_of_others(
    shape: tuple[int, ...], metadata: Mapping[str, Any], world: Matrix
) -> tuple[Geometry, Matrix] | None:
    """The geometry that another reader left, and the world matrix that its layer had when it was opened.

    Two conventions are read: an ``affine`` from indices (x, y, z) to RAS+, as nibabel has it and napari-nifti leaves
    it, and ``origin``, ``spacing`` and ``direction`` in the order of the array and LPS, as ITK has them in Python. Both
    are of volumes of three axes. None where there is neither.
    """
    if len(shape) != 3:
        return None
    found = _nibabel(shape, metadata, world) if "affine" in metadata else _itk(shape, metadata, world)
    if found is None:
        return None
    affine, before = found
    spacing = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))
    return Geometry(shape, spacing, affine, "millimeter"), before


def _nibabel(shape: tuple[int, ...], metadata: Mapping[str, Any], world: Matrix) -> tuple[Matrix, Matrix] | None:
    given = _finite_matrix(metadata["affine"], (4, 4), (5, 5))
    if given is None:
        return None
    affine = np.eye(4)
    affine[:3] = given[:3, [0, 1, 2, -1]]
    if is_singular(affine[:3, :3]):
        return None
    if _close(world, affine):  # an array in the order of the file, in a world of (x, y, z)
        return affine, world
    ours = affine @ _REVERSED
    sizes, origin = np.linalg.norm(ours[:3, :3], axis=0), affine[2::-1, 3]
    mirrored = _diagonal(-sizes, origin + (np.array(shape) - 1) * sizes)  # napari-nifti: the highest slice comes first
    before = _most_alike(world, [_REVERSED @ ours, mirrored, _diagonal(sizes, origin), _diagonal(sizes, np.zeros(3))])
    scale = np.diag([*[_unit(metadata.get("header"))] * 3, 1.0])
    return scale @ ours, before


def _itk(shape: tuple[int, ...], metadata: Mapping[str, Any], world: Matrix) -> tuple[Matrix, Matrix] | None:
    parts = (("direction", (3, 3)), ("spacing", (3,)), ("origin", (3,)))
    direction, spacing, origin = (_finite_matrix(metadata.get(name), size) for name, size in parts)
    if direction is None or spacing is None or origin is None or is_singular(direction * spacing):
        return None
    lps = np.eye(4)
    lps[:3, :3], lps[:3, 3] = direction * spacing, origin
    turned = np.eye(4)
    turned[:3, :3], turned[:3, 3] = direction.T * spacing, origin
    before = _most_alike(world, [lps, turned, _diagonal(spacing, origin), _diagonal(spacing, np.zeros(3))])
    return LPS_TO_RAS @ _REVERSED @ lps, before


def _most_alike(world: Matrix, candidates: list[Matrix]) -> Matrix:
    """The world matrix that a layer most likely had before it was moved: the one with most numbers in common."""

    def alike(before: Matrix) -> float:
        sizes = np.linalg.norm(before[:3, :3], axis=0)
        same = np.abs(world - before)[:3] <= 1e-3 * np.append(sizes, sizes.min())
        signs = np.sign(np.diag(world)[:3]) == np.sign(np.diag(before)[:3])
        return float(same.sum() + signs.sum())

    return max(candidates, key=alike)


def _close(first: Matrix, second: Matrix) -> bool:
    sizes = np.linalg.norm(second[:3, :3], axis=0)
    return bool((np.abs(first - second)[:3] <= 1e-3 * np.append(sizes, sizes.min())).all())


def _diagonal(scale: Matrix, translate: Matrix) -> Matrix:
    matrix = np.diag([*scale, 1.0])
    matrix[:3, 3] = translate
    return matrix


def _finite_matrix(value: Any, *shapes: tuple[int, ...]) -> Matrix | None:
    """Finite numbers of one of the shapes, or None: metadata may hold anything."""
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return matrix if matrix.shape in shapes and np.isfinite(matrix).all() else None


def _unit(header: Any) -> float:
    """Millimetres of the unit of a NIfTI header, if it is one."""
    try:
        return in_millimetres(header.get_xyzt_units()[0]) or 1.0
    except (AttributeError, KeyError, TypeError):
        return 1.0
