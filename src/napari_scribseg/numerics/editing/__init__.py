"""Tools that edit a class of a label volume: numpy arrays in, numpy arrays out; distances in mm."""

from typing import Any

from napari_scribseg.core.errors import InputError
from napari_scribseg.numerics.editing.copying import CopySlices
from napari_scribseg.numerics.editing.edit import Box, Change, Over, Scope, changes, edit_labels
from napari_scribseg.numerics.editing.islands import FillHoles, KeepLargest, RemoveSmall
from napari_scribseg.numerics.editing.margins import Combine, Grow, Shrink
from napari_scribseg.numerics.editing.smoothing import Smooth
from napari_scribseg.numerics.editing.splitting import Split
from napari_scribseg.numerics.editing.tool import EditTool, Part, ToolInfo
from napari_scribseg.numerics.editing.values import Threshold

__all__ = [
    "TOOLS",
    "Box",
    "Change",
    "Combine",
    "CopySlices",
    "EditTool",
    "FillHoles",
    "Grow",
    "KeepLargest",
    "Over",
    "Part",
    "RemoveSmall",
    "Scope",
    "Shrink",
    "Smooth",
    "Split",
    "Threshold",
    "ToolInfo",
    "changes",
    "edit_labels",
    "tool_class",
]

TOOLS: dict[str, type[EditTool]] = {
    tool.info.name: tool
    for tool in (KeepLargest, RemoveSmall, FillHoles, Smooth, Grow, Shrink, Threshold, Combine, Split, CopySlices)
}


def tool_class(name: str) -> type[Any]:
    """A tool by its name; InputError if there is none."""
    if name not in TOOLS:
        raise InputError(f"there is no tool {name!r}; expected one of {', '.join(TOOLS)}")
    return TOOLS[name]
