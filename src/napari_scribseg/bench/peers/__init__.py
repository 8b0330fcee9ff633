"""Other interactive methods behind the engine protocol, so that all are measured alike; each by its own library."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from napari_scribseg.core import Engine, InputError

__all__ = ["PEERS", "Peer", "peer_class"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a peer's class is, the module that it needs beyond the base dependencies, and whether it takes volumes."""

    home: str
    needs: str | None = None
    volumes: bool = False

    @property
    def installed(self) -> bool:
        """Whether the module it needs is there."""
        return self.needs is None or find_spec(self.needs) is not None


PEERS = {
    "random-walker": Peer("walker:RandomWalker", volumes=True),
    "watershed": Peer("flooding:Watershed", volumes=True),
    "higra-watershed": Peer("flooding:HigraWatershed", "higra"),
    "geodesic": Peer("geodesic:Geodesic", volumes=True),
    "grow-cut": Peer("growing:GrowCut", "itk", volumes=True),
    "graph-cut": Peer("cuts:GraphCut", "maxflow"),
    "grabcut": Peer("cuts:GrabCut", "cv2"),
}


def peer_class(name: str) -> type[Engine[Any]]:
    """The class of a peer.

    Raises
    ------
    InputError
        If there is no such peer, or the library it needs is not installed.
    """
    if name not in PEERS:
        raise InputError(f"there is no peer {name!r}; expected one of {', '.join(PEERS)}")
    peer = PEERS[name]
    if not peer.installed:
        raise InputError(f"the peer {name!r} needs {peer.needs}; install it with: pip install 'napari-scribseg[bench]'")
    module, _, attribute = peer.home.partition(":")
    loaded: type[Engine[Any]] = getattr(import_module(f"{__name__}.{module}"), attribute)
    return loaded
