"""Run a tool on a label volume: its scope, what it may overwrite, and what is protected, alike for all tools."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.core.classes import MAX_ID
from napari_scribseg.numerics.editing.tool import EditTool, Part

__all__ = ["Box", "Change", "Over", "Scope", "changes", "edit_labels"]

Box = tuple[slice, ...]
Over = Literal["background", "all"]


@dataclass(frozen=True, slots=True)
class Scope:
    """The voxels that a tool sees and may change.

    Attributes
    ----------
    axis : int
        The axis that the slices cut.
    start, stop : int or None
        The first slice, and one after the last; None for the ends of the volume.
    each_slice : bool
        Whether the slices are edited one by one, in 2D, and not together, in 3D. A single slice always is.
    """

    axis: int = 0
    start: int | None = None
    stop: int | None = None
    each_slice: bool = False

    def slices(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The first slice and one after the last in a volume of a shape.

        Raises
        ------
        InputError
            If there is no such axis, or no such slices.
        """
        if not 0 <= self.axis < len(shape):
            raise InputError(f"axis {self.axis} was requested of labels of shape {shape}")
        n = shape[self.axis]
        start, stop = 0 if self.start is None else self.start, n if self.stop is None else self.stop
        if not 0 <= start < stop <= n:
            raise InputError(f"the slices {start} to {stop - 1} were requested; expected some from 0 to {n - 1}")
        return start, stop


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """New labels of a box.

    Attributes
    ----------
    box : tuple of slice
        Where it lies in the volume.
    labels : ndarray of the shape of the box, unsigned integer
        All of its labels.
    """

    box: Box
    labels: NDArray[Any]


def edit_labels(
    labels: ArrayLike,
    tool: EditTool,
    identity: int,
    *,
    spacing: tuple[float, ...] | None = None,
    image: ArrayLike | None = None,
    scope: Scope | None = None,
    over: Over = "background",
    locked: tuple[int, ...] = (),
    protected: ArrayLike | None = None,
    taken: tuple[int, ...] = (),
    report: Report = silent,
) -> NDArray[Any]:
    """Edit a class of a label image or volume by a tool; a new array.

    Parameters
    ----------
    labels : array_like of shape (\\*S), unsigned integer, of 2 or 3 axes
        Label ids, background 0.
    tool : EditTool
        Such as ``FillHoles()``; see :data:`TOOLS`.
    identity : int
        The class.
    spacing : tuple of float, optional
        Size of a voxel along each axis in mm; 1 by default.
    image : array_like of shape (\\*S), optional
        Values, for a tool that needs them.
    scope : Scope, optional
        One slice, several, or the whole volume (the default). What lies outside is neither seen nor changed.
    over : {"background", "all"}
        Which voxels the class may get: those of the background only, or those of all classes that are not locked.
    locked : tuple of int
        Ids that no voxel may lose or get; 0 stands for the background.
    protected : array_like of shape (\\*S), bool, optional
        Voxels that never change.
    taken : tuple of int
        Further ids that a tool that makes classes cannot use.
    report : Report
        Called with fractions from 0 to 1; what it raises ends the work.

    Returns
    -------
    ndarray of shape (\\*S)
        Of the type of ``labels``, or a larger one where ids need it.

    Raises
    ------
    InputError
        If the labels, the class, the scope or the image cannot be used, or the tool cannot work on them.
    Cancelled
        If ``report`` raised it.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_scribseg.numerics.editing import Grow, edit_labels
    >>> labels = np.zeros((5, 5), np.uint8)
    >>> labels[2, 2] = 1
    >>> int(edit_labels(labels, Grow(distance=1.0), 1).sum())
    5
    """
    given = as_label_array(labels)
    out = given.copy()
    protected = None if protected is None else np.asarray(protected, bool)
    if protected is not None and protected.shape != given.shape:
        raise InputError(f"the protected voxels have shape {protected.shape}; the labels have {given.shape}")
    found = changes(
        given, tool, identity, spacing=spacing, image=None if image is None else np.asarray(image), scope=scope,
        over=over, locked=locked, protected=protected, taken=taken, report=report,
    )  # fmt: skip
    for change in found:
        out = out.astype(np.promote_types(out.dtype, change.labels.dtype), copy=False)
        out[change.box] = change.labels
    return out


