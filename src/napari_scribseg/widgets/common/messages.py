"""How a person is told of what went wrong; no Qt here."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from napari_scribseg.core import InputError

__all__ = ["sentence", "told"]


def sentence(error: BaseException | str) -> str:
    """What a person is told of an error."""
    text = str(error) if isinstance(error, (str, InputError)) else f"It failed: {error!r}"
    return text[:1].upper() + text[1:]


def told(method: Callable[..., Any]) -> Callable[..., Any]:
    """Say what a user can mend (``self.say``) instead of raising it; then ``self.tell_state()``."""

    @wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except InputError as error:
            self.say(sentence(error), error=True)
            return None
        finally:
            self.tell_state()

    return wrapper
