"""What other readers leave in the metadata of a layer: where the voxels lie, beside a transform made for display."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Geometry
from napari_scribseg.core.geometry import is_singular
from napari_scribseg.io.units import in_millimetres

__all__ = ["foreign_geometry"]

Matrix = NDArray[np.float64]
_REVERSED = np.eye(4)[[2, 1, 0, 3]]  # (z, y, x) and (x, y, z), one into the other
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def foreign_geometry(
    shape: tuple[int, ...], metadata: Mapping[str, Any], world: Matrix
) -> tuple[Geometry, Matrix] | None:
    """The geometry that another reader found, and the world matrix that its layer had when it was opened.

    Understood are an ``affine`` that maps indices (x, y, z) to RAS+, as nibabel has it and napari-nifti leaves it, and
    ``origin``, ``spacing`` and ``direction`` in the order of the array and LPS, as ITK has them in Python.

    Parameters
    ----------
    shape : tuple of int
        Of the layer; only volumes of three axes are placed by others.
    metadata : mapping
        Of the layer.
    world : ndarray of shape (4, 4)
        What maps an index of the layer to the world now.

    Returns
    -------
    (Geometry, ndarray) or None
        None where nothing of the kind is there.
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
    given = _matrix(metadata["affine"], (4, 4), (5, 5))
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
    before = _likest(world, [_REVERSED @ ours, mirrored, _diagonal(sizes, origin), _diagonal(sizes, np.zeros(3))])
    scale = np.diag([*[_unit(metadata.get("header"))] * 3, 1.0])
    return scale @ ours, before


def _itk(shape: tuple[int, ...], metadata: Mapping[str, Any], world: Matrix) -> tuple[Matrix, Matrix] | None:
    parts = (("direction", (3, 3)), ("spacing", (3,)), ("origin", (3,)))
    direction, spacing, origin = (_matrix(metadata.get(name), size) for name, size in parts)
    if direction is None or spacing is None or origin is None or is_singular(direction * spacing):
        return None
    lps = np.eye(4)
    lps[:3, :3], lps[:3, 3] = direction * spacing, origin
    turned = np.eye(4)
    turned[:3, :3], turned[:3, 3] = direction.T * spacing, origin
    before = _likest(world, [lps, turned, _diagonal(spacing, origin), _diagonal(spacing, np.zeros(3))])
    return _LPS_TO_RAS @ _REVERSED @ lps, before


def _likest(world: Matrix, candidates: list[Matrix]) -> Matrix:
    """What a layer's world matrix most likely was before it was moved: most numbers are the same."""

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


def _matrix(value: Any, *shapes: tuple[int, ...]) -> Matrix | None:
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
