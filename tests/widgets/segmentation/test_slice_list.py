"""The list of slices: states, work that is done, and where the next open slice is."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_scribseg import Session, Source
from napari_scribseg.core import ClassTable, Geometry
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.segmentation import slice_list
from napari_scribseg.widgets.segmentation.actions import ACTIONS
from napari_scribseg.widgets.segmentation.annotation_view import SliceState
from napari_scribseg.widgets.segmentation.slice_list import SliceListModel, SliceListPanel


def session_of(nearest, shape=(6, 20, 30), labels=None):
    volume = Source(np.zeros(shape, np.float32), Geometry(shape, (1.0,) * len(shape)))
    return Session(volume, nearest(), classes=ClassTable.from_ids([1], background=255), labels=labels)


@pytest.fixture
def session(nearest):
    """Labels loaded on slice 1."""
    labels = np.zeros((6, 20, 30), np.uint8)
    labels[1, 5:9, 5:9] = 1
    made = session_of(nearest, labels=labels)
    yield made
    made.close()


def draw(session, z, *identities):
    painted = np.zeros((20, 30), np.uint8)
    for row, identity in enumerate(identities):
        painted[2 + 10 * row, 3:20] = identity
    return session.draw(painted, z).result() if len(identities) > 1 else session.draw(painted, z)


@pytest.fixture
def panel(qtbot, session):
    made = SliceListPanel(ACTIONS)
    qtbot.addWidget(made)
    made.follow(session)
    made.show_state(SliceState(ready=True, slice_index=session.slice_index(2)))
    yield made
    made.follow(None)


def states(panel):
    rows = range(panel.model.rowCount())
    return [panel.model.data(panel.model.index(row, 0)).split("   ") for row in rows]


def test_every_slice_has_its_name_and_its_state(panel, session):
    assert states(panel) == [[f"z {z}", slice_list.LOOK if z == 1 else slice_list.EMPTY] for z in range(6)]
    draw(session, 3, 1, 255)
    draw(session, 4, 1)
    session.accept(1)
    panel.show_state(SliceState(ready=True, slice_index=session.slice_index(4)))
    found = [state for _, state in states(panel)]
    empty = slice_list.EMPTY
    assert found == [empty, slice_list.ACCEPTED, empty, slice_list.DONE, slice_list.PAINTED, empty]


def test_undo_is_followed(panel, session):
    draw(session, 3, 1, 255)
    assert states(panel)[3][1] == slice_list.DONE
    while session.can_undo:
        session.undo()
    assert states(panel)[3][1] == slice_list.EMPTY


def test_the_work_that_is_done(panel, session):
    assert panel.work.text() == "0 of 6 slices accepted"
    session.accept(1)
    assert panel.work.text() == "1 of 6 slices accepted"
    session.reopen(1)
    assert panel.work.text() == "0 of 6 slices accepted"


def test_the_work_on_an_image_that_was_deleted_is_not_counted(panel):
    panel.follow(None)
    assert panel.work.text() == ""
    assert panel.model.rowCount() == 0


def test_the_next_open_slice_is_found_over_the_ends(panel, session):
    chosen = []
    panel.chosen.connect(lambda slice_index: chosen.append(slice_index.position[0]))
    session.accept(1)  # it has labels
    for z in (3, 5):
        draw(session, z, 1, 255)
        session.accept(z)
    panel.next_open(1)  # from 2
    panel.next_open(-1)
    panel.show_state(SliceState(ready=True, slice_index=session.slice_index(4)))
    panel.next_open(1)
    assert chosen == [4, 0, 0]


def test_a_click_chooses_a_slice_and_the_displayed_one_is_marked(panel, session, qtbot):
    assert panel.view.currentIndex().row() == 2
    panel.show()
    chosen = []
    panel.chosen.connect(chosen.append)
    where = panel.view.visualRect(panel.model.index(4, 0)).center()
    qtbot.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert chosen == [session.slice_index(4)]


def test_other_displayed_axes_give_other_slices(panel, session):
    from napari_scribseg import SliceIndex

    panel.show_state(SliceState(ready=True, slice_index=SliceIndex((0, 2), (7,))))
    assert panel.model.rowCount() == 20
    assert states(panel)[7][0] == "y 7"


def test_only_slices_in_sight_are_inspected(nearest, qtbot, monkeypatch):
    inspected = []
    monkeypatch.setattr(
        slice_list, "state_of", lambda _session, index, **_: inspected.append(index) or slice_list.EMPTY
    )
    session = session_of(nearest, (1000, 4, 4))
    panel = SliceListPanel(ACTIONS)
    qtbot.addWidget(panel)
    panel.follow(session)
    panel.show()
    panel.show_state(SliceState(ready=True, slice_index=session.slice_index(500)))
    panel.view.grab()
    assert panel.model.rowCount() == 1000
    assert 0 < len(set(inspected)) < 30
    panel.follow(None)
    session.close()


def test_a_model_without_a_session_is_empty():
    model = SliceListModel()
    assert (model.rowCount(), model.work, model.next_open(0, 1)) == (0, "", -1)


def test_a_filled_slice_has_its_certainty(qtbot):
    image = np.zeros((6, 20, 30), np.float32)
    image[:, 5:15, 8:20] = 100
    session = Session(Source.from_array(image), "svcd", classes=ClassTable.from_ids([1], background=255))
    for z in (1, 4):
        session.edit((image[z] > 0).astype(np.uint8), z)
    session.fill(1, 4).result()
    assert slice_list.state_of(session, session.slice_index(2)) == (
        f"◐ filled, {session.filled[session.slice_index(2)]:.0%} sure"
    )
    session.accept(2)
    assert slice_list.state_of(session, session.slice_index(2)) == slice_list.ACCEPTED
    session.close()


def test_a_slice_that_strokes_of_another_orientation_cross_still_needs_a_look():
    image = np.zeros((6, 20, 30), np.float32)
    image[:, 5:15, 8:20] = 100
    session = Session(Source.from_array(image), "svcd", classes=ClassTable.from_ids([1], background=255))
    strokes = np.zeros((6, 30), np.uint8)
    strokes[1:5, 12:16], strokes[1:5, 1:4] = 1, 255
    coronal = SliceIndex((0, 2), (10,))
    session.draw(strokes, coronal, demand=True).result()
    crossed = SliceIndex((1, 2), (2,))
    assert session.drawn_ids(crossed) == (1, 255)
    assert slice_list.state_of(session, coronal) == slice_list.DONE
    assert slice_list.state_of(session, crossed) == slice_list.LOOK
    session.close()
