"""Features of a segment: maps of a network's encoder, and the segment's own brightness, colours and size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, sparse
from torch import Tensor, nn
from torch.nn import functional

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.explore.gradients import to_unit
from napari_scribseg.explore.metric import unit_rows
from napari_scribseg.explore.tuning import StageInput, Tuning, before_last, last_stage, tuned_encoder
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.numerics.fused.filters import gaussian_gradient
from napari_scribseg.prompting.channels import three_channels
from napari_scribseg.prompting.semantic import open_encoder

__all__ = ["CropEncoder", "EncoderView", "MapEncoder", "SegmentEncoder", "make_encoder", "network_edges"]

EncoderView = Literal["maps", "crops"]

_SIDE = 256  # pixels of the longer side of an image whose maps are made at once
_CROP, _SMALL_CROP = 224, 64  # pixels a crop is resized to: as in the paper, and for the shipped network
_MARGIN = 10  # pixels around a segment's box
_BATCH = 32  # crops
_RING = 5  # pixels around a segment that count as its surroundings
_OWN = 1.5  # weight of brightness, colours and size beside a network's scales, each of which has 1
_LARGE = 12.0  # log of the pixels of a large segment

Float32 = NDArray[np.float32]


class SegmentEncoder(Protocol):
    """Describes the regions of an image."""

    @property
    def key(self) -> str:
        """A name that changes whenever the features would."""
        ...

    def describe(self, data: Float32, regions: NDArray[np.int32], report: Report = silent) -> Float32:
        """One vector of unit length for each region.

        Parameters
        ----------
        data : ndarray of shape (C, H, W), float32
            Of any unit.
        regions : ndarray of shape (H, W), int32
            0 to k - 1; -1 for pixels of none.
        report : Report
            Raises :class:`~napari_scribseg.core.Cancelled` to cancel.

        Returns
        -------
        ndarray of shape (k, D), float32
        """
        ...

    def samples(self, network: nn.Module, data: Float32, regions: NDArray[np.int32]) -> list[StageInput]:
        """Input of the last stage of a network for each region, in their order; see :mod:`.tuning`."""
        ...


def make_encoder(
    view: EncoderView = "maps", backbone: str = "", device: str = "auto", tuning: Tuning | None = None
) -> SegmentEncoder:
    """An encoder by its settings; weights are loaded when it is first used.

    Parameters
    ----------
    view : {"maps", "crops"}
        The network is shown each image once, and features are the means of its maps over each segment; or, as in the
        paper, it is shown each segment by itself, the rest zeroed: slower, and blind to the surroundings.
    backbone : str
        Empty for the scribble network of the package; a ``.safetensors`` file of this package; or a timm model with
        weights on its hub, such as ``"hrnet_w18_small.gluon_in1k"`` (extra ``timm``, downloaded once).
    device : str
    tuning : Tuning, optional
        Learned weights of the network.

    Raises
    ------
    InputError
        If the view or the device is unknown.
    """
    if view not in get_args(EncoderView):
        raise InputError(f"the view is {view!r}; one of {', '.join(get_args(EncoderView))} is expected")
    kind = choose_device(device)
    own = not backbone or backbone.endswith(".safetensors")
    if view == "crops":
        return CropEncoder(backbone, kind, _SMALL_CROP if own else _CROP, tuning)
    return MapEncoder(backbone, kind, tuning)


@dataclass(frozen=True, slots=True)
class MapEncoder:
    """Means of an encoder's maps over each segment, all scales; see :func:`make_encoder`."""

    backbone: str = ""
    device: str = "cpu"
    tuning: Tuning | None = None

    @property
    def key(self) -> str:
        """See :class:`SegmentEncoder`."""
        return f"maps {self.backbone} {_SIDE} {_OWN} 1{_learned(self.tuning)}"

    @torch.no_grad()
    def describe(self, data: Float32, regions: NDArray[np.int32], report: Report = silent) -> Float32:
        """See :class:`SegmentEncoder`."""
        channels = three_channels(data)
        report(0.0)
        maps = _opened(self)(_shrunk(channels).to(self.device))
        scales = [unit_rows(_means(one[0].float().cpu().numpy(), regions)) for one in maps]
        return unit_rows(np.concatenate([_own(channels, regions), *scales], axis=1))

    @torch.no_grad()
    def samples(self, network: nn.Module, data: Float32, regions: NDArray[np.int32]) -> list[StageInput]:
        """See :class:`SegmentEncoder`."""
        maps = before_last(network, _shrunk(three_channels(data)).to(self.device))
        height, width = last_stage(network)(maps).shape[-2:]
        pixels = _cells(regions, height, width)
        share = np.asarray(pixels.todense()) / np.maximum(np.asarray(pixels.sum(axis=1)), 1)
        return [StageInput(maps, torch.from_numpy(share.astype(np.float32)).to(self.device))]


