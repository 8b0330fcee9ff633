"""The last stage of an encoder, trained together with the metric on the classes so far."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.core.paths import user_path
from napari_scribseg.explore.metric import Head, require_classes, train
from napari_scribseg.explore.task import part
from napari_scribseg.nets.weights import load_model, load_shipped
from napari_scribseg.prompting.network_input import network_input

if TYPE_CHECKING:
    from napari_scribseg.prompting.semantic import Encoder

__all__ = [
    "StageFeatures",
    "StageInput",
    "Tuning",
    "before_last",
    "last_stage",
    "learn_backbone",
    "open_network",
    "tuned_encoder",
]

_SHIPPED = "scribble-net"
_COLLECTING = 0.4  # share of the time that the maps before the last stage take

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """Learned weights of an encoder.

    Attributes
    ----------
    weights : dict of str to ndarray
        The state of its last stage.
    """

    weights: dict[str, NDArray[Any]]

    @property
    def digest(self) -> str:
        """Hash of the weights, 16 hexadecimal digits."""
        made = hashlib.sha256()
        for name in sorted(self.weights):
            made.update(name.encode() + np.ascontiguousarray(self.weights[name]).tobytes())
        return made.hexdigest()[:16]


@dataclass(frozen=True, slots=True, eq=False)
class StageInput:
    """Input of the last stage for some segments, and how their features follow from its output.

    Attributes
    ----------
    maps : Tensor of shape (1, C, h, w)
        Of one image, or one crop.
    pool : Tensor of shape (k, h' * w')
        The share of each pixel of the output in each segment.
    """

    maps: Tensor
    pool: Tensor


def learn_backbone(
    encoder: tuple[str, str, Tuning | None],
    samples: Callable[[nn.Module, Report], Sequence[StageInput]],
    features: Float32,
    labels: NDArray[np.int32],
    head: Head | None,
    *,
    seed: int = 0,
    report: Report = silent,
) -> tuple[Tuning, Head]:
    """One round of learning on the last stage of an encoder and on the head behind it; batch norms stay as they are.

    The stages before the last one run once. Features consist of parts of all scales; the part of the last scale follows
    the weights that are learned.

    Parameters
    ----------
    encoder : tuple of str, str, Tuning or None
        Its backbone, the device, and the weights learned before.
    samples : callable
        Gives the samples of the labelled segments, in the order of ``features``, from the network.
    features : ndarray of shape (n, D), float32
        Of the labelled segments, by the present encoder.
    labels : ndarray of shape (n,), int32
    head : Head, optional
        Where to continue from.
    seed : int
    report : Report

    Returns
    -------
    tuple of Tuning and Head

    Raises
    ------
    InputError
        If there are fewer than two classes, or the network is not of this package.
    """
    require_classes(labels)
    backbone, device, tuning = encoder
    model = open_network(backbone, device, tuning)
    stage = deepcopy(last_stage(model)).requires_grad_(True)  # in eval mode: batch norms stay
    found = samples(model, part(report, 0, _COLLECTING))
    collected = StageFeatures(stage, found, torch.from_numpy(features).to(device))
    before = head or Head.identity(features.shape[1])
    layer = before.layer().to(device)
    parameters = [*layer.parameters(), *(p for p in stage.parameters())]
    progress = part(report, _COLLECTING, 1)
    train(parameters, lambda drawn: layer(collected(drawn)).cpu(), labels, seed=seed, report=progress)
    weights = {name: value.detach().cpu().numpy().copy() for name, value in stage.state_dict().items()}
    if not all(np.isfinite(value).all() for value in weights.values()):
        raise InputError("learning the network did not converge; learn without it")
    return Tuning(weights), Head.of(layer.cpu())


class StageFeatures:
    """Features of samples, of which the part of the last scale comes through the stage that is learned.

    Parameters
    ----------
    stage : Module
    samples : sequence of StageInput
    features : Tensor of shape (n, D)
        Of the samples' segments, by the present encoder; the part of the last scale is their end.
    """

    def __init__(self, stage: nn.Module, samples: Sequence[StageInput], features: Tensor) -> None:
        self._stage, self._samples, self._features = stage, samples, features
        counts = [len(sample.pool) for sample in samples]
        self._sample = np.repeat(np.arange(len(samples)), counts)
        self._row = np.concatenate([np.arange(n) for n in counts])
        with torch.no_grad():
            channels = stage(samples[0].maps).shape[1]
        self._others = features[:, :-channels]
        self._length = features[:, -channels:].norm(dim=1, keepdim=True)

    def __call__(self, drawn: Tensor) -> Tensor:
        """Features, shape (B, D), of segments by their indices, shape (B,)."""
        numbers = drawn.numpy()
        needed = np.unique(self._sample[numbers])
        pooled: dict[int, Tensor] = {}
        shapes: dict[tuple[int, ...], list[int]] = {}
        for i in needed.tolist():
            shapes.setdefault(tuple(self._samples[i].maps.shape), []).append(i)
        for alike in shapes.values():  # images of one size at once
            output = self._stage(torch.cat([self._samples[i].maps for i in alike]))
            for i, one in zip(alike, output, strict=True):
                pooled[i] = self._samples[i].pool @ one.reshape(len(one), -1).T
        last = torch.stack([pooled[int(self._sample[i])][int(self._row[i])] for i in numbers])
        return torch.cat((self._others[drawn], self._length[drawn] * functional.normalize(last)), dim=1)


def tuned_encoder(backbone: str, device: str, tuning: Tuning) -> Encoder:
    """As :func:`~napari_scribseg.prompting.semantic.open_encoder`, with a learned last stage."""
    model: Any = open_network(backbone, device, tuning)

    def encode(image: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        hooks = [stage.register_forward_hook(lambda _, __, y: found.append(y)) for stage in model.down]
        try:
            _run(model, image)
        finally:
            for hook in hooks:
                hook.remove()
        return found

    return encode


@torch.no_grad()
def before_last(model: nn.Module, image: Tensor) -> Tensor:
    """Input of the last stage for images of shape (N, 3, H, W); shape (N, C, h, w)."""
    found: list[Tensor] = []
    hook = last_stage(model).register_forward_pre_hook(lambda _, given: found.append(given[0]))
    try:
        _run(model, image)
    finally:
        hook.remove()
    return found[0]


def last_stage(model: Any) -> nn.Module:
    """The coarsest stage of a network's encoder."""
    stage: nn.Module = model.down[-1]
    return stage