def as_label_array(labels: ArrayLike) -> NDArray[Any]:
    """Labels as unsigned integers of 2 or 3 axes; InputError if they are none."""
    values = np.asarray(labels)
    if values.ndim not in (2, 3):
        raise InputError(f"the labels have {values.ndim} axes; 2 or 3 are expected")
    if values.dtype.kind not in "iub":
        raise InputError(f"the labels have {values.dtype} values; integers are expected")
    if values.dtype.kind != "u":
        low, high = int(values.min(initial=0)), int(values.max(initial=0))
        if low < 0 or high > MAX_ID:
            raise InputError(f"the labels have ids from {low} to {high}; expected 0 to {MAX_ID}")
        values = values.astype(np.uint8 if high <= 255 else np.uint16)
    return values


def changes(
    labels: NDArray[Any],
    tool: EditTool,
    identity: int,
    *,
    spacing: tuple[float, ...] | None = None,
    image: Any = None,
    scope: Scope | None = None,
    over: Over = "background",
    locked: tuple[int, ...] = (),
    protected: NDArray[np.bool_] | Callable[[Box], NDArray[np.bool_]] | None = None,
    taken: tuple[int, ...] = (),
    report: Report = silent,
) -> Iterator[Change]:
    """What a tool changes, box by box, where it changes something; see :func:`edit_labels`.

    ``image`` may be anything that can be sliced, and ``protected`` also a function that gives the protected voxels of
    a box.
    """
    scope = scope or Scope()
    spacing = (1.0,) * labels.ndim if spacing is None else tuple(float(step) for step in spacing)
    _check(labels, tool, identity, spacing, image, over, locked)
    boxes, start, stop = _boxes(labels.shape, tool, scope)
    seen = False
    for i, box in enumerate(boxes):
        report(i / len(boxes))
        flat = box[scope.axis].stop - box[scope.axis].start == 1 and labels.ndim == 3 and not tool.info.across
        crop = _crop(labels[box], identity, tool, spacing)
        if crop is None:
            continue
        seen = True
        box = tuple(slice(b.start + c.start, b.start + c.stop) for b, c in zip(box, crop, strict=True))
        former = labels[box]
        ids = _ids(labels) if tool.info.makes_classes else ()
        at = box[scope.axis].start
        part = Part(
            former, identity, spacing, frozenset((0, identity, *taken, *ids)),
            _values(image, box, labels.ndim) if tool.info.needs_image else None, scope.axis, start - at, stop - at,
            math.prod(spacing) / 10**labels.ndim,
        )  # fmt: skip
        new = _apply(part, tool, report=_share(report, i, len(boxes)), flat=flat)
        kept = protected(box) if callable(protected) else None if protected is None else protected[box]
        merged = _merge(former, new, identity, tool, over, locked, kept)
        if merged is not None:
            yield Change(box, merged)
    report(1.0)
    if not seen:
        raise InputError(f"there are no voxels of the class {identity} in what is to be edited")


def _check(
    labels: NDArray[Any], tool: EditTool, identity: int, spacing: tuple[float, ...], image: Any, over: str,
    locked: tuple[int, ...],
) -> None:  # fmt: skip
    if not 1 <= identity <= MAX_ID:
        raise InputError(f"the class has the id {identity}; expected 1 to {MAX_ID}")
    if over not in ("background", "all"):
        raise InputError(f"what may be overwritten is {over!r}; expected background or all")
    if len(spacing) != labels.ndim or not all(step > 0 and math.isfinite(step) for step in spacing):
        raise InputError(f"the spacing is {spacing}; expected {labels.ndim} numbers above 0")
    if identity in locked:
        raise InputError(f"the class {identity} is locked; unlock it to edit it")
    if tool.info.needs_image:
        if image is None:
            raise InputError(f"{tool.info.name} reads values of the image; an image is expected")
        if tuple(image.shape[: labels.ndim]) != labels.shape:
            raise InputError(f"the image has shape {tuple(image.shape)}; the labels have {labels.shape}")
    tool.require(identity)


