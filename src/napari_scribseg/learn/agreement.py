"""How well drafts agree with slices that a user accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Agreement", "agreement_of"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Dice of drafts with accepted slices that the network had not seen.

    Attributes
    ----------
    dice : mapping of int to float
        By the id of the class; of all slices together, those classes only that are there.
    slices : int
        How many slices.
    """

    dice: Mapping[int, float]
    slices: int

    @property
    def mean(self) -> float:
        """Over the classes; 1 where there are none, and the drafts are empty, too."""
        return float(np.mean(list(self.dice.values()))) if self.dice else 1.0

    def __str__(self) -> str:
        slices = "1 slice" if self.slices == 1 else f"{self.slices} slices"
        return f"drafts agree {100 * self.mean:.0f} % with {slices} you accepted that it had not seen"


def agreement_of(pairs: Iterable[tuple[NDArray[np.integer], NDArray[np.integer]]]) -> Agreement:
    """Compare drafts with accepted labels.

    Parameters
    ----------
    pairs : iterable of two ndarrays of shape (H, W), integer
        Ids of the draft and of the accepted slice, 0 for the background.

    Returns
    -------
    Agreement
    """
    common: dict[int, int] = {}
    sizes: dict[int, int] = {}
    slices = 0
    for drafted, accepted in pairs:
        slices += 1
        for identity in sorted({*np.unique(drafted).tolist(), *np.unique(accepted).tolist()} - {0}):
            one, other = drafted == identity, accepted == identity
            common[identity] = common.get(identity, 0) + int((one & other).sum())
            sizes[identity] = sizes.get(identity, 0) + int(one.sum() + other.sum())
    return Agreement({identity: 2 * common[identity] / sizes[identity] for identity in sorted(sizes)}, slices)
