"""DICOM: which series a folder holds, and one series as a volume with its geometry."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Geometry, InputError, Source
from napari_scribseg.core.geometry import LPS_TO_RAS
from napari_scribseg.core.paths import user_path
from napari_scribseg.core.windows import DisplayWindow
from napari_scribseg.io.descriptions import described_by_tags
from napari_scribseg.io.dicom_bytes import has_pixel_size, is_cut_off, is_image, may_be_dicom
from napari_scribseg.io.formats import ReadOptions, stem
from napari_scribseg.io.itk import array_of, read_image, reader_of, volume_of
from napari_scribseg.io.limits import check_declared

__all__ = ["Series", "list_series", "read_dicom", "read_series"]

_LIBRARY = "GDCMImageIO"
_SAME = 2e-3  # of a pixel, nearer than which two slices lie at the same height
_BESIDE = 0.03  # of a pixel, by which rounding may put a slice beside a regular grid
# What distinguishes images at one position, in this order: temporal position, trigger time, acquisition number, echo
# time, acquisition time, content time, instance number.
_IN_TIME = ("0020|0100", "0018|1060", "0020|0012", "0018|0081", "0008|0032", "0008|0033", "0020|0013")


@dataclass(frozen=True, slots=True)
class _Slice:
    """The header of one file; positions in LPS millimetres."""

    path: Path
    uid: str
    description: str
    localizer: bool
    size: tuple[int, ...]
    rows_and_columns: NDArray[np.float64] = field(compare=False)
    position: NDArray[np.float64] = field(compare=False)
    pixel: tuple[float, float]
    in_time: tuple[float, ...]
    step_in_time: float
    placed: bool
    sized: bool = True
    modality: str = ""
    windows: tuple[DisplayWindow, ...] = ()

    @property
    def normal(self) -> NDArray[np.float64]:
        return np.cross(self.rows_and_columns[:3], self.rows_and_columns[3:])

    @property
    def height(self) -> float:
        return float(self.position @ self.normal)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One volume that a folder holds.

    Attributes
    ----------
    identity : str
        The series instance UID; with ``/1``, ``/2`` ... where the series holds several volumes: slices of several
        directions or sizes, or pieces with a gap between them.
    description : str
        The scanner's description, and the position of the piece.
    n_files : int
        How many files belong to it.
    localizer : bool
        Whether the scanner marked it as a localizer.
    files : tuple of Path
        In the order of the slices.
    """

    identity: str
    description: str
    n_files: int
    localizer: bool
    files: tuple[Path, ...] = field(repr=False)
    slices: tuple[_Slice, ...] = field(repr=False)


def read_dicom(path: Path, options: ReadOptions) -> Source:
    """Read a DICOM file, or one series of a folder; see :func:`read_series`."""
    return read_series(path, options.series) if path.is_dir() else _read_file(path)


def list_series(folder: str | PathLike[str]) -> tuple[Series, ...]:
    """The volumes in a folder of DICOM files; other files are skipped.

    A gap in a series is never closed, because labels behind it would get wrong positions: the pieces on both sides are
    separate volumes.

    Raises
    ------
    InputError
        If the folder is missing.
    """
    root = user_path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: a folder with DICOM files is expected")
    slices = _slices(sorted(p for p in root.iterdir() if p.is_file()))
    if not slices:
        slices = _slices(sorted(p for p in root.rglob("*") if p.is_file()))
    by_uid: dict[str, list[_Slice]] = defaultdict(list)
    for s in slices:
        by_uid[s.uid].append(s)
    return tuple(series for uid, members in by_uid.items() for series in _volumes(uid, members))


