"""Transfer learning: a trained network with a new last layer for the painted classes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_scribseg.core import Image, InputError, Report, Scribbles, Segmentation
from napari_scribseg.core.paths import user_path
from napari_scribseg.engines.single_image.learners import GraphLearner
from napari_scribseg.engines.single_image.parameters import FineTuneParameters
from napari_scribseg.engines.single_image.pipeline import FitState, learn
from napari_scribseg.engines.single_image.stroke_samples import StrokeSamples
from napari_scribseg.nets import BRSNet, load_model, load_shipped
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.prompting import INPUT_CHANNELS, network_input
from napari_scribseg.prompting.channels import three_channels

__all__ = ["Transfer", "TransferLearner", "prepare", "segment"]

_SHIPPED = "scribble-net"


class _Constant(nn.Module):
    """A layer of constant output."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.register_buffer("output", output)

    def forward(self, _: Tensor) -> Tensor:
        """The output that was computed once."""
        return cast("Tensor", self.output)


class Transfer(nn.Module):
    """A network of this package with other classes than it was trained for, on one image.

    Parameters
    ----------
    base : PlainUNet, EfficientUNet or BRSNet
        Changed.
    x : Tensor of shape (1, C, h, w)
        Its input; scales of a frozen encoder are computed once.
    n_classes : int
    frozen : str
        As in :class:`~napari_scribseg.engines.single_image.FineTune`.
    """

    def __init__(self, base: nn.Module, x: Tensor, n_classes: int, frozen: str) -> None:
        super().__init__()
        self.base = base.eval()
        if isinstance(base, BRSNet) and not base.config.fine:  # its output has a quarter of the size
            base.coarse_grow = nn.Upsample(scale_factor=4, mode="bilinear")  # type: ignore[assignment]
        base.requires_grad_(frozen != "all but the last layer")
        if frozen != "nothing":
            _freeze_encoder(base, x)
        self.set_classes([None] * n_classes)

    @property
    def head(self) -> nn.Conv2d:
        """The last layer."""
        return cast("nn.Conv2d", self.base.get_submodule(self._name))

    @property
    def _name(self) -> str:
        if isinstance(self.base, BRSNet):
            return "fine_head" if self.base.config.fine else "coarse_head"
        return "head"

    def set_classes(self, class_map: Sequence[int | None]) -> None:
        """Replace the classes of the last layer; see :meth:`.pixel_net.PixelNet.set_classes`."""
        before = self.head
        head = nn.Conv2d(before.in_channels, len(class_map), before.kernel_size, padding=before.padding)  # type: ignore[arg-type]
        with torch.no_grad():
            for new, old in enumerate(class_map):
                if old is not None:
                    head.weight[new], head.bias[new] = before.weight[old], before.bias[old]  # type: ignore[index]
        setattr(self.base, self._name, head.to(before.weight.device))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (1, K, h, w)."""
        logits: Tensor = self.base(x)
        return logits


@torch.no_grad()
def _freeze_encoder(base: nn.Module, x: Tensor) -> None:
    """Freeze an encoder's weights; if each scale is a layer of its own, compute its output once."""
    if isinstance(base, BRSNet):
        base.features.requires_grad_(False)
        base.excite.requires_grad_(False)
        return
    stages = cast("nn.ModuleList", base.down)
    for name in ("stem", "shrink"):
        if hasattr(base, name):
            base.get_submodule(name).requires_grad_(False)
    found: list[Tensor] = []
    hooks = [stage.register_forward_hook(lambda _, __, y: found.append(y)) for stage in stages]
    base(x)
    for i, (hook, output) in enumerate(zip(hooks, found, strict=True)):
        hook.remove()
        stages[i] = _Constant(output)


