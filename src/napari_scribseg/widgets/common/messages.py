"""Messages for the user: the status line, and errors. No Qt here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from napari_scribseg.core import InputError

__all__ = ["Message", "report_errors", "user_message"]


@dataclass(frozen=True, slots=True)
class Message:
    """A message for the status line.

    Attributes
    ----------
    text : str
        One sentence.
    error : bool
        Whether the user has to correct something.
    patient : bool
        Whether it describes a job that has just begun; it is shown once the job takes long.
    """

    text: str
    error: bool = False
    patient: bool = False


def user_message(error: BaseException | str) -> str:
    """The message that a user reads for an error, or a text that begins with a capital."""
    text = str(error) if isinstance(error, (str, InputError)) else f"It failed: {error!r}"
    return text[:1].upper() + text[1:]


def report_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    """Show an :class:`InputError` with ``self.show_message`` instead of raising it; then ``self.refresh_state()``."""

    @wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except InputError as error:
            self.show_message(user_message(error), error=True)
            return None
        finally:
            self.refresh_state()

    return wrapper
