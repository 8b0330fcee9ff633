"""One annotated image, and a set of them that are read one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError

__all__ = ["UNKNOWN", "Case", "CaseList", "DataSet"]

UNKNOWN = -1


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An image, the label of each of its pixels, and the strokes that a person drew into it.

    Attributes
    ----------
    name : str
        Unique in its data set, and the same in every run.
    image : ndarray of shape (\\*S) or (\\*S, C)
        Two or three spatial axes, channels last; any real number type.
    truth : ndarray of shape (\\*S), int32
        Label ids from 0; -1 where the truth is unknown.
    spacing : tuple of float
        Size of a voxel along each spatial axis, in ``unit``.
    group : str
        Cases of one group (a patient, a photograph) are not independent: data is resampled and split by group.
    source : str
        Its origin: scanner, modality or collection. Sources that validate are not trained on.
    names : mapping of int to str
        Names of the label ids.
    strokes : ndarray of shape (\\*S), int32, or None
        A person's strokes: label ids, -1 where nothing was painted.
    background : int or None
        The id that is no object; None where every id counts as one.
    instances : bool
        Whether each id is one object of the same kind, such as a nucleus.
    unit : str
        ``"mm"``, or ``"px"`` where the physical size is unknown.
    """

    name: str
    image: NDArray[Any]
    truth: NDArray[np.int32]
    spacing: tuple[float, ...]
    group: str = ""
    source: str = ""
    names: Mapping[int, str] = field(default_factory=dict)
    strokes: NDArray[np.int32] | None = None
    background: int | None = 0
    instances: bool = False
    unit: str = "px"

    def __post_init__(self) -> None:
        shape = self.truth.shape
        if len(shape) not in (2, 3) or len(self.spacing) != len(shape):
            raise InputError(
                f"{self.name}: the truth has shape {shape} and the spacing is {self.spacing}; two or three axes, and a "
                "spacing for each, are expected"
            )
        if self.image.shape[: len(shape)] != shape or self.image.ndim > len(shape) + 1:
            raise InputError(f"{self.name}: the image has shape {self.image.shape}; its truth has shape {shape}")
        if self.strokes is not None and self.strokes.shape != shape:
            raise InputError(f"{self.name}: the strokes have shape {self.strokes.shape}; the truth has shape {shape}")
        for what, values in (("truth", self.truth), ("strokes", self.strokes)):
            if values is not None and (values.dtype != np.int32 or values.min(initial=0) < UNKNOWN):
                raise InputError(f"{self.name}: the {what} holds {values.dtype}; int32 ids from -1 (unknown) expected")

    @property
    def channels(self) -> bool:
        """Whether the last axis of the image is channels."""
        return self.image.ndim > self.truth.ndim

    @property
    def ids(self) -> tuple[int, ...]:
        """The label ids in the truth, ascending."""
        return tuple(int(i) for i in np.unique(self.truth) if i != UNKNOWN)

    @property
    def objects(self) -> tuple[int, ...]:
        """The label ids that are objects: all but the background."""
        return tuple(i for i in self.ids if i != self.background)


#: Names of cases, in the order of every run, and a function that reads one; picklable, for other processes.
CaseList = tuple[tuple[str, ...], Callable[[str], Case]]


@dataclass(frozen=True, slots=True)
class DataSet:
    """A set of cases, read from files when they are asked for.

    Attributes
    ----------
    name : str
        For tables and commands.
    title : str
        What it is, for people.
    licence : str
        Of images and labels.
    trainable : bool
        Whether a network whose weights anyone may use can be trained on it.
    human_strokes : bool
        Whether its cases hold a person's strokes.
    cases : tuple of str
        Names of the cases, in the order of every run.
    read : callable
        Reads the case of a name; picklable, for other processes.
    labels_only : bool
        Whether its cases are label maps, whose image is the map itself; images for training are synthesised.
    """

    name: str
    title: str
    licence: str
    trainable: bool
    human_strokes: bool
    cases: tuple[str, ...]
    read: Callable[[str], Case]
    labels_only: bool = False

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return map(self.load, self.cases)

    def load(self, name: str) -> Case:
        """Read one case.

        Raises
        ------
        InputError
            If there is no such case, or its files are missing or damaged.
        """
        if name not in self.cases:
            some = ", ".join(self.cases[:3]) or "none"
            raise InputError(f"the data set {self.name} has no case {name!r}; its {len(self)} start with {some}")
        return self.read(name)
