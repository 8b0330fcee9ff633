"""From strokes to probabilities: fit, look meanwhile, predict; the same for every network and device."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_scribseg.core import Image, LossCurve, Report, Scribbles, Segmentation
from napari_scribseg.engines.single_image.engine import CNN, PWN, CNNReg, UNetSingle
from napari_scribseg.engines.single_image.fit import Tell, fit, one_thread
from napari_scribseg.engines.single_image.inputs import input_channels
from napari_scribseg.engines.single_image.learners import Learner, Penalty, PixelLearner, UNetLearner
from napari_scribseg.engines.single_image.network import PixelNet
from napari_scribseg.engines.single_image.samples import Samples
from napari_scribseg.engines.single_image.unet import SingleUNet
from napari_scribseg.numerics.device import choose_device

__all__ = ["FitState", "Fitted", "PixelEngine", "answer", "learn", "prepare", "segment"]

PixelEngine = PWN | CNN | CNNReg | UNetSingle

_PREVIEW_AFTER = 0.5  # seconds between two previews
_WARM_SHARE = 0.25  # of the steps, for a further stroke


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A network as the last strokes left it.

    Attributes
    ----------
    engine : engine
        With what parameters; those of another one start afresh.
    network : nn.Module
        Never changed: a further fit begins with a copy.
    seeds : ndarray of shape (H, W), int32
        Label id of each stroke pixel, -1 elsewhere.
    ids : tuple of int
        Label id of each of the network's classes.
    curve : LossCurve
        Of the fit.
    """

    engine: Any
    network: nn.Module
    seeds: NDArray[np.int32]
    ids: tuple[int, ...]
    curve: LossCurve


@dataclass(frozen=True, slots=True, eq=False)
class FitState:
    """What the engine remembers of one image.

    Attributes
    ----------
    channels : Tensor of shape (C, H, W)
        The network's input, on the device.
    where : dict of str to slice
        The channels of ``channels`` that are ``"colour"``, ``"position"`` and ``"semantic"``.
    device : str
    fitted : Fitted or None
        The last answer's network, and its loss curve.
    """

    channels: Tensor
    where: dict[str, slice]
    device: str
    fitted: Fitted | None = None

    @property
    def curve(self) -> LossCurve | None:
        """How the last fit went; None before the first."""
        return None if self.fitted is None else self.fitted.curve

    @property
    def semantic(self) -> NDArray[np.float32] | None:
        """The semantic features as a colour picture, shape (H, W, 3), 0 to 1; None where they are no input."""
        if "semantic" not in self.where:
            return None
        return np.moveaxis(self.channels[self.where["semantic"]].cpu().numpy(), 0, -1)


def prepare(engine: PixelEngine, image: Image, device: str) -> FitState:
    """The state for a fresh image."""
    chosen = choose_device(device)
    channels, where = input_channels(image, engine.inputs, engine.backbone, chosen)
    return FitState(torch.from_numpy(channels).to(chosen), where, chosen)


def segment(engine: PixelEngine, scribbles: Scribbles, state: FitState, report: Report) -> Segmentation[FitState]:
    """The answer for one set of strokes."""
    report(0.0)
    samples = Samples.of(scribbles, engine.held_back, engine.seed)

    def start(before: nn.Module | None, kept: list[int | None]) -> Learner:
        make = _unet if isinstance(engine, UNetSingle) else _pixel_net
        return make(engine, state, samples, before, kept)

    return learn(engine, scribbles, samples, state, start, report)


def _pixel_net(
    engine: Any, state: FitState, samples: Samples, before: nn.Module | None, kept: list[int | None]
) -> Learner:
    generator = torch.Generator().manual_seed(engine.seed)
    kernel = 1 if isinstance(engine, PWN) else engine.kernel
    if before is None:
        net = PixelNet(len(state.channels), len(kept), engine.width, engine.depth, kernel, generator)
    else:
        net = cast("PixelNet", before)
        net.set_classes(kept, generator)
    penalty = None
    if isinstance(engine, CNNReg):
        penalty = Penalty(1e-7 * engine.beta, state.where[engine.penalty])
    return PixelLearner(net.to(state.device), state.channels, samples, penalty)


def _unet(engine: Any, state: FitState, samples: Samples, before: nn.Module | None, kept: list[int | None]) -> Learner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(engine.seed)
        if before is None:
            net = SingleUNet(len(state.channels), len(kept), engine.width, engine.levels)
        else:
            net = cast("SingleUNet", before)
            net.set_classes(kept)
    return UNetLearner(net.to(state.device), state.channels, samples)


