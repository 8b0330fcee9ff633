from dataclasses import replace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QColorDialog

from napari_scribseg.core import ClassTable
from napari_scribseg.widgets.common.class_table import ClassTableView

BACKGROUND, NAME, ID, SHOW, LOCK, BG = 255, 1, 2, 3, 4, 5


@pytest.fixture
def view(qtbot):
    view = ClassTableView()
    qtbot.addWidget(view)
    view.changed.connect(view.show_classes)
    view.show_classes(ClassTable.from_ids([1, 2], background=BACKGROUND))
    return view


def cell(view, identity, column):
    return view.table.item(view.classes.ids.index(identity), column)


def click(view, identity, column):
    where = view.table.visualItemRect(cell(view, identity, column)).center()
    QTest.mouseClick(view.table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where)


def test_shows_every_class(view):
    assert view.classes.ids == (255, 1, 2)
    assert (cell(view, 255, BG).text(), cell(view, 1, BG).text()) == ("☑", "☐")
    assert cell(view, 1, NAME).text() == "class 1"


def test_rename(view):
    cell(view, 1, NAME).setText("  liver ")
    assert view.classes[1].name == "liver"


def test_empty_name_is_refused_and_put_back(view):
    messages = []
    view.refused.connect(messages.append)
    cell(view, 1, NAME).setText(" ")
    assert cell(view, 1, NAME).text() == "class 1"
    assert "at least one character" in messages[0]


@pytest.mark.parametrize("text", ["2", "0", "70000", "-3", "x", ""])
def test_bad_ids_are_refused_and_put_back(view, text):
    messages = []
    view.refused.connect(messages.append)
    cell(view, 1, ID).setText(text)
    assert view.classes.ids == (255, 1, 2)
    assert cell(view, 1, ID).text() == "1"
    assert len(messages) == 1


def test_id_changes(view):
    cell(view, 1, ID).setText("300")
    assert view.classes.ids == (255, 300, 2)


def test_show_and_lock(view):
    click(view, 2, SHOW)
    click(view, 2, LOCK)
    assert not view.classes[2].visible
    assert view.classes[2].locked
    click(view, 2, LOCK)
    assert not view.classes[2].locked


def test_background_moves_to_another_class(view):
    click(view, 2, BG)
    assert view.classes.background == 2
    assert view.classes[2].name == "background"
    assert view.classes[255].name == "class 255"
    click(view, 2, BG)
    assert view.classes.background is None
    assert view.classes[2].name == "class 2"


def test_added_class_is_selected(view):
    chosen = []
    view.selected.connect(chosen.append)
    view.add_class()
    assert view.classes.ids == (255, 1, 2, 3)
    assert chosen == [3]
    assert view.current == 3


def test_click_selects_for_the_brush(view):
    chosen = []
    view.selected.connect(chosen.append)
    view.table.selectRow(2)
    assert chosen == [2]


def test_select_from_outside_emits_nothing(view):
    chosen = []
    view.selected.connect(chosen.append)
    view.select(2)
    assert (view.current, chosen) == (2, [])
    view.select(99)
    assert (view.current, chosen) == (None, [])
    assert not view.table.selectedIndexes()


def test_remove_needs_a_selection(view):
    messages = []
    view.refused.connect(messages.append)
    view.table.setCurrentCell(-1, -1)
    view.remove_class()
    assert "click a row" in messages[0]
    view.select(1)
    view.remove_class()
    assert view.classes.ids == (255, 2)


def test_step_goes_around(view):
    view.select(2)
    view.step(1)
    assert view.current == 255
    view.step(-1)
    assert view.current == 2


def test_selection_stays_on_its_class_when_the_table_is_shown_again(view):
    view.select(2)
    view.show_classes(view.classes.without(1).with_ids([9]))
    assert view.current == 2


def test_the_class_that_took_the_row_of_a_removed_one_is_selected(view):
    view.select(1)
    view.remove_class()
    assert view.current == 2
    view.remove_class()
    assert view.current == 255
    view.remove_class()
    assert view.current is None


def test_color_is_chosen_in_a_dialog(view, monkeypatch):
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_args: QColor.fromRgbF(0.2, 0.4, 0.6))
    view.choose_color(1)
    assert view.classes[1].color == pytest.approx((0.2, 0.4, 0.6, 1.0), abs=1e-2)


def test_cancelled_color_changes_nothing(view, monkeypatch):
    before = view.classes
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_args: QColor())
    view.choose_color(1)
    assert view.classes == before


def test_owner_may_refuse_a_change(qtbot):
    view = ClassTableView()
    qtbot.addWidget(view)
    first = ClassTable.from_ids([1])
    view.show_classes(first)
    proposed = []
    view.changed.connect(proposed.append)
    cell(view, 1, NAME).setText("liver")
    assert proposed == [ClassTable((replace(first[1], name="liver"),))]
    assert view.classes == first
