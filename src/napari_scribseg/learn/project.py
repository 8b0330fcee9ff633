"""A project: a folder of cases that are annotated, learned from, shared and exported together."""

from __future__ import annotations

from os import PathLike
from typing import Literal

from napari_scribseg.annotate.merge import Preference
from napari_scribseg.learn.annotators import PairAgreement, annotator_agreement
from napari_scribseg.learn.case import Case, ConflictRecord
from napari_scribseg.learn.folder import ProjectFolder
from napari_scribseg.learn.merging import MergeReport, merge_projects, resolve
from napari_scribseg.learn.review import Order, Place, Status, review_order, status_of

__all__ = ["Project"]


class Project(ProjectFolder):
    """The folder of a project, and what is done with all of its cases; see :meth:`create` and :meth:`open`."""

    def merge(self, other: str | PathLike[str] | Project, prefer: Preference = "ours") -> MergeReport:
        """Bring in the work of another copy of the project; see :func:`~napari_scribseg.learn.merging.merge_projects`.

        Raises
        ------
        InputError
            If the other one is no project, or this one.
        """
        found = other if isinstance(other, Project) else Project.open(other, self.annotator)
        return merge_projects(self, found, prefer)

    @property
    def conflicts(self) -> tuple[tuple[Case, ConflictRecord], ...]:
        """The slices of which two people's versions differ, until :meth:`resolve` chooses."""
        return tuple((case, conflict) for case in self.cases for conflict in case.conflicts)

    def resolve(self, which: str | Case, conflict: ConflictRecord, keep: Literal["chosen", "other"]) -> None:
        """End a conflict: the session goes on with the version that it shows, or with the other one.

        Raises
        ------
        InUseError
            If the case is open.
        InputError
            If there is no such conflict.
        """
        resolve(self.case(which), conflict, keep)

    def status(self) -> Status:
        """How far the project is; session files are read without their locks, as they were saved last."""
        return status_of(self.cases)

    def queue(self, order: Order = "doubt", *, first: str = "", seed: int = 0) -> list[Place]:
        """The cases that are left, each with the slice to begin with; see :func:`~.review.review_order`."""
        return review_order(self.cases, order, first=first, seed=seed)

    def next(self, order: Order = "doubt", *, after: str = "") -> Place | None:
        """The next case to work on, and its slice; another one than ``after``. None where all others are finished."""
        return next((place for place in self.queue(order) if place.case != after), None)

    def agreement(self) -> tuple[PairAgreement, ...]:
        """How far people agree on the slices that two of them accepted, by case, slice, class and pair."""
        return tuple(annotator_agreement(self.cases, self.classes))
