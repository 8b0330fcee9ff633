"""What is asked of an engine without strokes: to get ready, what its network says alone, and what it sees."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.cache import MISSING
from napari_scribseg.annotate.events import Doing
from napari_scribseg.annotate.runner import Runner
from napari_scribseg.annotate.state import State, engine_key
from napari_scribseg.annotate.worker import prepare
from napari_scribseg.core.capabilities import PredictsUnprompted, ShowsFeatures, pictures_of
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.image import Image
from napari_scribseg.core.source import SliceIndex

if TYPE_CHECKING:
    from napari_scribseg.annotate.session import Session

__all__ = ["Beforehand"]


class Beforehand:
    """Works in the background; everything else in the owner's thread."""

    def __init__(self, session: Session, state: State, runner: Runner) -> None:
        self._session, self._state, self._runner = session, state, runner
        self.asked: dict[Future[Any], Doing] = {}  # what the user waits for

    def cancel(self) -> None:
        """Let no answer arrive to what was asked before."""
        for future in list(self.asked):
            future.cancel()
        self.asked.clear()

    def prepare(self, slice_index: SliceIndex) -> None:
        """Let the engine prepare for a slice before a stroke asks for it; the stroke will tell of a failure."""
        key = ("prepared", slice_index, self._state.device, engine_key(self._state.engine))
        if self._runner.is_inline or self._runner.cache.get(key, MISSING) is not MISSING:
            return

        def done(found: tuple[Image, Any]) -> None:
            self._runner.cache.put(("image", slice_index), found[0])
            self._runner.cache.put(key, found[1])

        self._runner.in_background(self._getting_ready(slice_index), done, lambda _error: None)

    def _getting_ready(self, slice_index: SliceIndex) -> Callable[[], tuple[Image, Any]]:
        """What gives, in the worker, the image of a slice and the engine's state for it: held ones, or new ones."""
        volume, engine, device = self._state.volume, self._state.engine, self._state.device
        image = self._runner.cache.get(("image", slice_index))
        prepared = self._runner.cache.get(("prepared", slice_index, device, engine_key(engine)), MISSING)

        def get_ready() -> tuple[Image, Any]:
            found = image or volume.image(slice_index)
            return found, prepare(engine, found, volume, slice_index, device) if prepared is MISSING else prepared

        return get_ready

    def predict(self, slice_index: SliceIndex) -> Future[Any]:
        """See :meth:`Session.predict`."""
        engine = self._state.engine
        if not isinstance(engine, PredictsUnprompted):
            raise InputError(f"the engine {engine.info.name!r} answers strokes only; one such as brs is expected")

        def answered(found: NDArray[Any]) -> bool:
            classes = self._state.classes
            known = [c.id for c in classes if not c.background]
            new = iter(i for i in range(1, 1 << 16) if i not in classes)
            ids = [0, *known][: int(found.max()) + 1]
            ids += [next(new) for _ in range(int(found.max()) + 1 - len(ids))]
            self._session.classes = classes.with_ids(i for i in ids if i)
            return self._session.edit(np.asarray(ids, dtype=np.uint16)[found], slice_index)

        doing = Doing("network", slice_index)
        return self._ask(doing, lambda _, state: np.argmax(engine.unprompted(state), axis=0), answered)

    def picture(self, slice_index: SliceIndex, name: str) -> Future[Any]:
        """See :meth:`Session.picture`."""
        engine, names = self._state.engine, pictures_of(self._state.engine)
        if not isinstance(engine, ShowsFeatures) or name not in names:
            which = f"only {', '.join(names)}" if names else "none with these parameters"
            raise InputError(f"the engine {engine.info.name!r} has no picture {name!r}, {which}")

        def look(image: Image, state: Any) -> NDArray[np.float32]:
            found = np.asarray(engine.picture(name, state), dtype=np.float32)
            if found.shape != (*image.shape, 3):
                raise InputError(
                    f"the engine {engine.info.name!r} gave a picture of shape {found.shape}; {(*image.shape, 3)} is "
                    "expected"
                )
            return np.clip(np.nan_to_num(found), 0, 1)

        return self._ask(Doing("picture", slice_index, name=name), look, lambda found: found)

    def _ask(self, doing: Doing, question: Callable[[Image, Any], Any], answered: Callable[[Any], Any]) -> Future[Any]:
        """Ask something of a prepared slice in the background; its state is kept for the strokes to come.

        ``question(image, state)`` is called in the worker; ``answered``, with what it gave, in the owner's thread: what
        that returns is the future's result.
        """
        future: Future[Any] = Future()
        slice_index = doing.slice_index
        key = ("prepared", slice_index, self._state.device, engine_key(self._state.engine))
        get_ready = self._getting_ready(slice_index)

        def work() -> tuple[Image, Any, Any]:
            image, prepared = get_ready()
            return image, prepared, question(image, prepared)

        def done(found: tuple[Image, Any, Any]) -> None:
            self.asked.pop(future, None)
            self._runner.cache.put(("image", slice_index), found[0])
            self._runner.cache.put(key, found[1])
            if future.cancelled():
                return
            try:
                future.set_result(answered(found[2]))
            except InputError as error:  # the session was closed meanwhile
                future.set_exception(error)

        def failed(error: Exception) -> None:
            self.asked.pop(future, None)
            if not future.cancelled():
                future.set_exception(error)
                self._session.failed.emit(slice_index, error)

        self.asked[future] = doing
        self._runner.in_background(work, done, failed)
        return future
