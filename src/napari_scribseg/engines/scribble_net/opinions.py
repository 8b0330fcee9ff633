"""What the network says of each class, and all of it together on the image's own grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.engines.scribble_net.scene import Scene, Strokes
from napari_scribseg.engines.scribble_net.views import Box, View, covered, paint

__all__ = ["LIMIT", "UNCLAIMED", "UNSEEN", "Opinion", "Patch", "combine", "widest"]

LIMIT = 12.0  # logits are bent to stay below it
UNSEEN = -6.0  # logit of a class where it was not looked for
UNCLAIMED = -2.0  # least logit of the class that what no class claims belongs to


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """Logits of a class, of the shape of the view that they were seen in."""

    view: View
    logits: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Opinion:
    """What the network says of a class.

    Attributes
    ----------
    patches : tuple of Patch
        Later ones lie over earlier ones.
    box : Box
        Of the object with the strokes on it.
    """

    patches: tuple[Patch, ...]
    box: Box

    def seen_in(self, view: View) -> tuple[Tensor, Tensor]:
        """Logits on the pixels of a view, and a mask of where there are any."""
        moved = [
            View((p.view.top - view.top) / view.scale, (p.view.left - view.left) / view.scale,
                 p.view.scale / view.scale, p.view.shape)
            for p in self.patches
        ]  # fmt: skip
        field = torch.full(view.shape, -torch.inf, device=self.patches[0].logits.device)
        for patch, place in zip(self.patches, moved, strict=True):
            paint(field, patch.logits, place, (1.0, 1.0))
        known = torch.isfinite(field)
        return torch.where(known, field, -LIMIT), known

    def saw(self, where: NDArray[np.bool_], pixel: tuple[float, float]) -> bool:
        """Whether any marked pixel of the image lies in what was looked at."""
        for patch in self.patches:
            top, left, bottom, right = patch.view.box
            rows = slice(max(int(top / pixel[0]), 0), max(int(np.ceil(bottom / pixel[0])), 0))
            columns = slice(max(int(left / pixel[1]), 0), max(int(np.ceil(right / pixel[1])), 0))
            if where[rows, columns].any():
                return True
        return False


def combine(opinions: Mapping[int, Opinion], scene: Scene, wide: int | None) -> Tensor:
    """Logits of every class on the image's grid, shape (K, H, W), in the order of the mapping.

    Where one class was seen in finer pixels than another, the coarser opinion counts less by that factor: it cannot
    tell what is smaller than its pixels. A class is taken not to be where it was not looked for, the less the farther
    away. What no class claims belongs to the class ``wide`` from :func:`widest`.
    """
    device = scene.network.device
    finest = torch.full(scene.shape, torch.inf, device=device)  # side of the pixels seen there, at least 1
    for patch in (p for opinion in opinions.values() for p in opinion.patches):
        finest[covered(patch.view, scene.shape, scene.pixel)].clamp_(max=max(patch.view.scale, 1.0))
    fields = torch.empty((len(opinions), *scene.shape), device=device)
    for field, (k, opinion) in zip(fields, opinions.items(), strict=True):
        field.copy_(_unseen(opinion, scene, device))
        for patch in opinion.patches:
            span = paint(field, patch.logits, patch.view, scene.pixel)
            if patch.view.scale > 1:
                field[span] *= finest[span] / patch.view.scale
        if k == wide:
            field.clamp_(min=UNCLAIMED)
    return fields


def _unseen(opinion: Opinion, scene: Scene, device: torch.device) -> Tensor:
    """What is assumed of a class where it was not looked for, shape (H, W)."""
    away = []
    for axis in (0, 1):
        at = (np.arange(scene.shape[axis], dtype=np.float32) + 0.5) * scene.pixel[axis]
        gap = np.maximum(np.maximum(opinion.box[axis] - at, at - opinion.box[axis + 2]), 0)
        away.append(torch.from_numpy(gap.astype(np.float32)).to(device))
    distance = torch.hypot(away[0][:, None], away[1][None])
    return UNSEEN - distance / (distance + max(scene.extent))


def widest(strokes: Strokes, labels: Sequence[int], ids: Sequence[int], scene: Scene) -> int:
    """The class that is looked for everywhere, so that every pixel was seen: the background, with the id 0; where it
    was not drawn, the class whose strokes reach farthest.
    """
    if 0 in ids and ids.index(0) in labels:
        return ids.index(0)
    boxes = {k: strokes.box(k, scene.pixel) for k in labels}
    return max(labels, key=lambda k: max(boxes[k][2] - boxes[k][0], boxes[k][3] - boxes[k][1]))
