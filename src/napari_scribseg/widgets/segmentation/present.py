"""The status line, derived from what is so just now; so it cannot tell of what was so before. No Qt here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_scribseg.widgets.common.messages import Message

__all__ = ["Present", "listed", "status_of"]

_LISTED = 4  # names that are told one by one


@dataclass(frozen=True, slots=True)
class Present:
    """What is so on the slice in sight, as far as the status line depends on it.

    Attributes
    ----------
    where : str
        The slice in the words of the axes, such as ``"z 11"``; ``"the image"`` where there is one only.
    working : Message or None
        What is computed.
    news : Message or None
        What was told last, where neither slice nor strokes nor labels changed since.
    trouble : Message or None
        Why nothing can be painted, or seen.
    accepted : bool
        Whether the slice is accepted.
    unsent : bool
        Whether there are strokes that wait for the button.
    painted, labelled : tuple of str
        Names of the classes with strokes, and with labels.
    lacking : str
        What the strokes lack to be answered.
    answered : bool
        Whether the labels are the answer to the strokes.
    overlay : str
        Why the overlay shows nothing.
    """

    where: str = "the image"
    working: Message | None = None
    news: Message | None = None
    trouble: Message | None = None
    accepted: bool = False
    unsent: bool = False
    painted: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()
    lacking: str = ""
    answered: bool = False
    overlay: str = ""


def status_of(present: Present) -> Message:
    """The sentence to be shown: of work first, then of what was just done, then of what is so."""
    told = present.working or present.news or present.trouble
    if told is not None:
        return told
    text = _state(present)
    return Message(f"{text}; {present.overlay}" if present.overlay else text)


def _state(present: Present) -> str:
    where = present.where
    if present.accepted:
        return f"{where[:1].upper()}{where[1:]} is accepted: nothing changes it until you reopen it (A)"
    if present.unsent:
        return "Painted: press Segment (S) when the strokes are done"
    if present.labelled and not present.painted:
        return f"{where[:1].upper()}{where[1:]} has labels of {listed(present.labelled)}; a stroke corrects them"
    if present.lacking:
        return f"{present.lacking[:1].upper()}{present.lacking[1:]} on {where}"
    if not present.answered:
        return f"No result on {where} for the strokes of {listed(present.painted)}: press Segment (S)"
    return f"Done on {where}: {listed(present.painted)}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: ``"liver"``, ``"liver, spleen and aorta"``, ``"7 classes"``."""
    if len(names) > _LISTED:
        return f"{len(names)} classes"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
