"""Weights that lie in a file of their own, without their network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path

__all__ = ["first_line", "load_weights"]

_KEYS = ("state_dict", "model_state_dict", "model")  # under which checkpoints keep their weights


def load_weights(module: nn.Module, weights: str) -> None:
    """Put the weights of a file into a network; the file runs no code.

    Parameters
    ----------
    module : nn.Module
    weights : str
        Path of a .safetensors file, or one that ``torch.save`` wrote and that holds tensors only (under
        ``"state_dict"``, ``"model_state_dict"`` or ``"model"``, or as they are).

    Raises
    ------
    InputError
        If the file is missing, no such file, or of another network.
    """
    path = user_path(weights)
    if not path.is_file():
        raise InputError(f"the weights {weights} are missing; a .safetensors file or one of torch.save is expected")
    tensors = _tensors(path)
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in tensors.items()}
    wrong = [name for name in expected if given.get(name) != expected[name]]
    extra = [name for name in given if name not in expected]
    if wrong or extra:
        first = (wrong or extra)[0]
        raise InputError(
            f"{path.name} holds the weights of another network: {len(wrong)} of {len(expected)} tensors are missing or "
            f"of another shape and {len(extra)} are too many, such as {first[:60]!r} with "
            f"{given.get(first, 'nothing')}, where {expected.get(first, 'nothing')} is expected"
        )
    module.load_state_dict(tensors)


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name."""
    try:
        held: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError, IndexError) as error:
        raise InputError(f"{path.name} holds no weights, or is damaged ({first_line(error)})") from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise InputError(f"{path.name} holds more than tensors, or is no file of torch.save; it is not read") from error
    for key in _KEYS:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not (isinstance(held, Mapping) and held and all(isinstance(v, Tensor) for v in held.values())):
        raise InputError(f"{path.name} holds no table of tensors; the state dict of a network is expected")
    return dict(held)


def first_line(error: BaseException) -> str:
    """The first line of a message that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")
