"""The strip of slices: what each one is, and which one is under the mouse."""

import numpy as np
import pytest

from napari_scribseg import Session, Source
from napari_scribseg.core import ClassTable
from napari_scribseg.widgets.segmentation.annotation_view import SliceState
from napari_scribseg.widgets.segmentation.slice_strip import Mark, SliceStrip

SHAPE = (12, 20, 30)


def disc(radius):
    rows, columns = np.ogrid[:20, :30]
    return ((rows - 10) ** 2 + (columns - 15) ** 2 <= radius**2).astype(np.uint8)


@pytest.fixture
def session():
    """A cylinder, labelled by hand on slices 2 and 8."""
    image = np.repeat(100.0 * disc(6)[None], 12, axis=0).astype(np.float32)
    made = Session(Source.from_array(image), "svcd", classes=ClassTable.from_ids([1], background=255))
    for z in (2, 8):
        made.edit(disc(6), z)
    yield made
    made.close()


@pytest.fixture
def strip(qtbot, session):
    made = SliceStrip()
    qtbot.addWidget(made)
    made.resize(240, 22)
    made.follow(session)
    made.show_state(SliceState(ready=True, slice_index=session.slice_index(2)))
    yield made
    made.follow(None)


def kinds(strip):
    strip.refresh()
    return [mark.kind for mark in strip.marks]


def test_each_slice_is_what_it_is(strip, session):
    assert kinds(strip) == ["painted" if z in (2, 8) else "empty" for z in range(12)]
    session.fill(2, 8).result()
    session.accept(4)
    expected = {2: "painted", 8: "painted", 4: "accepted", **dict.fromkeys((3, 5, 6, 7), "filled")}
    assert kinds(strip) == [expected.get(z, "empty") for z in range(12)]
    assert [mark.certainty for mark in strip.marks if mark.kind == "filled"] == [
        session.filled[session.slice_index(z)] for z in (3, 5, 6, 7)
    ]
    assert strip.text == "2 painted, 4 filled, 1 accepted, of 12 slices"
    session.undo()
    session.undo()
    assert kinds(strip).count("filled") == 0


def test_propagated_labels_have_a_mark_of_their_own(strip, session):
    session.propagate(session.slice_index(8), session.slice_index(10)).result()
    assert kinds(strip)[9:11] == ["labelled", "labelled"]
    session.undo()
    assert kinds(strip)[9:11] == ["empty", "empty"]


def test_another_axis_has_its_own_slices(strip, session):
    strip.show_state(SliceState(ready=True, slice_index=session.volume.slice_index(5, axis=1)))
    assert len(strip.marks) == SHAPE[1]
    assert strip.current == 5


def test_a_place_on_the_strip_is_a_slice(strip):
    assert [strip.row_at(strip.place_of(z).center().x()) for z in range(12)] == list(range(12))
    assert (strip.row_at(-5), strip.row_at(999)) == (0, 11)


def test_a_mark_in_words():
    assert Mark("filled", 0.871).text == "filled, 87% sure"
    assert Mark("labelled").text == "labels to look at"


def test_the_less_sure_slice_is_nearer_to_magenta(strip, session, qtbot):
    session.fill(2, 8).result()
    strip.refresh()
    strip.show()
    strip.marks = [Mark("filled", 1.0), Mark("filled", 0.5), *strip.marks[2:]]
    image = strip.grab().toImage()
    ratio = image.width() / strip.width()
    colors = [image.pixelColor(round(strip.place_of(z).center().x() * ratio), round(16 * ratio)) for z in (0, 1)]
    assert colors[1].red() - colors[1].green() > 100
    assert abs(colors[0].red() - colors[0].green()) < 20
