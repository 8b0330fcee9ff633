"""A cohort from a BIDS data set with strokes, and its labels as a BIDS derivative."""

from __future__ import annotations

import json
import os
import re
from os import PathLike
from pathlib import Path
from typing import Any

from napari_scribseg.batch.batch_jobs import BatchJob
from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.io.atomic import write_files
from napari_scribseg.io.bids_names import build_name, find_images_with_strokes
from napari_scribseg.io.formats import extension_for_labels

__all__ = ["check_derivative", "read_bids", "write_description"]

BIDS_VERSION = "1.10.0"
DESCRIPTION = "dataset_description.json"
_US = "napari-scribseg"


def read_bids(
    root: str | PathLike[str],
    *,
    engine: str = "svcd",
    suffix: str | None = None,
    background: int | None = None,
    axis: int | str | None = None,
) -> tuple[BatchJob, ...]:
    """The images of a BIDS tree that have strokes, ``..._desc-scribbles_dseg`` in it or in its derivatives.

    Parameters
    ----------
    root : str or PathLike
        The data set, or a folder of derivatives inside one.
    engine : str
        Names the results: ``sub-x/[ses-y/]anat/<entities>_desc-<engine>_dseg.nii.gz``, with a table ``_dseg.tsv``.
    suffix : str, optional
        Of the images, such as ``T1w``, where several have the same entities.
    background : int, optional
    axis : int or str, optional
        For all images; see :class:`~napari_scribseg.batch.BatchJob`.

    Returns
    -------
    tuple of BatchJob
        Sorted by the path of the strokes. Strokes whose image is missing are left out with a warning.

    Raises
    ------
    InputError
        If the folder is missing, or holds no strokes.
    """
    place = user_path(root).absolute()
    found = find_images_with_strokes(place, suffix=suffix)
    if not found:
        raise InputError(
            f"{place}: it holds no image with strokes; strokes as sub-01_desc-scribbles_dseg.nii.gz are expected"
        )
    return tuple(
        BatchJob(
            image,
            strokes,
            _out(image, entities, engine),
            background=background,
            axis=axis,
            class_table=True,
            where=strokes.relative_to(place).as_posix(),
        )
        for image, strokes, entities in found
    )


def _out(image: Path, entities: dict[str, str], engine: str) -> str:
    """The path of the labels of an image in a derivative."""
    word = re.sub(r"[^A-Za-z0-9]", "", engine)
    name = build_name(entities | {"desc": word, "suffix": "dseg", "extension": extension_for_labels(image)})
    folder = [f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities]
    datatype = image.parent.name
    return "/".join([*folder, "anat" if "-" in datatype else datatype, name])


def check_derivative(root: Path, out: Path) -> None:
    """Refuse an output folder that is the data set itself, or the derivative of another program.

    Raises
    ------
    InputError
        If it is one of these, or its ``dataset_description.json`` cannot be read.
    """
    if root.resolve() == out.resolve():
        raise InputError(f"{out}: it is the data set itself; another folder is expected, as derivatives/{_US}")
    _generators(out)


def write_description(root: Path, out: Path, engine: str, settings: dict[str, Any]) -> Path:
    """Write or update the ``dataset_description.json`` of the derivative.

    ``GeneratedBy`` has an entry for each engine that was used in the folder, with its version and parameters.

    Raises
    ------
    InputError
        If the folder's description is by another program, or the file cannot be written.
    """
    from napari_scribseg import __version__

    entry = {
        "Name": _US,
        "Version": __version__,
        "Description": f"Segmentation from strokes by `scribseg batch` with the engine {engine}",
        "Engine": engine,
        "Parameters": settings,
    }
    others = [entry for entry in _generators(out) if entry.get("Engine") != engine]
    description = {
        "Name": f"Segmentations by {_US}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [*others, entry],
        "SourceDatasets": [{"URL": Path(os.path.relpath(root.resolve(), out.resolve())).as_posix()}],
    }
    write_files({out / DESCRIPTION: (json.dumps(description, indent=2) + "\n").encode()})
    return out / DESCRIPTION


def _generators(out: Path) -> list[dict[str, Any]]:
    """The entries of ``GeneratedBy``; empty where there is no description yet."""
    file = out / DESCRIPTION
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        generators = found.get("GeneratedBy", [])
        ours = [g for g in generators if g.get("Name") == _US]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(f"{file}: it cannot be read as a description of a BIDS data set ({error})") from error
    if not ours or len(ours) != len(generators):
        raise InputError(f"{file} is not by {_US}; a folder of its own is expected for the results")
    return ours
