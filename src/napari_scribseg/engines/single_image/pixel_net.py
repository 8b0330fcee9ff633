"""The pixel-wise network and the small CNN: on the whole image, and at a few pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_scribseg.engines.single_image.fields import Fields, gather, scatter

__all__ = ["PixelNet"]

_SLOPE = 0.01  # of Leaky ReLU below zero, as in torch
_BAND = 1 << 14  # pixels computed at once, so that the layers between stay in the processor's cache


class PixelNet(nn.Module):
    """``depth`` convolutions of ``width`` channels with Leaky ReLU, and a 1x1 convolution to the classes.

    A kernel of 1 makes it the pixel-wise network of the paper. Convolutions see zeros outside the image.

    Parameters
    ----------
    in_channels, n_classes, width, depth : int
    kernel : int
        Side of the convolutions, odd.
    generator : torch.Generator
        Draws the weights, uniformly as torch does for a convolution.
    """

    def __init__(
        self, in_channels: int, n_classes: int, width: int, depth: int, kernel: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.kernel = kernel
        sizes = [in_channels, *[width] * depth]
        self.weights = nn.ParameterList()  # (kernel * kernel * C, width): what a matrix product takes
        self.biases = nn.ParameterList()
        for inside, outside in pairwise(sizes):
            self.weights.append(_drawn((kernel * kernel * inside, outside), kernel * kernel * inside, generator))
            self.biases.append(_drawn((outside,), kernel * kernel * inside, generator))
        self.head = nn.Parameter(_drawn((width, n_classes), width, generator))
        self.head_bias = nn.Parameter(_drawn((n_classes,), width, generator))

    @property
    def reach(self) -> int:
        """How far from a pixel its output is influenced."""
        return len(self.weights) * (self.kernel // 2)

    def set_classes(self, class_map: Sequence[int | None], generator: torch.Generator) -> None:
        """Give the last layer other classes.

        Parameters
        ----------
        class_map : sequence of int or None
            For each class, its present index, or None for a new one.
        generator : torch.Generator
            Draws the weights of new classes.
        """
        width = len(self.head)
        fresh = _drawn((width, len(class_map)), width, generator), _drawn((len(class_map),), width, generator)
        with torch.no_grad():
            for new, old in enumerate(class_map):
                if old is not None:
                    fresh[0][:, new], fresh[1][new] = self.head[:, old], self.head_bias[old]
        device = self.head.device
        self.head, self.head_bias = nn.Parameter(fresh[0].to(device)), nn.Parameter(fresh[1].to(device))

    def patches(self, rows: Tensor, fields: Fields) -> Tensor:
        """Input of the first convolution, shape (M, kernel * kernel * C), from the inputs (N, C) at ``sources``."""
        return rows if self.kernel == 1 else gather(rows, fields.tables[0])

    def at(self, patches: Tensor, fields: Fields) -> Tensor:
        """Logits of shape (M, K) at the pixels that ``fields`` were made for.

        Parameters
        ----------
        patches : Tensor
            From :meth:`patches`.
        fields : Fields
            Of this kernel and depth.
        """
        x = patches
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if i and self.kernel > 1:
                x = gather(x, fields.tables[i])  # (M, kernel * kernel * width)
            x = functional.leaky_relu(torch.addmm(bias, x, weight))  # (M, width)
        return torch.addmm(self.head_bias, x, self.head)  # (M, K)

    @torch.no_grad()
    def descend(self, patches: Tensor, fields: Fields, targets: Tensor) -> Tensor:
        """The mean cross-entropy at the pixels of :meth:`at`, its gradient put into ``grad`` of every parameter.

        The same as by ``backward``; with so few pixels, recording a layer takes longer than computing it.

        Parameters
        ----------
        patches, fields
            As for :meth:`at`.
        targets : Tensor of shape (M, K)
            1 for each pixel's class, 0 for the others.
        """
        seen, outputs, x = [], [], patches
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            seen.append(gather(x, fields.tables[i]) if i and self.kernel > 1 else x)
            x = functional.leaky_relu_(torch.addmm(bias, seen[-1], weight))  # (M, width)
            outputs.append(x)
        log_shares = torch.log_softmax(torch.addmm(self.head_bias, x, self.head), dim=1)
        loss = -(log_shares * targets).sum() / len(targets)
        back = log_shares.exp_().sub_(targets).div_(len(targets))  # of the logits
        self.head.grad, self.head_bias.grad = x.T @ back, back.sum(0)
        weight = self.head
        for i in reversed(range(len(outputs))):
            back = back @ weight.T  # of this layer's output, or of its patches
            if i < len(outputs) - 1 and self.kernel > 1:
                back = scatter(back, fields.tables[i + 1], len(outputs[i]))
            back = torch.ops.aten.leaky_relu_backward(back, outputs[i], _SLOPE, True)
            weight = self.weights[i]
            weight.grad, self.biases[i].grad = seen[i].T @ back, back.sum(0)
        return loss

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (N, K, H, W) for an input of shape (N, C, H, W)."""
        for weight, bias in zip(self.weights, self.biases, strict=True):
            x = functional.conv2d(x, self._kernels(weight), bias, padding=self.kernel // 2)  # (N, width, H, W)
            x = functional.leaky_relu(x)
        return functional.conv2d(x, self.head.T[:, :, None, None], self.head_bias)  # (N, K, H, W)

    def _kernels(self, weight: Tensor) -> Tensor:
        """A weight in the layout of a convolution, (width, C, kernel, kernel)."""
        return weight.reshape(self.kernel, self.kernel, -1, weight.shape[1]).permute(3, 2, 0, 1)

    @torch.no_grad()
    def everywhere(self, channels: Tensor, progress: Callable[[float], None]) -> Tensor:
        """Logits of shape (K, H, W) for channels (C, H, W), band by band, the same as in one piece.

        ``progress`` is called with the share that is done; may raise to end it.
        """
        height, width = channels.shape[1:]
        rows = max(_BAND // width, 4 * self.reach, 1) if channels.device.type == "cpu" else height
        logits = channels.new_empty((self.head.shape[1], height, width))
        for top in range(0, height, rows):
            progress(top / height)
            first, bottom = max(top - self.reach, 0), min(top + rows, height)
            part = self(channels[None, :, first : min(bottom + self.reach, height)])[0]
            logits[:, top:bottom] = part[:, top - first : bottom - first]
        return logits


def _drawn(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    bound = fan_in**-0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
