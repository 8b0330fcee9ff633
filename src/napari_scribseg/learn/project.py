"""A project: a folder of cases that are annotated, learned from, shared and exported together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_scribseg.annotate.merge import Preference
from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.core.paths import user_path
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.learn.adding import Added, add_paths
from napari_scribseg.learn.annotators import PairAgreement, annotator_agreement
from napari_scribseg.learn.case import Case, ConflictRecord
from napari_scribseg.learn.coco import export_coco
from napari_scribseg.learn.folder import ProjectFolder
from napari_scribseg.learn.labelled import Choice
from napari_scribseg.learn.merging import MergeReport, merge_projects, resolve
from napari_scribseg.learn.monai_list import export_monai
from napari_scribseg.learn.nnunet import export_nnunet
from napari_scribseg.learn.review import Order, Place, Status, review_order, status_of

if TYPE_CHECKING:
    from napari_scribseg.learn.network import LearnedNetwork
    from napari_scribseg.learn.training import LearnSettings

__all__ = ["EXPORTS", "Project"]

EXPORTS: dict[str, Callable[..., tuple[Path, ...]]] = {
    "nnunet": export_nnunet,
    "monai": export_monai,
    "coco": export_coco,
}


class Project(ProjectFolder):
    """The folder of a project, and what is done with all of its cases; see :meth:`create` and :meth:`open`."""

    def add(
        self,
        paths: str | PathLike[str] | Iterable[str | PathLike[str]],
        labels: str | PathLike[str] | None = None,
        *,
        as_class: str = "",
        report: Report = silent,
    ) -> Added:
        """Add images as new cases.

        Parameters
        ----------
        paths : path or iterable of path
            Image files; folders of images, of DICOM files (each series is a case), of a BIDS data set, or of a raw data
            set of nnU-Net; JSON files of COCO, MONAI or nnU-Net. Labels of the last three come along.
        labels : path, optional
            A label file for one image, or a folder of label files with the names of the images. Such a case begins
            with all slices accepted.
        as_class : str
            The class of all labels of such files, where they number instances; empty where they are class ids.
        report : Report
            Gets the progress.

        Returns
        -------
        Added
            The new cases, and why others were skipped.

        Raises
        ------
        InputError
            If a path is missing or holds no image, or one image alone cannot be added.
        """
        several = [paths] if isinstance(paths, (str, PathLike)) else paths
        return add_paths(self, several, labels, as_class=as_class, report=report)

    def learn(
        self, report: Report = silent, *, device: str = "auto", settings: LearnSettings | None = None
    ) -> LearnedNetwork:
        """Learn from the strokes and accepted slices of all cases, and store the network in the project.

        It goes on from the network that was learned last, where that has the same classes. The work is done in a
        process of its own with the lowest priority; after an interruption the same call goes on. Session files are read
        without their locks, as they were saved last. The last five networks stay.

        Parameters
        ----------
        report : Report
            Gets the progress; what it raises ends the work.
        device : str
            Where to compute.
        settings : LearnSettings, optional

        Returns
        -------
        LearnedNetwork
            Its ``card.agreement`` says how far its drafts agree with accepted slices that it had not seen.

        Raises
        ------
        InputError
            If there is nothing to learn from, an image is missing, or another program learns in this project.
        """
        from napari_scribseg.learn.from_cases import learn_from_cases  # torch is slow to import

        return learn_from_cases(self, report=report, device=device, settings=settings)

    def network(self) -> LearnedNetwork | None:
        """The network that was learned last; None where there is none, InputError where it is damaged."""
        from napari_scribseg.learn.from_cases import newest_network  # torch is slow to import

        return newest_network(self)

    def draft(
        self, which: str | Case, network: LearnedNetwork | None = None, *, report: Report = silent
    ) -> tuple[SliceIndex, ...]:
        """Draft the slices of a case that have no labels of their own: neither accepted, nor painted, nor edited.

        Parameters
        ----------
        which : str or Case
        network : LearnedNetwork, optional
            The one that was learned last by default.
        report : Report
            Gets the progress.

        Returns
        -------
        tuple of SliceIndex
            The slices that were drafted.

        Raises
        ------
        InUseError
            If the case is open.
        InputError
            If no network was learned yet, or the image cannot be read.
        """
        from napari_scribseg.learn.from_cases import draft_case  # torch is slow to import

        return draft_case(self, which, network, report=report)

    def export(
        self, kind: str, folder: str | PathLike[str], *, only: Choice = "finished", report: Report = silent
    ) -> tuple[Path, ...]:
        """Write images and labels as a data set of another program.

        Parameters
        ----------
        kind : {"nnunet", "monai", "coco"}
            See :func:`~.nnunet.export_nnunet`, :func:`~.monai_list.export_monai` and :func:`~.coco.export_coco`.
        folder : path
            A new folder.
        only : {"finished", "accepted", "all"}
            Finished cases; also the accepted slices of the others; or all labels, whoever made them.
        report : Report
            Gets the progress.

        Returns
        -------
        tuple of Path
            The files written.

        Raises
        ------
        InputError
            If there is no such kind, nothing to export, or the folder holds files already.
        """
        if kind not in EXPORTS:
            raise InputError(f"the kind of export is {kind!r}; expected one of {', '.join(EXPORTS)}")
        return EXPORTS[kind](self, Path(folder), only=only, report=report)

    def export_network(self, path: str | PathLike[str], *, overwrite: bool = False) -> tuple[Path, Path]:
        """Write the network that was learned last for ``brs`` and other projects, as ONNX, or for ``torch.export``.

        See :func:`~.network_export.export_network` for the endings ``.safetensors``, ``.onnx`` and ``.pt2``.

        Raises
        ------
        InputError
            If no network was learned yet, the ending is another one, or the file is there or cannot be written.
        """
        from napari_scribseg.learn.network_export import export_network  # torch is slow to import

        network = self.network()
        if network is None:
            raise InputError(f"no network was learned in {self.folder} yet (scribseg project learn)")
        return export_network(network, user_path(path), overwrite=overwrite)

    def add_network(self, path: str | PathLike[str]) -> LearnedNetwork:
        """Store a network of another project, a ``.safetensors`` file, as the newest of this one.

        Its classes are found by their names; those that the project lacks are added.

        Raises
        ------
        InputError
            If the file is missing, damaged, or holds no learned network.
        """
        from napari_scribseg.learn.from_cases import add_network  # torch is slow to import

        return add_network(self, user_path(path))

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
