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
    typer.Option("--allow-outside", help="Read files that a .mhd, .nhdr or .ome.tif names outside of its own folder."),
]

Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that are there; never those that are read.")
]
