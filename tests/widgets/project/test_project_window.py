"""A project in a real window: six cases, from the first stroke to the data set; mouse and keys, files on the disk."""

import json

import nibabel
import numpy as np
import pytest
from cut_text import cut_texts
from hands import Hands, drag, settle, until
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_scribseg.learn.project import Project
from napari_scribseg.widgets.project.dialogs import ExportDialog, NewProjectDialog
from napari_scribseg.widgets.project.project_widget import ProjectWidget

pytestmark = pytest.mark.gui

N_CASES, SLICES, SIDE = 6, 4, 48
STEPS = 20  # of learning, so that it takes seconds
LEFT = Qt.MouseButton.LeftButton


def ball(case):
    """The truth of a case: a ball, elsewhere in each."""
    z, y, x = np.ogrid[:SLICES, :SIDE, :SIDE]
    return ((z - 1.5) * 3) ** 2 + (y - 22 - case) ** 2 + (x - 24) ** 2 <= 12**2


@pytest.fixture
def images(tmp_path):
    """A folder with six small images."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for case in range(N_CASES):
        values = (100.0 * ball(case) + rng.normal(20, 5, (SLICES, SIDE, SIDE))).astype(np.float32)
        nibabel.save(
            nibabel.Nifti1Image(values.T, np.diag([1.0, 1.0, 3.0, 1.0])), folder / f"patient-{case + 1}.nii.gz"
        )
    return folder


class Window(Hands):
    """A viewer with Project, and with Scribble segmentation once a case is open."""

    def __init__(self, viewer):
        super().__init__(viewer, ProjectWidget(viewer), "Project", (1366, 768))

    @property
    def segmentation(self):
        return self.widget.segmentation()

    @property
    def session(self):
        return self.widget.work.case.session

    @property
    def accepted(self):
        return len(self.session.accepted)

    @property
    def message(self):
        """What the status line of Scribble segmentation says."""
        return self.segmentation.status.line.text()

    def press(self, name):
        button = self.widget.buttons[name]
        until(lambda: button.isEnabled() and button.isVisible(), f"the button {name}")
        QTest.mouseClick(button, LEFT)
        settle()

    def rest(self):
        """Wait until nothing is opened or computed."""
        settle()
        until(lambda: not self.widget._state.working, "the work of the project")
        if self.widget.work.case.annotator is not None:
            until(lambda: self.segmentation.annotators.is_idle, "the end of all jobs")
        settle()

    def fill_in(self, kind, fill):
        """When a dialog of a kind is open, do something in it and confirm it."""

        def look():
            dialog = QApplication.activeModalWidget()
            if not isinstance(dialog, kind):
                QTimer.singleShot(20, look)
                return
            fill(dialog)
            QTest.mouseClick(dialog.ok, LEFT)

        QTimer.singleShot(20, look)

    def make_project(self, folder):
        """Make a project with the class liver."""

        def name_it(dialog):
            assert not dialog.ok.isEnabled()
            dialog.folder.line.setText(str(folder))
            QTest.keyClicks(dialog.classes, "liver")

        self.fill_in(NewProjectDialog, name_it)
        self.press("create")
        self.rest()

    def show_list(self):
        """Bring the list of cases to the front, where it is behind the other tab."""
        dock = self.widget.parentWidget()
        dock.raise_()
        until(lambda: not self.widget.cases.visibleRegion().isEmpty(), "the list of cases")

    def double_click(self, name):
        """Open a case from the list."""
        self.show_list()
        cases = self.widget.cases
        row = [row.name for row in cases.rows].index(name)
        where = cases.visualItemRect(cases.topLevelItem(row)).center()
        for event in (QTest.mouseClick, QTest.mouseDClick):
            event(cases.viewport(), LEFT, pos=where)
        until(lambda: self.widget.work.case.name == name, f"the case {name}")
        self.rest()

    def stroke(self, identity, *points):
        """A stroke over positions (row, column) of the displayed slice."""
        self.segmentation.annotators.front.paint_with(identity)
        drag(self.canvas, self.pixels(*points))
        self.rest()

    def paint(self, z, row):
        """Strokes of the class and of the background."""
        self.viewer.dims.set_current_step(0, z)
        settle()
        self.stroke(1, (row, 20), (row, 28))
        self.stroke(self.session.classes.background, (3, 4), (3, 44))

    def read_cases(self):
        """The rows of the list, once the files are as the list says."""
        self.widget.work._flush()
        return {row.name: row for row in self.widget.cases.rows}


@pytest.fixture
def window(make_napari_viewer, images, monkeypatch):
    from napari_scribseg.learn.training import LearnSettings

    learn = Project.learn
    quick = LearnSettings(steps=STEPS, again=STEPS, batch=2)
    monkeypatch.setattr(Project, "learn", lambda self, report: learn(self, report, settings=quick))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(images))
    window = Window(make_napari_viewer(show=True))
    window.widget.follows.setChecked(False)
    yield window
    segmentation = window.widget._segmentation()
    window.widget.end_all()
    if segmentation is not None:
        segmentation.end_all()


@pytest.fixture
def begun(window, tmp_path):
    """A project with six cases."""
    window.make_project(tmp_path / "livers")
    window.press("add_folder")
    window.rest()
    return window


def test_six_cases_from_the_first_stroke_to_the_data_set(begun, tmp_path):
    window, widget = begun, begun.widget
    assert [row.texts for row in widget.cases.rows] == [
        (f"patient-{n}", "○ new", f"0 of {SLICES}") for n in range(1, N_CASES + 1)
    ]
    assert "Added 6 cases" in window.status
    assert widget.done.text() == "0 of 24 slices accepted"
    assert cut_texts(widget) == []

    window.double_click("patient-1")
    assert [layer.name for layer in window.viewer.layers] == ["patient-1", "patient-1 labels", "patient-1 strokes"]
    for z in range(SLICES):
        window.paint(z, 22)
    window.viewer.dims.set_current_step(0, 0)
    for z in range(SLICES):
        window.key(Qt.Key.Key_A)
        assert window.accepted == z + 1
        assert f"{z + 1} of 24 slices accepted" in window.message
    assert "all slices are accepted" in window.message
    first = window.session.labels.copy()
    assert ((first == 1) == ball(0)).mean() > 0.95

    window.key(Qt.Key.Key_N)
    until(lambda: widget.work.case.name == "patient-2", "the next case")
    window.rest()
    window.paint(1, 23)
    window.key(Qt.Key.Key_A)
    window.show_list()
    window.press("learn")
    until(lambda: not widget._state.learning and widget.work.drafter is not None, "what is learned")
    assert "Learned from 5 slices: drafts agree" in widget.network.text()
    assert "Learned from 5 accepted slices" in window.message
    until(lambda: not cut_texts(widget), "room for all texts")

    window.press("draft")
    window.rest()
    assert len(window.session.drafted) == SLICES - 1
    assert not window.segmentation.visibleRegion().isEmpty()
    case = 2
    while True:  # A accepts, N goes on, from case to case
        while window.accepted < SLICES:
            window.key(Qt.Key.Key_A)
            window.key(Qt.Key.Key_N)
            window.rest()
            if widget.work.case.name != f"patient-{case}":
                break
        if case == N_CASES:
            break
        until(lambda expected=f"patient-{case + 1}": widget.work.case.name == expected, "the next case")
        case += 1
        window.rest()
        until(lambda: len(window.session.drafted) == SLICES, "drafts of a new case")
    window.key(Qt.Key.Key_N)
    until(lambda: "All cases of the project are finished" in window.message, "the end")

    window.show_list()
    until(lambda: all(row.state == "finished" for row in widget.cases.rows), "the list")
    out = tmp_path / "Dataset001_Livers"
    window.fill_in(ExportDialog, lambda dialog: dialog.folder.line.setText(str(out)))
    window.press("export")
    window.rest()
    assert f"to {out}" in window.status
    described = json.loads((out / "dataset.json").read_text())
    assert (described["numTraining"], described["labels"]) == (6, {"background": 0, "liver": 1})
    names = sorted(path.name for path in (out / "imagesTr").iterdir())
    assert names == [f"patient-{n}_0000.nii.gz" for n in range(1, N_CASES + 1)]
    written = np.asarray(nibabel.load(out / "labelsTr" / "patient-1.nii.gz").dataobj).T
    np.testing.assert_array_equal(written, first == 1)
    last = np.asarray(nibabel.load(out / "labelsTr" / "patient-6.nii.gz").dataobj).T
    np.testing.assert_array_equal(last, window.session.labels == 1)


def test_a_project_opens_with_the_case_that_was_left_and_its_strokes(begun, make_napari_viewer):
    window = begun
    window.double_click("patient-3")
    window.paint(2, 24)
    strokes = window.session.painted(2)
    assert strokes.any()
    window.double_click("patient-4")
    assert [layer.name for layer in window.viewer.layers] == ["patient-4", "patient-4 labels", "patient-4 strokes"]
    window.double_click("patient-3")
    np.testing.assert_array_equal(window.session.painted(2), strokes)
    assert window.viewer.dims.current_step[0] == 2
    folder = window.widget.work.project.folder
    window.widget.end_all()
    window.segmentation_before = window.widget._segmentation()
    window.segmentation_before.end_all()
    again = Window(make_napari_viewer(show=True))
    again.widget.open_project(folder)
    until(lambda: again.widget.work.case.name == "patient-3", "the case that was left")
    again.rest()
    np.testing.assert_array_equal(again.session.painted(2), strokes)
    assert again.widget.cases.rows[2].texts[1:] == ("◐ started", f"0 of {SLICES}")
    again.widget.end_all()
    again.widget._segmentation().end_all()


def test_learning_is_cancelled_and_a_case_is_opened_meanwhile(begun):
    window, widget = begun, begun.widget
    window.double_click("patient-1")
    window.paint(1, 22)
    window.key(Qt.Key.Key_A)
    window.show_list()
    window.press("learn")
    until(lambda: widget.learning.isVisible(), "the progress of learning")
    assert "Learning from 1 accepted slice" in widget.network.text()
    window.double_click("patient-2")
    window.show_list()
    if widget._state.learning:
        QTest.mouseClick(widget.learning.cancelled, LEFT)
    until(lambda: not widget._state.learning, "the end of learning")
    assert not widget.learning.isVisible()
    assert widget.buttons["learn"].isEnabled()


def test_a_refused_file_and_a_case_that_is_open_elsewhere_are_reported(begun, tmp_path):
    window, widget = begun, begun.widget
    wrong = tmp_path / "notes.txt"
    wrong.write_text("no image")
    widget._call(lambda: widget.work.add([wrong]))
    window.rest()
    assert "⚠" in widget.status.line.text() or "notes.txt" in window.status
    assert len(widget.cases.rows) == N_CASES
    other = widget.work.project.annotate("patient-1")
    window.show_list()
    widget.cases.choose("patient-1")
    window.press("open_case")
    window.shows("open elsewhere")
    assert [layer.name for layer in window.viewer.layers] == []
    other.close()
    window.double_click("patient-1")
    assert window.session is not None


def test_a_colleague_s_copy_is_merged_and_people_are_compared(begun, tmp_path, monkeypatch):
    window, widget = begun, begun.widget
    widget.work.project.annotator = "anna"
    other = Project.create(tmp_path / "copy", ["liver"], annotator="ben")
    other.add([tmp_path / "images"])
    session = other.annotate("patient-1")
    for z in range(SLICES):
        session.edit(ball(0)[z].astype(np.uint8), z)
    other.finish(session)
    session.close()
    window.double_click("patient-1")
    window.paint(1, 22)
    window.key(Qt.Key.Key_A)
    window.show_list()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(other.folder))
    window.press("merge")
    until(lambda: widget.work.case.name == "patient-1" and not widget._state.working, "the merged case")
    window.rest()
    assert window.accepted == SLICES
    np.testing.assert_array_equal(window.session.labels[3], ball(0)[3])
    window.show_list()
    window.press("compare_people")
    until(lambda: hasattr(widget, "agreement") and widget.agreement.isVisible(), "the table")
    table = widget.agreement.table
    assert [table.item(0, column).text() for column in range(3)] == ["liver", "anna, ben", "1"]
    assert float(table.item(0, 3).text()) > 0.9
    widget.agreement.close()


def test_it_is_a_tab_and_a_case_opens_again_when_scribble_segmentation_was_closed(begun):
    window, widget = begun, begun.widget
    window.double_click("patient-1")
    segmentation = window.segmentation
    own, other = widget.parentWidget(), segmentation.parentWidget()
    assert other in window.viewer.window._qt_window.tabifiedDockWidgets(own)
    assert not segmentation.visibleRegion().isEmpty()
    assert widget.visibleRegion().isEmpty()
    window.paint(1, 22)
    strokes = window.session.painted(1)
    window.viewer.window.remove_dock_widget(segmentation)
    settle()
    assert segmentation.is_ended
    assert (widget.work.case.name, widget.work.case.session) == ("", None)
    window.double_click("patient-1")
    assert window.segmentation is not segmentation
    np.testing.assert_array_equal(window.session.painted(1), strokes)
    assert [layer.name for layer in window.viewer.layers] == ["patient-1", "patient-1 labels", "patient-1 strokes"]


def test_a_deleted_image_closes_its_case_and_the_work_stays(begun):
    window, widget = begun, begun.widget
    window.double_click("patient-2")
    window.paint(1, 23)
    window.key(Qt.Key.Key_A)
    window.viewer.layers.remove("patient-2")
    settle()
    assert widget.work.case.name == ""
    window.double_click("patient-2")
    assert window.accepted == 1
