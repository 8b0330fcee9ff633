"""What an annotator does, without a window: layers in a viewer model, a view that only listens."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from annotation_bench import CLASSES, Bench
from waiting import wait_for

from napari_scribseg.annotate import uncertain_places
from napari_scribseg.core import Hint, InputError, LossCurve, Segmentation, silent
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel import Inbox
from napari_scribseg.widgets.common.camera import camera_of
from napari_scribseg.widgets.segmentation.annotator import Annotator


@pytest.fixture
def bench(nearest):
    bench = Bench(np.zeros((4, 20, 30), np.int16), nearest(), scale=(3, 1, 1))
    bench.viewer.dims.set_current_step(0, 1)
    bench.strokes.brush_size = 1
    return bench


def two_strokes(bench, z=1):
    bench.paint(255, (z, 2, 2), (z, 2, 3))
    bench.paint(1, (z, 15, 20), (z, 15, 21))


def test_first_stroke_requests_a_second_class(bench):
    bench.paint(1, (1, 5, 5))
    assert "second class" in bench.messages()[-1]
    assert not bench.session.labels.any()
    bench.view.notify.assert_not_called()


def test_two_classes_give_a_result(bench):
    two_strokes(bench)
    assert bench.shown()[15, 20] == 1
    assert bench.shown()[2, 2] == 0
    assert not bench.result.data[0].any()
    bench.view.show_notes.assert_called_with(("chose the nearest stroke",))


@pytest.mark.parametrize("then", ["accept", "save", "look elsewhere"])
def test_a_hint_names_its_classes_and_is_shown_once(bench, nearest, then):
    class Hinting(nearest):
        def segment(self, *args, **kwargs):
            made = super().segment(*args, **kwargs)
            return replace(made, notes=(Hint.about("the middle of {} is certain", (1,)), "a detail"))

    bench.annotator.set_engine(Hinting(), "stroke", "cpu", "overwrite")
    bench.annotator.set_classes(bench.session.classes.with_class(replace(bench.session.classes[1], name="liver")))
    two_strokes(bench)
    bench.view.show_notes.assert_called_with(("the middle of liver is certain", "a detail"))
    if then == "accept":
        bench.annotator.toggle_accepted()
    elif then == "save":
        bench.annotator.show_message("Saved scan.nii.gz")
    else:
        bench.viewer.dims.set_current_step(0, 0)
        bench.annotator.look()
        bench.viewer.dims.set_current_step(0, 1)
        bench.annotator.look()
    bench.view.show_notes.assert_called_with(("a detail",))


def test_undo_and_redo_cover_strokes_and_result(bench):
    two_strokes(bench)
    before = bench.shown().copy()
    painted = bench.strokes.data.copy()
    bench.paint(1, (1, 3, 3))
    after = bench.shown().copy()
    assert (after != before).any()
    bench.annotator.undo()
    assert np.array_equal(bench.shown(), before)
    assert np.array_equal(bench.strokes.data, painted)
    bench.annotator.redo()
    assert np.array_equal(bench.shown(), after)
    assert bench.strokes.data[1, 3, 3] == 1


def test_undo_to_the_beginning_and_no_further(bench):
    two_strokes(bench)
    for _ in range(5):
        bench.annotator.undo()
    assert not bench.strokes.data.any()
    assert not bench.session.labels.any()
    assert "nothing to undo" in bench.messages()[-1]


def test_undo_on_another_slice_states_where(bench):
    two_strokes(bench)
    bench.viewer.dims.set_current_step(0, 3)
    bench.annotator.undo()
    assert "z 1" in bench.messages()[-1]
    assert bench.strokes.data[1, 15, 20] == 0


def test_napari_s_own_undo_is_noticed(bench):
    two_strokes(bench)
    bench.paint(1, (1, 3, 3))
    bench.strokes.undo()
    assert not bench.annotator.unsent(SliceIndex((1, 2), (1,)))
    assert bench.session.painted(SliceIndex((1, 2), (1,)))[3, 3] == 0


def test_on_demand_waits_for_the_button(bench):
    bench.annotator.mode = "demand"
    two_strokes(bench)
    assert not bench.session.labels.any()
    bench.annotator.segment()
    assert bench.shown()[15, 20] == 1


def test_on_demand_undo_takes_back_what_was_not_sent(bench):
    bench.annotator.mode = "demand"
    two_strokes(bench)
    bench.annotator.undo()
    assert sorted(np.unique(bench.strokes.data)) == [0, 255]
    bench.annotator.undo()
    assert not bench.strokes.data.any()


def test_on_demand_without_strokes_is_an_error(bench):
    bench.annotator.mode = "demand"
    bench.annotator.segment()
    assert bench.lines()[-1].error
    assert bench.messages()[-1] == "No strokes; paint one in each of two classes on z 1"


def test_accepted_slice_stays_as_it_is(bench):
    two_strokes(bench)
    bench.annotator.toggle_accepted()
    before, painted = bench.shown().copy(), bench.strokes.data.copy()
    bench.paint(1, (1, 3, 3))
    assert np.array_equal(bench.shown(), before)
    assert np.array_equal(bench.strokes.data, painted)
    assert "reopen" in bench.messages()[-1]
    bench.annotator.toggle_accepted()
    bench.paint(1, (1, 3, 3))
    assert (bench.shown() != before).any()


def test_accepting_goes_on_to_the_next_slice_with_strokes_or_labels(bench):
    two_strokes(bench, 1)
    bench.viewer.dims.set_current_step(0, 3)
    two_strokes(bench, 3)
    bench.viewer.dims.set_current_step(0, 1)
    bench.annotator.toggle_accepted()
    assert bench.viewer.dims.current_step[0] == 3
    assert bench.messages()[-1] == "Accepted z 1; z 3 is next. Undo reopens z 1"
    bench.annotator.toggle_accepted()
    assert bench.viewer.dims.current_step[0] == 3
    assert bench.messages()[-1] == "Accepted z 3; N shows the next open slice"
    bench.annotator.undo()
    assert bench.session.accepted == {bench.session.slice_index(1)}
    for z in (0, 2):
        bench.session.accept(bench.session.slice_index(z))
    bench.annotator.toggle_accepted()
    assert bench.messages()[-1] == "Accepted z 3: all slices are accepted"


def test_clear_and_undo(bench):
    two_strokes(bench)
    before, painted = bench.shown().copy(), bench.strokes.data.copy()
    bench.annotator.clear()
    assert not bench.shown().any()
    assert not bench.strokes.data.any()
    bench.annotator.undo()
    assert np.array_equal(bench.shown(), before)
    assert np.array_equal(bench.strokes.data, painted)


def test_propagate_writes_the_next_slices(bench):
    two_strokes(bench)
    bench.annotator.propagate(2)
    assert bench.result.data[2].any()
    assert bench.result.data[3].any()
    assert not bench.result.data[0].any()


def test_propagate_in_one_slice_states_why_not(nearest):
    bench = Bench(np.zeros((20, 30)), nearest())
    bench.annotator.propagate(3)
    assert "one slice" in bench.messages()[-1]


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1), (2, 1, 0), (0, 2, 1)])
def test_any_orientation(nearest, order):
    bench = Bench(np.zeros((12, 20, 30)), nearest(), scale=(3, 1, 0.5))
    bench.viewer.dims.order = order
    bench.viewer.dims.set_current_step(order[0], 7)
    bench.strokes.brush_size = 1
    first, second = [2, 2, 2], [9, 9, 9]
    first[order[0]] = second[order[0]] = 7
    bench.paint(255, tuple(first))
    bench.paint(1, tuple(second))
    assert bench.session.labels[tuple(second)] == 1
    assert bench.session.labels[tuple(first)] == 0
    assert np.count_nonzero(bench.session.labels.any(axis=tuple(order[1:]))) == 1


def test_time_series(nearest):
    bench = Bench(np.zeros((3, 4, 20, 30)), nearest())
    bench.viewer.dims.current_step = (2, 1, 0, 0)
    bench.strokes.brush_size = 1
    bench.paint(255, (2, 1, 2, 2))
    bench.paint(1, (2, 1, 15, 20))
    assert bench.session.labels[2, 1, 15, 20] == 1
    assert np.count_nonzero(bench.session.labels.any(axis=(2, 3))) == 1


def test_photograph_and_channels(nearest):
    for options, shape in (({"rgb": True}, (20, 30, 3)), ({"channels": 0}, (3, 20, 30))):
        bench = Bench(np.zeros(shape, np.uint8), nearest(), **options)
        lead = (0,) if "channels" in options else ()
        bench.strokes.brush_size = 1
        bench.paint(255, (*lead, 2, 2))
        bench.paint(1, (*lead, 15, 20))
        assert bench.session.labels.shape == (20, 30)
        assert bench.session.labels[15, 20] == 1
        assert np.shares_memory(bench.result.data, bench.session.labels)


@pytest.fixture
def deep(nearest):
    """A volume whose slices lie close, painted in three dimensions."""
    bench = Bench(np.zeros((9, 20, 30), np.int16), nearest())
    bench.viewer.dims.set_current_step(0, 4)
    bench.strokes.n_edit_dimensions = 3
    bench.strokes.brush_size = 5
    return bench


def test_a_stroke_in_three_dimensions_is_segmented_on_every_slice_and_is_one_step(deep):
    deep.paint(255, (4, 4, 4))
    deep.paint(1, (4, 15, 20))
    painted = [z for z in range(9) if deep.strokes.data[z].any()]
    assert painted == [2, 3, 4, 5, 6]
    assert [z for z in range(9) if deep.session.labels[z].any()] == painted
    assert (deep.session.labels[2:7, 15, 20] == 1).all()
    former, labels = deep.strokes.data.copy(), deep.session.labels.copy()
    deep.paint(1, (4, 3, 25))
    deep.annotator.undo()
    assert np.array_equal(deep.strokes.data, former)
    assert np.array_equal(deep.session.labels, labels)
    deep.annotator.undo()
    assert not deep.session.labels.any()
    assert set(np.unique(deep.strokes.data)) == {0, 255}
    deep.annotator.redo()
    assert np.array_equal(deep.strokes.data, former)
    assert np.array_equal(deep.session.labels, labels)


def test_an_accepted_slice_keeps_its_strokes_where_a_ball_is_painted(deep):
    deep.paint(255, (4, 4, 4))
    deep.paint(1, (4, 15, 20))
    deep.session.accept(SliceIndex((1, 2), (3,)))
    before, labels = deep.strokes.data[3].copy(), deep.session.labels[3].copy()
    deep.paint(1, (4, 3, 25))
    assert np.array_equal(deep.strokes.data[3], before)
    assert np.array_equal(deep.session.labels[3], labels)
    assert (deep.session.labels[[2, 4, 5, 6], 3, 25] == 1).all()
    assert "accepted" in deep.messages()[-1]
    deep.session.accept(SliceIndex((1, 2), (4,)))  # the one in sight, too
    deep.paint(1, (4, 17, 3))
    assert not deep.strokes.data[3:5, 17, 3].any()
    assert (deep.session.labels[[2, 5, 6], 17, 3] == 1).all()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 3, 2), (0, 3, 1, 2)])
def test_a_ball_in_a_time_series_changes_one_time_only(nearest, order):
    bench = Bench(np.zeros((7, 7, 7, 7), np.int16), nearest())
    bench.viewer.dims.order = order
    bench.viewer.dims.current_step = (3, 3, 3, 3)
    bench.strokes.n_edit_dimensions = 3
    bench.strokes.brush_size = 3
    for identity, at in ((255, 1), (1, 5)):
        bench.paint(identity, tuple(at if axis in order[2:] else 3 for axis in range(4)))
    session = bench.session
    slices = session.painted_slices(tuple(sorted(order[2:])))
    moved = [axis for axis in range(4) if len(np.unique(np.nonzero(bench.strokes.data)[axis])) > 1]
    assert moved == sorted(order[1:])
    assert [slice_index for slice_index in slices if session.labels[slice_index.slicer].any()] == slices
    assert len(slices) == 3
    bench.annotator.undo()
    bench.annotator.undo()
    assert not session.can_undo
    assert not bench.strokes.data.any()


def test_on_demand_a_ball_waits_and_is_segmented_whole(deep):
    deep.annotator.mode = "demand"
    deep.paint(255, (4, 4, 4))
    deep.paint(1, (4, 15, 20))
    assert not deep.session.labels.any()
    deep.annotator.segment()
    assert (deep.session.labels[2:7, 15, 20] == 1).all()
    deep.annotator.undo()  # all strokes are one step
    assert not deep.session.can_undo
    assert not deep.strokes.data.any()


def test_unknown_ids_enter_the_table(bench):
    bench.paint(255, (1, 2, 2))
    bench.paint(7, (1, 15, 20))
    assert 7 in bench.session.classes
    assert bench.shown()[15, 20] == 7
    assert bench.view.show_classes.call_args.args[0].ids == (255, 1, 7)


def test_ids_above_255_widen_both_layers(bench):
    bench.annotator.set_classes(CLASSES.with_ids([40000]))
    bench.annotator.paint_with(40000)
    bench.paint(255, (1, 2, 2))
    bench.paint(40000, (1, 15, 20))
    assert bench.strokes.data.dtype == bench.result.data.dtype == np.uint16
    assert bench.shown()[15, 20] == 40000
    assert np.shares_memory(bench.result.data, bench.session.labels)


def test_class_in_use_keeps_its_id(bench):
    two_strokes(bench)
    bench.annotator.set_classes(bench.session.classes.without(1))
    assert 1 in bench.session.classes
    assert "erase" in bench.messages()[-1]
    renamed = bench.session.classes.with_class(replace(bench.session.classes[1], name="liver"))
    bench.annotator.set_classes(renamed)
    assert bench.session.classes[1].name == "liver"
    assert "liver" in list(bench.result.features["name"])


def test_locked_class_is_left_alone(bench):
    two_strokes(bench)
    before = bench.shown() == 1
    bench.annotator.set_classes(bench.session.classes.with_class(replace(bench.session.classes[1], locked=True)))
    bench.paint(255, (1, 14, 20))
    assert np.array_equal(bench.shown() == 1, before)


def test_overlay_shows_and_follows(bench):
    bench.annotator.set_overlay("probability", 0.4)
    two_strokes(bench)
    overlay = bench.layers.overlay
    assert overlay.data.max() == 1
    assert "class 1" in overlay.name
    bench.annotator.paint_with(255)
    assert "background" in bench.layers.overlay.name
    bench.viewer.dims.set_current_step(0, 3)
    assert bench.layers.overlay is None
    bench.annotator.set_overlay("uncertainty", 0.4)
    bench.viewer.dims.set_current_step(0, 1)
    overlay = bench.layers.overlay
    assert np.array_equal(overlay.data[0], bench.session.painted_result(1).uncertainty())
    assert 0 < overlay.data.max() < 1
    assert overlay.contrast_limits == [0, 0.5]


def test_most_uncertain_places_are_shown_one_slice_after_the_other(bench):
    bench.annotator.look_at_uncertain()
    assert "No slice has a result" in bench.messages()[-1]
    bench.viewer.dims.set_current_step(0, 1)
    two_strokes(bench)
    bench.viewer.dims.set_current_step(0, 2)
    two_strokes(bench, 2)
    bench.viewer.dims.set_current_step(0, 0)
    places = {place.slice_index.position[0]: place for place in uncertain_places(bench.session.painted_results())}
    assert set(places) == {1, 2}
    shown = []
    for _ in range(3):
        bench.annotator.look_at_uncertain()
        shown.append(bench.viewer.dims.current_step[0])
        place = places[shown[-1]]
        assert camera_of(bench.viewer).center[1:] == (place.row, place.column)  # the scale in the slice is 1
        assert f"z {shown[-1]}" in bench.messages()[-1]
        assert f"{place.share:.0%}" in bench.messages()[-1]
    assert sorted(shown[:2]) == [1, 2]
    assert shown[2] == shown[0]


def test_set_engine_segments_anew(bench, nearest):
    two_strokes(bench)
    count = bench.view.show_notes.call_count
    bench.annotator.set_engine(nearest(weight=2.0), "live", "cpu", "keep")
    assert bench.session.engine.weight == 2.0
    assert (bench.session.device, bench.session.overlap) == ("cpu", "keep")
    assert bench.view.show_notes.call_count > count


# bad situations -------------------------------------------------------------------------------------------------------


def test_3d_view_states_what_to_do(bench):
    bench.viewer.dims.ndisplay = 3
    assert "2D/3D" in bench.messages()[-1]
    bench.annotator.pen_lifted(None)
    for action in ("segment", "clear", "toggle_accepted"):
        getattr(bench.annotator, action)()
        assert "2D/3D" in bench.messages()[-1]
    assert not bench.view.show_state.call_args.args[0].ready


def test_engine_that_raises_leaves_the_former_result(bench, nearest):
    two_strokes(bench)
    before = bench.shown().copy()
    bench.session.use(nearest(error=ZeroDivisionError("oh")))
    bench.paint(1, (1, 3, 3))
    assert np.array_equal(bench.shown(), before)
    assert bench.strokes.data[1, 3, 3] == 1
    assert "ZeroDivisionError" in bench.messages()[-1]
    bench.paint(1, (1, 4, 4))
    assert bench.view.notify.call_count == 1


def test_engine_that_refuses_is_reported_in_its_own_words(bench, nearest):
    bench.session.use(nearest(error=InputError("the image is constant; contrast is expected")))
    two_strokes(bench)
    assert bench.messages()[-1] == "The image is constant; contrast is expected"


def test_nan_voxels_are_reported(nearest):
    array = np.zeros((20, 30))
    array[3, 3] = np.nan
    bench = Bench(array, nearest())
    bench.paint(255, (2, 2))
    bench.paint(1, (15, 20))
    assert "NaN" in bench.messages()[-1]


def test_one_pixel_wide_image(nearest):
    bench = Bench(np.zeros((20, 1)), nearest())
    bench.strokes.brush_size = 1
    bench.paint(255, (2, 0))
    bench.paint(1, (15, 0))
    assert bench.session.labels[15, 0] == 1


def test_strokes_layer_resized(bench):
    two_strokes(bench)
    before = bench.session.labels.copy()
    bench.strokes.data = np.zeros((4, 5, 5), np.uint8)
    assert "(4, 5, 5)" in bench.messages()[-1]
    assert np.array_equal(bench.session.labels, before)


def test_strokes_layer_filled_by_a_program(bench):
    data = np.zeros((4, 20, 30), np.uint8)
    data[1, 2, 2], data[1, 15, 20] = 255, 1
    bench.strokes.data = data
    assert bench.shown()[15, 20] == 1


def test_strokes_layer_deleted_and_brought_back(bench):
    two_strokes(bench)
    painted = bench.strokes.data.copy()
    bench.viewer.layers.remove(bench.strokes)
    assert bench.lost == ["strokes"]
    assert bench.annotator.show_layers()
    bench.watcher.watch_strokes()
    assert np.array_equal(bench.strokes.data, painted)
    bench.paint(1, (1, 3, 3))
    assert bench.session.painted(SliceIndex((1, 2), (1,)))[3, 3] == 1


def test_result_layer_deleted_comes_back_with_the_next_result(bench):
    two_strokes(bench)
    bench.viewer.layers.remove(bench.result)
    assert bench.lost == ["result"]
    bench.paint(1, (1, 3, 3))
    assert bench.result in bench.viewer.layers
    assert bench.shown()[3, 3] == 1


def test_image_deleted_or_replaced_is_reported(bench):
    bench.image.data = np.ones((4, 20, 31))
    assert bench.lost == ["image data"]
    bench.viewer.layers.remove(bench.image)
    assert bench.lost == ["image data", "image"]


def test_layers_renamed_and_reordered(bench):
    two_strokes(bench)
    bench.strokes.name, bench.result.name, bench.image.name = "a", "b", "c"
    bench.viewer.layers.reverse()
    bench.paint(1, (1, 3, 3))
    assert bench.shown()[3, 3] == 1


def test_hidden_layers_still_work(bench):
    bench.result.visible = bench.strokes.visible = False
    two_strokes(bench)
    assert bench.session.labels[1, 15, 20] == 1


def test_slider_beyond_the_image(bench):
    bench.viewer.add_image(np.zeros((9, 20, 30)), scale=(3, 1, 1))
    bench.viewer.dims.set_current_step(0, 8)
    bench.annotator.segment()
    assert "sliders" in bench.messages()[-1]
    assert bench.layers.slice_index() is None


def test_every_layer_deleted_while_a_job_runs(nearest):
    gate, inbox = threading.Event(), Inbox()
    with ThreadPoolExecutor(1) as worker:
        bench = Bench(np.zeros((4, 20, 30)), nearest(gate=gate), executor=worker, deliver=inbox.deliver)
        bench.viewer.dims.set_current_step(0, 0)
        bench.strokes.data[0, 2, 2] = 255
        bench.paint(1, (0, 15, 20))
        assert bench.session.is_busy
        future = bench.session.draw(bench.layers.painted(bench.layers.slice_index()), bench.layers.slice_index())
        bench.viewer.layers.clear()
        gate.set()
        inbox.wait(future, 120)
    assert set(bench.lost) == {"image", "strokes", "result"}
    assert bench.session.labels[0, 15, 20] == 1


def test_cancel_keeps_the_former_result(nearest):
    gate, inbox = threading.Event(), Inbox()
    with ThreadPoolExecutor(1) as worker:
        bench = Bench(np.zeros((20, 30)), nearest(gate=gate), executor=worker, deliver=inbox.deliver)
        bench.strokes.data[2, 2] = 255
        bench.paint(1, (15, 20))
        bench.annotator.cancel()
    inbox.run()
    assert not bench.session.labels.any()
    assert bench.strokes.data[15, 20] == 1
    assert "Cancelled" in bench.messages()[-1]


def test_closed_annotator_does_nothing_more(bench):
    two_strokes(bench)
    bench.watcher.close()
    bench.annotator.close()
    before = bench.session.labels.copy()
    bench.paint(1, (1, 3, 3))
    bench.viewer.dims.set_current_step(0, 2)
    bench.viewer.layers.clear()
    assert np.array_equal(bench.session.labels, before)
    assert bench.lost == []


def test_an_overlay_that_comes_after_the_end_is_not_shown(nearest):
    late = []
    bench = Bench(
        np.zeros((4, 20, 30), np.int16), nearest(), aside=lambda f, done, _failed: late.append(lambda: done(f()))
    )
    bench.viewer.dims.set_current_step(0, 1)
    two_strokes(bench)
    bench.annotator.set_overlay("uncertainty", 0.5)
    bench.annotator.close()
    assert late
    for call in late:
        call()
    assert bench.layers.overlay is None
    assert len(bench.viewer.layers) == 3


def test_result_is_not_painted_on_while_it_is_ours(bench):
    two_strokes(bench)
    assert not bench.result.editable
    bench.annotator.close()
    assert bench.result.editable


def test_volume_larger_than_the_memory(nearest):
    import dask.array as da

    array = da.zeros((40_000, 512, 512), dtype=np.uint16, chunks=(1, 512, 512))  # 20 GB
    bench = Bench(array, nearest())
    bench.viewer.dims.set_current_step(0, 31_000)
    bench.paint(255, (31_000, 20, 20))
    bench.paint(1, (31_000, 400, 400))
    assert bench.session.labels[31_000, 400, 400] == 1


def test_keep_rule_leaves_finished_labels(nearest):
    finished = np.zeros((20, 30), np.uint8)
    finished[:, 25:] = 9
    bench = Bench(np.zeros((20, 30)), nearest(), labels=finished)
    bench.session.overlap = "keep"
    bench.paint(255, (2, 2))
    bench.paint(1, (15, 20))
    assert (bench.session.labels[:, 25:] == 9).all()
    assert np.shares_memory(bench.session.labels, finished)


@pytest.fixture
def clock(monkeypatch):
    """The watcher's clock, one number in a list, which only a test moves on."""
    now = [100.0]
    monkeypatch.setattr(
        "napari_scribseg.widgets.segmentation.layer_watcher.time", SimpleNamespace(monotonic=lambda: now[0])
    )
    return now


