"""From images to segments: gradients and hierarchies, kept as long as memory allows."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Range, check_parameters
from napari_scribseg.explore.gradients import gaussian_edges
from napari_scribseg.explore.hierarchy import WEAK, Criterion, Hierarchy, build_hierarchy, common_threshold
from napari_scribseg.explore.pictures import Picture
from napari_scribseg.explore.subprocesses import build_hierarchy_in_subprocess

__all__ = ["CutSettings", "Cutter", "Gradient"]

Gradient = Literal["gaussian", "network", "given"]
_KEPT = 1 << 30  # bytes of hierarchies


@dataclass(frozen=True, slots=True)
class CutSettings:
    """How images are cut into segments.

    Attributes
    ----------
    gradient : {"gaussian", "network", "given"}
        Multi-scale Gaussian gradient; edges in the features of the shipped network; the edge map that the user gave.
    criterion : {"volume", "area", "dynamics"}
        What makes a segment important: pixels times gradient, pixels, or gradient.
    threshold : float
        Segments of less importance are merged, in the criterion's unit; the paper uses a volume of 1000.
    simplification : float
        Frontiers with a mean gradient below it vanish.
    """

    gradient: Gradient = "gaussian"
    criterion: Criterion = "volume"
    threshold: Annotated[float, Range(0, 1e12, doc="importance below which segments merge")] = 0.0
    simplification: Annotated[float, Range(0, 1, 0.01, doc="mean gradient below which a frontier vanishes")] = WEAK

    def __post_init__(self) -> None:
        for name, value, known in (
            ("gradient", self.gradient, get_args(Gradient)),
            ("criterion", self.criterion, get_args(Criterion)),
        ):
            if value not in known:
                raise InputError(f"the {name} is {value!r}; one of {', '.join(known)} is expected")
        check_parameters(self)


class Cutter:
    """Gradients and hierarchies of the images of a workspace."""

    def __init__(self, device: str, *, subprocess: bool) -> None:
        self.device = device
        self._build = build_hierarchy_in_subprocess if subprocess else build_hierarchy
        self.edges: dict[int, NDArray[np.float32]] = {}  # the user's maps
        self._last: tuple[int, Gradient, NDArray[np.float32]] | None = None
        self._hierarchies: OrderedDict[tuple[int, str, str, float], Hierarchy] = OrderedDict()

    def gradient(self, index: int, picture: Picture, kind: Gradient) -> NDArray[np.float32]:
        """The gradient of an image, shape (H, W), 0 to 1.

        Raises
        ------
        InputError
            If the user's edge map is asked for, and there is none for this image.
        """
        if kind == "given":
            if index not in self.edges:
                raise InputError(f"there is no edge map for {picture.name}; give one with set_edges")
            return self.edges[index]
        if kind == "network":
            from napari_scribseg.explore.encoders import network_edges

            return network_edges(picture.data, self.device)
        return gaussian_edges(picture.data)

    def around(self, index: int, picture: Picture, kind: Gradient, window: tuple[slice, slice]) -> NDArray[np.float32]:
        """The gradient in a window; that of the last image is kept, for strokes come one after the other."""
        if self._last is None or self._last[:2] != (index, kind):
            self._last = (index, kind, self.gradient(index, picture, kind))
        return self._last[2][window]

    def hierarchy(self, index: int, picture: Picture, settings: CutSettings) -> Hierarchy:
        """The hierarchy of an image; from memory where it was built before."""
        key = (index, settings.gradient, settings.criterion, settings.simplification)
        found = self._hierarchies.get(key)
        if found is None:
            gradient = self.gradient(index, picture, settings.gradient)
            found = self._build(gradient, settings.criterion, settings.simplification)
            self._hierarchies[key] = found
            total = sum(h.nbytes for h in self._hierarchies.values())
            while len(self._hierarchies) > 1 and total > _KEPT:
                total -= self._hierarchies.popitem(last=False)[1].nbytes
        else:
            self._hierarchies.move_to_end(key)
        return found

    def set_edges(self, index: int, edges: NDArray[np.float32]) -> None:
        """Remember a user's edge map, and forget what came of the one before."""
        self._last = None
        self.edges[index] = edges
        for key in [k for k in self._hierarchies if k[0] == index and k[1] == "given"]:
            del self._hierarchies[key]


def with_threshold(settings: CutSettings, hierarchies: list[Hierarchy], regions: float) -> CutSettings:
    """The settings at whose threshold the images have so many segments on average."""
    return replace(settings, threshold=common_threshold(hierarchies, regions))
