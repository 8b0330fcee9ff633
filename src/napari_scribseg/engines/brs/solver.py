"""One question to the network: what is changed for it, and how right the answer then is."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import InputError
from napari_scribseg.engines.brs.conversion import Prompt, prompt_of
from napari_scribseg.engines.brs.cut import Cut, Values
from napari_scribseg.engines.brs.energy import Annotated, disagreement
from napari_scribseg.engines.brs.minimise import FIRST_STEP, Tried
from napari_scribseg.engines.brs.network import Network, first_output
from napari_scribseg.engines.brs.questions import Question
from napari_scribseg.nets.enlarging import QuickEnlarging
from napari_scribseg.nets.padding import crop_to, pad_to_multiple
from napari_scribseg.prompting.crops import Crop, Patch, covered, crop_strokes, look, sampled
from napari_scribseg.prompting.predictions import LIMIT, ClassLogits

if TYPE_CHECKING:
    from napari_scribseg.engines.brs.engine import BRS, FBRS
    from napari_scribseg.engines.brs.pipeline import BRSState

__all__ = ["Solver", "cut_for", "patch_of", "require_finite", "strokes_in_crop"]

_FIRST_STEP_OF_MAPS = 0.01  # that of maps that a network was trained with, from 0 to 1: 0.1 took whole objects away
_BIAS = 10.0  # how many times as much a bias costs as a scale (Sofiuk et al.)


def require_finite(values: Tensor, network: Network) -> None:
    """Complain of an answer that is none."""
    if not torch.isfinite(values).all():
        raise InputError(f"{network.name} gives NaN or infinite values for this image; finite ones are expected")


def cut_for(network: Network, x: Tensor, layer: str) -> Cut:
    """A network taken apart for inputs of the size of one, kept for all images of this size."""
    multiple = network.card.multiple
    return _cut(network, (1, network.n_inputs, *(-(-n // multiple) * multiple for n in x.shape[2:])), layer)


@lru_cache(maxsize=4)
def _cut(network: Network, shape: tuple[int, ...], layer: str) -> Cut:
    """A network taken apart for inputs of one size."""
    return Cut(network.fast, torch.zeros(shape, device=network.device), layer, network.name)


class Solver:
    """One question to the network, and the energy of what is changed for it.

    Parameters
    ----------
    engine : BRS or FBRS
    state : BRSState
    question : Question
    crop : Crop or None
        The part of the image that the network is shown; None for all of it.
    told : ClassLogits or None
        What it is told that it answered before.
    known : Tensor or None
        What was corrected for the last answer.

    Attributes
    ----------
    start : Tensor
        What was corrected before, if it helps; else nothing.
    first_step : float
        Largest change of a value that is tried first.
    seeds : ndarray of shape (h, w), int32
        The targets, as the network is shown them.
    crop : Crop or None
    told : ClassLogits or None
    """

    def __init__(
        self,
        engine: BRS | FBRS,
        state: BRSState,
        question: Question,
        crop: Crop | None,
        told: ClassLogits | None,
        known: Tensor | None,
    ) -> None:
        self._engine, self._state, self._question, self.crop, self.told = engine, state, question, crop, told
        network, layer = state.network, getattr(engine, "layer", "")
        targets, previous = question.targets, None
        if crop is None:
            x, self.seeds = state.x, _on_grid(targets, state.x.shape[2:])
        else:
            x, self.seeds = look(state.levels, crop)[None], strokes_in_crop(targets, crop, state.grid.pixel)
            previous = None if told is None else torch.sigmoid(told.on(crop)[0])[None]
            spans = covered(crop, state.grid.shape, state.grid.pixel)
            targets = targets[spans]
        self._prompt: Prompt = prompt_of(network.card.prompt, x, network.n_inputs)
        self._base = self._prompt.base(x, self.seeds, previous)
        self._untouched = known is None
        self._annotated = _annotated(targets, network.device, bool(layer))
        if crop is not None:
            rows, columns = np.divmod(self._annotated.places.cpu().numpy(), targets.shape[1])
            self._at = (rows + spans[0].start, columns + spans[1].start)
        self._threshold = 0.51 if layer else 0.5
        self._cut = cut_for(network, x, layer) if layer else None
        self._before: Values = {}
        self.first_step = _FIRST_STEP_OF_MAPS if network.card.prompt != "none" and not layer else FIRST_STEP
        zero = self._prompt.zero(x) if self._cut is None else x.new_zeros((2, self._cut.channels))
        self.start = zero if known is None or known.shape != zero.shape else known

    @torch.no_grad()
    def first(self) -> tuple[Tensor, int]:
        """The answer before anything more is corrected, and its number of wrong stroke pixels.

        What was corrected for earlier strokes is kept where the network agrees with as many pixels as without it.
        """
        own, zero = self._state.own, torch.zeros_like(self.start)
        fields, wrong = self._judged(self._raw(zero) if own is None else own)
        if not self._untouched and wrong:
            corrected, fewer = self._judged(self._raw(self.start))
            if fewer <= wrong:
                return corrected, fewer
        self.start = zero
        return fields, wrong

    def _judged(self, raw: Tensor) -> tuple[Tensor, int]:
        require_finite(raw, self._state.network)
        fields = self._fields(raw)
        return fields, self._annotated.wrong(self._picked(fields), self._threshold)

    def evaluate(self, change: Tensor) -> Tried:
        """Energy, answer and number of wrong stroke pixels for a change."""
        fields = self._fields(self._raw(change))
        picked = self._picked(fields)
        size = (
            change.square().sum()
            if self._cut is None
            else (change.square().sum(1) * change.new_tensor((1, _BIAS))).sum()
        )
        energy = disagreement(picked, self._annotated, self._engine.objective) + self._engine.inertia * size
        return energy, fields, self._annotated.wrong(picked.detach(), self._threshold)

    def _fields(self, raw: Tensor) -> Tensor:
        """Of shape (K, h, w): on the image's grid, or on that of the crop."""
        shape = self._state.grid.shape if self.crop is None else self.crop.shape
        return self._question.merged(self._state.network.fields(raw, shape))

    def _picked(self, fields: Tensor) -> Tensor:
        if self.crop is None:
            return self._annotated.pick(fields)
        return sampled(fields, self.crop, self._at, self._state.grid.pixel)

    def _raw(self, change: Tensor) -> Tensor:
        with QuickEnlarging():
            if getattr(self._engine, "precision", "float32") == "float32":
                return self._computed(change)
            with torch.autocast(change.device.type, torch.bfloat16):
                return self._computed(change).float()

    def _computed(self, change: Tensor) -> Tensor:
        network = self._state.network
        if self._cut is None:
            return network.raw(self._prompt.changed(self._base, change))
        if not self._before:
            with torch.no_grad():
                self._before = self._cut.before(pad_to_multiple(self._base, network.card.multiple))
        scale, bias = (part.reshape(1, -1, 1, 1) for part in change)
        changed = self._cut.layer(self._before) * (1 + scale) + bias
        return crop_to(first_output(self._cut.after(self._before, changed)), self._base)


