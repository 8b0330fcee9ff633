"""One image or volume being annotated: strokes, labels, undo, locks, files; needs no window."""

from napari_scribseg.annotate.drafter import Draft, Drafter
from napari_scribseg.annotate.events import Restored, SessionEvents, Update
from napari_scribseg.annotate.session import Session
from napari_scribseg.annotate.uncertainty import PaintedResult, UncertainPlace, uncertain_places
from napari_scribseg.kernel.executor import Inbox, Worker

__all__ = [
    "Draft",
    "Drafter",
    "Inbox",
    "PaintedResult",
    "Restored",
    "Session",
    "SessionEvents",
    "UncertainPlace",
    "Update",
    "Worker",
    "uncertain_places",
]
