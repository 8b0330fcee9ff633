"""Fixtures for the window's tests; the whole folder is left out where napari or Qt is missing."""

import importlib.util
import os
import sys

import pytest

HAS_NAPARI = importlib.util.find_spec("napari") is not None
HAS_QT = any(importlib.util.find_spec(name) for name in ("PySide6", "PyQt6", "PyQt5"))

if not (HAS_NAPARI and HAS_QT and importlib.util.find_spec("pytestqt")):
    collect_ignore_glob = ["test_*.py"]
elif sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_collection_modifyitems(items):
    """Tests of the real window need OpenGL, which the offscreen platform does not have."""
    if os.environ.get("QT_QPA_PLATFORM") == "offscreen":
        for item in items:
            if item.get_closest_marker("gui"):
                item.add_marker(pytest.mark.skip(reason="no X server: install Xvfb, or run under xvfb-run"))


@pytest.fixture(autouse=True)
def _own_autosave_folder(tmp_path, monkeypatch):
    """No test writes into the user's folders."""
    monkeypatch.setenv("SCRIBSEG_AUTOSAVE", str(tmp_path / "autosave"))
