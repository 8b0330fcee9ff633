"""Segmentation of files without a window: an image and its scribbles in, labels out."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.annotate.rules import suffice
from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, Engine, InputError, Report, silent
from napari_scribseg.core.anatomy import slice_axis, slice_names
from napari_scribseg.core.geometry import same_grid
from napari_scribseg.core.parameters import parameters_of, parse_parameters
from napari_scribseg.core.registry import DEFAULT_ENGINE, get_engine
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.io import read_labels, read_volume
from napari_scribseg.io.measurement_table import MeasurementTable
from napari_scribseg.numerics.editing import Scope, edit_labels, tool_class
from napari_scribseg.numerics.measure import measure_labels

__all__ = [
    "SliceDone",
    "edit_file",
    "find_class",
    "measure_files",
    "parse_slices",
    "segment_strokes",
    "segment_volume",
    "stroke_slices",
]


@dataclasses.dataclass(frozen=True, slots=True)
class SliceDone:
    """Progress after one slice: which slice, how many are done of how many, and the notes of the engine."""

    slice_index: SliceIndex
    done: int
    total: int
    notes: tuple[str, ...]


def stroke_slices(painted: ArrayLike, axis: int | None = None) -> list[SliceIndex]:
    """The slices that hold strokes, across ``axis``.

    Parameters
    ----------
    painted : array_like of shape (\\*S), 2 to 4 axes
        Painted ids, 0 = unpainted.
    axis : int, optional
        The axis that the slices cut; the one before the last two by default. Of a 2D image there is one slice.

    Raises
    ------
    InputError
        If the array has no such axis, or fewer than two axes.
    """
    painted = np.asarray(painted)
    ndim = painted.ndim
    if ndim < 2:
        raise InputError(f"the scribbles have shape {painted.shape}; at least two axes are expected")
    if ndim == 2:
        if axis is not None:
            raise InputError(f"axis {axis} was requested of a 2D image; it has one slice only, leave the axis out")
        return [SliceIndex((0, 1))] if painted.any() else []
    first = ndim - 3
    chosen = first if axis is None else axis
    if not first <= chosen < ndim:
        raise InputError(f"axis {axis} was requested; {first} to {ndim - 1} are expected for {ndim} axes")
    displayed = tuple(a for a in range(first, ndim) if a != chosen)
    where = np.argwhere(painted.any(axis=displayed))
    return [SliceIndex((displayed[0], displayed[1]), tuple(int(i) for i in index)) for index in where]


def segment_strokes(
    image: Source,
    painted: NDArray[np.integer[Any]],
    engine: Engine[Any],
    *,
    classes: ClassTable | None = None,
    axis: int | str | None = None,
    device: str = "auto",
    progress: Callable[[SliceDone], None] | None = None,
    fill: bool = False,
    slices: tuple[int, int] | None = None,
    labels: NDArray[np.unsignedinteger[Any]] | None = None,
    report: Report = silent,
) -> NDArray[np.unsignedinteger[Any]]:
    """Segment every slice of a volume that has strokes and, where that is wished, fill the others.

    Parameters
    ----------
    image : Source
        As :func:`napari_scribseg.io.read_volume` reads it.
    painted : ndarray of shape (\\*S)
        Painted ids, 0 = unpainted.
    engine : Engine
        As from :func:`napari_scribseg.get_engine`.
    classes : ClassTable, optional
        Names and colours; the class marked as background is written as 0.
    axis : int or str, optional
        The axis that the slices cut, see :func:`stroke_slices`, or ``"axial"``, ``"coronal"`` or ``"sagittal"``.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    progress : callable, optional
        Called after every slice with strokes.
    fill : bool
        Whether to fill the slices between those with strokes, and beyond them as far as the image supports it, see
        :meth:`Session.fill`; of a series at all times. A warning says where it stopped. Slices with strokes of one
        class are corrected after they are filled.
    slices : tuple of 2 int, optional
        The first slice to fill and the last, both included; all by default.
    labels : ndarray of shape (\\*S), optional
        Labels from before: those of slices with labels count, and strokes correct them.
    report : Report
        Gets the progress of filling.

    Returns
    -------
    ndarray of shape (\\*S)
        Label ids; 0 where the background class won, and on slices without strokes that were not filled.

    Raises
    ------
    InputError
        If the shapes differ, nothing is painted, a slice has strokes of one class only (where the engine needs two, and
        there are no labels to correct), or the axis has a name and the image's directions in the patient are not known.
    """
    if painted.shape != image.shape:
        raise InputError(f"the scribbles have shape {painted.shape}; the image has shape {image.shape}")
    number = slice_axis(image.geometry, axis)
    painted_slices = stroke_slices(painted, number)
    if not painted_slices and labels is None:
        raise InputError("the scribbles hold no stroke; paint at least one stroke for each of two classes on a slice")
    table = (classes or ClassTable()).with_ids(int(i) for i in np.unique(painted))
    drawn = {p: np.setdiff1d(painted[p.slicer], [0]).tolist() for p in painted_slices}
    one_class = [p for p, ids in drawn.items() if len(ids) == 1 and not suffice(ids, engine.info, table.background)]
    incomplete = [] if fill else [p for p in one_class if labels is None or not labels[p.slicer].any()]
    if incomplete:
        raise InputError(
            f"{len(incomplete)} of {len(painted_slices)} slices hold strokes of one class only (first "
            f"{image.where(incomplete[0])}); at least two classes are expected on every slice with strokes"
        )
    with contextlib.closing(Session(image, engine, classes=table, device=device, labels=labels)) as session:
        order = sorted(painted_slices, key=lambda p: fill and p in one_class)
        for done, slice_index in enumerate(order, start=1):
            if fill and slice_index in one_class and not session.follows:
                _fill(session, number, slices, report)
            update = session.draw(painted[slice_index.slicer], slice_index).result()
            if progress is not None:
                notes = () if update is None else tuple(update.notes)
                progress(SliceDone(slice_index, done, len(order), notes))
        if fill and not session.follows:
            _fill(session, number, slices, report)
        return session.labels


def _fill(session: Session, axis: int | None, slices: tuple[int, int] | None, report: Report) -> None:
    """Fill each volume of a session that has anchors."""
    image = session.volume
    if image.ndim == 2:
        raise InputError("a 2D image has one slice only; a volume is expected to be filled")
    number = max(image.ndim - 3, 0) if axis is None else axis
    start, stop = (0, image.shape[number] - 1) if slices is None else slices
    first, second = (other for other in range(image.ndim - 3, image.ndim) if other != number)
    stacks = [SliceIndex((first, second), (*lead, 0)) for lead in np.ndindex(image.shape[: image.ndim - 3])]
    like = next((like for like in stacks if session.anchors(number, like)), None)
    if like is None:
        raise InputError("no slice has strokes of two classes or labels; one at least is expected to fill the others")
    session.events.progress.connect(report)
    session.events.hint.connect(_warn)
    try:
        session.fill(like.at(number, start), like.at(number, stop), series=True).result()
    finally:
        session.events.progress.disconnect(report)
        session.events.hint.disconnect(_warn)
    report(1.0)


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=2)


def segment_volume(
    image: Path,
    scribbles: Path,
    *,
    engine: str = DEFAULT_ENGINE,
    parameters: dict[str, Any] | None = None,
    background: int | None = None,
    axis: int | str | None = None,
    device: str = "auto",
    ignore_geometry: bool = False,
    allow_outside: bool = False,
    progress: Callable[[SliceDone], None] | None = None,
    fill: bool = False,
    slices: tuple[int, int] | None = None,
    labels: Path | None = None,
    report: Report = silent,
) -> tuple[Source, Source, NDArray[np.unsignedinteger[Any]], ClassTable]:
    """Read an image and its scribbles, segment every slice that has strokes, and fill the others where that is wished.

    ``allow_outside`` is that of :func:`napari_scribseg.io.read_volume`, for all files; ``labels`` is a label file on
    the grid of the image; the others are those of :func:`segment_strokes`.

    Returns
    -------
    image, scribbles : Source
        What was read.
    labels : ndarray of shape (\\*S)
        Label ids.
    classes : ClassTable
        Names and colours, from the scribble file where it has them, and from the label file.

    Raises
    ------
    InputError
        If a file cannot be read, the grids differ (unless ``ignore_geometry``), or :func:`segment_strokes` refuses.
    """
    chosen = get_engine(engine, **(parameters or {}))
    strokes = read_labels(scribbles, allow_outside=allow_outside)
    picture = read_volume(image, allow_outside=allow_outside)
    if picture.geometry.shape == strokes.geometry.shape and not (
        ignore_geometry or same_grid(picture.geometry, strokes.geometry)
    ):
        raise InputError(
            f"{scribbles.name} has the shape of {image.name} but lies elsewhere in space; scribbles on the image's own "
            "grid are expected (--ignore-geometry takes them as they are)"
        )
    painted = np.asarray(strokes.array)
    classes = strokes.classes.with_ids(int(i) for i in np.unique(painted))
    former = None
    if labels is not None:
        read = read_labels(labels, allow_outside=allow_outside)
        _on_grid(image, read, labels, ignore_geometry, allow_outside)
        former = np.array(read.array)
        for label in read.classes.with_ids(np.setdiff1d(former, [0]).tolist()):
            classes = classes if label.id in classes else classes.with_class(label)
    if background is not None:
        if background not in classes:
            raise InputError(f"the background id is {background}; the scribbles hold {list(classes.ids)}")
        classes = classes.as_background(background)
    found = segment_strokes(
        picture, painted, chosen, classes=classes, axis=axis, device=device, progress=progress, fill=fill,
        slices=slices, labels=former, report=report,
    )  # fmt: skip
    return picture, strokes, found, classes


def measure_files(
    labels: Path,
    image: Path | None = None,
    *,
    per_slice: bool = False,
    axis: int | str | None = None,
    ignore_geometry: bool = False,
    allow_outside: bool = False,
    report: Report = silent,
) -> MeasurementTable:
    """Measure every class of a label file: size, surface, centre and, of an image, intensities.

    Parameters
    ----------
    labels : Path
        A label file.
    image : Path, optional
        Image file or DICOM folder on the grid of the labels.
    per_slice : bool
        Whether to measure also every slice.
    axis : int or str, optional
        The axis that the slices cut: its number, or ``"axial"``, ``"coronal"`` or ``"sagittal"``; the first of space by
        default.
    ignore_geometry : bool
        Whether an image with another position in space is taken as it is.
    allow_outside : bool
        That of :func:`napari_scribseg.io.read_volume`, for both files.
    report : Report
        Gets the progress.

    Raises
    ------
    InputError
        If a file cannot be read, the grids differ, or there is no such axis.
    """
    found = read_labels(labels, allow_outside=allow_outside)
    values = None
    if image is not None:
        values = np.asarray(_on_grid(image, found, labels, ignore_geometry, allow_outside).array)
    number = slice_axis(found.geometry, axis)
    if per_slice and number is None:
        number = max(found.ndim - 3, 0)
    elif number is not None and not per_slice:
        raise InputError(f"the axis {axis} was given without slices; it is that of the slices (--per-slice)")
    rows = measure_labels(
        np.asarray(found.array), found.geometry, values, axis=number, ids=found.classes.ids, report=report
    )
    return MeasurementTable(tuple(rows), found.classes, found.geometry, number)


def parse_slices(text: str | None) -> tuple[int, int] | None:
    """The first slice and the last that a user typed: ``"7"``, or ``"3:9"``, both included; None for all.

    Raises
    ------
    InputError
        If it is neither.
    """
    if text is None:
        return None
    numbers = [part.strip() for part in text.split(":")]
    if len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
        raise InputError(f"the slices are {text!r}; a number, or the first and the last as in 3:9, are expected")
    return int(numbers[0]), int(numbers[-1])


def find_class(classes: ClassTable, which: str | int) -> int:
    """The id of a class, by its name or id.

    Raises
    ------
    InputError
        If there is no such class, or several have the name.
    """
    text = str(which)
    found = [label.id for label in classes if label.name == text] or [i for i in classes.ids if str(i) == text]
    if len(found) != 1:
        names = ", ".join(f"{label.name} ({label.id})" for label in classes) or "none"
        raise InputError(f"{'several classes are' if found else 'no class is'} called {text!r}; there are {names}")
    return found[0]


def edit_file(
    labels: Path,
    tool: str,
    which: str | int,
    *,
    parameters: Sequence[str] = (),
    other: str | int | None = None,
    slices: tuple[int, int] | None = None,
    axis: int | str | None = None,
    each_slice: bool = False,
    over: str = "background",
    locked: Sequence[str | int] = (),
    image: Path | None = None,
    ignore_geometry: bool = False,
    allow_outside: bool = False,
    report: Report = silent,
) -> tuple[Source, NDArray[np.unsignedinteger[Any]], ClassTable]:
    """Read a label file and edit one of its classes by a tool; of a series, at each time with voxels of the class.

    Parameters
    ----------
    labels : Path
        A label file.
    tool : str
        Name of a tool of :mod:`napari_scribseg.numerics.editing`.
    which : str or int
        Name or id of the class.
    parameters : sequence of str
        Those of the tool, each ``name=value``.
    other : str or int, optional
        Name or id of the other class, for ``combine``.
    slices : tuple of 2 int, optional
        The first slice and the last, both included; all by default.
    axis : int or str, optional
        The axis that the slices cut: its number, or ``"axial"``, ``"coronal"`` or ``"sagittal"``; the first of space by
        default.
    each_slice : bool
        Whether slices are edited one by one, and not together in 3D.
    over : {"background", "all"}
        Which voxels the class may get: those of the background, or those of all classes that are not locked.
    locked : sequence of str or int
        Names or ids of classes that stay as they are.
    image : Path, optional
        Image file or DICOM folder on the grid of the labels.
    ignore_geometry : bool
        Whether an image with another position in space is taken as it is.
    allow_outside : bool
        That of :func:`napari_scribseg.io.read_volume`, for both files.
    report : Report
        Gets the progress.

    Returns
    -------
    volume : Source
        The labels as they were.
    labels : ndarray of shape (\\*S)
        The new ones.
    classes : ClassTable
        Names and colours, also of new classes.

    Raises
    ------
    InputError
        If a file cannot be read, the grids differ, there is no such class, axis or slice, or the tool refuses.
    """
    kind = tool_class(tool)
    found = read_labels(labels, allow_outside=allow_outside)
    classes, identity = found.classes, find_class(found.classes, which)
    values = parse_parameters(kind, parameters)
    if other is not None:
        if "other" not in {parameter.name for parameter in parameters_of(kind)}:
            raise InputError(f"{tool} works on one class; a second one, {other}, was given")
        values["other"] = find_class(classes, other)
    lead = max(found.ndim - 3, 0)
    number = slice_axis(found.geometry, axis)
    number = lead if number is None else number
    if slices is not None and found.ndim == 2:
        raise InputError("slices were given, but the labels have one slice only")
    first, last = slices or (None, None)
    scope = Scope(number - lead, first, None if last is None else last + 1, each_slice)
    source = None if image is None else _on_grid(image, found, labels, ignore_geometry, allow_outside)
    out, before = np.array(found.array), np.asarray(found.array)
    times = [time for time in np.ndindex(found.shape[:lead]) if lead == 0 or (before[time] == identity).any()]
    if not times:
        raise InputError(f"there are no voxels of the class {identity} in {labels.name}")
    for i, time in enumerate(times):
        edited = edit_labels(
            before[time], kind(**values), identity, spacing=found.geometry.spacing[lead:],
            image=None if source is None else source.array[time], scope=scope, over=over,  # type: ignore[arg-type]
            locked=tuple(find_class(classes, label) for label in locked), taken=classes.ids,
            report=partial(_share_of, report, i, len(times)),
        )  # fmt: skip
        if kind.info.makes_classes:
            classes = classes.with_parts(identity, np.unique(edited).tolist())
        out = out.astype(np.promote_types(out.dtype, edited.dtype), copy=False)
        out[time] = edited
    return found, out, classes


def _share_of(report: Report, index: int, total: int, fraction: float, _preview: Any = None) -> None:
    """Report the progress of one of several volumes."""
    report((index + fraction) / total)


def _on_grid(image: Path, labels: Source, name: Path, ignore_geometry: bool, allow_outside: bool) -> Source:
    """An image on the grid of labels; InputError if it is on another one."""
    picture = read_volume(image, allow_outside=allow_outside)
    if picture.shape != labels.shape:
        raise InputError(f"{image.name} has the shape {picture.shape}; {name.name} has {labels.shape}")
    if not (ignore_geometry or same_grid(picture.geometry, labels.geometry)):
        raise InputError(
            f"{image.name} lies elsewhere in space than {name.name}; an image on the grid of the labels is "
            "expected (--ignore-geometry takes it as it is)"
        )
    return picture


def describe(path: Path, *, allow_outside: bool = False) -> list[str]:
    """A file in lines for people: axes, spacing, values, orientation, position and classes.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    import nibabel

    from napari_scribseg.io import is_label_file, list_series

    if path.is_dir():
        series = list_series(path)
        lines = [f"{path}: {len(series)} DICOM series"]
        lines += [f"  {s.identity}: {s.description or 'no description'}, {s.n_files} files" for s in series]
        if len(series) != 1:
            return lines
    else:
        lines = [str(path)]
    volume = read_volume(path, allow_outside=allow_outside)
    array, geometry = volume.array, volume.geometry
    unit = "mm" if geometry.unit == "millimeter" else "px"
    lines += [
        f"axes     {', '.join(f'{n} {s}' for n, s in zip(geometry.axis_names, geometry.shape, strict=True))}"
        + (f", {array.shape[-1]} channels" if volume.channels else ""),
        f"spacing  {' x '.join(f'{s:g}' for s in geometry.spacing)} {unit}",
        f"values   {array.dtype}, {np.min(array):g} to {np.max(array):g}",
    ]
    if geometry.affine is not None:
        codes = nibabel.orientations.aff2axcodes(geometry.affine)  # type: ignore[no-untyped-call]
        lines.append(f"axes run towards {', '.join(str(c) for c in codes)} (RAS+)")
        names = slice_names(geometry)
        if names is not None:
            named = zip(geometry.axis_names, names, strict=True)
            lines.append(f"slices   {', '.join(f'{axis} {name}' for axis, name in named if name)}")
        lines.append(f"first voxel at ({', '.join(f'{v:.6g}' for v in geometry.affine[:3, 3])}) {unit}")
    if is_label_file(path):
        lines += [f"class    {c.id} {c.name}" for c in read_labels(path, allow_outside=allow_outside).classes]
    return lines
