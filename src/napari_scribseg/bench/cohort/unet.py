"""A plain U-Net trained the usual way: nnU-Net's 2D configuration in small, by MONAI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_scribseg.annotate.drafter import Draft
from napari_scribseg.core import ClassTable, InputError, Source
from napari_scribseg.core.engine import Report
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.learn.examples import Example
from napari_scribseg.learn.slices import SliceReader
from napari_scribseg.numerics.device import choose_device

__all__ = ["PlainUNetDrafter", "train_plain_unet"]

_FILTERS = (32, 64, 128, 256)
_LARGEST_PATCH = 128
_PIXELS = 12 * 64 * 64  # of a batch
_RATE, _MOMENTUM, _DECAY = 0.01, 0.99, 3e-5
_FOREGROUND = 1 / 3  # share of the patches that hold an object
_STRIDE = 2 ** (len(_FILTERS) - 1)

Float32 = NDArray[np.float32]


class PlainUNetDrafter:
    """A trained U-Net; a :class:`~napari_scribseg.annotate.drafter.Drafter`.

    Parameters
    ----------
    model : Module
        From (N, C, H, W) to logits of the background and of the other classes in the order of their ids.
    classes : ClassTable
    patch : tuple of 2 int
        Rows and columns of the patches that it was trained on.
    """

    def __init__(self, model: nn.Module, classes: ClassTable, patch: tuple[int, int]) -> None:
        self._model, self.classes, self._patch = model.eval(), classes, patch

    @property
    def checksum(self) -> str:
        """None of its drafts is kept in a log."""
        return "plain-unet"

    def draft(self, source: Source, slices: Sequence[SliceIndex], report: Report) -> Iterator[Draft]:
        """Draft slices; the mean over the four mirrored images, window by window."""
        from monai.inferers.utils import sliding_window_inference

        reader = SliceReader(source)
        ids = np.asarray(_ids(self.classes), np.uint16)
        device = next(self._model.parameters()).device
        for number, slice_index in enumerate(slices):
            x = torch.from_numpy(_normalized(reader.read(slice_index)[0]))[None].to(device)
            found = torch.zeros(())
            with torch.inference_mode():
                for axes in ((), (2,), (3,), (2, 3)):
                    logits = sliding_window_inference(x.flip(axes), self._patch, 8, self._model, 0.5, mode="gaussian")
                    found = found + torch.softmax(logits.flip(axes), 1).cpu() / 4  # type: ignore[union-attr]
            probabilities = found[0].numpy()
            yield Draft(slice_index, ids[probabilities.argmax(0)], probabilities.max(0))
            report((number + 1) / len(slices))


def train_plain_unet(
    examples: Sequence[Example], classes: ClassTable, *, steps: int, seed: int = 0, device: str = "auto"
) -> PlainUNetDrafter:
    """Train a U-Net from scratch on accepted slices, without anything that was learned before.

    Instance normalisation, deep supervision, Dice and cross entropy together, stochastic gradient descent with
    Nesterov's momentum of 0.99 and a rate that falls from 0.01 by a polynomial; rotated, scaled, mirrored, blurred,
    noisy, brighter and darker patches of up to 128 x 128 pixels, a third of them around an object; windows and mirrored
    images when it predicts.

    Parameters
    ----------
    examples : sequence of Example
        Only accepted slices count.
    classes : ClassTable
    steps : int
        Of one batch each.
    seed : int
        The same seed gives the same network on the same machine.
    device : str

    Returns
    -------
    PlainUNetDrafter

    Raises
    ------
    InputError
        If no slice was accepted.

    References
    ----------
    Isensee et al., "nnU-Net", Nature Methods 2021: its 2D configuration, with fewer channels and steps.
    """
    from monai.losses.dice import DiceCELoss
    from monai.utils.misc import set_determinism

    accepted = [example for example in examples if example.accepted]
    if not accepted:
        raise InputError("no slice was accepted; one at least is expected to train a U-Net")
    set_determinism(seed)
    patches = _Patches(accepted, _ids(classes), seed)
    model = _network(accepted[0].image.shape[0], len(_ids(classes))).to(choose_device(device)).train()
    loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    optimizer = torch.optim.SGD(model.parameters(), _RATE, _MOMENTUM, weight_decay=_DECAY, nesterov=True)
    where = next(model.parameters()).device
    try:
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = _RATE * (1 - step / steps) ** 0.9
            images, targets = (each.to(where) for each in patches.batch())
            outputs = model(images).unbind(1)  # the finest first
            value = sum(loss(output, targets) / 2**scale for scale, output in enumerate(outputs))
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 12)
            optimizer.step()
    finally:
        set_determinism(None)
    return PlainUNetDrafter(model, classes, patches.size)


def _ids(classes: ClassTable) -> tuple[int, ...]:
    """0 for the background, and the ids of the other classes."""
    return (0, *(each.id for each in classes if not each.background))


def _network(channels: int, n_classes: int) -> Any:
    from monai.networks.nets.dynunet import DynUNet

    n = len(_FILTERS)
    return DynUNet(
        2, channels, n_classes, [3] * n, [1, *[2] * (n - 1)], [2] * (n - 1),
        filters=_FILTERS, norm_name="instance", deep_supervision=True, deep_supr_num=2,
    )  # fmt: skip


def _normalized(image: Float32) -> Float32:
    """With mean 0 and variance 1 over the slice."""
    return np.asarray((image - image.mean()) / max(float(image.std()), 1e-3), np.float32)


class _Patches:
    """Batches of changed patches of slices."""

    def __init__(self, examples: Sequence[Example], ids: Sequence[int], seed: int) -> None:
        table = np.zeros(max(ids) + 1, np.int64)
        table[list(ids)] = range(len(ids))
        self._images = [torch.from_numpy(_normalized(example.image)) for example in examples]
        self._targets = [torch.from_numpy(table[example.labels])[None] for example in examples]
        shape = np.median([example.labels.shape for example in examples], axis=0)
        rows, columns = (int(min(-(-n // _STRIDE) * _STRIDE, _LARGEST_PATCH)) for n in shape)
        self.size = (rows, columns)
        self._count = int(np.clip(_PIXELS // (rows * columns), 2, 12))
        self._random = np.random.default_rng(seed)
        self._change = _changes(self.size, seed)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) and class indices (N, 1, H, W)."""
        drawn = [self._one() for _ in range(self._count)]
        return torch.stack([image for image, _ in drawn]), torch.stack([target for _, target in drawn])

    def _one(self) -> tuple[Tensor, Tensor]:
        number = int(self._random.integers(len(self._images)))
        image, target = self._images[number], self._targets[number]
        shape = np.array(target.shape[1:])
        middle = self._random.integers(0, shape)
        if self._random.random() < _FOREGROUND and bool((target > 0).any()):
            inside = (target[0] > 0).nonzero()
            middle = inside[int(self._random.integers(len(inside)))].numpy()
        room = [int(1.5 * n) for n in self.size]  # for turning
        low = [self._start(int(m), r, int(n)) for m, r, n in zip(middle, room, shape, strict=True)]
        at = tuple(slice(a, a + r) for a, r in zip(low, room, strict=True))
        found = self._change({"image": image[:, *at], "target": target[:, *at]})
        return found["image"].as_tensor(), found["target"].as_tensor().round().long()

    @staticmethod
    def _start(middle: int, room: int, length: int) -> int:
        return int(np.clip(middle - room // 2, 0, max(length - room, 0)))


def _changes(size: tuple[int, int], seed: int) -> Any:
    """What is done to a patch: nnU-Net's changes, by MONAI."""
    from monai.transforms.compose import Compose
    from monai.transforms.croppad.dictionary import RandSpatialCropd, SpatialPadd
    from monai.transforms.intensity.dictionary import (
        RandAdjustContrastd,
        RandGaussianNoised,
        RandGaussianSmoothd,
        RandScaleIntensityd,
    )
    from monai.transforms.spatial.dictionary import RandAffined, RandFlipd

    both, image = ["image", "target"], ["image"]
    changes = Compose(
        [
            RandAffined(
                both, prob=0.4, rotate_range=np.pi, scale_range=((-0.3, 0.4), (-0.3, 0.4)),
                mode=("bilinear", "nearest"), padding_mode="zeros",
            ),
            SpatialPadd(both, spatial_size=size),
            RandSpatialCropd(both, roi_size=size, random_size=False),
            RandFlipd(both, prob=0.5, spatial_axis=0),
            RandFlipd(both, prob=0.5, spatial_axis=1),
            RandGaussianNoised(image, prob=0.1, std=0.3),
            RandGaussianSmoothd(image, prob=0.2, sigma_x=(0.5, 1.0), sigma_y=(0.5, 1.0)),
            RandScaleIntensityd(image, prob=0.15, factors=0.25),
            RandAdjustContrastd(image, prob=0.3, gamma=(0.7, 1.5)),
        ]
    )  # fmt: skip
    return changes.set_random_state(seed)
