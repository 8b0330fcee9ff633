"""Trained networks prepared for inference: batch norm folded, channels last, CUDA graphs."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_scribseg.core import InputError

__all__ = ["Precision", "Predictor", "fold_batch_norm", "for_inference"]

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_WARM_UP = 3  # runs before a graph is captured, as the CUDA documentation asks for
_N_GRAPHS = 8  # input shapes kept; each holds its own activations on the card


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A copy of a network whose batch norms are part of the convolutions before them.

    Parameters
    ----------
    model : nn.Module
        Stays as it is. Folded is each ``BatchNorm2d`` that follows a ``Conv2d`` in an ``nn.Sequential``.

    Returns
    -------
    nn.Module
        In eval mode; its output is that of ``model.eval()`` up to rounding.
    """
    folded = copy.deepcopy(model).eval()
    for name, module in list(folded.named_modules()):
        if type(module) is nn.Sequential:  # a class derived from it may do more than call its parts in turn
            parent, _, child = name.rpartition(".")
            sequence = _fold_sequence(module)
            if name:
                setattr(folded.get_submodule(parent), child, sequence)
            else:
                folded = sequence
    return folded


def _fold_sequence(sequence: nn.Sequential) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in sequence:
        if isinstance(layer, nn.BatchNorm2d) and layers and isinstance(layers[-1], nn.Conv2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
        else:
            layers.append(layer)
    return nn.Sequential(*layers).eval()


class Predictor:
    """A network for inference; the same input gives the same output on one device.

    Attributes
    ----------
    model : nn.Module
        Folded, in eval mode, channels last, without gradients.
    device : torch.device
    dtype : torch.dtype
        Type that it computes in.
    """

    def __init__(self, model: nn.Module, device: torch.device, dtype: torch.dtype, graphs: bool) -> None:
        self.device, self.dtype = device, dtype
        self.model = model.to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._graphs: OrderedDict[tuple[int, ...], _Graph] | None = OrderedDict() if graphs else None

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        """Logits.

        Parameters
        ----------
        x : Tensor of shape (N, C, H, W)
            On any device, of any real type.

        Returns
        -------
        Tensor of shape (N, 1, H, W), float32
            On ``device``.
        """
        x = x.to(device=self.device, dtype=self.dtype, memory_format=torch.channels_last)
        if self._graphs is None:
            logits: Tensor = self.model(x)
            return logits.float()
        shape = tuple(x.shape)
        if shape not in self._graphs:
            if len(self._graphs) >= _N_GRAPHS:
                self._graphs.popitem(last=False)
            self._graphs[shape] = _Graph(self.model, x)
        self._graphs.move_to_end(shape)
        return self._graphs[shape](x)


class _Graph:
    """The kernels of one input shape, recorded once and replayed: no launch costs on the host."""

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        self.x = x.clone(memory_format=torch.channels_last)
        stream = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                model(self.x)
        torch.cuda.current_stream(x.device).wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            logits: Tensor = model(self.x)
            self.y = logits.float()

    def __call__(self, x: Tensor) -> Tensor:
        self.x.copy_(x)
        self.graph.replay()
        return self.y.clone()


def for_inference(
    model: nn.Module, device: str = "cpu", precision: Precision = "auto", *, graphs: bool = True
) -> Predictor:
    """Prepare a network for inference.

    Parameters
    ----------
    model : nn.Module
        Trained; stays as it is.
    device : str
        As :func:`~napari_scribseg.numerics.device.choose_device` gives it.
    precision : {"auto", "float32", "bfloat16", "float16"}
        ``auto``: float16 on a CUDA card, float32 elsewhere.
    graphs : bool
        On a CUDA card, record the kernels of each input shape once and replay them (the last 8 shapes are kept).

    Returns
    -------
    Predictor

    Raises
    ------
    InputError
        If the precision is unknown, or float16 on a CPU, which lacks most of it.
    """
    kind = torch.device(device)
    names = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    chosen = ("float16" if kind.type == "cuda" else "float32") if precision == "auto" else precision
    if chosen not in names:
        raise InputError(f"the precision is {precision!r}; one of auto, {', '.join(names)} is expected")
    if chosen == "float16" and kind.type == "cpu":
        raise InputError("the precision float16 was asked for on a CPU; float32 or bfloat16 is expected there")
    return Predictor(
        fold_batch_norm(model).requires_grad_(False), kind, names[chosen], graphs=graphs and kind.type == "cuda"
    )
