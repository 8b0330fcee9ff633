"""Drawing, undo, locks and overlap, everything in one thread."""

import numpy as np
import pytest

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, EngineInfo, InputError, LabelClass, Scribbles
from napari_scribseg.core.source import SliceIndex, Source

RED = (1.0, 0.0, 0.0, 1.0)


@pytest.fixture
def session(volume, engines):
    return Session(volume, engines["nearest"]())


def log(signal):
    seen = []
    signal.connect(lambda *args: seen.append(args[0] if len(args) == 1 else args))
    return seen


def test_a_stroke_becomes_labels(session, painted, steps):
    seen = log(session.events.updated)
    update = session.draw(painted, 2).result()
    assert update.final
    assert [u.final for u in seen] == [False, True]
    assert (session.labels[2] == np.where(steps[2] > 50, 2, 1)).all()
    assert not session.labels[[0, 1, 3, 4, 5]].any()
    assert (session.painted(2) == painted).all()
    assert update.notes == ("took the nearest",)
    assert session.results(2) is update
    assert update.ids == (1, 2)
    assert update.probabilities.shape == (2, 12, 16)


def test_undo_and_redo_take_strokes_and_output_together(session, painted):
    session.draw(painted, 2)
    once = session.labels.copy()
    more = painted.copy()
    more[0, 8:12] = 3
    session.draw(more, 2)
    twice = session.labels.copy()
    seen = log(session.events.restored)
    assert session.undo()
    assert (session.labels == once).all()
    assert (session.painted(2) == painted).all()
    assert (seen[-1].painted == painted).all()
    assert (seen[-1].labels == once[2]).all()
    assert session.undo()
    assert not session.labels.any()
    assert not session.painted(2).any()
    assert not session.can_undo
    assert not session.undo()
    assert session.redo()
    assert (session.labels == once).all()
    assert session.redo()
    assert (session.labels == twice).all()
    assert (session.painted(2) == more).all()
    assert not session.redo()


def test_the_result_of_a_slice_comes_back_with_undo_and_redo(volume, engines, painted):
    session = Session(volume, engines["nearest"]())
    more = painted.copy()
    more[0, 5] = 3
    first, second = session.draw(painted, 2).result(), session.draw(more, 2).result()
    session.propagate(2, 4)
    assert session.results(4).ids == (1, 2, 3)
    session.undo()
    assert session.results(4) is None
    assert session.results(2) is second
    session.undo()
    back = session.results(2)
    assert back.ids == first.ids == (1, 2)
    np.testing.assert_allclose(back.probabilities, first.probabilities, atol=1 / 500)
    np.testing.assert_array_equal(back.labels, first.labels)
    assert back.notes == first.notes
    session.undo()
    assert session.results(2) is None
    for _ in range(3):
        session.redo()
    assert session.results(2).ids == session.results(4).ids == (1, 2, 3)
    session.accept(2)
    assert session.results(2) is second
    session.clear(4)
    assert session.results(4) is None
    session.undo()
    assert session.results(4).ids == (1, 2, 3)


def test_results_take_a_bounded_memory(volume, engines, painted):
    session = Session(volume, engines["nearest"](), state_bytes=20_000)
    for row in range(100):
        session.draw(np.roll(painted, row, axis=0), row % 6)
    assert session.results(99 % 6) is not None
    for _ in range(90):
        session.undo()
    assert session.results(0) is None  # the first of a hundred


def test_a_new_stroke_drops_what_was_undone(session, painted):
    session.draw(painted, 2)
    session.undo()
    session.draw(painted, 3)
    assert not session.can_redo


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_along_every_axis(session, steps, axis):
    slice_index = SliceIndex(tuple(a for a in range(3) if a != axis), (1,))
    shape = session.volume.slice_shape(slice_index)
    strokes = np.zeros(shape, np.uint8)
    strokes[:, 0], strokes[:, -1] = 1, 2
    if axis == 2:
        assert session.draw(strokes, slice_index).result() is not None
    else:
        session.draw(strokes, slice_index)
        expected = np.where(np.take(steps, 1, axis=axis) > 50, 2, 1)
        assert (np.take(session.labels, 1, axis=axis) == expected).all()
    assert (session.painted(slice_index) == strokes).all()
    assert (session.painted(1) == strokes).all()  # an index now stands along the axis drawn on last


