"""From a few slices to the volume in the real window: paint, fill, correct, undo, save, look at it in 3D."""

import numpy as np
import pytest
from hands import Hands, drag, settle, until
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest

from napari_scribseg.io import read_labels
from napari_scribseg.io.sample_data import mr_volume
from napari_scribseg.widgets.segmentation import saving
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

pytestmark = pytest.mark.gui

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
PAINTED = (9, 12, 15)
BRAIN, AIR = ((40, 30), (48, 64), (56, 98)), ((2, 3), (2, 124))


class Window(Hands):
    def __init__(self, viewer):
        super().__init__(viewer, SegmentationWidget(viewer), "Scribble segmentation", (1366, 768))

    @property
    def session(self):
        return self.widget.annotators.front.session

    @property
    def strip(self):
        return self.widget.fills.strip

    @property
    def shown(self):
        """The displayed slice."""
        return self.viewer.dims.current_step[0]

    def kinds(self):
        """What the strip shows, once it has caught up."""
        self.strip.refresh()
        return [mark.kind for mark in self.strip.marks]

    def go_to(self, z):
        """Click on a slice of the strip."""
        where = self.strip.place_of(z).center()
        QTest.mouseClick(self.strip, Qt.MouseButton.LeftButton, pos=QPointF(where).toPoint())
        until(lambda: self.shown == z, f"slice {z}")
        settle()

    def stroke(self, identity, *points):
        self.widget.annotators.front.paint_with(identity)
        drag(self.canvas, self.pixels(*points))
        self.wait()

    def wait(self):
        """Wait until nothing is computed, filled, or about to be."""
        settle()
        until(lambda: self.widget.annotators.is_idle and self.session.doing is None, "the end of all jobs")

    def click(self, button):
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        settle()


@pytest.fixture
def window(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.asarray(mr_volume().array), name="head")
    window = Window(viewer)
    window.click(window.widget.images.start)
    viewer.reset_view()
    viewer.camera.zoom *= 0.9
    settle()
    yield window
    window.widget.end_all()


def paint_three(window):
    for z in PAINTED:
        window.go_to(z)
        window.stroke(1, *BRAIN)
        window.stroke(255, *AIR)


def overlap(first, second):
    """Dice of two masks."""
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def test_three_slices_are_painted_filled_corrected_undone_redone_saved_and_seen_in_3d(window, tmp_path, monkeypatch):
    paint_three(window)
    painted = window.session.labels.copy()
    assert all((painted[z] == 1).sum() > 500 for z in PAINTED)
    window.key(Qt.Key.Key_G, SHIFT)
    window.wait()
    filled = window.session.labels.copy()
    assert "between 3 painted or accepted ones" in window.status
    for z in PAINTED:
        assert np.array_equal(filled[z], painted[z])
    for z in (10, 11, 13, 14):
        assert window.kinds()[z] == "filled"
        neighbours = [filled[each] == 1 for each in (z - 1, z + 1)]
        assert all(overlap(filled[z] == 1, neighbour) > 0.7 for neighbour in neighbours)
    assert [window.kinds()[z] for z in PAINTED] == ["painted"] * 3

    window.key(Qt.Key.Key_N)
    assert window.shown == window.session.next_slice().position[0]
    assert "most needs a stroke" in window.status

    window.go_to(13)
    assert window.widget.slices.follows.isChecked()
    window.stroke(255, (30, 50), (66, 50))
    corrected = window.session.labels.copy()
    assert not (corrected[13, 31:66, 50] == 1).any()
    assert not np.array_equal(corrected[14], filled[14])  # it followed
    for z in (*PAINTED, 10, 11):
        assert np.array_equal(corrected[z], filled[z])  # beyond its neighbours nothing changed
    assert window.kinds()[13] == "painted"

    window.key(Qt.Key.Key_Z, CONTROL)
    window.wait()
    assert np.array_equal(window.session.labels, filled)
    window.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    window.wait()
    assert np.array_equal(window.session.labels, corrected)

    path = tmp_path / "head_labels.nii.gz"
    monkeypatch.setattr(saving, "choose_labels_path", lambda *_args: path)
    window.key(Qt.Key.Key_S, SHIFT)
    window.shows("Saved")
    assert np.array_equal(read_labels(path).array, corrected)

    flat = window.viewer.screenshot(canvas_only=True, flash=False)
    window.viewer.dims.ndisplay = 3
    settle()
    until(lambda: "3D" in window.status, "the words on 3D")
    solid = window.viewer.screenshot(canvas_only=True, flash=False)
    assert solid[..., :3].any()
    assert not np.array_equal(solid, flat)
    window.viewer.dims.ndisplay = 2
    settle()
    assert np.array_equal(window.session.labels, corrected)


