"""An image that the network can look at."""

from __future__ import annotations

from dataclasses import dataclass

from napari_scribseg.engines.scribble_net.networks import Network
from napari_scribseg.prompting.crops import Level
from napari_scribseg.prompting.predictions import Grid

__all__ = ["Scene"]


@dataclass(frozen=True, slots=True, eq=False)
class Scene(Grid):
    """An image, ready to be looked at.

    Attributes
    ----------
    levels : tuple of Level
    network : Network
    """

    levels: tuple[Level, ...]
    network: Network