def _boxes(shape: tuple[int, ...], tool: EditTool, scope: Scope) -> tuple[list[Box], int, int]:
    """The boxes that are edited one after the other, and the slices of the scope."""
    if len(shape) == 2:
        if tool.info.across:
            raise InputError(f"{tool.info.name} works on the slices of a volume; the image has one slice only")
        return [tuple(slice(0, n) for n in shape)], 0, 1
    start, stop = scope.slices(shape)
    first, last = tool.span(start, stop, shape[scope.axis])
    step = 1 if scope.each_slice and not tool.info.across else last - first
    boxes = []
    for at in range(first, last, step):
        box = [slice(0, n) for n in shape]
        box[scope.axis] = slice(at, at + step)
        boxes.append(tuple(box))
    return boxes, start, stop


def _crop(labels: NDArray[Any], identity: int, tool: EditTool, spacing: tuple[float, ...]) -> Box | None:
    """The box of what a tool can change, and one voxel around it; None where there are no voxels of the class."""
    whole = tuple(slice(0, n) for n in labels.shape)
    if math.isinf(tool.reach):
        return whole
    mask, box = labels == identity, []
    for axis in range(labels.ndim):
        marked = np.flatnonzero(mask.any(axis=tuple(other for other in range(labels.ndim) if other != axis)))
        if not marked.size:
            return None
        margin = math.ceil(tool.reach / spacing[axis]) + 1
        box.append(slice(max(int(marked[0]) - margin, 0), min(int(marked[-1]) + 1 + margin, labels.shape[axis])))
    return tuple(box)


def _ids(labels: NDArray[Any]) -> list[int]:
    """The ids that are there."""
    present = np.zeros(int(labels.max(initial=0)) + 1, bool)
    present[labels] = True
    return [int(i) for i in np.flatnonzero(present)]


def _values(image: Any, box: Box, ndim: int) -> NDArray[Any]:
    """Values of an image in a box; of several channels, their mean."""
    values = np.asarray(image[box])
    return values.mean(axis=-1) if values.ndim > ndim else values


def _apply(part: Part, tool: EditTool, *, report: Report, flat: bool) -> NDArray[Any]:
    """Run the tool, on a single slice of a volume in two dimensions."""
    if not flat:
        return tool.apply(part, report)
    axis = part.axis
    image = None if part.image is None else part.image.squeeze(axis)
    spacing = (*part.spacing[:axis], *part.spacing[axis + 1 :])
    inside = Part(part.labels.squeeze(axis), part.identity, spacing, part.taken, image, millilitres=part.millilitres)
    return np.expand_dims(tool.apply(inside, report), axis)


def _merge(
    former: NDArray[Any],
    new: NDArray[Any],
    identity: int,
    tool: EditTool,
    over: str,
    locked: tuple[int, ...],
    protected: NDArray[np.bool_] | None,
) -> NDArray[Any] | None:
    """The new labels where they may be written, the former ones elsewhere; None where nothing changes."""
    changed = new != former
    if protected is not None:
        changed &= ~protected
    before, after = former[changed], new[changed]
    allowed = ~(np.isin(before, locked) | np.isin(after, locked))
    if over == "background":
        allowed &= np.isin(before, (0, identity, *tool.operands))
    if not allowed.any():
        return None
    out = former.astype(new.dtype)
    changed[changed] = allowed
    out[changed] = new[changed]
    return out


def _share(report: Report, index: int, total: int) -> Report:
    """Reports of one of several boxes."""

    def share(fraction: float, preview: Any = None) -> None:
        report((index + fraction) / total)

    return share
