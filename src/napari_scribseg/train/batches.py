"""Batches of training samples: the predictions of a network, and the strokes that correct them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.prompting import network_input
from napari_scribseg.simulate import simulate_correction
from napari_scribseg.simulate.simulated_clicks import Click, robot_click
from napari_scribseg.train.first_strokes import DrawingOptions, draw_style

__all__ = ["Batch", "all_predictions", "corrected", "predictions"]

_SPILL = 0.02  # share of the pixels of object strokes off the object, above which the pen is one that spills


class Batch(NamedTuple):
    """Objects to segment; of a single one without the first axis.

    Attributes
    ----------
    image : Tensor of shape (N, 3, S, S), float32
        From -1 to 1.
    target : Tensor of shape (N, S, S), bool
        The object.
    valid : Tensor of shape (N, S, S), bool
        Where the truth is known.
    stroke_map : Tensor of shape (N, S, S), int8
        1 strokes on the object, -1 strokes off it, 0 not painted.
    """

    image: Tensor
    target: Tensor
    valid: Tensor
    stroke_map: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device."""
        return Batch(*(part.to(device, non_blocking=True) for part in self))


def predictions(
    model: Callable[[Tensor], Tensor], image: Tensor, stroke_map: Tensor, previous: Tensor | None, channels: int
) -> Tensor:
    """Logits of shape (N, H, W), float32; the arguments are those of ``network_input``."""
    return all_predictions(model, image, stroke_map, previous, channels)[:, -1]


def all_predictions(
    model: Callable[[Tensor], Tensor], image: Tensor, stroke_map: Tensor, previous: Tensor | None, channels: int
) -> Tensor:
    """Logits of every decoder of a network in training, shape (N, D, H, W), float32; the last is the prediction."""
    x = network_input(image, stroke_map, previous, channels).contiguous(memory_format=torch.channels_last)
    return model(x).float()


def corrected(
    predicted: Tensor, batch: Batch, seeds: Sequence[Sequence[int]], options: DrawingOptions, *, plain: bool = False
) -> Tensor:
    """The strokes after a user has corrected each prediction of a batch, by strokes into the errors or by one click.

    Parameters
    ----------
    predicted : Tensor of shape (N, H, W)
        Probability of the object.
    batch : Batch
        Its strokes are those of the prediction. Where the truth is unknown, the prediction counts as right.
    seeds : sequence of N sequences of int
        Of the strokes.
    options : DrawingOptions
    plain : bool
        Whether the pen is that of the paper, not a random one.

    Returns
    -------
    Tensor of shape (N, H, W), int8
        On the device of ``predicted``.
    """
    _, target, valid, stroke_map = (part.cpu().numpy() for part in batch)
    found = predicted.detach().float().clamp(0, 1).cpu().numpy()
    found = np.where(valid, np.nan_to_num(found, nan=0.5), target)
    correction_map = np.empty_like(stroke_map)
    for i, seed in enumerate(seeds):
        if options.prompt == "clicks":
            correction_map[i] = _clicked(found[i], target[i], stroke_map[i])
            continue
        rng = np.random.default_rng(seed)
        style = None if plain else draw_style(options, rng)
        on = stroke_map[i] > 0
        spills = bool(np.count_nonzero(on & ~target[i]) > _SPILL * np.count_nonzero(on))
        correction = simulate_correction(found[i], target[i], stroke_map[i], rng, style, spill=spills)
        correction_map[i] = correction.stroke_map
    return torch.from_numpy(correction_map).to(predicted.device)


def _clicked(
    predicted: NDArray[np.float32], target: NDArray[np.bool_], stroke_map: NDArray[np.int8]
) -> NDArray[np.int8]:
    """The clicks, and one more on the larger error; all are (H, W)."""
    before = [Click(row, column, stroke_map[row, column] > 0) for row, column in np.argwhere(stroke_map).tolist()]
    click, correction_map = robot_click(predicted, target, before), stroke_map.copy()
    if click is not None:
        correction_map[click.row, click.column] = 1 if click.positive else -1
    return correction_map
