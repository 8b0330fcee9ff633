"""One image or volume being annotated: strokes in, labels out, undo, locks, files; no window needed."""

from napari_scribseg.annotate.events import Restored, Update
from napari_scribseg.annotate.executor import Worker
from napari_scribseg.annotate.session import Session
from napari_scribseg.annotate.worker import Inbox

__all__ = ["Inbox", "Restored", "Session", "Update", "Worker"]