def read_series(folder: Path, identity: str | None = None) -> Source:
    """Read one series of a folder.

    Slices are put in the order of their positions along the direction across them; the step between them is that of
    the positions, whatever thickness is declared, and follows a tilted gantry. Files at the same positions make a time
    series. Rescale slope and intercept are applied.

    Parameters
    ----------
    folder : Path
        With the files of one or more series.
    identity : str, optional
        Which; needed where there are several besides localizers.

    Raises
    ------
    InputError
        If there is no series, none of this identity, several and none is named, or its slices make no regular grid.
    """
    found = list_series(folder)
    if not found:
        raise InputError(f"{folder}: there is no DICOM image in it")
    if identity is None:
        chosen = [s for s in found if not s.localizer] or list(found)
    else:
        chosen = [s for s in found if s.identity == identity]
    if len(chosen) != 1:
        listed = "; ".join(f"{s.identity} ({s.description or 'no description'}, {s.n_files} files)" for s in found)
        wanted = "name one of them as series" if identity is None else f"there is no {identity!r} among them"
        raise InputError(f"{folder}: it holds {len(found)} series, {wanted}: {listed}")
    return _read(folder, chosen[0])


def _read_file(path: Path) -> Source:
    """Read a single DICOM file, of one frame or of several."""
    try:
        described = _slice(path)
    except RuntimeError as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[-1].rpartition("): ")[2]
        raise InputError(f"{path.name}: it cannot be read, it is damaged or truncated ({reason})") from error
    if not described:
        raise InputError(f"{path.name}: it is DICOM, but holds no image")
    check_declared(path, described[0].size[::-1], 4, path.stat().st_size, encoding="other")
    volume = _described(volume_of(read_image(path, _LIBRARY), stem(path), path.name), described[0])
    return volume if described[0].sized else replace(volume, geometry=replace(volume.geometry, unit="pixel"))


def _described(volume: Source, header: _Slice) -> Source:
    return replace(volume, modality=header.modality, windows=header.windows)


def _slices(paths: list[Path]) -> list[_Slice]:
    import SimpleITK  # slow to import

    display: Any = SimpleITK.ProcessObject
    shown = display.GetGlobalWarningDisplay()
    display.SetGlobalWarningDisplay(False)  # ITK prints a message for every file that is no DICOM
    found, damaged = [], []
    try:
        for path in filter(may_be_dicom, paths):
            try:
                found += _slice(path)
            except RuntimeError:
                damaged += [path.name] * is_image(path)
    finally:
        display.SetGlobalWarningDisplay(shown)
    if damaged:
        names = ", ".join(damaged[:5]) + (" ..." if len(damaged) > 5 else "")
        what = "1 DICOM image cannot" if len(damaged) == 1 else f"{len(damaged)} DICOM images cannot"
        warnings.warn(
            f"{what} be read and the volume lacks its slices: {names} is truncated or damaged",
            UserWarning,
            stacklevel=2,
        )
    return found


def _slice(path: Path) -> list[_Slice]:
    """The header of a file; none for a DICOM file without an image (a report, a structure set)."""
    reader = reader_of(_LIBRARY)
    reader.SetFileName(str(path))
    reader.ReadImageInformation()

    def text(tag: str) -> str:
        return str(reader.GetMetaData(tag)).strip().strip("\x00") if reader.HasMetaDataKey(tag) else ""

    if not text("0028|0010") or 0 in reader.GetSize():
        return []
    if is_cut_off(path, _pixel_bytes(text)):
        raise RuntimeError(f"{path.name} ends before its pixels do")
    n = reader.GetDimension()
    direction = np.array(reader.GetDirection()).reshape(n, n)
    turned = np.eye(3)
    turned[:n, :n] = direction[:3, :3]
    spacing = reader.GetSpacing()
    position = _position(text("0020|0032"))
    modality, windows = described_by_tags(text)
    if text("0028|0004").upper() == "MONOCHROME1":  # GDCM inverts the values, for which the windows are meant
        windows = ()
    described = _Slice(
        path,
        text("0020|000e"),
        " ".join(text("0008|103e").split()),
        "LOCALIZER" in text("0008|0008").upper().split("\\"),
        tuple(reader.GetSize()),
        np.concatenate([turned[:, 0], turned[:, 1]]),
        np.array((*reader.GetOrigin(), 0.0)[:3]) if position is None else position,
        (float(spacing[0]), float(spacing[1])),
        tuple(_number(text(tag)) for tag in _IN_TIME),
        _number(text("0020|0110")) / 1000,
        position is not None or (n > 2 and reader.GetSize()[2] > 1),
        has_pixel_size(path) or (spacing[:2] != (1.0, 1.0) and not text("0028|0034")),  # a ratio is no size
        modality,
        windows,
    )
    return [described]


