"""From strokes to probabilities: fit with previews, predict; the same for every network and device."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_scribseg.core import Image, LossCurve, Report, Scribbles, Segmentation
from napari_scribseg.engines.single_image.fit import FitProgress, fit, one_thread
from napari_scribseg.engines.single_image.learners import Learner, Penalty, PixelLearner, UNetLearner
from napari_scribseg.engines.single_image.parameters import (
    ConvolutionParameters,
    FitParameters,
    InputParameters,
    LayerParameters,
    PenaltyParameters,
    ScratchParameters,
    UNetParameters,
)
from napari_scribseg.engines.single_image.pixel_net import PixelNet
from napari_scribseg.engines.single_image.stroke_samples import StrokeSamples
from napari_scribseg.engines.single_image.unet import SingleUNet
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.numerics.intensity import is_picture, scale_intensities
from napari_scribseg.prompting.semantic import semantic_features

__all__ = ["FitState", "Fitted", "input_channels", "learn", "make_result", "prepare", "segment"]

PREVIEW_AFTER = 0.5  # seconds between two previews
_WARM_SHARE = 0.25  # of the steps, for a further stroke


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A network fitted to the last strokes.

    Attributes
    ----------
    parameters : FitParameters
        Those of the engine; with others the fit starts afresh.
    network : nn.Module
        Not changed: a further fit begins with a copy.
    seeds : ndarray of shape (H, W), int32
        Label id of each stroke pixel, -1 elsewhere.
    ids : tuple of int
        Label id of each of the network's classes.
    curve : LossCurve
        Of the fit.
    """

    parameters: FitParameters
    network: nn.Module
    seeds: NDArray[np.int32]
    ids: tuple[int, ...]
    curve: LossCurve


@dataclass(frozen=True, slots=True, eq=False)
class FitState:
    """A prepared image, and the last fit.

    Attributes
    ----------
    channels : Tensor of shape (C, H, W)
        The network's input, on the device.
    where : dict of str to slice
        The channels of ``channels`` that are ``"colour"``, ``"position"`` and ``"semantic"``.
    device : str
    fitted : Fitted or None
        The last fit.
    """

    channels: Tensor
    where: dict[str, slice]
    device: str
    fitted: Fitted | None = None

    @property
    def semantic(self) -> NDArray[np.float32] | None:
        """The semantic features as a colour picture, shape (H, W, 3), 0 to 1; None where they are no input."""
        if "semantic" not in self.where:
            return None
        return np.moveaxis(self.channels[self.where["semantic"]].cpu().numpy(), 0, -1)


def prepare(parameters: InputParameters, image: Image, device: str) -> FitState:
    """The state for a fresh image."""
    chosen = choose_device(device)
    channels, where = input_channels(image, parameters.inputs, parameters.backbone, chosen)
    return FitState(torch.from_numpy(channels).to(chosen), where, chosen)


def input_channels(
    image: Image, inputs: str, backbone: str, device: str
) -> tuple[NDArray[np.float32], dict[str, slice]]:
    """The input of a network.

    Parameters
    ----------
    image : Image
        Two spatial axes, any number of channels.
    inputs : str
        Names joined by ``+``.
    backbone : str
        For semantic features, see :func:`~napari_scribseg.prompting.semantic.semantic_features`.
    device : str
        Where semantic features are computed.

    Returns
    -------
    channels : ndarray of shape (C, H, W), float32
    where : dict of str to slice
        The channels of each name.
    """
    make = {
        "colour": lambda: _colour(image.data),
        "position": lambda: _position(*image.data.shape[1:]),
        "semantic": lambda: semantic_features(image.data, backbone, device),
    }
    parts, where, count = [], {}, 0
    for name in inputs.split("+"):
        part = make[name]()
        where[name] = slice(count, count + len(part))
        parts.append(part)
        count += len(part)
    return np.concatenate(parts), where


