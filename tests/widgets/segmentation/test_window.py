"""The real window: mouse and keys on the canvas, files on the disk."""

import threading

import nibabel
import numpy as np
import pytest
from cut_text import cut_texts
from hands import Hands, drag, ended, settle, until
from napari.utils import progress
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import Geometry, Source, silent
from napari_scribseg.core.registry import DEFAULT_ENGINE
from napari_scribseg.io import read_labels
from napari_scribseg.kernel import jobs
from napari_scribseg.widgets.common.autosaves import autosave_folder
from napari_scribseg.widgets.common.key_sheet import KeySheet
from napari_scribseg.widgets.segmentation import engine_chooser, saving
from napari_scribseg.widgets.segmentation import widget as segmentation
from napari_scribseg.widgets.segmentation.actions import ACTIONS
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

pytestmark = pytest.mark.gui

AFFINE = np.array([[0.0, 0.1, -1.0, 40], [0.2, 2.0, 0, -70], [3.0, 0.0, 0.1, 12], [0, 0, 0, 1]])
GEOMETRY = Geometry((5, 40, 60), (3.0, 2.0, 1.0), AFFINE, "millimeter", ("z", "y", "x"))


def volume():
    """A bright box on a dark ground, with noise."""
    array = np.random.default_rng(0).normal(0, 5, (5, 40, 60)).astype(np.float32)
    array[:, 10:30, 20:45] += 100
    return array


class Window(Hands):
    """A viewer with the widget for scribbles."""

    def __init__(self, viewer):
        super().__init__(viewer, SegmentationWidget(viewer), "Scribble segmentation", (1100, 800))

    @property
    def front(self):
        return self.widget.annotators.front

    def start(self):
        self.widget.images.start.click()
        settle()
        self.viewer.reset_view()
        settle()

    def stroke(self, *points):
        """Press, move and release the left button at positions (row, column) of the world."""
        drag(self.canvas, self.pixels(*points))

    def two_strokes(self):
        self.widget.classes.select(1)
        self.front.paint_with(1)
        self.stroke((40, 30), (40, 33), (42, 35))
        self.front.paint_with(255)
        self.stroke((10, 5), (10, 50))
        self.wait_idle()

    def poke(self):
        """Strokes of two classes by a program, until the engine works on them."""
        begun = []
        self.front.session.events.busy.connect(begun.append)
        self.front.layers.strokes.data[2, 2, 2] = 255
        self.front.layers.strokes.paint((2, 20, 30), 1)
        until(lambda: True in begun, "the job")

    def wait_idle(self):
        """Wait until nothing is computed any more, nor about to be."""

        settle()
        until(lambda: self.widget.annotators.is_idle, "the end of all jobs")


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    left = {"geometry": GEOMETRY, "world": np.diag([3.0, 2.0, 1.0, 1.0])}
    viewer.add_image(volume(), name="scan", scale=(3, 2, 1), units=("mm",) * 3, metadata={"scribseg": left})
    return viewer


@pytest.fixture
def window(viewer):
    window = Window(viewer)
    yield window
    window.widget.end_all()


@pytest.fixture
def quick(monkeypatch, nearest):
    """Any engine is the quick one for tests; returns what its next instance is made with."""
    options = {}
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest(**options))
    return options


def test_mouse_paints_two_classes_undo_brings_back_and_the_file_reads_back(window, tmp_path, monkeypatch):
    window.start()
    z = window.viewer.dims.current_step[0]
    window.two_strokes()
    strokes = window.front.layers.strokes.data[z].copy()
    assert sorted(np.unique(strokes)) == [0, 1, 255]
    first = window.front.layers.result.data[z].copy()
    assert first[20, 32] == 1
    assert first[5, 20] == 0
    box = np.zeros((40, 60), bool)
    box[10:30, 20:45] = True
    assert (first[box] == 1).mean() > 0.9
    assert (first[~box] == 1).mean() < 0.1

    window.front.paint_with(1)
    window.stroke((70, 5), (70, 12))
    window.wait_idle()
    second = window.front.layers.result.data[z].copy()
    assert second[35, 8] == 1
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    window.wait_idle()
    assert np.array_equal(window.front.layers.result.data[z], first)
    assert np.array_equal(window.front.layers.strokes.data[z], strokes)
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    window.wait_idle()
    assert np.array_equal(window.front.layers.result.data[z], second)
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)

    path = tmp_path / "out" / "scan_labels.nii.gz"
    path.parent.mkdir()
    monkeypatch.setattr(saving, "choose_labels_path", lambda *_args: path)
    window.key(Qt.Key.Key_S, Qt.KeyboardModifier.ShiftModifier)
    window.shows("Saved")
    back = read_labels(path)
    assert np.array_equal(back.array, window.front.session.labels)
    assert np.array_equal(back.array[z], first)
    on_disk = nibabel.load(path)
    flip = np.eye(4)[[2, 1, 0, 3]]
    assert on_disk.affine == pytest.approx(AFFINE @ flip, abs=1e-4)
    assert on_disk.get_data_dtype().kind in "iu"