def _pixel_bytes(text: Callable[[str], str]) -> int:
    """Rows, columns, samples, bits and frames, multiplied."""
    rows, columns, bits = (int(_number(text(tag))) for tag in ("0028|0010", "0028|0011", "0028|0100"))
    samples, frames = (int(_number(text(tag)) or 1) for tag in ("0028|0002", "0028|0008"))
    shared = 2 / 3 if "422" in text("0028|0004") else 1  # two pixels have their colours in common
    return min(max(int(rows * columns * samples * frames * bits // 8 * shared), 0), 0xFFFFFFF0)


def _position(text: str) -> NDArray[np.float64] | None:
    try:
        position = np.array([float(word) for word in text.split("\\")])
    except ValueError:
        return None
    return position if position.shape == (3,) and np.isfinite(position).all() else None


def _number(text: str) -> float:
    try:
        number = float(text.split("\\")[0])
    except ValueError:
        return 0.0
    return number if np.isfinite(number) else 0.0


def _volumes(uid: str, members: list[_Slice]) -> list[Series]:
    """The volumes of a series."""
    groups: dict[tuple[Any, ...], list[_Slice]] = defaultdict(list)
    for s in members:
        groups[(s.size, *np.round(s.rows_and_columns, 3), *(f"{p:.4g}" for p in s.pixel))].append(s)
    pieces = []
    for group in groups.values():
        if len(group[0].size) > 2 and group[0].size[2] > 1:  # every file is a volume
            pieces += [([s], "") for s in group]
        else:
            pieces += _without_gaps(sorted(_placed(group), key=lambda s: s.height))
    several = len(pieces) > 1
    return [
        Series(
            f"{uid}/{n}" if several else uid,
            " ".join(part for part in (piece[0].description, note) if part),
            len(piece),
            all(s.localizer for s in piece),
            tuple(s.path for s in piece),
            tuple(piece),
        )
        for n, (piece, note) in enumerate(pieces, start=1)
    ]


def _placed(group: list[_Slice]) -> list[_Slice]:
    """Slices without positions, such as ultrasound frames, 1 mm apart in the order of their numbers."""
    if any(s.placed for s in group):
        return group
    ordered = sorted(group, key=lambda s: (s.in_time[-1], s.path.name))
    return [replace(s, position=s.position + n * s.normal) for n, s in enumerate(ordered)]


def _without_gaps(ordered: list[_Slice]) -> list[tuple[list[_Slice], str]]:
    """Runs of slices at one distance, with a note on each; slices of no regular distance stay together."""
    heights = [level[0].height for level in _levels(ordered)]
    steps = np.diff(heights)
    if len(steps) < 2:
        return [(ordered, "")]
    usual = float(np.median(steps))
    gaps = [i for i, step in enumerate(steps) if step > 1.5 * usual]
    regular = all(abs(step - usual) < 0.1 * usual for i, step in enumerate(steps) if i not in gaps)
    if not gaps or not regular:
        return [(ordered, "")]
    ends = [heights[i] + steps[i] / 2 for i in gaps]
    bounds = [-np.inf, *ends, np.inf]
    runs = [[s for s in ordered if low < s.height <= high] for low, high in pairwise(bounds)]
    return [
        (run, f"(piece at {run[0].height:.2f} to {run[-1].height:.2f} mm, slices are missing beside it)")
        for run in runs
    ]


def _levels(ordered: list[_Slice]) -> list[list[_Slice]]:
    """Slices at the same height together, in their order in time."""
    levels: list[list[_Slice]] = []
    for s in ordered:
        if levels and abs(s.height - levels[-1][0].height) < _SAME * min(s.pixel):
            levels[-1].append(s)
        else:
            levels.append([s])
    return [sorted(level, key=lambda s: (s.in_time, s.path.name)) for level in levels]


def _read(folder: Path, series: Series) -> Source:
    first = series.slices[0]
    name = series.description or folder.name
    if len(series.slices) == 1:
        return replace(_read_file(first.path), name=name)
    levels = _levels(list(series.slices))
    counts = {len(level) for level in levels}
    if len(counts) > 1:
        raise InputError(
            f"{name}: it has {min(counts)} to {max(counts)} slices at the same position; the same number at each is "
            "expected"
        )
    n_times = counts.pop()
    stored = sum(file.stat().st_size for file in series.files)
    check_declared(folder, (len(series.slices), *first.size[1::-1]), 4, stored, encoding="other")
    ordered = [level[t] for t in range(n_times) for level in levels]
    array = _stacked(ordered)
    channels = array.ndim > 3  # DICOM's samples of a pixel are colours
    array = array.reshape(n_times, len(levels), *array.shape[1:])
    geometry = _geometry(name, levels, array.shape[1:4])
    middle = levels[len(levels) // 2][0]
    if n_times == 1:
        return _described(Source(array[0], geometry, name, channels, rgb=channels), middle)
    step = first.step_in_time if first.step_in_time > 0 else 1.0
    geometry = Geometry(array.shape[:4], (step, *geometry.spacing), geometry.affine, geometry.unit)
    return _described(Source(array, geometry, name, channels, rgb=channels), middle)


def _stacked(ordered: list[_Slice]) -> NDArray[Any]:
    """The slices, each rescaled by its own slope, in a type that holds all of them."""
    array: NDArray[Any] | None = None
    for n, s in enumerate(ordered):
        values = array_of(read_image(s.path, _LIBRARY), s.path.name)
        values = _narrowed(values[0] if len(s.size) > 2 else values)
        if array is None:
            array = np.empty((len(ordered), *values.shape), values.dtype)
        elif values.shape != array.shape[1:]:
            raise InputError(f"{s.path.name}: its values have the shape {values.shape}; the series {array.shape[1:]}")
        elif values.dtype != array.dtype:
            both = np.result_type(values.dtype, array.dtype)
            array = array.astype(np.float32 if both.kind == "f" else both, copy=False)
        array[n] = values
    assert array is not None
    return array


def _narrowed(values: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers in 16 bits where they fit: ITK rescales into 32."""
    if values.dtype.kind in "iu" and values.dtype.itemsize > 2:
        low, high = int(values.min()), int(values.max())
        for kind in (np.int16, np.uint16):
            if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
                return values.astype(kind)
    return values


def _geometry(name: str, levels: list[list[_Slice]], shape: tuple[int, ...]) -> Geometry:
    """The grid through all positions; the step between slices is the mean one, along the line of the positions."""
    positions = np.array([level[0].position for level in levels])
    first = levels[0][0]
    if len(levels) > 1:
        step = (positions[-1] - positions[0]) / (len(levels) - 1)
        length = float(np.linalg.norm(step))
        away = np.linalg.norm(positions - positions[0] - np.outer(np.arange(len(levels)), step), axis=1)
        rounding = _BESIDE * min(first.pixel)
        if away.max() > max(0.1 * length, rounding):
            distances = np.diff([level[0].height for level in levels])
            raise InputError(
                f"{name}: its slices lie {distances.min():.3f} to {distances.max():.3f} mm apart and up to "
                f"{away.max():.3f} mm beside a regular grid; slices at one distance are expected"
            )
        if away.max() > max(0.01 * length, rounding):
            warnings.warn(
                f"{name}: its slices lie up to {away.max():.3f} mm beside the regular grid", UserWarning, stacklevel=2
            )
    else:
        step = first.normal
    lps = np.eye(4)
    lps[:3, 0] = first.rows_and_columns[:3] * first.pixel[0]
    lps[:3, 1] = first.rows_and_columns[3:] * first.pixel[1]
    lps[:3, 2] = step
    lps[:3, 3] = positions[0]
    affine = (LPS_TO_RAS @ lps)[:, [2, 1, 0, 3]] + 0.0
    spacing = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))
    return Geometry(tuple(shape), spacing, affine, "millimeter" if first.sized else "pixel")
