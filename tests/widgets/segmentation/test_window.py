"""The real window: mouse and keys on the canvas, files on the disk."""

import threading

import nibabel
import numpy as np
import pytest
from hands import Hands, drag, ended, settle, until
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QMessageBox, QScrollArea

from napari_scribseg.annotate import executor
from napari_scribseg.annotate.session import Session
from napari_scribseg.core import Geometry, Source, silent
from napari_scribseg.io import read_labels
from napari_scribseg.widgets.common.autosaves import autosave_folder
from napari_scribseg.widgets.segmentation import widget as segmentation
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

pytestmark = pytest.mark.gui

AFFINE = np.array([[0.0, 0.1, -1.0, 40], [0.2, 2.0, 0, -70], [3.0, 0.0, 0.1, 12], [0, 0, 0, 1]])
GEOMETRY = Geometry((5, 40, 60), (3.0, 2.0, 1.0), AFFINE, "millimeter", ("z", "y", "x"))


def volume():
    """A bright box on a dark ground, with noise."""
    array = np.random.default_rng(0).normal(0, 5, (5, 40, 60)).astype(np.float32)
    array[:, 10:30, 20:45] += 100
    return array


class Desk(Hands):
    """A viewer with the widget for scribbles."""

    def __init__(self, viewer):
        super().__init__(viewer, SegmentationWidget(viewer), "Scribble segmentation", (1100, 800))

    @property
    def front(self):
        return self.widget.desk.front

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
        self.answered()

    def poke(self):
        """Strokes of two classes by a program, until the engine works on them."""
        begun = []
        self.front.session.busy.connect(begun.append)
        self.front.layers.strokes.data[2, 2, 2] = 255
        self.front.layers.strokes.paint((2, 20, 30), 1)
        until(lambda: True in begun, "the job")

    def answered(self):
        """Wait until nothing is computed any more, nor about to be."""

        def idle():
            waiting = {name for watcher, _ in self.widget.desk._all.values() for name in watcher._waiting}
            return waiting <= {"flush"} and not self.front.session.is_busy

        settle()
        until(idle, "the end of all jobs")


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    left = {"geometry": GEOMETRY, "world": np.diag([3.0, 2.0, 1.0, 1.0])}
    viewer.add_image(volume(), name="scan", scale=(3, 2, 1), units=("mm",) * 3, metadata={"scribseg": left})
    return viewer


@pytest.fixture
def desk(viewer):
    desk = Desk(viewer)
    yield desk
    desk.widget.end_all()


@pytest.fixture
def quick(monkeypatch, nearest):
    """Any engine is the quick one for tests; returns what its next instance is made with."""
    options = {}
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest(**options))
    return options


def test_mouse_paints_two_classes_undo_brings_back_and_the_file_reads_back(desk, tmp_path, monkeypatch):
    desk.start()
    z = desk.viewer.dims.current_step[0]
    desk.two_strokes()
    strokes = desk.front.layers.strokes.data[z].copy()
    assert sorted(np.unique(strokes)) == [0, 1, 255]
    first = desk.front.layers.result.data[z].copy()
    assert first[20, 32] == 1
    assert first[5, 20] == 0
    box = np.zeros((40, 60), bool)
    box[10:30, 20:45] = True
    assert (first[box] == 1).mean() > 0.9
    assert (first[~box] == 1).mean() < 0.1

    desk.front.paint_with(1)
    desk.stroke((70, 5), (70, 12))
    desk.answered()
    second = desk.front.layers.result.data[z].copy()
    assert second[35, 8] == 1
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    desk.answered()
    assert np.array_equal(desk.front.layers.result.data[z], first)
    assert np.array_equal(desk.front.layers.strokes.data[z], strokes)
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    desk.answered()
    assert np.array_equal(desk.front.layers.result.data[z], second)
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)

    path = tmp_path / "out" / "scan_labels.nii.gz"
    path.parent.mkdir()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), ""))
    desk.key(Qt.Key.Key_S, Qt.KeyboardModifier.ShiftModifier)
    desk.says("Saved")
    back = read_labels(path)
    assert np.array_equal(back.array, desk.front.session.labels)
    assert np.array_equal(back.array[z], first)
    on_disk = nibabel.load(path)
    flip = np.eye(4)[[2, 1, 0, 3]]
    assert on_disk.affine == pytest.approx(AFFINE @ flip, abs=1e-4)
    assert on_disk.get_data_dtype().kind in "iu"


