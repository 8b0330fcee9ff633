"""Raw data sets of nnU-Net: written from a project, and read into one.

Isensee et al., nnU-Net (2021); the format is that of version 2, ``documentation/dataset_format.md``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, InputError, LabelClass, Report, Source, silent
from napari_scribseg.core.classes import default_color
from napari_scribseg.core.geometry import Geometry
from napari_scribseg.io import image_extensions
from napari_scribseg.io.atomic import write_files
from napari_scribseg.io.formats import extension
from napari_scribseg.io.json_files import read_json, write_json
from napari_scribseg.io.nifti import nifti_image_files, nifti_label_files
from napari_scribseg.learn.additions import Addition, label_file
from napari_scribseg.learn.folder import ProjectFolder
from napari_scribseg.learn.labelled import (
    Choice,
    LabelledCase,
    consecutive,
    labelled_cases,
    new_folder,
    renumbered,
    unique_names,
)

__all__ = ["classes_of", "export_nnunet", "is_nnunet", "read_nnunet"]

_IMAGES, _LABELS, _DESCRIPTION = "imagesTr", "labelsTr", "dataset.json"
_CHANNELS = {"CT": "CT", "MR": "MRI"}  # nnU-Net scales values of CT by the whole data set, all others by the image


@dataclass(frozen=True, slots=True, eq=False)
class _Volume:
    """One image with its labels, without time."""

    name: str
    source: Source
    labels: NDArray[Any]
    accepted: NDArray[np.bool_] | None


def export_nnunet(
    project: ProjectFolder, folder: Path, *, only: Choice = "finished", report: Report = silent
) -> tuple[Path, ...]:
    """Write the cases of a project as a raw data set of nnU-Net.

    Images are written anew, each channel as a file with the geometry of the image; a time series as one case for each
    time. Where all images are 2D with whole numbers from 0 to 65535, as PNG; else as NIfTI. The classes get the numbers
    1, 2, ... in their order. With ``only="accepted"``, slices that nobody accepted are ``ignore``.

    Parameters
    ----------
    project : ProjectFolder
    folder : Path
        A new folder; nnU-Net expects a name such as ``Dataset042_Liver``.
    only : {"finished", "accepted", "all"}
        See :func:`~napari_scribseg.learn.labelled.labelled_cases`.
    report : Report
        Gets the progress.

    Returns
    -------
    tuple of Path
        The files written, ``dataset.json`` last.

    Raises
    ------
    InputError
        If there is nothing to export, an image is missing, images have different numbers of channels, or the folder
        holds files already.
    """
    cases = list(labelled_cases(project, only))
    classes = project.classes
    numbers, names = consecutive(classes), unique_names(classes, ("background", "ignore"))
    place = new_folder(folder)
    flat = all(_fits_png(project.read_image(each.case)) for each in cases if len(each.case.image.shape) == 2) and all(
        len(each.case.image.shape) == 2 for each in cases
    )
    ending, ignore = ".png" if flat else ".nii.gz", max(numbers.values()) + 1
    written: list[Path] = []
    channels: dict[str, str] = {}
    count = ignored = 0
    sheared = False
    for done, each in enumerate(cases):
        for volume in _volumes(project.read_image(each.case), each):
            labels = renumbered(volume.labels, numbers)
            if volume.accepted is not None:
                labels[~volume.accepted] = ignore
                ignored += 1
            found, files = _write_images(place / _IMAGES, volume, ending)
            if channels and len(found) != len(channels):
                before = len(channels)
                raise InputError(f"{volume.name} has {len(found)} channels; {before} are expected, as others have")
            channels = channels or found
            written += files
            written += _write(place / _LABELS / f"{volume.name}{ending}", labels, volume.source.geometry, labels=True)
            sheared |= _is_sheared(volume.source.geometry)
            count += 1
        report((done + 1) / len(cases))
    content: dict[str, Any] = {
        "channel_names": channels,
        "labels": {"background": 0, **{names[i]: number for i, number in numbers.items()}},
        "numTraining": count,
        "file_ending": ending,
        "name": project.name,
    }
    if ignored:
        content["labels"]["ignore"] = ignore
    if sheared:
        content["overwrite_image_reader_writer"] = "NibabelIO"  # ITK refuses axes that are not at right angles
    write_json(place / _DESCRIPTION, content)
    return (*written, place / _DESCRIPTION)


def _fits_png(source: Source) -> bool:
    kind = np.dtype(source.array.dtype)
    return kind in (np.uint8, np.uint16) and (kind == np.uint8 or not source.rgb)


def _volumes(source: Source, each: LabelledCase) -> Iterator[_Volume]:
    """The volumes of a case: of a series one for each time that has labels."""
    if source.ndim < 4:
        yield _Volume(each.case.name, source, each.labels, each.accepted)
        return
    for time in np.ndindex(source.shape[: source.ndim - 3]):
        labels, accepted = each.labels[time], None if each.accepted is None else each.accepted[time]
        if labels.any() or (accepted is not None and accepted.any()):
            geometry = source.geometry
            for _ in time:
                geometry = geometry.without_time()
            part = replace(source, array=source.array[time], geometry=geometry)
            yield _Volume(f"{each.case.name}_t{'_'.join(f'{t:03d}' for t in time)}", part, labels, accepted)


def _write_images(folder: Path, volume: _Volume, ending: str) -> tuple[dict[str, str], list[Path]]:
    """Write the channels of an image; returns their names by their numbers, and the files."""
    source = volume.source
    array = np.asarray(source.array)
    if not np.isfinite(array).all():
        raise InputError(f"{volume.name} holds NaN or infinite values; finite ones are expected by nnU-Net")
    if ending == ".png" and source.rgb:
        path = folder / f"{volume.name}_0000.png"
        return dict(zip("012", "RGB", strict=True)), _write_png(path, array[..., :3])
    count = array.shape[-1] if source.channels else 1
    count = min(count, 3) if source.rgb else count
    one = _CHANNELS.get(source.modality, "image")
    names = [one] if count == 1 else ["R", "G", "B"] if source.rgb else [f"channel {n}" for n in range(count)]
    files: list[Path] = []
    for number in range(count):
        values = array[..., number] if source.channels else array
        files += _write(folder / f"{volume.name}_{number:04d}{ending}", values, source.geometry, labels=False)
    return {str(number): name for number, name in enumerate(names)}, files


def _write(path: Path, values: NDArray[Any], geometry: Geometry, *, labels: bool) -> list[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        return _write_png(path, values)
    geometry = replace(geometry, shape=values.shape)
    if labels:
        return list(write_files(nifti_label_files(path, values, geometry, ClassTable())))
    return list(write_files(nifti_image_files(path, values, geometry)))


def _write_png(path: Path, values: NDArray[Any]) -> list[Path]:
    from PIL import Image  # slow to import

    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(values)).save(buffer, format="png")
    return list(write_files({path: buffer.getvalue()}))


def _is_sheared(geometry: Geometry) -> bool:
    if geometry.affine is None:
        return False
    axes = geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)
    return not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4)


def is_nnunet(folder: Path) -> bool:
    """Whether a folder looks like a raw data set of nnU-Net, or of the Medical Segmentation Decathlon."""
    return (folder / _DESCRIPTION).is_file() and (folder / _IMAGES).is_dir()


def read_nnunet(folder: Path) -> list[Addition]:
    """The training images of a raw data set with their labels; ``ignore`` is what nobody has labelled yet.

    Raises
    ------
    InputError
        If its description cannot be read, or has regions instead of labels.
    """
    content = read_json(folder / _DESCRIPTION)
    classes, ignore = classes_of(folder / _DESCRIPTION, content)
    ending = str(content.get("file_ending", ".nii.gz"))
    grouped: dict[str, list[Path]] = {}
    for path in sorted((folder / _IMAGES).iterdir()):
        if path.name.startswith(".") or not path.name.endswith(ending) or extension(path) not in image_extensions():
            continue
        name = path.name.removesuffix(ending)
        is_channel = "channel_names" in content and name[-5:-4] == "_" and name[-4:].isdigit()
        grouped.setdefault(name[:-5] if is_channel else name, []).append(path)
    if not grouped:
        raise InputError(f"{folder / _IMAGES} holds no file that ends in {ending}")
    found = []
    for name, paths in grouped.items():
        labels = folder / _LABELS / f"{name}{ending}"
        found.append(
            Addition(tuple(paths), name, labels=label_file(labels, classes, ignore) if labels.is_file() else None)
        )
    return found


def classes_of(path: Path, content: Mapping[str, Any]) -> tuple[ClassTable, int | None]:
    """The classes but for the background, and the number of ``ignore``."""
    labels, ignore, found = content.get("labels"), None, []
    if not isinstance(labels, dict):
        raise InputError(f"{path}: its labels are {labels!r}; an object of names and numbers is expected")
    for key, value in labels.items():
        name, number = (
            (key, value) if not isinstance(value, str) else (value, key)
        )  # the Decathlon has it the other way
        if isinstance(number, list):
            raise InputError(f"{path}: {name!r} is a region of several labels; one number for each class is expected")
        try:
            identity = int(number)
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: {name!r} has the number {number!r}; a whole number is expected") from error
        if name == "ignore":
            ignore = identity
        elif identity:
            found.append(LabelClass(identity, str(name), default_color(identity)))
    return ClassTable(tuple(found)), ignore
