"""Starts and resumes an annotation: layers, session and annotator for an image."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from numpy.typing import NDArray

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, Engine, InputError, Source
from napari_scribseg.widgets.common.autosaves import new_autosave
from napari_scribseg.widgets.common.colors import DEFAULT_BACKGROUND, layer_classes
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.segmentation.annotation_view import AnnotationView
from napari_scribseg.widgets.segmentation.annotator import Annotator
from napari_scribseg.widgets.segmentation.layer_set import LayerSet

__all__ = ["Request", "adopt_session", "open_annotation", "resume_annotation"]


@dataclass(frozen=True)
class Request:
    """The settings of the window when *Start painting* or *Resume* is pressed.

    Attributes
    ----------
    viewer : ViewerModel
        The viewer.
    source : LayerSource
        The image.
    engine, device, overlap : Engine, str, str
        As in :class:`~napari_scribseg.annotate.session.Session`.
    strokes, result : Labels or None
        Layers to use; None for new ones.
    classes : ClassTable
        The classes if the layers have none; ids that the layers use are added.
    """

    viewer: ViewerModel
    source: LayerSource
    engine: Engine[Any]
    device: str = "auto"
    overlap: str = "overwrite"
    strokes: Labels | None = None
    result: Labels | None = None
    classes: ClassTable = field(default_factory=ClassTable)


def open_annotation(request: Request, dispatcher: Dispatcher, view: AnnotationView) -> Annotator:
    """Make the missing layers, the session and the annotator.

    Raises
    ------
    InputError
        If the image or a chosen layer cannot be used; the viewer then stays as it was.
    """
    layers = LayerSet(request.viewer, request.source)
    volume = replace(request.source.volume(), numbers=layers.slider_numbers)
    if request.strokes is not None and request.strokes is request.result:
        raise InputError("strokes and result are the same layer; choose two different ones, or new ones")
    if request.strokes is not None:
        layers.use_strokes(request.strokes)
    labels = None if request.result is None else layers.use_result(request.result)
    session = Session(
        volume,
        request.engine,
        classes=_first_classes(request, labels),
        device=request.device,
        overlap=request.overlap,
        executor=dispatcher.executor,
        deliver=dispatcher.post,
        labels=labels,
        sidecar=_sidecar(request.source, view),
    )
    return _join(layers, session, dispatcher, view)


def resume_annotation(
    request: Request, path: Path, dispatcher: Dispatcher, view: AnnotationView, *, copy: bool
) -> Annotator:
    """Resume saved strokes on new layers; the file, or a ``copy`` of it, is the autosave from now on.

    Raises
    ------
    InputError
        If the file cannot be read, belongs to another image, or is open elsewhere.
    """
    layers = LayerSet(request.viewer, request.source)
    volume = replace(request.source.volume(), numbers=layers.slider_numbers)
    session = _load(request, volume, path, _sidecar(request.source, view) if copy else path, dispatcher)
    return _join(layers, session, dispatcher, view)


def adopt_session(
    request: Request, make: Callable[..., Session], dispatcher: Dispatcher, view: AnnotationView
) -> Annotator:
    """Annotate in a session that is made elsewhere, on new layers.

    Parameters
    ----------
    request : Request
        Its engine and classes are those of the session.
    make : callable
        ``make(volume, executor=..., deliver=...)`` gives the session.
    dispatcher, view : Dispatcher, AnnotationView
        Of the window.

    Raises
    ------
    InputError
        If the image cannot be used, or the session not be made.
    """
    layers = LayerSet(request.viewer, request.source)
    volume = replace(request.source.volume(), numbers=layers.slider_numbers)
    session = make(volume, executor=dispatcher.executor, deliver=dispatcher.post)
    return _join(layers, session, dispatcher, view)


def _load(request: Request, volume: Source, path: Path, sidecar: Path | None, dispatcher: Dispatcher) -> Session:
    """The saved session, with the window's engine if its own is not available any more."""

    def load(engine: Engine[Any] | None) -> Session:
        return Session.load(
            path, volume, engine=engine, executor=dispatcher.executor, deliver=dispatcher.post, sidecar=sidecar
        )

    try:
        return load(None)
    except InputError:
        with contextlib.suppress(InputError):
            return load(request.engine)
        raise


def _join(layers: LayerSet, session: Session, dispatcher: Dispatcher, view: AnnotationView) -> Annotator:
    """The annotator of layers and session, with the layers that were missing."""
    annotator = Annotator(layers, session, view, dispatcher.aside)
    annotator.show_layers()
    annotator.take_brush()
    return annotator


def _first_classes(request: Request, labels: NDArray[Any] | None) -> ClassTable:
    """The classes of the chosen layers, else those of the window, with all ids in use.

    A background id that finished labels use for a class is replaced by a free one.
    """
    finished = _ids(labels)
    used = (*_ids(None if request.strokes is None else np.asarray(request.strokes.data)), *finished)
    classes = ClassTable()
    for layer in (request.strokes, request.result):
        for label in () if layer is None else layer_classes(layer):
            if label.id not in classes and not (label.background and classes.background is not None):
                classes = classes.with_class(label)
    classes = (classes if len(classes) else request.classes).with_ids(used)
    if classes.background in finished:
        classes = classes.with_class(replace(classes[classes.background], background=False, name="label"))
    if classes.background is None:
        free = DEFAULT_BACKGROUND if DEFAULT_BACKGROUND not in finished else classes.free_id()
        classes = classes.with_ids([free]).as_background(free)
    return classes if len(classes) > 1 else classes.with_ids([1])


def _ids(array: NDArray[Any] | None) -> tuple[int, ...]:
    """The ids above 0 in an array, slice by slice so that no copy of it is made."""
    if array is None:
        return ()
    parts = array.reshape(-1, *array.shape[-2:])
    found = set[int]().union(*(np.unique(part).tolist() for part in parts if part.any()))
    return tuple(sorted(found - {0}))


def _sidecar(source: LayerSource, view: AnnotationView) -> Path | None:
    """A file for the autosave; None, and a notification, where none can be made."""
    try:
        return new_autosave(source)
    except OSError as error:
        view.notify(f"Strokes are not autosaved: {error}")
        return None
