"""COCO's format for instances in 2D images: written from a project, and read into one.

Lin et al., Microsoft COCO (2014); the format is that of https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.core import ClassTable, InputError, LabelClass, Report, Source, silent
from napari_scribseg.core.classes import default_color
from napari_scribseg.core.errors import one_line
from napari_scribseg.io.json_files import read_json, write_json
from napari_scribseg.learn.additions import Addition, GivenLabels
from napari_scribseg.learn.folder import ProjectFolder
from napari_scribseg.learn.labelled import Choice, consecutive, labelled_cases, new_folder, renumbered, unique_names

__all__ = ["decode_counts", "encode_mask", "export_coco", "read_coco"]

_MOST_BYTES = 512 << 20


def export_coco(
    project: ProjectFolder, folder: Path, *, only: Choice = "finished", report: Report = silent
) -> tuple[Path, ...]:
    """Write the 2D cases of a project as instances of COCO: connected regions of each class, run-length encoded.

    Parameters
    ----------
    project : ProjectFolder
    folder : Path
        A new folder; it gets copies of the images, and ``annotations.json``.
    only : {"finished", "accepted", "all"}
        See :func:`~napari_scribseg.learn.labelled.labelled_cases`.
    report : Report
        Gets the progress.

    Returns
    -------
    tuple of Path
        The files written, ``annotations.json`` last.

    Raises
    ------
    InputError
        If there is nothing to export, a case is a volume, an image is missing, or the folder holds files already.
    """
    cases = list(labelled_cases(project, only))
    volume = next((each.case for each in cases if len(each.case.image.shape) != 2), None)
    if volume is not None:
        raise InputError(f"{volume.name} is a volume of shape {volume.image.shape}; COCO holds 2D images only")
    numbers, names = consecutive(project.classes), unique_names(project.classes)
    place, images, annotations, written = new_folder(folder), [], list[dict[str, Any]](), []
    (place / "images").mkdir(exist_ok=True)
    for number, each in enumerate(cases, start=1):
        original = Path(project.read_image(each.case).path or each.case.image.absolute)
        copy = place / "images" / f"{each.case.name}{''.join(original.suffixes[-1:])}"
        shutil.copyfile(original, copy)
        written.append(copy)
        height, width = each.labels.shape
        images.append({"id": number, "file_name": f"images/{copy.name}", "height": height, "width": width})
        labels = renumbered(each.labels, numbers)
        for category in np.unique(labels[labels != 0]).tolist():
            for mask in _regions(labels == category):
                identity = len(annotations) + 1
                annotations.append({"id": identity, "image_id": number, "category_id": category, **encode_mask(mask)})
        report(number / len(cases))
    categories = [{"id": number, "name": names[i], "supercategory": ""} for i, number in numbers.items()]
    info = {"description": project.name}
    path = place / "annotations.json"
    write_json(path, {"info": info, "images": images, "annotations": annotations, "categories": categories})
    return (*written, path)


def _regions(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """The regions of a mask whose pixels touch at an edge or a corner."""
    labelled, count = ndimage.label(mask, np.ones((3, 3)))
    return [labelled == number for number in range(1, count + 1)]


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """What an annotation of COCO states of a mask of shape (H, W): runs down the columns, area and box."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat, prepend=False)) if flat.size else np.empty(0, np.intp)
    counts = np.diff(np.concatenate([[0], changes, [flat.size]]))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
    return {
        "segmentation": {"size": list(mask.shape), "counts": counts.tolist()},
        "area": int(mask.sum()), "bbox": box, "iscrowd": 0,
    }  # fmt: skip


def read_coco(path: Path) -> list[Addition]:
    """The images of an annotation file that are there, each with the masks of its instances as one label image.

    Where instances overlap, the smaller one is on top. An image without instances has no labels yet.

    Raises
    ------
    InputError
        If the file is no COCO file, or none of its images is beside it.
    """
    content = read_json(path, "file of COCO annotations", most=_MOST_BYTES)
    try:
        classes, ids = _classes(content["categories"])
        masks: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        for annotation in content["annotations"]:
            masks[annotation["image_id"]].append(annotation)
        files = [(_found(path.parent, str(image["file_name"])), image["id"]) for image in content["images"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path.name}: it is no file of COCO annotations ({one_line(str(error))})") from error
    present = [(file, identity) for file, identity in files if file is not None]
    if not present:
        raise InputError(f"{path.name}: none of its {len(files)} images is beside it, or in a folder images")
    return [
        Addition((file,), labels=partial(_painted, path, masks[i], classes, ids) if masks[i] else None)
        for file, i in present
    ]


def _found(folder: Path, name: str) -> Path | None:
    """An image below the folder of the annotations: at its path, or in a folder ``images``; nowhere else."""
    places = (folder / name, folder / "images" / name, folder / Path(name).name, folder / "images" / Path(name).name)
    inside = folder.resolve()
    return next((p for p in places if p.is_file() and inside in p.resolve().parents), None)


def _classes(categories: Sequence[Mapping[str, Any]]) -> tuple[ClassTable, dict[Any, int]]:
    """The categories as classes with the ids 1, 2, ..., and these by those of the categories."""
    ids = {category["id"]: number for number, category in enumerate(categories, start=1)}
    names = [str(category["name"]) for category in categories]
    return ClassTable(tuple(LabelClass(i, names[i - 1], default_color(i)) for i in ids.values())), ids


def _painted(
    path: Path, annotations: list[Mapping[str, Any]], classes: ClassTable, ids: Mapping[Any, int], image: Source
) -> GivenLabels:
    labels = np.zeros(image.shape, np.uint16)
    try:
        masks = [(decode_mask(each["segmentation"], image.shape), ids[each["category_id"]]) for each in annotations]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path.name}: a mask of {image.name} is damaged ({one_line(str(error))})") from error
    for mask, identity in sorted(masks, key=lambda each: -int(each[0].sum())):
        labels[mask] = identity
    return GivenLabels(labels, classes)


def decode_mask(segmentation: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask of shape (H, W) from polygons, or from runs, whether as numbers or as text; ValueError if damaged."""
    if isinstance(segmentation, list):
        from PIL import Image, ImageDraw  # slow to import

        canvas = Image.new("1", (shape[1], shape[0]))
        for polygon in segmentation:
            if len(polygon) >= 6:
                ImageDraw.Draw(canvas).polygon([float(v) for v in polygon], fill=1, outline=1)
        return np.array(canvas, bool)
    if tuple(segmentation["size"]) != tuple(shape):
        raise ValueError(f"it has the size {segmentation['size']}; the image has the shape {shape}")
    counts = segmentation["counts"]
    runs = np.asarray(decode_counts(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != shape[0] * shape[1]:
        raise ValueError(f"its runs do not add up to {shape[0] * shape[1]} pixels")
    flat = np.repeat(np.arange(runs.size) % 2 == 1, runs)
    return flat.reshape(shape[1], shape[0]).T


def decode_counts(text: str) -> list[int]:
    """Run lengths from COCO's text for them: differences to the run before the last, five bits a character.

    References
    ----------
    ``rleFrString`` of https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{character!r} stands in its runs")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("its runs are cut off")
    return counts
