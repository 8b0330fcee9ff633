"""Load a network: from its source, with weights of a file of their own, or from a MONAI bundle."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.engines.brs.card import ModelCard
from napari_scribseg.engines.brs.model_source import EXPECTED, ModelSource, card_of, runs_code, shipped_names
from napari_scribseg.nets import BRSNet, load_model, load_shipped
from napari_scribseg.nets.brs_net import without_fine_decoder
from napari_scribseg.prompting import WITH_STROKES

__all__ = ["Loaded", "first_line", "load_network"]

_SCALE = (-1.0, 1.0)  # of the images in scribseg train
_PROMPTS: tuple[Literal["scribbles", "clicks", "none"], ...] = ("scribbles", "clicks", "none")


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A network as loaded.

    Attributes
    ----------
    module : nn.Module
        Takes (1, C, H, W), in evaluation mode, without gradients of its weights.
    card : ModelCard
        From the file beside it or from the model itself; fields may be missing.
    n_inputs : int
        Channels of its whole input, where it is known; else 0.
    """

    module: nn.Module
    card: ModelCard
    n_inputs: int = 0


def load_network(
    source: ModelSource, weights: str, trust: bool, device: str, decoder: Literal["last", "coarse"] = "last"
) -> Loaded:
    """Load a model.

    Parameters
    ----------
    source : ModelSource
    weights : str
        For a factory: a .safetensors file, or one of torch.save that holds tensors only. Empty for other models.
    trust : bool
        Whether code that comes with the model may run.
    device : str
        As :func:`~napari_scribseg.numerics.device.choose_device` gives it.
    decoder : {"last", "coarse"}
        Whose output is taken, of a network with two decoders.

    Raises
    ------
    InputError
        If it cannot be loaded, needs trust that was not given, its weights are of another network, or it has no fine
        decoder although the coarse one is asked for.
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
        with _one_line_errors(source):
            module, card = _load_bundle(source.path, card if card != ModelCard() else None)
    elif source.kind == "torchscript":
        with _one_line_errors(source), _quiet():
            module = torch.jit.load(str(source.path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    elif source.kind == "export":
        module, card, n_inputs = _load_export(source, card, device)
    else:
        module = _build(source)
        if weights:
            _load_weights(module, weights)
    if decoder == "coarse":
        if not (isinstance(module, BRSNet) and module.config.fine):
            raise InputError(
                f"decoder is 'coarse', but {source.name} has no fine decoder that could be left out; a brs-net is "
                "expected, as scribseg train brs makes it, or 'last'"
            )
        module = without_fine_decoder(module)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return Loaded(module.to(device), card, n_inputs)


def _load_own(source: ModelSource, card: ModelCard) -> tuple[nn.Module, ModelCard, int]:
    """A network of this package, whose file holds numbers only, and the prompts that it was trained with."""
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
        stated = metadata.get("prompt", "scribbles" if channels in WITH_STROKES else "none")
        found = next((prompt for prompt in _PROMPTS if prompt == stated), None)
        if found is None:
            raise InputError(
                f"the network in {source.name} takes {stated[:60]!r}; one of {', '.join(_PROMPTS)} is expected"
            )
        card = replace(card, prompt=found)
    if card.takes_prompt_maps:
        if channels not in WITH_STROKES:
            expected = ", ".join(map(str, WITH_STROKES))
            raise InputError(f"the network in {source.name} takes {channels} input channels; {expected} are expected")
        card = replace(card, channels=3)
    return module, replace(card, scale=card.scale or _SCALE, applied=False), channels


def _load_export(source: ModelSource, card: ModelCard, device: str) -> tuple[nn.Module, ModelCard, int]:
    with _one_line_errors(source), _quiet():
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


def _build(source: ModelSource) -> nn.Module:
    """Call the factory."""
    package, _, name = source.text.partition(":")
    with _one_line_errors(source):
        try:
            factory = getattr(importlib.import_module(package), name)
        except (ImportError, AttributeError) as error:
            raise InputError(f"{source.text} cannot be imported ({first_line(error)}); {EXPECTED}") from error
        module = factory()
    if not isinstance(module, nn.Module):
        raise InputError(f"{source.text} made a {type(module).__name__}; a torch.nn.Module is expected")
    return module.eval()


@contextlib.contextmanager
def _one_line_errors(source: ModelSource) -> Iterator[None]:
    """Errors of foreign code as an InputError of one line."""
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


# weights in a file of their own, without their network

_KEYS = ("state_dict", "model_state_dict", "model")  # under which checkpoints keep their weights


def _load_weights(module: nn.Module, weights: str) -> None:
    """Load the weights of a file into a network; the file holds tensors only, alone or under one of ``_KEYS``."""
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
        content: Any = (
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
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not (isinstance(content, Mapping) and content and all(isinstance(v, Tensor) for v in content.values())):
        raise InputError(f"{path.name} holds no table of tensors; the state dict of a network is expected")
    return dict(content)


def first_line(error: BaseException) -> str:
    """The first line of a message that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")


