"""Who may write where: the overlap rule, locked classes, accepted slices; and what an engine must return."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.classes import ClassTable, LabelClass
from napari_scribseg.core.curve import LossCurve
from napari_scribseg.core.engine import EngineInfo, Segmentation
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.scribbles import Scribbles
from napari_scribseg.core.source import SliceIndex

__all__ = ["OVERLAPS", "check_segmentation", "combine", "lacking", "present_ids", "suffice", "to_label_ids"]

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
    """What strokes of these ids lack to be answered, in a sentence that ``on ...`` may follow; empty if nothing."""
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
) -> NDArray[Any]:
    """What a slice of the label volume becomes when a result arrives.

    Parameters
    ----------
    result : ndarray of shape (H, W)
        Label ids by the engine, background 0.
    current : ndarray of shape (H, W)
        The slice as it is.
    underlay : ndarray of shape (H, W)
        The slice as it was before its first result in this session: finished work, from a loaded label volume or from
        slices that cross this one. What the slice's own earlier results or a propagation wrote is not in it: that is
        always replaced.
    ids : tuple of int
        The classes that the engine was asked to tell apart.
    overlap : {"overwrite", "keep"}
        ``keep``: finished labels stay, the result fills only what was background there. ``overwrite``: the result
        replaces them, but its background erases only classes that were drawn on this slice: a class without a stroke
        here is unknown to the engine, which therefore has no say in where that class ends.
    locked : tuple of int
        Ids whose voxels neither lose nor gain (0 stands for the background).
    slice, accepted : SliceIndex, iterable of SliceIndex
        Voxels that also lie in an accepted slice stay.
    corrects : bool
        Whether the result holds by itself what stays of the labels that were there.

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
    if locked:
        out = np.where(np.isin(current, locked) | np.isin(out, locked), current, out)
    for other in accepted:
        index = slice_index.crossing(other)
        if index is not None and other != slice_index:
            out[index] = current[index]
    return out


def to_label_ids(segmentation: Segmentation[Any], scribbles: Scribbles) -> NDArray[Any]:
    """Label ids of shape (H, W) by the most probable class, every seed obeyed unless it may be part of an outline."""
    binding = (scribbles.seeds >= 0) & (not segmentation.outlines)
    classes = np.where(binding, scribbles.seeds, segmentation.labels)
    return scribbles.to_ids(classes)


def check_segmentation(answer: object, scribbles: Scribbles, engine: str) -> Segmentation[Any]:
    """The answer itself.

    Raises
    ------
    InputError
        If it is not a :class:`Segmentation` with finite probabilities of the right shape that sum to 1, or its curve is
        not one.
    """
    shape = (scribbles.n_classes, *scribbles.shape)
    if not isinstance(answer, Segmentation):
        raise InputError(f"the engine {engine!r} returned {type(answer).__name__}; a Segmentation is expected")
    values = answer.probabilities
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise InputError(f"the engine {engine!r} returned probabilities as {kind}; a float32 numpy array is expected")
    if values.shape != shape:
        raise InputError(f"the engine {engine!r} returned probabilities of shape {values.shape}; expected {shape}")
    total = values.sum(axis=0)
    if not np.isfinite(total).all():
        raise InputError(f"the engine {engine!r} returned probabilities that are NaN or infinite")
    if float(values.min()) < -1e-3 or float(np.abs(total - 1).max()) > 1e-2:
        raise InputError(
            f"the engine {engine!r} returned probabilities from {values.min():.3g} that sum to between "
            f"{total.min():.3g} and {total.max():.3g}; values >= 0 that sum to 1 are expected"
        )
    if not isinstance(answer.curve, LossCurve | None):
        kind = type(answer.curve).__name__
        raise InputError(f"the engine {engine!r} returned a curve of type {kind}; a LossCurve, or None, is expected")
    return answer
