"""Fit the network to one image: samples, steps, and early stopping by held-back samples."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import LossCurve
from napari_scribseg.engines.coarse_to_fine.parameters import CoarseToFineParameters
from napari_scribseg.engines.coarse_to_fine.shapes import draw_shape, find_regions, sloppy_cells, snap
from napari_scribseg.nets.upscaler import Upscaler, UpscalerConfig

__all__ = ["Fit"]

_VALIDATION_SHARE = 0.25  # of the samples, as published
_BATCH = 8
_EACH = 10  # steps, or a few more, over which the curve averages the error
_RATE = 2e-3
_START = 3.0  # the enlarged mask before the sigmoid, where the mask is predicted
_PATIENCE = 2  # epochs without a gain before the rate falls
_FALL = 0.3  # of the rate, each time
_FALLS = 2  # before the fit ends
_GAIN = 0.995  # of the best loss, below which a loss is a gain
_KINDS = {"paper": ("rectangle", "circle"), "smooth": ("rectangle", "circle", "smooth")}


class Fit:
    """A network being fitted to one image; a cancelled fit continues where it stopped.

    Parameters
    ----------
    parameters : CoarseToFineParameters
    picture : ndarray of shape (C, H, W), float32
        From above 0 (black) to 1.
    device : str
        Where it computes.

    Attributes
    ----------
    scores : list of float
        Mean squared error at the samples held back, after each round through the others.
    """

    def __init__(self, parameters: CoarseToFineParameters, picture: NDArray[np.float32], device: str) -> None:
        self._parameters, self._picture, self._device = parameters, picture, device
        self._lock = threading.Lock()
        self._steps: Iterator[float] | None = self._run()
        self.regions = find_regions(np.moveaxis(picture, 0, -1)) if parameters.shapes == "regions" else ()
        self.image = torch.from_numpy(picture)[None].to(device)
        self.net = self._network()
        self.small = torch.nn.functional.adaptive_avg_pool2d(self.image, self.net.grid)
        if parameters.grey:
            self.small = self.small.mean(dim=1, keepdim=True)
        self.scores: list[float] = []
        self._rows: list[tuple[int, float, float]] = []  # of the curve
        self._kept = 0
        self.progress = 0.0

    @property
    def done(self) -> bool:
        """Whether the network is ready."""
        return self._steps is None

    @property
    def points(self) -> int:
        """Number of points of the curve."""
        return len(self._rows)

    @property
    def curve(self) -> LossCurve | None:
        """Mean squared errors: averages over a few steps, and of the held-back samples after each round."""
        if not self._rows:
            return None
        steps, fitted, validation = (np.asarray(column) for column in zip(*self._rows, strict=True))
        rounds = -(-(self._parameters.samples - self._n_validation) // _BATCH)
        return LossCurve(steps, fitted, validation, self._kept or int(steps[-1]), self._parameters.epochs * rounds)

    @property
    def _n_validation(self) -> int:
        """Number of samples that are held back."""
        return max(int(_VALIDATION_SHARE * self._parameters.samples), 1)

    def advance(self, report: Callable[[float], None]) -> None:
        """Go on until the fit ends; ``report`` gets the share done between steps, and may raise to stop."""
        with self._lock:
            while self._steps is not None:
                report(self.progress)
                share = next(self._steps, None)
                if share is None:
                    self._steps = None
                else:
                    self.progress = max(self.progress, share)

    def _network(self) -> Upscaler:
        parameters, channels = self._parameters, self._picture.shape[0]
        encoded = parameters.representation == "encoder"
        config = UpscalerConfig(
            in_channels=(1 if parameters.grey else channels) * parameters.repeats + 1,
            out_channels=1 if parameters.mask == "predicted" else channels,
            size=(self._picture.shape[1], self._picture.shape[2]),
            ratio=min(parameters.ratio, max(min(self._picture.shape[1:]) / 10, 2.0)),
            width=parameters.width,
            image_channels=channels if encoded else 0,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(parameters.seed)
            net = Upscaler(config).to(self._device)
        return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def reconstruct(self, cells: Tensor, noise: torch.Generator) -> Tensor:
        """The network's reconstruction from the visible cells.

        Parameters
        ----------
        cells : Tensor of shape (N, 1, h, w)
            1 where the image is shown, 0 where it is hidden.
        noise : Generator
            On the CPU.

        Returns
        -------
        Tensor of shape (N, out, H, W)
        """
        shown = (self.small * cells).repeat_interleave(self._parameters.repeats, dim=1)  # (N, C repeats, h, w)
        disturbed = torch.randn(shown.shape, generator=noise).to(shown) * (self._parameters.noise / 255)
        coarse = torch.cat((shown + disturbed, cells), dim=1).contiguous(memory_format=torch.channels_last)
        start = _START if self._parameters.mask == "predicted" else 0.0
        made: Tensor = self.net(coarse, cells, self.image if len(self.net.encoder) else None, start)
        return made

    def _sample(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A true mask, packed into bits, and the cells of a rough drawing of it."""
        parameters, shape = self._parameters, (self._picture.shape[1], self._picture.shape[2])
        random = np.random.default_rng([parameters.seed, number])
        kinds = _KINDS["paper" if parameters.shapes == "paper" else "smooth"]
        mask = draw_shape(shape, kinds[random.integers(len(kinds))], random)
        if self.regions:
            mask = snap(mask, self.regions)
        error = random.uniform(0, parameters.sloppiness)
        return np.packbits(mask), sloppy_cells(mask, self.net.grid, error, random)

    def _run(self) -> Iterator[float]:
        """The whole fit, in steps; yields the share done."""
        parameters = self._parameters
        masks, cells = [], []
        for number in range(parameters.samples):
            packed, covered = self._sample(number)
            masks.append(packed)
            cells.append(covered)
            if number % 16 == 15:
                yield 0.1 * number / parameters.samples
        bits, shown = np.stack(masks), torch.from_numpy(np.stack(cells)).float()[:, None]
        n_validation = self._n_validation
        optimiser = torch.optim.Adam(self.net.parameters(), lr=_RATE)
        noise = torch.Generator().manual_seed(parameters.seed)
        random = np.random.default_rng([parameters.seed, parameters.samples])
        best, weights, waiting, falls, step = np.inf, None, 0, 0, 0
        recent: list[Tensor] = []  # losses that the curve does not show yet
        for epoch in range(parameters.epochs):
            order = n_validation + random.permutation(parameters.samples - n_validation)
            for start in range(0, len(order), _BATCH):
                chosen = order[start : start + _BATCH]
                loss = self._loss(bits[chosen], shown[chosen], noise)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                step += 1
                recent.append(loss.detach())
                if len(recent) == _EACH and len(order) - start > _EACH * _BATCH:
                    self._rows.append((step, float(torch.stack(recent).mean()), np.nan))
                    recent.clear()
                yield 0.1 + 0.9 * (epoch + start / len(order)) / parameters.epochs
            score = self._score(bits[:n_validation], shown[:n_validation])
            self.scores.append(score)
            self._rows.append((step, float(torch.stack(recent).mean()), score))
            recent.clear()
            if score < _GAIN * best:
                best, weights, waiting = score, copy.deepcopy(self.net.state_dict()), 0
                self._kept = step
                continue
            waiting += 1
            if waiting > _PATIENCE:
                if falls == _FALLS:
                    break
                falls, waiting = falls + 1, 0
                optimiser.param_groups[0]["lr"] *= _FALL
        if weights is not None:
            self.net.load_state_dict(weights)

    def _loss(self, bits: NDArray[np.uint8], cells: Tensor, noise: torch.Generator) -> Tensor:
        """Mean squared error of a batch."""
        rows, columns = self._picture.shape[1:]
        unpacked = np.unpackbits(bits, axis=1, count=rows * columns).reshape(-1, 1, rows, columns)
        target = torch.from_numpy(unpacked).to(self._device, torch.float32)
        if self._parameters.mask == "thresholded":
            target = target * self.image
        return torch.nn.functional.mse_loss(self.reconstruct(cells.to(self._device), noise), target)

    def _score(self, bits: NDArray[np.uint8], cells: Tensor) -> float:
        noise = torch.Generator().manual_seed(self._parameters.seed + 1)
        with torch.no_grad():
            losses = [
                float(self._loss(bits[i : i + _BATCH], cells[i : i + _BATCH], noise)) * len(bits[i : i + _BATCH])
                for i in range(0, len(bits), _BATCH)
            ]
        return sum(losses) / len(bits)
