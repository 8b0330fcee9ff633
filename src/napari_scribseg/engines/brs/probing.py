"""Open a network once a process for all images, and complete its card by trying small inputs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.engines.brs.card import ModelCard, card_path
from napari_scribseg.engines.brs.loading import Loaded, first_line, load_network
from napari_scribseg.engines.brs.model_source import find_source
from napari_scribseg.engines.brs.network import WrappedNetwork, first_output
from napari_scribseg.nets import fold_batch_norm

__all__ = ["complete", "open_network"]

_KEPT = 4


def open_network(
    model: str, weights: str, trust: bool, device: str, decoder: Literal["last", "coarse"] = "last"
) -> WrappedNetwork:
    """A model, loaded if it has not been yet, or has changed since.

    Parameters
    ----------
    model, weights, trust, decoder
        As for :class:`~napari_scribseg.engines.brs.BRS`.
    device : str
        As :func:`~napari_scribseg.numerics.device.choose_device` gives it.

    Raises
    ------
    InputError
        If there is no such model, it cannot be loaded, or is no network that segments slices.
    """
    source = find_source(model)
    paths = [path for path in (source.path, user_path(weights)) if path.name]
    files = [file for path in paths for file in (path, card_path(path), path / "models" / "model.pt")]
    versions = tuple((s.st_mtime_ns, s.st_size) if (s := _stat(f)) else None for f in files)
    return _open(str(Path.cwd()), model, weights, trust, device, decoder, versions)


def _stat(path: Path) -> Any:
    try:
        return path.stat()
    except OSError:
        return None


@lru_cache(maxsize=_KEPT)
def _open(
    folder: str,
    model: str,
    weights: str,
    trust: bool,
    device: str,
    decoder: Literal["last", "coarse"],
    versions: tuple[Any, ...],
) -> WrappedNetwork:
    """The model as its files are now (``versions``)."""
    source = find_source(model)
    return complete(load_network(source, weights, trust, device, decoder), source.name, device)


_MULTIPLES = (1, 8, 16, 32, 64, 128)
_CHANNELS = (1, 3, 4, 2, 5, 6)  # tried where the number is not given
_SCALE = (0.0, 1.0)  # of intensities, if the card has none
_LEAST = 40  # pixels along a side of a small input


def complete(loaded: Loaded, name: str, device: str) -> WrappedNetwork:
    """Complete a network's card by trying small inputs.

    Parameters
    ----------
    loaded : Loaded
    name : str
        For messages.
    device : str

    Raises
    ------
    InputError
        If the network has no convolution, fails at every size, or gives anything but an image of the input's size.
    """
    module, card = loaded.module, loaded.card
    weights = _first_convolution(module)
    if weights is None:
        raise InputError(f"{name} has no convolution; a convolutional network that segments images is expected")
    extra = 2 if card.prompt == "distance" else 0
    inputs = [c * card.slices + extra for c in ((card.channels,) if card.channels else _CHANNELS)]
    if loaded.n_inputs:
        inputs = [loaded.n_inputs]
    elif not card.channels:
        inputs = list(dict.fromkeys((int(weights.shape[1]), *inputs)))
    multiples = (card.multiple,) if card.multiple else _MULTIPLES
    problems: list[_Unfit] = []
    for n, multiple in itertools.product(inputs, multiples):
        rows, columns = card.size or _odd_multiples(multiple)
        try:
            outputs = _try(module, (1, n, rows, columns), device, name)
        except _Unfit as problem:
            problems.append(problem)
            continue
        found = card.channels or max((n - extra) // card.slices, 1)
        card = replace(card, channels=found, multiple=1 if card.size else multiple, scale=card.scale or _SCALE)
        card = _with_head(replace(card, prompt="none" if card.prompt == "auto" else card.prompt), outputs)
        n_outputs = int(outputs[0].shape[1])
        _check_outputs(card, n_outputs, name)
        return WrappedNetwork(module, _fast(module, (1, n, rows, columns), device), card, name, device, n_outputs, n)
    raise InputError(str(max(problems, key=lambda problem: problem.gave_output)))


def _first_convolution(module: nn.Module) -> Tensor | None:
    """The weights of a network's first convolution over images."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.weight
    tensors = [*module.parameters(), *module.buffers()]  # exported and scripted networks have no layers of ours
    found = next((tensor for tensor in tensors if tensor.ndim == 4), None)
    if found is None and "conv" in str(getattr(module, "inlined_graph", "")):  # frozen: the weights are constants
        return torch.empty(1, _CHANNELS[0], 1, 1)
    return found


