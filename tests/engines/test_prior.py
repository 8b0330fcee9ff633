"""Every registered engine corrects labels that are there: what it is given, and which part of its result counts."""

import numpy as np
import pytest

from napari_scribseg.core import EngineInfo, Image, InputError, Scribbles, Segmentation
from napari_scribseg.numerics.interior import interior
from napari_scribseg.numerics.prior import segment_with_prior

QUICK = {"cnn": {"steps": 40}, "cnn-reg": {"steps": 20}, "unet-single": {"steps": 20}, "finetune": {"steps": 20}}
QUICK["coarse-to-fine"] = {"samples": 40, "epochs": 1}


class Fixed:
    """An engine that notes what it was asked, and gives every pixel to one class."""

    def __init__(self, result, max_classes=255, outlines=False, region=...):
        self.outlines, self.region = outlines, region
        self.info = EngineInfo("says", "Says", "for tests", max_classes=max_classes)
        self.result, self.requested = result, None

    def segment(self, image, scribbles, state, report):
        self.requested = scribbles
        p = np.zeros((scribbles.n_classes, *image.shape), np.float32)
        p[0] = 1
        p[0][self.region] = 0
        p[scribbles.ids.index(self.result)][self.region] = 1
        report(0.5, Segmentation(p, state, outlines=self.outlines))
        return Segmentation(p, state, ("said",), outlines=self.outlines)


@pytest.fixture
def painted():
    """Two squares (ids 3 and 5) on a ground of 40 x 80 pixels, and a stroke of 3 over the border of its square."""
    prior = np.zeros((40, 80), int)
    prior[10:30, 5:25], prior[10:30, 55:75] = 3, 5
    stroke = np.zeros((40, 80), int)
    stroke[20, 20:30] = 3
    return Scribbles.from_labels(stroke, prior=prior), prior, stroke


IMAGE = Image.from_array(np.zeros((40, 80)), (1.0, 1.0))


def test_a_result_counts_near_the_stroke_that_caused_it(painted):
    scribbles, prior, _ = painted
    previews = []
    result = segment_with_prior(
        Fixed(3), IMAGE, scribbles, "state", lambda fraction, preview=None: previews.append(preview)
    )
    labels = np.asarray(scribbles.ids)[result.labels]
    changed = labels != prior
    rows, columns = np.nonzero(changed)
    assert (labels[changed] == 3).all()
    assert (labels[20, 25:30] == 3).all()
    assert (prior[changed] == 0).all()  # the stroke contradicts the ground; the other square stays whole
    assert 30 <= columns.max() <= 30 + 2 * (1.5 + 5)
    assert abs(rows - 20).max() <= 2 * (1.5 + 5)
    assert np.array_equal(previews[0].labels, result.labels)
    assert result.notes[0] == "said"
    assert result.state == "state"


def test_a_rough_outline_is_filled_and_its_own_pixels_may_lie_outside(painted):
    _, prior, stroke = painted
    stroke[:] = 0
    stroke[8:32, 28:52] = 3
    stroke[9:31, 29:51] = 0
    scribbles = Scribbles.from_labels(stroke, prior=prior)
    inside = np.s_[11:29, 31:49]
    result = segment_with_prior(Fixed(3, outlines=True, region=inside), IMAGE, scribbles, None)
    expected = prior.copy()
    expected[inside] = 3
    assert np.array_equal(np.asarray(scribbles.ids)[result.labels], expected)
    assert result.outlines


def test_a_result_that_does_not_touch_the_stroke_does_not_count(painted):
    scribbles, prior, stroke = painted
    result = segment_with_prior(Fixed(5), IMAGE, scribbles, None)
    assert np.array_equal(np.asarray(scribbles.ids)[result.labels], np.where(stroke != 0, stroke, prior))


def test_the_engine_gets_the_labels_as_seeds_except_where_they_are_in_doubt(painted):
    scribbles, prior, stroke = painted
    engine = Fixed(3)
    segment_with_prior(engine, IMAGE, scribbles, None)
    seeds = engine.requested.seeds
    reported = np.where(seeds >= 0, np.asarray(engine.requested.ids)[seeds], -1)
    assert engine.requested.prior is None
    assert engine.requested.ids == (0, 3, 5)
    assert (reported[stroke != 0] == 3).all()
    weak = (reported >= 0) & (stroke == 0)
    assert (reported[weak] == prior[weak]).all()
    assert set(reported[weak]) == {0, 3, 5}
    assert not weak[19:22, 25:31].any()


def test_labels_of_more_classes_than_the_engine_takes(painted):
    scribbles, _, _ = painted
    engine = Fixed(3, max_classes=2)
    result = segment_with_prior(engine, IMAGE, scribbles, None)
    assert engine.requested.n_classes == 2
    assert 3 in engine.requested.ids
    assert set(np.unique(np.asarray(scribbles.ids)[result.labels])) == {0, 3, 5}


def test_without_any_label_the_engine_decides(painted):
    _, prior, stroke = painted
    prior[:, 40:50] = -1
    result = segment_with_prior(Fixed(5), IMAGE, Scribbles.from_labels(stroke, prior=prior), None)
    assert (result.labels[:, 40:50] == 2).all()


def test_pixels_that_are_not_square(painted):
    scribbles, prior, _ = painted
    wide = Image.from_array(np.zeros((40, 80)), (3.0, 1.0))
    labels = np.asarray(scribbles.ids)[segment_with_prior(Fixed(3), wide, scribbles, None).labels]
    rows, columns = np.nonzero(labels != prior)
    assert np.ptp(rows) * 3 < np.ptp(columns) * 1.5


def test_a_prior_that_cannot_be_one():
    seeds, one = np.zeros((4, 4), int), np.ones((4, 4), int)
    for prior, weight, words in [
        (one[:2], None, "shape"),
        (one * 5, None, "reaches from 5 to 5"),
        (one * 0.5, None, "integers"),
        (one, one * 2, "0, 1"),
        (one, np.ones(3), "shape"),
        (None, one, "without a prior"),
    ]:
        with pytest.raises(InputError, match=words):
            Scribbles(seeds, 2, prior=prior, weight=weight)
    with pytest.raises(InputError, match="ids from 0"):
        Scribbles.from_labels(seeds, prior=one * -2)
    with pytest.raises(InputError, match="one class only"):
        Scribbles.from_labels(one, prior=one).require((4, 4))


def test_the_interior_of_thin_and_thick_parts():
    region = np.zeros((40, 40), bool)
    region[4:36, 4:20], region[10, 25:35] = True, True
    found = interior(region, (1.0, 1.0), 3.0)
    assert (region[found]).all()
    assert found[10, 25:35].all()
    rows, columns = np.nonzero(found[:, :22])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 33, 6, 17)
    assert found[16, 8]
    assert not found[13, 11]