def test_a_time_series_displayed_in_any_pair(engines):
    array = np.zeros((3, 4, 5, 6), np.float32)
    array[..., 3:] = 1
    session = Session(Source.from_array(array), engines["nearest"]())
    slice_index = SliceIndex((1, 3), (2, 4))
    strokes = np.zeros((4, 6), np.uint8)
    strokes[0, 0], strokes[0, 5] = 1, 2
    session.draw(strokes, slice_index)
    assert (session.labels[2, :, 4, :] == np.where(array[2, :, 4, :] > 0, 2, 1)).all()
    assert np.count_nonzero(session.labels) == 24
    with pytest.raises(InputError, match="needs a SliceIndex"):
        Session(session.volume, engines["nearest"]()).draw(strokes, 1)


def test_a_2d_image_needs_no_index(engines, painted, steps):
    session = Session(Source.from_array(steps[0]), engines["nearest"]())
    assert session.draw(painted).result().slice_index == SliceIndex((0, 1))
    assert session.labels.shape == (12, 16)


def test_the_background_class_is_written_as_0(session, painted, steps):
    session.classes = ClassTable.from_ids([1, 2], background=1)
    update = session.draw(painted, 0).result()
    assert update.ids == (0, 2)
    assert (session.labels[0] == np.where(steps[0] > 50, 2, 0)).all()


def test_scribbles_are_taken_as_well(session, painted, steps):
    session.draw(Scribbles.from_labels(painted, background=1), 0)
    assert session.classes.background is not None
    assert (session.labels[0] == np.where(steps[0] > 50, 2, 0)).all()


def test_strokes_of_one_class_are_no_error_while_painting(session, painted):
    hints, failures = log(session.events.hint), log(session.events.failed)
    one = np.where(painted == 1, painted, 0)
    assert session.draw(one, 0).result() is None
    assert hints[0] == "strokes of class 1 only; paint a second class on z 0"
    assert not failures
    assert (session.painted(0) == one).all()
    assert not session.labels.any()
    assert session.draw(one * 0, 1).result() is None
    with pytest.raises(InputError, match="strokes of class 1 only"):
        session.draw(one, 0, demand=True).result()
    assert len(failures) == 1


def test_output_stays_when_a_class_is_erased(session, painted):
    session.draw(painted, 0)
    before = session.labels.copy()
    session.draw(np.where(painted == 1, painted, 0), 0)
    assert (session.labels == before).all()
    session.undo()
    assert (session.painted(0) == painted).all()


def test_ids_become_classes(session, painted):
    seen = log(session.events.changed)
    session.draw(painted, 0)
    assert session.classes.ids == (1, 2)
    assert seen


def test_large_ids_widen_the_output_and_never_wrap(session, painted):
    session.draw(painted, 0)
    assert session.labels.dtype == np.uint8
    narrow = session.labels
    seen = log(session.events.changed)
    session.draw(np.where(painted == 2, 65535, painted.astype(np.int32)), 1)
    assert session.labels.dtype == np.uint16
    assert seen
    assert set(np.unique(session.labels[1])) == {1, 65535}
    assert (session.labels[0] == narrow[0]).all()
    session.undo()
    assert not session.labels[1].any()
    session.redo()
    assert session.labels[1].max() == 65535


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        (np.zeros((3, 3), int), "shape"),
        (np.zeros((12, 16), float), "integers"),
        (np.full((12, 16), -1), "-1"),
        (np.full((12, 16), 65536), "65536"),
    ],
)
def test_strokes_that_cannot_be_used(session, strokes, words):
    failures = log(session.events.failed)
    with pytest.raises(InputError, match=words):
        session.draw(strokes, 0).result()
    assert failures[0][0] == SliceIndex((1, 2), (0,))
    assert not session.can_undo


