"""The predictions of a network that the painted classes need, and the probabilities from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import InputError, Scribbles
from napari_scribseg.engines.brs.network import WrappedNetwork

__all__ = ["ALL", "Query", "probabilities", "queries_of"]

ALL = -1  # key of a query for all classes at once


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One use of the network: the classes that it predicts, and the strokes whose class it must predict.

    Attributes
    ----------
    key : int
        Index of the class that is predicted against all others, or :data:`ALL`.
    targets : ndarray of shape (H, W), int32
        The right class at each stroke pixel: 1 the object and 0 the rest, or the class's index; -1 elsewhere.
    groups : tuple of int
        The target that each class of the network belongs to; -1 for none.
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


def queries_of(network: WrappedNetwork, scribbles: Scribbles, each: bool) -> list[Query]:
    """The queries for some strokes.

    A network with many classes needs one; its outputs are the classes in their order, or those whose ids its card
    lists. A network of an object and the rest needs one for each class against all others; of two classes, for the one
    that is not the background (the one with id 0, else the first).

    Parameters
    ----------
    network : WrappedNetwork
    scribbles : Scribbles
    each : bool
        Whether a network that was trained on scribbles predicts every painted class, the background too.

    Raises
    ------
    InputError
        If the network's classes are not those that were painted.
    """
    ids = network.card.ids if network.card.head == "softmax" or not network.card.ids else (0, *network.card.ids)
    if ids and (network.n_classes > 2 or set(scribbles.ids) <= set(ids)):
        return [Query(ALL, scribbles.seeds, _by_ids(network, scribbles, ids))]
    if network.n_classes == 2:
        return [
            Query(k, np.select((scribbles.seeds == k, scribbles.seeds >= 0), (np.int32(1), np.int32(0)), np.int32(-1)))
            for k in _objects(network, scribbles, each)
        ]
    if network.n_classes != scribbles.n_classes:
        raise InputError(
            f"{network.name} has {network.n_classes} classes, and strokes of {scribbles.n_classes} were given; "
            "paint all of them, or write into the model's card, as ids, the label id of each output"
        )
    return [Query(ALL, scribbles.seeds, tuple(range(network.n_classes)))]


def _by_ids(network: WrappedNetwork, scribbles: Scribbles, output_ids: tuple[int, ...]) -> tuple[int, ...]:
    """The class that each output stands for; those that were not painted belong to the background, if there is one."""
    missing = [i for i in scribbles.ids if i not in output_ids]
    if missing:
        raise InputError(
            f"{network.name} has no output for the label id {missing[0]}; its outputs stand for "
            f"{', '.join(map(str, output_ids))}"
        )
    index = {identity: k for k, identity in enumerate(scribbles.ids)}
    return tuple(index.get(identity, index.get(0, -1)) for identity in output_ids)


def _objects(network: WrappedNetwork, scribbles: Scribbles, each: bool) -> list[int]:
    """Indices of the classes that a network of one object predicts."""
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
    """Of all classes, from the predictions of all queries.

    The predictions for the classes are independent. Given that a pixel belongs to just one of these classes, or to the
    background that was not predicted, the probability of a class is proportional to its odds.

    Parameters
    ----------
    fields : mapping of int to Tensor
        By the query's key: logarithms of the odds of all classes up to a constant, shape (K, H, W), for
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