def test_opens_from_the_manifest_with_napari_s_proxy(viewer, quick):
    _, widget = viewer.window.add_plugin_dock_widget("napari-scribseg", "Scribble segmentation")
    widget.start()
    assert widget.annotators.front.layers.strokes is viewer.layers[-1]
    assert widget.annotators.front.layers.source.layer is viewer.layers[0]
    viewer.layers[-1].data[2, 2, 2] = 255
    viewer.layers[-1].paint((2, 20, 30), 1)
    until(lambda: widget.annotators.front.session.labels.any())
    widget.end_all()


def test_keys_on_the_canvas(window, quick):
    window.start()
    window.two_strokes()
    window.key(Qt.Key.Key_A)
    assert len(window.front.session.accepted) == 1
    assert "Reopen" in window.widget.bar.buttons["accept"].text()
    window.key(Qt.Key.Key_A)
    assert not window.front.session.accepted
    window.key(Qt.Key.Key_M)
    assert window.front.session.classes.ids == (255, 1, 2)
    assert window.front.layers.strokes.selected_label == 2
    window.key(Qt.Key.Key_Q)
    assert window.front.layers.strokes.selected_label == 1
    window.key(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    assert not window.front.layers.strokes.data.any()
    window.key(Qt.Key.Key_O)
    assert window.widget.overlays.overlay[0] == "probability"


def test_buttons_follow_what_can_be_done(window, quick):
    buttons = window.widget.slices.buttons | window.widget.bar.buttons
    assert not any(buttons[name].isEnabled() for name in ("segment", "clear", "undo", "redo", "accept"))
    window.start()
    assert buttons["segment"].isEnabled()
    assert not buttons["undo"].isEnabled()
    window.two_strokes()
    assert buttons["undo"].isEnabled()
    buttons["undo"].click()
    assert buttons["redo"].isEnabled()
    window.viewer.dims.ndisplay = 3
    until(lambda: not buttons["segment"].isEnabled())
    assert "2D/3D" in window.status
    window.viewer.dims.ndisplay = 2


def test_transposed_view(window, quick):
    window.viewer.dims.order = (1, 2, 0)
    window.start()
    window.viewer.dims.set_current_step(1, 20)
    settle()
    window.front.paint_with(255)
    window.stroke((5, 3), (5, 9))  # rows are x, columns are z
    window.front.paint_with(1)
    window.stroke((30, 6), (33, 6))
    window.wait_idle()
    labels = window.front.session.labels
    assert labels[:, 20].any()
    assert not np.delete(labels, 20, axis=1).any()
    assert labels[2, 20, 31] == 1


def test_closing_the_dock_ends_the_worker_and_resume_goes_on(window, quick, make_napari_viewer):
    window.start()
    window.two_strokes()
    painted = window.front.layers.strokes.data.copy()
    labels = window.front.session.labels.copy()
    widget = window.widget
    window.viewer.window.remove_dock_widget(widget)
    assert widget.is_ended
    with pytest.raises(RuntimeError):
        widget.dispatcher.executor.submit(int)
    assert len(list(autosave_folder().iterdir())) == 1

    for layer in list(window.viewer.layers)[1:]:
        window.viewer.layers.remove(layer)
    again = Window(window.viewer)
    assert "Resume" in again.status
    again.widget.files.buttons["resume"].click()
    assert "Resumed 1 slice" in again.status
    assert np.array_equal(again.front.layers.strokes.data, painted)
    assert np.array_equal(again.front.layers.result.data, labels)
    again.front.paint_with(1)
    again.stroke((70, 5), (70, 12))
    again.wait_idle()
    assert (again.front.session.labels != labels).any()
    again.widget.end_all()


def test_strokes_of_another_window_are_resumed_as_a_copy(window, quick, nearest, monkeypatch):
    window.start()
    window.two_strokes()
    window.front.session.flush()
    (kept,) = autosave_folder().glob("*.scribseg")
    labels = window.front.session.labels.copy()
    results, requested = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes], []
    monkeypatch.setattr(QMessageBox, "question", lambda *args: requested.append(args[2]) or results.pop(0))
    monkeypatch.setattr(segmentation, "choose_session_path", lambda *_args, **_options: kept)
    other = SegmentationWidget(window.viewer)  # as another window would do it
    try:
        other.resume()
        assert other.annotators.front is None
        assert "is open in another window" in requested[0]
        assert "is open in another window" in other.status.line.text()
        other.resume()
        assert np.array_equal(other.annotators.front.session.labels, labels)
        other.annotators.front.session.clear(other.annotators.front.session.slice_index(2))
    finally:
        other.end_all()
    window.widget.end_all()
    image = Source.from_array(window.viewer.layers["scan"].data)
    files = list(autosave_folder().iterdir())
    found = {path: Session.load(path, image, engine=nearest()).labels.any() for path in files}
    assert found.pop(kept)
    assert list(found.values()) == [False]


