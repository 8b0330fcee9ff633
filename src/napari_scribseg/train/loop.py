"""The training loop: the same on one CPU, one GPU or many, and exact when it is resumed."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_scribseg.core import InputError
from napari_scribseg.kernel.checkpoint import Checkpoint, latest, read_checkpoint, write_checkpoint
from napari_scribseg.nets import BRSNet, build, load_encoder, load_model, save_model, widened
from napari_scribseg.nets.average import Average
from napari_scribseg.nets.quick_upsampling import QuickUpsampling
from napari_scribseg.nets.weights import Network
from napari_scribseg.numerics.augmentation.warps import WarpOptions
from napari_scribseg.train.batches import Batch, all_predictions, corrected, predictions
from napari_scribseg.train.first_strokes import DrawingOptions
from napari_scribseg.train.losses import dice_scores, segmentation_loss
from napari_scribseg.train.machine import Machine
from napari_scribseg.train.pack import Pack
from napari_scribseg.train.run_log import RunLog
from napari_scribseg.train.settings import Settings
from napari_scribseg.train.synced_norm import sync_batch_norm
from napari_scribseg.train.training_samples import SampleOptions, TrainingSamples, loader
from napari_scribseg.train.validate import Validation, write_pictures

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["TrainingResult", "first_network", "train", "training_sources"]

log = logging.getLogger("scribseg")

_BACKGROUND = 0.08  # share of the labelled objects that are the background
_SCALES = (0.6, 1.7)  # pixels of the picture per pixel, for networks that are given whole pictures
_MOST_SKIPPED = 50  # steps in a row without a finite gradient


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The state of a run when it ends.

    Attributes
    ----------
    step : int
        Steps done.
    finished : bool
        Whether these are all steps.
    scores : tuple of float or None
        Mean Dice of the last validation: :attr:`~napari_scribseg.train.validate.ValidationScores.mean`.
    """

    step: int
    finished: bool
    scores: tuple[float, ...] | None


def training_sources(pack: Pack, settings: Settings) -> tuple[str, ...]:
    """The sources of a pack that are trained on: those that do not validate."""
    return tuple(source for source in pack.sources if source not in settings.validation)


def first_network(settings: Settings) -> Network:
    """The network that a run begins with: random weights, or those of a file.

    Raises
    ------
    InputError
        If a file is missing or damaged, or holds another network or encoder.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = build(settings.architecture, settings.config)
    if settings.encoder:
        if not isinstance(model, BRSNet):
            raise InputError(f"an encoder was given for a {settings.architecture}; a brs-net is expected")
        load_encoder(model, settings.encoder)
    if not settings.start:
        return model
    found, card = load_model(settings.start)
    if isinstance(found, BRSNet) and isinstance(model, BRSNet):
        channels = model.config.in_channels
        if found.config.in_channels < channels:
            found = widened(found, channels)
        if replace(found.config, fine=True) == model.config:
            model.load_state_dict(found.state_dict(), strict=False)  # without the fine decoder of the second stage
            return model
    if type(found) is not type(model) or found.config != model.config:
        raise InputError(
            f"{settings.start} holds a {card['architecture']} of {card['config']}; to start from it, --network and "
            "--config have to name the same"
        )
    return found


def train(
    settings: Settings,
    pack: Pack,
    out: Path,
    fabric: Fabric,
    machine: Machine,
    *,
    until: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    """Train a network, from the newest checkpoint in ``out`` where there is one.

    Parameters
    ----------
    settings : Settings
    pack : Pack
    out : Path
        Folder of the run. Gets ``checkpoints/``, ``weights.safetensors`` (the newest average), ``best.safetensors``
        (that of the best validation), logs and ``pictures/``.
    fabric : Fabric
        Launched.
    machine : Machine
    until : int, optional
        Last step; the learning rate follows ``settings`` all the same.
    stopped : callable
        Called after each step; true ends the run.

    Returns
    -------
    TrainingResult

    Raises
    ------
    InputError
        If settings and data do not fit together, or a checkpoint is damaged.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(machine.n_threads)
    try:
        return _Run(settings, pack, out, fabric, machine).go(min(until or settings.steps, settings.steps), stopped)
    finally:
        torch.set_num_threads(threads)