def test_where_painting_takes_long_the_frame_waits_for_the_result(nearest, clock):
    later, waits, result, columns = [], [], [True], iter(range(30))

    def wait(_until, seconds):
        waits.append(seconds)
        return result[0]

    bench = Bench(np.zeros((20, 30)), nearest(), later=lambda _ms, function: later.append(function), wait=wait)

    def move():
        bench.paint(1, (15, next(columns)))
        called, later[:] = list(later), []
        return called

    paintings = move()
    assert waits == []  # nothing is known of the window yet
    clock[0] += 0.03  # the window paints
    for function in paintings:
        function()
    move()
    assert len(waits) == 1
    assert 0 < waits[0] <= 0.08
    result[0] = False  # the engine is too slow for that
    move()
    assert len(waits) == 2
    for _ in range(5):
        move()
    assert len(waits) == 2
    move()
    assert len(waits) == 3


def test_results_that_come_late_are_waited_for_but_less_and_less_often_in_vain(nearest, monkeypatch, clock):
    segmented, comes, columns, waited = [True], [True], iter(range(200)), []
    monkeypatch.setattr(Annotator, "has_result", property(lambda _self: segmented[0]))

    def wait(_until, seconds):
        waited.append(seconds)
        clock[0] += 0.02
        return comes[0]

    bench = Bench(np.zeros((20, 300)), nearest(), later=lambda _ms, _function: None, wait=wait)

    def moves(count):
        """Whether each was waited for."""
        waits = []
        for _ in range(count):
            before = len(waited)
            clock[0] += 0.009
            bench.paint(1, (15, next(columns)))
            waits.append(len(waited) > before)
        return waits

    assert moves(10) == [False] * 10  # every answer is there before the next movement
    segmented[0] = False
    assert moves(6) == [False] * 4 + [True] * 2  # none for more than 40 ms
    assert all(0.02 <= seconds <= 0.08 for seconds in waited)
    segmented[0] = True
    assert not any(moves(3))
    segmented[0] = comes[0] = False
    assert [i for i, waits in enumerate(moves(60)) if waits] == [4, 10, 21, 42]  # five are let pass, ten, twenty
    comes[0] = True
    assert moves(60) == [False] * 23 + [True] * 37  # the rest of forty, then all, as they are answered