def test_an_engine_that_hangs_is_left_behind_after_cancel(window, monkeypatch, nearest):
    monkeypatch.setattr(jobs, "PATIENCE", 0.1)
    begun, loose = threading.Event(), threading.Event()

    class Hanging(nearest):
        def segment(self, image, scribbles, state, report=silent):
            if not begun.is_set():
                begun.set()
                loose.wait()
            return super().segment(image, scribbles, state, report)

    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: Hanging())
    window.start()
    window.poke()
    assert begun.wait(60)
    until(lambda: any(autosave_folder().glob("*.scribseg")), "the strokes on the disk")
    window.widget.status.cancelled.emit()
    window.shows("was abandoned")
    window.two_strokes()
    assert window.front.session.labels.any()
    loose.set()


def test_a_crash_after_a_pause_loses_nothing(window, quick):
    window.start()
    window.two_strokes()
    labels = window.front.session.labels
    assert labels.any()

    def kept():
        """Whether a crash now would leave all."""
        found = list(autosave_folder().glob("*.scribseg"))
        again = [Session.load(f, window.front.session.volume, engine=window.front.session.engine).labels for f in found]
        return len(again) == 1 and np.array_equal(again[0], labels)

    until(kept, "the labels in the autosave")


def test_dock_closed_while_a_job_runs(window, quick):
    gate = quick["gate"] = threading.Event()
    window.start()
    window.poke()
    window.viewer.window.remove_dock_widget(window.widget)
    gate.set()
    ended(window.widget.dispatcher)
    strokes = window.viewer.layers[-1]
    strokes.paint((2, 10, 10), 1)
    assert strokes.data[2, 10, 10] == 1  # an ordinary labels layer again
    assert window.front is None
    window.viewer.layers.clear()


def test_viewer_closed_while_a_job_runs(viewer, quick):
    gate = quick["gate"] = threading.Event()
    window = Window(viewer)
    window.start()
    window.poke()
    viewer.close()
    window.widget.end_all()
    gate.set()
    ended(window.widget.dispatcher)
    assert window.front is None

    def ours():
        """Our threads, but for the compiled loops' own pool, which stays."""
        names = [t.name for t in threading.enumerate() if t.name.startswith("scribseg")]
        return [name for name in names if not name.startswith("scribseg-kernel")]

    until(lambda: not ours(), "the end of the threads")


def test_every_layer_deleted_while_a_job_runs_in_the_window(window, quick, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: ("", ""))
    gate = quick["gate"] = threading.Event()
    window.start()
    window.poke()
    window.viewer.layers.clear()
    assert window.front is None
    gate.set()
    window.widget.dispatcher.executor.submit(int).result()  # behind the job
    settle()
    assert "deleted" in window.status
    window.widget.start()
    assert "no image" in window.status


def test_start_brings_deleted_layers_back(window, quick):
    window.start()
    window.two_strokes()
    painted, former = window.front.layers.strokes.data.copy(), window.front
    window.viewer.layers.remove(window.front.layers.strokes)
    window.viewer.layers.remove(window.front.layers.result)
    window.start()
    assert window.front is former
    assert np.array_equal(window.front.layers.strokes.data, painted)
    assert window.front.layers.result in window.viewer.layers
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not np.array_equal(window.front.layers.strokes.data, painted)


def test_start_twice_makes_nothing_twice(window, quick):
    window.start()
    window.start()
    assert len(window.viewer.layers) == 3


def test_two_widgets_and_two_images(window, quick):
    window.viewer.add_image(volume()[::-1], name="other")
    window.start()
    other = Window(window.viewer)
    other.widget.images.image_combo.setCurrentIndex(1)
    other.start()
    assert other.front.layers.source.layer.name == "other"
    (z,) = window.front.layers.slice_index().position  # the other image was brought into view
    window.front.layers.strokes.data[z, 2, 2] = 255
    window.front.layers.strokes.paint((z, 20, 30), 1)
    until(lambda: window.front.session.labels.any())
    assert not other.front.session.labels.any()
    other.widget.end_all()


def test_two_viewers(window, quick, make_napari_viewer):
    second = make_napari_viewer(show=True)
    second.add_image(volume(), name="scan")
    other = Window(second)
    window.start()
    other.start()
    other.poke()
    until(lambda: other.front.session.labels.any())
    assert not window.front.session.labels.any()
    assert len(list(window.viewer.layers)) == len(list(second.layers)) == 3
    other.widget.end_all()


def test_one_widget_turns_between_images(window, quick):
    window.viewer.add_image(np.zeros((30, 30)), name="other")
    window.start()
    first = window.front
    window.widget.images.image_combo.setCurrentIndex(1)
    assert window.front is None
    window.start()
    assert window.front.layers.source.layer.name == "other"
    window.widget.images.image_combo.setCurrentIndex(0)
    assert window.front is first
    second = next(a for a in window.widget.annotators.all if a is not first)
    second.layers.strokes.paint((5, 5), 1)
    settle()
    assert window.front is second