def _run(model: Any, image: Tensor) -> None:
    model(network_input(image, image.new_zeros((len(image), *image.shape[2:])), None, model.config.in_channels))


def open_network(backbone: str, device: str, tuning: Tuning | None) -> nn.Module:
    """A network of this package, with its learned weights."""
    path = user_path(backbone)
    there = path.stat() if backbone and path.is_file() else None
    return _loaded(backbone, device, tuning, there and (there.st_mtime_ns, there.st_size))


@lru_cache(maxsize=1)
def _loaded(backbone: str, device: str, tuning: Tuning | None, version: tuple[int, int] | None) -> nn.Module:
    """See :func:`open_network`; ``version`` tells a file from one written later."""
    if backbone and not backbone.endswith(".safetensors"):
        raise InputError(
            f"the network {backbone!r} of timm cannot be learned; choose one of this package, or learn without it"
        )
    model: Any = load_model(user_path(backbone))[0] if backbone else load_shipped(_SHIPPED)[0]
    if not hasattr(model, "down"):
        raise InputError(f"the network {backbone} has no stages that can be learned; learn without it")
    model = model.to(device).requires_grad_(False)
    if tuning is not None:
        try:
            last_stage(model).load_state_dict({k: torch.from_numpy(v.copy()) for k, v in tuning.weights.items()})
        except RuntimeError as error:
            raise InputError(f"the learned weights do not fit {backbone or _SHIPPED}") from error
    network: nn.Module = model
    return network
