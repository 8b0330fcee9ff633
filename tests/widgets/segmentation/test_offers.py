"""What the window offers beside *Start painting*: to resume, and to turn to an image that was opened."""

import os
import re

import numpy as np
import pytest
from hands import Hands, drag, settle, until
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_scribseg.widgets.common.autosaves import autosave_folder
from napari_scribseg.widgets.segmentation import widget as segmentation
from napari_scribseg.widgets.segmentation.preparing import PREPARING, READY
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

pytestmark = pytest.mark.gui


class Window(Hands):
    def __init__(self, viewer):
        super().__init__(viewer, SegmentationWidget(viewer), "Scribble segmentation", (1366, 768))

    @property
    def offer(self):
        return self.widget.images.offer

    def in_sight(self, widget):
        """Whether a whole widget is seen."""
        return widget.visibleRegion().boundingRect() == widget.rect()

    def click(self, button):
        assert self.in_sight(button)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        settle()

    def stroke(self, *points):
        drag(self.canvas, self.pixels(*points))
        settle()
        until(lambda: self.widget.annotators.is_idle, "the end of all jobs")

    def opened(self, name, **options):
        """Another image elsewhere, once the window has seen it."""
        image = self.viewer.add_image(np.ones((11, 40, 50), np.float32), name=name, translate=(200, 0, 0), **options)
        settle()
        return image


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch, nearest):
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest())
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.random.default_rng(0).normal(0, 5, (30, 40, 60)).astype(np.float32), name="scan")
    return viewer


@pytest.fixture
def window(viewer):
    window = Window(viewer)
    yield window
    window.widget.end_all()


@pytest.fixture
def autosaved(viewer):
    """Strokes that a window left behind: their autosave."""
    window = Window(viewer)
    window.click(window.widget.images.start)
    window.stroke((10, 10), (10, 30))
    window.widget.end_all()
    viewer.window.remove_dock_widget(window.widget)
    for layer in list(viewer.layers)[1:]:
        viewer.layers.remove(layer)
    (path,) = autosave_folder().glob("*.scribseg")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def test_autosaved_strokes_are_resumed_by_a_button_beside_start_painting(autosaved, viewer):
    window = Window(viewer)
    widget = window.widget
    try:
        assert re.fullmatch(r"Strokes of 14 Nov 2023, \d\d:\d\d are autosaved: Resume, or start anew", window.status)
        assert not widget.status.line.is_cut
        assert widget.images.start.y() == window.offer.y()
        widget._on_warm(PREPARING)
        widget._on_warm(READY)
        assert "are autosaved" in window.status  # and not only that an engine is ready
        assert window.offer.text() == "Resume"
        window.click(window.offer)
        assert "Resumed 1 slice with strokes" in window.status
        assert widget.annotators.front.layers.strokes.data.any()
        assert not window.offer.isVisible()
    finally:
        widget.end_all()


def test_strokes_that_are_begun_anew_are_no_longer_offered_and_the_old_ones_stay(autosaved, viewer):
    window = Window(viewer)
    try:
        before = autosaved.read_bytes()
        window.click(window.widget.images.start)
        assert not window.offer.isVisible()
        assert not window.widget.annotators.front.layers.strokes.data.any()
        assert autosaved.read_bytes() == before
    finally:
        window.widget.end_all()


def test_without_autosaved_strokes_nothing_is_offered(window):
    assert not window.offer.isVisible()
    assert "Press Start painting" in window.status


def test_an_image_that_is_opened_before_anything_is_painted_is_turned_to(window, viewer):
    image = window.opened("body")
    assert window.widget.images.image is image
    assert not viewer.layers["scan"].visible
    window.click(window.widget.images.start)
    assert window.widget.annotators.front.layers.source.layer is image


def test_an_image_that_is_opened_beside_work_is_offered_by_name(window, viewer):
    widget = window.widget
    window.click(widget.images.start)
    window.stroke((10, 10), (10, 30))
    bar = widget.sections.verticalScrollBar()
    bar.setValue(bar.maximum())
    image = window.opened("body")
    assert "body was opened; this panel is on scan" in window.status.replace("Body", "body")
    assert widget.images.image is viewer.layers["scan"]
    assert window.offer.text() == "Show body"
    window.click(window.offer)
    assert widget.images.image is image
    assert image.visible
    assert not viewer.layers["scan"].visible
    assert not window.offer.isVisible()
    widget.images.pick(viewer.layers["scan"])
    settle()
    assert widget.annotators.front.layers.strokes.data.any()  # nothing was lost


def test_an_offer_ends_with_its_image(window, viewer):
    window.click(window.widget.images.start)
    window.stroke((10, 10), (10, 30))
    viewer.layers.remove(window.opened("a name that is far too long for a button"))
    settle()
    assert not window.offer.isVisible()


def test_channels_of_one_image_and_own_layers_are_not_turned_to(window, viewer):
    scan = viewer.layers["scan"]
    other = viewer.add_image(np.zeros(scan.data.shape), name="other", blending="additive")
    settle()
    assert window.widget.images.image is scan
    assert other.visible
    window.click(window.widget.images.start)
    window.widget.overlays.combo.setCurrentIndex(1)
    window.stroke((10, 10), (10, 30))
    assert window.widget.images.image is scan
    assert not window.offer.isVisible()
