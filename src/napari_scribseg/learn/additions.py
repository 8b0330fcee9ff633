"""Images that are added to a project, with labels where there are some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, InputError, LabelClass, Source
from napari_scribseg.core.classes import default_color
from napari_scribseg.core.geometry import same_grid
from napari_scribseg.io import read_labels

__all__ = ["Addition", "GivenLabels", "label_file"]


@dataclass(frozen=True, slots=True, eq=False)
class GivenLabels:
    """Labels that somebody made elsewhere.

    Attributes
    ----------
    labels : ndarray of shape (\\*S), uint8 or uint16
        Label ids of ``classes``, 0 for the background.
    classes : ClassTable
        Their names and colours.
    unlabelled : ndarray of shape (\\*S), bool, or None
        What nobody has labelled yet; None where all is labelled.
    """

    labels: NDArray[Any]
    classes: ClassTable
    unlabelled: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Addition:
    """An image to add.

    Attributes
    ----------
    paths : tuple of Path
        Its file or folder, or the files of its channels.
    name : str
        Of the case; empty for that of the file.
    series : str
        SeriesInstanceUID of a DICOM folder with several.
    labels : callable, optional
        ``labels(image)`` reads or makes the labels of the image.
    """

    paths: tuple[Path, ...]
    name: str = ""
    series: str = ""
    labels: Callable[[Source], GivenLabels] | None = field(default=None, repr=False)


def label_file(
    path: Path, classes: ClassTable | None = None, ignore: int | None = None, *, as_class: str = ""
) -> Callable[[Source], GivenLabels]:
    """What reads the labels of an image from a file on its grid.

    Parameters
    ----------
    path : Path
        A label file.
    classes : ClassTable, optional
        Names and colours; those that the file has by default.
    ignore : int, optional
        The value of what nobody has labelled yet.
    as_class : str
        Where it is not empty, all labels are of this class: those of a file that numbers instances.
    """

    def read(image: Source) -> GivenLabels:
        found = read_labels(path)
        if found.shape != image.shape:
            raise InputError(f"{path.name} has shape {found.shape}; the shape of its image, {image.shape}, is expected")
        if not same_grid(found.geometry, image.geometry):
            raise InputError(f"{path.name} has the shape of its image but lies elsewhere in space")
        labels = np.array(found.array)
        if as_class:
            table = ClassTable((LabelClass(1, as_class, default_color(1)),))
            return GivenLabels((labels != 0).astype(np.uint8), table)
        unlabelled = None if ignore is None or not (labels == ignore).any() else labels == ignore
        if unlabelled is not None:
            labels[unlabelled] = 0
        table = found.classes if classes is None else classes.with_ids(np.unique(labels).tolist())
        if classes is None and ignore is not None and ignore in table:
            table = table.without(ignore)
        return GivenLabels(labels, table, unlabelled)

    return read
