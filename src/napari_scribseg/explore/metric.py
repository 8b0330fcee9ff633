"""A metric learned from the classes so far: segments of one class move together, those of others apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.explore.needs import need

__all__ = ["Head", "learn_head", "require_classes", "train", "unit_rows"]

MARGIN = 0.05
RATE, MOMENTUM, DECAY = 0.1, 0.8, 5e-4  # the rate is divided by 10 each epoch
EPOCHS, SAMPLES, BATCH, PER_CLASS = 3, 1000, 40, 5

Float32 = NDArray[np.float32]
_one_at_a_time = Lock()  # the sampler draws from a generator that all share


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear layer behind the encoder, the identity before anything was learned.

    Attributes
    ----------
    weight : ndarray of shape (D, D), float32
    bias : ndarray of shape (D,), float32
    """

    weight: Float32
    bias: Float32

    @classmethod
    def identity(cls, size: int) -> Head:
        """Leaves features of length ``size`` as they are."""
        return cls(np.eye(size, dtype=np.float32), np.zeros(size, dtype=np.float32))

    def __call__(self, features: Float32) -> Float32:
        """Learned features, shape (n, D), of unit length."""
        return unit_rows(features @ self.weight.T + self.bias)

    def layer(self) -> nn.Linear:
        """The same as a trainable layer."""
        made = nn.Linear(*self.weight.shape[::-1])
        made.load_state_dict({"weight": torch.tensor(self.weight), "bias": torch.tensor(self.bias)})
        return made

    @classmethod
    def of(cls, layer: nn.Linear) -> Head:
        """From a trained layer."""
        return cls(layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())


def unit_rows(rows: Float32) -> Float32:
    """Each row divided by its Euclidean length; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Float32 = (rows / np.maximum(length, np.finfo(np.float32).tiny)).astype(np.float32)
    return scaled


def learn_head(
    features: Float32, labels: NDArray[np.int32], head: Head | None = None, *, seed: int = 0, report: Report = silent
) -> Head:
    """One round of learning: triplet margin loss (Weinberger and Saul 2009) with all triplets of a batch.

    Parameters
    ----------
    features : ndarray of shape (n, D), float32
        Of the segments that have a class.
    labels : ndarray of shape (n,), int32
        Their classes.
    head : Head, optional
        Where to continue from; the identity by default.
    seed : int
        Of the samples drawn.
    report : Report

    Returns
    -------
    Head
        A new one.

    Raises
    ------
    InputError
        If there are fewer than two classes, or pytorch-metric-learning is not installed.
    Cancelled
        If ``report`` asked for it.
    """
    require_classes(labels)
    before = head or Head.identity(features.shape[1])
    layer = before.layer()
    x = torch.from_numpy(features)
    train(list(layer.parameters()), lambda drawn: layer(x[drawn]), labels, seed=seed, report=report)
    return Head.of(layer)


def require_classes(labels: NDArray[np.int32]) -> None:
    """Refuse labels of fewer than two classes."""
    n_classes = len(np.unique(labels))
    if n_classes < 2:
        raise InputError(
            f"segments of {n_classes} class{'' if n_classes == 1 else 'es'} were given; a metric is learned from at "
            "least two classes"
        )


def train(
    parameters: list[nn.Parameter],
    embed: Callable[[Tensor], Tensor],
    labels: NDArray[np.int32],
    *,
    seed: int = 0,
    report: Report = silent,
) -> None:
    """The schedule of the paper (section 4.2): three epochs of 1000 samples, a tenth of the rate in each next one.

    Parameters
    ----------
    parameters : list of Parameter
        To be trained; changed in place.
    embed : callable
        From indices of samples, shape (B,), to their vectors, shape (B, D).
    labels : ndarray of shape (n,), int32
        Classes of the samples, at least two.
    seed : int
        Of the samples drawn.
    report : Report
    """
    losses, samplers = need("pytorch_metric_learning.losses"), need("pytorch_metric_learning.samplers")
    shared = need("pytorch_metric_learning.utils.common_functions")
    loss_of = losses.TripletMarginLoss(margin=MARGIN, triplets_per_anchor="all")
    optimiser = torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, step_size=1, gamma=0.1)
    y = torch.from_numpy(labels.astype(np.int64))
    with _one_at_a_time:
        shared.NUMPY_RANDOM = np.random.RandomState(seed)
        sampler = samplers.MPerClassSampler(y, m=PER_CLASS, length_before_new_iter=SAMPLES)
        for epoch in range(EPOCHS):
            order = torch.tensor(list(sampler))
            for start in range(0, len(order), BATCH):
                report((epoch + start / len(order)) / EPOCHS)
                drawn = order[start : start + BATCH]
                loss = loss_of(functional.normalize(embed(drawn)), y[drawn])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            schedule.step()
    report(1.0)
