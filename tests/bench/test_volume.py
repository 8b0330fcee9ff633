"""The protocols of whole volumes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from napari_scribseg.bench.methods import parse_method
from napari_scribseg.bench.plan import Plan, run
from napari_scribseg.bench.play import Rules, VolumeRules
from napari_scribseg.bench.report import write_report
from napari_scribseg.bench.results import BenchJob
from napari_scribseg.bench.summary import rows_frame, summarize
from napari_scribseg.bench.tasks import BenchTask, tasks
from napari_scribseg.bench.volume.fills import FILLS, Span, interpolate, propagate
from napari_scribseg.bench.volume.methods import AtOnce, InSession, SliceBySlice
from napari_scribseg.bench.volume.orders import View, middle, most_wrong, offered, random
from napari_scribseg.bench.volume.play import _Work, play_every_nth, play_setup, play_volume
from napari_scribseg.bench.volume.setups import VolumeSetup, volume_setups
from napari_scribseg.core import EngineInfo, Image, InputError, Segmentation, silent
from napari_scribseg.datasets import Case, DataSet
from napari_scribseg.datasets.views import only


def ball(depth=9, size=24, seed=0):
    """A bright ball in noise: image and truth."""
    z, y, x = np.mgrid[:depth, :size, :size]
    truth = (((z - depth // 2) / (depth / 3)) ** 2 + ((y - size / 2) ** 2 + (x - size / 2) ** 2) / 64 <= 1).astype(
        np.int64
    )
    noise = np.random.default_rng(seed).normal(0, 4, truth.shape)
    return (60 + 100 * truth + noise).astype(np.float32), truth


@pytest.fixture
def volume():
    image, truth = ball()
    return BenchTask("ball", "g", Image.from_array(image, (2.0, 1.0, 1.0)), truth, 2, (1,), None, "mm")


@dataclass(frozen=True)
class Threshold:
    """Bright pixels are the object, but for those left of ``blind`` unless they are painted."""

    blind: int = 0
    info: ClassVar[EngineInfo] = EngineInfo("threshold", "Threshold", "for tests", ndim=(2, 3))

    def prepare(self, image, device="auto"):
        return image.data[0] > 110

    def segment(self, image, scribbles, state, report=silent):
        found = state.copy()
        found[..., : self.blind] = False
        probabilities = np.stack([~found, found]).astype(np.float32)
        return Segmentation.of(probabilities, scribbles, state)


def job(method="threshold / none / middle", protocol="volume"):
    return BenchJob("made", "ball", protocol, method)


def span(first, last, length, n_classes=2):
    """Of flat images."""
    shape = (first if first is not None else last).shape
    n = length + (first is not None) + (last is not None)
    images = [Image.from_array(np.zeros(shape, np.float32), (1.0, 1.0)) for _ in range(n)]
    return Span(first, last, images, 1.0, n_classes, Threshold())


def square(low, high, size=20):
    labels = np.zeros((size, size), np.intp)
    labels[low:high, low:high] = 1
    return labels


def test_interpolation_lies_between_its_two_sides():
    small, large = square(8, 12), square(4, 16)
    found = interpolate(span(small, large, 3))
    sizes = [int(labels.sum()) for labels in (small, *found, large)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 5
    assert all((labels[small == 1] == 1).all() for labels in found)


def test_a_class_that_one_side_lacks_shrinks_towards_it():
    found = interpolate(span(square(4, 16), np.zeros((20, 20), np.intp), 5))
    sizes = [int(labels.sum()) for labels in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


@pytest.mark.parametrize("side", ["first", "last"])
def test_interpolation_ends_at_the_outermost_slice(side):
    given = {"first": None, "last": None} | {side: square(4, 16)}
    assert interpolate(span(given["first"], given["last"], 4)) == [None] * 4


def test_propagation_beyond_the_outermost_slice_runs_away_from_it():
    image, truth = ball()
    images = [Image.from_array(values, (1.0, 1.0)) for values in image]
    forth = propagate(Span(truth[4].astype(np.intp), None, images[4:], 2.0, 2, Threshold()))
    back = propagate(Span(None, truth[4].astype(np.intp), images[:5], 2.0, 2, Threshold()))
    assert (len(forth), len(back)) == (4, 4)
    for near in (forth[0], back[-1]):
        assert near is not None
        assert 2 * (near * truth[5]).sum() / (near.sum() + truth[5].sum()) > 0.9


def test_without_a_fill_only_slices_with_strokes_have_labels(volume):
    method = SliceBySlice(Threshold(), volume, None)
    seeds = np.full((24, 24), -1, np.int32)
    seeds[12, 12], seeds[0, 0] = 1, 0
    method.paint(4, seeds)
    np.testing.assert_array_equal(method.labels[4], volume.truth[4])
    assert not method.labels[[0, 1, 2, 3, 5, 6, 7, 8]].any()
    assert [method.is_labelled(i) for i in (3, 4)] == [False, True]


def test_a_correction_of_a_filled_slice_keeps_what_it_does_not_contradict(volume):
    method = SliceBySlice(Threshold(blind=24), volume, interpolate)  # the engine finds nothing but the strokes
    method.give(3, volume.truth[3], more=True)
    method.give(5, volume.truth[5])
    before = method.labels[4].copy()
    assert before.any()
    seeds = np.full((24, 24), -1, np.int32)
    seeds[0, 0] = 1
    method.paint(4, seeds)
    changed = method.labels[4] != before
    assert changed[0, 0]
    assert not changed[8:].any()


def test_a_stroke_fills_only_the_spans_beside_it(volume):
    lengths = []

    def fill(given):
        lengths.append(given.length)
        return [np.zeros((24, 24), np.intp)] * given.length

    method = SliceBySlice(Threshold(), volume, fill)
    for index in (0, 4, 8):
        method.give(index, volume.truth[index], more=index < 8)
    assert lengths == [3, 3]
    lengths.clear()
    method.give(6, volume.truth[6])
    assert lengths == [1, 1]


def test_a_session_fills_and_offers_a_slice(volume):
    method = InSession(Threshold(), volume)
    seeds = np.full((24, 24), -1, np.int32)
    seeds[0, 0] = 0
    method.paint(2, seeds)
    assert not method.is_labelled(2)
    seeds[12, 12] = 1
    method.paint(2, seeds, more=True)
    assert not method.is_labelled(3)
    method.paint(6, seeds)
    np.testing.assert_array_equal(method.labels[6], volume.truth[6])
    assert all(method.is_labelled(index) for index in range(2, 7))
    assert method.labels[4, 12, 12] == 1
    offered = method.offer()
    assert offered in range(9)
    method.accept(offered)
    assert method.offer() != offered
    seeds[0, 23] = 1
    method.paint(offered, seeds)  # it is opened again
    assert method.labels[offered, 0, 23] == 1


def test_a_session_keeps_given_labels(volume):
    method = InSession(Threshold(), volume)
    empty = np.zeros((24, 24), np.intp)
    for index, labels in ((2, volume.truth[2]), (3, empty), (6, volume.truth[6])):
        method.give(index, labels, more=index < 6)
    np.testing.assert_array_equal(method.labels[[2, 6]], volume.truth[[2, 6]])
    assert not method.labels[3].any()
    assert method.labels[5].any()


def test_at_once_takes_the_strokes_of_all_slices(volume):
    method = AtOnce(Threshold(), volume)
    seeds = np.full((24, 24), -1, np.int32)
    seeds[0, 0] = 0
    method.paint(0, seeds)
    assert not method.is_labelled(4)
    seeds[12, 12] = 1
    method.paint(4, seeds)
    assert method.is_labelled(0)
    np.testing.assert_array_equal(method.labels > 0, (volume.truth > 0) & (volume.image.data[0] > 110))


def view(truth, labels, touched=(), finished=(), accepted=(), offer=None):
    class Fixed:
        def __init__(self):
            self.labels = labels

        def offer(self):
            return offer

    seeds = np.full(truth.shape, -1, np.int32)
    seeds[list(touched), 0, 0] = 0
    return View(Fixed(), truth, seeds, set(finished), set(accepted), np.random.default_rng(0))


def test_orders():
    _, truth = ball()  # objects on slices 1 to 7
    labels = truth.copy()
    labels[2], labels[6] = 0, 1
    assert most_wrong(view(truth, labels)) == 6
    assert most_wrong(view(truth, labels, finished=[6])) == 2
    assert most_wrong(view(truth, truth)) is None
    assert middle(view(truth, labels)) == 4
    assert middle(view(truth, labels, touched=[4])) == 1
    assert middle(view(truth, labels, touched=[1, 4])) == 6
    assert middle(view(truth, labels, touched=[1], accepted=[4])) == 6
    assert middle(view(truth, labels, touched=range(9))) == 6  # none is left: the most wrong one
    assert random(view(truth, labels, touched=[0, 1, 2, 3, 4, 5, 6, 8])) == 7
    assert random(view(truth, labels, touched=range(9))) == 6
    assert offered(view(truth, labels, offer=5)) == 5
    assert offered(view(truth, labels, touched=[4])) == 1
    assert offered(view(truth, labels, touched=[4], finished=[5], offer=5)) == 1


def test_a_slice_without_objects_and_labels_costs_no_stroke(volume):
    rules = Rules(volume=VolumeRules(strokes=50))
    method = InSession(Threshold(), volume)
    rows = play_volume(method, volume, job(), "middle", rules)
    assert rows[-1].dice >= 0.9
    method = SliceBySlice(Threshold(), volume, None)
    work = _Work(method, volume, job(), "middle", rules)
    work._visit(0)
    assert work._view.accepted == {0}
    assert not work._rows
    work._visit(4)
    assert {row.slices for row in work._rows} == {1}


def test_a_user_counts_every_stroke_and_stops_at_the_target(volume):
    rules = Rules(volume=VolumeRules(strokes=50, target=0.9))
    rows = play_volume(SliceBySlice(Threshold(), volume, None), volume, job(), "middle", rules)
    assert [row.interaction for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1].dice >= 0.9 > rows[-2].dice
    assert len(rows) == 2 * rows[-1].slices  # two classes a slice, and nothing to correct
    assert math.isnan(rows[-2].hausdorff95)
    assert rows[-1].hausdorff95 >= 0
    assert rows[0].dice == 0  # one class is not enough
    assert math.isnan(rows[0].seconds)
    assert rows[1].seconds > 0


def test_filling_needs_fewer_strokes(volume):
    rules = Rules(volume=VolumeRules(strokes=50))
    methods = {name: SliceBySlice(Threshold(), volume, FILLS[name]) for name in ("none", "interpolation")}
    methods["between"] = InSession(Threshold(), volume)
    by_fill = {name: play_volume(method, volume, job(), "middle", rules) for name, method in methods.items()}
    assert all(rows[-1].dice >= 0.9 for rows in by_fill.values())
    assert len(by_fill["interpolation"]) < len(by_fill["none"])
    assert len(by_fill["between"]) < len(by_fill["none"])


@pytest.mark.parametrize(("worth", "drawn"), [(0.0, [1]), (1.0, [0, 1])])
def test_bad_labels_are_painted_anew_and_better_ones_corrected(volume, worth, drawn):
    class Half(SliceBySlice):
        def is_labelled(self, index):
            return True

    method = Half(Threshold(), volume, None)
    method.labels = volume.truth.copy()
    method.labels[:, :, :12] = 0
    rules = Rules(volume=VolumeRules(strokes=len(drawn), worth=worth))
    rows = play_volume(method, volume, job(), "middle", rules)
    assert len(rows) == len(drawn)
    assert (rows[-1].dice > rows[0].dice) == (len(drawn) > 1)  # one class alone is not enough for the engine


def test_a_slice_with_good_labels_is_accepted_without_a_stroke(volume):
    class Right(SliceBySlice):
        accepted: ClassVar = []

        def is_labelled(self, index):
            return True

        def accept(self, index):
            self.accepted.append(index)

    method = Right(Threshold(), volume, None)
    method.labels = volume.truth.copy()
    method.labels[6] = 0
    rules = Rules(volume=VolumeRules(strokes=2, target=0.999))
    rows = play_volume(method, volume, job(), "middle", rules)
    assert method.accepted[:2] == [4, 1]
    assert 6 not in method.accepted
    assert [row.slices for row in rows] == [1] * len(rows)


def test_a_user_gives_up_after_the_most_strokes(volume):
    rules = Rules(volume=VolumeRules(strokes=7))
    rows = play_volume(SliceBySlice(Threshold(blind=24), volume, None), volume, job(), "most-wrong", rules)
    assert len(rows) == 7
    assert rows[-1].dice < 0.9


def test_a_failure_ends_the_work_with_a_score_of_0(volume):
    class Broken(Threshold):
        def segment(self, *_):
            raise ValueError("no")

    rows = play_volume(SliceBySlice(Broken(), volume, None), volume, job(), "middle", Rules())
    assert rows[-1].failure == "ValueError: no"
    assert (len(rows), rows[-1].dice) == (2, 0)


def test_the_same_seed_gives_the_same_rows(volume):
    def measures():
        rows = play_volume(AtOnce(Threshold(6), volume), volume, job(), "random", Rules(volume=VolumeRules(12)))
        return [(row.interaction, row.stroke_pixels, row.dice) for row in rows]

    assert measures() == measures()


def test_true_labels_on_every_nth_slice_score_the_slices_between(volume):
    method = SliceBySlice(Threshold(), volume, lambda given: [None] * given.length)
    (row,) = play_every_nth(method, volume, job(protocol="every-nth-truth"), 2)
    assert (row.slices, row.dice) == (5, 0)
    filled = SliceBySlice(Threshold(), volume, interpolate)
    (row,) = play_every_nth(filled, volume, job(protocol="every-nth-truth"), 2)
    assert row.dice > 0.8


def test_peoples_strokes_on_every_nth_slice_score_the_volume(volume):
    strokes = np.full(volume.truth.shape, -1, np.int32)
    strokes[1:8, 0, 0], strokes[1:8, 12, 12] = 0, 1
    strokes[0, 0, 0] = 0  # one class only: it does not count
    drawn = BenchTask(**{name: getattr(volume, name) for name in volume.__slots__} | {"strokes": strokes})
    by_number = {}
    for every in (1, 3):
        method = SliceBySlice(Threshold(), drawn, None)
        (by_number[every],) = play_every_nth(method, drawn, job(protocol="every-nth"), every)
    assert by_number[1].slices == 7
    assert by_number[1].dice == 1
    assert by_number[3].slices == 3
    assert by_number[3].dice < 1


def test_setups_name_what_is_compared():
    found = volume_setups("volume", ["svcd:model=paper", "watershed", "graph-cut"], ["none", "between"],
                          ["offered", "middle"], [3])  # fmt: skip
    assert found == [
        "svcd:model=paper / none / middle",
        "svcd:model=paper / between / offered",
        "svcd:model=paper / between / middle",
        "watershed / at once / middle",
    ]
    assert volume_setups("every-nth", ["svcd"], ["none", "between"], [], [1, 3]) == [
        "svcd / none / every 1",
        "svcd / none / every 3",
        "svcd / between / every 3",
    ]
    assert volume_setups("every-nth-truth", ["svcd", "watershed"], ["none", "between"], [], [1, 6]) == [
        "svcd / between / every 6",
        "watershed / at once / every 6",
    ]
    setup = VolumeSetup.parse("svcd:model=paper / between / every 3")
    assert (setup.method, setup.fill, setup.every) == ("svcd:model=paper", "between", 3)


@pytest.mark.parametrize(
    ("fills", "orders", "every", "message"),
    [
        (["copy"], [], [], "no fill 'copy'; expected one of none, "),
        (["none"], ["alphabetical"], [], "no order 'alphabetical'; expected one of offered, "),
        (["none"], [], [0], "every 0th slice was requested; numbers from 1"),
    ],
)
def test_setups_that_there_are_not(fills, orders, every, message):
    with pytest.raises(InputError, match=message):
        volume_setups("volume", ["svcd"], fills, orders, every)


def test_a_peer_segments_a_volume_at_once(volume):
    setup = VolumeSetup("watershed", "at once", "middle")
    rows = play_setup(parse_method("watershed"), setup, volume, job(str(setup)), Rules(volume=VolumeRules(30)))
    assert rows[-1].dice > 0.8
    assert not any(row.failure for row in rows)


def test_a_volume_is_one_task():
    image, truth = ball()
    strokes = np.full(truth.shape, -1, np.int32)
    strokes[4, 12, 12], strokes[4, 0, 0] = 5, 0
    labels = np.where(truth == 1, 5, 0).astype(np.int32)
    labels[2, 0, :8] = 7  # nobody painted it, and it is too small to be drawn
    case = Case("ball", image, labels, (2.0, 1.0, 1.0), strokes=strokes)
    (whole,) = tasks(case, "volume")
    assert (whole.truth.shape, whole.n_classes, whole.counted, whole.strokes) == (truth.shape, 2, (1,), None)
    assert (whole.truth[2, 0, :8] == -1).all()
    (drawn,) = tasks(case, "every-nth")
    assert (drawn.truth[2, 0, :8] == 0).all()
    assert drawn.strokes is not None
    np.testing.assert_array_equal(np.unique(drawn.strokes), [-1, 0, 1])
    flat = Case("flat", image[4], labels[4], (1.0, 1.0), strokes=strokes[4])
    assert [list(tasks(flat, protocol)) for protocol in ("volume", "every-nth", "every-nth-truth")] == [[], [], []]
    unpainted = Case("ball", image, labels, (2.0, 1.0, 1.0))
    assert list(tasks(unpainted, "every-nth")) == []


def read_ball(name):
    image, truth = ball(seed=int(name[-1]))
    labels = np.where(truth == 1, 5, 0).astype(np.int32)
    labels[4, 0, :8] = 7
    return Case(name, image, labels, (2.0, 1.0, 1.0), group=name, names={5: "ball", 7: "stripe"}, unit="mm")


def test_a_run_on_volumes_and_its_report(tmp_path):
    data = DataSet("balls", "Balls", "CC0", False, False, ("b0", "b1"), read_ball)
    rules = Rules(volume=VolumeRules(strokes=12))
    plan = Plan(("watershed", "graph-cut"), (data,), ("volume", "every-nth-truth"), rules, labels=("ball",), every=(2,))
    rows = run(plan, tmp_path)
    found = summarize(rows_frame(rows), rules)
    assert found["method"].tolist() == ["watershed / at once / middle", "watershed / at once / every 2"]
    by_user, by_truth = found.iloc[0], found.iloc[1]
    curves = [[row.dice for row in rows if row.protocol == "volume" and row.case == case] for case in ("b0", "b1")]
    assert by_user.noc85 == np.mean([np.flatnonzero(np.asarray(curve) >= 0.85)[0] + 1 for curve in curves])
    assert by_user.noc85_low <= by_user.noc85 <= by_user.noc85_high
    assert by_user.reached85 == 1
    assert by_truth.first_seconds > 0
    write_report(rows, rules, tmp_path)
    report = (tmp_path / "report.md").read_text()
    assert "| watershed / at once / middle | 2 |" in report
    assert "| strokes to 0.85 | strokes to 0.90 | Dice after 12 | slices |" in report
    assert f"{by_user.noc85:.0f} ({by_user.noc85_low:.0f} to {by_user.noc85_high:.0f}), 2 of 2" in report


def test_labels_that_count():
    case = read_ball("b0")
    assert only(case, ["ball"]).ids == only(case, ["5"]).ids == (0, 5)
    assert only(case, ["stripe", "5"]).ids == (0, 5, 7)
    with pytest.raises(InputError, match="b0: its truth has no label 'liver'; it has ball, stripe"):
        only(case, ["liver"])
    with pytest.raises(InputError, match="every label of it is an object"):
        only(replace(case, background=None), ["ball"])
