"""Frames a second of the embedding's view: ``xvfb-run -a python benchmarks/explore_view.py [segments ...]``.

Segments at random positions in 12 clusters, in the colours of four classes, a tenth of them selected, on a canvas of
900x700 pixels. For each number of segments (5000 and 50,000) and style: the median of 60 frames in which all points
move, as after learning, of 60 in which the view is dragged, and of 60 while a box is drawn; made and painted by Qt on
this window's thread. The processor time stands beside the time on the clock, which other programs lengthen. Then the
cost of an assignment to a tenth of the segments: their new colours, and the frame that shows them.
"""

import statistics
import sys
import time

import numpy as np
from qtpy.QtCore import QPointF
from qtpy.QtWidgets import QApplication

from napari_scribseg.widgets.explore.embedding_view import EmbeddingView
from napari_scribseg.widgets.explore.tiles import Tiles

FRAMES = 60
SIZE = (900, 700)


def crowd(count):
    """Ids, places and colours."""
    random = np.random.default_rng(0)
    centres = random.uniform(-10, 10, (12, 2))
    xy = centres[random.integers(0, 12, count)] + random.normal(scale=0.9, size=(count, 2))
    palette = np.array([[150, 150, 150], [214, 94, 0], [87, 181, 232], [0, 158, 115]], np.uint8)
    return np.arange(1, count + 1), xy.astype(np.float32), palette[random.integers(0, 4, count)]


def measure(view, step):
    """Median milliseconds of a frame: on the clock, and of the processor."""
    clock, processor = [], []
    for number in range(FRAMES):
        start, used = time.perf_counter(), time.process_time()
        step(number)
        view.repaint()
        QApplication.processEvents()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return 1000 * statistics.median(clock), 1000 * statistics.median(processor)


def main():
    """Print a table."""
    app = QApplication.instance() or QApplication([])
    counts = [int(n) for n in sys.argv[1:]] or [5000, 50_000]
    print(f"{'segments':>8}  {'style':<11} {'what':<18} {'ms a frame':>10} {'of the processor':>17} {'frames/s':>9}")
    for count in counts:
        ids, xy, colors = crowd(count)
        for style in ("points", "map", "grid"):
            view = EmbeddingView(Tiles())
            view.resize(*SIZE)
            view.show()
            view.set_style(style)
            view.show_points(ids, xy, colors, smoothly=False)
            view.select(ids[::10])
            random = np.random.default_rng(1)
            kept = ids[:: max(count // 10_000, 1)]
            side = view.scene.tiles.side
            view.scene.tiles.put(kept, random.integers(0, 255, (len(kept), side, side, 3), np.uint8))
            view._moving.stop()

            def moved(number, view=view, xy=xy):
                view.scene.xy = xy + np.float32(0.02 * number)

            def dragged(number, view=view):
                view.scene.stop_camera()
                view.scene.camera = view.scene.camera.moved(3 * (-1) ** number, 2)

            def drawn(number, view=view):
                view._line = [QPointF(100, 100), QPointF(300 + 5 * number, 400)]

            def assigned(number, view=view, colors=colors):
                view.show_colors(np.roll(colors, number, axis=0))

            measure(view, moved)
            for what, step in (
                ("points move", moved),
                ("view dragged ", dragged),
                ("box drawn", drawn),
                ("colours change", assigned),
            ):
                clock, processor = measure(view, step)
                print(f"{count:>8}  {style:<11} {what:<18} {clock:>10.1f} {processor:>17.1f} {1000 / clock:>9.0f}")
            view.close()
    app.processEvents()


if __name__ == "__main__":
    main()
