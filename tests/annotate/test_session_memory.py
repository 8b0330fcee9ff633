"""What annotating a large volume costs, measured in a process of its own."""

import subprocess
import sys
from textwrap import dedent

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

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
