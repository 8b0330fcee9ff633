"""The network asked about each class: a first look at a crop that grows with the object, a second one that fits it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from napari_scribseg.engines.scribble_net.networks import WORKING_SIZE
from napari_scribseg.engines.scribble_net.scene import Scene
from napari_scribseg.prompting.crops import (
    MOST_GROWTHS,
    Box,
    Crop,
    Patch,
    crop_strokes,
    first_box,
    fit_crops,
    grown,
    look,
    object_box,
    square,
)
from napari_scribseg.prompting.predictions import LIMIT, ClassLogits, Strokes

__all__ = ["first_look", "second_look"]

_FIT = 2.5  # side of the second crop over the extent of the object
_LEAST_FIT = 24.0  # side of a second crop: the smallest that networks are trained on
_LEAST_ZOOM = 0.4  # side of a second crop over that of the first
_MOST_REGROWTHS = 1  # of a second crop
_SEAM = 6.0  # pixels at the rim of the second crop over which it takes over from the first


def first_look(
    scene: Scene,
    strokes: Strokes,
    labels: Sequence[int],
    before: Mapping[int, ClassLogits],
    whole: Collection[int | None],
) -> dict[int, ClassLogits]:
    """One pass for every class, in one batch; those whose object leaves the crop are asked again in a larger one.

    Parameters
    ----------
    scene : Scene
    strokes : Strokes
    labels : sequence of int
        Classes, each with strokes.
    before : mapping of int to ClassLogits
        What was said before the last stroke; the network is told.
    whole : collection of int
        Classes that are looked for in the whole image.
    """
    boxes = {k: _whole(scene) if k in whole else _first_box(scene, strokes, k, before.get(k)) for k in labels}
    return _look(scene, strokes, boxes, before, MOST_GROWTHS)


def second_look(
    scene: Scene, strokes: Strokes, first: Mapping[int, ClassLogits], whole: bool
) -> dict[int, ClassLogits]:
    """Another pass for every class, in a crop that fits its object, told what the first pass said there."""
    boxes = {k: _whole(scene) if whole else _second_box(scene, o) for k, o in first.items()}
    second = _look(scene, strokes, boxes, first, _MOST_REGROWTHS)
    return {k: _joined(scene, first[k], o) for k, o in second.items()}


def _look(
    scene: Scene, strokes: Strokes, boxes: Mapping[int, Box], before: Mapping[int, ClassLogits], growths: int
) -> dict[int, ClassLogits]:
    """A pass for every class, in one batch; those whose object leaves its crop are asked again in a larger one."""
    found: dict[int, ClassLogits] = {}
    for turn in range(growths + 1):
        crops = dict(zip(boxes, fit_crops(list(boxes.values()), WORKING_SIZE, scene.extent), strict=True))
        found |= _ask(scene, strokes, crops, before)
        larger = {k: grown(found[k].patches[0], scene.extent) for k in boxes} if turn < growths else {}
        boxes = {k: box for k, box in larger.items() if box is not None}
        if not boxes:
            break
    return found


def _ask(
    scene: Scene, strokes: Strokes, crops: Mapping[int, Crop], before: Mapping[int, ClassLogits]
) -> dict[int, ClassLogits]:
    """Show the network a crop for each class."""
    device = scene.network.device
    seen: dict[Crop, Tensor] = {crop: look(scene.levels, crop) for crop in set(crops.values())}
    image = torch.stack([seen[crop] for crop in crops.values()])
    drawn = [crop_strokes(strokes.seeds, strokes.painted, k, v, scene.pixel) for k, v in crops.items()]
    stroke_map = torch.from_numpy(np.stack(drawn)).to(device)
    previous = None
    if scene.network.recalls and before:
        nothing = torch.zeros(image.shape[-2:], device=device)
        previous = torch.stack(
            [torch.sigmoid(before[k].seen_in(v)[0]) if k in before else nothing for k, v in crops.items()]
        )
    logits = scene.network(image, stroke_map, previous)
    logits = LIMIT * torch.tanh(logits / LIMIT)
    on_host = logits.cpu().numpy()
    return {
        k: ClassLogits(
            (Patch(crop, logits[i]),),
            object_box(strokes.box(k, scene.pixel), crop, on_host[i] > 0, drawn[i] > 0, scene.extent),
        )
        for i, (k, crop) in enumerate(crops.items())
    }


def _first_box(scene: Scene, strokes: Strokes, label: int, before: ClassLogits | None) -> Box:
    """What the first crop of a class is to show."""
    known = None if before is None else before.box
    dot = known is None and strokes.n_dots(label, scene.pixel) == 1
    return first_box(strokes.box(label, scene.pixel), dot, known, scene.extent)


def _second_box(scene: Scene, first: ClassLogits) -> Box:
    """What the second crop of a class is to show; not much less than the first, which may have missed most of it."""
    least = max(_LEAST_FIT, _LEAST_ZOOM * WORKING_SIZE * first.patches[0].crop.scale)
    return square(first.box, _FIT, least, scene.extent)


def _whole(scene: Scene) -> Box:
    return (0.0, 0.0, *scene.extent)


def _joined(scene: Scene, first: ClassLogits, second: ClassLogits) -> ClassLogits:
    """The second look over the first, without a seam at its rim."""
    patch = second.patches[0]
    under, known = first.seen_in(patch.crop)
    share = torch.ones(patch.crop.shape, device=patch.logits.device)
    for axis in (0, 1):
        start, stop = patch.crop.box[axis], patch.crop.box[axis + 2]
        n = patch.crop.shape[axis]
        ramp = np.ones(n, dtype=np.float32)
        if start > 0:
            ramp = np.minimum(ramp, (np.arange(n) + 0.5) / _SEAM)
        if stop < scene.extent[axis]:
            ramp = np.minimum(ramp, ((n - np.arange(n)) - 0.5) / _SEAM)
        along = torch.from_numpy(ramp.astype(np.float32)).to(share.device)
        share = torch.minimum(share, along[:, None] if axis == 0 else along[None])
    share = torch.where(known, share, torch.ones_like(share))
    logits = torch.lerp(under, patch.logits, share)
    return ClassLogits((*first.patches[:1], Patch(patch.crop, logits)), second.box)
