"""Cases from a case: its slices, its objects as one, one of its objects, the labels that have strokes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError
from napari_scribseg.datasets.case import UNKNOWN, Case

__all__ = ["MissingLabelError", "drawn", "only", "semantic", "single_object", "slices"]


def slices(case: Case, axis: int = 0, *, strokes_only: bool = False, smallest: int = 1) -> Iterator[Case]:
    """The 2D cases of a 3D case, in their order; images and labels are views.

    Parameters
    ----------
    case : Case
        With three axes.
    axis : int
        Across the slices.
    strokes_only : bool
        Whether slices without a person's strokes of two labels, the background included where there is one, are left
        out.
    smallest : int
        Smallest number of object pixels of a slice.

    Yields
    ------
    Case
        ``"NAME slice 7"``, in the group and of the source of the volume.

    Raises
    ------
    InputError
        If the case has two axes, or there is no such axis.
    """
    if case.truth.ndim != 3 or axis not in (0, 1, 2):
        raise InputError(f"{case.name}: slices across axis {axis} of {case.truth.ndim} axes; 0 to 2 of 3 expected")
    return _slices(case, axis, strokes_only, smallest)


def _slices(case: Case, axis: int, strokes_only: bool, smallest: int) -> Iterator[Case]:
    spacing = tuple(s for a, s in enumerate(case.spacing) if a != axis)
    for index in range(case.truth.shape[axis]):
        at: tuple[slice | int, ...] = (slice(None),) * axis + (index,)
        truth = case.truth[at]
        strokes = None if case.strokes is None else case.strokes[at]
        if _objects(truth, case.background).sum() < smallest:
            continue
        if strokes_only and (strokes is None or not _suffice(strokes, case.background)):
            continue
        name = f"{case.name} slice {index}"
        yield replace(case, name=name, image=case.image[at], truth=truth, spacing=spacing, strokes=strokes)


def _suffice(strokes: NDArray[np.int32], background: int | None) -> bool:
    ids = set(np.unique(strokes).tolist()) - {UNKNOWN}
    return len(ids) >= 2 and (background is None or background in ids)


def _objects(ids: NDArray[np.int32], background: int | None) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = ids != UNKNOWN
    return valid if background is None else valid & (ids != background)


def semantic(case: Case) -> Case:
    """The case with all its objects as the id 1 and the background as 0, in the truth and in the strokes.

    Raises
    ------
    InputError
        If the case has no background: then every id is an object.
    """
    if case.background is None:
        raise InputError(f"{case.name}: every label of it is an object; a case with a background is expected")

    def collapsed(ids: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.where(ids == UNKNOWN, ids, _objects(ids, case.background).astype(np.int32))

    strokes = None if case.strokes is None else collapsed(case.strokes)
    names = {0: "background", 1: "object"}
    return replace(case, truth=collapsed(case.truth), strokes=strokes, names=names, background=0, instances=False)


def single_object(case: Case, identity: int) -> Case:
    """The case with one of its labels as the id 1 and all the others as the background 0.

    Parameters
    ----------
    case : Case
        Of any kind.
    identity : int
        An id in its truth.

    Returns
    -------
    Case
        ``"NAME object 3"``, in the group and of the source of the case.

    Raises
    ------
    InputError
        If the truth does not hold the id.
    """
    if identity == UNKNOWN or not (case.truth == identity).any():
        some = ", ".join(map(str, case.ids[:8])) + (", ..." if len(case.ids) > 8 else "") or "none"
        raise InputError(f"{case.name}: its truth has no label {identity}; it has {some}")

    def alone(ids: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.where(ids == UNKNOWN, ids, (ids == identity).astype(np.int32))

    return replace(
        case,
        name=f"{case.name} object {identity}",
        truth=alone(case.truth),
        strokes=None if case.strokes is None else alone(case.strokes),
        names={0: "background", 1: case.names.get(identity, f"object {identity}")},
        background=0,
        instances=False,
    )


class MissingLabelError(InputError):
    """A case lacks a label that was asked for."""


def only(case: Case, labels: Sequence[str]) -> Case:
    """The case with the labels of these names or ids, and all others as background, also in the strokes.

    Raises
    ------
    InputError
        If the case has no background.
    MissingLabelError
        If one of the labels is not in its truth.
    """
    background = case.background
    if background is None:
        raise InputError(f"{case.name}: every label of it is an object; a case with a background is expected")
    found = {str(i): i for i in case.ids} | {name: i for i, name in case.names.items() if i in case.ids}
    missing = next((label for label in labels if label not in found), None)
    if missing is not None:
        some = ", ".join(case.names.get(i, str(i)) for i in case.objects)
        raise MissingLabelError(f"{case.name}: its truth has no label {missing!r}; it has {some}")
    kept = [UNKNOWN, *(found[label] for label in labels)]

    def reduced(ids: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.where(np.isin(ids, kept), ids, np.int32(background))

    strokes = None if case.strokes is None else reduced(case.strokes)
    return replace(case, truth=reduced(case.truth), strokes=strokes)


def drawn(case: Case) -> Case:
    """The case with the labels that have no strokes as background.

    No method can segment a label without strokes; scores of these cases compare all methods on the others. A case
    without strokes or without a background is returned unchanged.
    """
    if case.strokes is None or case.background is None:
        return case
    kept = np.isin(case.truth, [*np.unique(case.strokes).tolist(), UNKNOWN])
    return replace(case, truth=np.where(kept, case.truth, np.int32(case.background)))
