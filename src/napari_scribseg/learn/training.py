"""Learning: from examples to a network, step by step, in the calling thread."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_scribseg.core.classes import ClassTable
from napari_scribseg.core.engine import Report, silent
from napari_scribseg.core.errors import InputError
from napari_scribseg.io.atomic import write_files
from napari_scribseg.kernel.checkpoint import Checkpoint, latest, read_checkpoint, write_checkpoint
from napari_scribseg.learn.agreement import Agreement, agreement_of
from napari_scribseg.learn.beginning import beginning, with_classes
from napari_scribseg.learn.crops import IGNORED, CropSource, prepared
from napari_scribseg.learn.examples import Example
from napari_scribseg.learn.network import LearnedNetwork, ids_of
from napari_scribseg.nets import PlainUNet, load_model
from napari_scribseg.nets.average import Average
from napari_scribseg.numerics.device import choose_device

__all__ = ["LearnSettings", "checksum_of", "learn", "learning_loss", "require_labels"]

_SMOOTH = 1.0  # pixels, in the Dice loss
_EACH = 10.0  # seconds between two checkpoints
_COUNTED = 100  # crops that the shares of the classes are counted in
_RATIOS = 0.02, 50.0  # of the shares of a class, at most
_MOST = 40  # slices that agreement is measured on
_JOB = "job.json"


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """How a network learns; the defaults were measured.

    Attributes
    ----------
    steps, again : int
        Steps of a network that begins, and of one that goes on.
    batch : int
        Crops of a step.
    side : int
        Pixels along each side of a crop.
    rate, rate_again : float
        Learning rate of AdamW after warming up, until it falls.
    decay : float
        Weight decay.
    ema : float
        Share of the averaged weights that stays at each step.
    one_in : int
        One in so many accepted examples is left out of the first part of the steps, where there are as many.
    part : float
        That part.
    seconds : float
        Of the processor, after which it ends in any case; the learning rate falls in time.
    encoder : str
        A file of a network like that of the engine ``scribble-net``, whose layers a network begins with; the one that
        comes with the package by default.
    seed : int
        Of the crops.
    """

    steps: int = 1100
    again: int = 400
    batch: int = 8
    side: int = 64
    rate: float = 2e-3
    rate_again: float = 1e-3
    decay: float = 1e-4
    ema: float = 0.98
    one_in: int = 5
    part: float = 0.6
    seconds: float = 160.0
    encoder: str = ""
    seed: int = 0


def learn(
    examples: Sequence[Example],
    classes: ClassTable,
    *,
    start: LearnedNetwork | None = None,
    checkpoints: Path | None = None,
    report: Report = silent,
    device: str = "auto",
    settings: LearnSettings | None = None,
) -> LearnedNetwork:
    """Learn a network from examples.

    Without ``start`` it begins with the layers of the engine ``scribble-net`` (see
    :func:`~napari_scribseg.learn.beginning.beginning`). One in five accepted examples is held back for the first part
    of the steps, and measured; the rest of the steps learns from all. With ``start`` the accepted examples that it has
    not seen are measured before it learns from them.

    Parameters
    ----------
    examples : sequence of Example
    classes : ClassTable
        The classes of the network.
    start : LearnedNetwork, optional
        The network to go on from; not changed.
    checkpoints : Path, optional
        A folder for what is needed to go on after an interruption: the same call goes on from there. What it holds of
        other examples is removed.
    report : Report
        Gets the share done after each step; what it raises ends the work, and the last state is kept.
    device : str
        As for :func:`~napari_scribseg.numerics.device.choose_device`.
    settings : LearnSettings, optional

    Returns
    -------
    LearnedNetwork

    Raises
    ------
    InputError
        If there is nothing to learn from, or a checkpoint is damaged.

    References
    ----------
    Dice and cross-entropy together as in nnU-Net (Isensee et al. 2021); AdamW (Loshchilov and Hutter 2019); averaged
    weights (Polyak and Juditsky 1992).
    """
    require_labels(examples, classes)
    return _Learning(examples, classes, start, checkpoints, choose_device(device), settings or LearnSettings()).run(
        report
    )


def checksum_of(example: Example) -> str:
    """The first digits of the SHA-256 of its image and labels."""
    digest = hashlib.sha256(np.ascontiguousarray(example.image).tobytes())
    digest.update(np.ascontiguousarray(example.labels).tobytes())
    return digest.hexdigest()[:16]


def require_labels(examples: Sequence[Example], classes: ClassTable) -> None:
    """Check that there is something to learn from; InputError otherwise."""
    ids = ids_of(classes)
    if len(ids) < 2:
        raise InputError("the class table has no class but the background; one at least is expected to learn")
    found = {int(i) for example in examples for i in np.unique(example.labels)}
    if not found & set(ids[1:]):
        names = ", ".join(each.name for each in classes if not each.background)
        raise InputError(
            f"none of the {len(examples)} slices has labels of {names}; accept one at least before learning"
        )


class _Learning:
    """One call of :func:`learn`."""

    def __init__(
        self,
        examples: Sequence[Example],
        classes: ClassTable,
        start: LearnedNetwork | None,
        folder: Path | None,
        device: str,
        settings: LearnSettings,
    ) -> None:
        self.settings, self.folder, self.device = settings, folder, device
        self.examples = list(examples)
        self.seen = [checksum_of(example) for example in examples]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            if start is None:
                self.begun = beginning(examples, classes, _base(settings))
            else:
                self.begun = with_classes(start, classes)
        self.steps = settings.steps if start is None else settings.again
        self.rate = settings.rate if start is None else settings.rate_again
        self.unseen = self._choose_unseen() if start is None else []
        self.agreement = None if start is None else start.card.agreement
        self.is_first = start is None
        self.sees_all = False
        self._source: CropSource | None = None
        self.identity = self._identity(start)

    def _identity(self, start: LearnedNetwork | None) -> str:
        """Another text for every call that differs."""
        parts = [*self.seen, "" if start is None else start.checksum, repr(ids_of(self.begun.classes))]
        parts.append(json.dumps(asdict(self.settings)))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _choose_unseen(self) -> list[int]:
        """The accepted examples that are held back: whole cases where there are enough, else one in so many."""
        accepted = [i for i, example in enumerate(self.examples) if example.accepted]
        each = self.settings.one_in
        if len(accepted) < each:
            return []
        cases = list(dict.fromkeys(self.examples[i].case for i in accepted))
        if len(cases) >= each:
            chosen = set(cases[each // 2 :: each])
            return [i for i in accepted if self.examples[i].case in chosen]
        return accepted[each // 2 :: each]

    def run(self, report: Report) -> LearnedNetwork:
        """Learn, or go on."""
        step, model, average, optimizer = self._state()
        moving = Average(model, average.to(self.device), self.settings.ema)
        switch = self.settings.part if self.unseen else 0.0  # the share done from which on it learns from all
        saved, begun = time.monotonic(), time.process_time()
        try:
            while (done := self._done(step, time.process_time() - begun)) < 1:
                report(done)
                if done >= switch and not self.sees_all:
                    self._measure(moving, step)
                    self.sees_all, self._source = True, None
                self._step(step, done, model, optimizer)
                moving.update(step)
                step += 1
                if self.folder is not None and time.monotonic() - saved > _EACH:
                    self._save(step, model, moving, optimizer)
                    saved = time.monotonic()
        finally:
            if self.folder is not None:
                self._save(step, model, moving, optimizer)
        report(1.0)
        return self._result(moving, step)

    def _done(self, step: int, seconds: float) -> float:
        """The share done: by the steps, so that the same call gives the same network, unless time is short."""
        in_time = seconds / self.settings.seconds
        return in_time if in_time > (step + 1) / self.steps else step / self.steps

    def _step(self, step: int, done: float, model: PlainUNet, optimizer: torch.optim.Optimizer) -> None:
        rng = np.random.default_rng([self.settings.seed, step])
        images, targets = self._crops().batch(self.settings.batch, rng)
        optimizer.param_groups[0]["lr"] = self.rate * _schedule(done)
        images = images.to(self.device).contiguous(memory_format=torch.channels_last)
        loss = learning_loss(model(images), targets.to(self.device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def _crops(self) -> CropSource:
        """What is learned from at present; prepared once."""
        if self._source is not None:
            return self._source
        hidden = set() if self.sees_all else set(self.unseen)
        kept = [prepared(e, self.begun) for i, e in enumerate(self.examples) if i not in hidden]
        labelled = [e for e in kept if bool((e.targets != IGNORED).any())]
        self._source = CropSource(labelled or kept, mirrored=self.begun.card.mirrored, side=self.settings.side)
        return self._source

    def _measure(self, moving: Average, step: int) -> None:
        """How well the network agrees with what it has not seen."""
        if self.is_first:
            unseen, network = self.unseen, self._network(moving) if step else None
        else:
            seen = set(self.begun.card.seen)
            new = [i for i, example in enumerate(self.examples) if example.accepted and self.seen[i] not in seen]
            unseen, network = new, self.begun
        if unseen and network is not None:
            chosen = unseen[:: -(-len(unseen) // _MOST)]
            self.agreement = measured_agreement(network, [self.examples[i] for i in chosen])

    def _network(self, moving: Average) -> LearnedNetwork:
        model = moving.model
        assert isinstance(model, PlainUNet)
        model = copy.deepcopy(model).to("cpu")
        self._correct_shares(model)
        return LearnedNetwork(model, self.begun.classes, self.begun.card)

    def _correct_shares(self, model: PlainUNet) -> None:
        """Correct the outputs for crops being drawn around classes, which are rarer in whole slices.

        The logarithm of the ratio of both shares is added to each output (Saerens et al. 2002): on eight hippocampi
        that the network has not seen, Dice of drafts rose from 0.802 to 0.826.
        """
        whole = np.zeros(model.config.out_channels)
        for example in self.examples:
            if example.accepted:
                whole += [np.count_nonzero(example.labels == identity) for identity in self.begun.ids]
        _, targets = self._crops().batch(_COUNTED, np.random.default_rng([self.settings.seed, 1 << 20]))
        drawn = np.array([int((targets == k).sum()) for k in range(len(whole))])
        there = (whole > 0) & (drawn > 0)
        if whole.any():
            ratio = np.where(there, whole / whole.sum() / np.maximum(drawn / max(drawn.sum(), 1), 1e-6), 1.0)
            with torch.no_grad():
                assert model.head.bias is not None
                model.head.bias += torch.from_numpy(np.log(np.clip(ratio, *_RATIOS))).float()

    def _result(self, moving: Average, step: int) -> LearnedNetwork:
        card = self.begun.card
        return self._network(moving).with_card(
            examples=len(self.examples),
            cases=tuple(dict.fromkeys((*card.cases, *(example.case for example in self.examples)))),
            steps=card.steps + step,
            seen=tuple(dict.fromkeys((*card.seen, *self.seen))),
            agreement=self.agreement,
        )

    # checkpoints

    def _state(self) -> tuple[int, PlainUNet, PlainUNet, torch.optim.Optimizer]:
        """Where to begin: the step, the network, its average and the optimiser."""
        found = self._checkpoint()
        model, average = self.begun.model, self.begun.model
        if found is not None:
            assert isinstance(found.model, PlainUNet)
            assert isinstance(found.average, PlainUNet)
            model, average = found.model, found.average
        model = copy.deepcopy(model).to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        model.requires_grad_(True)
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.rate, weight_decay=self.settings.decay)
        if found is not None:
            optimizer.load_state_dict(found.optimizer)
        return 0 if found is None else found.step, model, copy.deepcopy(average), optimizer

    def _checkpoint(self) -> Checkpoint | None:
        """The last state of the same call; what the folder holds of another is removed."""
        if self.folder is None:
            return None
        job = _read_job(self.folder / _JOB)
        if job is None or job[0] != self.identity:
            for old in self.folder.glob("step-*"):
                shutil.rmtree(old, ignore_errors=True)
            return None
        self.sees_all, self.agreement = job[1], job[2] or self.agreement
        newest = latest(self.folder)
        return None if newest is None else read_checkpoint(newest)

    def _save(self, step: int, model: PlainUNet, moving: Average, optimizer: torch.optim.Optimizer) -> None:
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        found = self.agreement
        content = {
            "identity": self.identity,
            "sees_all": self.sees_all,
            "agreement": found and [list(found.dice.items()), found.slices],
        }
        write_files({self.folder / _JOB: json.dumps(content).encode()})
        write_checkpoint(self.folder, Checkpoint(step, model, moving.model, optimizer.state_dict(), -1.0))


def measured_agreement(network: LearnedNetwork, examples: Sequence[Example]) -> Agreement:
    """How well a network's drafts agree with accepted examples; see :func:`agreement_of`."""
    return agreement_of(
        (network.labels_of(network.probabilities([example.image], example.spacing)[0]), example.labels)
        for example in examples
    )


