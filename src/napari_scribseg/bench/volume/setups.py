"""What is compared on a volume: engine or peer, fill, and the order of the slices or their number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_scribseg.bench.peers import PEERS
from napari_scribseg.bench.volume.orders import ORDERS
from napari_scribseg.core import InputError

if TYPE_CHECKING:
    from napari_scribseg.bench.methods import Method
    from napari_scribseg.bench.tasks import BenchTask
    from napari_scribseg.bench.volume.methods import VolumeMethod

__all__ = ["AT_ONCE", "BETWEEN", "FILL_NAMES", "VolumeSetup", "volume_setups"]

AT_ONCE = "at once"
BETWEEN = "between"  # filled by a session, which offers the next slice
FILL_NAMES = ("none", "interpolation", "propagation", BETWEEN)
_EVERY = "every "


@dataclass(frozen=True, slots=True)
class VolumeSetup:
    """A method on a volume.

    Attributes
    ----------
    method : str
        Engine or peer with its parameters.
    fill : str
        A name of :data:`FILL_NAMES`, or ``"at once"``.
    order : str
        A name of :data:`~napari_scribseg.bench.volume.orders.ORDERS`; of the protocol ``every-nth`` ``"every N"``.
    """

    method: str
    fill: str
    order: str

    def __str__(self) -> str:
        return " / ".join((self.method, self.fill, self.order))

    @classmethod
    def parse(cls, text: str) -> VolumeSetup:
        """Read what ``str`` wrote."""
        method, fill, order = text.rsplit(" / ", 2)
        return cls(method, fill, order)

    @property
    def every(self) -> int:
        """The number of the order ``"every N"``."""
        return int(self.order.removeprefix(_EVERY))

    def make(self, method: Method, task: BenchTask, device: str) -> VolumeMethod:
        """The method at the beginning of its work on a volume."""
        from napari_scribseg.bench.volume.fills import FILLS
        from napari_scribseg.bench.volume.methods import AtOnce, InSession, SliceBySlice

        if self.fill == AT_ONCE:
            return AtOnce(method.engine, task, device)
        if self.fill == BETWEEN:
            return InSession(method.engine, task, device)
        return SliceBySlice(method.engine, task, FILLS[self.fill], device)


def volume_setups(
    protocol: str, methods: Iterable[str], fills: Sequence[str], orders: Sequence[str], every: Sequence[int]
) -> list[str]:
    """The setups of a protocol, in words.

    Parameters
    ----------
    protocol : {"volume", "every-nth", "every-nth-truth"}
    methods : iterable of str
        Engines run slice by slice with each of the fills; peers that take volumes run at once, other peers are left
        out.
    fills, orders : sequence of str
        Names. Where a method offers no slice, the order ``offered`` is ``middle``.
    every : sequence of int
        Numbers of slices of the protocols ``every-nth``; with people's strokes on all slices there is nothing to fill.

    Raises
    ------
    InputError
        If there is no such fill or order, or a number is below 1.
    """
    for what, given, names in (("fill", fills, FILL_NAMES), ("order", orders, tuple(ORDERS))):
        for name in given:
            if name not in names:
                raise InputError(f"there is no {what} {name!r}; expected one of {', '.join(names)}")
    if any(n < 1 for n in every):
        raise InputError(f"every {min(every)}th slice was requested; numbers from 1 on are expected")
    found = []
    for method in methods:
        name = method.partition(":")[0]
        if name in PEERS and not PEERS[name].volumes:
            continue
        for fill in (AT_ONCE,) if name in PEERS else fills:
            found += [VolumeSetup(method, *pair) for pair in _pairs(protocol, fill, orders, every)]
    return [str(setup) for setup in dict.fromkeys(found)]


def _pairs(protocol: str, fill: str, orders: Sequence[str], every: Sequence[int]) -> list[tuple[str, str]]:
    """The fill with each order, or with each number of slices."""
    if protocol == "volume":
        return [(fill, "middle" if order == "offered" and fill != BETWEEN else order) for order in orders]
    if protocol == "every-nth":
        return [(fill if n > 1 or fill == AT_ONCE else "none", f"{_EVERY}{n}") for n in every]
    return [] if fill == "none" else [(fill, f"{_EVERY}{n}") for n in every if n > 1]