def test_layer_made_with_napari_s_own_button(window, quick, tmp_path, monkeypatch):
    window.viewer.layers.selection.active = window.viewer.layers["scan"]
    window.viewer._new_labels()
    mine = window.viewer.layers[-1]
    combo = window.widget.images.strokes_combo
    combo.setCurrentIndex(combo.findText(mine.name))
    window.start()
    assert window.front.layers.strokes is mine
    assert len(window.viewer.layers) == 3
    path = tmp_path / "mine.nii"
    monkeypatch.setattr(saving, "choose_labels_path", lambda *_args: path)
    window.viewer.dims.set_current_step(0, 2)
    mine.data[2, 2, 2] = 255
    mine.paint((2, 20, 30), 1)
    window.wait_idle()
    assert window.front.session.labels[2, 20, 30] == 1
    window.widget.save_labels()
    until(path.exists)
    assert nibabel.load(path).affine == pytest.approx(AFFINE @ np.eye(4)[[2, 1, 0, 3]], abs=1e-4)


def test_save_without_starting_takes_the_selected_labels(window, tmp_path, monkeypatch):
    window.viewer.layers.selection.active = window.viewer.layers["scan"]
    window.viewer._new_labels()
    window.viewer.layers[-1].data[1, 2, 3] = 7
    window.viewer.layers.selection.active = window.viewer.layers[-1]
    path = tmp_path / "plain.nii.gz"
    for action in window.widget.files.table_choices.values():
        action.setChecked(True)
    monkeypatch.setattr(saving, "choose_labels_path", lambda *_args: path)
    window.widget.save_labels()
    until(path.exists)
    window.shows("Saved")
    assert read_labels(path).array[1, 2, 3] == 7
    assert len(list(tmp_path.glob("plain*"))) == 4
    assert nibabel.load(path).affine == pytest.approx(AFFINE @ np.eye(4)[[2, 1, 0, 3]], abs=1e-4)


def test_save_with_nothing_to_save(window):
    window.viewer.layers.selection.active = window.viewer.layers["scan"]
    window.widget.save_labels()
    assert "no labels to save" in window.status


@pytest.mark.parametrize("name", ["missing/folder/a.nii.gz", "a.docx.nii.gz/b.nii"])
def test_save_that_fails_loses_nothing(window, quick, tmp_path, monkeypatch, name):
    window.start()
    window.two_strokes()
    monkeypatch.setattr(saving, "choose_labels_path", lambda *_args: tmp_path / name)
    labels = window.front.session.labels.copy()
    window.widget.save_labels()
    window.shows("Not saved")
    assert np.array_equal(window.front.session.labels, labels)


def test_strokes_are_saved_and_resumed_from_a_file(window, quick, tmp_path, monkeypatch):
    window.start()
    window.two_strokes()
    painted = window.front.layers.strokes.data.copy()
    path = tmp_path / "strokes.scribseg"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), ""))
    window.widget.files.buttons["save_strokes"].click()
    assert path.exists()
    window.key(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(path), ""))
    window.widget.images.choose(window.viewer.layers["scan"])
    window.widget.files.buttons["resume"].click()
    assert np.array_equal(window.front.layers.strokes.data, painted)


def test_resumed_settings_are_shown_as_they_are(window, quick, tmp_path):
    window.start()
    window.two_strokes()
    session = window.front.session
    session.device, session.overlap = "cuda", "keep"
    session.save(tmp_path / "a.scribseg")
    window.widget.resume(tmp_path / "a.scribseg")
    assert window.front.session is not session
    assert (window.widget.engines.device, window.widget.engines.overlap) == ("cuda", "keep")


def test_strokes_resumed_on_another_image_are_reported(window, quick, tmp_path):
    window.start()
    window.two_strokes()
    window.front.session.save(tmp_path / "a.scribseg")
    window.viewer.layers["scan"].data = volume() + 1
    window.widget.resume(tmp_path / "a.scribseg")
    window.shows("not the image that the strokes were painted on")
    assert window.front.session.labels.any()


def test_a_result_taken_over_from_a_former_annotation_stays_ours(window, quick):
    window.start()
    window.two_strokes()
    result, former = window.front.layers.result, window.front
    window.viewer.add_labels(np.zeros((5, 40, 60), np.uint8), name="mine")
    combo = window.widget.images.strokes_combo
    combo.setCurrentIndex(combo.findText("mine"))  # another layer to paint on, the same result
    window.widget.start()
    assert window.front is not former
    assert window.front.layers.result is result
    assert not result.editable


def test_resume_from_a_damaged_file(window, quick, tmp_path):
    path = tmp_path / "bad.scribseg"
    path.write_bytes(b"no session")
    window.widget.resume(path)
    assert window.front is None
    assert "bad.scribseg" in window.status
    assert len(window.viewer.layers) == 1


def test_layer_of_another_shape_cannot_be_chosen(window, quick):
    wrong = window.viewer.add_labels(np.zeros((3, 3), np.uint8), name="wrong")
    combo = window.widget.images.strokes_combo
    combo.setCurrentIndex(combo.findText("wrong"))
    window.start()
    assert window.front is None
    assert "(3, 3)" in window.status
    assert list(window.viewer.layers) == [window.viewer.layers["scan"], wrong]


