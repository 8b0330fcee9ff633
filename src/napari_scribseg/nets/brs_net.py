"""The network of paper 003: DenseNet encoder, coarse decoder, fine decoder (Jang and Kim 2019, figure 2)."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_scribseg.core import InputError
from napari_scribseg.nets.any_size import crop_to, pad_to_multiple
from napari_scribseg.nets.efficient_unet import SqueezeExcite

__all__ = ["BRSNet", "BRSNetConfig", "load_encoder", "widened", "without_fine_decoder"]

_BOTTLENECK = 4  # a dense layer's 1x1 convolution has so many times the growth
_DILATIONS = (1, 2, 3)  # of the first convolution of each branch of the fine decoder
_OLD_NAME = re.compile(r"\.(norm|conv)\.(\d)\.")  # of layers in files of the first versions of torchvision
_LARGEST_FILE = 1 << 28  # bytes of an encoder's file; that of DenseNet-121 has 31 million


@dataclass(frozen=True, slots=True)
class BRSNetConfig:
    """The shape of a :class:`BRSNet`; the defaults are the published one, on DenseNet-121.

    Attributes
    ----------
    in_channels : int
        Red, green, blue, and the interaction maps of object and background.
    stem : int
        Channels of the first convolution.
    growth : int
        Channels that each dense layer adds.
    blocks : tuple of int
        Dense layers at 1/4, 1/8, 1/16 and 1/32 of the resolution.
    squeeze : tuple of int
        Hidden channels of the squeeze-and-excitation behind each dense block.
    skips : tuple of int
        Channels to which the features at 1/4, 1/8 and 1/16 are brought for the coarse decoder.
    coarse : tuple of int
        Channels of the coarse decoder at 1/32, 1/16, 1/8 and 1/4; the last convolution of each has half of them.
    branch : tuple of int
        Channels of the three convolutions of each branch of the fine decoder.
    fine : bool
        Whether there is a fine decoder; the first stage of training has none.
    """

    in_channels: int = 5
    stem: int = 64
    growth: int = 32
    blocks: tuple[int, ...] = (6, 12, 24, 16)
    squeeze: tuple[int, ...] = (16, 32, 64, 64)
    skips: tuple[int, ...] = (64, 128, 256)
    coarse: tuple[int, ...] = (512, 256, 128, 64)
    branch: tuple[int, ...] = (32, 32, 16)
    fine: bool = True

    def __post_init__(self) -> None:
        sizes = {"blocks": 4, "squeeze": 4, "skips": 3, "coarse": 4, "branch": 3}
        for name, size in sizes.items():
            if len(getattr(self, name)) != size:
                raise InputError(f"{name} are {getattr(self, name)}; {size} counts are expected")
        counts = (self.in_channels, self.stem, self.growth, *(n for name in sizes for n in getattr(self, name)))
        if min(counts) < 1 or any(n % 2 for n in self.coarse):
            raise InputError("a count of the network is below 1, or one of coarse is odd; positive counts are expected")

    @property
    def stride(self) -> int:
        """Pixels of the image along an axis for one of the coarsest scale."""
        return 32


class DenseLayer(nn.Module):
    """Batch norm, ReLU, 1x1 convolution, and again with a 3x3 one (Huang et al. 2017)."""

    def __init__(self, inside: int, growth: int) -> None:
        super().__init__()
        hidden = _BOTTLENECK * growth
        self.norm1 = nn.BatchNorm2d(inside)
        self.conv1 = nn.Conv2d(inside, hidden, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, H, W) to (N, inside + growth, H, W): the input, and what the layer adds."""
        y = self.conv1(nn.functional.relu(self.norm1(x)))  # (N, 4 growth, H, W)
        y = self.conv2(nn.functional.relu(self.norm2(y)))  # (N, growth, H, W)
        return torch.cat((x, y), dim=1)


def _dense_block(inside: int, layers: int, growth: int) -> nn.Sequential:
    named = ((f"denselayer{i + 1}", DenseLayer(inside + i * growth, growth)) for i in range(layers))
    return nn.Sequential(OrderedDict(named))


def _transition(inside: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(inside),
            relu=nn.ReLU(inplace=True),
            conv=nn.Conv2d(inside, inside // 2, 1, bias=False),
            pool=nn.AvgPool2d(2),
        )
    )


