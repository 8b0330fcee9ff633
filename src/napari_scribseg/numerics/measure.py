"""Measures of the classes of a label volume: size, surface, intensities and centre."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.core import Geometry, InputError, Report, silent
from napari_scribseg.core.anatomy import slice_axis
from napari_scribseg.core.measurement import Measurement

__all__ = ["boundary_size", "measure_labels"]

# Shares of the unit sphere that are nearest to an axis, to a diagonal of a face and to one of the cube.
_SHARES = (0.04577789120476, 0.03698062787608, 0.03519563978232)


def measure_labels(
    labels: NDArray[np.integer[Any]],
    geometry: Geometry,
    image: NDArray[Any] | None = None,
    *,
    axis: int | str | None = None,
    ids: Iterable[int] = (),
    report: Report = silent,
) -> list[Measurement]:
    """Measure every class of a label volume.

    Volume, centre, mean, standard deviation, surface and perimeter are those of SimpleITK's
    ``LabelShapeStatisticsImageFilter`` and ``LabelIntensityStatisticsImageFilter``.

    Parameters
    ----------
    labels : ndarray of shape (\\*S)
        Ids, 0 = no class; ``S`` is (y, x), (z, y, x) or (t, z, y, x).
    geometry : Geometry
        Of the shape ``S``.
    image : ndarray of shape (\\*S) or (\\*S, C), optional
        For intensities; of several channels their mean is measured.
    axis : int or str, optional
        Measure also every slice that cuts this axis: its number, or ``"axial"``, ``"coronal"`` or ``"sagittal"``.
    ids : iterable of int
        Classes that get a row also if they have no voxel.
    report : Report
        Gets the progress; may raise :class:`~napari_scribseg.core.Cancelled`.

    Returns
    -------
    list of Measurement
        For each time of a series, for each class in the order of ids: the whole, then its slices.

    Raises
    ------
    InputError
        If labels are no whole numbers, shapes differ, or there is no such axis.
    """
    labels = np.asarray(labels)
    _check(labels, geometry, image)
    number = slice_axis(geometry, axis)
    first = max(labels.ndim - 3, 0)
    if number is not None and not (labels.ndim > 2 and first <= number < labels.ndim):
        raise InputError(f"axis {number} was requested; {first} to {labels.ndim - 1} are expected for slices")
    across = None if number is None else number - first
    if labels.ndim < 4:
        return _measure_volume(labels, geometry, image, across, ids, report)
    rows = []
    for time, part in enumerate(labels):
        shown = None if image is None else image[time]

        def report_part(fraction: float, preview: Any = None, time: int = time) -> None:
            report((time + fraction) / len(labels))

        found = _measure_volume(part, geometry.without_time(), shown, across, ids, report_part)
        rows += [replace(row, time=time) for row in found]
    return rows


def boundary_size(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> float:
    """Surface of a 3D mask, or perimeter of a 2D one, by Crofton's formula.

    Lines along the 13 (or 4) directions between neighbouring voxels are counted where they enter or leave the mask. In
    3D a direction counts by its share of the sphere. As in ITK, the shares are those of cubic voxels.

    Parameters
    ----------
    mask : ndarray of shape (Z, Y, X) or (H, W)
        Beyond its border there is nothing.
    spacing : tuple of float
        Along each axis, in mm.

    Returns
    -------
    float
        In mm² (3D) or mm (2D).

    References
    ----------
    Legland, Kiêu, Devaux, "Computation of Minkowski measures on 2D and 3D binary images", Image Analysis & Stereology
    26 (2007); Lehmann, Legland, "Efficient N-dimensional surface estimation using Crofton formula and run-length
    encoding", Insight Journal (2012), as in itkShapeLabelMapFilter.
    """
    padded = np.pad(mask, 1)
    size, total = float(np.prod(spacing)), 0.0
    for step in _directions(mask.ndim):
        first = padded[tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(step, padded.shape, strict=True))]
        second = padded[tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in zip(step, padded.shape, strict=True))]
        crossings = np.count_nonzero(first != second)
        length = float(np.linalg.norm(np.multiply(step, spacing)))
        weight = np.pi / 8 if mask.ndim == 2 else 4 * _SHARES[np.count_nonzero(step) - 1]
        total += weight * crossings * size / length
    return total


def _directions(ndim: int) -> Iterator[tuple[int, ...]]:
    """The directions to neighbours, one of each opposite two."""
    for step in product((0, 1, -1), repeat=ndim):
        leading = next((s for s in step if s), 0)
        if leading > 0:
            yield step


def _check(labels: NDArray[Any], geometry: Geometry, image: NDArray[Any] | None) -> None:
    if labels.dtype.kind not in "iu":
        raise InputError(f"the labels hold {labels.dtype} values; whole numbers are expected")
    if labels.shape != tuple(geometry.shape):
        raise InputError(f"the labels have shape {labels.shape}; the geometry has {tuple(geometry.shape)}")
    if image is not None and image.shape[: labels.ndim] != labels.shape:
        raise InputError(f"the image has shape {image.shape}; the labels have {labels.shape}")


def _measure_volume(
    labels: NDArray[np.integer[Any]],
    geometry: Geometry,
    image: NDArray[Any] | None,
    across: int | None,
    ids: Iterable[int],
    report: Report,
) -> list[Measurement]:
    """The rows of one volume or of a 2D image."""
    report(0.0)
    found, inverse = _numbered(labels)
    boxes = dict(zip(found, ndimage.find_objects(inverse, len(found)), strict=True))
    rows: list[Measurement] = []
    wanted = sorted({*found, *(int(i) for i in ids)} - {0})
    for done, identity in enumerate(wanted, start=1):
        box = boxes.get(identity)
        if box is None:
            sized = geometry.unit == "millimeter" and labels.ndim == 3
            rows.append(Measurement(identity, volume_ml=0.0 if sized else None))
        else:
            mask = labels[box] == identity
            start = tuple(part.start for part in box)
            values = None if image is None else image[box]
            rows.append(_measure(identity, mask, start, geometry, values))
            if across is not None:
                rows += _measure_slices(identity, mask, start, geometry, values, across)
        report(done / len(wanted))
    return rows


def _numbered(labels: NDArray[np.integer[Any]]) -> tuple[list[int], NDArray[np.integer[Any]]]:
    """The ids without 0, and the labels with these numbered from 1."""
    if labels.dtype.kind == "u" and labels.dtype.itemsize <= 2:
        present = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=1))
    else:
        present = np.unique(labels)
    present = present[present != 0]
    if not present.size:
        return [], np.zeros((1,) * labels.ndim, np.uint8)
    if present[0] > 0 and present[-1] <= np.iinfo(np.uint16).max:
        table = np.zeros(int(present[-1]) + 1, np.uint16)
        table[present] = np.arange(1, len(present) + 1)
        return present.tolist(), table[labels]
    numbered = np.searchsorted(present, labels) + 1
    numbered[labels == 0] = 0
    return present.tolist(), numbered


def _measure(
    identity: int,
    mask: NDArray[np.bool_],
    start: tuple[int, ...],
    geometry: Geometry,
    values: NDArray[Any] | None,
) -> Measurement:
    """One row for a mask, whose first voxel has the index ``start``; a 2D mask is a 2D image."""
    voxels = int(np.count_nonzero(mask))
    centre = tuple(s + _mean_index(mask, axis) for axis, s in enumerate(start))
    row = Measurement(
        identity,
        voxels=voxels,
        centre_voxel=centre,
        centre_mm=_in_patient(geometry, centre),
        **_intensities(mask, values),
    )
    if geometry.unit != "millimeter":
        return row
    boundary = boundary_size(mask, geometry.spacing)
    if mask.ndim == 2:
        return replace(row, area_mm2=voxels * float(np.prod(geometry.spacing)), perimeter_mm=boundary)
    return replace(row, volume_ml=voxels * _voxel_size(geometry) / 1000, surface_mm2=boundary)


def _measure_slices(
    identity: int,
    mask: NDArray[np.bool_],
    start: tuple[int, ...],
    geometry: Geometry,
    values: NDArray[Any] | None,
    across: int,
) -> Iterator[Measurement]:
    """A row for each slice that a class has voxels in."""
    inside = [axis for axis in range(3) if axis != across]
    flat = Geometry(
        tuple(geometry.shape[axis] for axis in inside),
        tuple(geometry.spacing[axis] for axis in inside),
        unit=geometry.unit,
    )
    for index in np.flatnonzero(mask.any(axis=tuple(inside))):
        at = tuple(int(index) if axis == across else slice(None) for axis in range(3))
        part: NDArray[np.bool_] = mask[at]
        shown = None if values is None else values[at]
        row = _measure(identity, part, tuple(start[axis] for axis in inside), flat, shown)
        number = int(start[across] + index)
        assert row.centre_voxel is not None
        centre = [*row.centre_voxel]
        centre.insert(across, float(number))
        volume = row.voxels * _voxel_size(geometry) / 1000 if geometry.unit == "millimeter" else None
        yield replace(
            row,
            slice=number,
            volume_ml=volume,
            centre_voxel=tuple(centre),
            centre_mm=_in_patient(geometry, tuple(centre)),
        )


def _mean_index(mask: NDArray[np.bool_], axis: int) -> float:
    counts = np.count_nonzero(mask, axis=tuple(a for a in range(mask.ndim) if a != axis))
    return float(np.average(np.arange(len(counts)), weights=counts))


def _intensities(mask: NDArray[np.bool_], values: NDArray[Any] | None) -> dict[str, Any]:
    if values is None:
        return {}
    inside = values[mask].astype(np.float64)
    if inside.ndim > 1:
        inside = inside.mean(-1)
    inside = inside[np.isfinite(inside)]
    if not inside.size:
        return {}
    p5, median, p95 = (float(v) for v in np.percentile(inside, (5, 50, 95)))
    found = {"mean": float(inside.mean()), "p5": p5, "median": median, "p95": p95}
    return found | ({"sd": float(inside.std(ddof=1))} if inside.size > 1 else {})


def _voxel_size(geometry: Geometry) -> float:
    """In mm³; of a sheared grid that of the parallelepiped."""
    if geometry.affine is not None:
        return float(abs(np.linalg.det(geometry.affine[:3, :3])))
    return float(np.prod(geometry.spacing))


def _in_patient(geometry: Geometry, index: tuple[float, ...]) -> tuple[float, float, float] | None:
    if geometry.affine is None or geometry.unit != "millimeter":
        return None
    x, y, z = (float(v) for v in (geometry.affine @ [*(0,) * (3 - len(index)), *index, 1])[:3])
    return x, y, z