def test_no_movement_waits_for_an_engine_that_does_not_follow_the_pen(nearest, clock):
    waited, gate = [], threading.Event()
    with ThreadPoolExecutor(1) as executor:
        inbox = Inbox()
        bench = Bench(
            np.zeros((20, 30)), nearest(gate=gate), executor=executor, deliver=inbox.deliver,
            later=lambda _ms, _function: None,
            wait=lambda _until, seconds: waited.append(seconds),
        )  # fmt: skip
        bench.annotator.mode = "demand"
        bench.strokes.data[2, 2] = 255
        bench.paint(1, (2, 20))
        future = bench.session.draw(bench.layers.painted(bench.layers.slice_index()), bench.layers.slice_index())
        assert bench.session.is_busy
        for column in range(10):
            clock[0] += 0.1
            bench.paint(1, (15, column))
        gate.set()
        inbox.wait(future, 120)
    assert waited == []


def test_a_fast_window_never_waits(nearest, clock):
    waits = []
    bench = Bench(np.zeros((20, 30)), nearest(), wait=lambda _until, seconds: waits.append(seconds))
    for column in range(5):
        bench.paint(1, (15, column))
        clock[0] += 0.009
    assert waits == []


# curves and pictures


def curve(n):
    return LossCurve(np.arange(n), np.ones(n), np.ones(n), n - 1, 10)


