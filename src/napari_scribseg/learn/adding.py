"""What a path stands for that is added to a project: one image, or all of a folder, a data set or a list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.core.paths import user_path
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.io import image_extensions, is_label_file, list_series
from napari_scribseg.io.bids_names import bids_files, is_segmentation
from napari_scribseg.io.formats import extension, stem
from napari_scribseg.io.json_files import read_json
from napari_scribseg.learn.additions import Addition, GivenLabels, label_file
from napari_scribseg.learn.case import Case
from napari_scribseg.learn.coco import read_coco
from napari_scribseg.learn.folder import ProjectFolder
from napari_scribseg.learn.merging import class_ids
from napari_scribseg.learn.monai_list import read_monai
from napari_scribseg.learn.nnunet import is_nnunet, read_nnunet

__all__ = ["Added", "add_paths", "additions_of", "begin_with_labels"]

_LABEL_ENDS = ("", "_label", "_labels", "_mask", "_seg", "_dseg")


@dataclass(frozen=True, slots=True)
class Added:
    """What was added.

    Attributes
    ----------
    cases : tuple of str
        Names of the new cases.
    labelled : tuple of str
        Names of the cases, new or there before, that got the labels of a file.
    skipped : tuple of str
        For each image that was not added, why, in a sentence.
    """

    cases: tuple[str, ...]
    labelled: tuple[str, ...]
    skipped: tuple[str, ...]


def add_paths(
    project: ProjectFolder,
    paths: Iterable[str | PathLike[str]],
    labels: str | PathLike[str] | None = None,
    *,
    as_class: str = "",
    report: Report = silent,
) -> Added:
    """Add images to a project; see :meth:`Project.add`.

    Raises
    ------
    InputError
        If a path is missing or holds no image, or one image alone cannot be added.
    """
    additions = [each for path in paths for each in additions_of(user_path(path))]
    if labels is not None:
        additions = _with_labels(additions, user_path(labels), as_class)
    elif as_class:
        raise InputError(f"all labels were to be of the class {as_class!r}, but no label files were given")
    cases, labelled, skipped = [], [], []
    for done, addition in enumerate(additions, start=1):
        try:
            case = _case_of(project, addition)
            if case is None:
                case = project.add_image(addition.paths, series=addition.series, name=addition.name)
                cases.append(case.name)
            elif addition.labels is None or case.session_file.is_file():
                raise InputError(f"{addition.paths[0].name} is the case {case.name} already")
            if addition.labels is not None:
                begin_with_labels(project, case, addition)
                labelled.append(case.name)
        except InputError as error:
            if len(additions) == 1:
                raise
            skipped.append(str(error))
        report(done / len(additions))
    return Added(tuple(cases), tuple(labelled), tuple(skipped))


def _case_of(project: ProjectFolder, addition: Addition) -> Case | None:
    """The case that an image is already; None where it is new."""
    path = str(addition.paths[0].resolve())
    return next((c for c in project.cases if (c.image.absolute, c.image.series) == (path, addition.series)), None)


def additions_of(path: Path) -> list[Addition]:
    """The images that a path stands for.

    Parameters
    ----------
    path : Path
        An image file; a folder of images, of DICOM files (each series is one), of a BIDS data set, or of a raw data set
        of nnU-Net; or a JSON file: that of a raw data set of nnU-Net, of COCO annotations, or a data list of MONAI.

    Raises
    ------
    InputError
        If it is missing, or none of these.
    """
    if path.is_dir():
        return _of_folder(path)
    if path.suffix.lower() != ".json":
        if extension(path) not in image_extensions():
            raise InputError(f"{path.name}: the format is not one of {', '.join(image_extensions())}")
        return [Addition((path,))]
    content = read_json(path, "JSON file", most=512 << 20)
    if is_nnunet(path.parent) and path.name == "dataset.json":
        return read_nnunet(path.parent)
    if {"images", "annotations", "categories"} <= content.keys():
        return read_coco(path)
    if "training" in content:
        return read_monai(path)
    raise InputError(f"{path.name}: it is neither COCO annotations, nor a data list of MONAI, nor of nnU-Net")


def _of_folder(folder: Path) -> list[Addition]:
    if is_nnunet(folder):
        return read_nnunet(folder)
    if (folder / "dataset_description.json").is_file() or any(p.is_dir() for p in folder.glob("sub-*")):
        found = [Addition((path,)) for path, entities in bids_files(folder) if not is_segmentation(entities)]
    else:
        files = [p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".")]
        images = [p for p in files if extension(p) in image_extensions()]
        dicom = not images or any(extension(path) == ".dcm" for path in images)
        found = _of_dicom(folder) if dicom else [Addition((path,)) for path in _without_labels(images)]
    if not found:
        raise InputError(f"{folder}: it holds no image; a folder with images, DICOM files or a data set is expected")
    return found


def _without_labels(files: list[Path]) -> list[Path]:
    """The files that are no labels: marked as such, or named as another one with an ending such as ``_mask``."""
    names = {stem(path) for path in files}
    named = {name + ending for name in names for ending in _LABEL_ENDS if ending}
    return [path for path in files if stem(path) not in named and not _is_marked(path)]


def _is_marked(path: Path) -> bool:
    try:
        return is_label_file(path)
    except InputError:  # a damaged file is skipped with its reason when it is added
        return False


def _of_dicom(folder: Path) -> list[Addition]:
    """The series of a folder, without localizers where there are others."""
    series = list_series(folder)
    chosen = [each for each in series if not each.localizer] or list(series)
    names = [each.description or folder.name for each in chosen]
    return [Addition((folder,), name, each.identity) for each, name in zip(chosen, names, strict=True)]


def _with_labels(additions: list[Addition], labels: Path, as_class: str) -> list[Addition]:
    """The images with their label files: one file for one image, or a folder in which they have the same names."""
    if labels.is_file():
        if len(additions) != 1:
            raise InputError(f"{labels.name} is one label file for {len(additions)} images; a folder is expected")
        return [replace(additions[0], labels=label_file(labels, as_class=as_class))]
    if not labels.is_dir():
        raise InputError(f"there is no file or folder {labels}; label files are expected")
    files = {stem(p): p for p in sorted(labels.iterdir()) if p.is_file() and extension(p) in image_extensions()}
    found = []
    for addition in additions:
        name = addition.name or stem(addition.paths[0])
        file = next((files[name + ending] for ending in _LABEL_ENDS if name + ending in files), None)
        found.append(addition if file is None else replace(addition, labels=label_file(file, as_class=as_class)))
    if not any(addition.labels for addition in found):
        raise InputError(f"{labels}: none of its files has the name of one of the {len(found)} images")
    return found


def begin_with_labels(project: ProjectFolder, case: Case, addition: Addition) -> None:
    """Begin the session of a case with labels from elsewhere; slices that are labelled whole are accepted.

    Raises
    ------
    InputError
        If the labels cannot be read, or are not on the grid of the image.
    """
    assert addition.labels is not None
    volume = project.read_image(case)
    given = addition.labels(volume)
    ids = class_ids(project, given.classes)
    labels = _mapped(given, ids)
    session = Session(volume, project.engine, classes=project.classes, labels=labels, sidecar=case.session_file)
    session.annotator = project.annotator
    try:
        displayed = volume.ndim - 2, volume.ndim - 1
        for position in np.ndindex(*volume.shape[:-2]):
            if given.unlabelled is None or not given.unlabelled[position].any():
                session.accept(SliceIndex(displayed, position))
    finally:
        session.close()


def _mapped(given: GivenLabels, ids: dict[int, int]) -> np.ndarray:
    labels = given.labels.astype(np.uint16)
    for former, now in ids.items():
        labels[given.labels == former] = now
    return labels.astype(np.uint8) if labels.max(initial=0) < 256 else labels
