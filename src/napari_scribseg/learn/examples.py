"""What there is to learn from: accepted slices as a whole, and strokes elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate import Session
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.learn.slices import SliceReader

__all__ = ["UNLABELLED", "Example", "examples_of"]

UNLABELLED = -1


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One slice to learn from.

    Attributes
    ----------
    case : str
        The image that it is a slice of.
    slice_index : SliceIndex
        Where it lies.
    image : ndarray of shape (C, H, W), float32
        The slice between its two neighbours, each as one or three channels, from -1 to 1; see
        :class:`~napari_scribseg.learn.slices.SliceReader`.
    labels : ndarray of shape (H, W), int32
        Ids, 0 for the background, -1 where nothing is known.
    accepted : bool
        Whether it is an accepted slice; otherwise only its strokes are known.
    spacing : tuple of 2 float
        Size of a pixel.
    """

    case: str
    slice_index: SliceIndex
    image: NDArray[np.float32]
    labels: NDArray[np.int32]
    accepted: bool
    spacing: tuple[float, float]


def examples_of(session: Session, case: str = "") -> list[Example]:
    """The examples of a session, in the order of its slices.

    Parameters
    ----------
    session : Session
    case : str
        The name of its image; that of the volume by default.

    Returns
    -------
    list of Example
        Of accepted slices, and of those with strokes that lie along the same axes (the last two where none is
        accepted).

    Raises
    ------
    InputError
        If a voxel of a slice is NaN or infinite.
    """
    source, background = session.volume, session.classes.background
    reader = SliceReader(source)
    orientations: set[tuple[int, int] | None] = {slice_index.displayed for slice_index in session.accepted}
    painted = {slice_index for axes in orientations or {None} for slice_index in session.painted_slices(axes)}
    found = []
    for slice_index in sorted(session.accepted | painted):
        accepted = session.is_accepted(slice_index)
        labels = (session.slice_labels if accepted else session.painted)(slice_index).astype(np.int32)
        if not accepted:
            labels[labels == 0] = UNLABELLED
        if background is not None:
            labels[labels == background] = 0
        image, spacing = reader.read(slice_index)
        found.append(Example(case or source.name, slice_index, image, labels, accepted, spacing))
    return found