@pytest.fixture
def fitting(nearest):
    """An engine class that tells a curve, before it waits at its gate and after; and that has a picture."""

    class Fitting(nearest):
        pictures = ("darkness",)

        def segment(self, image, scribbles, state, report=silent):
            made = nearest().segment(image, scribbles, state)
            report(0.1, Segmentation(made.probabilities, None, curve=curve(3)))
            super().segment(image, scribbles, state, report)
            return Segmentation(made.probabilities, None, curve=curve(6))

        def picture(self, name, state):
            return np.full((20, 30, 3), 0.25)

    return Fitting


def shown_curves(bench):
    """How long each curve was that the view was told, and whether its fit went on."""
    calls = bench.view.show_curve.call_args_list
    return [(c.args[0] and len(c.args[0].steps), c.kwargs.get("fitting", False)) for c in calls]


def test_the_curve_is_shown_while_and_after_a_fit_and_for_the_slice_in_sight(fitting):
    bench = Bench(np.zeros((4, 20, 30), np.int16), fitting())
    bench.viewer.dims.set_current_step(0, 0)
    two_strokes(bench, 0)
    assert shown_curves(bench)[-2:] == [(3, True), (6, False)]
    bench.viewer.dims.set_current_step(0, 2)
    assert shown_curves(bench)[-1] == (None, False)
    bench.viewer.dims.set_current_step(0, 0)
    assert shown_curves(bench)[-1] == (6, False)
    bench.annotator.undo()
    assert shown_curves(bench)[-1] == (None, False)


