"""Semantic features: the feature maps of a trained network's encoder, as three channels."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_scribseg.core import InputError
from napari_scribseg.core.padding import some_values
from napari_scribseg.core.paths import user_path
from napari_scribseg.nets.brs_net import BRSNet
from napari_scribseg.nets.pixel_net import PixelNet
from napari_scribseg.nets.weights import load_model, load_shipped
from napari_scribseg.numerics.guided import guided_filter, principal_components
from napari_scribseg.prompting.channels import three_channels
from napari_scribseg.prompting.network_input import INPUT_CHANNELS, network_input

__all__ = ["SEMANTIC_CHANNELS", "Encoder", "encoder_maps", "open_encoder", "open_timm_encoder", "semantic_features"]

SEMANTIC_CHANNELS = 3
_SHIPPED = "scribble-net"
_SIDE = 256  # pixels along the longer side of the input: twice those that the shipped network was trained on
_SHRUNK = 2  # the maps of all scales are joined on a grid so many times coarser than the input
_MARGIN = 16  # pixels added around it and cut off again: features at a rim depend on it
_RADIUS, _EPSILON = 8, 1e-3  # of the guided filter, whose guide goes from 0 to 1
_TAIL = 0.5  # percentage of the values below 0, and of those above 1, which are cut

Float32 = NDArray[np.float32]
Encoder = Callable[[Tensor], list[Tensor]]


def semantic_features(data: Float32, backbone: str = "", device: str = "cpu") -> Float32:
    """Three channels that are alike where the features of a network's encoder are.

    The maps of all scales of the encoder are brought to one size, each scale to the same variance; their three
    principal components are enlarged to the image, and follow its edges by a guided filter.

    Parameters
    ----------
    data : ndarray of shape (C, H, W), float32
        An image of any channels and unit.
    backbone : str
        Empty for the scribble network of the package, which needs no download; the path of a ``.safetensors`` file of
        this package; or the name of a timm model with weights on the Hugging Face hub, such as ``"resnet18.a1_in1k"``,
        which are downloaded (safetensors only).
    device : str
        Where the network runs.

    Returns
    -------
    ndarray of shape (3, H, W), float32
        From 0 to 1; 0 everywhere for a constant image.

    Raises
    ------
    InputError
        If there is no such network, its weights are not available, or timm is not installed.

    References
    ----------
    Dröge and Moeller (2021), section 3.1; the recipe (guided filter, principal components, scaling) is that of Aksoy et
    al., Semantic Soft Segmentation (2018), with another network.
    """
    channels = three_channels(data)
    maps = encoder_maps(torch.from_numpy(channels)[None], backbone, device)[0].cpu().numpy()
    parts = torch.from_numpy(principal_components(maps, SEMANTIC_CHANNELS))[None]
    grown = functional.interpolate(parts, channels.shape[1:], mode="bilinear", align_corners=False)[0].numpy()
    guide = (channels.mean(axis=0) + 1) / 2
    return np.stack([_unit(channel) for channel in guided_filter(grown, guide, _RADIUS, _EPSILON)])


@torch.no_grad()
def encoder_maps(image: Tensor, backbone: str, device: str) -> Tensor:
    """The maps of all scales of an encoder on one grid.

    Parameters
    ----------
    image : Tensor of shape (N, 3, H, W)
        From -1 to 1.
    backbone, device : str
        As for :func:`semantic_features`.

    Returns
    -------
    Tensor of shape (N, C, h, w), float32
        C is the sum of the channels of all scales; each scale has a mean of 0 and a total variance of 1.
    """
    height, width = image.shape[-2:]
    shrink = min(_SIDE / max(height, width), 1.0)
    size = max(round(height * shrink), 1), max(round(width * shrink), 1)
    seen = functional.interpolate(image, size, mode="bilinear", antialias=True) if shrink < 1 else image
    seen = functional.pad(seen, (_MARGIN,) * 4, mode="replicate")
    grid = [-(-(n + 2 * _MARGIN) // _SHRUNK) for n in size]
    rim = _MARGIN // _SHRUNK
    parts = []
    for one in open_encoder(backbone, device)(seen.to(device)):
        scale = functional.interpolate(one.float(), grid, mode="bilinear", align_corners=False)
        scale = scale[..., rim : grid[0] - rim, rim : grid[1] - rim]
        scale = scale - scale.mean(dim=(2, 3), keepdim=True)
        spread = scale.square().mean(dim=(2, 3)).sum(dim=1).sqrt()
        parts.append(scale / spread.clamp_min(1e-6)[:, None, None, None])
    return torch.cat(parts, dim=1)


def _unit(channel: Float32) -> Float32:
    """Scaled to 0 to 1, both tails cut."""
    low, high = (float(v) for v in np.percentile(some_values(channel), (_TAIL, 100 - _TAIL)))
    if high - low <= 1e-6 * max(abs(low), abs(high), 1e-6):
        return np.zeros_like(channel)
    scaled: Float32 = np.clip((channel - np.float32(low)) / np.float32(high - low), 0, 1)
    return scaled


def open_encoder(backbone: str, device: str) -> Encoder:
    """A network's encoder: from images of shape (N, 3, H, W), -1 to 1, to the maps of all its scales.

    Parameters
    ----------
    backbone, device : str
        As for :func:`semantic_features`.

    Raises
    ------
    InputError
        As for :func:`semantic_features`.
    """
    if not backbone or backbone.endswith(".safetensors"):
        path = user_path(backbone) if backbone else None
        version = (path.stat().st_mtime_ns, path.stat().st_size) if path is not None and path.is_file() else (0, 0)
        return _own(str(path) if path else "", device, version)
    return open_timm_encoder(backbone, device)


@lru_cache(maxsize=2)
def _own(path: str, device: str, version: tuple[int, int]) -> Encoder:
    """The encoder of a network of this package; ``version`` tells a file from one written later."""
    model, _ = load_model(path) if path else load_shipped(_SHIPPED)
    n_channels, name = model.config.in_channels, Path(path).name or _SHIPPED
    if n_channels not in INPUT_CHANNELS or isinstance(model, PixelNet):
        expected = ", ".join(map(str, INPUT_CHANNELS))
        raise InputError(f"the network in {name} takes {n_channels} input channels; {expected} are expected")
    model = model.to(device).requires_grad_(False)
    stages = (
        [m for n, m in model.features.named_children() if n.startswith("denseblock")]
        if isinstance(model, BRSNet)
        else list(model.down)
    )

    def encode(image: Tensor) -> list[Tensor]:
        """Maps of each scale when nothing is painted."""
        found: list[Tensor] = []
        hooks = [stage.register_forward_hook(lambda _, __, y: found.append(y)) for stage in stages]
        try:
            model(network_input(image, image.new_zeros((len(image), *image.shape[2:])), None, n_channels))
        finally:
            for hook in hooks:
                hook.remove()
        return found

    return encode


@lru_cache(maxsize=2)
def open_timm_encoder(name: str, device: str) -> Encoder:
    """The feature maps of a timm model with weights from its hub."""
    if importlib.util.find_spec("timm") is None:
        raise InputError(f"the backbone {name!r} needs the package timm: pip install 'napari-scribseg[timm]'")
    timm = importlib.import_module("timm")
    if not timm.is_model(name):
        raise InputError(
            f"the backbone {name!r} is unknown; the name of a timm model, such as 'resnet18.a1_in1k', is expected"
        )
    model: nn.Module = timm.create_model(
        name, pretrained=True, features_only=True, pretrained_cfg_overlay={"file": _download(timm, name)}
    )
    model = model.to(device).eval().requires_grad_(False)
    config: dict[str, Any] = timm.data.resolve_model_data_config(model)
    mean, std = (torch.tensor(config[key], device=device)[:, None, None] for key in ("mean", "std"))

    def encode(image: Tensor) -> list[Tensor]:
        maps: list[Tensor] = model(((image + 1) / 2 - mean) / std)
        return maps

    return encode


def _download(timm: Any, name: str) -> str:
    """Path of a timm model's weights, from the hub's cache or the hub; safetensors only."""
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise InputError(
            f"the timm model {name!r} has no weights on the Hugging Face hub; one with weights is expected"
        )
    hub = importlib.import_module("huggingface_hub")
    repository = config.hf_hub_id if config.hf_hub_id != "timm/" else f"timm/{name}"
    try:
        return str(hub.hf_hub_download(repository, "model.safetensors"))
    except Exception as error:  # the hub raises errors of several libraries; each has one meaning here
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"the weights of the timm model {name!r} cannot be had: {reason}") from error
