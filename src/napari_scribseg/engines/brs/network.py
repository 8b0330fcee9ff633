"""A network and its card, complete: from an image to the network's input, and from its output to log-odds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_scribseg.core import Image, InputError
from napari_scribseg.engines.brs.card import ModelCard, card_path
from napari_scribseg.engines.brs.checkpoints import first_line
from napari_scribseg.engines.brs.loading import Loaded, load_network
from napari_scribseg.engines.brs.sources import find_source
from napari_scribseg.nets import fold_batch_norm
from napari_scribseg.nets.padding import crop_to, pad_to_multiple
from napari_scribseg.numerics.intensity import is_picture, some_values

__all__ = ["Network", "complete", "open_network"]

Float32 = NDArray[np.float32]

_MULTIPLES = (1, 8, 16, 32, 64, 128)
_CHANNELS = (1, 3, 4, 2, 5, 6)  # tried where nothing else says how many
_LEAST = 40  # pixels along a side of what a network is tried on
_LONGEST = 192  # pixels along a side of what the network of this package is given; it was trained on 128
_EPSILON = 1e-6  # probabilities of a network are kept so far from 0 and 1
_KEPT = 4  # networks


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network that is ready to be asked.

    Attributes
    ----------
    module : nn.Module
        As it was loaded: its output is the network's own, bit for bit.
    fast : nn.Module
        The same up to rounding: batch norm folded, memory laid out for convolutions.
    card : ModelCard
        Without anything left to find.
    name : str
        For messages.
    device : str
    n_outputs, n_inputs : int
        Channels of its output, and of its input, maps included.
    """

    nbytes: ClassVar[int] = 0  # what an image's state takes for it: nothing, it is shared by all

    module: nn.Module
    fast: nn.Module
    card: ModelCard
    name: str
    device: str
    n_outputs: int
    n_inputs: int

    @property
    def n_classes(self) -> int:
        """Classes that share each pixel among them: the outputs of a softmax; those of a sigmoid, and the rest."""
        return self.n_outputs + (self.card.head == "sigmoid")

    def input(self, image: Image) -> Tensor:
        """The image as the network wants it, shape (1, C, h, w), on the device; strokes are no part of it."""
        planes = _normalised(_as_channels(image.data, self), self.card)
        x = torch.from_numpy(np.tile(planes, (self.card.slices, 1, 1)))[None].to(self.device)
        shape = self._grid(image)
        if shape != image.shape:
            x = functional.interpolate(x, shape, mode="bilinear", antialias=True)
        return x

    def _grid(self, image: Image) -> tuple[int, int]:
        """Rows and columns of what the network is given."""
        if self.card.size:
            return self.card.size[0], self.card.size[1]
        steps = (1.0, 1.0)
        if self.card.spacing:
            steps = (self.card.spacing[0] / image.spacing[0], self.card.spacing[1] / image.spacing[1])
        elif self.card.prompt == "scribbles":
            finest = min(image.spacing)
            pixel = [s / finest for s in image.spacing]
            coarse = max(max(n * p for n, p in zip(image.shape, pixel, strict=True)) / _LONGEST, 1.0)
            steps = (coarse / pixel[0], coarse / pixel[1])
        rows, columns = (max(round(n / step), 1) for n, step in zip(image.shape, steps, strict=True))
        return rows, columns

    def raw(self, x: Tensor, *, exact: bool = False) -> Tensor:
        """The network's outputs, shape (1, n_outputs, h, w), for an input of any size (1, C, h, w)."""
        whole = pad_to_multiple(x, self.card.multiple)
        return crop_to(self.output((self.module if exact else self.fast)(whole)), x)

    def output(self, given: Any) -> Tensor:
        """The output that counts, of a network that may give several."""
        found: Tensor = _tensor(given)
        return found

    def fields(self, raw: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Logarithms of the odds of each class up to a constant, shape (K, H, W), on the image's own grid.

        The softmax over the first axis are the probabilities. For a sigmoid, the first class is the rest, with 0.
        """
        if self.card.head == "softmax":
            fields = raw.clamp(_EPSILON, 1).log() if self.card.applied else raw
        else:
            logits = torch.logit(raw, _EPSILON) if self.card.applied else raw
            fields = torch.cat((torch.zeros_like(logits[:, :1]), logits), dim=1)
        if fields.shape[2:] != shape:
            fields = functional.interpolate(fields, shape, mode="bilinear")
        return fields[0]


def _as_channels(data: Float32, network: Network) -> Float32:
    """The image with as many channels as the network takes."""
    wanted = network.card.channels
    if len(data) == wanted:
        return data
    if len(data) == 1:
        return np.repeat(data, wanted, axis=0)
    if wanted == 1:
        return np.asarray(data.mean(axis=0, keepdims=True), dtype=np.float32)
    if len(data) == 4 and wanted == 3 and data[3].min() == data[3].max():  # a picture with a constant alpha
        return data[:3]
    raise InputError(f"the image has {len(data)} channels; {network.name} takes {wanted}")


def _normalised(data: Float32, card: ModelCard) -> Float32:
    """Intensities on the scale of the network."""
    if card.normalisation == "none":
        return data
    if card.normalisation == "mean-std":
        known = card.mean or data.mean(axis=(1, 2)), card.std or np.maximum(data.std(axis=(1, 2)), 1e-6)
        mean, std = (np.asarray(v, dtype=np.float32).reshape(-1, 1, 1) for v in known)
        return np.asarray((data - mean) / std, dtype=np.float32)
    if card.normalisation == "range":
        return _stretched(data, *card.intensities, *card.scale)
    parts = [data] if is_picture(data) else list(data[:, np.newaxis])
    ends = [np.percentile(some_values(part), card.percentiles) for part in parts]
    scaled: Float32 = np.concatenate(
        [_stretched(p, *map(float, e), *card.scale) for p, e in zip(parts, ends, strict=True)]
    )
    return scaled


def _stretched(data: Float32, low: float, high: float, bottom: float, top: float) -> Float32:
    if high <= low:
        low, high = float(data.min()), float(data.max())
    share = np.clip((data - np.float32(low)) / np.float32(max(high - low, 1e-12)), 0, 1)
    return np.asarray(bottom + (top - bottom) * share, dtype=np.float32)


def _tensor(out: Any) -> Any:
    """The output of a network that may give several: ``out`` of a dict, else the first."""
    if isinstance(out, dict):
        out = out.get("out", next(iter(out.values()), None))
    if isinstance(out, list | tuple) and out:
        out = out[0]
    return out


def open_network(model: str, weights: str, trust: bool, device: str) -> Network:
    """A model, loaded if it has not been yet, or has changed since.

    Parameters
    ----------
    model, weights, trust
        As for :class:`~napari_scribseg.engines.brs.BRS`.
    device : str
        As :func:`~napari_scribseg.numerics.device.choose_device` gives it.

    Raises
    ------
    InputError
        If there is no such model, it cannot be loaded, or is no network that segments slices.
    """
    source = find_source(model)
    paths = [path for path in (source.path, Path(weights).expanduser()) if path.name]
    files = [file for path in paths for file in (path, card_path(path), path / "models" / "model.pt")]
    versions = tuple((s.st_mtime_ns, s.st_size) if (s := _stat(f)) else None for f in files)
    return _open(str(Path.cwd()), model, weights, trust, device, versions)


def _stat(path: Path) -> Any:
    try:
        return path.stat()
    except OSError:
        return None


@lru_cache(maxsize=_KEPT)
def _open(folder: str, model: str, weights: str, trust: bool, device: str, versions: tuple[Any, ...]) -> Network:
    """The model as its files are now (``versions``)."""
    source = find_source(model)
    return complete(load_network(source, weights, trust, device), source.name, device)


def complete(loaded: Loaded, name: str, device: str) -> Network:
    """Find out by small inputs what a network's card leaves open.

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
    problem = f"{name} could not be tried"
    for n in inputs:
        for multiple in (card.multiple,) if card.multiple else _MULTIPLES:
            shape = card.size or _odd_multiples(multiple)
            outputs, problem = _tried(module, n, (shape[0], shape[1]), device, name)
            if outputs is not None:
                found = card.channels or max((n - extra) // card.slices, 1)
                card = replace(card, channels=found, multiple=1 if card.size else multiple)
                card = replace(card, prompt="none" if card.prompt == "auto" else card.prompt)
                card = _with_head(card, outputs)
                _check_outputs(card, outputs[0].shape[1], name)
                fast = _fast(loaded, n, (shape[0], shape[1]), device)
                return Network(module, fast, card, name, device, outputs[0].shape[1], n)
    raise InputError(problem)


def _first_convolution(module: nn.Module) -> Tensor | None:
    """The weights of a network's first convolution over images."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.weight
    held = [*module.parameters(), *module.buffers()]  # exported and scripted networks have no layers of ours
    found = next((tensor for tensor in held if tensor.ndim == 4), None)
    if found is None and "conv" in str(getattr(module, "inlined_graph", "")):  # frozen: the weights are constants
        return torch.empty(1, _CHANNELS[0], 1, 1)
    return found


def _odd_multiples(multiple: int) -> tuple[int, int]:
    """A size that no larger power of two divides."""
    times = max(-(-_LEAST // multiple), 3) | 1
    return times * multiple, (times + 2) * multiple


@torch.no_grad()
def _tried(
    module: nn.Module, channels: int, shape: tuple[int, int], device: str, name: str
) -> tuple[list[Tensor] | None, str]:
    """Outputs for nothing and for noise; or why there are none."""
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (1, channels, *shape)).astype(np.float32))
    outputs = []
    for x in (torch.zeros_like(noise), noise):
        try:
            out = _tensor(module(x.to(device)))
        except Exception as error:  # noqa: BLE001  foreign code may raise anything for a size that it does not take
            return None, f"{name} fails for an input of shape {tuple(x.shape)}: {first_line(error)}"
        if not isinstance(out, Tensor):
            return (
                None,
                f"{name} gives a {type(out).__name__}; one tensor of shape (1, outputs, rows, columns) is expected",
            )
        if out.ndim != 4 or out.shape[2:] != x.shape[2:] or len(out) != 1:
            return None, (
                f"{name} gives an output of shape {tuple(out.shape)} for an input of shape {tuple(x.shape)}; an output "
                "of the input's size is expected"
            )
        outputs.append(out)
    if not all(torch.isfinite(out).all() for out in outputs):
        raise InputError(f"{name} gives NaN or infinite values; finite ones are expected")
    return outputs, ""


def _with_head(card: ModelCard, outputs: list[Tensor]) -> ModelCard:
    """Whether outputs are probabilities, and shared among the classes: by those of two inputs."""
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
def _fast(loaded: Loaded, channels: int, shape: tuple[int, int], device: str) -> nn.Module:
    """The network with batch norm folded and another layout; as it is where that is not possible."""
    if isinstance(loaded.module, torch.jit.ScriptModule | torch.fx.GraphModule):
        return loaded.module
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (1, channels, *shape)).astype(np.float32)).to(device)
    try:
        folded = fold_batch_norm(loaded.module).requires_grad_(False)
        same = torch.allclose(_tensor(folded(x)), _tensor(loaded.module(x)), rtol=1e-3, atol=1e-4)
    except Exception:  # noqa: BLE001  foreign modules may not like to be copied
        same = False
    return folded.to(memory_format=torch.channels_last) if same else loaded.module  # type: ignore[call-overload]