def test_opens_from_the_manifest_with_napari_s_proxy(viewer, quick):
    _, widget = viewer.window.add_plugin_dock_widget("napari-scribseg", "Scribble segmentation")
    widget.start()
    assert widget.desk.front.layers.strokes is viewer.layers[-1]
    assert widget.desk.front.layers.source.layer is viewer.layers[0]
    viewer.layers[-1].data[2, 2, 2] = 255
    viewer.layers[-1].paint((2, 20, 30), 1)
    until(lambda: widget.desk.front.session.labels.any())
    widget.end_all()


def test_keys_on_the_canvas(desk, quick):
    desk.start()
    desk.two_strokes()
    desk.key(Qt.Key.Key_A)
    assert len(desk.front.session.accepted) == 1
    assert "Reopen" in desk.widget.slices.buttons["accept"].text()
    desk.key(Qt.Key.Key_A)
    assert not desk.front.session.accepted
    desk.key(Qt.Key.Key_M)
    assert desk.front.session.classes.ids == (255, 1, 2)
    assert desk.front.layers.strokes.selected_label == 2
    desk.key(Qt.Key.Key_Q)
    assert desk.front.layers.strokes.selected_label == 1
    desk.key(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    assert not desk.front.layers.strokes.data.any()
    desk.key(Qt.Key.Key_O)
    assert desk.widget.slices.overlay[0] == "probability"


def test_buttons_follow_what_can_be_done(desk, quick):
    buttons = desk.widget.slices.buttons
    assert not any(buttons[name].isEnabled() for name in ("segment", "clear", "undo", "redo", "accept"))
    desk.start()
    assert buttons["segment"].isEnabled()
    assert not buttons["undo"].isEnabled()
    desk.two_strokes()
    assert buttons["undo"].isEnabled()
    buttons["undo"].click()
    assert buttons["redo"].isEnabled()
    desk.viewer.dims.ndisplay = 3
    until(lambda: not buttons["segment"].isEnabled())
    assert "2D/3D" in desk.status
    desk.viewer.dims.ndisplay = 2


def test_transposed_view(desk, quick):
    desk.viewer.dims.order = (1, 2, 0)
    desk.start()
    desk.viewer.dims.set_current_step(1, 20)
    settle()
    desk.front.paint_with(255)
    desk.stroke((5, 3), (5, 9))  # rows are x, columns are z
    desk.front.paint_with(1)
    desk.stroke((30, 6), (33, 6))
    desk.answered()
    labels = desk.front.session.labels
    assert labels[:, 20].any()
    assert not np.delete(labels, 20, axis=1).any()
    assert labels[2, 20, 31] == 1


def test_closing_the_dock_ends_the_worker_and_resume_goes_on(desk, quick, make_napari_viewer):
    desk.start()
    desk.two_strokes()
    painted = desk.front.layers.strokes.data.copy()
    labels = desk.front.session.labels.copy()
    widget = desk.widget
    desk.viewer.window.remove_dock_widget(widget)
    assert widget._closed
    with pytest.raises(RuntimeError):
        widget.dispatcher.executor.submit(int)
    assert len(list(autosave_folder().iterdir())) == 1

    for layer in list(desk.viewer.layers)[1:]:
        desk.viewer.layers.remove(layer)
    again = Desk(desk.viewer)
    assert "Resume" in again.status
    again.widget.slices.resume.click()
    assert "Resumed 1 slices" in again.status
    assert np.array_equal(again.front.layers.strokes.data, painted)
    assert np.array_equal(again.front.layers.result.data, labels)
    again.front.paint_with(1)
    again.stroke((70, 5), (70, 12))
    again.answered()
    assert (again.front.session.labels != labels).any()
    again.widget.end_all()


def test_strokes_of_another_window_are_resumed_as_a_copy(desk, quick, nearest, monkeypatch):
    desk.start()
    desk.two_strokes()
    desk.front.session.flush()
    (kept,) = autosave_folder().glob("*.scribseg")
    labels = desk.front.session.labels.copy()
    answers, asked = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes], []
    monkeypatch.setattr(QMessageBox, "question", lambda *args: asked.append(args[2]) or answers.pop(0))
    monkeypatch.setattr(segmentation, "ask_session_path", lambda *_args, **_options: kept)
    other = SegmentationWidget(desk.viewer)  # as another window would do it
    try:
        other.resume()
        assert other.desk.front is None
        assert "worked on in another window" in asked[0]
        assert "worked on in another window" in other.status.line.text()
        other.resume()
        assert np.array_equal(other.desk.front.session.labels, labels)
        other.desk.front.session.clear(other.desk.front.session.slice_index(2))
    finally:
        other.end_all()
    desk.widget.end_all()
    image = Source.from_array(desk.viewer.layers["scan"].data)
    files = list(autosave_folder().iterdir())
    found = {path: Session.load(path, image, engine=nearest()).labels.any() for path in files}
    assert found.pop(kept)
    assert list(found.values()) == [False]