def test_strokes_of_a_layer_that_were_never_displayed_count(window):
    painted = window.widget.annotators.front.layers.strokes.data
    for z in PAINTED:
        painted[z, 40:56, 60:68] = 1
        painted[z, 2:4] = 255
    window.go_to(5)
    window.click(window.widget.fills.buttons["fill"])
    window.wait()
    assert [window.kinds()[z] for z in range(9, 16)] == ["painted", *["filled"] * 2] * 2 + ["painted"]
    assert "between 3 painted or accepted ones" in window.status


def test_one_undo_takes_a_fill_back(window):
    paint_three(window)
    painted = window.session.labels.copy()
    window.click(window.widget.fills.buttons["fill"])
    window.wait()
    assert not np.array_equal(window.session.labels, painted)
    window.key(Qt.Key.Key_Z, CONTROL)
    window.wait()
    assert np.array_equal(window.session.labels, painted)
    assert "filled" not in window.kinds()
    assert "Undone: the filling of" in window.status


def test_filling_needs_two_slices_and_names_the_only_one(window):
    window.click(window.widget.fills.buttons["fill"])
    assert "Paint or accept a first and a second slice to fill between" in window.status
    window.go_to(9)
    window.stroke(1, *BRAIN)
    window.stroke(255, *AIR)
    window.click(window.widget.fills.buttons["fill"])
    assert "Paint or accept a second slice to fill between; z 9 is the only one" in window.status
    assert not window.session.filled


def test_slices_follow_a_correction_only_while_that_is_ticked(window):
    follows = window.widget.slices.follows
    assert not follows.isEnabled()
    paint_three(window)
    window.click(window.widget.fills.buttons["fill"])
    window.wait()
    filled = window.session.labels.copy()
    window.widget.sections.reveal(window.widget.slices)
    settle()
    window.click(follows)
    assert not window.session.follows
    window.go_to(13)
    window.stroke(255, (30, 50), (66, 50))
    assert np.array_equal(window.session.labels[14], filled[14])
    window.click(follows)
    window.wait()
    assert not np.array_equal(window.session.labels[14], filled[14])


def test_accepting_goes_on_to_the_slice_that_needs_a_stroke(window):
    paint_three(window)
    window.click(window.widget.fills.buttons["fill"])
    window.wait()
    window.go_to(10)
    window.key(Qt.Key.Key_A)
    assert window.session.is_accepted(10)
    assert window.shown == window.session.next_slice().position[0] != 10
    assert window.kinds()[10] == "accepted"


def test_the_strip_and_its_button_are_in_sight_and_a_drag_goes_through_the_slices(window):
    for widget in (window.strip, window.widget.fills.buttons["fill"]):
        assert widget.visibleRegion().boundingRect() == widget.rect()
    places = [QPointF(window.strip.place_of(z).center()).toPoint() for z in (3, 8)]
    seen = []
    window.viewer.dims.events.current_step.connect(lambda: seen.append(window.shown))
    drag(window.strip, places, parts=5)
    assert seen[0] == 3
    assert seen[-1] == 8
    assert len(set(seen)) > 3