@dataclass(frozen=True, slots=True)
class CropEncoder:
    """Means of an encoder's maps of each segment by itself, as in the paper (section 3.3); see :func:`make_encoder`.

    The box around a segment, 10 pixels wider, all else zeroed (the mean of what the network was trained on), resized to
    224x224 for timm's networks and 64x64 for those of this package; the means of the maps of all scales.
    """

    backbone: str = ""
    device: str = "cpu"
    size: int = _SMALL_CROP
    tuning: Tuning | None = None

    @property
    def key(self) -> str:
        """See :class:`SegmentEncoder`."""
        return f"crops {self.backbone} {self.size} {_OWN} 1{_learned(self.tuning)}"

    @torch.no_grad()
    def describe(self, data: Float32, regions: NDArray[np.int32], report: Report = silent) -> Float32:
        """See :class:`SegmentEncoder`."""
        channels = three_channels(data)
        encode = _opened(self)
        parts = [
            [one.float().mean(dim=(2, 3)).cpu().numpy() for one in encode(crops.to(self.device))]
            for crops in self._crops(channels, regions, report)
        ]
        scales = [unit_rows(np.concatenate(scale)) for scale in zip(*parts, strict=True)]
        return unit_rows(np.concatenate([_own(channels, regions), *scales], axis=1))

    @torch.no_grad()
    def samples(self, network: nn.Module, data: Float32, regions: NDArray[np.int32]) -> list[StageInput]:
        """See :class:`SegmentEncoder`."""
        found = []
        for crops in self._crops(three_channels(data), regions, silent):
            maps = before_last(network, crops.to(self.device))
            height, width = last_stage(network)(maps[:1]).shape[-2:]
            pool = torch.full((1, height * width), 1 / (height * width), device=self.device)
            found += [StageInput(one[None], pool) for one in maps]
        return found

    def _crops(self, channels: Float32, regions: NDArray[np.int32], report: Report) -> Iterator[Tensor]:
        """The crops of the segments, in batches of shape (N, 3, size, size)."""
        boxes = ndimage.find_objects(regions + 1)
        for start in range(0, len(boxes), _BATCH):
            report(start / len(boxes))
            some = range(start, min(start + _BATCH, len(boxes)))
            yield torch.cat([self._crop(channels, regions, i, boxes[i]) for i in some])

    def _crop(self, channels: Float32, regions: NDArray[np.int32], index: int, box: tuple[slice, slice]) -> Tensor:
        """One segment, shape (1, 3, size, size)."""
        window = tuple(slice(max(side.start - _MARGIN, 0), side.stop + _MARGIN) for side in box)
        crop = channels[(slice(None), *window)] * (regions[window] == index)
        size = (self.size, self.size)
        return functional.interpolate(torch.from_numpy(crop)[None], size, mode="bilinear", antialias=True)


def _opened(encoder: MapEncoder | CropEncoder) -> Callable[[Tensor], list[Tensor]]:
    if encoder.tuning is None:
        return open_encoder(encoder.backbone, encoder.device)
    return tuned_encoder(encoder.backbone, encoder.device, encoder.tuning)


def _learned(tuning: Tuning | None) -> str:
    return "" if tuning is None else f" learned {tuning.digest}"


