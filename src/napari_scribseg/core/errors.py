"""Errors that a user caused and can correct, each with one message."""

from __future__ import annotations

from napari_scribseg.core.text import one_line

__all__ = ["Cancelled", "InputError"]


class InputError(ValueError):
    """The input cannot be used; the message states what was given and what was expected.

    The command line turns it into exit status 2, the window into a notice; every other exception is a failure of the
    program (exit status 1). The message is one line whatever names it holds.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class Cancelled(Exception):
    """Raised by a :class:`~napari_scribseg.core.engine.Report` to stop the engine that called it."""
