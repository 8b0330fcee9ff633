"""What is compared on a cohort: an engine, what learns from accepted slices, and the order of the slices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from napari_scribseg.core import InputError

__all__ = ["LEARNING", "ORDER_NAMES", "CohortSetup", "cohort_setups"]

LEARNING = ("none", "learning", "plain-unet")
ORDER_NAMES = ("queue", "sequential", "random")
_DRAFTS = "drafts"  # only drafts are measured: nobody paints


@dataclass(frozen=True, slots=True)
class CohortSetup:
    """A method on a cohort.

    Attributes
    ----------
    method : str
        Engine with its parameters.
    learning : str
        A name of :data:`LEARNING`.
    order : str
        A name of :data:`ORDER_NAMES`; of ``plain-unet``, which learns from the slices accepted in that order,
        ``"drafts ORDER"``.
    """

    method: str
    learning: str
    order: str

    def __str__(self) -> str:
        return " / ".join((self.method, self.learning, self.order))

    @classmethod
    def parse(cls, text: str) -> CohortSetup:
        """Read what ``str`` wrote."""
        return cls(*text.rsplit(" / ", 2))

    @property
    def is_played(self) -> bool:
        """Whether a user works; else only drafts are measured."""
        return not self.order.startswith(_DRAFTS)

    @property
    def played(self) -> CohortSetup:
        """The setup in which the slices that this one learns from were accepted."""
        return self if self.is_played else CohortSetup(self.method, "learning", self.order.removeprefix(f"{_DRAFTS} "))


def cohort_setups(methods: Iterable[str], learning: Sequence[str], orders: Sequence[str]) -> list[CohortSetup]:
    """The setups of a run; a plain U-Net follows the learning whose accepted slices it is trained on.

    Raises
    ------
    InputError
        If there is no such order or learning, or a plain U-Net is requested without ``learning``.
    """
    for what, given, names in (("learning", learning, LEARNING), ("order", orders, ORDER_NAMES)):
        for name in given:
            if name not in names:
                raise InputError(f"there is no {what} {name!r} of cohorts; expected one of {', '.join(names)}")
    if "plain-unet" in learning and "learning" not in learning:
        raise InputError("a plain U-Net is trained on the slices accepted with learning, which was not requested")
    found = []
    for method in methods:
        for order in orders:
            played = [CohortSetup(method, name, order) for name in LEARNING[:2] if name in learning]
            found += played
        if "plain-unet" in learning:
            found.append(CohortSetup(method, "plain-unet", f"{_DRAFTS} {orders[0]}"))
    return list(dict.fromkeys(found))