def _shrunk(channels: Float32) -> Tensor:
    """Channels as the network is shown them, shape (1, 3, h, w)."""
    image = torch.from_numpy(channels)[None]
    shrink = min(_SIDE / max(channels.shape[1:]), 1.0)
    if shrink < 1:
        size = [max(round(n * shrink), 1) for n in channels.shape[1:]]
        image = functional.interpolate(image, size, mode="bilinear", antialias=True)
    return image


def network_edges(data: Float32, device: str = "auto") -> Float32:
    """Edges by the shipped network: the gradients of the maps of its two finest scales.

    Parameters
    ----------
    data : ndarray of shape (C, H, W), float32
    device : str

    Returns
    -------
    ndarray of shape (H, W), float32
        0 to 1.
    """
    image = torch.from_numpy(three_channels(data))[None]
    kind = choose_device(device)
    total = torch.zeros(image.shape[-2:])
    with torch.no_grad():
        for one in open_encoder("", kind)(image.to(kind))[:2]:
            maps = one[0].float().cpu().numpy()
            spread = maps.std(axis=(1, 2), keepdims=True)
            edges = torch.from_numpy(gaussian_gradient(np.ascontiguousarray(maps / np.maximum(spread, 1e-6)), 1.0))
            total += functional.interpolate(edges[None, None], image.shape[-2:], mode="bilinear")[0, 0]
    return to_unit(total.numpy())


def _means(maps: Float32, regions: NDArray[np.int32]) -> Float32:
    """The mean of each map over each region, shape (k, C); maps may be coarser than the image."""
    pixels = _cells(regions, *maps.shape[1:])
    sums, area = np.asarray(pixels @ maps.reshape(len(maps), -1).T), np.asarray(pixels.sum(axis=1))
    means: Float32 = (sums / np.maximum(area, 1)).astype(np.float32)
    return means


def _cells(regions: NDArray[np.int32], height: int, width: int) -> sparse.csr_matrix:
    """Number of pixels of each region in each cell of a coarser grid, shape (k, height * width)."""
    rows, columns = regions.shape
    down = np.arange(rows) * height // rows
    across = np.arange(columns) * width // columns
    cells = (down[:, np.newaxis] * width + across).reshape(-1)
    flat = regions.reshape(-1)
    inside = flat >= 0
    ones = np.ones(int(inside.sum()), dtype=np.float32)
    shape = (int(regions.max()) + 1, height * width)
    return sparse.csr_matrix((ones, (flat[inside], cells[inside])), shape=shape)


def _own(channels: Float32, regions: NDArray[np.int32]) -> Float32:
    """Brightness, colours, their spread, those around it, and the size of each region, shape (k, 10)."""
    inside = regions >= 0
    index = regions[inside]
    k = int(regions.max()) + 1
    area = np.bincount(index, minlength=k)
    values = channels[:, inside].astype(np.float64)
    mean = np.stack([np.bincount(index, v, minlength=k) / area for v in values], axis=1)
    square = np.stack([np.bincount(index, v**2, minlength=k) / area for v in values], axis=1)
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    around = _around(channels, regions, k)
    size = np.log(area)[:, np.newaxis] / _LARGE
    return (_OWN * np.concatenate([mean, 2 * spread, mean - around, size], axis=1)).astype(np.float32)


def _around(channels: Float32, regions: NDArray[np.int32], k: int) -> NDArray[np.float64]:
    """The mean colour within a few pixels around each region, shape (k, 3); its own where there are none."""
    found = np.zeros((k, len(channels)))
    for i, (down, across) in enumerate(ndimage.find_objects(regions + 1)):
        window = (
            slice(max(down.start - _RING, 0), down.stop + _RING),
            slice(max(across.start - _RING, 0), across.stop + _RING),
        )
        mask = regions[window] == i
        ring = (ndimage.uniform_filter(mask.astype(np.float32), 2 * _RING + 1, mode="constant") > 1e-6) & ~mask
        chosen = ring if ring.any() else mask
        found[i] = channels[(slice(None), *window)][:, chosen].mean(axis=1)
    return found