def test_accepted_slices_are_locked(session, painted):
    session.draw(painted, 0)
    assert session.accept(0)
    assert not session.accept(0)
    before, restored, failures = session.labels.copy(), log(session.events.restored), log(session.events.failed)
    with pytest.raises(InputError, match="accepted"):
        session.draw(painted[:, ::-1], 0).result()
    assert (session.labels == before).all()
    assert (restored[0].painted == painted).all()
    assert len(failures) == 1
    assert not session.clear(0)
    assert not session.edit(painted, 0)
    across = np.zeros((6, 16), np.uint8)
    across[2:, 1], across[2:, 14] = 2, 1
    session.draw(across, SliceIndex((0, 2), (5,)))
    assert (session.labels[0] == before[0]).all()
    assert session.labels[1, 5].any()
    assert session.accepted == {SliceIndex((1, 2), (0,))}
    assert session.reopen(SliceIndex((1, 2), (0,)))
    session.draw(painted[:, ::-1], SliceIndex((1, 2), (0,)))
    assert not (session.labels[0] == before[0]).all()


def test_accepting_can_be_undone_so_a_lock_is_never_undone_through(session, painted):
    session.draw(painted, 0)
    session.accept(0)
    session.undo()
    assert not session.is_accepted(0)
    assert session.labels[0].any()
    session.redo()
    assert session.is_accepted(0)


def test_locked_classes_neither_lose_nor_gain(session, painted, steps):
    session.draw(painted, 0)
    before = session.labels[0].copy()
    session.classes = session.classes.with_class(LabelClass(2, "fixed", RED, locked=True))
    strokes = painted.copy()
    strokes[3:9, 11], strokes[0, 0:3] = 3, 2
    session.draw(strokes, 0)
    assert ((session.labels[0] == 2) == (before == 2)).all()


def test_keep_fills_only_what_was_empty(volume, engines, painted, steps):
    old = np.zeros(steps.shape, np.uint8)
    old[0, :4] = 7
    session = Session(volume, engines["nearest"](), labels=old.copy(), overlap="keep")
    session.draw(painted, 0)
    assert (session.labels[0, :4] == 7).all()
    assert (session.labels[0, 4:] == np.where(steps[0, 4:] > 50, 2, 1)).all()
    swapped = np.where(painted != 0, 3 - painted, 0).astype(np.uint8)
    session.draw(swapped, 0)  # its own result is not finished work
    assert (session.labels[0, 4:] == np.where(steps[0, 4:] > 50, 1, 2)).all()
    session.clear(0)
    assert (session.labels == old).all()
    assert not session.painted(0).any()
    session.undo()
    assert (session.labels[0, 4:] == np.where(steps[0, 4:] > 50, 1, 2)).all()


def test_overwrite_erases_only_classes_drawn_here(volume, engines, painted, steps):
    old = np.zeros(steps.shape, np.uint8)
    old[0, :4], old[0, 4:8] = 7, 2
    classes = ClassTable.from_ids([1, 2], background=1)
    session = Session(volume, engines["nearest"](), classes=classes, labels=old.copy())
    painted[:4] = 0
    session.draw(painted, 0)
    assert (session.labels[0, :4] == 7).all()
    assert not session.labels[0, 4:8, :5].any()
    assert (session.labels[0, 4:8, 6:] == 2).all()
    session.overlap = "keep"
    with pytest.raises(InputError, match="overlap"):
        session.overlap = "both"


