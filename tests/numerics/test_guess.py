"""Strokes on a guess: the engine answers everywhere, and is weighed against labels that nobody has looked at."""

import numpy as np
import pytest

from napari_scribseg.core import Engine, EngineInfo, Image, Scribbles, Segmentation, get_engine
from napari_scribseg.numerics.guess import certainty_of
from napari_scribseg.numerics.prior import segment_with_prior

IMAGE = Image.from_array(np.zeros((40, 60)), (1.0, 1.0))


class Certain(Engine):
    """An engine that is sure of some labels, and notes what it was given."""

    def __init__(self, labels, probability=0.999, max_classes=9):
        self.info = EngineInfo("certain", "Certain", "for tests", max_classes=max_classes)
        self.labels, self.probability, self.given = labels, probability, None

    def prepare(self, image, device):
        return None

    def segment(self, image, scribbles, state, report):
        self.given = scribbles
        k = np.arange(scribbles.n_classes)[:, None, None]
        others = (1 - self.probability) / (scribbles.n_classes - 1)
        p = np.where(k == self.labels, self.probability, others).astype(np.float32)
        report(0.5, Segmentation(p, None))
        return Segmentation(p, None)


@pytest.fixture
def guess():
    """A rectangle."""
    labels = np.zeros((40, 60), np.int32)
    labels[10:30, 10:40] = 1
    return labels


def scribbles_on(guess, *marks, drift=1.5):
    seeds = np.full(guess.shape, -1, np.int32)
    for rows, columns, k in marks:
        seeds[rows, columns] = k
    return Scribbles(seeds, 2, prior=guess, weight=certainty_of(guess, (1.0, 1.0), drift))


def test_certainty_grows_with_the_distance_to_a_border_and_falls_with_drift(guess):
    near, far = certainty_of(guess, (1.0, 1.0), 1.0), certainty_of(guess, (1.0, 1.0), 3.0)
    assert near[20, 10] == pytest.approx(1 / (1 + np.exp(-2)))  # a pixel from the border
    assert near[20, 10] < near[20, 11] < near[20, 12]
    assert (far[near < 0.98] < near[near < 0.98]).all()
    assert ((near > 0.5) & (near < 1)).all()
    fine = certainty_of(guess, (2.0, 2.0), 2.0)
    np.testing.assert_allclose(fine, near)  # in the unit of the pixels
    guess[:, :5] = -1
    assert certainty_of(guess, (1.0, 1.0), 1.0)[0, 0] == pytest.approx(0.5)


def test_a_stroke_moves_all_of_an_uncertain_border(guess):
    moved = guess.copy()
    moved[10:30, 38:40] = 0  # what the engine sees: the right border lies two pixels further in,
    moved[9, 10:38] = 1  # and the upper one a pixel further out
    scribbles = scribbles_on(guess, (slice(19, 22), 39, 0))
    previews = []
    found = segment_with_prior(Certain(moved), IMAGE, scribbles, None, lambda _f, p=None: previews.append(p))
    assert (found.labels[9, 12:36] == 1).all()  # far from the stroke
    assert (found.labels[12:28, 39] == 0).all()
    assert (previews[0].labels == found.labels).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, rtol=1e-5)
    kept = segment_with_prior(Certain(moved), IMAGE, Scribbles(scribbles.seeds, 2, prior=guess), None)
    assert (kept.labels[9] == 0).all()  # the user's own labels stay there


def test_what_is_sure_stays_except_where_a_stroke_contradicts_it(guess):
    nothing = np.zeros_like(guess)
    found = segment_with_prior(Certain(nothing), IMAGE, scribbles_on(guess, (slice(0, 3), 0, 0)), None)
    assert (found.labels[14:26, 14:36] == 1).all()
    found = segment_with_prior(Certain(nothing), IMAGE, scribbles_on(guess, (20, slice(14, 36), 0)), None)
    assert (found.labels[17:24, 14:36] == 0).all()


def test_the_engine_is_given_sure_pixels_as_seeds_but_none_beside_a_contradicting_stroke(guess):
    engine = Certain(guess)
    segment_with_prior(engine, IMAGE, scribbles_on(guess, (20, slice(20, 24), 0)), None)
    given = engine.given.seeds
    assert engine.given.prior is None
    assert (given[20, 20:24] == 0).all()
    around = np.zeros(guess.shape, bool)
    around[19:22, 19:25] = True
    assert (given[around & (engine.given.seeds != 0)] == -1).all()
    weak = (given == 1).nonzero()
    assert weak[0].size
    assert (guess[weak] == 1).all()
    assert (certainty_of(guess, (1.0, 1.0), 1.5)[weak] > 0.8).all()
    assert (given == 0).sum() > 4


def test_seeds_have_their_class_and_a_guess_of_more_classes_than_the_engine_takes_is_corrected_as_a_prior(guess):
    scribbles = scribbles_on(guess, (20, slice(20, 24), 0))
    assert (segment_with_prior(Certain(guess), IMAGE, scribbles, None).labels[20, 20:24] == 0).all()
    many = guess.copy()
    many[35:, 50:] = 2
    seeds = np.where(scribbles.seeds >= 0, 0, -1).astype(np.int32)
    given = Scribbles(seeds, 3, prior=many, weight=certainty_of(many, (1.0, 1.0), 1.5))
    labels = segment_with_prior(Certain(np.zeros_like(guess), max_classes=2), IMAGE, given, None).labels
    assert (labels[36:39, 52:58] == 2).all()
    assert (labels[20, 20:24] == 0).all()


@pytest.mark.parametrize("name", ["svcd", "scribble-net"])
def test_a_stroke_of_the_background_removes_a_small_object_that_is_not_there(name):
    guess = np.zeros((40, 60), np.int32)
    guess[18:22, 20:26] = 2
    seeds = np.full(guess.shape, -1, np.int32)
    seeds[20, 21:25] = 0
    scribbles = Scribbles(seeds, 3, prior=guess, weight=certainty_of(guess, (1.0, 1.0), 4.0))
    engine = get_engine(name)
    assert (segment_with_prior(engine, IMAGE, scribbles, engine.prepare(IMAGE, "cpu")).labels == 0).all()


@pytest.mark.parametrize("name", ["svcd", "scribble-net"])
def test_engines_correct_a_guess_of_a_disc_that_moved(name):
    rows, columns = np.mgrid[:64, :64]
    truth = (rows - 32) ** 2 + (columns - 32) ** 2 < 15**2
    guess = ((rows - 32) ** 2 + (columns - 30) ** 2 < 15**2).astype(np.int32)
    noise = np.random.default_rng(0).normal(0, 5, truth.shape)
    image = Image.from_array((np.where(truth, 100, 30) + noise).astype(np.float32), (1.0, 1.0))
    engine = get_engine(name)
    seeds = np.full(truth.shape, -1, np.int32)
    seeds[30:34, 16] = 0
    scribbles = Scribbles(seeds, 2, prior=guess, weight=certainty_of(guess, (1.0, 1.0), 1.9))
    found = segment_with_prior(engine, image, scribbles, engine.prepare(image, "cpu"))
    own = segment_with_prior(engine, image, Scribbles(seeds, 2, prior=guess), engine.prepare(image, "cpu"))
    wrong = [np.count_nonzero(labels != truth) for labels in (guess, own.labels, found.labels)]
    assert wrong[2] < wrong[0] / 3 < wrong[1]