def test_an_engine_that_hangs_is_left_behind_after_cancel(desk, monkeypatch, nearest):
    monkeypatch.setattr(executor, "PATIENCE", 0.1)
    begun, loose = threading.Event(), threading.Event()

    class Hanging(nearest):
        def segment(self, image, scribbles, state, report=silent):
            if not begun.is_set():
                begun.set()
                loose.wait()
            return super().segment(image, scribbles, state, report)

    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: Hanging())
    desk.start()
    desk.poke()
    assert begun.wait(60)
    until(lambda: any(autosave_folder().glob("*.scribseg")), "the strokes on the disk")
    desk.widget.status.cancelled.emit()
    desk.says("left behind")
    desk.two_strokes()
    assert desk.front.session.labels.any()
    loose.set()


def test_a_crash_after_a_pause_loses_nothing(desk, quick):
    desk.start()
    desk.two_strokes()
    labels = desk.front.session.labels
    assert labels.any()

    def kept():
        """Whether a crash now would leave all."""
        found = list(autosave_folder().glob("*.scribseg"))
        again = [Session.load(f, desk.front.session.volume, engine=desk.front.session.engine).labels for f in found]
        return len(again) == 1 and np.array_equal(again[0], labels)

    until(kept, "the labels in the autosave")


def test_dock_closed_while_a_job_runs(desk, quick):
    gate = quick["gate"] = threading.Event()
    desk.start()
    desk.poke()
    desk.viewer.window.remove_dock_widget(desk.widget)
    gate.set()
    ended(desk.widget.dispatcher)
    strokes = desk.viewer.layers[-1]
    strokes.paint((2, 10, 10), 1)
    assert strokes.data[2, 10, 10] == 1  # an ordinary labels layer again
    assert desk.front is None
    desk.viewer.layers.clear()


def test_viewer_closed_while_a_job_runs(viewer, quick):
    gate = quick["gate"] = threading.Event()
    desk = Desk(viewer)
    desk.start()
    desk.poke()
    viewer.close()
    desk.widget.end_all()
    gate.set()
    ended(desk.widget.dispatcher)
    assert desk.front is None

    def ours():
        """Our threads, but for the compiled loops' own pool, which stays."""
        names = [t.name for t in threading.enumerate() if t.name.startswith("scribseg")]
        return [name for name in names if not name.startswith("scribseg-kernel")]

    until(lambda: not ours(), "the end of the threads")


def test_every_layer_deleted_while_a_job_runs_in_the_window(desk, quick):
    gate = quick["gate"] = threading.Event()
    desk.start()
    desk.poke()
    desk.viewer.layers.clear()
    assert desk.front is None
    gate.set()
    desk.widget.dispatcher.executor.submit(int).result()  # behind the job
    settle()
    assert "deleted" in desk.status
    desk.widget.start()
    assert "no image" in desk.status


def test_start_brings_deleted_layers_back(desk, quick):
    desk.start()
    desk.two_strokes()
    painted, former = desk.front.layers.strokes.data.copy(), desk.front
    desk.viewer.layers.remove(desk.front.layers.strokes)
    desk.viewer.layers.remove(desk.front.layers.result)
    desk.start()
    assert desk.front is former
    assert np.array_equal(desk.front.layers.strokes.data, painted)
    assert desk.front.layers.result in desk.viewer.layers
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not np.array_equal(desk.front.layers.strokes.data, painted)


def test_start_twice_makes_nothing_twice(desk, quick):
    desk.start()
    desk.start()
    assert len(desk.viewer.layers) == 3


def test_two_widgets_and_two_images(desk, quick):
    desk.viewer.add_image(volume()[::-1], name="other")
    desk.start()
    other = Desk(desk.viewer)
    other.widget.images._image.setCurrentIndex(1)
    other.start()
    assert other.front.layers.source.layer.name == "other"
    desk.front.layers.strokes.data[2, 2, 2] = 255
    desk.front.layers.strokes.paint((2, 20, 30), 1)
    until(lambda: desk.front.session.labels.any())
    assert not other.front.session.labels.any()
    other.widget.end_all()


def test_two_viewers(desk, quick, make_napari_viewer):
    second = make_napari_viewer(show=True)
    second.add_image(volume(), name="scan")
    other = Desk(second)
    desk.start()
    other.start()
    other.poke()
    until(lambda: other.front.session.labels.any())
    assert not desk.front.session.labels.any()
    assert len(list(desk.viewer.layers)) == len(list(second.layers)) == 3
    other.widget.end_all()


