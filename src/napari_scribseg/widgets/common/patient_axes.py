"""How the axes of napari's world lie in the patient, and how to display two of them as radiologists do. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.anatomy import nearest_axes
from napari_scribseg.io.layer_geometry import has_reader_geometry
from napari_scribseg.widgets.common.layer_source import LayerSource

__all__ = ["Arrangement", "PatientAxis", "edge_letters", "patient_axes", "radiological"]

_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True, slots=True)
class PatientAxis:
    """The axis of the patient that is nearest to one of the world.

    Attributes
    ----------
    axis : int
        0 to the right, 1 to the front (anterior), 2 to the head (superior).
    sign : int
        1 if both run the same way, -1 if not.
    """

    axis: int
    sign: int

    @property
    def ends(self) -> tuple[str, str]:
        """The letters of its low and its high end."""
        first, last = _LETTERS[self.axis][:: self.sign]
        return first, last


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Which axes of the world are displayed, and the way that they run.

    Attributes
    ----------
    rows, columns : int
        Axis of the world that runs down or up on the screen, and the one that runs to a side.
    orientation : tuple of str
        As ``camera.orientation`` of napari: of depth, rows and columns.
    """

    rows: int
    columns: int
    orientation: tuple[str, str, str]


def patient_axes(source: LayerSource, n_world: int) -> dict[int, PatientAxis]:
    """The patient's axis for each spatial axis of the world; none where the directions in the patient are not known.

    Parameters
    ----------
    source : LayerSource
        An image; its axes are the last ones of the world.
    n_world : int
        Number of axes of the viewer.
    """
    transform, shape = source.transform(), source.shape
    affine = source.geometry().affine
    if affine is None or not has_reader_geometry(shape, transform):
        return {}
    n_space = min(len(shape), 3)
    axes = [axis for axis in range(source.layer.ndim) if axis != source.channel_axis][-n_space:]
    index_to_world = np.eye(3)
    index_to_world[3 - n_space :, 3 - n_space :] = transform.world[:-1, :-1][-n_space:, -n_space:]
    directions: NDArray[np.float64] = affine[:3, :3] @ np.linalg.inv(index_to_world)
    nearest = nearest_axes(directions / np.linalg.norm(directions, axis=0))
    found = {}
    for axis, column in zip(axes, nearest.T[-n_space:], strict=True):
        own = int(np.argmax(np.abs(column)))
        found[n_world - source.layer.ndim + axis] = PatientAxis(own, int(column[own]))
    return found


def radiological(axes: dict[int, PatientAxis], displayed: Sequence[int]) -> Arrangement | None:
    """The patient's right on the left of the screen, the front above in axial slices, the head above in others.

    A sagittal slice has the front on the left. Depth is chosen such that a 3D view is not mirrored.

    Parameters
    ----------
    axes : dict of int to PatientAxis
        As :func:`patient_axes` gives them.
    displayed : sequence of int
        The displayed axes of the world, two or three; of three, the last two as if they were displayed alone.

    Returns
    -------
    Arrangement or None
        None if one of the last two is no axis of the patient.
    """
    pair = list(displayed[-2:])
    if len(pair) < 2 or any(axis not in axes for axis in pair):
        return None
    columns, rows = sorted(pair, key=lambda axis: axes[axis].axis)
    up, left = axes[rows].sign > 0, axes[columns].sign > 0
    depth = next((axis for axis in axes if axis not in pair), None)
    towards = depth is None or _is_mirrored(axes, (depth, rows, columns)) == (up != left)
    return Arrangement(
        rows, columns, ("towards" if towards else "away", "up" if up else "down", "left" if left else "right")
    )


def _is_mirrored(axes: dict[int, PatientAxis], order: Sequence[int]) -> bool:
    """Whether three axes, in this order, are no rotation of right, front and head."""
    matrix = np.zeros((3, 3))
    for column, axis in enumerate(order):
        matrix[axes[axis].axis, column] = axes[axis].sign
    return bool(np.linalg.det(matrix) < 0)


def edge_letters(
    axes: dict[int, PatientAxis], displayed: Sequence[int], orientation: Sequence[object]
) -> tuple[str, str, str, str]:
    """The letters at the top, bottom, left and right of the canvas; empty where an axis is none of the patient.

    Parameters
    ----------
    axes : dict of int to PatientAxis
        As :func:`patient_axes` gives them.
    displayed : sequence of 2 int
        The axes of the world that run along the rows and along the columns.
    orientation : sequence of 3
        ``camera.orientation`` of napari.
    """
    rows, columns = (axes[axis].ends if axis in axes else ("", "") for axis in displayed)
    top, bottom = rows if str(orientation[1]) == "down" else rows[::-1]
    left, right = columns if str(orientation[2]) == "right" else columns[::-1]
    return top, bottom, left, right
