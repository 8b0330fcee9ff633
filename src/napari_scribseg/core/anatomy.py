"""The axes of a volume in the words of anatomy, from the directions of its grid in the patient."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.errors import InputError
from napari_scribseg.core.geometry import Geometry

__all__ = ["SLICE_NAMES", "axis_letters", "nearest_axes", "parse_axis", "slice_axis", "slice_names"]

#: The slices across the patient's axes right, anterior and superior.
SLICE_NAMES = ("sagittal", "coronal", "axial")
_ENDS = (("L", "R"), ("P", "A"), ("I", "S"))


def nearest_axes(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The signed permutation matrix nearest to three unit columns: each column a different world axis."""
    size = np.abs(directions)
    rows = max(permutations(range(3)), key=lambda rows: size[list(rows), range(3)].sum())
    nearest = np.zeros((3, 3))
    for column, row in enumerate(rows):
        nearest[row, column] = -1.0 if directions[row, column] < 0 else 1.0
    return nearest


def slice_names(geometry: Geometry) -> tuple[str, ...] | None:
    """For each axis of the array the name of the slices that it counts, such as ``("axial", "coronal", "sagittal")``.

    It is the name of the patient's axis that is nearest to the grid's; an axis of time has an empty one. None for a 2D
    image, and for one whose directions in the patient are not known.
    """
    worlds = None if len(geometry.shape) < 3 else _world_axes(geometry)
    if worlds is None:
        return None
    return tuple("" if world is None else SLICE_NAMES[world[0]] for world in worlds)


def axis_letters(geometry: Geometry) -> tuple[tuple[str, str], ...] | None:
    """For each axis of the array the letters of its first and its last index, of R L A P S I.

    An axis of time has empty ones. None where the directions in the patient are not known.
    """
    worlds = _world_axes(geometry)
    if worlds is None:
        return None
    pairs = [("", "") if world is None else _ENDS[world[0]][:: world[1]] for world in worlds]
    return tuple((first, last) for first, last in pairs)


def parse_axis(text: str | None) -> int | str | None:
    """The axis that a user typed: a number, or one of ``axial``, ``coronal`` and ``sagittal``.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if text is None:
        return None
    word = text.strip().lower()
    if word in SLICE_NAMES:
        return word
    if word.isdecimal():
        return int(word)
    raise InputError(f"the axis is {text!r}; axial, coronal, sagittal or the number of an axis is expected")


def slice_axis(geometry: Geometry, axis: int | str | None) -> int | None:
    """The number of the axis that slices cut: the one nearest to the patient's axis across slices of this name.

    A number and None stay as they are.

    Raises
    ------
    InputError
        If a name is given and the image is 2D, or its directions in the patient are not known.
    """
    if axis is None or isinstance(axis, int):
        return axis
    name = parse_axis(axis)
    if isinstance(name, int):
        return name
    if len(geometry.shape) < 3:
        raise InputError(f"{name} was requested of a 2D image; it has one slice only, leave the axis out")
    names = slice_names(geometry)
    if names is None:
        raise InputError(
            f"{name} was requested, but the image does not say how it lies in the patient; give the number of the axis"
        )
    return names.index(str(name))


def _world_axes(geometry: Geometry) -> list[tuple[int, int] | None] | None:
    """For each axis of the array the nearest of the patient's (0 right, 1 anterior, 2 superior) and its sign."""
    if geometry.affine is None:
        return None
    linear = geometry.affine[:3, :3]
    nearest = nearest_axes(linear / np.linalg.norm(linear, axis=0))
    found: list[tuple[int, int] | None] = []
    for column in nearest.T:
        world = int(np.argmax(np.abs(column)))
        found.append((world, int(column[world])))
    n_axes = len(geometry.shape)
    return [None] * (n_axes - 3) + found[-min(n_axes, 3) :]
