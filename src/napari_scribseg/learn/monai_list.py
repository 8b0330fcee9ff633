"""Data lists as ``monai.data.load_decathlon_datalist`` reads them: written from a project, and read into one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.io import write_labels
from napari_scribseg.io.formats import extension_for_labels
from napari_scribseg.io.json_files import read_json, write_json
from napari_scribseg.learn.additions import Addition, label_file
from napari_scribseg.learn.folder import ProjectFolder
from napari_scribseg.learn.labelled import Choice, consecutive, labelled_cases, new_folder, renumbered, unique_names
from napari_scribseg.learn.nnunet import classes_of

__all__ = ["export_monai", "read_monai"]

LIST = "datalist.json"


def export_monai(
    project: ProjectFolder, folder: Path, *, only: Choice = "finished", report: Report = silent
) -> tuple[Path, ...]:
    """Write labels, and a list of them with the images, which stay where they are.

    Parameters
    ----------
    project : ProjectFolder
    folder : Path
        A new folder; it gets ``labels/``, and ``datalist.json`` with paths relative to itself. The classes have the
        numbers 1, 2, ... in their order; with ``only="accepted"``, the next number marks what nobody accepted.
    only : {"finished", "accepted", "all"}
        See :func:`~napari_scribseg.learn.labelled.labelled_cases`.
    report : Report
        Gets the progress.

    Returns
    -------
    tuple of Path
        The files written, ``datalist.json`` last.

    Raises
    ------
    InputError
        If there is nothing to export, an image is missing, or the folder holds files already.
    """
    cases = list(labelled_cases(project, only))
    numbers, names = consecutive(project.classes), unique_names(project.classes, ("background", "ignore"))
    place, written, training = new_folder(folder), list[Path](), []
    (place / "labels").mkdir(exist_ok=True)
    ignore = max(numbers.values()) + 1
    kinds, ignored = set[str](), False
    for done, each in enumerate(cases, start=1):
        source = project.read_image(each.case)
        image = project.case(each.case).image
        labels = renumbered(each.labels, numbers)
        if each.accepted is not None:
            labels[~each.accepted], ignored = ignore, True
        first = Path(image.absolute)
        path = place / "labels" / f"{each.case.name}{extension_for_labels(first)}"
        written += write_labels(path, labels, source.geometry, project.classes, bids_tsv=False)
        paths = [_relative(p, place) for p in (first, *((project.folder / c).resolve() for c in image.channels))]
        training.append({"image": paths if image.channels else paths[0], "label": f"labels/{path.name}"})
        kinds.add(source.modality or "image")
        report(done / len(cases))
    labels_out = {"0": "background", **{str(number): names[i] for i, number in numbers.items()}}
    if ignored:
        labels_out[str(ignore)] = "ignore"
    content: dict[str, Any] = {
        "name": project.name, "labels": labels_out, "modality": {"0": ", ".join(sorted(kinds))},
        "numTraining": len(training), "numTest": 0, "training": training, "test": [],
    }  # fmt: skip
    write_json(place / LIST, content)
    return (*written, place / LIST)


def _relative(path: Path, place: Path) -> str:
    try:
        return Path(os.path.relpath(path, place)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def read_monai(path: Path) -> list[Addition]:
    """The images of a data list with their labels.

    Raises
    ------
    InputError
        If the file is no data list.
    """
    content = read_json(path, "data list of MONAI")
    rows = content.get("training")
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path.name}: it has no list of training images; a data list of MONAI is expected")
    classes, ignore = classes_of(path, content) if "labels" in content else (None, None)
    found = []
    for number, row in enumerate(rows, start=1):
        image = row.get("image") if isinstance(row, dict) else None
        paths = [each for each in (image if isinstance(image, list) else [image]) if isinstance(each, str)]
        if not paths:
            raise InputError(f"{path.name}: its entry {number} has no image; a path or a list of them is expected")
        label = row.get("label")
        labels = label_file(path.parent / label, classes, ignore) if isinstance(label, str) else None
        found.append(Addition(tuple(path.parent / each for each in paths), labels=labels))
    return found