class _Run:
    """One process of a run."""

    def __init__(self, settings: Settings, pack: Pack, out: Path, fabric: Fabric, machine: Machine) -> None:
        self.settings, self.pack, self.out, self.fabric, self.machine = settings, pack, out, fabric, machine
        self.drawing = DrawingOptions(
            prompt=settings.prompt, published=settings.pen == "published", negative=settings.negative,
            dots=settings.dots, painted=settings.painted, single=settings.single,
        )  # fmt: skip
        options = SampleOptions(
            settings.size, settings.synthetic, settings.superpixels, _BACKGROUND, thin=settings.thin,
            ramp=settings.ramp, weights=dict(settings.weights), drawing=self.drawing,
        )  # fmt: skip
        if settings.prompt == "none":  # synthetic pictures and superpixels have no objects that stand out by themselves
            options = replace(options, synthetic=0, superpixels=0, background=0, warp=WarpOptions(scale=_SCALES))
        sources = training_sources(pack, settings)
        self.samples = TrainingSamples(pack, sources, settings.seed, options)
        self.zero, self.world = fabric.is_global_zero, fabric.world_size
        self.validation = None
        if self.zero and settings.validation:
            self.validation = Validation(
                pack, settings.validation, settings.validation_samples, settings.size, settings.prompt
            )
        pack.preload(sources)  # before workers are forked, which share the memory
        start = self._start()
        self.step, self.best = start.step, start.best
        self.scores: tuple[float, ...] | None = None
        self.net, self.channels = start.model.train(), start.model.config.in_channels
        if self.world > 1:
            sync_batch_norm(self.net)
        _channels_last(self.net)
        kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(_groups(self.net, settings), lr=settings.rate, weight_decay=settings.decay)
        wrapped: nn.Module = torch.compile(self.net) if settings.compile else self.net  # type: ignore[assignment]
        self.model, self.optimizer = fabric.setup(wrapped, optimizer)
        if start.optimizer:
            optimizer.load_state_dict(start.optimizer)
        self.average = Average(self.net, _channels_last(start.average.to(fabric.device)), settings.ema)
        self.log = RunLog(out, self.step) if self.zero else None
        self.began = time.monotonic()

    def _start(self) -> Checkpoint:
        """The newest checkpoint, or a new network."""
        path = latest(self.out / "checkpoints")
        if path is not None:
            return read_checkpoint(path)
        model = first_network(self.settings)
        return Checkpoint(0, model, copy.deepcopy(model), {}, -1.0)

    def go(self, until: int, stopped: Callable[[], bool]) -> TrainingResult:
        """Train until a step."""
        saved = checked = logged = time.monotonic()
        totals, count, skipped = torch.zeros(2), 0, 0
        share = self.fabric.global_rank, self.world
        for batch in loader(self.samples, self.step, until, self.settings.batch, self.machine.n_workers, share):
            loss, dice, finite = self._one(batch.to(self.fabric.device))
            self.step, skipped = self.step + 1, 0 if finite else skipped + 1
            if skipped >= _MOST_SKIPPED:
                raise InputError(
                    f"{skipped} steps in a row had no finite gradient; a lower learning rate than {self.settings.rate} "
                    "is expected"
                )
            end, state = self._shared(loss, dice, stopped() or self.step == until)
            totals, count, now = totals + state, count + 1, time.monotonic()
            if self.zero and (self.step % self.machine.rows == 0 or end):
                self._log_step(totals / count, count / (now - logged))
                totals, count, logged = torch.zeros(2), 0, now
            if self.zero and (end or now - checked >= self.machine.validation):
                self._validate()
                checked = logged = time.monotonic()
            if self.zero and (end or now - saved >= self.machine.checkpoint):
                self._save()
                saved = time.monotonic()
            if end:
                break
        self.fabric.barrier()
        if self.log is not None:
            self.log.close()
        return TrainingResult(self.step, self.step >= self.settings.steps, self.scores)

    def _one(self, batch: Batch) -> tuple[Tensor, Tensor, bool]:
        """One step: mean loss and Dice of the part of this process, and whether the gradient was finite."""
        previous, start = None, self.step * self.settings.batch + self.fabric.global_rank * len(batch.image)
        for turn in range(self.settings.n_corrections(self.step)):
            with torch.no_grad():
                logits = predictions(self.model, batch.image, batch.stroke_map, previous, self.channels)
                previous = torch.nan_to_num(torch.sigmoid(logits), nan=0.5)
            # a seed for each sample, independent of the number of processes
            seeds = [[self.settings.seed, 2, turn, start + i] for i in range(len(batch.image))]
            correction_map = corrected(previous, batch, seeds, self.drawing)
            unchanged = [np.random.default_rng([*seed, 1]).random() < self.settings.unchanged for seed in seeds]
            where = torch.tensor(unchanged, device=correction_map.device)[:, None, None]
            batch = batch._replace(stroke_map=torch.where(where, batch.stroke_map, correction_map))
        with QuickUpsampling():
            logits = all_predictions(self.model, batch.image, batch.stroke_map, previous, self.channels)
        both, truth = self.settings.loss == "entropy+dice", (batch.target, batch.valid)
        losses = [segmentation_loss(one, *truth, dice=both).mean() for one in logits.unbind(1)]
        loss = torch.stack(losses).mean()
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("share", 1.0) * self.settings.learning_rate(self.step)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        norm = self.fabric.clip_gradients(
            self.model, self.optimizer, max_norm=self.settings.clip, error_if_nonfinite=False
        )
        finite = bool(torch.isfinite(norm)) if norm is not None else True
        if finite:
            self.optimizer.step()
            self.average.update(self.step)
        return loss.detach(), dice_scores(logits.detach()[:, -1] > 0, batch.target, batch.valid).mean(), finite

    def _shared(self, loss: Tensor, dice: Tensor, end: bool) -> tuple[bool, Tensor]:
        """Whether a process requests the end, and loss and Dice of the whole batch."""
        values = torch.stack((loss.float(), dice.float(), torch.tensor(float(end), device=loss.device)))
        if self.world > 1:
            values = self.fabric.all_reduce(values, reduce_op="mean")  # type: ignore[assignment]
        values = values.cpu()
        return bool(values[2] > 0), values[:2]

    def _log_step(self, mean: Tensor, steps_per_second: float) -> None:
        assert self.log is not None
        s, (loss, dice) = self.settings, mean.tolist()
        seconds = self.log.seconds + time.monotonic() - self.began
        self.log.steps(
            step=self.step, samples=self.step * s.batch, seconds=seconds, loss=loss, dice=dice,
            rate=s.learning_rate(self.step - 1), samples_per_second=steps_per_second * s.batch,
        )  # fmt: skip
        log.info(
            "step %d of %d: loss %.4f, dice %.3f, %.1f samples a second",
            self.step, s.steps, loss, dice, steps_per_second * s.batch,
        )  # fmt: skip

    def _validate(self) -> None:
        if self.validation is None or self.log is None:
            return
        scores = self.validation.run(
            self.average.model, self.channels, self.fabric.device, self.fabric.autocast, pictures=True
        )
        self.scores = scores.mean
        self.log.validation(self.step, self.step * self.settings.batch, {**scores.sources, "mean": scores.mean})
        (self.out / "pictures").mkdir(exist_ok=True)
        write_pictures(self.out / "pictures" / f"step-{self.step:09d}.png", scores)
        log.info("validation at step %d: dice %s", self.step, self._scores_text(self.scores))
        if sum(self.scores) > self.best:
            self.best = sum(self.scores)
            save_model(self.out / "best.safetensors", self.average.model, self._card())

    def _scores_text(self, scores: tuple[float, ...]) -> str:
        """Scores as text."""
        first = "after the first stroke" if self.settings.prompt == "scribbles" else "after the prompt"
        when = (first, "after one correction")[: len(scores)]
        return ", ".join(f"{score:.4f} {words}" for score, words in zip(scores, when, strict=True))

    def _card(self) -> dict[str, str]:
        """The origin of the weights."""
        used = [item for item in self.pack.items if item.source not in self.settings.validation]
        card = {
            "data": ", ".join(sorted({item.source for item in used})),
            "licences": "; ".join(sorted({f"{item.data_set}: {item.licence}" for item in used})),
            "prompt": self.settings.prompt,
            "samples": str(self.step * self.settings.batch),
            "validated on": ", ".join(self.settings.validation),
        }
        if self.scores is not None:
            card["dice"] = self._scores_text(self.scores)
        return card

    def _save(self) -> None:
        state = self.optimizer.state_dict()
        state = {"state": state["state"], "param_groups": state["param_groups"]}
        model = build(self.settings.architecture, self.settings.config)  # with ordinary batch norms
        model.load_state_dict(self.net.state_dict(), assign=True)
        write_checkpoint(self.out / "checkpoints", Checkpoint(self.step, model, self.average.model, state, self.best))
        save_model(self.out / "weights.safetensors", self.average.model, self._card())


def _groups(net: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """The parameters in groups, with the share of the learning rate of each."""
    if not isinstance(net, BRSNet) or settings.encoder_rate == 1:
        return [{"params": list(net.parameters()), "share": 1.0}]
    encoder = list(net.features.parameters())
    own = {id(p) for p in encoder}
    others = [p for p in net.parameters() if id(p) not in own]
    return [{"params": others, "share": 1.0}, {"params": encoder, "share": settings.encoder_rate}]


def _channels_last(module: Any) -> Any:
    """The network, changed in place to the memory layout that is fastest for convolutions."""
    return module.to(memory_format=torch.channels_last)
