"""The parts of a session, each alone."""

from dataclasses import dataclass

import numpy as np
import pytest

from napari_scribseg.annotate.engine_cache import EngineCache, Lru, PackedResult, size_of
from napari_scribseg.annotate.entries import Entry
from napari_scribseg.annotate.events import Update
from napari_scribseg.annotate.rules import combine, lacking
from napari_scribseg.annotate.segment import to_label_ids
from napari_scribseg.annotate.steps import ArrayChange, SessionHistory
from napari_scribseg.annotate.stroke_store import StrokeStore
from napari_scribseg.core import ClassTable, EngineInfo, Scribbles, Segmentation
from napari_scribseg.core.source import SliceIndex


@pytest.mark.parametrize("shape", [(6, 7), (4, 6, 7), (3, 4, 6, 7)])
def test_strokes_are_one_volume_seen_from_all_sides(shape):
    rng = np.random.default_rng(len(shape))
    store, dense = StrokeStore(shape), np.zeros(shape, np.uint16)
    pairs = [(a, b) for a in range(len(shape)) for b in range(a + 1, len(shape))]
    for _ in range(40):
        displayed = pairs[rng.integers(len(pairs))]
        position = tuple(int(rng.integers(n)) for a, n in enumerate(shape) if a not in displayed)
        slice_index = SliceIndex(displayed, position)
        content = store.get(slice_index).astype(np.uint16)
        content[rng.random(content.shape) < 0.2] = rng.choice([0, 1, 2, 700])
        store.set(slice_index, content)
        dense[slice_index.slicer] = content
    for displayed in pairs:
        others = [a for a in range(len(shape)) if a not in displayed]
        filled = []
        for position in np.ndindex(*[shape[a] for a in others]):
            slice_index = SliceIndex(displayed, position)
            assert (store.get(slice_index) == dense[slice_index.slicer]).all()
            if dense[slice_index.slicer].any():
                filled.append(slice_index)
        assert store.slices(displayed) == filled
    again = StrokeStore.from_voxels(shape, *store.voxels())
    assert (again.voxels()[0] == np.flatnonzero(dense)).all()
    assert (again.voxels()[1] == dense[dense > 0]).all()


# memory


@dataclass
class State:
    array: np.ndarray
    more: list


class Tensor:
    nbytes = 4000


def test_the_size_of_a_state():
    array = np.zeros(1000, np.float32)
    assert 4000 <= size_of(array) < 4200
    assert 8000 <= size_of(State(array, [Tensor()])) < 8600
    assert 4000 <= size_of({"a": array, "b": (array, array)}) < 4600  # shared parts count once
    assert size_of(None) == 0
    loop = []
    loop.append(loop)
    assert size_of(loop) < 200
    torch = pytest.importorskip("torch")
    assert size_of([torch.zeros(500, dtype=torch.float64)]) >= 4000


def test_the_least_recently_used_goes_first():
    lru = Lru(10_000)
    for name in "abc":
        lru.put(("state", name), np.zeros(3000, np.uint8))
    lru.get(("state", "a"))
    lru.put(("state", "d"), np.zeros(3000, np.uint8))
    assert [("state", name) in lru for name in "abcd"] == [True, False, True, True]
    assert lru.nbytes <= 10_000
    lru.drop_where(lambda key: key[1] in "ac")
    lru.drop(("state", "nothing"))
    assert len(lru) == 1
    assert lru.nbytes < 4000


def test_what_belongs_to_the_last_slice_is_kept_beyond_the_bound_unless_that_is_zero():
    lru = Lru(10_000)
    lru.put(("image", "a"), np.zeros(3000, np.uint8))
    lru.put(("image", "b"), np.zeros(6000, np.uint8))
    lru.put(("state", "b"), np.zeros(20_000, np.uint8))
    assert [key in lru for key in (("image", "a"), ("image", "b"), ("state", "b"))] == [False, True, True]
    lru.put(("image", "c"), np.zeros(3000, np.uint8))
    assert len(lru) == 1
    nothing = Lru(0)
    nothing.put(("image", "a"), np.zeros(1, np.uint8))
    assert len(nothing) == 0


def test_results_take_a_bounded_memory_and_the_newest_are_kept():
    cache = EngineCache(20_000)
    probabilities = np.random.default_rng(0).random((2, 12, 16), dtype=np.float32)
    labels, nothing = np.zeros((12, 16), np.uint8), (slice(0, 0), slice(0, 0))
    entries = [Entry(number, "run", SliceIndex((1, 2), (number % 6,))) for number in range(100)]
    for entry in entries:
        packed = PackedResult.of(Segmentation(probabilities, None), (1, 2))
        update = Update(entry.slice_index, labels, nothing, probabilities, (1, 2), True, (), entry.sequence)
        cache.put_result(entry, update, packed)
    assert cache.nbytes < 41_000
    kept = [cache.result(entry, labels) is not None for entry in entries]
    assert kept == sorted(kept)
    assert 10 < sum(kept) < 100