def test_a_fit_that_is_cancelled_leaves_the_former_curve(fitting):
    inbox, gate = Inbox(), threading.Event()
    gate.set()
    with ThreadPoolExecutor(1) as pool:
        bench = Bench(np.zeros((20, 30)), fitting(gate=gate), executor=pool, deliver=inbox.deliver)
        bench.paint(255, (2, 2))
        bench.paint(1, (15, 20))
        wait_for(lambda: not bench.session.is_busy, "the fit", meanwhile=inbox.run)
        gate.clear()
        bench.paint(1, (3, 3))
        wait_for(lambda: shown_curves(bench)[-1] == (3, True), "the fit", meanwhile=inbox.run)
        bench.annotator.look()
        assert shown_curves(bench)[-1] == (3, True)  # what goes on stays in sight
        bench.annotator.cancel()
        wait_for(lambda: not bench.session.is_busy, "the fit", meanwhile=inbox.run)
        assert shown_curves(bench)[-1] == (6, False)


def test_a_picture_becomes_a_layer_and_states_it(fitting):
    bench = Bench(np.zeros((4, 20, 30), np.int16), fitting(), scale=(3, 1, 1))
    bench.viewer.dims.set_current_step(0, 1)
    bench.annotator.show_picture("darkness")
    picture = bench.viewer.layers["darkness of image"]
    assert picture.rgb
    assert tuple(picture.translate) == (3, 0, 0)
    assert bench.messages()[-1] == "Added a layer of darkness of z 1"
    bench.annotator.show_picture("light")
    assert "has no picture 'light', only darkness" in bench.messages()[-1]
    bench.viewer.dims.ndisplay = 3
    bench.annotator.show_picture("darkness")
    assert "3D" in bench.messages()[-1]


def test_a_picture_is_computed_in_the_background_and_comes_too_late_for_an_image_that_is_gone(fitting):
    inbox = Inbox()
    with ThreadPoolExecutor(1) as pool:
        bench = Bench(np.zeros((20, 30)), fitting(), executor=pool, deliver=inbox.deliver)
        bench.annotator.show_picture("darkness")
        assert bench.messages()[-1] == "Computing the darkness of the image; a layer follows"
        assert len(bench.viewer.layers) == 3
        bench.viewer.layers.remove(bench.image)
        bench.session.close()
    inbox.run()
    assert len(bench.viewer.layers) == 2


def test_strokes_from_elsewhere_are_added_where_nothing_is_painted(bench):
    bench.paint(255, (1, 2, 2))
    painted = np.zeros((10, 12), np.int64)
    painted[2, 2:5], painted[8, 8] = 1, 7  # smaller than the slice, with a class that is new
    bench.annotator.add_strokes(painted)
    assert bench.strokes.data[1, 2, 2:5].tolist() == [255, 1, 1]
    assert 7 in bench.session.classes
    assert bench.shown()[8, 8] == 7
    bench.viewer.dims.ndisplay = 3
    with pytest.raises(InputError, match="3D"):
        bench.annotator.add_strokes(painted)
