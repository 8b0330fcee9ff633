"""How far the cases of a project are. No Qt here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from napari_scribseg.annotate.session import Session
from napari_scribseg.widgets.project.case_list import CaseRow

if TYPE_CHECKING:
    from napari_scribseg.learn.case import Case
    from napari_scribseg.learn.project import Project

__all__ = ["Overview", "overview_of"]


@dataclass(frozen=True, slots=True)
class Overview:
    """All cases.

    Attributes
    ----------
    rows : tuple of CaseRow
        In the order of the list.
    strokes_per_slice : float or None
        Strokes that a slice needs until it is accepted, if as many as those of the last cases; None where that is not
        known.
    """

    rows: tuple[CaseRow, ...] = ()
    strokes_per_slice: float | None = None

    @property
    def accepted(self) -> int:
        """Number of accepted slices."""
        return sum(row.accepted for row in self.rows)

    @property
    def slices(self) -> int:
        """Number of slices."""
        return sum(row.slices for row in self.rows)

    @property
    def text(self) -> str:
        """What is done and left: ``"14 of 36 slices accepted, about 9 strokes left"``."""
        done = f"{self.accepted} of {self.slices} slices accepted"
        left = round((self.strokes_per_slice or 0.0) * (self.slices - self.accepted))
        return f"{done}, about {left} {'stroke' if left == 1 else 'strokes'} left" if left else done

    @property
    def finished(self) -> int:
        """Number of cases whose slices are all accepted."""
        return sum(row.state == "finished" for row in self.rows)

    def with_session(self, name: str, session: Session) -> Overview:
        """The same with one case as its session is now, which its file follows a little later."""
        ways = Counter(slice_index.displayed for slice_index in session.accepted)
        shape = session.volume.shape
        displayed, accepted = ways.most_common(1)[0] if ways else ((len(shape) - 2, len(shape) - 1), 0)
        slices = prod(n for axis, n in enumerate(shape) if axis not in displayed)
        worked = bool(accepted or session.painted_slices(displayed))
        made = bool(session.drafted or session.filled)
        state = "finished" if accepted >= slices else "started" if worked else "drafted" if made else ""

        def live(row: CaseRow) -> CaseRow:
            undone = "started" if row.state == "finished" else row.state
            return replace(row, state=state or undone, accepted=accepted, slices=slices)

        return replace(self, rows=tuple(live(row) if row.name == name else row for row in self.rows))


def overview_of(project: Project) -> Overview:
    """Read how far the cases are; in any thread.

    Raises
    ------
    InputError
        If a file of the project is damaged.
    """
    rows = []
    for case in project.cases:
        counts = case.counts()
        rows.append(CaseRow(case.name, case.state, counts.accepted, counts.slices, _note(case)))
    status = project.status()
    left = status.slices - status.accepted
    estimate = status.strokes_left
    return Overview(tuple(rows), None if estimate is None or not left else estimate / left)


def _note(case: Case) -> str:
    """What the tooltip of a case says: who accepted how much, versions that differ, and where its image is."""
    by = ", ".join(f"{who} {n}" for who, n in sorted(case.counts().by.items()) if who)
    differ = len(case.conflicts)
    parts = (
        f"accepted by {by}" if by else "",
        f"{differ} {'slice' if differ == 1 else 'slices'} of which two people have other labels" if differ else "",
        case.image.path,
    )
    return "\n".join(part for part in parts if part)
