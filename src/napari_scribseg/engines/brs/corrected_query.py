"""A query to the network with a correction of its input or of a layer: its prediction and its energy."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import InputError
from napari_scribseg.engines.brs.cut import Cut, Values
from napari_scribseg.engines.brs.minimise import FIRST_STEP, StrokePixels, Tried, disagreement
from napari_scribseg.engines.brs.network import WrappedNetwork, first_output
from napari_scribseg.engines.brs.parameters import RefinementParameters
from napari_scribseg.engines.brs.prompts import Prompt, prompt_of
from napari_scribseg.engines.brs.queries import Query
from napari_scribseg.engines.brs.state import BRSState
from napari_scribseg.nets.any_size import crop_to, pad_to_multiple
from napari_scribseg.nets.quick_upsampling import QuickUpsampling
from napari_scribseg.prompting.crops import Crop, CropLogits, covered, crop_image, crop_strokes, sampled
from napari_scribseg.prompting.predictions import LIMIT, ClassLogits

__all__ = ["CorrectedQuery", "crop_logits", "cut_for", "require_finite", "strokes_in_crop", "strokes_on_grid"]

_FIRST_STEP_OF_MAPS = 0.01  # that of maps from 0 to 1 that a network was trained with: 0.1 removed whole objects
_BIAS = 10.0  # cost of a bias over that of a scale (Sofiuk et al.)


def require_finite(values: Tensor, network: WrappedNetwork) -> None:
    """Raise an InputError if a prediction is not finite."""
    if not torch.isfinite(values).all():
        raise InputError(f"{network.name} gives NaN or infinite values for this image; finite ones are expected")


def cut_for(network: WrappedNetwork, x: Tensor, layer: str) -> Cut:
    """A network cut in two for inputs of the size of ``x``, shared by all images of this size."""
    multiple = network.card.multiple
    return _cut(network, (1, network.n_inputs, *(-(-n // multiple) * multiple for n in x.shape[2:])), layer)


@lru_cache(maxsize=4)
def _cut(network: WrappedNetwork, shape: tuple[int, ...], layer: str) -> Cut:
    """A network cut in two for inputs of one size."""
    return Cut(network.fast, torch.zeros(shape, device=network.device), layer, network.name)


class CorrectedQuery:
    """One query to the network, and the energy of a correction.

    Parameters
    ----------
    parameters : RefinementParameters
    state : BRSState
    query : Query
    crop : Crop or None
        The part of the image that the network is shown; None for all of it.
    previous : ClassLogits or None
        An earlier prediction: an input of the network.
    change : Tensor or None
        The correction of the last result.

    Attributes
    ----------
    start : Tensor
        The correction to begin with: the last one if it helps, else zero.
    first_step : float
        Largest change of a value that is tried first.
    seeds : ndarray of shape (h, w), int32
        The targets on the network's grid.
    crop : Crop or None
    previous : ClassLogits or None
    """

    def __init__(
        self,
        parameters: RefinementParameters,
        state: BRSState,
        query: Query,
        crop: Crop | None,
        previous: ClassLogits | None,
        change: Tensor | None,
    ) -> None:
        self._parameters, self._state, self._query, self.crop, self.previous = parameters, state, query, crop, previous
        network, layer = state.network, parameters.layer
        targets, probability = query.targets, None
        if crop is None:
            x, self.seeds = state.x, strokes_on_grid(targets, state.x.shape[2:])
        else:
            x, self.seeds = crop_image(state.levels, crop)[None], strokes_in_crop(targets, crop, state.grid.pixel)
            probability = None if previous is None else torch.sigmoid(previous.on(crop)[0])[None]
            spans = covered(crop, state.grid.shape, state.grid.pixel)
            targets = targets[spans]
        self._prompt: Prompt = prompt_of(network.card.prompt, x, network.n_inputs)
        self._base = self._prompt.base(x, self.seeds, probability)
        self._untouched = change is None
        self._stroke_pixels = _stroke_pixels(targets, network.device, bool(layer))
        if crop is not None:
            rows, columns = np.divmod(self._stroke_pixels.indices.cpu().numpy(), targets.shape[1])
            self._at = (rows + spans[0].start, columns + spans[1].start)
        self._threshold = 0.51 if layer else 0.5
        self._cut = cut_for(network, x, layer) if layer else None
        self._before: Values = {}
        self.first_step = _FIRST_STEP_OF_MAPS if network.card.prompt != "none" and not layer else FIRST_STEP
        zero = self._prompt.zero(x) if self._cut is None else x.new_zeros((2, self._cut.channels))
        self.start = zero if change is None or change.shape != zero.shape else change

    @torch.no_grad()
    def first(self) -> tuple[Tensor, int]:
        """The prediction before any further correction, and its number of wrong stroke pixels.

        The correction for earlier strokes is kept where the network gets as many pixels right as without it.
        """
        own, zero = self._state.own, torch.zeros_like(self.start)
        fields, wrong = self._checked(self._raw(zero) if own is None else own)
        if not self._untouched and wrong:
            corrected, fewer = self._checked(self._raw(self.start))
            if fewer <= wrong:
                return corrected, fewer
        self.start = zero
        return fields, wrong

    def _checked(self, raw: Tensor) -> tuple[Tensor, int]:
        require_finite(raw, self._state.network)
        fields = self._fields(raw)
        return fields, self._stroke_pixels.wrong(self._picked(fields), self._threshold)

    def evaluate(self, change: Tensor) -> Tried:
        """Energy, prediction and number of wrong stroke pixels for a correction."""
        fields = self._fields(self._raw(change))
        picked = self._picked(fields)
        size = (
            change.square().sum()
            if self._cut is None
            else (change.square().sum(1) * change.new_tensor((1, _BIAS))).sum()
        )
        energy = disagreement(picked, self._stroke_pixels, self._parameters.objective) + self._parameters.inertia * size
        return energy, fields, self._stroke_pixels.wrong(picked.detach(), self._threshold)

    def _fields(self, raw: Tensor) -> Tensor:
        """Of shape (K, h, w): on the image's grid, or on that of the crop."""
        shape = self._state.grid.shape if self.crop is None else self.crop.shape
        return self._query.merged(self._state.network.fields(raw, shape))

    def _picked(self, fields: Tensor) -> Tensor:
        if self.crop is None:
            return self._stroke_pixels.pick(fields)
        return sampled(fields, self.crop, self._at, self._state.grid.pixel)

    def _raw(self, change: Tensor) -> Tensor:
        with QuickUpsampling():
            if self._parameters.precision == "float32":
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