def _convolution(inside: int, outside: int, kernel: int, dilation: int = 1) -> list[nn.Module]:
    """Convolution, PReLU, batch norm, in this order."""
    padding = dilation * (kernel // 2)
    return [
        nn.Conv2d(inside, outside, kernel, padding=padding, dilation=dilation),
        nn.PReLU(outside),
        nn.BatchNorm2d(outside),
    ]


class BRSNet(nn.Module):
    """Logits of one object from an image and two interaction maps.

    The modules of the encoder have the names of torchvision's DenseNet, so that :func:`load_encoder` finds its weights.

    Parameters
    ----------
    config : BRSNetConfig, optional

    References
    ----------
    Jang and Kim, Interactive Image Segmentation via Backpropagating Refinement Scheme (2019), section 3.1; Huang et
    al., DenseNet (2017).
    """

    def __init__(self, config: BRSNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BRSNetConfig()
        features: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(config.in_channels, config.stem, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(config.stem),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )
        sizes, channels = [], config.stem
        for i, layers in enumerate(config.blocks, 1):
            features[f"denseblock{i}"] = _dense_block(channels, layers, config.growth)
            channels += layers * config.growth
            sizes.append(channels)
            if i < len(config.blocks):
                features[f"transition{i}"] = _transition(channels)
                channels //= 2
        features["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(features)
        self.excite = nn.ModuleList(
            SqueezeExcite(n, h, nn.functional.relu) for n, h in zip(sizes, config.squeeze, strict=True)
        )
        self.skips = nn.ModuleList(nn.Conv2d(n, k, 1) for n, k in zip(sizes, config.skips, strict=False))
        taken = [sizes[-1], *(w // 2 + k for w, k in zip(config.coarse, reversed(config.skips), strict=False))]
        self.coarse = nn.ModuleList(
            nn.Sequential(*_convolution(n, w, 3), *_convolution(w, w, 3), *_convolution(w, w // 2, 1))
            for n, w in zip(taken, config.coarse, strict=True)
        )
        self.grow = nn.ModuleList(nn.ConvTranspose2d(w // 2, w // 2, 2, stride=2) for w in config.coarse[:-1])
        self.coarse_head = nn.Conv2d(config.coarse[-1] // 2, 1, 1)
        self.coarse_grow = nn.ConvTranspose2d(1, 1, 4, stride=4)
        if config.fine:
            inside, (a, b, c) = config.in_channels + 1, config.branch
            self.branches = nn.ModuleList(
                nn.Sequential(*_convolution(inside, a, 3, d), *_convolution(a, b, 3), *_convolution(b, c, 3))
                for d in _DILATIONS
            )
            joined = c * len(_DILATIONS)
            self.weigh = SqueezeExcite(joined, max(joined // 16, 1), nn.functional.relu)
            self.join = nn.Sequential(*_convolution(joined, c, 3))
            self.fine_head = nn.Conv2d(c, 1, 1)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the coarse and of the last decoder, each of shape (N, 1, H, W); see :meth:`forward`."""
        whole = pad_to_multiple(x, self.config.stride)  # (N, in, H', W')
        coarse = self._coarse(whole)  # (N, 1, H', W')
        last = self._fine(whole, coarse) if self.config.fine else coarse
        return crop_to(coarse, x), crop_to(last, x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the object.

        Parameters
        ----------
        x : Tensor of shape (N, in_channels, H, W)
            The image as ``(value - mean) * 0.017`` with values and ImageNet's means from 0 to 255, and the maps
            ``1 - min(distance, 255) / 255``, 0 where there is no click of that kind. Any H and W: the rim is repeated
            up to a multiple of 32, and cut off again.

        Returns
        -------
        Tensor of shape (N, 1, H, W)
            In training with a fine decoder (N, 2, H, W): the logits of the coarse decoder come first.
        """
        coarse, last = self.both(x)
        return torch.cat((coarse, last), dim=1) if self.training and self.config.fine else last

    def _coarse(self, x: Tensor) -> Tensor:
        f, seen, y = dict(self.features.named_children()), [], x
        for name in ("conv0", "norm0", "relu0", "pool0"):
            y = f[name](y)  # to (N, stem, H/4, W/4)
        for i, excite in enumerate(self.excite, 1):
            y = f[f"denseblock{i}"](y)  # (N, sizes[i - 1], H/2^(i + 1), W/2^(i + 1))
            if i < len(self.excite):
                seen.append(excite(y))
                y = f[f"transition{i}"](y)
            else:
                y = excite(nn.functional.relu(f["norm5"](y)))
        y = self.coarse[0](y)  # (N, coarse[0] / 2, H/32, W/32)
        for stage, grow, skip, features in zip(
            self.coarse[1:], self.grow, reversed(self.skips), reversed(seen), strict=True
        ):
            y = stage(torch.cat((grow(y), skip(features)), dim=1))  # (N, coarse[i] / 2, H/2^(5 - i), W/2^(5 - i))
        grown: Tensor = self.coarse_grow(self.coarse_head(y))  # (N, 1, H/4, W/4) to (N, 1, H, W)
        return grown

    def _fine(self, x: Tensor, coarse: Tensor) -> Tensor:
        seen = torch.cat((x, torch.sigmoid(coarse)), dim=1)  # (N, in + 1, H, W)
        y = self.weigh(torch.cat([branch(seen) for branch in self.branches], dim=1))  # (N, 3 c, H, W)
        fine: Tensor = self.fine_head(self.join(y))  # (N, c, H, W) to (N, 1, H, W)
        return fine


def without_fine_decoder(model: BRSNet) -> BRSNet:
    """A network whose output is that of the coarse decoder of ``model``, which stays as it is (paper 003, table 2)."""
    coarse = BRSNet(replace(model.config, fine=False))
    own = model.state_dict()
    coarse.load_state_dict({name: own[name] for name in coarse.state_dict()})
    return coarse.train(model.training)


def widened(model: BRSNet, in_channels: int) -> BRSNet:
    """A network with further input channels, on which its output does not depend yet.

    Parameters
    ----------
    model : BRSNet
        Stays as it is.
    in_channels : int
        Of the result; the further channels come last, and have the weight 0.

    Raises
    ------
    InputError
        If it takes more channels already.
    """
    before = model.config.in_channels
    if in_channels < before:
        raise InputError(
            f"{in_channels} input channels are asked for; at least the {before} of the network are expected"
        )
    wider, own = BRSNet(replace(model.config, in_channels=in_channels)), model.state_dict()
    for name, value in wider.state_dict().items():
        if value.shape != own[name].shape:  # a first convolution; the coarse output is the fine decoder's last input
            old = own[name]
            new = old.new_zeros((len(old), in_channels - before, *old.shape[2:]))
            own[name] = torch.cat((old[:, :before], new, old[:, before:]), dim=1)
    wider.load_state_dict(own)
    return wider.train(model.training)


def load_encoder(model: BRSNet, path: str | Path) -> BRSNet:
    """Give a network the encoder of torchvision's DenseNet, such as the ImageNet weights of DenseNet-121.

    Parameters
    ----------
    model : BRSNet
        Its encoder is changed, but for the weights of the interaction maps in the first convolution.
    path : str or Path
        A state dict saved by torch, such as ``densenet121-a639ec97.pth``; read without unpickling code.

    Raises
    ------
    InputError
        If the file is missing, no such file, or holds an encoder of another shape.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"the encoder's file {path} is missing; one such as densenet121-a639ec97.pth is expected")
    if path.stat().st_size > _LARGEST_FILE:
        raise InputError(
            f"{path.name} has {path.stat().st_size} bytes; an encoder of at most {_LARGEST_FILE} is expected"
        )
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path.name} cannot be read ({error}); a state dict saved by torch is expected") from error
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise InputError(f"{path.name} holds {type(found).__name__}; a state dict of tensors is expected")
    given = {_OLD_NAME.sub(r".\1\2.", name).removeprefix("features."): v for name, v in found.items()}
    own = model.features.state_dict()
    first = own["conv0.weight"].clone()
    for name, value in own.items():
        new = given.get(name)
        if new is None and name.endswith("num_batches_tracked"):
            continue
        expected = (value.shape[0], 3, *value.shape[2:]) if name == "conv0.weight" else tuple(value.shape)
        if new is None or tuple(new.shape) != tuple(expected):
            shape = "nothing" if new is None else f"shape {tuple(new.shape)}"
            raise InputError(f"{path.name} has {shape} for {name}; shape {tuple(expected)} is expected")
        own[name] = torch.cat((new, first[:, 3:]), dim=1) if name == "conv0.weight" else new
    model.features.load_state_dict(own)
    return model
