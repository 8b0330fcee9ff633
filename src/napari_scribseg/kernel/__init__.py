"""The basis of all annotation: jobs of an owner thread, history, autosave, container file; no Qt."""

from napari_scribseg.kernel.autosave import Autosave
from napari_scribseg.kernel.container import ContainerFormat, ContainerWriter
from napari_scribseg.kernel.executor import Deliver, Inbox, InlineExecutor, Worker
from napari_scribseg.kernel.history import History
from napari_scribseg.kernel.jobs import AbandonedError, Call, CancelToken, Job, Jobs, ShutDownError
from napari_scribseg.kernel.patches import ArrayDiff, PackedRegion, changed_region, pack, unpack

__all__ = [
    "AbandonedError",
    "ArrayDiff",
    "Autosave",
    "Call",
    "CancelToken",
    "ContainerFormat",
    "ContainerWriter",
    "Deliver",
    "History",
    "Inbox",
    "InlineExecutor",
    "Job",
    "Jobs",
    "PackedRegion",
    "ShutDownError",
    "Worker",
    "changed_region",
    "pack",
    "unpack",
]