def test_one_widget_turns_between_images(desk, quick):
    desk.viewer.add_image(np.zeros((30, 30)), name="other")
    desk.start()
    first = desk.front
    desk.widget.images._image.setCurrentIndex(1)
    assert desk.front is None
    desk.start()
    assert desk.front.layers.source.layer.name == "other"
    desk.widget.images._image.setCurrentIndex(0)
    assert desk.front is first
    second = next(a for a in desk.widget.desk._all if a is not first)
    second.layers.strokes.paint((5, 5), 1)
    settle()
    assert desk.front is second


def test_layer_made_with_napari_s_own_button(desk, quick, tmp_path, monkeypatch):
    desk.viewer.layers.selection.active = desk.viewer.layers["scan"]
    desk.viewer._new_labels()
    mine = desk.viewer.layers[-1]
    combo = desk.widget.images._strokes
    combo.setCurrentIndex(combo.findText(mine.name))
    desk.start()
    assert desk.front.layers.strokes is mine
    assert len(desk.viewer.layers) == 3
    path = tmp_path / "mine.nii"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), ""))
    desk.viewer.dims.set_current_step(0, 2)
    mine.data[2, 2, 2] = 255
    mine.paint((2, 20, 30), 1)
    desk.answered()
    assert desk.front.session.labels[2, 20, 30] == 1
    desk.widget.save()
    until(path.exists)
    assert nibabel.load(path).affine == pytest.approx(AFFINE @ np.eye(4)[[2, 1, 0, 3]], abs=1e-4)


def test_save_without_starting_takes_the_selected_labels(desk, tmp_path, monkeypatch):
    desk.viewer.layers.selection.active = desk.viewer.layers["scan"]
    desk.viewer._new_labels()
    desk.viewer.layers[-1].data[1, 2, 3] = 7
    desk.viewer.layers.selection.active = desk.viewer.layers[-1]
    path = tmp_path / "plain.nii.gz"
    for action in desk.widget.slices._tables.values():
        action.setChecked(True)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), ""))
    desk.widget.save()
    until(path.exists)
    desk.says("Saved")
    assert read_labels(path).array[1, 2, 3] == 7
    assert len(list(tmp_path.glob("plain*"))) == 3
    assert nibabel.load(path).affine == pytest.approx(AFFINE @ np.eye(4)[[2, 1, 0, 3]], abs=1e-4)


def test_save_with_nothing_to_save(desk):
    desk.viewer.layers.selection.active = desk.viewer.layers["scan"]
    desk.widget.save()
    assert "no labels to save" in desk.status


@pytest.mark.parametrize("name", ["missing/folder/a.nii.gz", "a.docx.nii.gz/b.nii"])
def test_save_that_fails_loses_nothing(desk, quick, tmp_path, monkeypatch, name):
    desk.start()
    desk.two_strokes()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(tmp_path / name), ""))
    labels = desk.front.session.labels.copy()
    desk.widget.save()
    desk.says("Not saved")
    assert np.array_equal(desk.front.session.labels, labels)


def test_strokes_are_saved_and_resumed_from_a_file(desk, quick, tmp_path, monkeypatch):
    desk.start()
    desk.two_strokes()
    painted = desk.front.layers.strokes.data.copy()
    path = tmp_path / "strokes.scribseg"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), ""))
    desk.widget.slices.keep.click()
    assert path.exists()
    desk.key(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(path), ""))
    desk.widget.images.choose(desk.viewer.layers["scan"])
    desk.widget.slices.resume.click()
    assert np.array_equal(desk.front.layers.strokes.data, painted)


def test_resumed_settings_are_shown_as_they_are(desk, quick, tmp_path):
    desk.start()
    desk.two_strokes()
    session = desk.front.session
    session.device, session.overlap = "cuda", "keep"
    session.save(tmp_path / "a.scribseg")
    desk.widget.resume(tmp_path / "a.scribseg")
    assert desk.front.session is not session
    assert (desk.widget.engines.device, desk.widget.engines.overlap) == ("cuda", "keep")


def test_strokes_resumed_on_another_image_are_told(desk, quick, tmp_path):
    desk.start()
    desk.two_strokes()
    desk.front.session.save(tmp_path / "a.scribseg")
    desk.viewer.layers["scan"].data = volume() + 1
    desk.widget.resume(tmp_path / "a.scribseg")
    desk.says("not the image that the strokes were painted on")
    assert desk.front.session.labels.any()