def test_engine_that_raises_is_reported_without_a_dialog(window, quick):
    quick["error"] = MemoryError("no more")
    window.start()
    window.two_strokes()
    assert "MemoryError" in window.status
    assert window.front.layers.strokes.data.any()


def test_long_job_shows_progress_and_can_be_cancelled(window, quick):
    gate = quick["gate"] = threading.Event()
    window.start()
    panel, seen = window.widget.status, []
    window.front.session.events.busy.connect(lambda _busy: seen.append(panel.progress.isVisible()))
    window.poke()
    assert not seen[0]  # not at once
    until(panel.progress.isVisible)
    until(lambda: panel.bar.value() == 500)
    panel.progress.layout().itemAt(1).widget().click()
    until(lambda: not panel.progress.isVisible())
    assert "Cancelled" in window.status
    gate.set()


def test_ids_above_255_are_drawn(window, quick):
    window.start()
    window.front.set_classes(window.front.session.classes.with_ids([300]))
    window.front.paint_with(255)
    window.stroke((10, 5), (10, 50))
    window.front.paint_with(300)
    window.stroke((40, 30), (42, 35))
    window.wait_idle()
    assert window.front.layers.strokes.data.dtype == window.front.layers.result.data.dtype == np.uint16
    assert window.front.layers.result.data[2, 20, 32] == 300
    assert window.viewer.screenshot(flash=False).any()


def test_overlay_and_3d_are_drawn(window, quick):
    window.start()
    window.two_strokes()
    window.widget.overlays.toggle()
    until(lambda: window.front.layers.overlay is not None)
    window.viewer.dims.set_current_step(0, 4)
    until(lambda: window.front.layers.overlay is None)
    window.viewer.dims.ndisplay = 3
    settle()
    assert window.viewer.screenshot(flash=False).any()
    window.viewer.dims.ndisplay = 2


