"""The section *Display* in the real window: the mouse paints in a radiological view, and the data stay as they are."""

import nibabel
import numpy as np
import pytest
from hands import Hands, drag, settle, until
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_scribseg.io import read_labels
from napari_scribseg.widgets.segmentation import widget as segmentation
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

pytestmark = pytest.mark.gui

AFFINE = np.array([[-1.0, 0, 0, 40], [0, 2.0, 0, -70], [0, 0, 3.0, 12], [0, 0, 0, 1]])  # x runs to the left


@pytest.fixture
def window(make_napari_viewer, tmp_path, monkeypatch, nearest):
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest())
    values = np.random.default_rng(0).normal(100, 5, (20, 30, 25)).astype(np.int16)  # x, y, z
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), tmp_path / "scan.nii.gz")
    viewer = make_napari_viewer(show=True)
    viewer.open(str(tmp_path / "scan.nii.gz"), plugin="napari-scribseg")
    window = Hands(viewer, SegmentationWidget(viewer), "Scribble segmentation", (1366, 768))
    yield window
    window.widget.end_all()


def tick(window, box):
    window.widget.sections.reveal(window.widget.display)
    settle()
    QTest.mouseClick(box, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(8, box.height() // 2))
    settle()


def test_a_stroke_on_the_left_of_a_radiological_view_is_on_the_patient_s_right(window, tmp_path):
    display = window.widget.display
    assert not display.radiological_box.isChecked()
    window.widget.images.start.click()
    settle()
    assert display.radiological_box.isChecked()
    assert display.letters_box.isChecked()
    combo = display.slices_combo
    combo.setCurrentIndex(combo.findText("coronal (axis 1)"))
    combo.activated.emit(combo.currentIndex())
    settle()
    canvas = window.canvas
    left, above = QPoint(round(canvas.width() * 0.4), round(canvas.height() * 0.3)), QPoint(0, 3)
    drag(canvas, [left, left + above])
    until(lambda: window.widget.annotators.is_idle, "the end of the job")
    strokes = window.widget.annotators.front.layers.strokes.data
    z, y, x = np.argwhere(strokes).mean(axis=0)
    right, _, head = (AFFINE @ [x, y, z, 1])[:3]
    middle = (AFFINE @ [9.5, 14.5, 12, 1])[:3]
    assert y == window.viewer.dims.current_step[1]
    assert right > middle[0] + 1
    assert head > middle[2] + 1

    layer = window.widget.annotators.front.layers.strokes
    layer.save(str(tmp_path / "strokes.nii.gz"), plugin="napari-scribseg")
    saved = read_labels(tmp_path / "strokes.nii.gz")
    np.testing.assert_array_equal(saved.array, strokes)
    np.testing.assert_allclose(saved.geometry.affine, AFFINE[:, [2, 1, 0, 3]])


def test_numbers_of_what_was_painted(window):
    window.widget.images.start.click()
    settle()
    annotator = window.widget.annotators.front
    window.viewer.dims.set_current_step(0, 3)
    annotator.layers.strokes.data[3, 4:6, 2:8] = 1
    annotator.layers.strokes.data[3, 20:22, 2:8] = 255
    annotator.look()
    until(lambda: window.widget.annotators.is_idle, "the end of the job")
    window.widget.sections.reveal(window.widget.files)
    settle()
    QTest.mouseClick(window.widget.measure, Qt.MouseButton.LeftButton)
    numbers = window.widget.numbers
    until(lambda: numbers.isVisible() and numbers.cells.rowCount() > 0, "the table")
    titles = [numbers.cells.horizontalHeaderItem(n).text() for n in range(numbers.cells.columnCount())]
    row = dict(zip(titles, (numbers.cells.item(0, n).text() for n in range(len(titles))), strict=True))
    labels = annotator.session.labels
    assert int(row["voxels"]) == np.count_nonzero(labels == 1) > 0
    assert float(row["ml"]) == pytest.approx(np.count_nonzero(labels == 1) * 6 / 1000, rel=1e-3)
    annotator.layers.strokes.data[8, 4:6, 2:8] = 1
    annotator.layers.strokes.data[8, 20:22, 2:8] = 255
    window.viewer.dims.set_current_step(0, 8)
    until(lambda: "changed since" in numbers.windowTitle(), "the mark that the table is old")


def test_the_choice_is_there_the_next_time(window, make_napari_viewer):
    tick(window, window.widget.display.radiological_box)
    window.widget.end_all()
    assert str(window.widget.display.view.camera.orientation[2]) == "right"
    viewer = make_napari_viewer(show=True)
    other = SegmentationWidget(viewer)
    assert other.display.radiological_box.isChecked()
    assert other.display.letters_box.isChecked()
    viewer.add_layer(window.viewer.layers[0])
    assert str(other.display.view.camera.orientation[2]) == "right"  # this image's x runs to the left already
    assert str(other.display.view.camera.orientation[1]) == "up"
    other.end_all()
