"""Sets with people's strokes: photographs (Graz, GrabCut), cardiac MR (ACDC), many kinds of images (MedScribble)."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError
from napari_scribseg.datasets.case import UNKNOWN, Case, CaseList
from napari_scribseg.datasets.folder import open_folder
from napari_scribseg.datasets.listing import listed
from napari_scribseg.io import read_volume
from napari_scribseg.io.limits import check_declared

__all__ = ["find_acdc", "find_grabcut", "find_graz", "find_medscribble"]

_ACDC_NAMES = {0: "background", 1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
_ACDC_UNLABELLED = 4
_RESAMPLED = 0.5  # above which a resampled mask counts
_PEOPLE = 3  # who drew on each image of MedScribble
_DAMAGED = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)


def find_graz(folder: Path) -> CaseList:
    """Photographs with thin strokes for every label, and the truth.

    A case is one person's strokes on one photograph; several people drew on the same one, and it is their group.

    References
    ----------
    Santner, Pock, Bischof, "Interactive Multi-Label Segmentation", ACCV 2010.
    """
    return listed(folder / "seeds", ".gt"), partial(_read_graz, folder=folder)


def _read_graz(name: str, *, folder: Path) -> Case:
    """One photograph with one person's strokes; no label is the background."""
    path = folder / "seeds" / f"{name}.gt"
    fields = _fields(path)
    try:
        shape = int(fields["HEIGHT"]), int(fields["WIDTH"])
        image = fields["IMAGE"].strip()
        check_declared(path, shape, 8, path.stat().st_size, encoding="other")
        truth, seeds = (_runs(fields[key], shape) for key in ("LABELS", "SEEDS"))
    except InputError:
        raise
    except (KeyError, ValueError) as error:
        raise InputError(f"{path.name}: it is no file of run lengths with its header ({error})") from error
    return Case(
        name=name,
        image=read_volume(folder / "images" / Path(image).name).array,
        truth=truth,
        spacing=(1.0, 1.0),
        group=Path(image).stem,
        source="graz_scribbles",
        strokes=seeds - 1,  # 0 is no seed, k + 1 a seed of the label k
        background=None,
    )


def _fields(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise InputError(f"{path}: it cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name}: it is no text") from error
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value for key, value in pairs}


def _runs(text: str, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Run lengths, value and length by turns in row order, as an array."""
    values, lengths = np.asarray(text.split(), dtype=np.int64).reshape(-1, 2).T
    if lengths.min(initial=0) < 0 or lengths.sum() != shape[0] * shape[1]:
        raise ValueError(f"its runs sum to {lengths.sum()} pixels, its size is {shape[0]}x{shape[1]}")
    return np.repeat(values.astype(np.int32), lengths).reshape(shape)


def find_acdc(folder: Path) -> CaseList:
    """Cardiac MR volumes, short axis, with an expert's strokes on the slices and the truth.

    A case is one volume of shape (slices, rows, columns); a patient has two, at the end of diastole and of systole.
    The voxel size is not in the files: 1 along each axis.

    References
    ----------
    Bernard et al., IEEE TMI 2018, doi:10.1109/TMI.2018.2837502; strokes: Valvano et al., IEEE TMI 2021.
    """
    return listed(folder, ".npz"), partial(_read_acdc, folder=folder)


def _read_acdc(name: str, *, folder: Path) -> Case:
    """One volume; strokes of the id 0 mark the background."""
    path = folder / f"{name}.npz"
    image, truth, scribble = _arrays(path, ("image", "label", "scribble"))
    if truth.dtype.kind not in "iu" or scribble.dtype.kind not in "iu":
        raise InputError(f"{path.name}: its labels hold {truth.dtype} and {scribble.dtype}; integers are expected")
    strokes = scribble.astype(np.int32)
    strokes[scribble == _ACDC_UNLABELLED] = UNKNOWN
    return Case(
        name=name,
        image=image,
        truth=truth.astype(np.int32),
        spacing=(1.0,) * truth.ndim,
        group=name.partition("_")[0],
        source="acdc_scribbles",
        names=_ACDC_NAMES,
        strokes=strokes,
    )


def find_grabcut(folder: Path) -> CaseList:
    """Photographs with the label of one object and strokes for it and for the background.

    A case is one photograph, in the layout of :func:`~napari_scribseg.datasets.open_folder`. Pixels on the border of
    the object are unknown.

    References
    ----------
    Photographs and labels: Rother, Kolmogorov, Blake, "GrabCut", SIGGRAPH 2004. Strokes: Gulshan et al., "Geodesic Star
    Convexity for Interactive Image Segmentation", CVPR 2010.
    """
    data = open_folder(folder)
    return data.cases, data.read


def find_medscribble(folder: Path) -> CaseList:
    """Medical images of many kinds, each with one structure and the strokes of three people, pens of 4 to 6 pixels.

    A case is one person's strokes on one image; the image is the group, and the data set it was taken from the source.

    References
    ----------
    Wong et al., "ScribblePrompt", ECCV 2024, and the sources of the images.
    """
    images = listed(folder, ".npz")
    return tuple(f"{image} {person}" for image in images for person in range(_PEOPLE)), partial(
        _read_medscribble, folder=folder
    )


def _read_medscribble(name: str, *, folder: Path) -> Case:
    """One person's strokes on one image; a pixel that both strokes cover counts as the structure's."""
    image, _, person = name.rpartition(" ")
    values, truth, strokes = _arrays(folder / f"{image}.npz", ("img", "seg", f"scribble_{person}"))
    on, off = strokes > _RESAMPLED
    return Case(
        name=name,
        image=values,
        truth=(truth > _RESAMPLED).astype(np.int32),
        spacing=(1.0, 1.0),
        group=image,
        source=image.partition("__")[0],
        names={0: "background", 1: "structure"},
        strokes=np.where(on, 1, np.where(off, 0, UNKNOWN)).astype(np.int32),
    )


def _arrays(path: Path, keys: tuple[str, ...]) -> list[NDArray[Any]]:
    """Arrays of an npz file; their declared sizes are checked before any is read."""
    try:
        with zipfile.ZipFile(path) as file:
            for key in keys:
                _check_member(path, file, f"{key}.npy")
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[key] for key in keys]
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(f"{path.name}: it cannot be read as npz with {', '.join(keys)} ({error})") from error


def _check_member(path: Path, file: zipfile.ZipFile, key: str) -> None:
    info = file.getinfo(key)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{path.name}: {key} is compressed in a way that NumPy does not write; pack it anew")
    with file.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
    check_declared(path, shape, dtype.itemsize, info.compress_size, encoding="deflate")