def test_a_result_taken_over_from_a_former_annotation_stays_ours(desk, quick):
    desk.start()
    desk.two_strokes()
    result, former = desk.front.layers.result, desk.front
    desk.viewer.add_labels(np.zeros((5, 40, 60), np.uint8), name="mine")
    combo = desk.widget.images._strokes
    combo.setCurrentIndex(combo.findText("mine"))  # another layer to paint on, the same result
    desk.widget.start()
    assert desk.front is not former
    assert desk.front.layers.result is result
    assert not result.editable


def test_resume_from_a_damaged_file(desk, quick, tmp_path):
    path = tmp_path / "bad.scribseg"
    path.write_bytes(b"no session")
    desk.widget.resume(path)
    assert desk.front is None
    assert "bad.scribseg" in desk.status
    assert len(desk.viewer.layers) == 1


def test_layer_of_another_shape_cannot_be_chosen(desk, quick):
    wrong = desk.viewer.add_labels(np.zeros((3, 3), np.uint8), name="wrong")
    combo = desk.widget.images._strokes
    combo.setCurrentIndex(combo.findText("wrong"))
    desk.start()
    assert desk.front is None
    assert "(3, 3)" in desk.status
    assert list(desk.viewer.layers) == [desk.viewer.layers["scan"], wrong]


def test_engine_that_raises_is_told_without_a_dialog(desk, quick):
    quick["error"] = MemoryError("no more")
    desk.start()
    desk.two_strokes()
    assert "MemoryError" in desk.status
    assert desk.front.layers.strokes.data.any()


def test_long_job_shows_progress_and_can_be_cancelled(desk, quick):
    gate = quick["gate"] = threading.Event()
    desk.start()
    panel, seen = desk.widget.status, []
    desk.front.session.busy.connect(lambda _busy: seen.append(panel._progress.isVisible()))
    desk.poke()
    assert not seen[0]  # not at once
    until(panel._progress.isVisible)
    until(lambda: panel.bar.value() == 500)
    panel._progress.layout().itemAt(1).widget().click()
    until(lambda: not panel._progress.isVisible())
    assert "Cancelled" in desk.status
    gate.set()


def test_ids_above_255_are_drawn(desk, quick):
    desk.start()
    desk.front.set_classes(desk.front.session.classes.with_ids([300]))
    desk.front.paint_with(255)
    desk.stroke((10, 5), (10, 50))
    desk.front.paint_with(300)
    desk.stroke((40, 30), (42, 35))
    desk.answered()
    assert desk.front.layers.strokes.data.dtype == desk.front.layers.result.data.dtype == np.uint16
    assert desk.front.layers.result.data[2, 20, 32] == 300
    assert desk.viewer.screenshot(flash=False).any()


def test_overlay_and_3d_are_drawn(desk, quick):
    desk.start()
    desk.two_strokes()
    desk.widget.slices.toggle_overlay()
    until(lambda: desk.front.layers.overlay is not None)
    desk.viewer.dims.set_current_step(0, 4)
    until(lambda: desk.front.layers.overlay is None)
    desk.viewer.dims.ndisplay = 3
    settle()
    assert desk.viewer.screenshot(flash=False).any()
    desk.viewer.dims.ndisplay = 2