def test_labels_are_adopted_or_refused(volume, engines):
    mine = np.zeros(volume.shape, np.uint8)
    assert Session(volume, engines["nearest"](), labels=mine).labels is mine
    wide = Session(volume, engines["nearest"](), labels=np.full(volume.shape, 300, np.int64))
    assert wide.labels.dtype == np.uint16
    for labels, words in [
        (np.zeros((2, 2, 2), int), "shape"),
        (np.zeros(volume.shape), "integers"),
        (np.full(volume.shape, -3), "-3"),
    ]:
        with pytest.raises(InputError, match=words):
            Session(volume, engines["nearest"](), labels=labels)


def test_edit_by_hand(session, painted):
    session.draw(painted, 0)
    before = session.labels.copy()
    values = before[0].copy()
    values[0] = 9
    assert session.edit(values, 0)
    assert (session.labels[0, 0] == 9).all()
    session.undo()
    assert (session.labels == before).all()


@pytest.mark.parametrize(
    ("how", "words"),
    [("raise", "broke"), ("shape", "shape"), ("nan", "NaN"), ("sum", "sum to"), ("list", "list"), ("none", "NoneType")],
)
def test_a_failing_engine_leaves_everything_as_it_was(session, engines, painted, how, words):
    session.draw(painted, 0)
    before = session.labels.copy()
    session.use(engines["lying"](how=how))
    failures = log(session.events.failed)
    more = painted.copy()
    more[0, 8:12] = 2
    with pytest.raises(Exception, match=words):
        session.draw(more, 0).result()
    assert len(failures) == 1
    assert (session.labels == before).all()
    assert (session.painted(0) == more).all()
    assert not session.is_busy
    session.use(engines["nearest"]())
    assert session.draw(more, 0).result().final


def test_bad_voxels_and_broken_arrays_are_failures(engines, painted, steps):
    holes = steps.astype(np.float32)
    holes[0, 0, 0] = np.nan
    session = Session(Source.from_array(holes), engines["nearest"]())
    with pytest.raises(InputError, match="NaN"):
        session.draw(painted, 0).result()
    assert session.draw(painted, 1).result().final

    class Torn:
        shape, dtype = (6, 12, 16), np.dtype("int16")

        def __getitem__(self, index):
            raise OSError("the share is gone")

    session = Session(Source.from_array(Torn()), engines["nearest"]())
    with pytest.raises(OSError, match="gone"):
        session.draw(painted, 0).result()


def test_too_many_classes(session, engines):
    session.use(engines["few"]())
    failures = log(session.events.failed)
    with pytest.raises(InputError, match="3 classes"):
        session.draw(np.arange(12 * 16).reshape(12, 16) % 4, 0).result()
    assert len(failures) == 1


def test_live_results_are_shown_and_not_stored(session, painted):
    seen = log(session.events.updated)
    update = session.draw(painted, 0, live=True).result()
    assert not update.final
    assert not any(u.final for u in seen)
    assert session.labels[0].any()
    assert not session.can_undo
    assert not session.painted(0).any()
    restored = log(session.events.restored)
    session.cancel()
    assert not session.labels.any()
    assert restored[0].painted is None
    session.draw(painted, 0, live=True)
    session.draw(painted, 0)
    session.undo()
    assert not session.labels.any()
    assert session.draw(painted * 0, 1, live=True).result() is None


def test_a_live_result_goes_when_another_slice_is_drawn(session, painted):
    session.draw(painted, 0, live=True)
    session.draw(painted, 1)
    assert not session.labels[0].any()
    assert session.labels[1].any()


def test_the_output_survives_a_failure_after_a_preview(session, engines, painted):
    session.draw(painted, 0)
    before = session.labels.copy()
    session.use(engines["lying"](how="raise"))
    swapped = np.where(painted != 0, 3 - painted, 0).astype(np.uint8)
    session.draw(swapped, 0)
    assert (session.labels == before).all()


def test_no_engine_and_no_slice(session, volume, painted):
    with pytest.raises(InputError, match="no engine"):
        Session(volume, "nonsense")
    with pytest.raises(InputError, match="expected 0 to 5"):
        session.draw(painted, 6)
    with pytest.raises(InputError):
        session.draw(painted, -1)
    with pytest.raises(InputError, match="no slice"):
        session.draw(painted)
    session.close()
    session.close()
    with pytest.raises(InputError, match="closed"):
        session.draw(painted, 0)


