"""Scores of a network on sources that it is not trained on: the same objects and strokes in every run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from torch import Tensor, nn
from torch.utils.data import default_collate

from napari_scribseg.io.atomic import write_files
from napari_scribseg.numerics.augmentation.warps import WarpOptions
from napari_scribseg.train.batches import Batch, corrected, predictions
from napari_scribseg.train.first_strokes import CORRECTED, DrawingOptions, Prompt
from napari_scribseg.train.losses import dice_scores
from napari_scribseg.train.pack import Pack
from napari_scribseg.train.training_samples import SampleOptions, TrainingSamples

__all__ = ["Validation", "ValidationScores", "write_pictures"]

_SEED = 20230407  # of the samples and strokes; never that of a run
_BATCH = 32
_SHOWN = 3  # cases of each source in the picture


@dataclass(frozen=True, slots=True)
class ValidationScores:
    """Mean Dice on the validation sources.

    Attributes
    ----------
    sources : mapping of str to tuple of float
        After the first strokes, and after one correction; after the prompt only where it is a box or extreme points.
    pictures : ndarray of shape (H, W, 3), uint8
        Some cases, a row each: image, truth with the first strokes, prediction, and, where there is a correction, the
        strokes after it and their prediction; empty where none were requested.
    """

    sources: Mapping[str, tuple[float, ...]]
    pictures: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0, 3), dtype=np.uint8))

    @property
    def mean(self) -> tuple[float, ...]:
        """Over the sources, each counting once."""
        return tuple(np.mean(list(self.sources.values()), axis=0).tolist())


class Validation:
    """Fixed samples of some sources: labelled objects with unchanged intensities and a whole first stroke.

    The objects are the same for every prompt; boxes and extreme points are exact.

    Parameters
    ----------
    pack : Pack
    sources : sequence of str
    count : int
        Samples of each source.
    size : int
        Pixels along each side.
    prompt : {"scribbles", "clicks", "box", "extreme-points", "none"}

    Raises
    ------
    InputError
        If the pack lacks a source.
    """

    def __init__(self, pack: Pack, sources: Sequence[str], count: int, size: int, prompt: Prompt = "scribbles") -> None:
        pack.require(sources, "to validate on")
        options = SampleOptions(
            size=size, synthetic=0, superpixels=0, background=0, smallest=0.005, thin=0, vary=False,
            drawing=DrawingOptions(radius=(2, 2), whole=1, negative=0, prompt=prompt, slack=0),
            warp=WarpOptions(
                context=(1.3, 3.0), scale=(1.0, 1.0) if prompt == "none" else None, largest=1, rim=0, shift=0.3,
                turned=0, angle=0, stretch=1, bent=0,
            ),
        )  # fmt: skip
        self.drawing = options.drawing
        self.batches: dict[str, list[Batch]] = {}
        for source in sources:
            samples = TrainingSamples(pack, [source], _SEED, options)
            parts = [range(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH)]
            self.batches[source] = [default_collate([samples[i] for i in part]) for part in parts]

    @torch.no_grad()
    def run(
        self,
        model: nn.Module,
        channels: int,
        device: torch.device | str = "cpu",
        precision: Callable[[], AbstractContextManager[object]] = nullcontext,
        *,
        pictures: bool = False,
        corrections: int = 1,
    ) -> ValidationScores:
        """Score a network.

        Parameters
        ----------
        model : nn.Module
            In eval mode, on ``device``.
        channels : int
            Of its input; see :func:`~napari_scribseg.prompting.network_input`.
        device : torch.device or str
        precision : callable
            Makes the context in which it computes.
        pictures : bool
            Whether to show some cases.
        corrections : int
            Number of corrections of each prediction; never for boxes and extreme points.

        Returns
        -------
        ValidationScores
            Of the logits of the network; strokes are not set to their class.
        """
        scores: dict[str, tuple[float, ...]] = {}
        rows: list[NDArray[np.uint8]] = []
        for number, (source, batches) in enumerate(self.batches.items()):
            dice: list[Tensor] = []
            for part, cpu in enumerate(batches):
                batch = cpu.to(device)
                with precision():
                    found = [torch.sigmoid(predictions(model, batch.image, batch.stroke_map, None, channels))]
                nothing = torch.zeros_like(batch.stroke_map)
                shown = [(batch.target, batch.stroke_map), (found[0] > 0.5, nothing)]
                for turn in range(corrections if self.drawing.prompt in CORRECTED else 0):
                    seeds = [[_SEED, number, part * _BATCH + i, *[turn] * (turn > 0)] for i in range(len(batch.image))]
                    batch = batch._replace(stroke_map=corrected(found[-1], batch, seeds, self.drawing, plain=True))
                    with precision():
                        logits = predictions(model, batch.image, batch.stroke_map, found[-1], channels)
                    found.append(torch.sigmoid(logits))
                    shown += [(nothing, batch.stroke_map), (found[-1] > 0.5, nothing)] if turn == 0 else []
                dice.append(torch.stack([dice_scores(one > 0.5, batch.target, batch.valid) for one in found]))
                if pictures and part == 0:
                    for i in range(min(_SHOWN, len(batch.image))):
                        crops = [(mask[i].cpu().numpy(), strokes[i].cpu().numpy()) for mask, strokes in shown]
                        rows.append(_row(cpu.image[i].numpy(), crops))
            scores[source] = tuple(torch.cat(dice, dim=1).double().mean(dim=1).tolist())
        return ValidationScores(scores, np.concatenate(rows)) if rows else ValidationScores(scores)


def _row(image: NDArray[np.float32], shown: Sequence[tuple[NDArray[Any], NDArray[np.int8]]]) -> NDArray[np.uint8]:
    """An image, and the same once for each mask and strokes, beside each other; shape (S, n S, 3)."""
    plain = (np.clip(image.transpose(1, 2, 0) + 1, 0, 2) * 127.5).astype(np.uint8)
    crops = [plain]
    for mask, strokes in shown:
        crop = plain.copy()
        inside = mask.astype(bool)
        crop[inside] = crop[inside] // 2 + np.asarray((0, 90, 127), dtype=np.uint8)
        crop[strokes > 0] = (60, 255, 60)
        crop[strokes < 0] = (255, 60, 60)
        crops.append(crop)
    return np.concatenate(crops, axis=1)


def write_pictures(path: Path, scores: ValidationScores) -> None:
    """Save the pictures as PNG."""
    write_files({path: lambda file: Picture.fromarray(scores.pictures).save(file, "png")})
