"""Errors that a user caused and can correct, and the one line of text that each message is."""

from __future__ import annotations

import re

__all__ = ["HIDDEN", "Cancelled", "InputError", "one_line"]

# Characters that end a line, move the cursor, change the direction of writing or cannot be encoded: bytes of a file
# name that are no UTF-8 are lone surrogates in Python.
HIDDEN = "\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_HIDDEN = re.compile(f"[{HIDDEN}]")
_LONGEST = 1600


def one_line(text: str) -> str:
    """A text with control characters as escapes such as ``\\n``, and the middle of a very long one left out."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST * 3 // 4]} [...] {text[-_LONGEST // 4 :]}"
    return _HIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


class InputError(ValueError):
    """The input cannot be used; the message states what was given and what was expected.

    The command line turns it into exit status 2, the window into a notice; every other exception is a failure of the
    program (exit status 1). The message is one line whatever names it holds.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class Cancelled(Exception):
    """Raised by a :class:`~napari_scribseg.core.engine.Report` to stop the engine that called it."""