# history


def test_differences_are_boxes():
    before = np.zeros((50, 60), np.uint8)
    after = before.copy()
    after[10:12, 20:25] = 3
    change = ArrayChange.between("labels", SliceIndex((0, 1)), before, after)
    assert change.diff.region == (slice(10, 12), slice(20, 25))
    assert (change.diff.values(after=True) == 3).all()
    assert not change.diff.values(after=False).any()
    assert ArrayChange.between("labels", SliceIndex((0, 1)), before, before) is None
    wide = ArrayChange.between("labels", SliceIndex((0, 1)), before, after.astype(np.uint16) * 1000)
    assert wide.diff.values(after=True).max() == 3000


def test_history_is_bounded_in_bytes_but_keeps_enough_steps():
    history = SessionHistory(min_steps=10, max_bytes=20_000)
    rng = np.random.default_rng(0)
    slice_index = SliceIndex((0, 1))
    for _ in range(100):
        noise = rng.integers(1, 255, (40, 40)).astype(np.uint8)
        history.begin([ArrayChange.between("labels", slice_index, noise * 0, noise)])
    assert len(history) == 10
    small = SessionHistory(min_steps=10, max_bytes=200_000)
    for _ in range(100):
        small.begin([ArrayChange.between("labels", slice_index, np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8))])
    assert len(small) == 100


# rules


def test_seeds_have_their_class_whatever_the_probabilities():
    seeds = Scribbles.from_labels(np.array([[5, 0, 9]]))
    p = np.zeros((2, 1, 3), np.float32)
    p[1] = 1
    assert to_label_ids(Segmentation(p, None), seeds).tolist() == [[5, 9, 9]]


def test_the_overlap_rules_voxel_by_voxel():
    result = np.array([[0, 1, 2, 0, 1, 0]])
    under = np.array([[7, 7, 7, 1, 1, 0]])
    common = {"ids": (0, 1, 2), "locked": (), "slice_index": SliceIndex((0, 1)), "accepted": ()}
    assert combine(result, under, under, overlap="keep", **common).tolist() == [[7, 7, 7, 1, 1, 0]]
    assert combine(result, under, under, overlap="overwrite", **common).tolist() == [[7, 1, 2, 0, 1, 0]]
    locked = combine(result, under, under, overlap="overwrite", **{**common, "locked": (2, 7)})
    assert locked.tolist() == [[7, 7, 7, 0, 1, 0]]


WITH_GROUND = ClassTable.from_ids([1], background=9)


@pytest.mark.parametrize(
    ("drawn", "classes", "words"),
    [
        ((), WITH_GROUND, "no strokes; paint one in each of two classes"),
        ((1,), WITH_GROUND, "strokes of class 1 only; paint a second class, such as the background,"),
        ((9,), WITH_GROUND, "strokes of background only; paint a second class, such as class 1,"),
        ((1,), ClassTable.from_ids([1]), "strokes of class 1 only; paint a second class"),
        ((1, 2, 3), ClassTable.from_ids([1, 2, 3]), "strokes of 3 classes are too many for e, which takes 2,"),
        ((1, 2), ClassTable.from_ids([1, 2]), ""),
    ],
)  # fmt: skip
def test_what_strokes_lack_is_named(drawn, classes, words):
    assert lacking(drawn, EngineInfo("e", "E", "", max_classes=2), classes) == words


def test_what_strokes_lack_where_one_class_is_enough():
    info, table = EngineInfo("e", "E", "", min_classes=1), ClassTable.from_ids([1], background=9)
    assert lacking((), info, table) == "no strokes; paint one inside of what you look for"
    assert lacking((1,), info, table) == ""
    assert "such as class 1" in lacking((9,), info, table)


@pytest.mark.parametrize("shape", [(3, 7, 5), (1, 1, 1), (2, 64, 64)])
def test_a_packed_result_is_right_to_a_510th(shape):
    p = np.random.default_rng(0).dirichlet(np.ones(shape[0]), size=shape[1:]).astype(np.float32)
    p = np.moveaxis(p, -1, 0)
    packed = PackedResult.of(Segmentation(p, None, ("a",)), tuple(range(shape[0])))
    np.testing.assert_allclose(packed.probabilities(), p, atol=1 / 509)
    assert packed.notes == ("a",)
