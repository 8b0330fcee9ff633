"""What a project adds to the work on one image: the next case, drafts, and how much is left. No Qt here."""

from __future__ import annotations

from typing import Protocol

from napari_scribseg.annotate.drafter import Drafter
from napari_scribseg.annotate.session import Session

__all__ = ["Review"]


class Review(Protocol):
    """The project that the image in front is a case of."""

    @property
    def drafter(self) -> Drafter | None:
        """The learned network; None until there is one."""

    def work_left(self, session: Session) -> str:
        """How much is done and left, in a sentence without an end; ``session`` is that of a case, or another one."""

    def next_case(self) -> None:
        """Open the next case that is not finished."""
