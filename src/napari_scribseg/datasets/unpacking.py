"""From the archives in which authors publish strokes to the folders that the readers of the data sets expect.

Each function takes the archives of one set, the empty folder to fill and the groups to keep (None for all), and
returns how many images it wrote. File names are made here, never taken from an archive but for letters and digits.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_scribseg.core import InputError
from napari_scribseg.io import read_volume
from napari_scribseg.io.archives import Archive
from napari_scribseg.io.limits import check_declared

__all__ = ["unpack_acdc", "unpack_grabcut", "unpack_medscribble"]

_NAME = r"[\w.-]+"
_MEDSCRIBBLE = ("img", "seg", "scribble_0", "scribble_1", "scribble_2")
_UNLABELLED = 4  # in the strokes of ACDC
_BRIGHTEST = 0.99  # share of the voxels below it
_OBJECT, _BACKGROUND_STROKE, _UNKNOWN = 255, 2, 128
_GRABCUT = {
    "names": {str(_OBJECT): "object"}, "background_stroke": _BACKGROUND_STROKE, "unknown": _UNKNOWN, "trainable": False,
}  # fmt: skip


def unpack_medscribble(archives: Sequence[Archive], folder: Path, only: Collection[str] | None) -> int:
    """``MedScribble/DATA/TASK/IMAGE/{img,seg,scribble_0,...}.npy`` to ``DATA__TASK__IMAGE.npz``.

    Images that the authors may not publish, of which there are strokes alone, and those on which fewer than three
    people drew, are left out. The layout is that of the repository, described in its ``MedScribble/README.md``.

    Raises
    ------
    InputError
        If a file is damaged, or there is no whole image.
    """
    (archive,) = archives
    keys = "|".join(_MEDSCRIBBLE)
    selected = archive.select(rf"(?:{_NAME}/)?MedScribble/({_NAME})/({_NAME})/({_NAME})/({keys})\.npy")
    images: dict[str, dict[str, str]] = defaultdict(dict)
    for name, match in selected.items():
        images["__".join(match.group(1, 2, 3))][match[4]] = name
    whole = {i: names for i, names in images.items() if len(names) == len(_MEDSCRIBBLE) and _wanted(i, only)}
    for image, names in whole.items():
        arrays: dict[str, Any] = {key: _npy(archive, names[key]) for key in _MEDSCRIBBLE}
        np.savez_compressed(folder / f"{image}.npz", **arrays)
    return _counted(len(whole), archives, "MedScribble/DATA/TASK/IMAGE with img.npy, seg.npy and three scribbles")


def unpack_acdc(archives: Sequence[Archive], folder: Path, only: Collection[str] | None) -> int:
    """Images and labels in one archive, strokes in another, to ``patientNNN_frameNN.npz``.

    Images are ``training/patientNNN/patientNNN_frameNN.nii.gz``, labels have ``_gt`` at their end and strokes
    ``_scribble``; strokes may name their frame ``ED`` or ``ES``, whose numbers stand in the patient's ``Info.cfg``.
    Values are clipped at their 99th percentile and scaled to [0, 1].

    References
    ----------
    The scaling is that of Luo et al., MICCAI 2022 (WSL4MIS, ``acdc_data_processing.py``).

    Raises
    ------
    InputError
        If a file is damaged, shapes differ, or no strokes have an image.
    """
    volumes, drawn = archives
    frames = {
        (match[1], match[2], match[3] or ""): name
        for name, match in volumes.select(r"(?:.*/)?training/(patient\d{3})/\1_frame(\d{2})(_gt)?\.nii\.gz").items()
    }
    phases = _phases(volumes)
    count = 0
    for name, match in drawn.select(r"(?:.*/)?(patient\d{3})_frame_?(\d{2}|ED|ES)_scribble\.nii\.gz").items():
        patient, frame = match[1], phases.get((match[1], match[2]), match[2])
        found = [frames.get((patient, frame, end)) for end in ("", "_gt")]
        if found[0] is None or found[1] is None or not _wanted(patient, only):
            continue
        image = _nifti(volumes, found[0], folder)
        label, scribble = _ids(volumes, found[1], folder, most=3), _ids(drawn, name, folder, most=_UNLABELLED)
        if not image.shape == label.shape == scribble.shape:
            raise InputError(f"{name}: it has the shape {scribble.shape}; its image has {image.shape}")
        np.savez_compressed(
            folder / f"{patient}_frame{frame}.npz",
            image=_scaled(image, name), label=label, scribble=scribble,
        )  # fmt: skip
        count += 1
    return _counted(count, archives, "training/patientNNN/patientNNN_frameNN.nii.gz and its strokes")


def unpack_grabcut(archives: Sequence[Archive], folder: Path, only: Collection[str] | None) -> int:
    """``images``, ``images-gt`` and ``images-labels`` to ``images``, ``labels``, ``scribbles`` and ``dataset.json``.

    In the labels 0 is background, 255 the object and 128 unknown; in the strokes 1 marks the object and 2 the
    background, and it is the former that becomes 255 here.

    Raises
    ------
    InputError
        If a file is damaged, holds other values, or no image has labels and strokes.
    """
    images, truths, strokes = (
        {match[1]: (archive, name) for name, match in archive.select(rf"(?:{_NAME}/)?{pattern}").items()}
        for archive, pattern in zip(
            archives,
            (r"images/([\w-]+)\.(?:jpg|jpeg|bmp|png)", r"images-gt/([\w-]+)\.png", r"images-labels/([\w-]+)-anno\.png"),
            strict=True,
        )
    )
    for part in ("images", "labels", "scribbles"):
        (folder / part).mkdir()
    names = [name for name in images if name in truths and name in strokes and _wanted(name, only)]
    for name in names:
        truth = _picture(*truths[name], (0, _UNKNOWN, _OBJECT))
        painted = _picture(*strokes[name], (0, 1, _BACKGROUND_STROKE))
        Picture.fromarray(_picture(*images[name], None)).save(folder / "images" / f"{name}.png")
        Picture.fromarray(truth).save(folder / "labels" / f"{name}.png")
        painted[painted == 1] = _OBJECT
        Picture.fromarray(painted).save(folder / "scribbles" / f"{name}.png")
    (folder / "dataset.json").write_text(json.dumps(_GRABCUT, indent=2), encoding="utf-8")
    return _counted(len(names), archives, "images/NAME.jpg, images-gt/NAME.png and images-labels/NAME-anno.png")


def _wanted(name: str, only: Collection[str] | None) -> bool:
    return only is None or name in only


def _counted(count: int, archives: Sequence[Archive], expected: str) -> int:
    if not count:
        names = " and ".join(archive.path.name for archive in archives)
        raise InputError(f"{names}: no image with its strokes was found; {expected} is expected")
    return count


def _npy(archive: Archive, name: str) -> NDArray[Any]:
    """An array of numbers, as float32; its declared size is compared with the file."""
    data = archive.read(name)
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        check_declared(Path(name), shape, dtype.itemsize, len(data) - stream.tell())
        array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
        return array.astype(np.float32)
    except InputError:
        raise
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{name}: it cannot be read as npy ({error})") from error


def _phases(archive: Archive) -> dict[tuple[str, str], str]:
    """The numbers of the frames ED and ES by patient."""
    found = {}
    for name, match in archive.select(r"(?:.*/)?training/(patient\d{3})/Info\.cfg").items():
        for line in archive.read(name).decode("utf-8", "replace").splitlines():
            phase, _, number = line.partition(":")
            if phase.strip() in ("ED", "ES") and number.strip().isdecimal():
                found[match[1], phase.strip()] = number.strip().zfill(2)
    return found


def _nifti(archive: Archive, name: str, folder: Path, *, ids: bool = False) -> NDArray[Any]:
    """A volume of shape (slices, rows, columns)."""
    file = folder / f"{Path(name).name}"
    file.write_bytes(archive.read(name))
    try:
        return np.array(read_volume(file, ids=ids).array)
    finally:
        file.unlink()


def _ids(archive: Archive, name: str, folder: Path, *, most: int) -> NDArray[np.uint8]:
    """A volume of label ids from 0 to ``most``, also where they are stored as real numbers."""
    array = _nifti(archive, name, folder, ids=True)
    if not np.isin(array, range(most + 1)).all():
        raise InputError(f"{name}: it holds other values than the labels 0 to {most}")
    return array.astype(np.uint8)


def _scaled(image: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Clipped at the 99th percentile, and scaled to [0, 1]."""
    from skimage.exposure import cumulative_distribution  # slow to import

    share, values = cumulative_distribution(image)
    least, most = float(image.min()), float(values[share >= _BRIGHTEST][0])
    if most <= least:
        raise InputError(f"{name}: its image has the value {least} throughout; one with contrast is expected")
    scaled: NDArray[Any] = (np.clip(image, least, most) - least) / (most - least)
    return scaled.astype(np.float32)


def _picture(archive: Archive, name: str, values: tuple[int, ...] | None) -> NDArray[np.uint8]:
    """A picture as red, green and blue; with ``values``, as the numbers that are stored, which must be of them."""
    data = archive.read(name)
    try:
        with Picture.open(io.BytesIO(data), formats=("PNG", "JPEG", "BMP")) as picture:
            check_declared(Path(name), (picture.height, picture.width, 3), 1, len(data), encoding="jpeg", copies=4)
            if values is None:
                return np.asarray(picture.convert("RGB"))
            array = np.array(picture if picture.mode in ("P", "L") else picture.convert("L"))
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError, Picture.DecompressionBombError) as error:
        raise InputError(f"{name}: it cannot be read as a picture, it is damaged") from error
    others = sorted(set(np.unique(array).tolist()) - set(values))
    if others:
        raise InputError(f"{name}: it holds the values {others[:4]}; only {', '.join(map(str, values))} are expected")
    return array
