"""What learns from the slices that a user accepted, and drafts the next case."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_scribseg.bench.cohort.judging import CohortRules
from napari_scribseg.core import ClassTable

if TYPE_CHECKING:
    from napari_scribseg.learn import Example, LearnedNetwork

__all__ = ["Learn", "Learned", "learn_for", "read_learned"]


@dataclass(frozen=True, slots=True)
class Learned:
    """A network, and what it took.

    Attributes
    ----------
    network : LearnedNetwork
    examples : int
        Number of slices.
    seconds : float
        Of the processor.
    """

    network: LearnedNetwork
    examples: int
    seconds: float = 0.0

    @property
    def agreement(self) -> float:
        """Mean Dice with accepted slices that were kept back, as the card says; NaN where there were none."""
        found = self.network.card.agreement
        return math.nan if found is None else found.mean


#: Learns from examples, on from a network.
Learn = Callable[["Sequence[Example]", ClassTable, "Learned | None"], "Learned"]


def learn_for(rules: CohortRules) -> Learn:
    """How a cohort learns: in this process, from the network that the rules name."""
    from napari_scribseg.learn import LearnSettings, learn

    settings = LearnSettings(encoder=rules.encoder, seconds=rules.learn_seconds, seed=rules.seed)

    def learn_on(examples: Sequence[Example], classes: ClassTable, last: Learned | None) -> Learned:
        began = time.process_time()
        network = learn(
            examples, classes, start=None if last is None else last.network, device=rules.device, settings=settings
        )
        return Learned(network, len(examples), time.process_time() - began)

    return learn_on


def read_learned(path: Path) -> Learned:
    """The network that a run wrote."""
    from napari_scribseg.learn import LearnedNetwork

    network = LearnedNetwork.load(path)
    return Learned(network, network.card.examples)
