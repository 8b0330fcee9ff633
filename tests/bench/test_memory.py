import sys

import numpy as np
import pytest

from napari_scribseg.bench import memory
from napari_scribseg.bench.memory import peak_memory

MIB = 2**20


@pytest.fixture(params=["kernel", "sampling"])
def way(request, monkeypatch):
    if request.param == "sampling":
        monkeypatch.setattr(memory, "reset_record", lambda: False)
    elif not memory.reset_record():
        pytest.skip("this system keeps no record of the peak")
    return request.param


def test_what_a_block_takes(way):
    with peak_memory() as peak:
        assert peak.mib == 0
        block = np.ones(64 * MIB, dtype=np.uint8)
        if way == "kernel":
            del block  # given back before the block ends
    assert 48 < peak.mib < 160


def test_a_block_that_takes_nothing(way):
    with peak_memory() as peak:
        pass
    assert 0 <= peak.mib < 16


def test_what_was_there_before_does_not_count(way):
    block = np.ones(64 * MIB, dtype=np.uint8)
    with peak_memory() as peak:
        block[0] = 2
    assert peak.mib < 32


def test_the_same_work_takes_the_same_again():
    if not sys.platform.startswith("linux") or not memory.reset_record():
        pytest.skip("this system keeps no record of the peak")
    found = []
    for _ in range(3):
        with peak_memory() as peak:
            pieces = [np.ones(2**15, dtype=np.uint8) for _ in range(2**9)]  # small ones stay in the heap when freed
            del pieces
        found.append(peak.mib)
    assert min(found) > 12


def test_a_block_that_fails_is_measured(way):
    measured, kept = [], []

    def fail():
        with peak_memory() as peak:
            measured.append(peak)
            kept.append(np.ones(64 * MIB, dtype=np.uint8))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert measured[0].mib > 48
