"""Engine calls without strokes: preparing before the first stroke, predictions of networks, pictures of features."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.document import Document
from napari_scribseg.annotate.engine_cache import MISSING, EngineCache
from napari_scribseg.annotate.events import Doing, SessionEvents, failure
from napari_scribseg.annotate.segment import prepare
from napari_scribseg.core.capabilities import PredictsUnprompted, ShowsFeatures, pictures_of
from napari_scribseg.core.engine import Report
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.image import Image
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel.jobs import Call, Jobs

__all__ = ["Prefetch"]


class Prefetch:
    """Calls the engine in use in the background; everything else happens in the owner's thread.

    Parameters
    ----------
    document : Document
        Has the engine.
    events : SessionEvents
        ``failed`` is emitted here.
    cache : EngineCache
        Gets what the engine prepared, for the strokes to come.
    jobs : Jobs
        Where engines run.

    Attributes
    ----------
    requested : dict of Future to Doing
        What the user waits for.
    """

    def __init__(self, document: Document, events: SessionEvents, cache: EngineCache, jobs: Jobs[Any]) -> None:
        self._document, self._events, self._cache, self._jobs = document, events, cache, jobs
        self.requested: dict[Future[Any], Doing] = {}

    def cancel(self) -> None:
        """Drop all requests."""
        for future in list(self.requested):
            future.cancel()
        self.requested.clear()

    def prepare(self, slice_index: SliceIndex) -> None:
        """Let the engine prepare for a slice before a stroke needs it; a failure is reported by the stroke."""
        document = self._document
        if self._jobs.is_inline or self._cache.prepared(slice_index, document.engine, document.device) is not MISSING:
            return
        self._queue(slice_index, lambda _image, _state: None, lambda _none: None)

    def predict(self, slice_index: SliceIndex, use: Callable[[NDArray[Any]], bool]) -> Future[Any]:
        """Predict class indices of shape (H, W) without strokes; see :meth:`Session.predict`."""
        engine = self._document.engine
        if not isinstance(engine, PredictsUnprompted):
            raise InputError(f"the engine {engine.info.name!r} answers strokes only; one such as brs is expected")

        def compute(_image: Image, state: Any) -> NDArray[Any]:
            found: NDArray[Any] = np.argmax(engine.unprompted(state), axis=0)
            return found

        return self._request(Doing("network", slice_index), compute, use)

    def picture(self, slice_index: SliceIndex, name: str) -> Future[Any]:
        """Compute a picture of what the engine sees; see :meth:`Session.picture`."""
        engine, names = self._document.engine, pictures_of(self._document.engine)
        if not isinstance(engine, ShowsFeatures) or name not in names:
            which = f"only {', '.join(names)}" if names else "none with these parameters"
            raise InputError(f"the engine {engine.info.name!r} has no picture {name!r}, {which}")

        def compute(image: Image, state: Any) -> NDArray[np.float32]:
            found, expected = np.asarray(engine.picture(name, state), dtype=np.float32), (*image.shape, 3)
            if found.shape != expected:
                raise InputError(
                    f"the engine {engine.info.name!r} gave a picture of shape {found.shape}; {expected} is expected"
                )
            return np.clip(np.nan_to_num(found), 0, 1)

        return self._request(Doing("picture", slice_index, name=name), compute, lambda found: found)

    def _request(self, doing: Doing, compute: Callable[[Image, Any], Any], use: Callable[[Any], Any]) -> Future[Any]:
        """Call ``compute(image, state)`` in the worker, and ``use`` with its value in the owner's thread.

        The future's result is what ``use`` returns.
        """
        future: Future[Any] = Future()
        source, engine = self._document.source, self._document.engine

        def done(found: Any) -> None:
            self.requested.pop(future, None)
            if future.cancelled():
                return
            try:
                future.set_result(use(found))
            except InputError as error:  # the session was closed meanwhile
                future.set_exception(error)

        def failed(error: Exception) -> None:
            self.requested.pop(future, None)
            if not isinstance(error, InputError):
                what = f"the picture {doing.name!r}" if doing.what == "picture" else "the prediction without strokes"
                error = failure(f"{what} of {engine.info.title} on {source.where(doing.slice_index)}", error)
            if not future.cancelled():
                future.set_exception(error)
                self._events.failed.emit(doing.slice_index, error)

        self.requested[future] = doing
        self._queue(doing.slice_index, compute, done, failed)
        return future

    def _queue(
        self,
        slice_index: SliceIndex,
        compute: Callable[[Image, Any], Any],
        done: Callable[[Any], object],
        failed: Callable[[Exception], object] | None = None,
    ) -> None:
        """Call ``compute(image, state)`` in the worker, and ``done`` with its value once image and state are cached."""
        source, engine, device = self._document.source, self._document.engine, self._document.device
        cached, prepared = self._cache.image(slice_index), self._cache.prepared(slice_index, engine, device)

        def work(_report: Report) -> tuple[Image, Any, Any]:
            image = cached or source.image(slice_index)
            state = prepare(engine, image, source, slice_index, device) if prepared is MISSING else prepared
            return image, state, compute(image, state)

        def store(found: tuple[Image, Any, Any]) -> None:
            image, state, value = found
            self._cache.put_image(slice_index, image)
            self._cache.put_prepared(slice_index, engine, device, state)
            done(value)

        self._jobs.queue(Call(work, store, failed, name=f"the engine {engine.info.name!r}"))