def test_autosave_folder_that_cannot_be_made(window, quick, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCRIBSEG_AUTOSAVE", str(tmp_path / "file"))
    reported = []
    monkeypatch.setattr(segmentation, "show_warning", reported.append)
    window.start()
    window.two_strokes()
    assert window.front.session.labels.any()
    assert "not autosaved" in reported[0]


def test_pyramid_is_worked_on_at_a_bearable_level(window, quick, monkeypatch):
    monkeypatch.setattr("napari_scribseg.widgets.common.layer_source.MAX_SLICE", 40 * 40)
    window.viewer.layers.clear()
    levels = [np.random.default_rng(0).random((64 // 2**k, 64 // 2**k)).astype(np.float32) for k in range(3)]
    window.viewer.add_image(levels, multiscale=True, name="slide", scale=(2, 2))
    window.start()
    assert "level 1" in window.status
    window.front.paint_with(255)
    window.stroke((10, 10), (10, 100))
    window.front.paint_with(1)
    window.stroke((90, 60), (100, 70))
    window.wait_idle()
    assert window.front.session.labels.shape == (32, 32)
    assert window.front.session.labels[23, 15] == 1


def test_device_that_is_not_there(window):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    window.start()
    window.widget.engines.device_combo.setCurrentIndex(2)
    window.front.layers.strokes.data[2, 2, 2] = 255
    window.front.layers.strokes.paint((2, 20, 30), 1)
    window.shows("CUDA")
    window.widget.engines.device_combo.setCurrentIndex(1)
    window.wait_idle()
    assert window.front.session.labels[2, 20, 30] == 1


def test_sample_data_begins_with_its_own_strokes(window, quick):
    window.viewer.layers.clear()
    image, strokes = window.viewer.open_sample("napari-scribseg", "mr-head")
    window.viewer.dims.set_current_step(0, 14)
    window.start()
    assert window.front.layers.strokes is strokes
    assert window.front.layers.source.geometry() is image.metadata["scribseg"]["geometry"]
    assert window.front.session.classes.background == 255
    assert window.front.session.classes[1].name != "class 1"
    window.wait_idle()
    assert window.front.session.labels[14].any()
    assert not window.front.session.labels[11].any()
    window.viewer.dims.set_current_step(0, 11)
    window.wait_idle()
    assert window.front.session.labels[11].any()


def test_finished_labels_are_corrected_in_place(window, quick):
    finished = np.zeros((5, 40, 60), np.uint8)
    finished[2, 20:30, 20:30] = 255
    layer = window.viewer.add_labels(finished, name="scan labels", scale=(3, 2, 1))
    window.widget.images.refresh()
    window.start()
    assert window.front.layers.result is layer
    assert window.front.session.classes.background not in (None, 255)
    assert 255 in window.front.session.classes
    assert np.shares_memory(layer.data, window.front.session.labels)


def test_one_stroke_on_a_propagated_slice_is_a_correction(window):
    window.start()
    z = window.viewer.dims.current_step[0]
    window.two_strokes()
    window.key(Qt.Key.Key_G)
    window.wait_idle()
    window.viewer.dims.set_current_step(0, z + 1)
    settle()
    propagated = window.front.layers.result.data[z + 1].copy()
    assert (propagated[14:26, 24:40] == 1).all()
    window.front.paint_with(1)
    window.stroke((66, 40), (66, 44))
    window.wait_idle()
    corrected = window.front.layers.result.data[z + 1].copy()
    changed = corrected != propagated
    assert (corrected[33, 40:45] == 1).all()
    assert (corrected[changed] == 1).all()
    assert (corrected[10:28, 15:50] == propagated[10:28, 15:50]).all()
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    window.wait_idle()
    assert np.array_equal(window.front.layers.result.data[z + 1], propagated)


def test_polygon_tool_is_one_step(window, quick):
    window.start()
    window.front.paint_with(255)
    window.stroke((10, 5), (10, 50))
    window.wait_idle()
    strokes = window.front.layers.strokes
    window.front.paint_with(1)
    strokes.paint_polygon([(2, 15, 25), (2, 15, 35), (2, 25, 30)], 1)
    window.wait_idle()
    assert window.front.session.labels[2, 18, 30] == 1
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert sorted(np.unique(strokes.data)) == [0, 255]
    assert not window.front.session.labels.any()


def test_live_results_come_while_the_pen_is_down(window, quick):
    window.start()
    window.front.paint_with(255)
    window.stroke((10, 5), (10, 50))
    window.front.paint_with(1)
    where = window.pixels((40, 30), (44, 35))
    QTest.mouseMove(window.canvas, where[0])
    QTest.mousePress(window.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[0])
    QTest.mouseMove(window.canvas, where[1])
    until(lambda: window.front.layers.result.data.any())
    QTest.mouseRelease(window.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[1])
    window.wait_idle()
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not window.front.layers.result.data.any()
    assert not (window.front.layers.strokes.data == 1).any()


def test_the_trained_network_follows_the_pen_and_one_class_is_enough(window):
    window.start()
    engines = window.widget.engines
    engines.engine_combo.setCurrentIndex(engines.engine_combo.findData("scribble-net"))
    until(lambda: window.front.session.engine.info.name == "scribble-net")
    window.front.paint_with(1)
    where = window.pixels((30, 25), (34, 28), (42, 34), (50, 40))
    QTest.mouseMove(window.canvas, where[0])
    QTest.mousePress(window.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[0])
    for place in where[1:]:
        QTest.mouseMove(window.canvas, place)
        settle()
    result = window.front.layers.result
    until(lambda: window.front.layers.result.data[2].any())
    assert not window.front.session.can_undo  # a preview, which is no step
    QTest.mouseRelease(window.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[-1])
    window.wait_idle()
    labels = window.front.session.labels[2]
    strokes = window.front.layers.strokes.data[2]
    assert set(np.unique(labels)) == {0, 1}
    assert (labels[strokes == 1] == 1).all()
    truth = np.zeros((40, 60), bool)
    truth[10:30, 20:45] = True
    overlap = (truth & (labels == 1)).sum() / (truth | (labels == 1)).sum()
    assert overlap > 0.7
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not window.front.session.labels.any()
    assert window.front.layers.result is result


def choose(window, engine, **values):
    """An engine in the list, and values in its form, as a person sets them."""
    engines = window.widget.engines
    engines.engine_combo.setCurrentIndex(engines.engine_combo.findData(engine))
    for name, value in values.items():
        engines.form[name].field.value = value


def test_the_curve_of_a_fit_is_drawn_and_hidden_for_engines_without_one(window):
    window.start()
    panel = window.widget.curve
    assert not panel.isVisible()
    choose(window, "cnn")
    window.two_strokes()
    assert panel.isVisible()
    assert not panel.plot.isVisible()
    assert panel.plot.curve is window.front.session.results(window.front.layers.slice_index()).curve
    assert panel.fold.text().startswith("Loss: ")
    window.widget.sections.reveal(panel)
    QTest.mouseClick(panel.fold, Qt.MouseButton.LeftButton)
    assert panel.plot.isVisible()
    choose(window, "svcd")
    window.wait_idle()
    assert not panel.isVisible()


def test_the_curve_grows_while_a_network_is_fitted(window, monkeypatch):
    monkeypatch.setattr("napari_scribseg.engines.coarse_to_fine.pipeline.CURVE_EVERY", 0.0)
    window.start()
    choose(window, "coarse-to-fine", samples=400, width=16)
    window.poke()
    panel = window.widget.curve
    until(panel.isVisible)
    assert window.front.session.is_busy
    first = panel.fold.text()
    assert first.startswith("Loss: step")
    until(lambda: panel.fold.text() != first)
    window.front.cancel()
    until(lambda: not window.front.session.is_busy)
    assert not panel.isVisible()  # there was no answer before


@pytest.mark.parametrize(
    ("engine", "values"),
    [("pwn", {"inputs": "colour+semantic"}), ("svcd", {"features": "colour+semantic"})],
)
def test_semantic_features_become_a_colour_layer_on_request(window, engine, values):
    engines = window.widget.engines
    assert not engines.pictures
    choose(window, engine, **values)
    assert list(engines.pictures) == ["semantic features"]
    QTest.mouseClick(engines.pictures["semantic features"], Qt.MouseButton.LeftButton)
    assert "Start painting first" in window.status
    window.start()
    QTest.mouseClick(engines.pictures["semantic features"], Qt.MouseButton.LeftButton)
    until(lambda: "semantic features of scan" in window.viewer.layers)
    picture, strokes = window.viewer.layers["semantic features of scan"], window.front.layers.strokes
    z = window.viewer.dims.current_step[0]
    assert picture.data.shape == (1, 40, 60, 3)
    assert tuple(picture.scale) == (3, 2, 1)
    assert picture.translate[0] == 3 * z
    assert picture.data.min() < picture.data.max()
    assert (window.viewer.layers.selection.active, strokes.mode) == (strokes, "paint")
    for name in ("scan labels", "scan strokes"):
        window.viewer.layers[name].visible = False
    seen = window.viewer.screenshot(flash=False)[..., :3].astype(int)
    assert np.ptp(seen, axis=-1).max() > 60  # colours, where the scan is grey
    window.viewer.dims.set_current_step(0, z + 1)
    settle()
    seen = window.viewer.screenshot(flash=False)[..., :3].astype(int)
    assert np.ptp(seen, axis=-1).max() < 60
    window.viewer.dims.set_current_step(0, z)
    choose(window, engine, **dict.fromkeys(values, "colour"))
    assert not engines.pictures


def click_class(window, identity):
    """A click on the name of a class."""
    table = window.widget.classes.table
    where = table.visualItemRect(table.item(window.widget.classes.classes.ids.index(identity), 1)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where)
    return table


def test_start_on_layers_that_exist_takes_up_the_brush(window, quick):
    for name in ("scan strokes", "scan labels"):
        window.viewer.add_labels(np.zeros((5, 40, 60), np.uint8), name=name, scale=(3, 2, 1))
    window.viewer.layers.selection.active = window.viewer.layers["scan"]
    window.start()
    strokes = window.viewer.layers["scan strokes"]
    assert window.front.layers.strokes is strokes
    assert window.viewer.layers.selection.active is strokes
    assert strokes.mode == "paint"
    window.stroke((40, 30), (42, 35))  # the next press of the mouse paints
    assert (strokes.data == 1).any()


def test_a_click_on_a_class_takes_the_brush_up_and_letters_are_shortcuts_again(window, quick):
    window.start()
    window.two_strokes()
    strokes, classes = window.front.layers.strokes, window.front.session.classes
    window.viewer.layers.selection.active = window.viewer.layers["scan"]
    strokes.mode = "pan_zoom"
    table = click_class(window, 1)
    assert window.viewer.layers.selection.active is strokes
    assert (strokes.mode, strokes.selected_label) == ("paint", 1)
    strokes.mode = "fill"
    click_class(window, 255)
    assert (strokes.mode, strokes.selected_label) == ("fill", 255)
    strokes.mode = "erase"
    click_class(window, 255)  # once more, as it is selected already
    assert strokes.mode == "paint"
    QTest.keyClick(table, Qt.Key.Key_A)
    assert len(window.front.session.accepted) == 1
    QTest.keyClick(table, Qt.Key.Key_A)
    assert not window.front.session.accepted
    QTest.keyClick(table, Qt.Key.Key_S)
    QTest.keyClick(table, Qt.Key.Key_G)
    window.wait_idle()
    assert window.front.session.labels[3].any()
    assert window.front.session.classes == classes


def test_a_ball_is_painted_by_the_mouse_segmented_whole_and_one_step(window, quick):
    window.start()
    strokes = window.front.layers.strokes
    strokes.n_edit_dimensions, strokes.brush_size = 3, 9
    window.two_strokes()
    painted = [z for z in range(5) if (strokes.data[z] == 1).any()]
    assert len(painted) > 1
    until(lambda: [z for z in range(5) if window.front.session.labels[z].any()] == painted, "what follows")
    for _ in range(2):
        window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not strokes.data.any()
    assert not window.front.session.labels.any()


def test_let_it_segment_begins_by_itself_and_is_offered_where_it_works(window):
    engines, models = window.widget.engines, window.widget.engines.models
    engines.engine_combo.setCurrentIndex(engines.engine_combo.findData("brs"))
    for name, works in (("brs-net", False), ("scribble-net", False), ("nuclei-unet", True)):
        models.choose(name)
        assert models.predict.isEnabled() is works
        assert ("it needs strokes" in models.about.text()) is not works
    QTest.mouseClick(models.predict, Qt.MouseButton.LeftButton)
    assert window.front is not None
    until(lambda: window.front.session.can_undo, "what follows")
    assert "has labels of" in window.status
    window.key(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    assert not window.front.session.labels.any()
    assert "Cleared z 2" in window.status


def test_the_line_follows_what_is_so(window, quick):
    assert "Start painting" in window.status
    window.start()
    window.two_strokes()
    assert window.status == "Done on z 2: background and class 1"
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.status == "Undone: the stroke on z 2"
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert window.status == "Redone: the stroke on z 2"
    window.viewer.dims.ndisplay = 3
    until(lambda: "2D/3D" in window.status, "what follows")
    window.viewer.dims.ndisplay = 2
    until(lambda: window.status == "Done on z 2: background and class 1", "what follows")
    window.viewer.layers.remove(window.front.layers.strokes)
    assert "strokes layer was deleted" in window.status
    window.start()
    assert "deleted" not in window.status
    window.viewer.layers.remove(window.viewer.layers["scan"])
    assert "image was deleted" in window.status
    assert "open it again, and Resume continues" in window.status
    assert window.widget.slice_list.work.text() == ""


def test_a_line_of_a_job_is_shown_with_its_bar_and_never_beside_a_result(window, quick):
    gate = quick["gate"] = threading.Event()
    window.start()
    window.poke()
    panel = window.widget.status
    before = window.status
    until(panel.progress.isVisible, "what follows")
    assert before != window.status
    assert window.status == "Computing z 2 with Nearest stroke…"
    gate.set()
    until(lambda: not panel.progress.isVisible(), "the end of the bar")
    assert window.status == "Done on z 2: background and class 1"


def test_the_form_of_every_engine_fits_into_the_dock(window):
    area = window.widget.sections
    engines = window.widget.engines
    engines.fold.setChecked(True)
    for number in range(engines.engine_combo.count()):
        engines.engine_combo.setCurrentIndex(number)
        settle()
        needed = area.widget().minimumSizeHint().width()
        assert needed <= area.viewport().width(), engines.engine
        assert [text for text in cut_texts(engines) if text.endswith("pixels")] == [], engines.engine


def test_the_first_stroke_of_one_class_is_segmented_where_nothing_was_chosen(viewer, monkeypatch):
    monkeypatch.setattr(engine_chooser, "DEFAULT_ENGINE", DEFAULT_ENGINE)
    window = Window(viewer)
    window.start()
    assert window.front.session.engine.info.name == DEFAULT_ENGINE
    assert window.front.session.classes.background == 255
    window.stroke((40, 30), (40, 33), (42, 35))
    window.wait_idle()
    labels = window.front.layers.result.data[window.viewer.dims.current_step[0]]
    box = np.zeros((40, 60), bool)
    box[10:30, 20:45] = True
    assert (labels[box] == 1).mean() > 0.5
    assert (labels[~box] == 1).mean() < 0.2
    assert "takes" in window.widget.engines.chooser.about.text()
    window.widget.end_all()


def test_a_click_in_the_list_of_slices_goes_there_and_a_key_to_the_next_open_one(window, quick):
    window.start()
    panel = window.widget.slice_list
    assert panel.model.rowCount() == 5
    assert panel.view.currentIndex().row() == 2
    window.widget.sections.reveal(panel.view)
    where = panel.view.visualRect(panel.model.index(1, 0)).center()
    QTest.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    until(lambda: window.viewer.dims.current_step[0] == 1, "the slice")
    window.two_strokes()
    window.key(Qt.Key.Key_A)
    assert panel.work.text() == "1 of 5 slices accepted"
    window.key(Qt.Key.Key_N)
    until(lambda: window.viewer.dims.current_step[0] == 2, "the next slice")
    window.key(Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    until(lambda: window.viewer.dims.current_step[0] == 0, "the slice before the accepted one")


def test_function_keys_choose_classes_and_a_question_mark_shows_all_keys(window):
    window.start()
    assert window.widget.classes.classes.ids == (255, 1)
    window.key(Qt.Key.Key_F1)
    assert window.front.layers.strokes.selected_label == 255
    window.key(Qt.Key.Key_F2)
    assert window.front.layers.strokes.selected_label == 1
    window.key(Qt.Key.Key_F9)  # there is no such row
    assert window.front.layers.strokes.selected_label == 1
    main = window.viewer.window._qt_window
    main.activateWindow()
    until(main.isActiveWindow, "the active window")
    window.key(Qt.Key.Key_Question)
    (sheet,) = (sheet for sheet in window.widget.findChildren(KeySheet) if sheet.isVisible())
    for action in ACTIONS:
        if action.key:
            assert action.tooltip.replace("'", "&#x27;") in sheet.table.text()
    assert "Larger brush" in sheet.table.text()
    assert all(f"<td>{name}&nbsp;" in sheet.table.text() for name in ("background", "class 1"))
    sheet.close()


def test_a_long_job_is_in_the_activity_dock(window, nearest, quick):
    gate = quick["gate"] = threading.Event()
    window.start()
    window.poke()
    until(lambda: window.widget.status.progress.isVisible(), "the bar")
    until(lambda: [bar.desc for bar in progress._all_instances if "Scribble" in (bar.desc or "")], "napari's bar")
    gate.set()
    until(
        lambda: not [bar for bar in progress._all_instances if "Scribble" in (bar.desc or "")],
        "the end of napari's bar",
    )
