"""What a network is asked for the classes that were painted, and how its answers become their probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import InputError, Scribbles
from napari_scribseg.engines.brs.network import Network

__all__ = ["ALL", "Question", "ask", "probabilities"]

ALL = -1  # key of a question about all classes at once


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One use of the network.

    Attributes
    ----------
    key : int
        Index of the class that it is about, or :data:`ALL`.
    targets : ndarray of shape (H, W), int32
        What is to come out at each stroke pixel: 1 the object and 0 the rest, or the class's index; -1 elsewhere.
    groups : tuple of int
        To which of the targets each class of the network belongs; -1 to none.
    """

    key: int
    targets: NDArray[np.int32]
    groups: tuple[int, ...] = (0, 1)

    def merged(self, fields: Tensor) -> Tensor:
        """Logarithms of the odds of the targets, from those of the network's classes, both of shape (K, H, W)."""
        if self.groups == tuple(range(len(fields))):
            return fields
        members = ([i for i, g in enumerate(self.groups) if g == k] for k in range(max(self.groups) + 1))
        return torch.stack([torch.logsumexp(fields[some], dim=0) for some in members])


def ask(network: Network, scribbles: Scribbles, each: bool) -> list[Question]:
    """The questions for some strokes.

    A network with many classes is asked once; its outputs are the classes in their order, or those that its card names
    by their ids. One that knows an object and the rest is asked about each class against all others; of two classes,
    about the one that is not the background (the one with id 0, else the first).

    Parameters
    ----------
    network : Network
    scribbles : Scribbles
    each : bool
        Whether a network that was trained on scribbles is asked about every class that was painted, the background too.

    Raises
    ------
    InputError
        If the network's classes are not those that were painted.
    """
    known = network.card.ids if network.card.head == "softmax" or not network.card.ids else (0, *network.card.ids)
    if known and (network.n_classes > 2 or set(scribbles.ids) <= set(known)):
        return [Question(ALL, scribbles.seeds, _by_ids(network, scribbles, known))]
    if network.n_classes == 2:
        return [
            Question(
                k, np.select((scribbles.seeds == k, scribbles.seeds >= 0), (np.int32(1), np.int32(0)), np.int32(-1))
            )
            for k in _objects(network, scribbles, each)
        ]
    if network.n_classes != scribbles.n_classes:
        raise InputError(
            f"{network.name} tells {network.n_classes} classes apart, and strokes of {scribbles.n_classes} were given; "
            "paint all of them, or write into the model's card, as ids, the label id of each output"
        )
    return [Question(ALL, scribbles.seeds, tuple(range(network.n_classes)))]


def _by_ids(network: Network, scribbles: Scribbles, known: tuple[int, ...]) -> tuple[int, ...]:
    """The class that each output stands for; those that were not painted belong to the background, if there is one."""
    missing = [i for i in scribbles.ids if i not in known]
    if missing:
        raise InputError(
            f"{network.name} has no output for the label id {missing[0]}; its outputs stand for "
            f"{', '.join(map(str, known))}"
        )
    place = {identity: k for k, identity in enumerate(scribbles.ids)}
    return tuple(place.get(identity, place.get(0, -1)) for identity in known)


def _objects(network: Network, scribbles: Scribbles, each: bool) -> list[int]:
    """Indices of the classes that a network of one object is asked about."""
    painted = [int(k) for k in np.flatnonzero(scribbles.counts)]
    if each and network.card.prompt == "scribbles":
        return painted
    background = scribbles.ids.index(0) if 0 in scribbles.ids else 0 if scribbles.n_classes == 2 else -1
    if scribbles.n_classes > 2:
        return [k for k in painted if k != background]
    if network.card.prompt != "none" and len(painted) == 1:  # it was trained with strokes on the object
        return painted
    return [1 - background]


def probabilities(fields: Mapping[int, Tensor], scribbles: Scribbles) -> Tensor:
    """Of all classes, from the answers to all questions.

    Several independent answers whether a pixel belongs to a class: given that just one of them is yes, or none where
    there is a background that was not asked about, the probability of a class is proportional to its odds.

    Parameters
    ----------
    fields : mapping of int to Tensor
        By the question's key: logarithms of the odds of all classes up to a constant, shape (K, H, W), for
        :data:`ALL`; else logarithms of the odds of a class, shape (H, W).
    scribbles : Scribbles

    Returns
    -------
    Tensor of shape (K, H, W)
    """
    if ALL in fields:
        return torch.softmax(fields[ALL], dim=0)
    classes, odds = list(fields), list(fields.values())
    rest = 1 - classes[0] if scribbles.n_classes == 2 else scribbles.ids.index(0) if 0 in scribbles.ids else classes[0]
    if rest not in classes:
        classes.append(rest)
        odds.append(torch.zeros_like(odds[0]))
    full = odds[0].new_zeros((scribbles.n_classes, *odds[0].shape))
    full[classes] = torch.softmax(torch.stack(odds), dim=0)
    return full
