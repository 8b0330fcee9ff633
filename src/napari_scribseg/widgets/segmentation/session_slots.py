"""The slots of a widget that shows one session after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_scribseg.annotate.session import Session

__all__ = ["reconnect"]


def reconnect(former: Session | None, session: Session | None, slots: Mapping[str, Callable[..., Any]]) -> None:
    """Connect slots, by the names of events, to a session instead of to a former one."""
    for name, slot in slots.items():
        if former is not None:
            getattr(former.events, name).disconnect(slot)
        if session is not None:
            getattr(session.events, name).connect(slot)
