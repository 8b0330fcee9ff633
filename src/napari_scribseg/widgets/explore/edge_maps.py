"""Edge maps of the user: from image layers to a workspace."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report
from napari_scribseg.explore import Workspace
from napari_scribseg.explore.task import WorkspaceTask
from napari_scribseg.kernel import Deliver
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.explore.groups import Group

__all__ = ["EdgeMaps"]


class EdgeMaps:
    """Gives a workspace the slices of edge map layers, each slice once."""

    def __init__(self) -> None:
        self._workspace: Workspace | None = None
        self._given: dict[int, Any] = {}  # by picture: the data that its map is from

    def task(
        self, workspace: Workspace, group: Group | None, layer: Image | None, indices: Iterable[int]
    ) -> WorkspaceTask[dict[int, NDArray[Any]], None] | None:
        """A task that gives the workspace the edge maps that it does not have yet; None where it has all.

        Parameters
        ----------
        workspace : Workspace
        group : Group or None
            Whose pictures the layer holds the edges of; other pictures must have their maps already.
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
        if not new:
            return None
        first, shapes = 0 if group is None else group.first, {i: workspace.pictures[i].shape for i in new}

        def read(_report: Report, _deliver: Deliver) -> dict[int, NDArray[Any]]:
            maps = {i: np.asarray(data if data.ndim == 2 else data[i - first]) for i, data in new.items()}
            return {i: edges[: shapes[i][0], : shapes[i][1]] for i, edges in maps.items()}

        def give(maps: dict[int, NDArray[Any]]) -> None:
            for index, edges in maps.items():
                workspace.set_edges(index, edges)
                self._given[index] = new[index]

        return WorkspaceTask(read, give)
