"""How long a stroke blocks the window's thread: run as ``xvfb-run -a python benchmarks/window.py [size] [--views]``.

Drives a real window with a volume of 60 slices, four classes and live results, by mouse events on the canvas; prints
the time that each of our calls blocks the window's thread (without drawing by OpenGL, which is napari's own). With
--views, the dock *Other views* is open meanwhile.
"""

import sys
import time
from collections import defaultdict

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_scribseg.core import ClassTable
from napari_scribseg.widgets.common import dispatch
from napari_scribseg.widgets.segmentation import annotator, layer_watcher, other_views
from napari_scribseg.widgets.segmentation import widget as segmentation

CALLS = (
    (annotator.Annotator, "pen_moved"),
    (annotator.Annotator, "pen_lifted"),
    (annotator.Annotator, "look"),
    (annotator.Annotator, "undo"),
    (dispatch.Dispatcher, "_run"),
    (other_views.OtherViews, "sync"),
    (layer_watcher.LayerWatcher, "_on_pen"),
    (layer_watcher.LayerWatcher, "_on_stroke"),
)
spent = defaultdict(list)


def instrument():
    for owner, name in CALLS:
        inner = getattr(owner, name)

        def timed(*args, _inner=inner, _name=f"{owner.__name__}.{name}", **kwargs):
            wall, own = time.perf_counter(), time.thread_time()
            try:
                return _inner(*args, **kwargs)
            finally:
                spent[_name].append(((time.perf_counter() - wall) * 1e3, (time.thread_time() - own) * 1e3))

        setattr(owner, name, timed)


def wait(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.001)


def to_canvas(viewer, row, column):
    canvas = viewer.window._qt_viewer.canvas
    x, y = canvas.view.scene.transform.map([column, row])[:2]
    return QPoint(round(x), round(y))


def stroke(viewer, points):
    native = viewer.window._qt_viewer.canvas.native
    where = [to_canvas(viewer, *point) for point in points]
    QTest.mouseMove(native, where[0])
    QTest.mousePress(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[0])
    for point in where[1:]:
        QTest.mouseMove(native, point)
        wait(0.02)
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[-1])
    wait(0.6)


def main(size, views):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    slice_index = 400 * (np.hypot(x - 0.5, y - 0.5) < 0.3) + 200 * (x > 0.5)
    image = (slice_index + rng.normal(0, 40, (60, size, size))).astype(np.int16)
    viewer = napari.Viewer(show=False)
    viewer.window._qt_window.resize(1280, 800)
    viewer.window._qt_window.show()
    viewer.add_image(image, name="volume")
    widget = segmentation.SegmentationWidget(viewer)
    viewer.window.add_dock_widget(widget)
    widget.start()
    front = widget.annotators.front
    front.set_classes(ClassTable.from_ids([1, 2, 3], background=255))
    instrument()
    if views:
        widget.show_views()
    wait(3)
    spent.clear()
    for number in range(16):
        front.layers.strokes.selected_label = (255, 1, 2, 3)[number % 4]
        row, column = rng.uniform(0.1, 0.9, 2) * size
        steps = np.linspace(0, 0.1 * size, 12)
        stroke(viewer, [(min(row + s, size - 2), min(column + s, size - 2)) for s in steps])
    front.undo()
    wait(0.5)
    viewer.dims.set_current_step(0, 31)
    wait(0.5)
    print(f"{size} x {size}, milliseconds of the window's thread (wall includes waiting for a core):")
    print(f"{'call':<24}{'calls':>7}{'CPU median':>12}{'95 %':>8}{'max':>8}{'wall median':>13}{'95 %':>8}{'max':>8}")
    for name, times in sorted(spent.items()):
        wall, own = np.transpose(times)
        cells = [f(values) for values in (own, wall) for f in (np.median, lambda v: np.percentile(v, 95), np.max)]
        widths = (12, 8, 8, 13, 8, 8)
        print(f"{name:<24}{len(times):>7}" + "".join(f"{c:>{w}.2f}" for c, w in zip(cells, widths, strict=True)))
    widget.end_all()
    viewer.close()


if __name__ == "__main__":
    size = [int(argument) for argument in sys.argv[1:] if argument != "--views"]
    main(size[0] if size else 512, views="--views" in sys.argv)
