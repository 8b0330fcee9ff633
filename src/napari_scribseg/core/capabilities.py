"""What only some engines can do: protocols, checked with ``isinstance``."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["LoadsModels", "PredictsUnprompted", "SeesNeighbours", "ShowsFeatures", "pictures_of"]


@runtime_checkable
class PredictsUnprompted(Protocol):
    """An engine that segments an image without strokes, such as one with a trained network."""

    def unprompted(self, state: Any) -> NDArray[np.float32]:
        """Probabilities of the engine's own classes without strokes.

        Parameters
        ----------
        state : State
            From :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`.

        Returns
        -------
        ndarray of shape (K, H, W), float32
            The background first.

        Raises
        ------
        InputError
            If it needs strokes with its present parameters.
        """
        ...


@runtime_checkable
class SeesNeighbours(Protocol):
    """A 2D engine that is prepared with the neighbouring slices of a volume as further channels.

    ``segment`` is given the slice alone.

    Attributes
    ----------
    slices : int
        Odd number of slices, the one that is segmented in the middle; 1 for none but that one. All channels of the
        first slice come first; beyond the ends of the volume the outermost slice is repeated.
    """

    @property
    def slices(self) -> int:
        """Number of slices."""
        ...


@runtime_checkable
class ShowsFeatures(Protocol):
    """An engine that shows, as colour pictures, which features of an image it computes with.

    Attributes
    ----------
    pictures : tuple of str
        Names of the pictures that there are with the engine's present parameters.
    """

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of the pictures."""
        ...

    def picture(self, name: str, state: Any) -> NDArray[np.float32]:
        """One of :attr:`pictures`; called in the background.

        Parameters
        ----------
        name : str
        state : State
            From :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`.

        Returns
        -------
        ndarray of shape (H, W, 3), float32
            From 0 to 1.

        Raises
        ------
        InputError
            If there is no picture of this name.
        """
        ...


@runtime_checkable
class LoadsModels(Protocol):
    """An engine that loads a network that the user names, which may come with code of its own.

    Attributes
    ----------
    model : str
        File, folder or factory of the network; empty for the one that the engine brings.
    trust : bool
        Whether code that comes with the network may run. The user decides it; no file can.
    """

    @property
    def model(self) -> str:
        """The network."""
        ...

    @property
    def trust(self) -> bool:
        """Whether its code may run."""
        ...


def pictures_of(engine: object) -> tuple[str, ...]:
    """Names of the pictures that an engine can show of an image; most have none."""
    return tuple(engine.pictures) if isinstance(engine, ShowsFeatures) else ()
