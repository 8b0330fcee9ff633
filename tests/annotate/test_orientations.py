"""Strokes painted along several axes of one volume: all of them count, and none is lost."""

import numpy as np
import pytest

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable
from napari_scribseg.core.source import SliceIndex, Source

BACKGROUND, OBJECT = 9, 2
CLASSES = ClassTable.from_ids([OBJECT, BACKGROUND], background=BACKGROUND)
AXIAL, CORONAL, SAGITTAL = SliceIndex((1, 2), (6,)), SliceIndex((0, 2), (8,)), SliceIndex((0, 1), (9,))


@pytest.fixture
def session(engines):
    """Of a bright box in a dark volume."""
    image = np.zeros((12, 16, 18), np.float32)
    image[3:10, 4:12, 5:14] = 100
    return Session(Source.from_array(image), engines["nearest"](), classes=CLASSES)


def lines(session, slice_index):
    """The strokes that the slice has, and a line of each class."""
    painted = session.painted(slice_index)
    rows, columns = painted.shape
    added = np.zeros_like(painted)
    added[rows // 2, columns // 2 - 2 : columns // 2 + 2] = OBJECT
    added[1, 2 : columns - 2] = BACKGROUND
    return np.where(painted == 0, added, painted)


def wrong(session):
    """How many painted voxels of the volume have another label."""
    found = 0
    for slice_index in session.volume.slices(0):
        painted = session.painted(slice_index)
        wanted = np.where(painted == BACKGROUND, 0, painted)
        found += np.count_nonzero((painted != 0) & (session.slice_labels(slice_index) != wanted))
    return found


def test_strokes_of_every_orientation_are_in_the_slices_that_they_cross(session):
    for slice_index in (AXIAL, CORONAL, SAGITTAL):
        session.draw(lines(session, slice_index), slice_index).result()
    line = session.painted(CORONAL)[6]
    assert (session.painted(AXIAL)[8] == line).all()
    assert set(session.drawn_ids(SliceIndex((1, 2), (1,)))) == {BACKGROUND}
    assert (session.painted(SliceIndex((1, 2), (1,)))[8, 2:16] == BACKGROUND).all()


def test_an_engine_gets_the_strokes_of_slices_that_cross_as_seeds(session, monkeypatch):
    session.draw(lines(session, SAGITTAL), SAGITTAL).result()
    given = []
    segment = type(session.engine).segment

    def watched(engine, image, scribbles, *rest):
        given.append(scribbles)
        return segment(engine, image, scribbles, *rest)

    monkeypatch.setattr(type(session.engine), "segment", watched)
    painted = session.painted(AXIAL)
    crossing = painted != 0
    assert crossing.any()
    painted[2, 1:5] = BACKGROUND
    session.draw(painted, AXIAL).result()
    wanted = np.where(painted == BACKGROUND, 0, painted)
    assert (given[-1].to_ids(given[-1].seeds[crossing]) == wanted[crossing]).all()


def test_a_later_result_of_any_orientation_keeps_every_stroke_pixel(session):
    for slice_index in (AXIAL, CORONAL, SAGITTAL, SliceIndex((1, 2), (4,)), AXIAL, CORONAL, SAGITTAL):
        session.draw(lines(session, slice_index), slice_index).result()
        assert wrong(session) == 0
    for slice_index in (AXIAL, CORONAL, SAGITTAL):
        assert {OBJECT, BACKGROUND} == set(session.drawn_ids(slice_index))


def test_propagating_along_one_axis_keeps_the_strokes_of_the_others(session):
    painted = session.painted(CORONAL)
    painted[5:8, 1] = OBJECT  # a stroke against what the image shows
    painted[1, 2:16] = BACKGROUND
    session.draw(painted, CORONAL, demand=True).result()
    session.draw(lines(session, AXIAL), AXIAL).result()
    written = session.propagate(AXIAL, SliceIndex((1, 2), (8,))).result()
    assert SliceIndex((1, 2), (7,)) in written
    assert wrong(session) == 0


def test_a_slice_that_strokes_only_cross_is_no_anchor(session):
    session.draw(lines(session, CORONAL), CORONAL).result()
    crossed = SliceIndex((1, 2), (1,))
    session.draw(lines(session, AXIAL), AXIAL).result()
    assert session.painted(crossed).any()
    assert not session.is_anchor(crossed)
    assert session.is_anchor(AXIAL)
    assert session.is_anchor(CORONAL)
    assert session.anchors(0) == [AXIAL]


def test_a_fill_takes_the_labelled_slices_of_the_other_orientations(session):
    for slice_index in (CORONAL, SAGITTAL, AXIAL):
        session.draw(lines(session, slice_index), slice_index).result()
    before = {each: session.slice_labels(each) for each in (CORONAL, SAGITTAL, AXIAL)}
    assert len(session.fill().result()) == 11
    assert wrong(session) == 0
    for slice_index, labels in before.items():
        assert (session.slice_labels(slice_index) == labels).all()
    box = np.zeros(session.labels.shape, bool)
    box[3:10, 4:12, 5:14] = True
    both = np.count_nonzero((session.labels == OBJECT) & box)
    assert 2 * both / (np.count_nonzero(session.labels == OBJECT) + np.count_nonzero(box)) > 0.95
