"""A user's edge map layers on their way to a workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from napari.layers import Image

from napari_scribseg.core import InputError
from napari_scribseg.explore import Workspace
from napari_scribseg.widgets.common.sources import LayerSource
from napari_scribseg.widgets.explore.groups import Group

__all__ = ["EdgeMaps"]


class EdgeMaps:
    """Gives a workspace the slices of edge map layers, each of them once."""

    def __init__(self) -> None:
        self._workspace: Workspace | None = None
        self._given: dict[int, Any] = {}  # the data that each picture's map is from

    def giver(
        self, workspace: Workspace, group: Group | None, layer: Image | None, indices: Iterable[int]
    ) -> Callable[[], None]:
        """A function, for any thread, that gives pictures their edge maps.

        Parameters
        ----------
        workspace : Workspace
        group : Group or None
            Whose pictures the layer holds the edges of; others must have theirs already.
        layer : napari.layers.Image or None
        indices : iterable of int
            The pictures that are to be cut.

        Raises
        ------
        InputError
            If the layer has another shape than the images, or a picture has no edge map.
        """
        if workspace is not self._workspace:
            self._workspace, self._given = workspace, {}
        indices = list(indices)
        own = [] if group is None else [i for i in indices if group.first <= i < group.first + group.count]
        new: dict[int, Any] = {}
        if layer is not None and group is not None and group.source is not None and own:
            source = LayerSource(layer)
            if layer.rgb or source.shape != group.source.shape:
                found = "colours" if layer.rgb else f"the shape {source.shape}"
                raise InputError(
                    f"the edge map {layer.name!r} has {found}; one value a pixel and the shape {group.source.shape} "
                    f"of {group.source.layer.name!r} are expected"
                )
            data = layer.data[source.level] if layer.multiscale else layer.data
            new = {i: data for i in own if self._given.get(i) is not data}
        for index in indices:
            if index not in new and not workspace.has_edges(index):
                name = workspace.pictures[index].name
                raise InputError(f"there is no edge map for {name}; turn to it, choose a layer, and cut it by itself")

        def give() -> None:
            for index, data in new.items():
                assert group is not None
                rows, columns = workspace.pictures[index].shape
                slice_array = np.asarray(data if data.ndim == 2 else data[index - group.first])
                workspace.set_edges(index, slice_array[:rows, :columns])
                self._given[index] = data

        return give
