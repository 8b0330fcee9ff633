"""Where a session's labels are most likely wrong."""

import numpy as np

from napari_scribseg.annotate import Session, uncertain_places
from napari_scribseg.core import ClassTable
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.numerics.uncertainty import error_probability


def volume():
    data = np.zeros((3, 40, 50), np.float32)
    data[:, :, 25:] = 1.0
    data[1, 5:15, 5:15] = 1.0  # an island on one slice alone
    return Source.from_array(data)


def two_strokes():
    painted = np.zeros((40, 50), np.uint8)
    painted[30, 5:20], painted[30, 30:45] = 2, 1
    return painted


def session(engines):
    made = Session(volume(), engines["nearest"](), classes=ClassTable.from_ids([1, 2], background=2))
    for z in (0, 1, 2):
        made.draw(two_strokes(), z)
    return made


def test_uncertainty_is_that_of_result_and_strokes(engines):
    made = session(engines)
    result = made.results(1)
    assert result.ids == (0, 1)
    seeds = np.select([two_strokes() == 2, two_strokes() == 1], [0, 1], -1).astype(np.int32)
    expected = error_probability(result.probabilities, seeds)
    assert np.allclose(made.painted_result(1).uncertainty(), expected)
    assert expected[two_strokes() > 0].max() == 0


def test_most_uncertain_place_is_the_island_that_no_stroke_touches(engines):
    made = session(engines)
    places = uncertain_places(made.painted_results())
    place = places[0]
    assert [p.share for p in places] == sorted((p.share for p in places), reverse=True)
    assert len(places) == 3
    assert place.slice_index == SliceIndex((1, 2), (1,))
    assert 3 <= place.row <= 16
    assert 3 <= place.column <= 16
    assert 0 < place.share < 1


def test_accepted_and_undone_slices_are_left_out(engines):
    made = session(engines)
    made.accept(1)
    assert {p.slice_index.position[0] for p in uncertain_places(made.painted_results())} == {0, 2}
    made.undo()  # the acceptance
    made.undo()  # the strokes of slice 2
    assert {each.slice_index.position[0] for each in made.painted_results()} == {0, 1}
    made.accept(0)
    made.accept(1)
    assert made.painted_results() == []
    assert uncertain_places([]) == []


def test_slice_that_was_edited_or_never_segmented_has_none(engines):
    made = Session(volume(), engines["nearest"](), classes=ClassTable.from_ids([1, 2], background=2))
    assert made.painted_result(0) is None
    made.draw(two_strokes(), 0)
    assert made.painted_result(0) is not None
    made.clear(0)
    assert made.painted_result(0) is None
