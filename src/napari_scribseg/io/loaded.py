"""What a reader returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError

__all__ = ["LoadedVolume"]


@dataclass(frozen=True, slots=True, eq=False)
class LoadedVolume:
    """An image or a label volume read from a file.

    Attributes
    ----------
    array : ndarray of shape ``(*S)`` or ``(*S, C)``
        ``S`` is (y, x), (z, y, x) or (t, z, y, x). The type of the file where its values are unscaled, else float32;
        it may be mapped from the file or be a transposed view.
    geometry : Geometry
        Of the axes ``S``.
    name : str
        The file's name without its extension, or the description of a DICOM series.
    channels : bool
        Whether the last axis is channels.
    classes : ClassTable
        Names and colours of a label volume; empty for an image.
    rgb : bool
        Whether the file says that the channels are red, green, blue and, where there are four, opacity. Channels of
        anything else, such as three stains, are not to be shown as colours.
    """

    array: NDArray[Any]
    geometry: Geometry
    name: str
    channels: bool = False
    classes: ClassTable = field(default_factory=ClassTable)
    rgb: bool = False

    def __post_init__(self) -> None:
        spatial = self.array.shape[:-1] if self.channels else self.array.shape
        if spatial != self.geometry.shape:
            raise InputError(f"the array has the spatial shape {spatial}; its geometry says {self.geometry.shape}")
