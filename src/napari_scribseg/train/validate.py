"""How good a network is on sources that it was not trained on: the same objects and strokes in every run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from torch import Tensor, nn

from napari_scribseg.core import InputError
from napari_scribseg.io.atomic import write_files
from napari_scribseg.train.drawing import CORRECTED, DrawingOptions, Prompt
from napari_scribseg.train.geometry import GeometryOptions
from napari_scribseg.train.losses import dice_scores
from napari_scribseg.train.pack import Pack
from napari_scribseg.train.passes import Batch, corrected, predictions
from napari_scribseg.train.samples import SampleOptions, Samples

__all__ = ["Scores", "Validation", "write_pictures"]

_SEED = 20230407  # of the samples and strokes; never that of a run
_BATCH = 32
_SHOWN = 3  # cases of each source in the picture


@dataclass(frozen=True, slots=True)
class Scores:
    """Mean Dice on the validation sources.

    Attributes
    ----------
    sources : mapping of str to tuple of float
        After the first strokes, and after one correction; after the prompt alone where it is a box or extreme points.
    pictures : ndarray of shape (H, W, 3), uint8
        Some cases, a row each: image, truth with the first strokes, answer, and, where there is a correction, the
        strokes after it and the answer to them; empty where none were asked for.
    """

    sources: Mapping[str, tuple[float, ...]]
    pictures: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0, 3), dtype=np.uint8))

    @property
    def mean(self) -> tuple[float, ...]:
        """Over the sources, each counting once."""
        return tuple(np.mean(list(self.sources.values()), axis=0).tolist())


class Validation:
    """Fixed samples of some sources: labelled objects, without changes of the intensities, with a whole first stroke.

    The objects are the same whatever the prompt, and boxes and extreme points lie exactly.

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
        missing = sorted(set(sources) - set(pack.sources))
        if missing or not sources:
            raise InputError(
                f"the pack has no source {', '.join(missing) or 'to validate on'}; it has {', '.join(pack.sources)}"
            )
        options = SampleOptions(
            size=size,
            synthetic=0,
            superpixels=0,
            background=0,
            smallest=0.005,
            thin=0,
            vary=False,
            drawing=DrawingOptions(radius=(2, 2), whole=1, negative=0, prompt=prompt, slack=0),
            geometry=GeometryOptions(
                context=(1.3, 3.0),
                scale=(1.0, 1.0) if prompt == "none" else None,
                largest=1,
                rim=0,
                shift=0.3,
                turned=0,
                angle=0,
                stretch=1,
                bent=0,
            ),
        )
        self.drawing = options.drawing
        self.batches: dict[str, list[Batch]] = {}
        for source in sources:
            samples = Samples(pack, [source], _SEED, options)
            parts = [range(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH)]
            self.batches[source] = [_stack([samples[i] for i in part]) for part in parts]

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
    ) -> Scores:
        """Let a network answer.

        Parameters
        ----------
        model : nn.Module
            In eval mode, on ``device``.
        channels : int
            That it takes; see :func:`~napari_scribseg.prompting.network_input`.
        device : torch.device or str
        precision : callable
            Gives the context in which it computes.
        pictures : bool
            Whether to draw some cases.
        corrections : int
            Number of corrections of each prediction; never for boxes and extreme points.

        Returns
        -------
        Scores
            Of the network's answers alone: strokes are not forced upon them.
        """
        scores: dict[str, tuple[float, ...]] = {}
        rows: list[NDArray[np.uint8]] = []
        for number, (source, batches) in enumerate(self.batches.items()):
            dice: list[Tensor] = []
            for part, cpu in enumerate(batches):
                image, target, valid, stroke_map = (tensor.to(device) for tensor in cpu)
                with precision():
                    found = [torch.sigmoid(predictions(model, image, stroke_map, None, channels))]
                shown = [cpu[0], cpu[1], cpu[3], found[0].cpu()]
                for turn in range(corrections if self.drawing.prompt in CORRECTED else 0):
                    seeds = [[_SEED, number, part * _BATCH + i, *[turn] * (turn > 0)] for i in range(len(image))]
                    stroke_map = corrected(
                        found[-1], (image, target, valid, stroke_map), seeds, self.drawing, plain=True
                    )
                    with precision():
                        found.append(torch.sigmoid(predictions(model, image, stroke_map, found[-1], channels)))
                    shown += [stroke_map.cpu(), found[-1].cpu()] if turn == 0 else []
                dice.append(torch.stack([dice_scores(predicted > 0.5, target, valid) for predicted in found]))
                if pictures and part == 0:
                    rows += [_row(*(np.asarray(t[i]) for t in shown)) for i in range(min(_SHOWN, len(image)))]
            scores[source] = tuple(torch.cat(dice, dim=1).double().mean(dim=1).tolist())
        return Scores(scores, np.concatenate(rows)) if rows else Scores(scores)


def _stack(samples: Sequence[Batch]) -> Batch:
    image, target, valid, stroke_map = (torch.stack(parts) for parts in zip(*samples, strict=True))
    return image, target, valid, stroke_map


def _row(
    image: NDArray[np.float32],
    target: NDArray[np.bool_],
    stroke_map: NDArray[np.int8],
    first: NDArray[np.float32],
    correction_map: NDArray[np.int8] | None = None,
    second: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Three crops side by side, or five with a correction, shape (S, 3 S, 3) or (S, 5 S, 3)."""
    plain = (np.clip(image.transpose(1, 2, 0) + 1, 0, 2) * 127.5).astype(np.uint8)

    def tinted(mask: NDArray[np.bool_], strokes: NDArray[np.int8]) -> NDArray[np.uint8]:
        crop = plain.copy()
        crop[mask] = crop[mask] // 2 + np.asarray((0, 90, 127), dtype=np.uint8)
        crop[strokes > 0] = (60, 255, 60)
        crop[strokes < 0] = (255, 60, 60)
        return crop

    crops = [plain, tinted(target, stroke_map), tinted(first > 0.5, 0 * stroke_map)]
    if correction_map is not None and second is not None:
        crops += [tinted(np.zeros(target.shape, dtype=bool), correction_map), tinted(second > 0.5, 0 * correction_map)]
    return np.concatenate(crops, axis=1)


def write_pictures(path: Path, scores: Scores) -> None:
    """Save the pictures as PNG."""
    write_files({path: lambda file: Picture.fromarray(scores.pictures).save(file, "png")})
