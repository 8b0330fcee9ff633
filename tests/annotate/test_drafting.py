"""Drafts fill slices without labels of their own; strokes correct them, undo takes them back, a replay has them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from napari_scribseg.annotate import Draft, Drafter, Inbox, Session, Worker
from napari_scribseg.annotate.entries import DraftMap
from napari_scribseg.annotate.pooling import pooled
from napari_scribseg.annotate.solve_span import SolvedSlice
from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.core.classes import LabelClass
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.kernel.patches import PackedRegion

BACKGROUND = ClassTable.from_ids([1, 2], background=1)
SHAPE = (6, 24, 30)


@dataclass
class Bright:
    """Drafts what is bright as class 2."""

    classes: ClassTable = BACKGROUND
    checksum: str = "bright"
    drafted: list[int] = field(default_factory=list)
    fails_at: int = -1
    identity: int = 2
    doubtful: int = -1
    sure: float = 0.9

    def draft(self, source, slices, report) -> Iterator[Draft]:
        for slice_index in slices:
            number = (slice_index.position or (0,))[0]
            if number == self.fails_at:
                raise InputError("no draft")
            report(0.0)
            self.drafted.append(number)
            labels = np.where(source.image(slice_index).data[0] > 50, self.identity, 0).astype(np.uint16)
            sure = 0.6 if number == self.doubtful else self.sure
            yield Draft(slice_index, labels, np.full(labels.shape, sure, np.float32))


def mask():
    found = np.zeros(SHAPE, bool)
    found[:, 6:18, 8:22] = True
    return found


def at(index):
    return SliceIndex((1, 2), (index,))


def strokes(values=(1, 2)):
    painted = np.zeros(SHAPE[1:], np.uint8)
    painted[1, 2:9] = values[0]
    painted[11, 12:17] = values[1]
    return painted


@pytest.fixture
def session(engines):
    source = Source.from_array(np.where(mask(), 100, 10).astype(np.float32))
    return Session(source, engines["nearest"](), classes=BACKGROUND)


def test_whatever_has_the_methods_is_a_drafter():
    assert isinstance(Bright(), Drafter)


def test_slices_without_labels_of_their_own_are_drafted_in_one_step(session):
    session.draw(strokes(), 2)
    session.edit(np.full(SHAPE[1:], 2, np.uint8), 4)
    session.accept(4)
    before, shown = session.labels.copy(), []
    session.events.restored.connect(lambda restored: shown.append(restored.slice_index.position[0]))
    drafter = Bright()
    assert session.draft(drafter).result() == (at(0), at(1), at(3), at(5))
    assert drafter.drafted == [1, 3, 0, 5] == shown  # around the slice drawn on last
    assert (session.labels[[0, 1, 3, 5]] == 2 * mask()[0]).all()
    assert (session.labels[[2, 4]] == before[[2, 4]]).all()
    assert session.drafted == {at(i): pytest.approx(0.9) for i in (0, 1, 3, 5)}
    assert session.filled == {}
    assert session.undo()
    assert (session.labels == before).all()
    assert session.drafted == {}
    assert session.redo()
    assert (session.labels[0] == 2 * mask()[0]).all()


def test_named_slices_only(session):
    session.accept(3)
    assert session.draft(Bright(), [1, at(3)]).result() == (at(1),)
    assert not session.labels[[0, 2, 3, 4, 5]].any()
    with pytest.raises(InputError, match="index 9"):
        session.draft(Bright(), [9])


def test_a_2d_image_is_drafted(engines):
    session = Session(Source.from_array(np.where(mask()[0], 100, 10).astype(np.float32)), engines["nearest"]())
    session.draft(Bright()).result()
    assert (session.labels == 2 * mask()[0]).all()


def test_new_classes_are_added(session):
    classes = ClassTable((LabelClass(7, "kidney", (1.0, 0.0, 0.0, 1.0)),))
    session.draft(Bright(classes, identity=7)).result()
    assert session.classes[7].name == "kidney"
    assert set(np.unique(session.labels)) == {0, 7}


def test_strokes_that_wait_and_fixed_labels_stay(session):
    session.draw(strokes((0, 1)), 0)  # of one class: not segmented yet
    session.draft(Bright(), [0]).result()
    assert not session.labels[0, 11, 12:17].any()
    assert session.labels[0, 10, 12:17].all()


def test_a_locked_class_stays(session):
    session.classes = ClassTable((BACKGROUND[1], LabelClass(2, "bright", (1.0, 0.0, 0.0, 1.0), locked=True)))
    session.draft(Bright()).result()
    assert not session.labels.any()


def test_a_stroke_corrects_a_draft_and_makes_an_anchor(session):
    session.draft(Bright()).result()
    painted = np.zeros(SHAPE[1:], np.uint8)
    painted[7:9, 10:20] = 1
    session.draw(painted, 3)
    assert not session.labels[3, 7:9, 10:20].any()
    assert session.labels[3, 12:17, 10:20].all()
    assert session.is_anchor(3)
    assert at(3) not in session.drafted
    session.draw(np.zeros(SHAPE[1:], np.uint8), 3)
    assert (session.labels[3] == 2 * mask()[0]).all()
    assert at(3) in session.drafted
    assert not session.is_anchor(3)


def test_the_least_certain_draft_is_offered_next(session):
    session.draw(strokes(), 2)
    session.draft(Bright(doubtful=4)).result()
    assert session.next_slice() == at(4)
    session.accept(4)
    assert session.next_slice() != at(4)


def test_an_accepted_draft_is_an_anchor_and_no_draft(session):
    session.draft(Bright()).result()
    session.accept(2)
    assert session.is_anchor(2)
    assert at(2) not in session.drafted


def test_drafts_are_stored_and_replayed_without_the_drafter(session, tmp_path, engines):
    session.draw(strokes(), 2)
    session.draft(Bright()).result()
    painted = np.zeros(SHAPE[1:], np.uint8)
    painted[7:9, 10:20] = 1
    session.draw(painted, 3)
    session.save(tmp_path / "some.session")
    made = lambda name, **parameters: engines["nearest"]()  # noqa: E731
    loaded = Session.load(tmp_path / "some.session", session.volume, make_engine=made)
    assert (loaded.labels == session.labels).all()
    assert loaded.drafted == session.drafted
    again = Session.replay(tmp_path / "some.session", session.volume, make_engine=made)
    assert (again.labels == session.labels).all()
    loaded.draw(np.zeros(SHAPE[1:], np.uint8), 3)
    assert (loaded.labels[3] == 2 * mask()[0]).all()


def leaning(engines):
    """A session of a bright box that moves in steps, labelled on its first and last slice."""
    truth = np.zeros((9, 48, 60), bool)
    for index, column in enumerate((5, 5, 30, 30, 30, 30, 30, 35, 35)):
        truth[index, 12:36, column : column + 20] = True
    image = np.where(truth, 100, 10) + np.random.default_rng(0).normal(0, 2, truth.shape)
    session = Session(Source.from_array(image.astype(np.float32)), engines["nearest"](), classes=BACKGROUND)
    for index in (0, 8):
        session.edit(2 * truth[index].astype(np.uint8), index)
        session.accept(index)
    return session, truth


def wrong(session, truth):
    return float(((session.labels == 2) != truth).mean())


def test_filling_weighs_drafts(engines, tmp_path):
    alone, truth = leaning(engines)
    alone.fill().result()
    session, _ = leaning(engines)
    session.draft(Bright(sure=0.999)).result()
    drafted = wrong(session, truth)
    assert len(session.fill().result()) == 7
    assert drafted < 0.001 < wrong(alone, truth)
    assert wrong(session, truth) < 0.5 * wrong(alone, truth)
    assert session.drafted == {}
    doubted, _ = leaning(engines)
    doubted.draft(Bright(sure=0.51)).result()
    doubted.fill().result()
    assert (doubted.labels == alone.labels).mean() > 0.99  # one that is not sure of anything changes little
    session.save(tmp_path / "some.session")
    made = lambda name, **parameters: engines["nearest"]()  # noqa: E731
    again = Session.replay(tmp_path / "some.session", session.volume, make_engine=made)
    assert (again.labels == session.labels).all()
    assert session.undo()
    assert wrong(session, truth) == drafted
    assert at(3) in session.drafted


def test_filled_slices_are_drafted_only_by_name(engines):
    session, truth = leaning(engines)
    session.fill(1, 4).result()
    assert session.draft(Bright()).result() == (at(5), at(6), at(7))
    session.draft(Bright(), [2]).result()
    assert (session.labels[2] == 2 * truth[2]).all()


def test_where_both_agree_is_surer():
    sure = np.full((1, 4), 0.8)
    filled = SolvedSlice(3, np.array([[2, 2, 0, 0]], np.uint8), None, True, 0, 0.8, 4, None, sure)
    certainty = np.array([[204, 204, 204, 250]], np.uint8)
    drafted = DraftMap(PackedRegion.whole(np.array([[2, 0, 0, 2]], np.uint16)), PackedRegion.whole(certainty))
    near, far = pooled(filled, drafted, 1), pooled(filled, drafted, 8)
    assert near.labels.tolist() == [[2, 2, 0, 0]]
    assert far.labels.tolist() == [[2, 0, 0, 2]]
    assert near.sure[0, 0] == pytest.approx(0.8)
    assert near.sure[0, 1] < near.sure[0, 0]


def test_a_failing_drafter_fails_alone(session):
    failed = []
    session.events.failed.connect(lambda slice_index, error: failed.append(str(error)))
    future = session.draft(Bright(fails_at=2))
    assert "no draft" in str(future.exception())
    assert failed == ["no draft"]
    assert session.labels[:2].any()
    assert session.undo()
    assert not session.labels.any()
    assert session.draw(strokes(), 0).result() is not None


def test_drafts_give_way_to_strokes_and_go_on(engines):
    source = Source.from_array(np.where(mask(), 100, 10).astype(np.float32))
    inbox, worker = Inbox(), Worker()
    session = Session(source, engines["nearest"](), classes=BACKGROUND, executor=worker, deliver=inbox.deliver)
    drafter = Bright()
    future = session.draft(drafter)
    stroke = session.draw(strokes(), 0)
    assert inbox.wait(stroke, 60) is not None
    assert set(inbox.wait(future, 60)) >= {at(i) for i in range(1, 6)}
    assert (session.labels[1:] == 2 * mask()[1:]).all()
    assert session.is_anchor(0)
    session.close()
    worker.shutdown()


def test_cancel_keeps_what_was_written(engines):
    source = Source.from_array(np.where(mask(), 100, 10).astype(np.float32))
    inbox, worker = Inbox(), Worker()
    session = Session(source, engines["nearest"](), classes=BACKGROUND, executor=worker, deliver=inbox.deliver)
    future = session.draft(Bright())
    session.cancel()
    assert future.cancelled()
    worker.join(30)
    inbox.run()
    assert session.doing is None
    assert not session.labels.any()
    session.close()
    worker.shutdown()
