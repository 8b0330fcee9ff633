"""Any order of actions can be undone, redone, saved, resumed and replayed."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.numerics.editing import CopySlices, Grow, KeepLargest, Shrink, Smooth, Split

SHAPE = (4, 5, 6)
SLICES = st.sampled_from(
    [SliceIndex((1, 2), (1,)), SliceIndex((1, 2), (2,)), SliceIndex((0, 2), (3,)), SliceIndex((0, 1), (4,))]
)
IDS = st.sampled_from([0, 1, 2, 3, 300])


class Actions(RuleBasedStateMachine):
    """Against a model that keeps whole copies."""

    engine: type

    @initialize(keep=st.booleans(), old=st.booleans(), state_bytes=st.sampled_from([0, 5000, 1 << 20]))
    def begin(self, keep, old, state_bytes):
        self.volume = Source.from_array((np.arange(120).reshape(SHAPE) * 37 % 101).astype(np.float32))
        labels = np.zeros(SHAPE, np.uint8)
        if old:
            labels[1:3, 2:4] = 8
        self.session = Session(
            self.volume,
            self.engine(trail=True),
            classes=ClassTable.from_ids([1], background=1),
            overlap="keep" if keep else "overwrite",
            labels=labels,
            state_bytes=state_bytes,
        )
        self.past = [self.now()]
        self.future, self.logged = [], 0

    def now(self):
        painted = np.stack([self.session.painted(SliceIndex((1, 2), (z,))) for z in range(4)])
        return self.session.labels.astype(int), painted, self.session.accepted

    def same(self, one, two):
        return (one[0] == two[0]).all() and (one[1] == two[1]).all() and one[2] == two[2]

    def done(self):
        changed = not self.same(self.now(), self.past[-1])
        if changed:
            self.past.append(self.now())
        logged = self.session._document.sequence  # a new entry may change what is not seen, such as what was fixed
        if changed or logged > self.logged:
            self.future = []
        self.logged = logged

    @rule(slice_index=SLICES, data=st.data(), live=st.booleans())
    def draw_live(self, slice_index, data, live):
        self.draw(slice_index, data, live)

    @rule(slice_index=SLICES)
    def the_same_strokes_again(self, slice_index):
        self.session.draw(self.session.painted(slice_index), slice_index)
        self.done()

    def draw(self, slice_index, data, live):
        strokes = self.session.painted(slice_index).astype(np.uint16)
        for _ in range(data.draw(st.integers(2, 8))):
            r = data.draw(st.integers(0, strokes.shape[0] - 1))
            c = data.draw(st.integers(0, strokes.shape[1] - 1))
            strokes[r, c] = data.draw(IDS)
        if live:
            self.session.draw(strokes, slice_index, live=True)
        self.session.draw(strokes, slice_index)
        self.done()

    @rule(slice_index=SLICES, data=st.data())
    def draw_again(self, slice_index, data):
        self.draw(slice_index, data, live=False)

    @rule(slice_index=SLICES)
    def clear(self, slice_index):
        self.session.clear(slice_index)
        self.done()

    @rule(slice_index=SLICES, value=st.integers(0, 9))
    def edit(self, slice_index, value):
        self.session.edit(np.full(self.volume.slice_shape(slice_index), value), slice_index)
        self.done()

    @rule(slice_index=SLICES, value=st.integers(0, 9), seed=st.integers(0, 99))
    def paint_the_result(self, slice_index, value, seed):
        before = self.session.labels[slice_index.slicer].copy()
        where = np.random.default_rng(seed).random(before.shape) < 0.3
        done = self.session.edit(np.where(where, value, before), slice_index, fix=where)
        assert done == (slice_index not in self.session.accepted)
        self.done()

    @rule(
        tool=st.sampled_from([Grow(1.0), Shrink(1.0), KeepLargest(), Smooth(size=1.0), Split(neck=0.5), CopySlices(2)]),
        identity=st.sampled_from([2, 3, 8]),
        axis=st.integers(0, 2),
        scope=st.sampled_from([(0, 0), (0, 3), (1, 2)]),
        over=st.sampled_from(["background", "all"]),
        each=st.booleans(),
    )
    def apply_a_tool(self, tool, identity, axis, scope, over, each):
        start, stop = (self.volume.slice_index(at, axis) for at in scope)
        accepted = {s: self.session.labels[s.slicer].copy() for s in self.session.accepted}
        try:
            future = self.session.apply(tool, identity, start, stop, over=over, each_slice=each)
        except InputError as error:
            assert "accepted" in str(error)  # noqa: PT017
            return
        assert future.done()
        for slice_index, labels in accepted.items():
            assert (self.session.labels[slice_index.slicer] == labels).all()
        self.done()

    @rule(axis=st.sampled_from([0, 2]), follows=st.booleans())
    def fill(self, axis, follows):
        accepted = {s: self.session.labels[s.slicer].copy() for s in self.session.accepted}
        if self.session.anchors(axis):
            self.session.fill(axis=axis).result()
            self.session.follows = follows
        for slice_index, labels in accepted.items():
            assert (self.session.labels[slice_index.slicer] == labels).all()
        self.done()

    @rule(slice_index=SLICES)
    def accept(self, slice_index):
        self.session.accept(slice_index)
        self.done()

    @rule(slice_index=SLICES)
    def reopen(self, slice_index):
        self.session.reopen(slice_index)
        self.done()

    @rule(bias=st.sampled_from([0.0, 30.0]))
    def use(self, bias):
        self.session.use(self.engine(bias=bias, trail=True))

    @precondition(lambda self: len(self.past) > 1)
    @rule()
    def undo(self):
        assert self.session.undo()
        self.future.append(self.past.pop())
        assert self.same(self.now(), self.past[-1])

    @precondition(lambda self: self.future)
    @rule()
    def redo(self):
        assert self.session.redo()
        self.past.append(self.future.pop())
        assert self.same(self.now(), self.past[-1])

    @invariant()
    def it_can_be_undone_if_something_was_done(self):
        if hasattr(self, "past"):
            assert self.session.can_undo == (len(self.past) > 1)
            assert self.session.can_redo == bool(self.future)

    def teardown(self):
        if not hasattr(self, "session"):
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a"
            self.session.save(path)
            make = {"make_engine": lambda name, **parameters: self.engine(**parameters)}
            for other in (Session.load(path, self.volume, **make), Session.replay(path, self.volume, **make)):
                assert (other.labels == self.session.labels).all()
                assert other.accepted == self.session.accepted
                assert (np.stack([other.painted(SliceIndex((1, 2), (z,))) for z in range(4)]) == self.now()[1]).all()


def test_any_order_of_actions(engines):
    Actions.engine = engines["nearest"]
    Actions.TestCase.settings = settings(
        max_examples=60,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )
    Actions.TestCase().runTest()
