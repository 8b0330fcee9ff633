"""What annotating a large volume costs: in a process of its own, and the allocations while a span is solved."""

import subprocess
import sys
import tracemalloc
from collections import Counter
from textwrap import dedent

import numpy as np
import pytest

from napari_scribseg.annotate.solve_span import SpanProblem, solve_span
from napari_scribseg.annotate.span import Span
from napari_scribseg.core import Source, silent
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.numerics.filling import motion
from napari_scribseg.numerics.volume_cut import cut

reads_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

COMMON = """
    import numpy as np
    from dataclasses import dataclass
    from typing import ClassVar
    from napari_scribseg.core import EngineInfo, Segmentation, silent
    from napari_scribseg.annotate import Session
    from napari_scribseg.core import SliceIndex, Source

    @dataclass(frozen=True)
    class Halves:
        info: ClassVar[EngineInfo] = EngineInfo("halves", "Halves", "")
        def prepare(self, image, device="auto"):
            return np.ones((8, *image.shape), np.float32)
        def segment(self, image, scribbles, state, report=silent):
            p = np.zeros((scribbles.n_classes, *image.shape), np.float32)
            p[0, :, : image.shape[1] // 2] = 1
            p[1] = 1 - p[0]
            return Segmentation(p, state)

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 / 2**20

    def strokes(shape):
        painted = np.zeros(shape, np.uint8)
        painted[100:400, 50:54], painted[100:400, 450:454] = 1, 2
        return painted
"""


def run(script):
    done = subprocess.run(
        [sys.executable, "-c", dedent(COMMON) + dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


@reads_proc
@pytest.mark.slow
def test_a_ct_costs_at_most_one_byte_a_voxel():
    untouched, read, some, whole, volume = run("""
        image = np.zeros((600, 512, 512), np.int16)
        session = Session(Source.from_array(image), Halves(), state_bytes=0)
        session.draw(strokes((512, 512)), 0)
        start = resident()
        other = Session(Source.from_array(image), Halves(), state_bytes=0)
        print(resident() - start)
        for z in range(600):
            other.labels[z].max()
        print(resident() - start)
        for z in range(0, 60):
            other.draw(strokes((512, 512)), z)
        print(resident() - start)
        for z in range(60, 600):
            other.draw(strokes((512, 512)), z)
        print(resident() - start)
        print(image.size / 2**20)
    """)
    assert untouched < 5
    assert read < 5
    assert some < 0.1 * volume + 25
    assert whole < volume + 40


@reads_proc
def test_a_slice_along_another_axis_takes_no_memory_for_the_whole_volume():
    (grown,) = run("""
        image = np.zeros((600, 512, 512), np.int8)
        session = Session(Source.from_array(image), Halves(), state_bytes=0)
        painted = np.zeros((600, 512), np.uint8)
        painted[:, 5], painted[:, 500] = 1, 300 - 45
        session.draw(painted, SliceIndex((0, 1), (7,)))
        start = resident()
        for index in range(100, 110):
            session.draw(painted, SliceIndex((0, 2), (index,)))
        print(resident() - start)
    """)
    assert grown < 60


@reads_proc
def test_a_lazy_volume_is_read_by_slices():
    (grown,) = run("""
        import dask.array as da
        lazy = da.zeros((20000, 1024, 1024), chunks=(1, 1024, 1024), dtype=np.int8)
        session = Session(Source.from_array(lazy), Halves(), state_bytes=64 << 20)
        session.draw(strokes((1024, 1024)), 0)
        start = resident()
        for z in range(0, 20000, 1000):
            session.draw(strokes((1024, 1024)), z)
        print(resident() - start)
    """)
    assert grown < 400


def moving_organs(n, size):
    """Truth of n slices with four organs that move, and the image."""
    z, y, x = np.ogrid[:n, :size, :size]
    truth = np.zeros((n, size, size), np.uint8)
    for k in range(4):
        row, column = size * (0.3 + 0.4 * (k // 2)) + z / 4, size * (0.3 + 0.4 * (k % 2)) - z / 5
        truth[(y - row) ** 2 + (x - column) ** 2 < (size / 8 + z / 9) ** 2] = k + 1
    noise = np.random.default_rng(0).integers(-20, 20, truth.shape, dtype=np.int16)
    return truth, 60 * truth.astype(np.int16) + noise


def traced(work):
    """The most bytes that were allocated at once, beyond those from before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def span_of(source, truth, kept=lambda _slice_index: None):
    span = Span(SliceIndex((1, 2), (0,)), 0, (0, 1), (len(truth) - 1, 2), len(truth) - 1)
    return SpanProblem(source, span, truth[0], truth[-1], kept)


def solve(problem):
    found = {}
    for part in solve_span(problem, silent):
        found[part.index] = part.labels
    return found


def test_what_a_span_takes_grows_slowly(monkeypatch):
    monkeypatch.setattr(motion, "LARGE", 64 * 64)
    monkeypatch.setattr(cut, "MOST_VOXELS", 20_000)
    monkeypatch.setattr(cut, "MOST_COSTS", 1 << 17)
    truth, image = moving_organs(120, 96)
    stroke = np.full(truth[0].shape, -1, np.int32)
    stroke[40:42, 30:50] = truth[10, 40:42, 30:50]
    solve(span_of(Source.from_array(image[:9]), truth[:9]))  # loads and compiles
    peaks = {}
    for n in (60, 120):
        part = slice(None, n)
        problem = span_of(
            Source.from_array(image[part]), truth[part], lambda i: stroke if i.position == (10,) else None
        )
        peaks[n] = traced(lambda problem=problem: solve(problem))
    assert (peaks[120] - peaks[60]) / (60 * 96 * 96) < 30  # with the labels that are returned


def test_a_span_in_parts_is_that_in_one(monkeypatch):
    monkeypatch.setattr(cut, "MOST_VOXELS", 20_000)
    truth, image = moving_organs(40, 128)
    problem = span_of(Source.from_array(image), truth)
    whole = solve(problem)
    monkeypatch.setattr(cut, "MOST_COSTS", 1 << 16)
    parts = solve(problem)
    assert np.mean([(whole[k] != parts[k]).mean() for k in whole]) < 2e-4


@pytest.mark.parametrize("kind", ["zarr", "dask"])
def test_each_chunk_of_a_span_is_read_once_or_twice(kind, tmp_path):
    truth, image = moving_organs(70, 96)
    reads = Counter()

    class Counting:
        """Chunks of 32 x 32 x 32 that count their reads."""

        shape, dtype = image.shape, image.dtype
        chunks = (32,) * 3 if kind == "zarr" else ((32, 32, 6), (32,) * 3, (32,) * 3)

        def __getitem__(self, index):
            first, stop, _ = index[0].indices(70) if isinstance(index[0], slice) else (index[0], index[0] + 1, 1)
            reads.update(range(first // 32, (stop - 1) // 32 + 1))
            return image[index]

    found = solve(span_of(Source.from_array(Counting()), truth))
    assert max(reads.values()) == 1
    expected = solve(span_of(Source.from_array(image), truth))
    assert all((found[k] == expected[k]).all() for k in expected)
