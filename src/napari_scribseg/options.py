"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["AllowOutside", "Device", "Overwrite"]


class Device(StrEnum):
    """Where an engine computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


AllowOutside = Annotated[
    bool,
    typer.Option("--allow-outside", help="Read files outside of its folder that a .mhd, .nhdr or .ome.tif names."),
]

Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing files; files that are read are never replaced.")
]