# the folder of a MONAI bundle

_BUNDLE_CONFIGS = ("inference.json", "inference.yaml", "inference.yml", "train.json", "train.yaml")
_BUNDLE_NETWORKS = ("network_def", "network", "net")


def _load_bundle(folder: Path, card: ModelCard | None) -> tuple[nn.Module, ModelCard]:
    """The network of a bundle, and ``card``, else the one that the bundle's metadata describe."""
    weights, script = folder / "models" / "model.pt", folder / "models" / "model.ts"
    config = next((p for name in _BUNDLE_CONFIGS if (p := folder / "configs" / name).is_file()), None)
    metadata = _bundle_metadata(folder)
    if weights.is_file() and config is not None:
        if importlib.util.find_spec("monai") is None:
            raise InputError(f"the bundle {folder.name} needs MONAI: pip install 'napari-scribseg[monai]'")
        module = _bundle_network(folder, config)
        _load_weights(module, str(weights))
    elif script.is_file():
        module = torch.jit.load(str(script), map_location="cpu")  # type: ignore[no-untyped-call]
    else:
        raise InputError(
            f"the bundle {folder.name} is incomplete; configs/inference.json and models/model.pt, or models/model.ts, "
            "are expected"
        )
    return module.eval(), card or _bundle_card(folder, metadata)


def _bundle_network(folder: Path, config: Path) -> nn.Module:
    from monai.bundle import ConfigParser  # type: ignore[attr-defined,unused-ignore]

    parser = ConfigParser()
    parser.read_config(str(config))
    parser["bundle_root"] = str(folder)
    names = [name for name in _BUNDLE_NETWORKS if parser.get(name) is not None]
    if not names:
        raise InputError(f"{config.name} of the bundle {folder.name} has no network_def; that of a network is expected")
    network = parser.get_parsed_content(names[0])
    if not isinstance(network, nn.Module):
        raise InputError(f"{names[0]} in {config.name} of {folder.name} is no network; a torch.nn.Module is expected")
    return network.cpu()


def _bundle_metadata(folder: Path) -> dict[str, Any]:
    """``network_data_format`` of the bundle's metadata; empty where there is none."""
    path = folder / "configs" / "metadata.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8")).get("network_data_format", {})
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _bundle_card(folder: Path, metadata: dict[str, Any]) -> ModelCard:
    """The card that a bundle's metadata describe, as far as a card can hold it."""
    image: dict[str, Any] = next(iter((metadata.get("inputs") or {}).values()), {})
    output: dict[str, Any] = next(iter((metadata.get("outputs") or {}).values()), {})
    shape = image.get("spatial_shape") or []
    if len(shape) == 3:
        raise InputError(f"the network of {folder.name} takes volumes; one that takes slices (2D) is expected")
    card = ModelCard()
    if isinstance(image.get("num_channels"), int):
        card = replace(card, channels=image["num_channels"])
    low_high = image.get("value_range")
    if isinstance(low_high, list) and len(low_high) == 2 and image.get("is_patch_data") is not None:
        card = replace(card, scale=tuple(low_high)) if low_high[0] < low_high[1] else card
    named = output.get("channel_def")
    if isinstance(named, dict) and all(str(k).isdecimal() for k in named):
        card = replace(card, classes=tuple(str(named[k]) for k in sorted(named, key=int)))
    return card
