"""The status line: derived from what is so, and never of what was so before."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from annotation_bench import Bench

from napari_scribseg.core import EngineInfo
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel import Inbox
from napari_scribseg.widgets.common.messages import Message
from napari_scribseg.widgets.segmentation.present import Present, listed, status_of

DONE = Present(where="z 11", painted=("background", "liver"), labelled=("liver",), segmented=True)


@pytest.mark.parametrize(
    ("present", "text"),
    [
        (DONE, "Done on z 11: background and liver"),
        (replace(DONE, accepted=True), "Z 11 is accepted: nothing changes it until you reopen it (A)"),
        (replace(DONE, unsent=True), "Painted: press Segment (S) when the strokes are done"),
        (replace(DONE, segmented=False),
         "No result on z 11 for the strokes of background and liver: press Segment (S)"),
        (replace(DONE, painted=()), "Z 11 has labels of liver; a stroke corrects them"),
        (replace(DONE, painted=("liver",), lacking="strokes of liver only; paint a second class"),
         "Strokes of liver only; paint a second class on z 11"),
        (replace(DONE, overlay="there is no uncertainty until it is segmented"),
         "Done on z 11: background and liver; there is no uncertainty until it is segmented"),
        (replace(DONE, painted=("liver",), limit="background"),
         "Liver fills all of z 11; a stroke of background limits it"),
        (replace(DONE, painted=("liver", "spleen"), limit="background"),
         "Liver and spleen fill all of z 11; a stroke of background limits them"),
        (replace(DONE, trouble=Message("3D")), "3D"),
        (replace(DONE, trouble=Message("3D"), news=Message("Saved")), "Saved"),
        (replace(DONE, news=Message("Saved"), working=Message("Computing")), "Computing"),
    ],
)  # fmt: skip
def test_the_line_is_what_matters_most(present, text):
    assert status_of(present).text == text


def test_names_in_a_message():
    assert listed(("a",)) == "a"
    assert listed(("a", "b", "c")) == "a, b and c"
    assert listed(tuple("abcde")) == "5 classes"
    assert listed(()) == ""


# of a whole annotation -----------------------------------------------------------------------------------------------


@pytest.fixture
def bench(nearest):
    bench = Bench(np.zeros((9, 20, 30), np.int16), nearest(), scale=(3, 1, 1))
    bench.viewer.dims.set_current_step(0, 3)
    bench.strokes.brush_size = 1
    liver = replace(bench.session.classes[1], name="liver")
    bench.annotator.set_classes(bench.session.classes.with_class(liver))
    return bench


def line(bench):
    return bench.messages()[-1]


def turn(bench, z):
    bench.viewer.dims.set_current_step(0, z)


def stroke(bench, identity, z, row=2):
    bench.paint(identity, (z, row, 2), (z, row, 3))


def both(bench, z=3):
    stroke(bench, 255, z)
    stroke(bench, 1, z, 15)


def test_one_class_of_two_by_its_name_and_the_other_that_is_missing(bench):
    stroke(bench, 255, 3)
    assert line(bench) == "Strokes of background only; paint a second class, such as liver, on z 3"
    bench.annotator.undo()
    stroke(bench, 1, 3)
    assert line(bench) == "Strokes of liver only; paint a second class, such as the background, on z 3"
    bench.annotator.set_classes(bench.session.classes.with_class(replace(bench.session.classes[1], name="spleen")))
    assert line(bench) == "Strokes of spleen only; paint a second class, such as the background, on z 3"


def test_an_engine_that_one_class_is_enough_for_takes_the_hint_back(bench, nearest):
    class Alone(nearest):
        info = EngineInfo("alone", "Alone", "", min_classes=1)

    stroke(bench, 1, 3)
    bench.annotator.set_engine(Alone(), "live", "cpu", "overwrite")
    assert line(bench) == "Done on z 3: liver"


def test_classes_that_fill_the_slice_are_limited_by_a_stroke_of_the_background(bench):
    stroke(bench, 1, 3)
    stroke(bench, 2, 3, 15)
    assert line(bench) == "Liver and class 2 fill all of z 3; a stroke of background limits them"
    stroke(bench, 255, 3, 18)
    assert line(bench) == "Done on z 3: background, liver and class 2"


def test_what_is_accepted_is_reported_there_only_and_not_after_undo(bench):
    both(bench)
    assert line(bench) == "Done on z 3: background and liver"
    bench.annotator.toggle_accepted()
    assert line(bench) == "Accepted z 3; N shows the next open slice"
    turn(bench, 4)
    assert line(bench) == "No strokes; paint one in each of two classes on z 4"
    turn(bench, 3)
    assert line(bench) == "Z 3 is accepted: nothing changes it until you reopen it (A)"
    bench.annotator.undo()
    assert line(bench) == "Undone: accepting z 3"
    turn(bench, 4)
    turn(bench, 3)
    assert line(bench) == "Done on z 3: background and liver"


def test_undo_and_redo_are_reported_at_once(bench):
    both(bench)
    bench.annotator.undo()
    assert line(bench) == "Undone: the stroke on z 3"
    bench.annotator.redo()
    assert line(bench) == "Redone: the stroke on z 3"
    turn(bench, 5)
    assert line(bench).startswith("No strokes")
    bench.annotator.undo()
    assert line(bench) == "Undone: the stroke on z 3, which is not displayed"
    turn(bench, 3)
    assert line(bench) == "Strokes of background only; paint a second class, such as liver, on z 3"


def test_propagation_reports_its_slices_and_undo_takes_all_back(bench):
    both(bench)
    bench.annotator.propagate(3)
    assert line(bench) == "Propagated to z 4 to z 6; z 3 is still displayed"
    turn(bench, 5)
    assert line(bench) == "Z 5 has labels of liver; a stroke corrects them"
    bench.annotator.undo()
    assert line(bench) == "Undone: the propagation to z 4 to z 6"
    assert not bench.session.labels[4:].any()
    bench.annotator.redo()
    assert line(bench) == "Redone: the propagation to z 4 to z 6"
    assert bench.session.labels[6].any()


def test_a_propagation_that_ends_early_states_where_and_why(bench):
    both(bench)
    bench.session.accept(SliceIndex((1, 2), (5,)))
    bench.annotator.propagate(3)
    assert line(bench) == "Propagated to z 4; stopped before z 5, which is accepted; z 3 is still displayed"


def test_clear_and_what_it_leaves(bench):
    bench.annotator.clear()
    assert line(bench) == "There is nothing to clear on z 3"
    both(bench)
    bench.annotator.clear()
    assert line(bench) == "Cleared z 3; Undo restores it"
    bench.annotator.undo()
    assert line(bench) == "Undone: clearing z 3"


def test_clear_reports_the_labels_that_were_there_before(nearest):
    labels = np.zeros((9, 20, 30), np.uint8)
    labels[3, 5:9] = 1
    bench = Bench(np.zeros((9, 20, 30), np.int16), nearest(), labels=labels)
    bench.viewer.dims.set_current_step(0, 3)
    assert line(bench) == "Z 3 has labels of class 1; a stroke corrects them"
    both(bench)
    bench.annotator.clear()
    assert "labels from before the strokes are back" in line(bench)


def test_3d_and_back(bench):
    both(bench)
    bench.viewer.dims.ndisplay = 3
    assert "2D/3D" in line(bench)
    bench.viewer.dims.ndisplay = 2
    assert line(bench) == "Done on z 3: background and liver"


@pytest.mark.parametrize("role", ["strokes", "result"])
def test_a_layer_that_was_deleted_and_restored(bench, role):
    both(bench)
    bench.viewer.layers.remove(getattr(bench.layers, role))
    bench.annotator.refresh_state()
    assert f"The {role} layer was deleted" in line(bench)
    assert bench.lines()[-1].error
    if bench.annotator.show_layers():
        bench.watcher.watch_strokes()
    bench.annotator.refresh_state()
    assert line(bench) == "Done on z 3: background and liver"


def test_a_layer_of_another_shape_is_reported_until_it_fits_again(bench):
    both(bench)
    former = bench.strokes.data
    bench.strokes.data = np.zeros((4, 5, 5), np.uint8)
    assert "(4, 5, 5)" in line(bench)
    bench.strokes.data = former
    assert line(bench) == "Done on z 3: background and liver"


def test_on_demand_the_line_requests_the_button_until_it_is_pressed(bench):
    bench.annotator.mode = "demand"
    both(bench)
    assert line(bench) == "Painted: press Segment (S) when the strokes are done"
    bench.annotator.segment()
    assert line(bench) == "Done on z 3: background and liver"


def test_in_a_project_accepting_also_reports_what_is_left(bench):
    bench.view.work_left.return_value = "14 of 36 slices accepted, about 9 strokes left"
    both(bench)
    bench.annotator.toggle_accepted()
    bench.view.work_left.assert_called_once_with(bench.annotator.session)
    left = "14 of 36 slices accepted, about 9 strokes left"
    assert line(bench) == f"Accepted z 3; N shows the next open slice. {left}"


def test_news_hold_until_something_happens(bench):
    both(bench)
    bench.annotator.show_message("Saved a.nii.gz in /tmp")
    bench.annotator.refresh_state()
    assert line(bench) == "Saved a.nii.gz in /tmp"
    stroke(bench, 1, 3, 9)
    assert line(bench) == "Done on z 3: background and liver"


def test_an_overlay_that_has_nothing_to_show_states_why(bench):
    bench.annotator.set_overlay("uncertainty", 0.5)
    assert line(bench).endswith("on z 3; there is no uncertainty until it is segmented")
    both(bench)
    assert line(bench) == "Done on z 3: background and liver"
    bench.annotator.set_classes(bench.session.classes.with_ids([7]))
    bench.annotator.set_overlay("probability", 0.5)
    bench.annotator.paint_with(7)
    assert line(bench).endswith("there is no probability of class 7: it has no strokes here")
    bench.annotator.paint_with(1)
    assert line(bench) == "Done on z 3: background and liver"


def test_the_overlay_is_there_after_undo_redo_and_propagation(bench):
    bench.annotator.set_overlay("probability", 0.5)
    both(bench)
    first = bench.layers.overlay.data.copy()
    stroke(bench, 1, 3, 6)
    second = bench.layers.overlay.data.copy()
    assert (first != second).any()
    bench.annotator.undo()
    assert np.array_equal(bench.layers.overlay.data, first)
    bench.annotator.redo()
    assert np.array_equal(bench.layers.overlay.data, second)
    bench.annotator.propagate(3)
    for z in (4, 5, 6):
        turn(bench, z)
        assert bench.layers.overlay is not None
        assert bench.layers.overlay.data.max() == 1


# while something is computed ------------------------------------------------------------------------------------------


@pytest.fixture
def gated(nearest):
    """An annotation whose engine waits, and a function that lets it go."""
    gate, inbox = threading.Event(), Inbox()
    with ThreadPoolExecutor(1) as pool:
        bench = Bench(np.zeros((9, 20, 30)), nearest(gate=gate), executor=pool, deliver=inbox.deliver)
        bench.viewer.dims.set_current_step(0, 3)

        def settle():
            gate.set()
            while bench.session.is_busy:
                inbox.run()

        bench.settle, bench.gate, bench.inbox = settle, gate, inbox
        yield bench
        settle()


def test_a_fit_that_runs_is_reported_and_not_the_strokes_that_it_is_for(gated):
    both(gated)
    assert line(gated) == "Computing z 3 with Nearest stroke…"
    assert gated.lines()[-1].patient
    turn(gated, 4)
    assert line(gated) == "Computing z 3 with Nearest stroke…"
    gated.settle()
    assert line(gated) == "No strokes; paint one in each of two classes on z 4"
    turn(gated, 3)
    assert line(gated) == "Done on z 3: background and class 1"


def test_a_propagation_that_runs_reports_how_far_it_is(gated):
    gated.gate.set()
    both(gated)
    gated.settle()
    gated.gate.clear()
    gated.annotator.propagate(2)
    assert line(gated) == "Propagating to z 4, slice 1 of 2…"
    gated.settle()
    assert line(gated) == "Propagated to z 4 to z 5; z 3 is still displayed"
    assert not any("slice 3 along" in text for text in gated.messages())


def test_cancelled_stays_in_sight_and_what_is_missing_follows(gated):
    both(gated)
    gated.annotator.cancel()
    assert line(gated) == "Stopping; the former result stays"
    gated.settle()
    assert line(gated) == "Cancelled; the former result stays"
    turn(gated, 4)
    turn(gated, 3)
    assert line(gated) == "No result on z 3 for the strokes of background and class 1: press Segment (S)"
    gated.annotator.segment()
    gated.settle()
    assert line(gated) == "Done on z 3: background and class 1"


def test_a_failure_is_reported_with_the_slice_s_name_until_something_is_painted(gated, nearest):
    gated.gate.set()
    gated.session.use(nearest(error=ValueError("oh")))
    both(gated)
    gated.settle()
    assert line(gated) == "Nearest stroke failed on z 3: ValueError('oh')"
    assert gated.lines()[-1].error
    gated.session.use(nearest())
    stroke(gated, 1, 3, 9)
    gated.settle()
    assert line(gated) == "Done on z 3: background and class 1"


def test_a_network_requested_alone_is_reported_while_it_runs_and_after(nearest):
    class Saying(nearest):
        def unprompted(self, state):
            dark = np.zeros((20, 30), bool)
            dark[3:7] = True
            return np.stack((~dark, dark)).astype(np.float32)

    inbox = Inbox()
    with ThreadPoolExecutor(1) as pool:
        bench = Bench(np.zeros((9, 20, 30)), Saying(), executor=pool, deliver=inbox.deliver)
        bench.viewer.dims.set_current_step(0, 3)
        bench.annotator.run_network()
        assert line(bench) == "The network segments z 3…"
        while bench.session.doing is not None:
            inbox.run()
    assert line(bench) == "Z 3 has labels of class 1; a stroke corrects them"
    bench.annotator.undo()
    assert line(bench) == "Undone: the labels written to z 3"