class TransferLearner(GraphLearner[tuple[Tensor, Tensor]]):
    """A :class:`Transfer` fitted to strokes on the image's own grid.

    Parameters
    ----------
    network : Transfer
    x : Tensor of shape (C, h, w)
        Its input.
    samples : StrokeSamples
    shape : tuple of 2 int
        Of the image, whose pixels the samples are.
    """

    def __init__(self, network: Transfer, x: Tensor, samples: StrokeSamples, shape: tuple[int, int]) -> None:
        self.network, self._x, self._shape = network, x, shape
        self._fitted = self._part(samples, samples.fitted)
        self._validating = self._part(samples, samples.validating)

    def _part(self, samples: StrokeSamples, chosen: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """Positions of strokes, from -1 to 1 over the image, shape (1, 1, N, 2), and their targets."""
        rows, columns = np.divmod(samples.pixels[chosen], self._shape[1])
        positions = np.stack(((2 * columns + 1) / self._shape[1] - 1, (2 * rows + 1) / self._shape[0] - 1), axis=-1)
        grid = torch.from_numpy(positions.astype(np.float32))[None, None]
        return grid.to(self._x.device), torch.from_numpy(samples.targets[chosen]).to(self._x.device)

    def _cross_entropy(self, part: tuple[Tensor, Tensor]) -> Tensor:
        logits = self.network(self._x[None])  # (1, K, h, w)
        found = functional.grid_sample(logits, part[0], padding_mode="border", align_corners=False)  # (1, K, 1, N)
        return functional.cross_entropy(found[0, :, 0].T, part[1])

    @torch.no_grad()
    def logits(self, progress: Callable[[float], None]) -> Tensor:
        """See :class:`.learners.Learner`."""
        progress(0.0)
        small = self.network(self._x[None])
        return functional.interpolate(small, self._shape, mode="bilinear", align_corners=False)[0]


def prepare(parameters: FineTuneParameters, image: Image, device: str) -> FitState:
    """The state for a fresh image: the network's input."""
    chosen = choose_device(device)
    model, name = _open(parameters.weights)
    channels = torch.from_numpy(three_channels(image.data))[None]
    height, width = channels.shape[2:]
    shrink = min(parameters.size / max(height, width), 1.0)
    if shrink < 1:
        size = max(round(height * shrink), 1), max(round(width * shrink), 1)
        channels = functional.interpolate(channels, size, mode="bilinear", antialias=True)
    n_channels = model.config.in_channels
    if n_channels == 1:
        x = channels.mean(dim=1, keepdim=True)
    elif n_channels in INPUT_CHANNELS:
        x = network_input(channels, channels.new_zeros((1, *channels.shape[2:])), None, n_channels)
    else:
        expected = ", ".join(map(str, (1, *INPUT_CHANNELS)))
        raise InputError(f"the network in {name} takes {n_channels} input channels; {expected} are expected")
    return FitState(x[0].to(chosen), {}, chosen)


def segment(
    parameters: FineTuneParameters, scribbles: Scribbles, state: FitState, report: Report
) -> Segmentation[FitState]:
    """Segment one set of strokes."""
    report(0.0)
    samples = StrokeSamples.of(scribbles, parameters.held_back, parameters.seed)
    shape = scribbles.shape[0], scribbles.shape[1]

    def start(former: nn.Module | None, class_map: list[int | None]) -> TransferLearner:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(parameters.seed)
            if former is None:
                base = copy.deepcopy(_open(parameters.weights)[0]).to(state.device)
                net = Transfer(base, state.channels[None], len(class_map), parameters.frozen)
            else:
                net = cast("Transfer", former)
                net.set_classes(class_map)
        return TransferLearner(net, state.channels, samples, shape)

    return learn(parameters, scribbles, samples, state, start, report)


def _open(weights: str) -> tuple[Any, str]:
    """A network that must not be changed, and the name of its file."""
    path = user_path(weights) if weights else None
    stat = path.stat() if path is not None and path.is_file() else None
    version = (0, 0) if stat is None else (stat.st_mtime_ns, stat.st_size)
    return _load(str(path) if path else "", version), path.name if path else _SHIPPED


@lru_cache(maxsize=2)
def _load(path: str, version: tuple[int, int]) -> nn.Module:
    """The network of a file as it is now (``version``)."""
    return (load_model(path) if path else load_shipped(_SHIPPED))[0]