def _odd_multiples(multiple: int) -> tuple[int, int]:
    """A size that no larger power of two divides."""
    times = max(-(-_LEAST // multiple), 3) | 1
    return times * multiple, (times + 2) * multiple


class _Unfit(Exception):
    """A network fails for an input, or ``gave_output`` that is not an image of its size."""

    def __init__(self, message: str, gave_output: bool) -> None:
        super().__init__(message)
        self.gave_output = gave_output


@torch.no_grad()
def _try(module: nn.Module, shape: tuple[int, ...], device: str, name: str) -> list[Tensor]:
    """Outputs for zeros and for noise."""
    noise = _noise(shape, device)
    outputs = []
    for x in (torch.zeros_like(noise), noise):
        try:
            out = first_output(module(x))
        except Exception as error:  # foreign code may raise anything for a size that it does not take
            raise _Unfit(f"{name} fails for an input of shape {shape}: {first_line(error)}", False) from error
        if not isinstance(out, Tensor):
            given = type(out).__name__
            raise _Unfit(f"{name} gives a {given}; one tensor of shape (1, outputs, rows, columns) is expected", True)
        if out.ndim != 4 or out.shape[2:] != x.shape[2:] or len(out) != 1:
            raise _Unfit(
                f"{name} gives an output of shape {tuple(out.shape)} for an input of shape {shape}; an output of the "
                "input's size is expected",
                True,
            )
        outputs.append(out)
    if not all(torch.isfinite(out).all() for out in outputs):
        raise InputError(f"{name} gives NaN or infinite values; finite ones are expected")
    return outputs


def _noise(shape: tuple[int, ...], device: str) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)).to(device)


def _with_head(card: ModelCard, outputs: list[Tensor]) -> ModelCard:
    """The head, from the outputs for two inputs: whether they are probabilities, and sum to 1 over the classes."""
    within = all(((out >= 0) & (out <= 1)).all() for out in outputs) and any((out > 0).any() for out in outputs)
    shared = all((out.sum(1) - 1).abs().max() < 1e-3 for out in outputs)
    applied = bool(within) if card.applied is None else card.applied
    if card.head == "auto":
        single = outputs[0].shape[1] == 1
        card = replace(card, head="sigmoid" if single or (applied and not shared) else "softmax")
    return replace(card, applied=applied)


def _check_outputs(card: ModelCard, n: int, name: str) -> None:
    for field, values in (("ids", card.ids), ("classes", card.classes)):
        if values and len(values) != n:
            raise InputError(f"the card of {name} has {len(values)} {field}; its network has {n} outputs")
    if card.head == "softmax" and n == 1:
        raise InputError(f"the card of {name} says softmax; the one output of its network needs sigmoid")
    if card.prompt != "none" and (n, card.head) != (1, "sigmoid"):
        raise InputError(f"{name} takes strokes and has {n} outputs; one with sigmoid is expected")


@torch.no_grad()
def _fast(module: nn.Module, shape: tuple[int, ...], device: str) -> nn.Module:
    """The network with batch norm folded and channels last; unchanged if that is not possible."""
    if isinstance(module, torch.jit.ScriptModule | torch.fx.GraphModule):
        return module
    x = _noise(shape, device)
    try:
        folded = fold_batch_norm(module).requires_grad_(False)
        same = torch.allclose(first_output(folded(x)), first_output(module(x)), rtol=1e-3, atol=1e-4)
    except Exception:  # noqa: BLE001  foreign modules may not like to be copied
        same = False
    return folded.to(memory_format=torch.channels_last) if same else module  # type: ignore[call-overload]
