"""Undo and redo within bounds."""

from dataclasses import dataclass

import numpy as np
import pytest

from napari_scribseg.kernel import ArrayDiff, History, changed_region, pack, unpack


@dataclass
class Step:
    name: str
    nbytes: int = 1


def names(history):
    return [step.name for step in history]


def test_steps_are_undone_and_redone_in_order():
    history = History()
    assert history.undo() is None
    assert history.redo() is None
    for name in "abc":
        history.add(Step(name))
    assert (history.undo().name, history.undo().name) == ("c", "b")
    assert names(history) == ["a"]
    assert history.redo().name == "b"
    assert history.can_undo
    assert history.can_redo
    history.add(Step("d"))
    assert not history.can_redo
    assert names(history) == ["a", "b", "d"]


def test_each_change_has_another_version():
    history, seen = History(), set()
    for action in (lambda: history.add(Step("a")), history.undo, history.redo, history.undo):
        action()
        seen.add(history.version)
    assert len(seen) == 4
    before = history.version
    assert history.undo() is None
    assert history.version == before


def test_the_oldest_steps_go_first():
    history = History(min_steps=3, max_bytes=50)
    for n in range(20):
        history.add(Step(str(n), 10))
    assert names(history) == ["15", "16", "17", "18", "19"]
    assert history.nbytes == 50
    history.add(Step("large", 1000))
    assert names(history) == ["18", "19", "large"]
    history = History(min_steps=1, max_steps=4, max_bytes=10**9)
    for n in range(20):
        history.add(Step(str(n)))
    assert names(history) == ["16", "17", "18", "19"]
    history.undo()
    assert history.nbytes == 4


@pytest.mark.parametrize(("largest", "dtype"), [(3, "uint8"), (300, "uint16"), (70_000, "uint32")])
def test_a_difference_is_a_box_in_the_smallest_type(largest, dtype):
    before = np.zeros((50, 60), np.int64)
    after = before.copy()
    after[10:12, 20:25] = largest
    diff = ArrayDiff.between(before, after)
    assert (diff.region, diff.after.dtype, diff.after.shape) == ((slice(10, 12), slice(20, 25)), dtype, (2, 5))
    assert (diff.values(after=True) == largest).all()
    assert not diff.values(after=False).any()
    assert ArrayDiff.between(before, before) is None
    assert changed_region(before, before) == (slice(0, 0), slice(0, 0))


def test_packed_values_are_checked():
    values = np.arange(600, dtype=np.uint16).reshape(20, 30)
    assert (unpack(pack(values), (20, 30), "uint16") == values).all()
    for packed, shape in [(pack(values)[:-3], (20, 30)), (b"junk", (20, 30)), (pack(values), (20, 31))]:
        with pytest.raises(ValueError, match="compressed"):
            unpack(packed, shape, "uint16")
    with pytest.raises(ValueError, match="compressed"):
        unpack(pack(np.zeros(10**7, np.uint8)), (10,), "uint8")
