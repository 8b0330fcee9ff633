"""Networks in the folder of a MONAI bundle."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_scribseg.core import InputError
from napari_scribseg.engines.brs.card import ModelCard
from napari_scribseg.engines.brs.checkpoints import load_weights

__all__ = ["load_bundle"]

_CONFIGS = ("inference.json", "inference.yaml", "inference.yml", "train.json", "train.yaml")
_NETWORKS = ("network_def", "network", "net")


def load_bundle(folder: Path, card: ModelCard | None) -> tuple[nn.Module, ModelCard]:
    """The network of a bundle, and what its metadata say of it.

    Parameters
    ----------
    folder : Path
        With ``configs/inference.json`` (or ``.yaml``) and ``models/model.pt``, or with ``models/model.ts``.
    card : ModelCard or None
        From the file beside the folder; it counts more than the metadata.

    Raises
    ------
    InputError
        If MONAI is missing, the folder is incomplete, or the network takes volumes.
    """
    weights, script = folder / "models" / "model.pt", folder / "models" / "model.ts"
    config = next((p for name in _CONFIGS if (p := folder / "configs" / name).is_file()), None)
    known = _metadata(folder)
    if weights.is_file() and config is not None:
        if importlib.util.find_spec("monai") is None:
            raise InputError(f"the bundle {folder.name} needs MONAI: pip install 'napari-scribseg[monai]'")
        module = _network(folder, config)
        load_weights(module, str(weights))
    elif script.is_file():
        module = torch.jit.load(str(script), map_location="cpu")  # type: ignore[no-untyped-call]
    else:
        raise InputError(
            f"the bundle {folder.name} is incomplete; configs/inference.json and models/model.pt, or models/model.ts, "
            "are expected"
        )
    return module.eval(), card or _card(folder, known)


def _network(folder: Path, config: Path) -> nn.Module:
    from monai.bundle import ConfigParser  # type: ignore[attr-defined,unused-ignore]

    parser = ConfigParser()
    parser.read_config(str(config))
    parser["bundle_root"] = str(folder)
    names = [name for name in _NETWORKS if parser.get(name) is not None]
    if not names:
        raise InputError(f"{config.name} of the bundle {folder.name} has no network_def; that of a network is expected")
    network = parser.get_parsed_content(names[0])
    if not isinstance(network, nn.Module):
        raise InputError(f"{names[0]} in {config.name} of {folder.name} is no network; a torch.nn.Module is expected")
    return network.cpu()


def _metadata(folder: Path) -> dict[str, Any]:
    """``network_data_format`` of the bundle's metadata; empty where there is none."""
    path = folder / "configs" / "metadata.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8")).get("network_data_format", {})
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _card(folder: Path, known: dict[str, Any]) -> ModelCard:
    """What a bundle's metadata say, as far as they are of a kind that a card can hold."""
    image: dict[str, Any] = next(iter((known.get("inputs") or {}).values()), {})
    output: dict[str, Any] = next(iter((known.get("outputs") or {}).values()), {})
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
