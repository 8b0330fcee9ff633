"""The dialog that asks where to save labels: the format that is chosen is the one that is written."""

from pathlib import Path

import pytest
from hands import until
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QDialogButtonBox, QLineEdit, QMessageBox

from napari_scribseg.io.formats import label_extensions
from napari_scribseg.widgets.segmentation import saving
from napari_scribseg.widgets.segmentation.save_dialog import SaveDialog, label_formats, labels_path

KEY = Qt.Key


class Opened:
    """The open dialog, with a hand on its choice of a format."""

    def __init__(self, qtbot, folder, name, n_axes=3):
        self.dialog = SaveDialog(None, folder / name, n_axes)
        qtbot.addWidget(self.dialog)
        self.dialog.show()
        self.field = self.dialog.findChild(QLineEdit)
        self.kinds = self.dialog.findChild(QComboBox, "fileTypeCombo")

    def choose(self, ending):
        """Go through the formats with the keyboard until one that begins with this extension."""
        for key in (KEY.Key_Home, *(KEY.Key_Down,) * self.kinds.count()):
            QTest.keyClick(self.kinds, key)
            if f"(*{ending}" in self.kinds.currentText():
                return
        raise AssertionError(f"no format {ending}")


def kind_of(ending):
    return next(entry for text, entry in label_formats(3).items() if f"(*{ending}" in text)


@pytest.fixture
def opened(qtbot, tmp_path):
    return lambda *arguments: Opened(qtbot, tmp_path, *arguments)


def test_formats_are_named_for_people_and_those_that_keep_names_come_first():
    texts = list(label_formats(3))
    assert texts[0] == "3D Slicer segmentation, keeps names and colours (*.seg.nrrd)"
    assert texts[1] == "NIfTI, names and colours in a table beside it (*.nii.gz *.nii)"
    assert {e for entry in label_formats(3).values() for e in entry.extensions} == set(label_extensions())
    assert not any("seg.nrrd" in text for text in label_formats(4))  # it has no time


@pytest.mark.parametrize("first", [".seg.nrrd", ".nii.gz", ".nii", ".mha", ".tif", ".ome.tif", ".nrrd"])
@pytest.mark.parametrize("ending", [".seg.nrrd", ".nii.gz", ".nrrd", ".mha", ".tif"])
def test_the_name_gets_the_extension_of_the_format_that_is_chosen(opened, tmp_path, first, ending):
    it = opened(f"ct.v2_labels{first}")
    assert it.dialog.path == tmp_path / f"ct.v2_labels{first}"
    assert f"*{first}" in it.kinds.currentText()
    chosen = it.kinds.currentText()
    it.choose(ending)
    if it.kinds.currentText() != chosen:
        assert it.field.text() == f"ct.v2_labels{ending}"
        assert it.dialog.path == tmp_path / f"ct.v2_labels{ending}"


@pytest.mark.parametrize("typed", ["Dr. Smith", "Dr. Smith.nii.gz", "Dr. Smith.seg.nrrd"])
def test_a_typed_name_stays_where_a_format_is_chosen(opened, tmp_path, typed):
    it = opened("a.seg.nrrd")
    it.field.setText("")
    QTest.keyClicks(it.field, typed)
    for ending in (".mha", ".nii.gz", ".seg.nrrd", ".tif"):
        it.choose(ending)
        assert it.field.text() == f"Dr. Smith{ending}"
        assert it.dialog.path == tmp_path / f"Dr. Smith{ending}"


@pytest.mark.parametrize(
    ("named", "ending", "expected"),
    [
        ("a", ".seg.nrrd", "a.seg.nrrd"),
        ("a.MHA", ".seg.nrrd", "a.MHA"),  # an extension that was typed
        ("a.nii", ".nii.gz", "a.nii"),
        ("p.seg.nrrd", ".nii.gz", "p.nii.gz"),  # dialogs of the system leave the name as it was proposed,
        ("p.seg.gz", ".nii.gz", "p.nii.gz"),  # or replace its last part
        ("p.nii.nrrd", ".seg.nrrd", "p.seg.nrrd"),
        ("p.seg.nrrd.nii.gz", ".nii.gz", "p.nii.gz"),
        ("v1.2", ".mha", "v1.2.mha"),
    ],
)
def test_whatever_a_dialog_of_the_system_returns_the_chosen_format_is_written(named, ending, expected):
    assert labels_path(Path("/x") / named, kind_of(ending), Path("/x/p.seg.nrrd")) == Path("/x") / expected


@pytest.mark.parametrize("reply", [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes])
def test_a_file_whose_extension_the_dialog_did_not_see_is_not_replaced_unrequested(tmp_path, monkeypatch, reply):
    (tmp_path / "a.seg.nrrd").touch()
    monkeypatch.setattr(QMessageBox, "question", lambda *_args: reply)

    def agree():
        dialog = QApplication.activeModalWidget()
        dialog.findChild(QLineEdit).setText("a")
        QTest.mouseClick(
            dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Save), Qt.MouseButton.LeftButton
        )

    QTimer.singleShot(100, agree)
    path = saving.choose_labels_path(None, tmp_path / "p.seg.nrrd")
    assert path == (tmp_path / "a.seg.nrrd" if reply == QMessageBox.StandardButton.Yes else None)


def test_a_cancelled_dialog_gives_no_file(qapp, tmp_path):
    shown = []

    def cancel():
        shown.append(until(QApplication.activeModalWidget))
        QTest.keyClick(shown[0], KEY.Key_Escape)

    QTimer.singleShot(100, cancel)
    assert saving.choose_labels_path(None, tmp_path / "p.seg.nrrd") is None
    assert shown
