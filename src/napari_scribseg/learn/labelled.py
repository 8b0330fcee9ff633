"""The labels of a case as exports write them: without its image, and with what nobody accepted marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.merge import without_image
from napari_scribseg.annotate.sidecar import read
from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.learn.case import Case
from napari_scribseg.learn.folder import ProjectFolder

__all__ = [
    "CHOICES",
    "Choice",
    "LabelledCase",
    "consecutive",
    "labelled_cases",
    "new_folder",
    "renumbered",
    "unique_names",
]

Choice = Literal["finished", "accepted", "all"]
CHOICES: tuple[Choice, ...] = ("finished", "accepted", "all")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledCase:
    """A case with its labels.

    Attributes
    ----------
    case : Case
    labels : ndarray of shape (\\*S), uint8 or uint16
        Label ids, 0 for the background.
    accepted : ndarray of shape (\\*S), bool, or None
        Which voxels lie on accepted slices; None where all labels count.
    """

    case: Case
    labels: NDArray[Any]
    accepted: NDArray[np.bool_] | None


def labelled_cases(project: ProjectFolder, only: Choice) -> Iterator[LabelledCase]:
    """The cases of a project that have labels.

    Parameters
    ----------
    project : ProjectFolder
    only : {"finished", "accepted", "all"}
        Finished cases; also the accepted slices of the others; or all labels, whoever made them.

    Raises
    ------
    InputError
        If there is no such choice, a session file is damaged, or no case has such labels.
    """
    if only not in CHOICES:
        raise InputError(f"the choice of labels is {only!r}; expected one of {', '.join(CHOICES)}")
    found = False
    for case in map(Case.require_readable, project.cases):
        if not case.session_file.is_file() or (only == "finished" and case.state != "finished"):
            continue
        if only == "accepted" and not case.counts().accepted:
            continue
        annotation = without_image(read(case.session_file)).annotation
        accepted = None
        if only == "accepted" and case.state != "finished":
            accepted = np.zeros(annotation.shape, bool)
            for slice_index in annotation.accepted:
                accepted[slice_index.slicer] = True
        if annotation.accepted or annotation.labels.any():
            found = True
            yield LabelledCase(case, annotation.labels, accepted)
    if not found:
        wanted = {"finished": "is finished", "accepted": "has an accepted slice", "all": "has labels"}[only]
        raise InputError(f"no case of {project.folder} {wanted}; there is nothing to export")


def consecutive(classes: ClassTable) -> dict[int, int]:
    """The numbers 1, 2, ... of the classes but for the background, by their ids."""
    return {label.id: number for number, label in enumerate((c for c in classes if not c.background), start=1)}


def renumbered(labels: NDArray[Any], numbers: dict[int, int]) -> NDArray[Any]:
    """Labels with other numbers, uint8 where these fit, else uint16; ids without a number become 0."""
    table = np.zeros(max((int(labels.max(initial=0)), *numbers)) + 1, np.uint16)
    for identity, number in numbers.items():
        table[identity] = number
    result: NDArray[Any] = table[labels]
    return result.astype(np.uint8) if max(numbers.values(), default=0) < 256 else result


def unique_names(classes: ClassTable, reserved: Iterable[str] = ()) -> dict[int, str]:
    """A name of its own for each class but for the background, by its id."""
    taken, names = {name.lower() for name in reserved}, {}
    for label in classes:
        if not label.background:
            wanted = label.name.strip() or f"class {label.id}"
            name = wanted if wanted.lower() not in taken else f"{wanted} ({label.id})"
            taken.add(name.lower())
            names[label.id] = name
    return names


def new_folder(folder: Path) -> Path:
    """A folder for an export, made where it is missing.

    Raises
    ------
    InputError
        If it holds files already, or cannot be made.
    """
    place = user_path(folder).absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
        if any(not path.name.startswith(".") for path in place.iterdir()):
            raise InputError(f"{place} holds files already; a new folder is expected")
    except OSError as error:
        raise InputError(f"{place} cannot be made ({error.strerror}); a writable folder is expected") from error
    return place
