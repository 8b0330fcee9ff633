"""The passes of a network over a batch: an answer, a correction of it, an answer to that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.prompting import network_input
from napari_scribseg.simulate import simulate_correction
from napari_scribseg.simulate.clicks import Click, robot_click
from napari_scribseg.train.drawing import DrawingOptions, draw_style

__all__ = ["Batch", "all_predictions", "corrected", "predictions"]

_SPILL = 0.02  # share of the strokes on an object that lies off it

Batch = tuple[Tensor, Tensor, Tensor, Tensor]  # image, target, known, stroke_map: see `Sample`


def predictions(
    model: Callable[[Tensor], Tensor], image: Tensor, stroke_map: Tensor, previous: Tensor | None, channels: int
) -> Tensor:
    """Logits of shape (N, H, W), float32; the arguments are those of ``network_input``."""
    return all_predictions(model, image, stroke_map, previous, channels)[:, -1]


def all_predictions(
    model: Callable[[Tensor], Tensor], image: Tensor, stroke_map: Tensor, previous: Tensor | None, channels: int
) -> Tensor:
    """Logits of every decoder of a network in training, shape (N, D, H, W), float32; the last one is the answer."""
    x = network_input(image, stroke_map, previous, channels).contiguous(memory_format=torch.channels_last)
    return model(x).float()


def corrected(
    predicted: Tensor, batch: Batch, seeds: Sequence[Sequence[int]], options: DrawingOptions, *, plain: bool = False
) -> Tensor:
    """The strokes after a user has corrected each prediction of a batch: strokes into the errors, or one click more.

    Parameters
    ----------
    answer : Tensor of shape (N, H, W)
        Probability of the object.
    batch : tuple of Tensor
        Its strokes are those that the answer was given to. What is not known is taken as right.
    seeds : sequence of N sequences of int
        Of the strokes.
    options : DrawingOptions
    plain : bool
        Whether the pen is that of the paper, not a random one.

    Returns
    -------
    Tensor of shape (N, H, W), int8
        On the device of ``answer``.
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
        correction_map[i] = simulate_correction(
            found[i], target[i], stroke_map[i], rng, style, spill=_spills(stroke_map[i], target[i])
        ).stroke_map
    return torch.from_numpy(correction_map).to(predicted.device)


def _spills(stroke_map: NDArray[np.int8], target: NDArray[np.bool_]) -> bool:
    """Whether the strokes so far, of shape (H, W), are those of a person whose pen runs over the border."""
    drawn = stroke_map > 0
    return bool(np.count_nonzero(drawn & ~target) > _SPILL * np.count_nonzero(drawn))


def _clicked(
    predicted: NDArray[np.float32], target: NDArray[np.bool_], stroke_map: NDArray[np.int8]
) -> NDArray[np.int8]:
    """The clicks, and one more on the larger error; all are (H, W)."""
    before = [
        Click(int(row), int(column), bool(stroke_map[row, column] > 0)) for row, column in np.argwhere(stroke_map)
    ]
    click, correction_map = robot_click(predicted, target, before), stroke_map.copy()
    if click is not None:
        correction_map[click.row, click.column] = 1 if click.positive else -1
    return correction_map
