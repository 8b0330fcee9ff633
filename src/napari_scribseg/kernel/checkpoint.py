"""Checkpoints of a run: written as a whole or not at all, and nothing in them can run code."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from napari_scribseg.core import InputError
from napari_scribseg.io.atomic import clean_up, temporary_name
from napari_scribseg.nets import load_model, save_model
from napari_scribseg.nets.weights import Network

__all__ = ["Checkpoint", "latest", "read_checkpoint", "write_checkpoint"]

_PREFIX = "step-"
_KEPT = 2
_WEIGHTS, _AVERAGE, _STATE = "model.safetensors", "average.safetensors", "optimizer.pt"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state from which a run resumes.

    Attributes
    ----------
    step : int
        Steps done.
    model, average : BRSNet, EfficientUNet or PlainUNet
        The weights, and their moving average.
    optimizer : dict
        State of the optimiser.
    best : float
        Best validation score so far; -1 before the first.
    """

    step: int
    model: Network
    average: Network
    optimizer: dict[str, Any]
    best: float


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint under a folder; the two newest are kept.

    Raises
    ------
    InputError
        If a weight is not finite.
    OSError
        If it cannot be written; the older ones are then unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{_PREFIX}{checkpoint.step:09d}"
    clean_up(folder)
    temporary = temporary_name(target)
    temporary.mkdir()
    step = {"step": str(checkpoint.step)}
    save_model(temporary / _WEIGHTS, checkpoint.model, step)
    save_model(temporary / _AVERAGE, checkpoint.average, step)
    state = {"step": checkpoint.step, "best": checkpoint.best, "optimizer": checkpoint.optimizer}
    with (temporary / _STATE).open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():  # left by a run that was stopped at the same step
        shutil.rmtree(target)
    temporary.rename(target)
    for old in _all(folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.is_dir())


def latest(folder: Path) -> Path | None:
    """The newest checkpoint under a folder, None where there is none."""
    return max(_all(folder), default=None)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    InputError
        If a file of it is missing, damaged or of another step.
    """
    model, card = load_model(path / _WEIGHTS)
    average, other = load_model(path / _AVERAGE)
    try:
        state = torch.load(path / _STATE, map_location="cpu", weights_only=True)
        step, best, optimizer = int(state["step"]), float(state["best"]), dict(state["optimizer"])
    except Exception as error:  # torch raises many kinds for a damaged file
        raise InputError(
            f"{path.name}/{_STATE} is missing or damaged ({type(error).__name__}); remove the folder {path.name} to go "
            "on from the checkpoint before it"
        ) from error
    if {card.get("step"), other.get("step")} != {str(step)}:
        raise InputError(f"the files of {path.name} belong to different steps; remove the folder to go on without it")
    return Checkpoint(step, model, average, optimizer, best)
