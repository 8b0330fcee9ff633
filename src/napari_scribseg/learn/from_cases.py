"""What a project learns from its cases, and what it drafts in them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, InputError, Report, silent
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.io.lock import FileLock, InUseError
from napari_scribseg.learn.case import Case
from napari_scribseg.learn.examples import Example, examples_of
from napari_scribseg.learn.folder import ProjectFolder
from napari_scribseg.learn.learning_process import learn_in_subprocess
from napari_scribseg.learn.merging import class_ids
from napari_scribseg.learn.network import LearnedNetwork, ids_of
from napari_scribseg.learn.training import LearnSettings

__all__ = ["add_network", "draft_case", "examples_in", "learn_from_cases", "newest_network"]

_CHECKPOINTS = "learning"
_KEPT = 5  # networks; older ones are removed
_READING = 0.1  # share of the progress


def examples_in(project: ProjectFolder, report: Report = silent) -> list[Example]:
    """The examples of all cases, from their session files as they were saved last; no lock is needed.

    Raises
    ------
    InputError
        If an image or a session file cannot be read, or no case has strokes or accepted slices.
    """
    cases = [
        case
        for case in map(Case.require_readable, project.cases)
        if (counts := case.counts()).accepted or counts.worked
    ]
    if not cases:
        raise InputError(f"no case of {project.folder} has strokes or accepted slices; there is nothing to learn from")
    found: list[Example] = []
    for done, case in enumerate(cases, start=1):
        session = Session.load(case.session_file, project.read_image(case), engine=project.engine)
        with contextlib.closing(session):
            found += examples_of(session, case.name)
        report(done / len(cases))
    return found


def newest_network(project: ProjectFolder) -> LearnedNetwork | None:
    """The network that was learned last; None where there is none.

    Raises
    ------
    InputError
        If its file is damaged.
    """
    files = project.network_files()
    return LearnedNetwork.load(files[-1]) if files else None


def learn_from_cases(
    project: ProjectFolder, *, report: Report = silent, device: str = "auto", settings: LearnSettings | None = None
) -> LearnedNetwork:
    """Learn a network from all cases, and store it in the project; see :meth:`Project.learn`.

    Raises
    ------
    InputError
        If there is nothing to learn from, an image is missing, or another program learns in this project.
    """
    examples = examples_in(project, lambda done, _preview=None: report(_READING * done))
    classes, start = project.classes, newest_network(project)
    if start is not None and start.ids != ids_of(classes):
        start = None  # it has other outputs
    folder = project.networks_folder / _CHECKPOINTS
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / "lock")
    except InUseError:
        raise InUseError(f"another program learns in {project.folder} already; wait for its end") from None
    with contextlib.closing(lock):
        network = learn_in_subprocess(
            examples, classes, start=start, checkpoints=folder, device=device, settings=settings,
            report=lambda done, _preview=None: report(_READING + (1 - _READING) * done),
        )  # fmt: skip
        network.save(_next_file(project))
        for path in project.network_files()[:-_KEPT]:
            path.unlink(missing_ok=True)
    return network


def add_network(project: ProjectFolder, path: Path) -> LearnedNetwork:
    """Store a network of another project as the newest; its classes are found by their names, or added.

    Raises
    ------
    InputError
        If the file is missing, damaged, or holds no learned network.
    """
    network = LearnedNetwork.load(path)
    ids = class_ids(project, network.classes)
    classes = ClassTable(tuple(replace(c, id=ids.get(c.id, c.id)) for c in network.classes))
    network = LearnedNetwork(network.model, classes, network.card)
    project.networks_folder.mkdir(exist_ok=True)
    network.save(_next_file(project))
    return network


def _next_file(project: ProjectFolder) -> Path:
    numbers = [int(path.stem[:4]) for path in project.network_files() if path.stem[:4].isdigit()]
    return project.networks_folder / f"{max(numbers, default=0) + 1:04d}.safetensors"


def draft_case(
    project: ProjectFolder,
    which: str | Case,
    network: LearnedNetwork | None = None,
    *,
    slices: Iterable[SliceIndex] | None = None,
    report: Report = silent,
) -> tuple[SliceIndex, ...]:
    """Draft the slices of a case that have no labels of their own; see :meth:`Project.draft`.

    Raises
    ------
    InUseError
        If the case is open.
    InputError
        If no network was learned yet, or the image cannot be read.
    """
    chosen = newest_network(project) if network is None else network
    if chosen is None:
        raise InputError(f"no network was learned in {project.folder} yet (scribseg project learn)")
    with contextlib.closing(project.open_session(which)) as session:
        session.events.progress.connect(report)
        drafted: tuple[SliceIndex, ...] = session.draft(chosen, slices).result()
        session.events.progress.disconnect(report)
    return drafted
