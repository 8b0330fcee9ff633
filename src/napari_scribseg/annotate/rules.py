"""Where a result may be written: the overlap rule, locked classes, accepted slices; which strokes are enough."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.classes import ClassTable, LabelClass
from napari_scribseg.core.engine import EngineInfo
from napari_scribseg.core.source import SliceIndex

__all__ = ["OVERLAPS", "combine", "lacking", "present_ids", "suffice"]

OVERLAPS = ("overwrite", "keep")


def present_ids(values: NDArray[Any]) -> tuple[int, ...]:
    """The ids above 0 in an array of unsigned integers, ascending."""
    return tuple(int(i) for i in np.flatnonzero(np.bincount(values.ravel())) if i)


def suffice(
    drawn: Collection[int], info: EngineInfo, background: int | None, prior: NDArray[np.int32] | None = None
) -> bool:
    """Whether an engine can work with strokes of these ids on these labels, and no more of them than it takes."""
    if len(drawn) != 1:
        return 2 <= len(drawn) <= info.max_classes
    (only,) = drawn
    if prior is not None and bool(((prior >= 0) & (prior != (0 if only == background else only))).any()):
        return True
    return info.min_classes == 1 and only != background


def lacking(drawn: Sequence[int], info: EngineInfo, classes: ClassTable, prior: NDArray[np.int32] | None = None) -> str:
    """What strokes of these ids lack to be segmented, in a sentence that ``on ...`` may follow; empty if nothing."""
    if suffice(drawn, info, classes.background, prior):
        return ""
    names = {label.id: label.name for label in classes}
    if len(drawn) > info.max_classes:
        return f"strokes of {len(drawn)} classes are too many for {info.name}, which takes {info.max_classes},"
    if not drawn and info.min_classes == 1:
        return "no strokes; paint one inside of what you look for"
    if not drawn:
        return "no strokes; paint one in each of two classes"
    others = sorted((label for label in classes if label.id not in drawn), key=lambda label: not label.background)
    such = f", such as {_called(others[0])}," if others else ""
    return f"strokes of {names.get(drawn[0], f'label {drawn[0]}')} only; paint a second class{such}"


def _called(label: LabelClass) -> str:
    return "the background" if label.background and label.name == "background" else label.name


def combine(
    result: NDArray[Any],
    current: NDArray[Any],
    underlay: NDArray[Any],
    *,
    ids: tuple[int, ...],
    overlap: str,
    locked: tuple[int, ...],
    slice_index: SliceIndex,
    accepted: Iterable[SliceIndex],
    corrects: bool = False,
    fixed: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """What a slice of the label volume becomes when a result arrives.

    Parameters
    ----------
    result : ndarray of shape (H, W)
        Label ids by the engine, background 0.
    current : ndarray of shape (H, W)
        The slice now.
    underlay : ndarray of shape (H, W)
        The slice as it was before its first result in this session: finished work, from a loaded label volume or from
        slices that cross this one. What the slice's own earlier results or a propagation wrote is not in it: that is
        always replaced.
    ids : tuple of int
        The classes that the engine was to separate.
    overlap : {"overwrite", "keep"}
        ``keep``: finished labels stay, the result fills only what was background there. ``overwrite``: the result
        replaces them, but its background erases only classes that were drawn on this slice: the engine
        does not see other classes, so they stay.
    locked : tuple of int
        Ids that no voxel may lose or get (0 stands for the background).
    slice_index, accepted : SliceIndex, iterable of SliceIndex
        Voxels that also lie in an accepted slice stay.
    corrects : bool
        Whether the result already holds the earlier labels that stay.
    fixed : ndarray of shape (H, W), int32, optional
        Labels of voxels that were edited by hand, which no result changes; -1 elsewhere.

    Returns
    -------
    ndarray of shape (H, W), a new array of the type of ``result`` or larger
    """
    if overlap == "keep":
        out = np.where(underlay != 0, underlay, result)
    elif corrects:
        out = result
    else:
        survives = (result == 0) & (underlay != 0) & ~np.isin(underlay, ids)
        out = np.where(survives, underlay, result)
    if fixed is not None:
        out = np.where(fixed >= 0, fixed, out).astype(np.promote_types(out.dtype, np.min_scalar_type(fixed.max())))
    if locked:
        out = np.where(np.isin(current, locked) | np.isin(out, locked), current, out)
    for other in accepted:
        index = slice_index.crossing(other)
        if index is not None and other != slice_index:
            out[index] = current[index]
    return out
