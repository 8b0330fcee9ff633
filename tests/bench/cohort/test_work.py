"""A user at work on one case of a cohort."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from napari_scribseg.bench.cohort.cohorts import open_cohort
from napari_scribseg.bench.cohort.judging import class_dice, mean_dice
from napari_scribseg.bench.cohort.work import Work
from napari_scribseg.core import EngineInfo, Segmentation, silent


@dataclass(frozen=True)
class Levels:
    """Each grey value is a class; where it is ``blind``, all is background."""

    blind: bool = False
    info: ClassVar[EngineInfo] = EngineInfo("levels", "Levels", "for tests")

    def prepare(self, image, device="auto"):
        grey = image.data[0]
        return np.where(grey > 160, 1, np.where(grey > 75, 2, 0)) * (not self.blind)

    def segment(self, image, scribbles, state, report=silent):
        labels = np.minimum(state, scribbles.n_classes - 1)
        probabilities = np.moveaxis(np.eye(scribbles.n_classes, dtype=np.float32)[labels], -1, 0)
        return Segmentation.of(probabilities, scribbles, state)


def work_on(cohort, rules, engine=None, order="sequential", name="c0"):
    return Work(cohort.task(name), engine or Levels(), cohort.classes, order, rules)


def inverted(drafter):
    """The same drafter, which takes the background for the object, and the object for the background."""

    class Wrong(type(drafter)):
        def draft(self, source, slices, report):
            for draft in super().draft(source, slices, report):
                yield replace(draft, labels=(draft.labels == 0).astype(np.uint8))

    return Wrong(drafter.classes)


def test_dice_of_the_classes_that_are_there():
    truth, labels = np.array([[1, 1, 0, -1]]), np.array([[1, 0, 2, 3]])
    assert class_dice(labels, truth, 4) == pytest.approx([2 / 3, 0.0])
    assert mean_dice(labels, truth, 4) == pytest.approx(2 / 3)
    assert mean_dice(labels, np.zeros((1, 4), int), 4) == 0.0
    assert mean_dice(np.zeros((1, 4), int), np.zeros((1, 4), int), 4) == 1.0


def test_a_correction_goes_to_the_class_that_is_not_good_enough(cohort, rules):
    truth = np.zeros((20, 40), np.int64)
    truth[:, 5:25], truth[2:5, 35:38] = 1, 2
    labels = truth.copy()
    labels[:, 24] = 0  # many pixels of a class that is good
    labels[2, 35:38] = 0  # fewer of one that is not
    seen = rules.to_correct(labels, truth, 3)
    np.testing.assert_array_equal(np.flatnonzero((seen != truth).any(axis=0)), [24])
    np.testing.assert_array_equal(seen[:, 24], -1)
    assert (rules.to_correct(truth, truth, 3) == truth).all()


@pytest.mark.parametrize("order", ["sequential", "queue", "random"])
def test_every_slice_is_visited_and_accepted(cohort, rules, order):
    work = work_on(cohort(), rules, order=order)
    log = work.play()
    assert log.accepted == set(range(6))
    assert log.dice > 0.95
    assert np.isnan(log.draft_dice)
    assert 0 < log.strokes_to_target <= log.strokes
    assert {i.position[0] for i in work.session.accepted} == log.accepted
    assert log.painted <= log.accepted


def test_what_is_filled_well_is_accepted_without_a_stroke(cohort, rules):
    log = work_on(cohort(), rules, order="queue").play()
    assert len(log.painted) < 6


def test_an_image_is_worked_on_as_one_slice(images, rules):
    log = work_on(open_cohort(images()), rules).play()
    assert log.accepted == {0}
    assert log.strokes >= 2  # on nuclei and on the background
    assert log.dice > 0.9


def test_a_user_gives_up_after_the_most_corrections(cohort, rules):
    work = work_on(cohort(), replace(rules, corrections=1), Levels(blind=True))  # never finds an object
    log = work.play()
    given_up = set(range(6)) - log.accepted
    assert given_up
    assert log.painted == given_up | (log.painted & log.accepted)
    assert not any(work.session.is_accepted(index) for index in given_up)


def test_a_good_draft_is_accepted_without_a_stroke(images, rules, levels):
    made = open_cohort(images())
    work = work_on(made, rules, Levels(blind=True))
    work.begin(levels(made.classes))
    assert work.log.draft_dice > 0.95
    assert work.log.draft_slices == 1.0
    log = work.play()
    assert (log.strokes, log.strokes_to_target, log.accepted) == (0, 0.0, {0})


def test_a_bad_draft_is_dropped_and_the_slice_painted_anew(images, rules, levels):
    made = open_cohort(images())
    alone = work_on(made, rules).play()
    work = work_on(made, rules)
    wrong = inverted(levels(made.classes))
    work.begin(wrong)
    assert work.log.draft_dice < rules.worth
    log = work.play()
    assert (log.strokes, log.accepted) == (alone.strokes + 1, {0})
    assert not work.session.drafted


def test_learning_within_a_case_drafts_what_is_left(cohort, rules, levels):
    made, accepted = cohort(), []

    def relearn(session):
        accepted.append(len(session.accepted))
        return levels(made.classes)

    work = work_on(made, rules)
    log = work.play(relearn)
    assert accepted == [2]
    assert log.painted <= {0, 1}
    assert log.accepted == set(range(6))


def test_first_strokes_count_by_their_lines_and_are_the_users(images, rules):
    @dataclass(frozen=True)
    class Hand:
        def begin(self, truth, n_classes, seed):
            seeds = np.full(truth.shape, -1, np.int32)
            seeds[1, 1:9], seeds[18, 1:9], seeds[8, 8], seeds[8, 27] = 0, 0, 1, 1
            return seeds

    object.__setattr__(rules, "user", Hand())
    log = work_on(open_cohort(images()), rules).play()
    assert log.strokes == 4
