"""The status line, derived from the present state, so that it is never out of date. No Qt here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_scribseg.widgets.common.messages import Message

__all__ = ["Present", "listed", "status_of"]

_LISTED = 4  # names that are listed one by one


@dataclass(frozen=True, slots=True)
class Present:
    """The state of the displayed slice, as far as the status line depends on it.

    Attributes
    ----------
    where : str
        Axis and number of the slice, such as ``"z 11"``; ``"the image"`` for an image of one slice.
    working : Message or None
        The job that runs.
    news : Message or None
        The last event, as long as slice, strokes and labels are the same since.
    trouble : Message or None
        Why nothing can be painted, or shown.
    accepted : bool
        Whether the slice is accepted.
    unsent : bool
        Whether strokes wait for the button Segment.
    painted, labelled : tuple of str
        Names of the classes with strokes, and with labels.
    lacking : str
        What the strokes lack to be segmented.
    segmented : bool
        Whether the labels are the result of the strokes.
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
    segmented: bool = False
    overlay: str = ""


def status_of(present: Present) -> Message:
    """The message to show: the job that runs, else the last event, else the state."""
    first = present.working or present.news or present.trouble
    if first is not None:
        return first
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
    if not present.segmented:
        return f"No result on {where} for the strokes of {listed(present.painted)}: press Segment (S)"
    return f"Done on {where}: {listed(present.painted)}"


def listed(names: Sequence[str]) -> str:
    """Names in a message: ``"liver"``, ``"liver, spleen and aorta"``, ``"7 classes"``."""
    if len(names) > _LISTED:
        return f"{len(names)} classes"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