def patch_of(fields: Tensor, crop: Crop) -> Patch:
    """What was said of the object in a crop."""
    return Patch(crop, LIMIT * torch.tanh((fields[1] - fields[0]) / LIMIT))


def strokes_in_crop(targets: NDArray[np.int32], crop: Crop, pixel: tuple[float, float]) -> NDArray[np.int32]:
    """Strokes as a crop shows them: 1 on the object, 0 on the rest, -1 elsewhere, as ``targets`` has them."""
    rows, columns = np.nonzero(targets >= 0)
    stroke_map = crop_strokes(targets, (rows, columns), 1, crop, pixel)
    return np.select((stroke_map > 0, stroke_map < 0), (np.int32(1), np.int32(0)), np.int32(-1))


def _on_grid(targets: NDArray[np.int32], shape: Any) -> NDArray[np.int32]:
    """Strokes on a grid of another size: none has holes on a finer one, and none is lost on a coarser one."""
    if targets.shape == tuple(shape):
        return targets
    nearest = [((np.arange(n) + 0.5) * old / n).astype(np.intp) for n, old in zip(shape, targets.shape, strict=True)]
    found = targets[np.ix_(*nearest)]
    rows, columns = np.nonzero(targets >= 0)
    placed = [
        np.minimum((at + 0.5) * new / old, new - 1).astype(np.intp)
        for at, new, old in zip((rows, columns), shape, targets.shape, strict=True)
    ]
    found[placed[0], placed[1]] = targets[rows, columns]
    return found


def _annotated(targets: NDArray[np.int32], device: str, patches: bool) -> Annotated:
    """The stroke pixels; with patches (Sofiuk et al.) their neighbours too, and each class counts alike."""
    spread = targets.copy()
    if patches:
        padded = np.pad(targets, 1, constant_values=-1)
        height, width = targets.shape
        for down in (0, 1, 2):
            for right in (0, 1, 2):
                near = padded[down : down + height, right : right + width]
                np.copyto(spread, near, where=(spread < 0) & (near >= 0))
    places = np.flatnonzero(spread >= 0)
    classes = spread.reshape(-1)[places]
    weights = 1 / np.bincount(classes)[classes] if patches else np.ones(len(places))
    strict = targets.reshape(-1)[places] >= 0
    tensors = (torch.from_numpy(np.asarray(v)).to(device) for v in (places, classes.astype(np.int64), strict))
    where, what, must = tensors
    return Annotated(where, what, torch.from_numpy(weights.astype(np.float32)).to(device), must)
