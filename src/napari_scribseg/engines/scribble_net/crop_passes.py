"""Passes of the network: a first one in a crop that grows with the object, a second one in a crop that fits it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.engines.scribble_net.networks import WORKING_SIZE, ScribbleNetwork
from napari_scribseg.engines.scribble_net.stroke_parts import Part
from napari_scribseg.prompting.crops import (
    MOST_GROWTHS,
    Box,
    Crop,
    CropLogits,
    Level,
    crop_image,
    crop_strokes,
    first_box,
    fit_crops,
    grown,
    object_box,
    square,
)
from napari_scribseg.prompting.predictions import LIMIT, ClassLogits, Grid

__all__ = ["PreparedImage", "first_pass", "second_pass"]

_FIT = 2.5  # side of the second crop over the extent of the object
_LEAST_FIT = 24.0  # side of a second crop: the smallest that networks are trained on
_LEAST_ZOOM = 0.4  # side of a second crop over that of the first
_MOST_REGROWTHS = 1  # of a second crop
_SEAM = 6.0  # pixels at the rim of the second crop over which it replaces the first


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage(Grid):
    """An image at all resolutions of the crops, and the network.

    Attributes
    ----------
    levels : tuple of Level
    network : ScribbleNetwork
    """

    levels: tuple[Level, ...]
    network: ScribbleNetwork


def first_pass(
    image: PreparedImage, parts: Mapping[int, Part], before: Mapping[int, ClassLogits], whole: Collection[int | None]
) -> dict[int, ClassLogits]:
    """One pass for every part, in one batch; a part whose object leaves its crop gets another pass in a larger one.

    Parameters
    ----------
    image : PreparedImage
    parts : mapping of int to Part
        The strokes of classes, by any numbers.
    before : mapping of int to ClassLogits
        Predictions before the last stroke, by the same numbers: an input of the network.
    whole : collection of int
        Classes for which the network is shown the whole image.
    """
    boxes = {
        k: _whole(image) if part.label in whole else _first_box(image, part, before.get(k)) for k, part in parts.items()
    }
    return _run(image, parts, boxes, before, MOST_GROWTHS)


def second_pass(
    image: PreparedImage, parts: Mapping[int, Part], first: Mapping[int, ClassLogits], whole: bool
) -> dict[int, ClassLogits]:
    """Another pass for every part, in a crop that fits its object, with the first prediction as an input."""
    boxes = {k: _whole(image) if whole else _second_box(image, first[k]) for k in parts}
    second = _run(image, parts, boxes, first, _MOST_REGROWTHS)
    return {k: _joined(image, first[k], o) for k, o in second.items()}


def _run(
    image: PreparedImage,
    parts: Mapping[int, Part],
    boxes: Mapping[int, Box],
    before: Mapping[int, ClassLogits],
    growths: int,
) -> dict[int, ClassLogits]:
    """A pass for every part, in one batch, and further ones in larger crops for objects that leave theirs."""
    found: dict[int, ClassLogits] = {}
    for turn in range(growths + 1):
        crops = dict(zip(boxes, fit_crops(list(boxes.values()), WORKING_SIZE, image.extent), strict=True))
        found |= _predict(image, parts, crops, before)
        larger = {k: grown(found[k].patches[0], image.extent) for k in boxes} if turn < growths else {}
        boxes = {k: box for k, box in larger.items() if box is not None}
        if not boxes:
            break
    return found


def _predict(
    image: PreparedImage, parts: Mapping[int, Part], crops: Mapping[int, Crop], before: Mapping[int, ClassLogits]
) -> dict[int, ClassLogits]:
    """Run the network on a crop for each part."""
    device = image.network.device
    seen: dict[Crop, Tensor] = {crop: crop_image(image.levels, crop) for crop in set(crops.values())}
    shown = torch.stack([seen[crop] for crop in crops.values()])
    drawn = [_stroke_map(parts[k], crop, image) for k, crop in crops.items()]
    stroke_map = torch.from_numpy(np.stack(drawn)).to(device)
    previous = None
    if image.network.recalls and before:
        zeros = torch.zeros(shown.shape[-2:], device=device)
        previous = torch.stack([torch.sigmoid(before[k].on(v)[0]) if k in before else zeros for k, v in crops.items()])
    logits = image.network(shown, stroke_map, previous)
    logits = LIMIT * torch.tanh(logits / LIMIT)
    on_host = logits.cpu().numpy()
    return {
        k: ClassLogits(
            (CropLogits(crop, logits[i]),),
            object_box(parts[k].box(image.pixel), crop, on_host[i] > 0, drawn[i] > 0, image.extent),
        )
        for i, (k, crop) in enumerate(crops.items())
    }


def _stroke_map(part: Part, crop: Crop, image: PreparedImage) -> NDArray[np.int8]:
    return crop_strokes(part.strokes.seeds, part.strokes.painted, part.label, crop, image.pixel)


def _first_box(image: PreparedImage, part: Part, before: ClassLogits | None) -> Box:
    """The box of the first crop of a part."""
    former = None if before is None else before.box
    dot = former is None and part.strokes.n_dots(part.label, image.pixel) == 1
    return first_box(part.box(image.pixel), dot, former, image.extent)


def _second_box(image: PreparedImage, first: ClassLogits) -> Box:
    """The box of the second crop of a part, not much smaller than the first, which may have missed the object."""
    least = max(_LEAST_FIT, _LEAST_ZOOM * WORKING_SIZE * first.patches[0].crop.scale)
    return square(first.box, _FIT, least, image.extent)


def _whole(image: PreparedImage) -> Box:
    return (0.0, 0.0, *image.extent)


def _joined(image: PreparedImage, first: ClassLogits, second: ClassLogits) -> ClassLogits:
    """The second prediction over the first, without a seam at its rim."""
    patch = second.patches[0]
    under, covered = first.on(patch.crop)
    share = torch.ones(patch.crop.shape, device=patch.logits.device)
    for axis in (0, 1):
        start, stop = patch.crop.box[axis], patch.crop.box[axis + 2]
        n = patch.crop.shape[axis]
        ramp = np.ones(n, dtype=np.float32)
        if start > 0:
            ramp = np.minimum(ramp, (np.arange(n) + 0.5) / _SEAM)
        if stop < image.extent[axis]:
            ramp = np.minimum(ramp, ((n - np.arange(n)) - 0.5) / _SEAM)
        along = torch.from_numpy(ramp.astype(np.float32)).to(share.device)
        share = torch.minimum(share, along[:, None] if axis == 0 else along[None])
    share = torch.where(covered, share, torch.ones_like(share))
    logits = torch.lerp(under, patch.logits, share)
    return ClassLogits((*first.patches[:1], CropLogits(patch.crop, logits)), second.box)