def learn(
    engine: Any,
    scribbles: Scribbles,
    samples: Samples,
    state: Any,
    start: Callable[[nn.Module | None, list[int | None]], Learner],
    report: Report,
) -> Segmentation[Any]:
    """Fit a network to strokes, from the last answer's weights where strokes were only added since, and answer.

    Parameters
    ----------
    engine : engine
        With the fields ``steps``, ``rate`` and ``seed``.
    scribbles : Scribbles
    samples : Samples
        Of the scribbles.
    state : dataclass
        With the fields ``device`` and ``fitted``.
    start : callable
        Makes a learner of a network that it may change, or of a fresh one for None, and for each class its index in
        that network, or None for a new one.
    report : Report
    """
    ids = tuple(scribbles.ids[k] for k in samples.drawn)
    marks = np.where(scribbles.seeds >= 0, np.asarray(scribbles.ids, dtype=np.int32)[scribbles.seeds], np.int32(-1))
    last = _still_right(state.fitted, engine, marks)
    old = () if last is None else last.ids
    learner = start(
        None if last is None else copy.deepcopy(last.network), [old.index(i) if i in old else None for i in ids]
    )
    with one_thread() if isinstance(learner, PixelLearner) else nullcontext():
        if last is not None and np.array_equal(last.seeds, marks):
            curve = last.curve
        else:
            few = last is not None and set(ids) <= set(old)
            steps = max(round(_WARM_SHARE * engine.steps), 1) if few else engine.steps
            curve = _fitted(engine, learner, samples, steps, _watched(learner, scribbles, samples, state, report))
        report(0.8)
        logits = learner.logits(lambda share: report(0.8 + 0.2 * share))
    fitted = Fitted(engine, learner.network, marks, ids, curve)
    how = "fitted afresh" if last is None else "went on from the last answer's weights"
    notes = [f"{how}: {curve.describe()}", f"computed on {state.device}"]
    if len(samples.pixels) < int(scribbles.counts.sum()):
        notes.insert(1, f"fitted to {len(samples.pixels)} of {int(scribbles.counts.sum())} stroke pixels")
    return answer(logits, scribbles, samples, replace(state, fitted=fitted), tuple(notes), curve)


def _still_right(fitted: Fitted | None, engine: Any, marks: NDArray[np.int32]) -> Fitted | None:
    """The last fit, if it is one of this engine and nothing that it was told has been taken back."""
    if fitted is None or fitted.engine != engine:
        return None
    told = fitted.seeds >= 0
    return fitted if np.array_equal(fitted.seeds[told], marks[told]) else None


def _fitted(engine: Any, learner: Learner, samples: Samples, steps: int, tell: Tell) -> LossCurve:
    judge = learner.judge if samples.judges.any() else None
    parameters = [p for p in learner.network.parameters() if p.requires_grad]
    return fit(parameters, learner.descend, judge, steps, engine.rate, tell)


def _watched(learner: Learner, scribbles: Scribbles, samples: Samples, state: Any, report: Report) -> Tell:
    """Reports the share of a fit, and now and then what the network says by then, with the curve so far."""
    shown = time.monotonic()

    def tell(share: float, curve: Callable[[], LossCurve]) -> None:
        nonlocal shown
        if time.monotonic() - shown < _PREVIEW_AFTER:
            report(0.8 * share)
            return
        logits = learner.logits(lambda _: None)
        shown = time.monotonic()
        notes = ("preview", f"computed on {state.device}")
        preview = answer(logits, scribbles, samples, state, notes, curve())
        report(0.8 * share, cast("Segmentation[object]", preview))

    return tell


def answer(
    logits: Tensor, scribbles: Scribbles, samples: Samples, state: Any, notes: tuple[str, ...], curve: LossCurve
) -> Segmentation[Any]:
    """The probabilities; a class without strokes gets nothing."""
    found = torch.softmax(logits.detach(), dim=0).to("cpu", torch.float32).numpy()
    if len(found) < scribbles.n_classes:
        full = np.zeros((scribbles.n_classes, *found.shape[1:]), dtype=np.float32)
        full[list(samples.drawn)] = found
        found = full
    return Segmentation.of(found, scribbles, state, notes, curve=curve)
