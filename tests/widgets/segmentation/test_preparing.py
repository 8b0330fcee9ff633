"""What is prepared in the background when a dock opens."""

import threading

import numpy as np
import pytest
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.explore import warming
from napari_scribseg.widgets.segmentation import preparing


@pytest.fixture
def dispatcher(qtbot):
    made = Dispatcher()
    yield made
    made.close()


@pytest.mark.parametrize("begin", [lambda d: preparing.warm_up(d, print), warming.warm_up], ids=["strokes", "explorer"])
def test_layers_and_colormaps_are_made_in_the_thread_of_the_window_only(qtbot, dispatcher, monkeypatch, begin):
    made, mapped, finished = [], [], threading.Event()

    def noting(cls, seen, name):
        original = getattr(cls, name)

        def noted(self, *args, **kwargs):
            seen.append(threading.current_thread())
            return original(self, *args, **kwargs)

        monkeypatch.setattr(cls, name, noted)

    noting(Layer, made, "__init__")
    noting(DirectLabelColormap, made, "__init__")
    noting(DirectLabelColormap, mapped, "map")
    begin(dispatcher)
    dispatcher.aside(finished.set, lambda _none: None, lambda _error: None)
    qtbot.waitUntil(finished.is_set, timeout=120_000)
    Labels(np.ones((2, 2), np.uint8))
    assert made
    assert {thread.name for thread in made} == {threading.main_thread().name}
    assert any(thread is not threading.main_thread() for thread in mapped)  # where the tables are compiled
