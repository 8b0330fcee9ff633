"""What is asked of an engine before there are strokes: to get ready, and what its network says alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scribseg.core.errors import InputError
from napari_scribseg.core.image import Image
from napari_scribseg.session.cache import MISSING
from napari_scribseg.session.runner import Runner
from napari_scribseg.session.state import State, engine_key
from napari_scribseg.session.volume import Plane
from napari_scribseg.session.worker import prepare

if TYPE_CHECKING:
    from napari_scribseg.session.session import Session

__all__ = ["Beforehand"]


class Beforehand:
    """Works in the background; everything else in the owner's thread."""

    def __init__(self, session: Session, state: State, runner: Runner) -> None:
        self._session, self._state, self._runner = session, state, runner

    def prepare(self, plane: Plane) -> None:
        """Let the engine prepare for a plane before a stroke asks for it; the stroke will tell of a failure."""
        key = ("prepared", plane, self._state.device, engine_key(self._state.engine))
        if self._runner.is_inline or self._runner.cache.get(key, MISSING) is not MISSING:
            return
        get_ready = self._getting_ready(plane)

        def work() -> Any:
            try:
                return get_ready()
            except Exception:  # noqa: BLE001  an engine, or a lazy array, may raise anything; the stroke will tell
                return None

        def done(found: Any) -> None:
            if found is not None:
                self._runner.cache.put(("image", plane), found[0])
                self._runner.cache.put(key, found[1])

        self._runner.in_background(work, done)

    def _getting_ready(self, plane: Plane) -> Callable[[], tuple[Image, Any]]:
        """What gives, in the worker, the image of a plane and the engine's state for it: held ones, or new ones."""
        volume, engine, device = self._state.volume, self._state.engine, self._state.device
        image = self._runner.cache.get(("image", plane))
        prepared = self._runner.cache.get(("prepared", plane, device, engine_key(engine)), MISSING)

        def get_ready() -> tuple[Image, Any]:
            found = image or volume.image(plane)
            return found, prepare(engine, found, volume, plane, device) if prepared is MISSING else prepared

        return get_ready

    def predict(self, plane: Plane) -> Future[Any]:
        """See :meth:`Session.predict`."""
        state, engine = self._state, self._state.engine
        unprompted = getattr(engine, "unprompted", None)
        if unprompted is None:
            raise InputError(f"the engine {engine.info.name!r} answers strokes only; one such as brs is expected")
        future: Future[Any] = Future()
        get_ready = self._getting_ready(plane)

        def work() -> Any:
            try:
                return np.argmax(unprompted(get_ready()[1]), axis=0)
            except Exception as error:  # noqa: BLE001  a foreign network may raise anything; it is shown to the user
                return error

        def done(found: Any) -> None:
            if isinstance(found, Exception):
                future.set_exception(found)
                self._session.failed.emit(plane, found)
                return
            known = [c.id for c in state.classes if not c.background]
            new = iter(i for i in range(1, 1 << 16) if i not in state.classes)
            ids = [0, *known][: int(found.max()) + 1]
            ids += [next(new) for _ in range(int(found.max()) + 1 - len(ids))]
            self._session.classes = state.classes.with_ids(i for i in ids if i)
            future.set_result(self._session.edit(np.asarray(ids, dtype=np.uint16)[found], plane))

        self._runner.in_background(work, done)
        return future