def learning_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy, and one minus soft Dice of the classes that a batch has, where something is known.

    Parameters
    ----------
    logits : Tensor of shape (N, K, H, W)
    targets : Tensor of shape (N, H, W), int64
        :data:`~napari_scribseg.learn.crops.IGNORED` where nothing is known.

    Returns
    -------
    Tensor of shape ()
    """
    valid = targets != IGNORED
    entropy = functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum") / valid.sum().clamp(
        min=1
    )
    truth = functional.one_hot(targets.clamp(min=0), logits.shape[1]).movedim(-1, 1) * valid[:, None]  # (N, K, H, W)
    predicted = torch.softmax(logits, dim=1) * valid[:, None]
    common, total = (predicted * truth).sum((0, 2, 3)), (predicted + truth).sum((0, 2, 3))
    dice = (2 * common + _SMOOTH) / (total + _SMOOTH)
    return entropy + 1 - dice[1:].mean()


def _base(settings: LearnSettings) -> PlainUNet | None:
    """The network that a network begins with; None for the one that comes with the package."""
    if not settings.encoder:
        return None
    model = load_model(settings.encoder)[0]
    if not isinstance(model, PlainUNet):
        raise InputError(f"{settings.encoder} is a {type(model).__name__}; a PlainUNet is expected to begin with")
    return model


def _schedule(done: float) -> float:
    """The learning rate by the share done: it rises, stays, and falls along a cosine."""
    if done < 0.05:
        return 0.05 + 0.95 * done / 0.05
    if done < 0.5:
        return 1.0
    return 0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * (done - 0.5) / 0.5)))


def _read_job(path: Path) -> tuple[str, bool, Agreement | None] | None:
    """What a folder's checkpoints belong to, and what was measured; None where that cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content["agreement"]
        agreement = None if found is None else Agreement({int(i): float(d) for i, d in found[0]}, int(found[1]))
        return str(content["identity"]), bool(content["sees_all"]), agreement
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None
