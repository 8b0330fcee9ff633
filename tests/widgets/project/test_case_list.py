"""The list of cases, and the numbers above its buttons."""

import numpy as np
import pytest
from hands import settle
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_scribseg import Session, Source
from napari_scribseg.core import ClassTable
from napari_scribseg.widgets.project.case_list import CaseList, CaseRow
from napari_scribseg.widgets.project.overview import Overview

ROWS = (
    CaseRow("anna", "finished", 4, 4),
    CaseRow("bert", "started", 1, 4, "images/bert.nii.gz"),
    CaseRow("cara", "new", 0, 4),
)


@pytest.fixture
def cases(qtbot):
    made = CaseList()
    qtbot.addWidget(made)
    made.resize(300, 200)
    made.show()
    made.show_cases(ROWS, "bert")
    settle()
    return made


def texts(cases, row):
    return [cases.topLevelItem(row).text(column) for column in range(3)]


def place(cases, row):
    return cases.visualItemRect(cases.topLevelItem(row)).center()


def test_a_row_has_the_name_the_state_and_the_accepted_slices(cases):
    assert texts(cases, 0) == ["anna", "✓ finished", "4 of 4"]
    assert texts(cases, 1) == ["▶ bert", "◐ started", "1 of 4"]
    assert texts(cases, 2) == ["cara", "○ new", "0 of 4"]
    assert [cases.topLevelItem(row).font(0).bold() for row in range(3)] == [False, True, False]
    assert cases.topLevelItem(1).toolTip(0) == "bert\nimages/bert.nii.gz"


def test_a_double_click_and_enter_open_a_case_and_one_click_only_chooses_it(cases):
    opened, chosen = [], []
    cases.opened.connect(opened.append)
    cases.chosen.connect(chosen.append)
    QTest.mouseClick(cases.viewport(), Qt.MouseButton.LeftButton, pos=place(cases, 2))
    assert (chosen, opened, cases.current) == (["cara"], [], "cara")
    for event in (QTest.mouseClick, QTest.mouseDClick):
        event(cases.viewport(), Qt.MouseButton.LeftButton, pos=place(cases, 0))
    assert opened == ["anna"]
    QTest.keyClick(cases, Qt.Key.Key_Down)
    QTest.keyClick(cases, Qt.Key.Key_Return)
    assert opened == ["anna", "bert"]


def test_the_case_that_is_opened_is_chosen_and_another_one_stays_chosen_when_numbers_change(cases):
    assert cases.current == "bert"
    cases.choose("cara")
    cases.show_cases((ROWS[0], CaseRow("bert", "started", 2, 4), ROWS[2]), "bert")
    assert cases.current == "cara"
    assert texts(cases, 1)[2] == "2 of 4"
    cases.show_cases(ROWS, "anna")
    assert cases.current == "anna"


def test_the_overview_counts_what_is_done_and_left():
    overview = Overview(ROWS, strokes_per_slice=1.5)
    assert (overview.accepted, overview.slices, overview.finished) == (5, 12, 1)
    assert overview.text == "5 of 12 slices accepted, about 10 strokes left"
    assert Overview(ROWS).text == "5 of 12 slices accepted"
    assert Overview((ROWS[0],), 3.0).text == "4 of 4 slices accepted"
    assert Overview(ROWS, 0.15).text == "5 of 12 slices accepted, about 1 stroke left"


def test_the_case_in_front_counts_as_its_session_is_now():
    session = Session(Source.from_array(np.zeros((4, 8, 8))), "svcd", classes=ClassTable.from_ids([1], background=255))
    overview = Overview(ROWS)
    live = overview.with_session("cara", session)
    assert live.rows[2] == ROWS[2]
    session.accept(0)
    session.accept(1)
    live = overview.with_session("cara", session)
    assert live.rows[2].texts == ("cara", "◐ started", "2 of 4")
    assert (live.rows[:2], live.accepted) == (ROWS[:2], 7)
    for z in (2, 3):
        session.accept(z)
    assert overview.with_session("cara", session).rows[2].state == "finished"
    session.reopen(3)
    assert overview.with_session("anna", session).rows[0].texts == ("anna", "◐ started", "3 of 4")
    session.close()
