"""One image or volume being annotated: strokes in, labels out, undo, locks, files; no window needed."""

from napari_scribseg.session.executor import Worker
from napari_scribseg.session.session import Session
from napari_scribseg.session.updates import Restored, Update
from napari_scribseg.session.volume import Plane, Volume
from napari_scribseg.session.worker import Inbox

__all__ = ["Inbox", "Plane", "Restored", "Session", "Update", "Volume", "Worker"]
