"""From images to segments: settings, gradients and hierarchies."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Range, check_parameters
from napari_scribseg.explore.gradients import gaussian_edges
from napari_scribseg.explore.hierarchy import WEAK, Criterion, Hierarchy, build_hierarchy
from napari_scribseg.explore.subprocesses import build_hierarchy_in_subprocess
from napari_scribseg.explore.workspace_images import Picture
from napari_scribseg.kernel import Deliver

__all__ = ["CutSettings", "Cutter", "Gradient"]

Gradient = Literal["gaussian", "network", "given"]
_MAX_BYTES = 1 << 30  # of cached hierarchies


@dataclass(frozen=True, slots=True)
class CutSettings:
    """How images are cut into segments.

    Attributes
    ----------
    gradient : {"gaussian", "network", "given"}
        Multi-scale Gaussian gradient; edges in the features of the shipped network; the edge map that the user gave.
    criterion : {"volume", "area", "dynamics"}
        Importance of a segment: pixels times gradient, pixels, or gradient.
    threshold : float
        Segments of less importance are merged, in the criterion's unit; the paper uses a volume of 1000.
    simplification : float
        Frontiers with a mean gradient below it are removed.
    """

    gradient: Gradient = "gaussian"
    criterion: Criterion = "volume"
    threshold: Annotated[float, Range(0, 1e12, doc="importance below which segments merge")] = 0.0
    simplification: Annotated[float, Range(0, 1, 0.01, doc="mean gradient below which a frontier is removed")] = WEAK

    def __post_init__(self) -> None:
        check_parameters(self)


class Cutter:
    """Gradients and hierarchies of the images of a workspace, cached. All methods belong to the owner's thread.

    Parameters
    ----------
    device : str
        Where the network runs that gives the gradient ``"network"``.
    subprocess : bool
        Build hierarchies in a subprocess.

    Attributes
    ----------
    edges : dict of int to ndarray of shape (H, W), float32
        The user's edge maps by image.
    """

    def __init__(self, device: str, *, subprocess: bool) -> None:
        self.device = device
        self.edges: dict[int, NDArray[np.float32]] = {}
        self._build = build_hierarchy_in_subprocess if subprocess else build_hierarchy
        self._last: tuple[int, Gradient, NDArray[np.float32]] | None = None
        self._hierarchies: OrderedDict[tuple[int, CutSettings], Hierarchy] = OrderedDict()

    def gradient(self, index: int, picture: Picture, kind: Gradient) -> NDArray[np.float32]:
        """The gradient of an image, shape (H, W), 0 to 1; that of the last image is cached.

        Raises
        ------
        InputError
            If the user's edge map is asked for, and there is none for this image.
        """
        if self._last is None or self._last[:2] != (index, kind):
            self._last = (index, kind, _gradient(picture, kind, self._edges(index, picture, kind), self.device))
        return self._last[2]

    def hierarchy(self, index: int, picture: Picture, settings: CutSettings) -> Callable[[Deliver], Hierarchy]:
        """A function that gives the hierarchy of an image, in any thread, and delivers it to the cache.

        Raises
        ------
        InputError
            As :meth:`gradient`.
        """
        key = index, CutSettings(settings.gradient, settings.criterion, 0.0, settings.simplification)
        cached = self._hierarchies.get(key)
        if cached is not None:
            self._hierarchies.move_to_end(key)
            return lambda _deliver: cached
        edges = self._edges(index, picture, settings.gradient)

        def build(deliver: Deliver) -> Hierarchy:
            gradient = _gradient(picture, settings.gradient, edges, self.device)
            made = self._build(gradient, settings.criterion, settings.simplification)
            deliver(lambda: self._cache(key, edges, made))
            return made

        return build

    def set_edges(self, index: int, edges: NDArray[np.float32]) -> None:
        """Set a user's edge map, and drop what was computed from the one before."""
        self._last = None
        self.edges[index] = edges
        for key in [(i, s) for i, s in self._hierarchies if i == index and s.gradient == "given"]:
            del self._hierarchies[key]

    def _edges(self, index: int, picture: Picture, kind: Gradient) -> NDArray[np.float32] | None:
        if kind != "given":
            return None
        if index not in self.edges:
            raise InputError(f"there is no edge map for {picture.name}; give one with set_edges")
        return self.edges[index]

    def _cache(self, key: tuple[int, CutSettings], edges: NDArray[np.float32] | None, made: Hierarchy) -> None:
        if edges is not None and self.edges.get(key[0]) is not edges:  # the user gave another map meanwhile
            return
        self._hierarchies[key] = made
        total = sum(h.nbytes for h in self._hierarchies.values())
        while len(self._hierarchies) > 1 and total > _MAX_BYTES:
            total -= self._hierarchies.popitem(last=False)[1].nbytes


def _gradient(picture: Picture, kind: Gradient, edges: NDArray[np.float32] | None, device: str) -> NDArray[np.float32]:
    if edges is not None:
        return edges
    if kind == "network":
        from napari_scribseg.explore.encoders import network_edges

        return network_edges(picture.data, device)
    return gaussian_edges(picture.data)
