"""From a model's name to a network in memory."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from napari_scribseg.core import InputError
from napari_scribseg.engines.brs.bundle import load_bundle
from napari_scribseg.engines.brs.card import ModelCard
from napari_scribseg.engines.brs.checkpoints import first_line, load_weights
from napari_scribseg.engines.brs.sources import EXPECTED, Source, card_of, runs_code, shipped_names
from napari_scribseg.nets import load_model, load_shipped
from napari_scribseg.prompting import WITH_STROKES

__all__ = ["Loaded", "load_network"]

_SCALE = (-1.0, 1.0)  # on which scribseg train shows pictures
_PROMPTS: tuple[Literal["scribbles", "clicks", "none"], ...] = ("scribbles", "clicks", "none")


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A network as its file has it.

    Attributes
    ----------
    module : nn.Module
        Takes (1, C, H, W), in evaluation mode, without gradients of its weights.
    card : ModelCard
        From the file beside it, or what the model says of itself; other fields are still to be found.
    n_inputs : int
        Channels of its whole input, where the model says it; else 0.
    """

    module: nn.Module
    card: ModelCard
    n_inputs: int = 0


def load_network(source: Source, weights: str, trust: bool, device: str) -> Loaded:
    """Load a model.

    Parameters
    ----------
    source : Source
    weights : str
        For a factory: a .safetensors file, or one of torch.save that holds tensors only. Empty for other models.
    trust : bool
        Whether code that comes with the model may run.
    device : str
        As :func:`~napari_scribseg.numerics.device.choose_device` gives it.

    Raises
    ------
    InputError
        If it cannot be loaded, needs trust that was not given, or its weights are of another network.
    """
    reason = runs_code(source.text)
    if reason and not trust:
        raise InputError(f"{reason}; say trust=True if you know where it comes from")
    if weights and source.kind != "factory":
        raise InputError(f"weights are {weights!r}, but {source.name} has its own; they are for a factory only")
    card = card_of(source.text, weights) or ModelCard()
    n_inputs = 0
    if source.kind in ("shipped", "safetensors"):
        module, card, n_inputs = _load_own(source, card)
    elif source.kind == "bundle":
        with _told(source):
            module, card = load_bundle(source.path, card if card != ModelCard() else None)
    elif source.kind == "torchscript":
        with _told(source), _quiet():
            module = torch.jit.load(str(source.path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    elif source.kind == "export":
        module, card, n_inputs = _load_export(source, card, device)
    else:
        module = _build(source)
        if weights:
            load_weights(module, weights)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return Loaded(module.to(device), card, n_inputs)


def _load_own(source: Source, card: ModelCard) -> tuple[nn.Module, ModelCard, int]:
    """A network of this package; its file holds numbers only, and says what it was trained to be given."""
    if source.kind == "shipped":
        if source.text not in shipped_names():
            raise InputError(
                "brs has no trained network in this installation; name one in its parameter model, as in "
                "get_engine('brs', model='unet.pt2', trust=True)"
            )
        module, metadata = load_shipped(source.text)
    else:
        module, metadata = load_model(source.path)
    channels = module.config.in_channels
    if card.prompt == "auto":
        told = metadata.get("prompt", "scribbles" if channels in WITH_STROKES else "none")
        known = next((prompt for prompt in _PROMPTS if prompt == told), None)
        if known is None:
            raise InputError(
                f"the network in {source.name} answers {told[:60]!r}; one of {', '.join(_PROMPTS)} is expected"
            )
        card = replace(card, prompt=known)
    if card.takes_signal:
        if channels not in WITH_STROKES:
            expected = ", ".join(map(str, WITH_STROKES))
            raise InputError(f"the network in {source.name} takes {channels} input channels; {expected} are expected")
        card = replace(card, channels=3)
    return module, replace(card, scale=card.scale or _SCALE, applied=False), channels


def _load_export(source: Source, card: ModelCard, device: str) -> tuple[nn.Module, ModelCard, int]:
    with _told(source), _quiet():
        program = torch.export.load(str(source.path))
        if device != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
    first = program.graph_signature.user_inputs[0]
    shape = next(n.meta["val"].shape for n in program.graph.nodes if n.name == first)
    if len(shape) != 4:
        raise InputError(f"the network in {source.name} takes {len(shape)} axes; 4 are expected (one slice at a time)")
    if all(isinstance(s, int) for s in shape[2:]) and not card.size:
        card = replace(card, size=(int(shape[2]), int(shape[3])))
    return program.module(), card, shape[1] if isinstance(shape[1], int) else 0


def _build(source: Source) -> nn.Module:
    """Call the factory."""
    package, _, name = source.text.partition(":")
    with _told(source):
        try:
            factory = getattr(importlib.import_module(package), name)
        except (ImportError, AttributeError) as error:
            raise InputError(f"{source.text} cannot be imported ({first_line(error)}); {EXPECTED}") from error
        module = factory()
    if not isinstance(module, nn.Module):
        raise InputError(f"{source.text} made a {type(module).__name__}; a torch.nn.Module is expected")
    return module.eval()


@contextlib.contextmanager
def _told(source: Source) -> Iterator[None]:
    """What goes wrong in foreign code, as one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{source.name} does not load: {first_line(error)}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
