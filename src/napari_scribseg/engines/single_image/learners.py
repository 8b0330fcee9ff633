"""Networks with their strokes: the losses that a fit needs, and the logits of the whole image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_scribseg.engines.single_image.fields import Fields
from napari_scribseg.engines.single_image.fit import by_graph
from napari_scribseg.engines.single_image.pixel_net import PixelNet
from napari_scribseg.engines.single_image.stroke_samples import StrokeSamples
from napari_scribseg.engines.single_image.unet import SingleUNet, rectangles_around

__all__ = ["GraphLearner", "Learner", "Penalty", "PixelLearner", "UNetLearner"]

Part = TypeVar("Part")


class Learner(Protocol):
    """A network and the strokes that it is fitted to."""

    @property
    def network(self) -> nn.Module:
        """Being fitted."""
        ...

    def loss(self) -> Tensor:
        """The loss at the training strokes, the penalty included."""
        ...

    def descend(self) -> Tensor:
        """The loss without its graph, and its gradient in ``grad`` of the network's parameters."""
        ...

    def validate(self) -> Tensor:
        """Cross-entropy at the strokes that are held back."""
        ...

    def logits(self, progress: Callable[[float], None]) -> Tensor:
        """Logits of the whole image, shape (K, H, W); ``progress`` gets the share that is done."""
        ...


class Penalty(NamedTuple):
    """``weight |grad L|_1`` over some input channels (Dröge & Moeller 2021, equation 2), of weight ``1e-7 beta``."""

    weight: float
    channels: slice


class PixelLearner:
    """A :class:`PixelNet` fitted at the receptive fields of the strokes alone, which is exact.

    Parameters
    ----------
    network : PixelNet
    channels : Tensor of shape (C, H, W)
        The input.
    samples : StrokeSamples
    penalty : Penalty, optional
    """

    def __init__(
        self, network: PixelNet, channels: Tensor, samples: StrokeSamples, penalty: Penalty | None = None
    ) -> None:
        self.network, self._channels = network, channels
        self._penalty = penalty if penalty is not None and penalty.weight > 0 else None
        self._fitted = self._part(samples, samples.fitted)
        self._validating = self._part(samples, samples.validating)

    def _part(self, samples: StrokeSamples, chosen: NDArray[np.bool_]) -> tuple[Fields, Tensor, Tensor]:
        """Receptive fields, their input rows (N, C) and the targets."""
        net, channels = self.network, self._channels
        depth = len(net.weights) if net.kernel > 1 else 0
        shape = int(channels.shape[1]), int(channels.shape[2])
        fields = Fields.of(samples.pixels[chosen], shape, net.kernel, depth).to(str(channels.device))
        rows = channels.reshape(len(channels), -1)[:, fields.sources].T.contiguous()
        rows = rows if self._penalty is not None else net.patches(rows, fields)
        return fields, rows, torch.from_numpy(samples.targets[chosen]).to(channels.device)

    def loss(self) -> Tensor:
        """See :class:`Learner`."""
        fields, rows, targets = self._fitted
        if self._penalty is None:
            return functional.cross_entropy(self.network.at(rows, fields), targets)
        rows = rows.detach().requires_grad_(True)  # one row a pixel: gradients of overlapping patches are summed
        loss = functional.cross_entropy(self.network.at(self.network.patches(rows, fields), fields), targets)
        (gradient,) = torch.autograd.grad(loss, rows, create_graph=True)
        return loss + self._penalty.weight * gradient[:, self._penalty.channels].abs().sum()

    def descend(self) -> Tensor:
        """See :class:`Learner`."""
        if self._penalty is None:
            fields, patches, targets = self._fitted
            classes = functional.one_hot(targets, self.network.head.shape[1]).to(patches.dtype)
            return self.network.descend(patches, fields, classes)
        return by_graph(self.network, self.loss)

    def validate(self) -> Tensor:
        """See :class:`Learner`."""
        fields, rows, targets = self._validating
        patches = rows if self._penalty is None else self.network.patches(rows, fields)
        return functional.cross_entropy(self.network.at(patches, fields), targets)

    def logits(self, progress: Callable[[float], None]) -> Tensor:
        """See :class:`Learner`."""
        return self.network.everywhere(self._channels, progress)


class GraphLearner(ABC, Generic[Part]):
    """A network whose cross-entropy at a part of the strokes is computed and differentiated by torch alone.

    Attributes
    ----------
    network : Module
    """

    network: nn.Module
    _fitted: Part
    _validating: Part

    @abstractmethod
    def _cross_entropy(self, part: Part) -> Tensor:
        """At the strokes of a part."""

    def loss(self) -> Tensor:
        """See :class:`Learner`."""
        return self._cross_entropy(self._fitted)

    def descend(self) -> Tensor:
        """See :class:`Learner`."""
        return by_graph(self.network, self.loss)

    def validate(self) -> Tensor:
        """See :class:`Learner`."""
        return self._cross_entropy(self._validating)


class UNetLearner(GraphLearner[list[tuple[Tensor, Tensor, Tensor]]]):
    """A :class:`SingleUNet` fitted in the rectangles that its outputs at the strokes depend on, which is exact.

    Parameters
    ----------
    network : SingleUNet
    channels : Tensor of shape (C, H, W)
    samples : StrokeSamples
    """

    network: SingleUNet

    def __init__(self, network: SingleUNet, channels: Tensor, samples: StrokeSamples) -> None:
        self.network, self._channels = network, channels
        self._fitted = self._parts(samples, samples.fitted)
        self._validating = self._parts(samples, samples.validating)

    def _parts(self, samples: StrokeSamples, chosen: NDArray[np.bool_]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """For each crop its channels, the flat indices of the strokes in it, and their targets."""
        if not chosen.any():
            return []
        net, channels = self.network, self._channels
        width, parts = int(channels.shape[2]), []
        pixels, targets = samples.pixels[chosen], samples.targets[chosen]
        left = np.ones(len(pixels), dtype=bool)  # a stroke pixel counts once, also where rectangles overlap
        for box in rectangles_around(pixels, (int(channels.shape[1]), width), net.reach, net.stride):
            rows, columns = pixels // width - box[0].start, pixels % width - box[1].start
            margins = [(rows, box[0], int(channels.shape[1])), (columns, box[1], width)]
            seen = left.copy()
            for at, span, size in margins:
                first = 0 if span.start == 0 else net.reach
                last = span.stop - span.start - (0 if span.stop == size else net.reach)
                seen &= (at >= first) & (at < last)
            left &= ~seen
            flat = rows[seen] * (box[1].stop - box[1].start) + columns[seen]
            where, wanted = (torch.from_numpy(a).to(channels.device) for a in (flat, targets[seen]))
            parts.append((channels[None, :, box[0], box[1]].contiguous(), where, wanted))
        return parts

    def _cross_entropy(self, part: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        found, wanted = [], []
        for crop, where, targets in part:
            logits = self.network(crop)[0]  # (K, h, w)
            found.append(logits.reshape(len(logits), -1)[:, where].T)
            wanted.append(targets)
        return functional.cross_entropy(torch.cat(found), torch.cat(wanted))

    @torch.no_grad()
    def logits(self, progress: Callable[[float], None]) -> Tensor:
        """See :class:`Learner`."""
        progress(0.0)
        logits: Tensor = self.network(self._channels[None])[0]
        return logits
