"""Both docks on a laptop's screen, 1366 x 768: nothing is cut off, and the buttons of every step are in sight."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cut_text import cut_texts
from hands import settle, until
from qtpy.QtWidgets import QApplication

pytestmark = pytest.mark.gui

WIDTH, HEIGHT = 1366, 768
BOTH = ("Scribble segmentation", "Explore segments")
SCALED = f"""
import sys, tempfile
sys.path.insert(0, {str(Path(__file__).parents[1] / "helpers")!r})
import napari, numpy as np
from qtpy.QtCore import QSettings
from cut_text import cut_texts
from hands import until
QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, tempfile.mkdtemp())
viewer = napari.Viewer()
viewer.add_image(np.zeros((3, 20, 20)), name="scan")
made = [viewer.window.add_plugin_dock_widget("napari-scribseg", name)[1] for name in sys.argv[2:]]
until(lambda: all(widget.isVisible() and widget.height() > 100 for widget in made), "the docks")
made[0].status.show_notes(("a note " * 20,))
made[0].status.details.setChecked(True)
for text in ("short", "a long message " * 12):
    for widget in made:
        widget.show_message(text)
        until(lambda: not cut_texts(widget), "room for all texts")
        assert widget.devicePixelRatioF() == float(sys.argv[1]), widget.devicePixelRatioF()
for widget in made:
    widget.end_all()
viewer.close()
"""


def in_sight(button, widget):
    """Whether a whole button can be seen."""
    corner = button.mapTo(widget, button.rect().bottomRight())
    return button.isVisible() and widget.rect().contains(corner)


@pytest.fixture
def docks(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros((3, 20, 20)), name="scan")
    window = viewer.window._qt_window
    window.resize(WIDTH, HEIGHT)
    settle()
    made = [viewer.window.add_plugin_dock_widget("napari-scribseg", name)[1] for name in BOTH]
    until(lambda: abs(made[0].height() - made[1].height()) < 20, "docks of the same height")
    yield viewer, made
    for widget in made:
        widget.end_all()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_both_docks_fit_a_small_screen(docks, theme):
    viewer, (segmentation, explore) = docks
    viewer.theme = theme
    window = viewer.window._qt_window
    for begun in (False, True):
        if begun:
            segmentation.start()
        settle()
        assert (window.width(), window.height()) == (WIDTH, HEIGHT)
        for name in ("undo", "accept", "save"):
            assert in_sight(segmentation.bar.buttons[name], segmentation), name
        for name in ("assign", "undo", "save"):
            assert in_sight(explore.labels.buttons[name], explore), name
        assert cut_texts(segmentation) == []
        assert cut_texts(explore) == []


@pytest.mark.parametrize("scale", ["1.25", "1.5"])
def test_no_text_is_cut_off_on_a_scaled_screen(scale, tmp_path):
    if QApplication.platformName() == "offscreen":
        pytest.skip("no scaled screen")
    env = {**os.environ, "QT_SCALE_FACTOR": scale, "SCRIBSEG_AUTOSAVE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCALED, scale, *BOTH], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
