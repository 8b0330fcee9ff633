"""The window *Numbers*: with threads of its own, from the labels as they are now to a table, a copy and a file."""

import csv
import threading

import numpy as np
import pytest
from hands import until
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from napari_scribseg.core import ClassTable, Geometry, InputError, LabelClass
from napari_scribseg.io.layer_geometry import display_placement
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.segmentation.measured import Measured, measured_now
from napari_scribseg.widgets.segmentation.numbers import NumbersWindow

GEOMETRY = Geometry((6, 20, 30), (3.0, 1.0, 0.5), np.diag([3.0, 1.0, 0.5, 1.0])[[2, 1, 0, 3]], "millimeter")
CLASSES = ClassTable((LabelClass(1, "liver", (1.0, 0.0, 0.0, 1.0)), LabelClass(255, "outside", (0.5, 0.5, 0.5, 1.0))))


class Lazy:
    """An image that is read when it is measured, which waits for a gate."""

    def __init__(self, gate, values):
        self.gate, self.values = gate, values

    def __array__(self, dtype=None, copy=None):
        self.gate.wait()
        return np.asarray(self.values, dtype)


def subject(**changes):
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[1:4, 5:15, 5:25] = 1
    image = np.where(labels == 1, 60.0, -100.0)
    values = {
        "labels": labels,
        "image": image,
        "geometry": GEOMETRY,
        "classes": CLASSES.as_background(255),
        "name": "ct",
    }
    return Measured(**values | changes)


@pytest.fixture
def make(qtbot):
    """A window that measures what ``measured`` gives."""
    made = []

    def make(measured):
        parent = QWidget()
        qtbot.addWidget(parent)
        dispatcher = Dispatcher(parent)
        window = NumbersWindow(parent, measured, dispatcher.post)
        made.append((window, dispatcher, parent))
        return window

    yield make
    for window, dispatcher, _parent in made:
        window.end()
        dispatcher.close()


def column(window, title):
    titles = [window.cells.horizontalHeaderItem(n).text() for n in range(window.cells.columnCount())]
    return [window.cells.item(row, titles.index(title)).text() for row in range(window.cells.rowCount())]


def measure(window):
    window.measure()
    until(lambda: not window.is_busy, "the table")


def test_the_table_has_the_classes_but_not_the_background(make):
    window = make(subject)
    measure(window)
    assert column(window, "class") == ["liver"]
    assert column(window, "voxels") == ["600"]
    assert column(window, "ml") == ["0.9"]
    assert column(window, "mean") == ["60"]
    assert window.save_button.isEnabled()


def test_every_slice_along_a_chosen_axis(make):
    window = make(subject)
    measure(window)
    assert [window.axis_combo.itemText(n) for n in range(3)] == [
        "axial (axis 0)", "coronal (axis 1)", "sagittal (axis 2)",
    ]  # fmt: skip
    window.per_slice.click()
    until(lambda: window.cells.rowCount() == 4, "the slices")
    assert column(window, "slice") == ["", "1", "2", "3"]
    window.axis_combo.setCurrentIndex(1)
    window.axis_combo.activated.emit(1)
    until(lambda: window.cells.rowCount() == 11, "the other slices")
    assert set(column(window, "slices")) == {"", "coronal"}


def test_copy_and_file(make, tmp_path, monkeypatch):
    window = make(subject)
    measure(window)
    window.copy_button.click()
    first, second = QApplication.clipboard().text().split("\n")
    assert dict(zip(first.split("\t"), second.split("\t"), strict=True))["voxels"] == "600"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(tmp_path / "t"), ""))
    window.save_button.click()
    with (tmp_path / "t.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["class"], row["voxels"], row["volume_ml"]) == ("liver", "600", "0.9")
    assert "Saved t.csv" in window.line.text()


def test_a_file_that_cannot_be_written_is_named(make, tmp_path, monkeypatch):
    window = make(subject)
    measure(window)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(tmp_path / "no" / "t.csv"), ""))
    window.save_button.click()
    assert window.line.text().startswith("Not saved: ")


def test_long_work_leaves_the_window_free_and_can_be_cancelled(make):
    gate = threading.Event()
    window = make(lambda: subject(image=Lazy(gate, np.zeros(GEOMETRY.shape))))
    window.show()
    window.measure()
    until(window.cancel_button.isVisible, "the button")
    assert not window.save_button.isEnabled()
    window.cancel_button.click()
    gate.set()
    until(lambda: not window.is_busy, "the end")
    assert window.line.text() == "Cancelled"
    assert not window.save_button.isEnabled()


def test_the_newest_request_wins(make):
    gate = threading.Event()
    subjects = [subject(image=Lazy(gate, np.zeros(GEOMETRY.shape)), name="old"), subject(name="new")]
    window = make(lambda: subjects.pop(0))
    window.measure()
    window.measure()
    gate.set()
    until(lambda: window.line.text() == "new", "the newest table")
    assert column(window, "mean") == ["60"]


def test_errors_are_one_message(make):
    def nothing():
        raise InputError("there are no labels to measure")

    window = make(nothing)
    window.measure()
    assert window.line.text() == "There are no labels to measure"
    window = make(lambda: subject(image=np.zeros((2, 2))))
    measure(window)
    assert window.line.text() == "The image has shape (2, 2); the labels have (6, 20, 30)"


def test_labels_that_changed_since_are_marked(make):
    version = [1]
    window = make(lambda: subject(version=lambda: version[0]))
    measure(window)
    assert window.windowTitle() == "Measures"
    version[0] = 2
    until(lambda: "changed since" in window.windowTitle(), "the mark")
    window.update_button.click()
    until(lambda: window.windowTitle() == "Measures", "the new table")


def test_a_labels_layer_without_an_annotation():
    viewer = ViewerModel()
    left = {"metadata": {"scribseg": {"geometry": GEOMETRY}}, **display_placement(GEOMETRY)}
    image = viewer.add_image(np.full(GEOMETRY.shape, 7.0), name="scan", **left)
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[2, 3:5] = 4
    layer = viewer.add_labels(labels, name="drawn", **left)
    found = measured_now(viewer, None, layer)
    labels[:] = 0
    (row,) = found.table().rows
    assert (row.id, row.voxels, row.mean) == (4, 60, 7.0)
    assert row.centre_mm is not None
    viewer.layers.remove(image)
    assert measured_now(viewer, None, layer).image is None
    with pytest.raises(InputError, match="no labels to measure"):
        measured_now(viewer, None, None)


def test_an_image_without_a_size_lacks_volumes(make):
    plain = Geometry(GEOMETRY.shape, (1.0,) * 3)
    window = make(lambda: subject(geometry=plain))
    measure(window)
    assert "no size" in window.line.text()