def test_autosave_folder_that_cannot_be_made(desk, quick, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCRIBSEG_AUTOSAVE", str(tmp_path / "file"))
    told = []
    monkeypatch.setattr(segmentation, "show_warning", told.append)
    desk.start()
    desk.two_strokes()
    assert desk.front.session.labels.any()
    assert "not kept" in told[0]


def test_pyramid_is_worked_on_at_a_bearable_level(desk, quick, monkeypatch):
    monkeypatch.setattr("napari_scribseg.widgets.common.sources.MAX_SLICE", 40 * 40)
    desk.viewer.layers.clear()
    levels = [np.random.default_rng(0).random((64 // 2**k, 64 // 2**k)).astype(np.float32) for k in range(3)]
    desk.viewer.add_image(levels, multiscale=True, name="slide", scale=(2, 2))
    desk.start()
    assert "level 1" in desk.status
    desk.front.paint_with(255)
    desk.stroke((10, 10), (10, 100))
    desk.front.paint_with(1)
    desk.stroke((90, 60), (100, 70))
    desk.answered()
    assert desk.front.session.labels.shape == (32, 32)
    assert desk.front.session.labels[23, 15] == 1


def test_device_that_is_not_there(desk):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    desk.start()
    desk.widget.engines._device.setCurrentIndex(2)
    desk.front.layers.strokes.data[2, 2, 2] = 255
    desk.front.layers.strokes.paint((2, 20, 30), 1)
    desk.says("CUDA")
    desk.widget.engines._device.setCurrentIndex(1)
    desk.answered()
    assert desk.front.session.labels[2, 20, 30] == 1


def test_sample_data_begins_with_its_own_strokes(desk, quick):
    desk.viewer.layers.clear()
    image, strokes = desk.viewer.open_sample("napari-scribseg", "mr-head")
    desk.viewer.dims.set_current_step(0, 14)
    desk.start()
    assert desk.front.layers.strokes is strokes
    assert desk.front.layers.source.geometry() is image.metadata["scribseg"]["geometry"]
    assert desk.front.session.classes.background == 255
    assert desk.front.session.classes[1].name != "class 1"
    desk.answered()
    assert desk.front.session.labels[14].any()
    assert not desk.front.session.labels[10].any()
    desk.viewer.dims.set_current_step(0, 10)
    desk.answered()
    assert desk.front.session.labels[10].any()


def test_finished_labels_are_corrected_in_place(desk, quick):
    finished = np.zeros((5, 40, 60), np.uint8)
    finished[2, 20:30, 20:30] = 255
    layer = desk.viewer.add_labels(finished, name="scan labels", scale=(3, 2, 1))
    desk.widget.images.refresh()
    desk.start()
    assert desk.front.layers.result is layer
    assert desk.front.session.classes.background not in (None, 255)
    assert 255 in desk.front.session.classes
    assert np.shares_memory(layer.data, desk.front.session.labels)


def test_one_stroke_on_a_propagated_slice_is_a_correction(desk):
    desk.start()
    z = desk.viewer.dims.current_step[0]
    desk.two_strokes()
    desk.key(Qt.Key.Key_G)
    desk.answered()
    desk.viewer.dims.set_current_step(0, z + 1)
    settle()
    carried = desk.front.layers.result.data[z + 1].copy()
    assert (carried[14:26, 24:40] == 1).all()
    desk.front.paint_with(1)
    desk.stroke((66, 40), (66, 44))
    desk.answered()
    corrected = desk.front.layers.result.data[z + 1].copy()
    changed = corrected != carried
    assert (corrected[33, 40:45] == 1).all()
    assert (corrected[changed] == 1).all()
    assert (corrected[10:28, 15:50] == carried[10:28, 15:50]).all()
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    desk.answered()
    assert np.array_equal(desk.front.layers.result.data[z + 1], carried)


def test_polygon_tool_is_one_step(desk, quick):
    desk.start()
    desk.front.paint_with(255)
    desk.stroke((10, 5), (10, 50))
    desk.answered()
    strokes = desk.front.layers.strokes
    desk.front.paint_with(1)
    strokes.paint_polygon([(2, 15, 25), (2, 15, 35), (2, 25, 30)], 1)
    desk.answered()
    assert desk.front.session.labels[2, 18, 30] == 1
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert sorted(np.unique(strokes.data)) == [0, 255]
    assert not desk.front.session.labels.any()


def test_live_answers_come_while_the_pen_is_down(desk, quick):
    desk.start()
    desk.front.paint_with(255)
    desk.stroke((10, 5), (10, 50))
    desk.front.paint_with(1)
    where = desk.pixels((40, 30), (44, 35))
    QTest.mouseMove(desk.canvas, where[0])
    QTest.mousePress(desk.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[0])
    QTest.mouseMove(desk.canvas, where[1])
    until(lambda: desk.front.layers.result.data.any())
    QTest.mouseRelease(desk.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[1])
    desk.answered()
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not desk.front.layers.result.data.any()
    assert not (desk.front.layers.strokes.data == 1).any()


def test_the_trained_network_follows_the_pen_and_one_class_is_enough(desk):
    desk.start()
    engines = desk.widget.engines
    engines._engine.setCurrentIndex(engines._engine.findData("scribble-net"))
    until(lambda: desk.front.session.engine.info.name == "scribble-net")
    desk.front.paint_with(1)
    where = desk.pixels((30, 25), (34, 28), (42, 34), (50, 40))
    QTest.mouseMove(desk.canvas, where[0])
    QTest.mousePress(desk.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[0])
    for place in where[1:]:
        QTest.mouseMove(desk.canvas, place)
        settle()
    result = desk.front.layers.result
    until(lambda: desk.front.layers.result.data[2].any())
    assert not desk.front.session.can_undo  # a preview, which nothing is remembered of
    QTest.mouseRelease(desk.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[-1])
    desk.answered()
    labels = desk.front.session.labels[2]
    strokes = desk.front.layers.strokes.data[2]
    assert set(np.unique(labels)) == {0, 1}
    assert (labels[strokes == 1] == 1).all()
    truth = np.zeros((40, 60), bool)
    truth[10:30, 20:45] = True
    overlap = (truth & (labels == 1)).sum() / (truth | (labels == 1)).sum()
    assert overlap > 0.7
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not desk.front.session.labels.any()
    assert desk.front.layers.result is result


def choose(desk, engine, **values):
    """An engine in the list, and values in its form, as a person sets them."""
    engines = desk.widget.engines
    engines._engine.setCurrentIndex(engines._engine.findData(engine))
    for name, value in values.items():
        engines.form[name].field.value = value


def test_the_curve_of_a_fit_is_drawn_and_hidden_for_engines_without_one(desk):
    desk.start()
    panel = desk.widget.curve
    assert not panel.isVisible()
    choose(desk, "cnn")
    desk.two_strokes()
    assert panel.isVisible()
    assert panel.plot.isVisible()
    assert panel.plot.curve is desk.front.session.results(desk.front.layers.slice_index()).curve
    assert panel.fold.text().startswith("Loss: ")
    QTest.mouseClick(panel.fold, Qt.MouseButton.LeftButton)
    assert not panel.plot.isVisible()
    choose(desk, "svcd")
    desk.answered()
    assert not panel.isVisible()


def test_the_curve_grows_while_a_network_is_fitted(desk, monkeypatch):
    monkeypatch.setattr("napari_scribseg.engines.coarse_to_fine.pipeline._SHOWN_AFTER", 0.0)
    desk.start()
    choose(desk, "coarse-to-fine", samples=400, width=16)
    desk.poke()
    panel = desk.widget.curve
    until(panel.isVisible)
    assert desk.front.session.is_busy
    first = panel.fold.text()
    assert first.startswith("Loss: step")
    until(lambda: panel.fold.text() != first)
    desk.front.cancel()
    until(lambda: not desk.front.session.is_busy)
    assert not panel.isVisible()  # there was no answer before


@pytest.mark.parametrize(
    ("engine", "values"),
    [("pwn", {"inputs": "colour+semantic"}), ("svcd", {"features": "colour+semantic"})],
)
def test_semantic_features_become_a_colour_layer_on_request(desk, engine, values):
    engines = desk.widget.engines
    assert not engines.pictures
    choose(desk, engine, **values)
    assert list(engines.pictures) == ["semantic features"]
    QTest.mouseClick(engines.pictures["semantic features"], Qt.MouseButton.LeftButton)
    assert "Start painting first" in desk.status
    desk.start()
    QTest.mouseClick(engines.pictures["semantic features"], Qt.MouseButton.LeftButton)
    until(lambda: "semantic features of scan" in desk.viewer.layers)
    picture, strokes = desk.viewer.layers["semantic features of scan"], desk.front.layers.strokes
    z = desk.viewer.dims.current_step[0]
    assert picture.data.shape == (1, 40, 60, 3)
    assert tuple(picture.scale) == (3, 2, 1)
    assert picture.translate[0] == 3 * z
    assert picture.data.min() < picture.data.max()
    assert (desk.viewer.layers.selection.active, strokes.mode) == (strokes, "paint")
    for name in ("scan labels", "scan strokes"):
        desk.viewer.layers[name].visible = False
    seen = desk.viewer.screenshot(flash=False)[..., :3].astype(int)
    assert np.ptp(seen, axis=-1).max() > 60  # colours, where the scan is grey
    desk.viewer.dims.set_current_step(0, z + 1)
    settle()
    seen = desk.viewer.screenshot(flash=False)[..., :3].astype(int)
    assert np.ptp(seen, axis=-1).max() < 60
    desk.viewer.dims.set_current_step(0, z)
    choose(desk, engine, **dict.fromkeys(values, "colour"))
    assert not engines.pictures


def click_class(desk, identity):
    """A click on the name of a class."""
    table = desk.widget.classes._table
    where = table.visualItemRect(table.item(desk.widget.classes.classes.ids.index(identity), 1)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where)
    return table


def test_start_on_layers_that_exist_takes_up_the_brush(desk, quick):
    for name in ("scan strokes", "scan labels"):
        desk.viewer.add_labels(np.zeros((5, 40, 60), np.uint8), name=name, scale=(3, 2, 1))
    desk.viewer.layers.selection.active = desk.viewer.layers["scan"]
    desk.start()
    strokes = desk.viewer.layers["scan strokes"]
    assert desk.front.layers.strokes is strokes
    assert desk.viewer.layers.selection.active is strokes
    assert strokes.mode == "paint"
    desk.stroke((40, 30), (42, 35))  # the next press of the mouse paints
    assert (strokes.data == 1).any()


def test_a_click_on_a_class_takes_the_brush_up_and_letters_are_shortcuts_again(desk, quick):
    desk.start()
    desk.two_strokes()
    strokes, classes = desk.front.layers.strokes, desk.front.session.classes
    desk.viewer.layers.selection.active = desk.viewer.layers["scan"]
    strokes.mode = "pan_zoom"
    table = click_class(desk, 1)
    assert desk.viewer.layers.selection.active is strokes
    assert (strokes.mode, strokes.selected_label) == ("paint", 1)
    strokes.mode = "fill"
    click_class(desk, 255)
    assert (strokes.mode, strokes.selected_label) == ("fill", 255)
    strokes.mode = "erase"
    click_class(desk, 255)  # once more, as it is selected already
    assert strokes.mode == "paint"
    QTest.keyClick(table, Qt.Key.Key_A)
    assert len(desk.front.session.accepted) == 1
    QTest.keyClick(table, Qt.Key.Key_A)
    assert not desk.front.session.accepted
    QTest.keyClick(table, Qt.Key.Key_S)
    QTest.keyClick(table, Qt.Key.Key_G)
    desk.answered()
    assert desk.front.session.labels[3].any()
    assert desk.front.session.classes == classes


def test_a_ball_is_painted_by_the_mouse_answered_whole_and_one_step(desk, quick):
    desk.start()
    strokes = desk.front.layers.strokes
    strokes.n_edit_dimensions, strokes.brush_size = 3, 9
    desk.two_strokes()
    painted = [z for z in range(5) if (strokes.data[z] == 1).any()]
    assert len(painted) > 1
    until(lambda: [z for z in range(5) if desk.front.session.labels[z].any()] == painted, "what follows")
    for _ in range(2):
        desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not strokes.data.any()
    assert not desk.front.session.labels.any()


def test_let_it_segment_begins_by_itself_and_is_offered_where_it_works(desk):
    engines, models = desk.widget.engines, desk.widget.engines.models
    engines._engine.setCurrentIndex(engines._engine.findData("brs"))
    for name, works in (("brs-net", False), ("scribble-net", False), ("nuclei-unet", True)):
        models.choose(name)
        assert models.say.isEnabled() is works
        assert ("answers strokes only" in models.about.text()) is not works
    QTest.mouseClick(models.say, Qt.MouseButton.LeftButton)
    assert desk.front is not None
    until(lambda: desk.front.session.can_undo, "what follows")
    assert "has labels of" in desk.status
    desk.key(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    assert not desk.front.session.labels.any()
    assert "Cleared z 2" in desk.status


def test_the_line_follows_what_is_so(desk, quick):
    assert "Start painting" in desk.status
    desk.start()
    desk.two_strokes()
    assert desk.status == "Done on z 2: background and class 1"
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert desk.status == "Undone: the stroke on z 2"
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert desk.status == "Redone: the stroke on z 2"
    desk.viewer.dims.ndisplay = 3
    until(lambda: "2D/3D" in desk.status, "what follows")
    desk.viewer.dims.ndisplay = 2
    until(lambda: desk.status == "Done on z 2: background and class 1", "what follows")
    desk.viewer.layers.remove(desk.front.layers.strokes)
    assert "strokes layer was deleted" in desk.status
    desk.start()
    assert "deleted" not in desk.status
    desk.viewer.layers.remove(desk.viewer.layers["scan"])
    assert "image was deleted" in desk.status


def test_a_line_of_a_job_is_shown_with_its_bar_and_never_beside_a_result(desk, quick):
    gate = quick["gate"] = threading.Event()
    desk.start()
    desk.poke()
    panel = desk.widget.status
    before = desk.status
    until(panel._progress.isVisible, "what follows")
    assert before != desk.status
    assert desk.status == "Computing z 2 with Nearest stroke…"
    gate.set()
    until(lambda: not panel._progress.isVisible(), "the end of the bar")
    assert desk.status == "Done on z 2: background and class 1"


def test_the_form_of_every_engine_fits_into_the_dock(desk):
    area = desk.widget.findChild(QScrollArea)
    engines = desk.widget.engines
    engines._fold.setChecked(True)
    for number in range(engines._engine.count()):
        engines._engine.setCurrentIndex(number)
        settle()
        needed = area.widget().minimumSizeHint().width()
        assert needed <= area.viewport().width(), engines.engine
