"""The status line, derived from the present state, so that it is never out of date. No Qt here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.messages import Message, user_message

__all__ = ["Present", "listed", "present_on", "status_of", "working"]

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
        The last event, until slice, strokes or labels change.
    trouble : Message or None
        Why nothing can be painted or shown.
    accepted : bool
        Whether the slice is accepted.
    unsent : bool
        Whether strokes wait for *Segment*.
    painted, labelled : tuple of str
        Names of the classes with strokes, and with labels.
    lacking : str
        What the strokes lack to be segmented; empty if nothing.
    segmented, edited : bool
        Whether the labels are the result of the strokes, and whether they were edited since.
    limit : str
        The name of the background if it has no strokes and the other classes fill the whole slice; else empty.
    overlay : str
        Why the overlay shows nothing; empty if it does.
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
    edited: bool = False
    limit: str = ""
    overlay: str = ""


def status_of(present: Present) -> Message:
    """The message to show: the job that runs, else the last event, else the state."""
    first = present.working or present.news or present.trouble
    if first is not None:
        return first
    text = user_message(_state(present))
    return Message(f"{text}; {present.overlay}" if present.overlay else text)


def _state(present: Present) -> str:
    where = present.where
    if present.accepted:
        return f"{where} is accepted: nothing changes it until you reopen it (A)"
    if present.unsent:
        return "Painted: press Segment (S) when the strokes are done"
    if present.labelled and not present.painted:
        return f"{where} has labels of {listed(present.labelled)}; a stroke corrects them"
    if present.lacking:
        return f"{present.lacking} on {where}"
    if present.edited:
        return f"The result on {where} was edited; a stroke corrects it"
    if not present.segmented:
        return f"No result on {where} for the strokes of {listed(present.painted)}: press Segment (S)"
    if present.limit:
        fills, them = ("fills", "it") if len(present.painted) == 1 else ("fill", "them")
        return f"{listed(present.painted)} {fills} all of {where}; a stroke of {present.limit} limits {them}"
    return f"Done on {where}: {listed(present.painted)}"


def present_on(session: Session, slice_index: SliceIndex) -> Present:
    """The state of a slice in a session."""
    return Present(
        where=session.volume.where(slice_index),
        accepted=session.is_accepted(slice_index),
        painted=_names(session.classes, session.drawn_ids(slice_index)),
        labelled=_names(session.classes, session.label_ids(slice_index)),
        lacking=session.lacking(slice_index),
        segmented=session.is_segmented(slice_index),
        edited=session.is_edited(slice_index),
        limit=_limit(session, slice_index),
    )


def _limit(session: Session, slice_index: SliceIndex) -> str:
    """The name of the background, where a stroke of it would limit the others."""
    background = session.classes.background
    if background is None or background in session.drawn_ids(slice_index):
        return ""
    return session.classes[background].name if bool(session.slice_labels(slice_index).all()) else ""


def working(session: Session) -> Message | None:
    """The message of the job that runs; None while nothing runs."""
    doing = session.doing
    if doing is None:
        return None
    where, engine = session.volume.where(doing.slice_index), session.engine.info.title.split(" (")[0]
    texts = {
        "result": f"{'Refining' if doing.refined else 'Computing'} {where} with {engine}…",
        "propagation": f"Propagating to {where}, slice {doing.done + 1} of {doing.total}…",
        "fill": f"Filling from {where}, {doing.done} of {doing.total} slices done…",
        "draft": f"Drafting {where}, {doing.done} of {doing.total} slices done…",
        "network": f"The network segments {where}…",
        "tool": f"{doing.name}…",
        "picture": f"Computing the {doing.name} of {where}; a layer follows",
    }
    text = "Stopping; the former result stays" if doing.stopped else texts[doing.what]
    return Message(text, patient=doing.what in ("result", "propagation", "fill", "draft", "tool"))


def listed(names: Sequence[str]) -> str:
    """Names in a message: ``"liver"``, ``"liver, spleen and aorta"``, ``"7 classes"``."""
    if len(names) > _LISTED:
        return f"{len(names)} classes"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def _names(classes: ClassTable, ids: Collection[int]) -> tuple[str, ...]:
    """The names of classes, in the order of the table."""
    named = {label.id: label.name for label in classes if label.id in ids}
    return (*named.values(), *(f"label {i}" for i in ids if i not in named))
