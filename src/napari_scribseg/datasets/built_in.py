"""Data sets by name, and any folder by its path."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.datasets import picture_sets, stroke_sets, volume_sets
from napari_scribseg.datasets.bids import is_bids, open_bids
from napari_scribseg.datasets.case import CaseList, DataSet
from napari_scribseg.datasets.folder import open_folder
from napari_scribseg.datasets.published import PUBLISHED

__all__ = [
    "ROOT_VARIABLE",
    "BuiltInDataSet",
    "built_in_data_set",
    "built_in_data_sets",
    "data_root",
    "open_data_set",
]

ROOT_VARIABLE = "SCRIBSEG_DATA"


@dataclass(frozen=True, slots=True)
class BuiltInDataSet:
    """A data set that is opened by name; its folder need not exist.

    Attributes
    ----------
    name, title, licence, trainable, human_strokes, labels_only
        As of :class:`~napari_scribseg.datasets.case.DataSet`.
    find : callable
        Finds the cases in its folder.
    """

    name: str
    title: str
    licence: str
    trainable: bool
    human_strokes: bool
    find: Callable[[Path], CaseList]
    labels_only: bool = False

    def open(self, folder: Path) -> DataSet:
        """The data set in a folder.

        Raises
        ------
        InputError
            If the folder is missing, or holds no case.
        """
        return DataSet(
            self.name, self.title, self.licence, self.trainable, self.human_strokes, *self.find(folder),
            self.labels_only,
        )  # fmt: skip


_COCO_LICENCE = "annotations CC BY 4.0, photographs under their own CC licences"
_BUILT_IN = {
    data_set.name: data_set
    for data_set in (
        BuiltInDataSet("acdc_scribbles", "Cardiac MR with experts' strokes (ACDC)", "CC BY-NC-SA 4.0",
                     False, True, stroke_sets.find_acdc),
        BuiltInDataSet("acdc_scribbles_all", "Cardiac MR with experts' strokes (ACDC), all patients", "CC BY-NC-SA 4.0",
                     False, True, stroke_sets.find_acdc),
        BuiltInDataSet("axondeepseg_sem", "Axons and myelin in electron microscopy (AxonDeepSeg)", "MIT",
                     True, False, picture_sets.find_axondeepseg),
        BuiltInDataSet("coco_mval", "Photographs with one object mask each (COCO MVal)", _COCO_LICENCE,
                     True, False, picture_sets.find_coco),
        BuiltInDataSet("dcmqi_ct_dicom", "CT slices in DICOM with NRRD masks (dcmqi)", "BSD-3-Clause",
                     False, False, volume_sets.find_dcmqi),
        BuiltInDataSet("dsb2018_nuclei", "Nuclei in microscopy, instances (Data Science Bowl 2018)", "CC0 1.0",
                     True, False, picture_sets.find_dsb2018),
        BuiltInDataSet("grabcut_scribbles", "Photographs with strokes for one object (GrabCut)", "not stated",
                     False, True, stroke_sets.find_grabcut),
        BuiltInDataSet("graz_scribbles", "Photographs with people's thin strokes (Graz)", "not stated",
                     False, True, stroke_sets.find_graz),
        BuiltInDataSet("label_maps", "Slices of whole-head label maps, without images (SynthSeg)", "Apache-2.0",
                     True, False, picture_sets.find_label_maps, labels_only=True),
        BuiltInDataSet("medscribble_all", "Medical images with the strokes of three people each (all of MedScribble)",
                     "strokes Apache-2.0, images of each source its own", False, True, stroke_sets.find_medscribble),
        BuiltInDataSet("medscribble_dev", "Medical images with the strokes of three people each (MedScribble)",
                     "strokes Apache-2.0, images of each source its own", False, True, stroke_sets.find_medscribble),
        BuiltInDataSet("msd_hippocampus", "Hippocampus in MR crops (Medical Segmentation Decathlon)", "CC BY-SA 4.0",
                     True, False, volume_sets.find_hippocampus),
        BuiltInDataSet("permissive_slices", "Single slices with labels (54 sources)",
                     "permissive, of each source its own", True, False, picture_sets.find_permissive),
        BuiltInDataSet("totalsegmentator", "CT and MR with a model's organ labels (TotalSegmentator)", "Apache-2.0",
                     False, False, volume_sets.find_totalsegmentator),
        BuiltInDataSet("usiigaci_phase", "Cells in phase contrast, instances (Usiigaci)", "MIT",
                     True, False, picture_sets.find_usiigaci),
    )
}  # fmt: skip


def built_in_data_sets() -> tuple[BuiltInDataSet, ...]:
    """The data sets that can be opened by name, sorted; no file is read."""
    return tuple(_BUILT_IN[name] for name in sorted(_BUILT_IN))


def built_in_data_set(name: str) -> BuiltInDataSet:
    """The data set that is opened by this name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in _BUILT_IN:
        raise InputError(f"{name!r} is no built-in data set{_hint(name)}")
    return _BUILT_IN[name]


def open_data_set(name: str | PathLike[str], root: str | PathLike[str] | None = None) -> DataSet:
    """A data set by name, or by the path of a folder; lists files, and reads no image.

    Parameters
    ----------
    name : str or PathLike
        One of :func:`built_in_data_sets`, or ``permissive_slices/SOURCE`` for one of its sources; else the path of a
        folder: a BIDS data set where it has ``dataset_description.json`` or ``sub-*`` folders
        (:func:`~napari_scribseg.datasets.bids.open_bids`), else pairs of images and labels
        (:func:`~napari_scribseg.datasets.folder.open_folder`).
    root : str or PathLike, optional
        The folder with the folders of the built-in data sets; by default that in the environment variable
        ``SCRIBSEG_DATA``.

    Raises
    ------
    InputError
        If there is no such folder, or nothing in it can be read as a data set.
    """
    text = os.fspath(name)
    first, _, source = text.partition("/")
    if first in _BUILT_IN and (not source or (first == "permissive_slices" and "/" not in source)):
        folder = data_root(text, root) / text
        if text in PUBLISHED and PUBLISHED[text].files and not folder.exists():
            raise InputError(
                f"{folder}: there is no such folder; scribseg bench --data {text} --download shows the licence of the "
                "data set, and fetches it from its authors"
            )
        data = _BUILT_IN[first].open(folder)
        if not source:
            return data
        licence = picture_sets.slice_licences(folder.parent).get(source, "not stated")
        return replace(data, name=text, title=f"Single slices with labels ({source})", licence=licence)
    folder = user_path(text)
    if not folder.is_dir():
        raise InputError(f"{text!r} is neither a built-in data set nor a folder{_hint(text)}")
    return open_bids(folder) if is_bids(folder) else open_folder(folder)


def data_root(name: str, root: str | PathLike[str] | None = None) -> Path:
    """The folder with the folders of the built-in data sets.

    Parameters
    ----------
    name : str
        The data set that is looked for, for the message.
    root : str or PathLike, optional
        The folder itself; by default that in the environment variable ``SCRIBSEG_DATA``.

    Raises
    ------
    InputError
        If neither is given.
    """
    given = os.fspath(root) if root is not None else os.environ.get(ROOT_VARIABLE, "")
    if not given:
        raise InputError(f"the data set {name!r} needs the folder that holds it; name that folder in {ROOT_VARIABLE}")
    return user_path(given)


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, _BUILT_IN, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; expected a folder or one of {', '.join(sorted(_BUILT_IN))}"
