"""Drafts for many cases of a project at once, on this machine or on many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_scribseg.batch import cluster
from napari_scribseg.batch.batch_jobs import HIDDEN
from napari_scribseg.batch.cohort import chosen_workers
from napari_scribseg.core import InputError
from napari_scribseg.learn import Project
from napari_scribseg.numerics.device import n_threads

if TYPE_CHECKING:
    from napari_scribseg.learn.network import LearnedNetwork

__all__ = ["DraftOutcome", "draft_cases"]


@dataclass(frozen=True, slots=True)
class DraftOutcome:
    """What became of one case.

    Attributes
    ----------
    case : str
        Its name.
    slices : int
        Number of slices that were drafted.
    error : str
        Why it failed, one sentence; empty where it did not.
    """

    case: str
    slices: int = 0
    error: str = ""


_ATTEMPTS = 3  # times that a case may take its worker along

Progress = Callable[[DraftOutcome, int, int], None]


def draft_cases(
    project: Project,
    cases: Sequence[str] | None = None,
    *,
    workers: int | None = 0,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> list[DraftOutcome]:
    """Draft many cases with the network that was learned last; a case that fails does not stop the others.

    Parameters
    ----------
    project : Project
    cases : sequence of str, optional
        Names of the cases; those that nobody has worked on by default.
    workers : int, optional
        Processes of dask; 0 works in this one. None for half as many as there are threads.
    scheduler : str, optional
        Address of a dask scheduler whose workers do the work instead; they must see the files under the same paths.
    progress : callable, optional
        ``progress(outcome, done, total)`` after each case.

    Returns
    -------
    list of DraftOutcome
        One for each case, as they came.

    Raises
    ------
    InputError
        If no network was learned yet, there is no such case, or no worker starts.
    """
    if not project.network_files():
        raise InputError(f"no network was learned in {project.folder} yet (scribseg project learn)")
    if cases is None:
        names = [case.name for case in project.cases if case.state in ("new", "drafted")]
    else:
        names = [project.case(name).name for name in cases]
    found: list[DraftOutcome] = []
    for outcome in _outcomes(project, names, chosen_workers(workers, scheduler), scheduler):
        found.append(outcome)
        if progress is not None:
            progress(outcome, len(found), len(names))
    return found


def _outcomes(project: Project, names: Sequence[str], workers: int, scheduler: str | None) -> Iterator[DraftOutcome]:
    folder, annotator = str(project.folder), project.annotator
    if not names:
        return
    if not workers and scheduler is None:
        for name in names:
            yield draft_one(folder, name, annotator)
        return
    import distributed

    with _client(project.folder, min(workers, len(names)), scheduler) as client:
        futures = {client.submit(draft_one, folder, name, annotator, pure=False, retries=1): name for name in names}
        for future in distributed.as_completed(list(futures), loop=client.loop):
            try:
                yield future.result()
            except Exception as error:  # noqa: BLE001 - a worker that was killed: the failure of its case
                reason = " ".join(str(error).split())
                yield DraftOutcome(futures[future], error=f"{type(error).__name__}: {reason}")


def _client(folder: Path, workers: int, scheduler: str | None) -> AbstractContextManager[Any]:
    if scheduler is None:
        return cluster.local_client(workers, max(n_threads() // workers, 1), failures=_ATTEMPTS)
    (folder / HIDDEN).mkdir(exist_ok=True)
    return cluster.remote_client(scheduler, folder)


def draft_one(folder: str, name: str, annotator: str) -> DraftOutcome:
    """Draft one case: the work of a worker."""
    try:
        project = Project.open(folder, annotator)
        file = project.network_files()[-1]
        return DraftOutcome(name, len(project.draft(name, _network(file, file.stat().st_mtime_ns))))
    except Exception as error:  # noqa: BLE001 - a damaged file may raise anything: the failure of this case
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return DraftOutcome(name, error=" ".join(reason.split()))


@lru_cache(maxsize=1)
def _network(path: Path, _modified: int) -> LearnedNetwork:
    """The network of a file, read once in each process."""
    from napari_scribseg.learn.network import LearnedNetwork

    return LearnedNetwork.load(path)
