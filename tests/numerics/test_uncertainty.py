"""The probability of a label to be wrong."""

import numpy as np

from napari_scribseg.numerics.uncertainty import MEASURES, error_measures, error_probability


def halves(confidence=0.99):
    """Class 0 on the left, class 1 on the right, an island of class 1 in the left; one stroke in each half."""
    labels = np.zeros((60, 80), dtype=np.intp)
    labels[:, 40:] = 1
    labels[10:20, 5:15] = 1
    p = np.where(np.arange(2)[:, None, None] == labels, confidence, 1 - confidence).astype(np.float32)
    seeds = np.full(labels.shape, -1, dtype=np.int32)
    seeds[40, 10:30], seeds[40, 50:70] = 0, 1
    return p, seeds


def column(name, measures):
    return measures[..., MEASURES.index(name)]


def test_measures_by_hand():
    p, seeds = halves()
    measures = error_measures(p, seeds)
    size = np.sqrt(60 * 80)
    assert np.allclose(column("margin", measures), np.log(99), atol=1e-3)
    untouched = column("untouched", measures)
    assert untouched[10:20, 5:15].all()
    assert untouched.sum() == 100
    assert np.isclose(column("boundary", measures)[40, 39], np.log(0.003))  # its right neighbour has another label
    assert np.isclose(column("boundary", measures)[40, 29], np.log(10 / size + 0.003))
    assert np.isclose(column("rival", measures)[40, 39], np.log(11 / size + 0.003))
    assert np.isclose(column("rival", measures)[40, 60], np.log(31 / size + 0.003))


def test_risk_is_high_at_boundaries_and_in_parts_without_a_stroke():
    p, seeds = halves()
    risk = error_probability(p, seeds)
    assert risk.shape == (60, 80)
    assert risk.dtype == np.float32
    assert 0 <= risk.min() <= risk.max() <= 1
    assert risk[50, 39] > 10 * risk[50, 20]
    assert risk[15, 10] > 3 * risk[15, 28]  # the same distance from a boundary or less, inside and outside the island
    assert (risk[seeds >= 0] == 0).all()


def test_stroke_that_has_another_label_is_at_risk():
    p, seeds = halves()
    seeds[15, 8:12] = 0  # a loose stroke in the island
    risk = error_probability(p, seeds)
    assert (risk[15, 8:12] > 0).all()


def test_less_margin_is_more_risk():
    sure, doubtful = (error_probability(*halves(confidence)) for confidence in (0.99, 0.6))
    free = halves()[1] < 0
    assert (doubtful[free] > sure[free]).all()


def test_one_class_is_certain_and_no_strokes_are_allowed():
    p, seeds = halves()
    assert not error_probability(np.ones((1, 60, 80), np.float32), seeds).any()
    unpainted = error_probability(p, np.full_like(seeds, -1))
    assert np.isfinite(unpainted).all()
    assert unpainted[50, 39] > unpainted[50, 20]
