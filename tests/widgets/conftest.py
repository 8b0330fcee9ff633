"""Fixtures for the window's tests; the whole folder is left out where napari or Qt is missing."""

import dataclasses
import importlib.util
import os
import sys
import threading
from typing import Annotated, ClassVar

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from napari_scribseg.core import EngineInfo, Range, Segmentation, silent

HAS_NAPARI = importlib.util.find_spec("napari") is not None
HAS_QT = any(importlib.util.find_spec(name) for name in ("PySide6", "PyQt6", "PyQt5"))

if not (HAS_NAPARI and HAS_QT and importlib.util.find_spec("pytestqt")):
    collect_ignore_glob = ["*"]
else:
    from qtpy.QtCore import QSettings

    from napari_scribseg.widgets.segmentation import engine_chooser, engine_panel


def pytest_collection_modifyitems(items):
    """Without an X server, widgets are drawn offscreen; tests of the real window need OpenGL, which that does not have.

    Asked here, and not at import: pytest-xvfb has started its server by now, in each process that runs tests.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if os.environ.get("QT_QPA_PLATFORM") == "offscreen":
        for item in items:
            if item.get_closest_marker("gui"):
                item.add_marker(pytest.mark.skip(reason="no X server: install Xvfb, or run under xvfb-run"))


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    """No test writes into the user's folders, or finds the window as another left it; the first engine is quick."""
    monkeypatch.setenv("SCRIBSEG_AUTOSAVE", str(tmp_path / "autosave"))
    monkeypatch.setattr(engine_chooser, "DEFAULT_ENGINE", "svcd")  # quick; one test has the real one
    monkeypatch.setattr(engine_panel, "preference", lambda _name: "")
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "settings"))


@dataclasses.dataclass(frozen=True)
class NearestEngine:
    """Gives each voxel the class of the nearest stroke; can be made to wait, or to fail."""

    info: ClassVar[EngineInfo] = EngineInfo("nearest", "Nearest stroke", "For tests.", live=True)
    weight: Annotated[float, Range(0, 10, doc="does nothing")] = 1.0
    gate: threading.Event | None = dataclasses.field(default=None, repr=False)
    error: Exception | None = dataclasses.field(default=None, repr=False)

    def prepare(self, image, device="auto"):
        return None

    def segment(self, image, scribbles, state, report=silent):
        report(0.0)
        if self.gate is not None:
            while not self.gate.wait(0.005):
                report(0.5)
        if self.error is not None:
            raise self.error
        distance = np.stack([distance_transform_edt(scribbles.seeds != k) for k in range(scribbles.n_classes)])
        probabilities = np.zeros(distance.shape, np.float32)
        np.put_along_axis(probabilities, distance.argmin(axis=0)[None], 1, axis=0)
        return Segmentation(probabilities, None, notes=("chose the nearest stroke",))


@pytest.fixture
def nearest():
    """The engine class for tests."""
    return NearestEngine
