"""Speed of the svcd engine: ``asv run`` in this folder, or ``python benchmarks/speed.py`` for the table.

Times are wall-clock seconds on whatever the computer does besides; ``track_cpu_*`` count the process's CPU time, which
a busy computer changes little.
"""

from __future__ import annotations

import contextlib
import time

from scenes import scene, with_one_more_stroke
from skimage.segmentation import random_walker

from napari_scribseg import get_engine
from napari_scribseg.core import Cancelled
from napari_scribseg.numerics.warm import warm_up


def first_result(engine, image, scribbles, state):
    """Run until the first usable result, and return it."""
    found = []

    def stop_at_preview(fraction, preview=None):
        if preview is not None:
            found.append(preview)
            raise Cancelled

    with contextlib.suppress(Cancelled):
        found.append(engine.segment(image, scribbles, state, stop_at_preview))
    return found[0]


class Standard:
    """512 x 512 pixels, 4 labels, 2000 stroke pixels."""

    def setup(self):
        warm_up()
        self.engine = get_engine("svcd")
        self.image, self.scribbles = scene()
        self.more = with_one_more_stroke(self.scribbles)
        self.state = self.engine.prepare(self.image, "cpu")
        self.result = self.engine.segment(self.image, self.scribbles, self.state)

    def time_prepare(self):
        self.engine.prepare(self.image, "cpu")

    def time_cold(self):
        first_result(self.engine, self.image, self.scribbles, self.engine.prepare(self.image, "cpu"))

    def time_update(self):
        first_result(self.engine, self.image, self.more, self.result.state)

    def time_refined(self):
        self.engine.segment(self.image, self.scribbles, self.engine.prepare(self.image, "cpu"))

    def track_cpu_share_of_random_walker(self):
        start = time.process_time()
        self.time_cold()
        ours = time.process_time() - start
        start = time.process_time()
        random_walker(self.image.data.transpose(1, 2, 0), self.scribbles.seeds + 1, mode="cg_mg", channel_axis=-1)
        return ours / (time.process_time() - start)


class Growth:
    """The first result and the refined one as pixels, labels and stroke pixels grow."""

    params = (
        [
            *[(size, 4, 2000) for size in (256, 512, 1024, 2048)],
            *[(512, labels, 2000) for labels in (2, 8, 12)],
            *[(512, 4, strokes) for strokes in (100, 500, 5000, 20000)],
        ],
    )
    param_names = ("pixels, labels, stroke pixels",)
    timeout = 300

    def setup(self, size_labels_strokes):
        warm_up()
        self.engine = get_engine("svcd")
        self.image, self.scribbles = scene(*size_labels_strokes)

    def time_first_result(self, size_labels_strokes):
        first_result(self.engine, self.image, self.scribbles, self.engine.prepare(self.image, "cpu"))

    def time_refined(self, size_labels_strokes):
        self.engine.segment(self.image, self.scribbles, self.engine.prepare(self.image, "cpu"))