def crop_logits(fields: Tensor, crop: Crop) -> CropLogits:
    """The logits of the object in a crop."""
    return CropLogits(crop, LIMIT * torch.tanh((fields[1] - fields[0]) / LIMIT))


def strokes_in_crop(targets: NDArray[np.int32], crop: Crop, pixel: tuple[float, float]) -> NDArray[np.int32]:
    """Strokes as a crop shows them: 1 on the object, 0 on the rest, -1 elsewhere, as ``targets`` has them."""
    rows, columns = np.nonzero(targets >= 0)
    stroke_map = crop_strokes(targets, (rows, columns), 1, crop, pixel)
    return np.select((stroke_map > 0, stroke_map < 0), (np.int32(1), np.int32(0)), np.int32(-1))


def strokes_on_grid(targets: NDArray[np.int32], shape: Any) -> NDArray[np.int32]:
    """Strokes on a grid of another size: without holes on a finer one, and without a loss on a coarser one."""
    if targets.shape == tuple(shape):
        return targets
    nearest = [((np.arange(n) + 0.5) * old / n).astype(np.intp) for n, old in zip(shape, targets.shape, strict=True)]
    found = targets[np.ix_(*nearest)]
    rows, columns = np.nonzero(targets >= 0)
    coarse = [
        np.minimum((at + 0.5) * new / old, new - 1).astype(np.intp)
        for at, new, old in zip((rows, columns), shape, targets.shape, strict=True)
    ]
    found[coarse[0], coarse[1]] = targets[rows, columns]
    return found


def _stroke_pixels(targets: NDArray[np.int32], device: str, patches: bool) -> StrokePixels:
    """The stroke pixels; with patches (Sofiuk et al.) their neighbours too, and each class counts alike."""
    spread = targets.copy()
    if patches:
        padded = np.pad(targets, 1, constant_values=-1)
        height, width = targets.shape
        for down in (0, 1, 2):
            for right in (0, 1, 2):
                near = padded[down : down + height, right : right + width]
                np.copyto(spread, near, where=(spread < 0) & (near >= 0))
    indices = np.flatnonzero(spread >= 0)
    classes = spread.reshape(-1)[indices]
    weights = 1 / np.bincount(classes)[classes] if patches else np.ones(len(indices))
    strict = targets.reshape(-1)[indices] >= 0
    tensors = (torch.from_numpy(np.asarray(v)).to(device) for v in (indices, classes.astype(np.int64), strict))
    at, own, exact = tensors
    return StrokePixels(at, own, torch.from_numpy(weights.astype(np.float32)).to(device), exact)
