"""What an editing tool is: a frozen dataclass whose fields are its parameters, and the labels that it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report, check_parameters

__all__ = ["EditTool", "Part", "ToolInfo"]


@dataclass(frozen=True, slots=True)
class ToolInfo:
    """Description of a tool, for menus, forms and commands.

    Attributes
    ----------
    name : str
        As in ``TOOLS[name]``.
    title : str
        Name for people.
    summary : str
        What it does, in one sentence.
    grows : bool
        Whether it can give voxels of other classes to the class, where that is allowed.
    needs_image : bool
        Whether it reads the image.
    across : bool
        Whether it works on whole slices along an axis, never slice by slice.
    makes_classes : bool
        Whether it can write ids that were not there before.
    """

    name: str
    title: str
    summary: str
    grows: bool = False
    needs_image: bool = False
    across: bool = False
    makes_classes: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The part of a label volume that a tool works on.

    Attributes
    ----------
    labels : ndarray of shape (\\*S), unsigned integer, of 2 or 3 axes
        Never written into.
    identity : int
        The class.
    spacing : tuple of float
        Size of a voxel along each axis, in mm.
    taken : frozenset of int
        The ids that new classes cannot have.
    image : ndarray of shape (\\*S), or None
        Values of the image, for a tool that needs it.
    axis, start, stop : int
        Where the slices of the scope stand in the part, for a tool that works across slices.
    millilitres : float
        Size of a voxel in ml, also in a single slice of a volume; of a pixel of a 2D image, in cm².
    """

    labels: NDArray[Any]
    identity: int
    spacing: tuple[float, ...]
    taken: frozenset[int] = frozenset()
    image: NDArray[Any] | None = None
    axis: int = 0
    start: int = 0
    stop: int = 0
    millilitres: float = 1.0

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The voxels of the class."""
        found: NDArray[np.bool_] = self.labels == self.identity
        return found

    def changed(self, where: NDArray[np.bool_], value: int) -> NDArray[Any]:
        """The labels with a value written where a mask is true."""
        out = self.labels.astype(np.promote_types(self.labels.dtype, np.min_scalar_type(value)))
        out[where] = value
        return out


@dataclass(frozen=True)
class EditTool:
    """A tool: a subclass adds parameters as annotated fields, and defines :meth:`apply`.

    Parameters are checked where a tool is made: InputError if one cannot be used.
    """

    info: ClassVar[ToolInfo]

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def reach(self) -> float:
        """How far from the class it changes voxels, in mm; infinite where that has no bound."""
        return 0.0

    @property
    def operands(self) -> tuple[int, ...]:
        """Other classes whose voxels it may take or change, whatever may be overwritten."""
        return ()

    def span(self, start: int, stop: int, n_slices: int) -> tuple[int, int]:
        """The slices that it reads and writes, first and one after the last, for a scope of these slices."""
        return start, stop

    def apply(self, part: Part, report: Report) -> NDArray[Any]:
        """The labels of a part as the tool wants them, shape (\\*S); what is protected is not its concern.

        Raises
        ------
        InputError
            If the tool cannot work on this part.
        Cancelled
            If ``report`` raised it.
        """
        raise NotImplementedError

    def require(self, identity: int) -> None:
        """Raise InputError if the tool cannot work on a class."""
        if identity in self.operands:
            raise InputError(
                f"both classes of {self.info.name} have the id {identity}; two different ones are expected"
            )