def test_an_error_of_a_listener_is_not_swallowed(session, painted):
    session.events.updated.connect(lambda update: 1 / (not update.final))
    with pytest.raises(Exception, match="division"):
        session.draw(painted, 0)
    assert session.labels[0].any()


def test_a_listener_may_draw_again(session, painted):
    def again(update):
        if update.final and update.slice_index.position[0] < 4:
            session.draw(painted, update.slice_index.position[0] + 1)

    session.events.updated.connect(again)
    session.draw(painted, 0)
    assert session.labels[:5].any(axis=(1, 2)).all()
    assert not session.is_busy


def test_at_least_100_steps(session, painted):
    states = [(session.painted(z).copy(), session.labels.copy()) for z in [0]]
    strokes = np.zeros((6, *painted.shape), np.uint8)
    strokes[:] = painted
    for i in range(130):
        z = i % 6
        strokes[z, i // 16, i % 16] = 3 + i % 4
        session.draw(strokes[z], z)
        states.append((session.painted(0), session.labels.copy()))
    for strokes0, labels in states[-2::-1]:
        assert session.undo()
        assert (session.labels == labels).all()
        assert (session.painted(0) == strokes0).all()
    assert not session.undo()
    for strokes0, labels in states[1:]:
        assert session.redo()
        assert (session.labels == labels).all()
        assert (session.painted(0) == strokes0).all()


def test_computing_again_drops_what_was_undone(session, painted):
    session.draw(painted, 0)
    session.clear(0)
    session.undo()
    assert session.can_redo
    session.draw(painted, 0)  # the same strokes, the same labels; but the engine now stands elsewhere
    assert not session.can_redo
    session.undo()
    assert not session.labels.any()


def test_parameters_of_the_engine_in_use(session, painted):
    session.draw(painted, 0)
    session.use(session.engine, bias=40.0)
    assert session.engine.bias == 40.0
    update = session.draw(painted, 0).result()
    assert update.final
    session.undo()
    assert session.engine.bias == 40.0


def test_finished_labels_are_those_without_a_preview(volume, engines, painted):
    session = Session(volume, engines["nearest"]())
    session.draw(painted, 0)
    session.draw(painted, 1)
    before = session.finished_labels()
    assert (before == session.labels).all()
    assert not np.shares_memory(before, session.labels)
    seen = []

    def look(update):
        if not update.final:
            seen.append((session.finished_labels(), session.labels.copy()))

    session.events.updated.connect(look)
    session.draw(np.where(painted != 0, 3 - painted, 0), 1)
    ((finished, shown),) = seen
    assert (finished == before).all()
    assert (shown != before).any()
    assert (session.finished_labels() == session.labels).all()
    assert (session.labels != before).any()


def test_one_class_is_enough_where_the_engine_allows_it(volume, engines, painted):
    session = Session(volume, engines["alone"]())
    alone = np.where(painted == 2, painted, 0)
    update = session.draw(alone, 0).result()
    assert update.ids == (0, 2)
    np.testing.assert_array_equal(session.labels[0], np.where(volume.image(update.slice_index).data[0] > 50, 2, 0))
    assert session.draw(alone, 1, live=True).result().ids == (0, 2)


def test_classes_leave_the_rest_to_a_background_that_is_given(volume, engines, painted):
    shared = Session(volume, engines["alone"](), classes=ClassTable.from_ids([1, 2])).draw(painted, 0).result()
    assert shared.ids == (1, 2)
    given = (
        Session(volume, engines["alone"](), classes=ClassTable.from_ids([1, 2], background=9)).draw(painted, 0).result()
    )
    assert given.ids == (0, 1, 2)
    needs_two = Session(volume, engines["nearest"](), classes=ClassTable.from_ids([1, 2], background=9))
    assert needs_two.draw(painted, 0).result().ids == (1, 2)


def test_an_engine_is_not_given_more_classes_than_it_takes(volume, engines, painted):
    class Pair(engines["alone"]):
        info = EngineInfo("pair", "Pair", "for tests", min_classes=1, max_classes=2)

    session = Session(volume, Pair(), classes=ClassTable.from_ids([1, 2], background=9))
    assert session.draw(painted, 0).result().ids == (1, 2)


def test_the_background_alone_is_not_enough(volume, engines, painted):
    session = Session(volume, engines["alone"](), classes=ClassTable.from_ids([1, 2], background=2))
    hints = log(session.events.hint)
    assert session.draw(np.where(painted == 2, painted, 0), 0).result() is None
    assert hints[0] == "strokes of background only; paint a second class, such as class 1, on z 0"
    assert not session.labels.any()


def test_a_prediction_without_strokes_is_an_edit(volume, engines):
    class Saying(engines["nearest"]):
        def unprompted(self, state):
            bright = state["image"][0] > 50
            return np.stack((~bright, bright & False, bright)).astype(np.float32)

    session = Session(volume, Saying(), classes=ClassTable.from_ids([4], background=9))
    assert session.predict(0).result()
    bright = volume.image(session.slice_index(0)).data[0] > 50
    np.testing.assert_array_equal(session.labels[0], np.where(bright, 1, 0))  # a second class, which the table lacked
    assert set(session.classes.ids) == {1, 4, 9}
    assert session.undo()
    assert not session.labels.any()


@pytest.fixture
def saying(engines):
    """An engine whose network segments without strokes."""

    class Saying(engines["nearest"]):
        def unprompted(self, state):
            bright = state["image"][0] > 50
            return np.stack((~bright, bright)).astype(np.float32)

    return Saying


@pytest.mark.parametrize(
    "actions", ["predict", "predict draw", "draw predict", "edit predict draw", "propagate predict"]
)
def test_clear_brings_back_what_was_found_whatever_was_written_since(volume, saying, painted, actions, tmp_path):
    found = np.zeros((6, 12, 16), np.uint8)
    found[1, 2:5, 2:5] = 7
    make = {
        "predict": lambda s: s.predict(1),
        "draw": lambda s: s.draw(painted, 1),
        "edit": lambda s: s.edit(np.full((12, 16), 4), 1),
        "propagate": lambda s: (s.draw(painted, 0), s.propagate(0, 1)),
    }
    session = Session(volume, saying(), classes=ClassTable.from_ids([4], background=9), labels=found.copy())
    for action in actions.split():
        make[action](session)
    written = session.labels[1].copy()
    assert (written != found[1]).any()
    session.save(tmp_path / "a")
    again = Session.load(tmp_path / "a", volume, make_engine=lambda _name, **values: saying(**values))
    for one in (session, again):
        assert one.clear(1)
        np.testing.assert_array_equal(one.labels[1], found[1])
        assert not one.painted(1).any()
        assert one.undo()
        np.testing.assert_array_equal(one.labels[1], written)
        one.redo()
        np.testing.assert_array_equal(one.labels[1], found[1])
        one.draw(painted, 1)  # and once more from the beginning
        one.clear(1)
        np.testing.assert_array_equal(one.labels[1], found[1])


def test_an_edit_that_changes_nothing_is_no_step(session):
    assert session.edit(np.zeros((12, 16)).astype(int), 0)
    assert not session.can_undo


def test_an_engine_without_a_network_predicts_nothing(session, engines):
    with pytest.raises(InputError, match="answers strokes only"):
        session.predict(0)

    class Broken(engines["nearest"]):
        def unprompted(self, state):
            raise RuntimeError("no such layer")

    session.use(Broken())
    failures = log(session.events.failed)
    assert isinstance(session.predict(0).exception(), RuntimeError)
    assert "no such layer" in str(failures[0])
