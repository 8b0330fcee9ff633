"""When a user finds labels good."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.comparison import overlap
from napari_scribseg.simulate import RobotUser

__all__ = ["CohortRules", "class_dice", "mean_dice"]

Labels = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class CohortRules:
    """How a user of a cohort works.

    Attributes
    ----------
    user : RobotUser
        Who paints the first strokes on a slice, with the errors of people.
    corrector : RobotUser
        Who corrects: they look closely, and paint nothing wrong.
    good : float
        Dice of each class of a slice from which on it is accepted, and mean Dice of a case that is reached.
    worth : float
        Mean Dice of the labels of a slice below which the user paints it anew instead of correcting it.
    corrections : int
        Most corrections of a slice before the user gives it up.
    within : tuple of int
        Numbers of accepted slices in the first case after which the network learns, and drafts the rest.
    learn_seconds : float
        Seconds of the processor after which each learning ends in any case.
    peer_steps : int
        Steps of training the plain U-Net.
    peer_cases : tuple of int
        Numbers of the cases that the plain U-Net drafts, trained from scratch on all accepted slices before.
    encoder : str
        File of the network that learning starts from; empty for the one that ships.
    seed : int
        Of all random choices.
    device : str
        Where engines and networks compute.
    """

    user: RobotUser
    corrector: RobotUser = field(default_factory=RobotUser)
    good: float = 0.9
    worth: float = 0.7
    corrections: int = 15
    within: tuple[int, ...] = (5, 15)
    learn_seconds: float = 160.0
    peer_steps: int = 600
    peer_cases: tuple[int, ...] = (2, 5, 10, 20, 40)
    encoder: str = ""
    seed: int = 0
    device: str = "auto"

    def accepts(self, labels: Labels, truth: Labels, n_classes: int) -> bool:
        """Whether each class that a slice has, or its labels have, is good enough."""
        return all(dice >= self.good for dice in class_dice(labels, truth, n_classes))

    def to_correct(self, labels: Labels, truth: Labels, n_classes: int) -> Labels:
        """The truth as a user sees it who corrects: -1 where an error concerns only classes that are good enough."""
        valid = truth >= 0
        bad = [k for k in range(1, n_classes) if overlap((labels == k) & valid, truth == k)[0] < self.good]
        wrong = (labels != truth) & valid
        return np.where(wrong & ~np.isin(labels, bad) & ~np.isin(truth, bad), -1, truth)


def class_dice(labels: Labels, truth: Labels, n_classes: int) -> list[float]:
    """Dice of each class, but the background, that is in the truth or in the labels; -1 in the truth is not counted."""
    valid = truth >= 0
    pairs = [((labels == k) & valid, truth == k) for k in range(1, n_classes)]
    return [overlap(found, true)[0] for found, true in pairs if found.any() or true.any()]


def mean_dice(labels: Labels, truth: Labels, n_classes: int) -> float:
    """Mean Dice over the classes of the truth; where it has none, 0 if the labels have any, else 1."""
    valid = truth >= 0
    pairs = [((labels == k) & valid, truth == k) for k in range(1, n_classes)]
    shown = [pair for pair in pairs if pair[1].any()] or [pair for pair in pairs if pair[0].any()]
    return float(np.mean([overlap(*pair)[0] for pair in shown])) if shown else 1.0
