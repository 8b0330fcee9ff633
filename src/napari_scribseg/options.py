"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Device"]


class Device(StrEnum):
    """Where an engine computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"
