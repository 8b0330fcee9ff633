"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["AllowOutside", "AxisOption", "Device", "DeviceOption", "EngineName", "EngineParameters", "Overwrite"]


class Device(StrEnum):
    """Where an engine computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


DeviceOption = Annotated[Device, typer.Option(help="Where to compute.")]

EngineName = Annotated[str, typer.Option(help="Name of the engine; `scribseg engines` lists them.")]

EngineParameters = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the engine; may be repeated.")
]

AllowOutside = Annotated[
    bool,
    typer.Option("--allow-outside", help="Read files outside of its folder that a .mhd, .nhdr or .ome.tif names."),
]

AxisOption = Annotated[
    str | None,
    typer.Option(
        metavar="AXIS",
        help="Axis that the slices cut: axial, coronal or sagittal, or its number in the order slice, row, column. "
        "Default: 0.",
    ),
]

Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing files; files that are read are never replaced.")
]
