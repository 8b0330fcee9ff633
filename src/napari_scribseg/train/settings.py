"""The settings of a training run, which are written beside its results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from napari_scribseg.core import InputError
from napari_scribseg.train.first_strokes import CORRECTED, Prompt

__all__ = ["PUBLISHED", "SOURCE_WEIGHTS", "VALIDATION_SOURCES", "Settings"]

Precision = Literal["auto", "float32", "bfloat16"]
Loss = Literal["entropy+dice", "entropy"]
Optimizer = Literal["adamw", "adam"]
Pen = Literal["varied", "published"]

#: One CT, one MR, one microscopy and one ultrasound source, which are not trained on.
VALIDATION_SOURCES = ("ct_spleen_msd", "mr_spine_spider", "usiigaci_phase", "us_carotid")

#: Weights of sources whose many pictures are alike, and of the few with structures thinner than a pen, which alone
#: teach what a stroke on these means.
SOURCE_WEIGHTS: Mapping[str, float] = {
    "msd_hippocampus": 5.0,
    "fluorescence": 7.0,
    "coco_mval": 18.0,
    "fundus_fives": 25.0,
    "photo_leafvein_zelkova": 20.0,
    "axondeepseg_sem": 9.0,
}

#: The settings of paper 001 (Lowes et al., Interactive Scribble Segmentation, sections 2.2 to 2.4, and the authors'
#: code): binary cross-entropy, Adam at a constant 1e-4, 150,000 steps of 32 samples, weights that are not averaged.
PUBLISHED: Mapping[str, Any] = {
    "architecture": "efficient-unet", "config": {"in_channels": 4}, "loss": "entropy", "optimizer": "adam",
    "rate": 1e-4, "decay": 1e-5, "warm_up": 0, "cooldown": 0.0, "clip": 1e9, "ema": 0.0, "batch": 32, "size": 128,
    "samples": 150_000 * 32, "ramp": 10_000 * 32, "iterative": 0.3, "corrections": 1, "unchanged": 0.0,
    "pen": "published", "negative": 0.1, "dots": 0.0, "painted": 0.0, "thin": 0.0, "synthetic": 0.0,
    "superpixels": 0.0, "precision": "float32",
}  # fmt: skip

_LARGEST = 1e9
_SHARES = (
    "iterative", "unchanged", "negative", "dots", "painted", "single", "thin", "cooldown", "synthetic", "superpixels",
    "ema",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """A run; the same settings and data give the same weights on one CPU with the same number of threads.

    Attributes
    ----------
    architecture : str
        Name of the network.
    config : mapping
        Fields of its configuration that differ from the default.
    start : str
        Path of the weights that the run starts from, of the same network; empty for random ones.
    encoder : str
        Path of a state dict with the encoder of torchvision's DenseNet, for a ``brs-net``; empty for random weights.
    encoder_rate : float
        Learning rate of the encoder of a brs-net, as a share of that of its decoders (paper 003: 0.01).
    prompt : {"scribbles", "clicks", "box", "extreme-points", "none"}
        Input of the network beside the image; only scribbles and clicks are corrected.
    samples : int
        Number of samples, over which the learning rate falls to a hundredth.
    batch : int
        Samples of a step, over all processes.
    size : int
        Pixels along each side of a sample.
    rate : float
        Highest learning rate.
    decay : float
        Weight decay.
    loss : {"entropy+dice", "entropy"}
        Binary cross-entropy with or without soft Dice (paper 001: without).
    optimizer : {"adamw", "adam"}
        AdamW, or Adam, whose weight decay is a part of the gradient (paper 001).
    warm_up : int
        Samples over which the learning rate rises from 0.
    clip : float
        Largest norm of the gradient.
    ema : float
        Decay of the averaged weights at each step; less at the start of a run. 0: the weights themselves.
    ramp : int
        Samples over which the share of augmented samples rises from 0 to 1 (paper 001: those of 10,000 steps).
    iterative : float
        Share of the steps in which predictions are corrected first (paper: 0.3).
    corrections : int
        Most corrections in such a step, each by a stroke or by one click; their number is uniform from 1.
    unchanged : float
        Share of these corrections in which nothing is drawn: the network gets its last prediction again, as in the
        engine.
    pen : {"varied", "published"}
        Pens of many widths, which draw a scribble whole or in part, or that of paper 001.
    negative, dots, painted, single : float
        Shares of samples with strokes off the object, dots, strokes as people paint them, and a single click: see
        :class:`~napari_scribseg.train.first_strokes.DrawingOptions`.
    thin, synthetic, superpixels : float
        Shares of samples: see :class:`~napari_scribseg.train.training_samples.SampleOptions`.
    cooldown : float
        Share of the samples, the last ones, over which the learning rate falls; before them it is constant, so that a
        run can end earlier or later than planned until it begins to fall.
    validation : tuple of str
        Sources that are never trained on.
    validation_samples : int
        Samples of each of these sources.
    weights : mapping of str to float
        Weights of sources: see :class:`~napari_scribseg.train.training_samples.SampleOptions`.
    precision : {"auto", "float32", "bfloat16"}
        ``auto``: bfloat16 where the processor computes in it, float32 elsewhere.
    compile : bool
        Whether torch compiles the network.
    seed : int
    """

    architecture: str = "plain-unet"
    config: Mapping[str, Any] = field(default_factory=lambda: {"channels": (16, 32, 64, 96, 128)})
    start: str = ""
    encoder: str = ""
    encoder_rate: float = 1.0
    prompt: Prompt = "scribbles"
    samples: int = 1_000_000
    batch: int = 32
    size: int = 128
    rate: float = 2e-3
    decay: float = 1e-4
    loss: Loss = "entropy+dice"
    optimizer: Optimizer = "adamw"
    warm_up: int = 16_000
    clip: float = 1.0
    ema: float = 0.999
    ramp: int = 0
    iterative: float = 0.3
    corrections: int = 3
    unchanged: float = 0.25
    pen: Pen = "varied"
    negative: float = 0.5
    dots: float = 0.15
    painted: float = 0.5
    single: float = 0.0
    thin: float = 0.6
    cooldown: float = 1.0
    synthetic: float = 0.2
    superpixels: float = 0.3
    validation: tuple[str, ...] = VALIDATION_SOURCES
    validation_samples: int = 48
    weights: Mapping[str, float] = field(default_factory=lambda: dict(SOURCE_WEIGHTS))
    precision: Precision = "auto"
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        config = {k: tuple(v) if isinstance(v, list) else v for k, v in self.config.items()}
        object.__setattr__(self, "config", config)
        for name in ("samples", "batch", "corrections", "validation_samples"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; a count of at least 1 is expected")
        if self.size < 32:
            raise InputError(f"the size of the samples is {self.size}; at least 32 pixels are expected")
        for name in ("rate", "clip", "encoder_rate"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"{name} is {getattr(self, name)}; a positive number is expected")
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; a share from 0 to 1 is expected")
        for name in ("decay", "warm_up", "ramp", "seed"):
            if not 0 <= getattr(self, name) < _LARGEST:
                raise InputError(f"{name} is {getattr(self, name)}; a number of at least 0 is expected")
        literals = {"precision": Precision, "prompt": Prompt, "loss": Loss, "optimizer": Optimizer, "pen": Pen}
        for name, kind in literals.items():
            choices = get_args(kind)
            if getattr(self, name) not in choices:
                raise InputError(f"the {name} is {getattr(self, name)!r}; one of {', '.join(choices)} is expected")
        if not all(0 < weight < np.inf for weight in self.weights.values()):
            raise InputError(f"the weights of the sources are {dict(self.weights)}; positive numbers are expected")

    @property
    def steps(self) -> int:
        """Number of steps."""
        return -(-self.samples // self.batch)

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step: a linear rise, a constant part, and half a cosine down to a hundredth."""
        done = step * self.batch
        if done < self.warm_up:
            return self.rate * (done + self.batch) / (self.warm_up + self.batch)
        start = max(self.falls_from, self.warm_up)
        share = min(max(done - start, 0) / max(self.samples - start, 1), 1.0)
        return float(self.rate * (0.01 + 0.99 * (1 + np.cos(np.pi * share)) / 2))

    @property
    def falls_from(self) -> int:
        """Number of the sample from which the learning rate falls."""
        return round(self.samples * (1 - self.cooldown))

    def n_corrections(self, step: int) -> int:
        """Number of corrections before the prediction that is learned from; the same in every process."""
        if self.prompt not in CORRECTED:
            return 0
        rng = np.random.default_rng([self.seed, 1, step])
        return int(rng.integers(1, self.corrections + 1)) if rng.random() < self.iterative else 0

    def to_json(self) -> str:
        """Text for :meth:`from_json`."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_file(cls, file: Path) -> Settings:
        """Settings from a file with what :meth:`to_json` wrote; raises as :meth:`from_json`, or OSError."""
        return cls.from_json(file.read_text(encoding="utf-8"), str(file))

    @classmethod
    def from_json(cls, text: str, name: str = "the settings") -> Settings:
        """Settings from their text.

        Raises
        ------
        InputError
            If it is not what :meth:`to_json` wrote.
        """
        try:
            values = json.loads(text)
            names = {f.name for f in fields(cls)}
            if not isinstance(values, dict) or set(values) - names:
                raise InputError(f"{name}: fields other than {', '.join(sorted(names))} are not expected")
            for share in ("unchanged", "dots", "painted", "thin"):
                values.setdefault(share, 0.0)  # settings written before there was such a share
            values["validation"] = tuple(values.get("validation", VALIDATION_SOURCES))
            return cls(**values)
        except InputError:
            raise
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{name} cannot be read ({error}); a file as the run wrote it is expected") from error