def _colour(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """Red, green and blue of a picture on one scale; channels of anything else each on its own."""
    if is_picture(data):
        return np.multiply(scale_intensities(data), np.float32(1 / 255))
    channels = [scale_intensities(channel[np.newaxis]) for channel in data]
    return np.multiply(np.concatenate(channels), np.float32(1 / 255))


def _position(height: int, width: int) -> NDArray[np.float32]:
    """Row and column of each pixel, from 0 to 1 along each axis."""
    down = np.linspace(0, 1, height, dtype=np.float32) if height > 1 else np.zeros(1, dtype=np.float32)
    along = np.linspace(0, 1, width, dtype=np.float32) if width > 1 else np.zeros(1, dtype=np.float32)
    return np.stack(np.broadcast_arrays(down[:, None], along[None, :]))


def segment(
    parameters: ScratchParameters, scribbles: Scribbles, state: FitState, report: Report
) -> Segmentation[FitState]:
    """Segment one set of strokes."""
    report(0.0)
    samples = StrokeSamples.of(scribbles, parameters.held_back, parameters.seed)

    def start(former: nn.Module | None, class_map: list[int | None]) -> Learner:
        if isinstance(parameters, UNetParameters):
            return _unet(parameters, parameters.seed, state, samples, former, class_map)
        return _pixel_net(cast("LayerParameters", parameters), parameters.seed, state, samples, former, class_map)

    return learn(parameters, scribbles, samples, state, start, report)


def _pixel_net(
    parameters: LayerParameters,
    seed: int,
    state: FitState,
    samples: StrokeSamples,
    former: nn.Module | None,
    class_map: list[int | None],
) -> Learner:
    generator = torch.Generator().manual_seed(seed)
    kernel = parameters.kernel if isinstance(parameters, ConvolutionParameters) else 1
    if former is None:
        net = PixelNet(len(state.channels), len(class_map), parameters.width, parameters.depth, kernel, generator)
    else:
        net = cast("PixelNet", former)
        net.set_classes(class_map, generator)
    penalty = None
    if isinstance(parameters, PenaltyParameters):
        penalty = Penalty(1e-7 * parameters.beta, state.where[parameters.penalty])
    return PixelLearner(net.to(state.device), state.channels, samples, penalty)


def _unet(
    parameters: UNetParameters,
    seed: int,
    state: FitState,
    samples: StrokeSamples,
    former: nn.Module | None,
    class_map: list[int | None],
) -> Learner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if former is None:
            net = SingleUNet(len(state.channels), len(class_map), parameters.width, parameters.levels)
        else:
            net = cast("SingleUNet", former)
            net.set_classes(class_map)
    return UNetLearner(net.to(state.device), state.channels, samples)


def learn(
    parameters: FitParameters,
    scribbles: Scribbles,
    samples: StrokeSamples,
    state: FitState,
    start: Callable[[nn.Module | None, list[int | None]], Learner],
    report: Report,
) -> Segmentation[FitState]:
    """Fit a network to strokes, from the last weights if strokes were only added since, and segment.

    Parameters
    ----------
    parameters : FitParameters
    scribbles : Scribbles
    samples : StrokeSamples
        Of the scribbles.
    state : FitState
    start : callable
        Makes a learner from a network that it may change, or None for a fresh one, and for each class its index in that
        network, or None for a new one.
    report : Report
    """
    ids = tuple(scribbles.ids[k] for k in samples.drawn)
    table = np.asarray((*scribbles.ids, -1), dtype=np.int32)
    seeds = table[scribbles.seeds]
    former = _valid_fit(state.fitted, parameters, seeds)
    former_ids = () if former is None else former.ids
    class_map = [former_ids.index(i) if i in former_ids else None for i in ids]
    learner = start(None if former is None else copy.deepcopy(former.network), class_map)
    with one_thread() if isinstance(learner, PixelLearner) else nullcontext():
        if former is not None and np.array_equal(former.seeds, seeds):
            curve = former.curve
        else:
            few = former is not None and set(ids) <= set(former_ids)
            steps = max(round(_WARM_SHARE * parameters.steps), 1) if few else parameters.steps
            progress = _previews(learner, scribbles, samples, state, report)
            validate = learner.validate if samples.validating.any() else None
            weights = [p for p in learner.network.parameters() if p.requires_grad]
            curve = fit(weights, learner.descend, validate, steps, parameters.rate, progress)
        report(0.8)
        logits = learner.logits(lambda share: report(0.8 + 0.2 * share))
    fitted = Fitted(parameters, learner.network, seeds, ids, curve)
    how = "fitted afresh" if former is None else "continued from the last weights"
    notes = [f"{how}: {curve.describe()}", f"computed on {state.device}"]
    if len(samples.pixels) < int(scribbles.counts.sum()):
        notes.insert(1, f"fitted to {len(samples.pixels)} of {int(scribbles.counts.sum())} stroke pixels")
    return make_result(logits, scribbles, samples, replace(state, fitted=fitted), tuple(notes), curve)


def _valid_fit(fitted: Fitted | None, parameters: FitParameters, seeds: NDArray[np.int32]) -> Fitted | None:
    """The last fit, if it is one with these parameters and none of its strokes was erased."""
    if fitted is None or fitted.parameters != parameters:
        return None
    painted = fitted.seeds >= 0
    return fitted if np.array_equal(fitted.seeds[painted], seeds[painted]) else None


def _previews(
    learner: Learner, scribbles: Scribbles, samples: StrokeSamples, state: FitState, report: Report
) -> FitProgress:
    """Report the share of a fit and, at intervals, a preview with the curve so far."""
    shown = time.monotonic()

    def progress(share: float, curve: Callable[[], LossCurve]) -> None:
        nonlocal shown
        if time.monotonic() - shown < PREVIEW_AFTER:
            report(0.8 * share)
            return
        logits = learner.logits(lambda _: None)
        shown = time.monotonic()
        notes = ("preview", f"computed on {state.device}")
        preview = make_result(logits, scribbles, samples, state, notes, curve())
        report(0.8 * share, cast("Segmentation[object]", preview))

    return progress


def make_result(
    logits: Tensor,
    scribbles: Scribbles,
    samples: StrokeSamples,
    state: FitState,
    notes: tuple[str, ...],
    curve: LossCurve,
) -> Segmentation[FitState]:
    """The probabilities; a class without strokes gets nothing."""
    found = torch.softmax(logits.detach(), dim=0).to("cpu", torch.float32).numpy()
    if len(found) < scribbles.n_classes:
        full = np.zeros((scribbles.n_classes, *found.shape[1:]), dtype=np.float32)
        full[list(samples.drawn)] = found
        found = full
    return Segmentation.of(found, scribbles, state, notes, curve=curve)
