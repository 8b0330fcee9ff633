"""The methods of a benchmark: a registered engine or a peer, with its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_scribseg.bench.peers import PEERS, peer_class
from napari_scribseg.core import Engine, Image, InputError, Scribbles
from napari_scribseg.core.parameters import parse_parameters
from napari_scribseg.core.registry import engine_class, engine_names

__all__ = ["ALL_PEERS", "Method", "parse_method", "warm_up"]

# two betas: the default of scikit-image, and one for thin strokes on photographs
ALL_PEERS = (
    "random-walker",
    "random-walker:beta=5000",
    "watershed",
    "higra-watershed",
    "geodesic",
    "grow-cut",
    "graph-cut",
    "grabcut",
)


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a benchmark.

    Attributes
    ----------
    name : str
        On the command line and in tables: ``svcd``, ``svcd:model=paper``.
    engine : Engine
        Registered, or a peer.
    peer : bool
        Whether it is a peer.
    """

    name: str
    engine: Engine[Any]
    peer: bool


def parse_method(text: str) -> Method:
    """Read ``NAME`` or ``NAME:parameter=value,parameter=value``.

    Raises
    ------
    InputError
        If there is no such engine or peer, its library is not installed, or a parameter does not fit.
    """
    name, _, pairs = text.partition(":")
    if name not in PEERS and name not in engine_names():
        names = ", ".join((*engine_names(), *PEERS))
        raise InputError(f"there is no engine or peer {name!r}; expected one of {names}")
    cls: type[Any] = peer_class(name) if name in PEERS else engine_class(name)
    parameters = parse_parameters(cls, pairs.split(",") if pairs else [])
    return Method(text, cls(**parameters), name in PEERS)


def warm_up(method: Method, device: str = "auto") -> None:
    """Segment two tiny images, grey and colour, so that later times do not include compiling and loading."""
    seeds = np.full((32, 32), -1, dtype=np.int32)
    seeds[4:8, 4:28], seeds[24:28, 4:28] = 0, 1
    ramp = np.linspace(0, 255, 32 * 32).reshape(32, 32).astype(np.uint8)
    for pixels in (ramp, np.stack([ramp, ramp.T, ramp[::-1]], axis=-1)):
        image = Image.from_array(pixels, (1.0, 1.0))
        method.engine.segment(image, Scribbles(seeds, 2), method.engine.prepare(image, device))
