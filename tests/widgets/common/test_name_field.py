"""The field for names of classes: several at once, completion, and whose keys are whose."""

import pytest
from hands import until
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_scribseg.core import ClassTable
from napari_scribseg.widgets.common.class_table import ClassTableView
from napari_scribseg.widgets.common.name_field import NameField, split_names

KEY = Qt.Key


class Parent(QWidget):
    """Gets the keys that the field does not take."""

    def __init__(self):
        super().__init__()
        self.keys = []

    def keyPressEvent(self, event):
        self.keys.append(KEY(event.key()))


@pytest.fixture
def view(qtbot):
    view = ClassTableView()
    qtbot.addWidget(view)
    view.changed.connect(view.show_classes)
    view.show_classes(ClassTable.from_ids([1], background=255))
    view.chosen = []
    view.selected.connect(view.chosen.append)
    return view


def enter(view, text):
    QTest.keyClicks(view.names, text)
    QTest.keyClick(view.names, KEY.Key_Return)


def named(view):
    return {label.id: label.name for label in view.classes if not label.background}


def test_names_are_split_at_commas_and_each_counts_once():
    assert split_names(" left  kidney, liver;\nspleen,, LIVER") == ("left kidney", "liver", "spleen")
    assert split_names(" , ;") == ()


def test_one_line_names_the_class_that_has_no_name_and_adds_the_others(view):
    view.select(1)
    enter(view, "liver, spleen,left kidney")
    assert named(view) == {1: "liver", 2: "spleen", 3: "left kidney"}
    assert view.current == 1
    assert view.chosen[-1] == 1
    assert view.names.text() == ""


def test_a_name_goes_to_the_unnamed_class_also_while_the_background_is_selected(view):
    view.select(255)
    enter(view, "liver")
    assert named(view) == {1: "liver"}
    assert view.current == 1


def test_a_class_with_a_name_keeps_it(view):
    view.select(1)
    enter(view, "liver")
    enter(view, "spleen")
    assert named(view) == {1: "liver", 2: "spleen"}
    assert view.current == 2
    view.select(1)
    view.add_class()
    view.select(1)
    enter(view, "aorta")  # the class without a name is not the selected one, and may have strokes
    assert named(view) == {1: "liver", 2: "spleen", 3: "class 3", 4: "aorta"}


def test_a_name_that_is_there_already_selects_its_class(view):
    view.select(1)
    enter(view, "liver, spleen")
    view.select(1)
    enter(view, "Spleen")
    assert named(view) == {1: "liver", 2: "spleen"}
    assert view.current == 2


def test_the_button_adds_what_was_typed_or_a_class_without_a_name(view):
    view.select(1)
    view.names.setText("liver, spleen")
    view.add.click()
    assert named(view) == {1: "liver", 2: "spleen"}
    assert view.names.text() == ""
    view.add.click()
    assert named(view) == {1: "liver", 2: "spleen", 3: "class 3"}


def test_an_empty_line_changes_nothing(view):
    before = view.classes
    enter(view, " ,")
    assert view.classes == before
    assert view.chosen == []


def test_the_last_name_is_completed_and_the_user_s_own_names_come_first(qtbot):
    field = NameField()
    qtbot.addWidget(field)
    field.leave(("liver metastasis",))
    completer = field.completer()
    field.setText("spleen, liv")
    completer.setCompletionPrefix(completer.splitPath(field.text())[0])
    assert completer.currentCompletion() == "spleen, liver metastasis"
    assert completer.completionCount() == 2
    again = NameField()
    qtbot.addWidget(again)
    again.completer().setCompletionPrefix("liver m")
    assert again.completer().completionCount() == 1


@pytest.mark.gui
def test_a_chosen_completion_replaces_the_last_name_only(qtbot):
    field = NameField()
    qtbot.addWidget(field)
    field.show()
    field.activateWindow()
    field.setFocus()
    until(field.hasFocus, "the keyboard")
    QTest.keyClicks(field, "liver, sple")
    popup = field.completer().popup()
    until(popup.isVisible, "the proposals")
    QTest.keyClick(popup, KEY.Key_Down)
    QTest.keyClick(popup, KEY.Key_Return)
    assert field.text() == "liver, spleen"


def test_while_it_is_empty_keys_that_write_nothing_go_on_to_the_viewer(qtbot):
    parent = Parent()
    field = NameField()
    field.setParent(parent)
    qtbot.addWidget(parent)
    for key in (KEY.Key_F2, KEY.Key_Right, KEY.Key_Up):
        QTest.keyClick(field, key)
    assert parent.keys == [KEY.Key_F2, KEY.Key_Right, KEY.Key_Up]
    QTest.keyClicks(field, "ab")
    QTest.keyClick(field, KEY.Key_Left)
    assert field.cursorPosition() == 1
    assert parent.keys[3:] == []
    QTest.keyClick(field, KEY.Key_Escape)
    assert field.text() == ""


@pytest.mark.gui
def test_return_enters_what_was_typed_and_closes_the_proposals(view):
    view.show()
    view.activateWindow()
    view.names.setFocus()
    until(view.names.hasFocus, "the keyboard")
    view.setStyleSheet("QWidget { color: red; }")
    QTest.keyClicks(view.names, "liv")
    popup = view.names.completer().popup()
    until(popup.isVisible, "the proposals")
    QTest.keyClick(popup, KEY.Key_Return)
    assert named(view) == {1: "liv"}
    assert popup.isHidden()
    assert not view.names.hasFocus()
    view.names.setFocus()
    assert "red" in popup.styleSheet()


@pytest.mark.gui
def test_a_click_on_the_button_beside_open_proposals_adds_the_names(view, qtbot):
    view.resize(300, 300)
    view.show()
    view.select(1)
    view.activateWindow()
    view.names.setFocus()
    until(view.names.hasFocus, "the keyboard")
    QTest.keyClicks(view.names, "liver, spl")
    proposals = view.names.completer().popup()
    until(proposals.isVisible, "the proposals")
    button = view.add
    place = proposals.mapFromGlobal(button.mapToGlobal(button.rect().center()))
    QTest.mouseClick(proposals, Qt.MouseButton.LeftButton, pos=place)  # a popup gets every press
    assert named(view) == {1: "liver", 2: "spl"}
    assert not proposals.isVisible()
