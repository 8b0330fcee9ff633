"""From a mouse move to changed pixels in the window: ``xvfb-run -a python benchmarks/live.py [engine] [size] ...``.

Further arguments are ``rate``, ``width``, ``height``, and ``learning``: with 1 a network learns from ten slices in the
background meanwhile, as in a project. Draws strokes of three classes with the mouse on a picture in
a real napari window of ``width`` x ``height`` pixels (1280 x 800), ``rate`` moves a second (60).
For each move, the time until the window has painted a result of strokes that hold it; moves made while a result is
computed count with the next one. Prints also how long the widget takes to open, and the time from the first move to the
first result, loading and warming up the network included. The engine ``instant`` gives nonsense in no time: what it
takes is the window's own share.
"""

import contextlib
import resource
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from skimage import data, transform

from napari_scribseg import Segmentation, get_engine
from napari_scribseg.core import ClassTable, EngineInfo, silent
from napari_scribseg.widgets.segmentation import widget as segmentation

MOVES = 40  # of a stroke
NUMBER = 12  # of strokes


@dataclass(frozen=True)
class Instant:
    """Gives the upper half of the image to one class, in turn."""

    info: ClassVar[EngineInfo] = EngineInfo("instant", "Instant", "for measuring the window", live=True)

    def prepare(self, image, device="auto"):
        return 0

    def segment(self, image, scribbles, state, report=silent):
        probabilities = np.zeros((scribbles.n_classes, *image.shape), dtype=np.float32)
        half = image.shape[0] // 2
        probabilities[state % 2, :half] = probabilities[-1, half:] = 1
        result = Segmentation(probabilities, state + 1)
        report(0.5, result)
        return result


class Clock:
    """Notes when moves are made, when their strokes are read, and when results are painted."""

    def __init__(self, viewer, front):
        self.moves, self.paints = [], []
        self._read, self._due = {}, []
        self._session, self._segmented = front.session, 0
        canvas = viewer.window._qt_viewer.canvas
        canvas.native.frameSwapped.connect(self._painted)
        self._session.events.updated.connect(self._updated)
        original = self._session.draw

        def draw(*args, **kwargs):
            now = time.perf_counter()
            future = original(*args, **kwargs)
            self._read[self._session._segmenter._generation] = now
            return future

        self._session.draw = draw

    def _updated(self, update):
        read = self._read.get(update.generation)
        if read is not None:
            self._due.append(read)

    def _painted(self):
        now = time.perf_counter()
        self.paints += [(read, now) for read in self._due]
        self._due.clear()

    def latencies(self):
        """Milliseconds of every move that has a result."""
        found = []
        for move in self.moves:
            after = [painted for read, painted in self.paints if read >= move]
            if after:
                found.append(1e3 * (min(after) - move))
        return found


def wait(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.0005)


def to_canvas(viewer, point):
    x, y = viewer.window._qt_viewer.canvas.view.scene.transform.map([point[1], point[0]])[:2]
    return QPoint(round(x), round(y))


def stroke(viewer, points, clock, rest, rate):
    native = viewer.window._qt_viewer.canvas.native
    where = [to_canvas(viewer, point) for point in points]
    QTest.mouseMove(native, where[0])
    QTest.mousePress(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[0])
    due = time.perf_counter()
    for point in where[1:]:
        due += 1 / rate
        clock.moves.append(time.perf_counter())
        QTest.mouseMove(native, point)
        wait(max(due - time.perf_counter(), 0))
    wait(0.3)
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[-1])
    wait(rest)


@contextlib.contextmanager
def learning(image):
    """Learn as a project does, until the block ends; prints how far it came and the CPU time that it took."""
    from napari_scribseg.annotate import Session
    from napari_scribseg.core import Cancelled, Source
    from napari_scribseg.learn import examples_of, learn_in_subprocess

    labels = np.stack([image > 100] * 10)
    with contextlib.closing(
        Session(Source.from_array(np.stack([image] * 10)), "svcd", classes=ClassTable.from_ids([1]), labels=labels)
    ) as session:
        for z in range(len(labels)):
            session.accept(z)
        examples = examples_of(session)
        classes = session.classes
    ended, done = threading.Event(), [0.0]

    def report(fraction, preview=None):
        done[0] = max(done[0], fraction)
        if ended.is_set():
            raise Cancelled

    def work():
        with contextlib.suppress(Cancelled):
            while True:
                learn_in_subprocess(examples, classes, report=report)

    thread = threading.Thread(target=work)
    thread.start()
    while not done[0]:  # it has begun
        wait(0.1)
    began, begun = time.perf_counter(), done[0]
    try:
        yield
    finally:
        seconds, share = time.perf_counter() - began, done[0] - begun
        ended.set()
        thread.join()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime
        print(f"learning meanwhile: {share:.0%} in {seconds:.0f} s; {cpu:.0f} s of CPU time in all")


def quantiles(times):
    return f"median {statistics.median(times):.0f}, 95 % {np.percentile(times, 95):.0f}, most {max(times):.0f} ms"


def main(engine="scribble-net", size=512, rate=60.0, width=1280, height=800, learns=0):
    image = transform.resize(data.camera(), (size, size), preserve_range=True).astype(np.uint8)
    with learning(image) if learns else contextlib.nullcontext():
        measure(image, engine, size, rate, width, height)


def measure(image, engine, size, rate, width, height):
    viewer = napari.Viewer(show=False)
    viewer.window._qt_window.resize(width, height)
    viewer.window._qt_window.show()
    viewer.add_image(image, name="camera")
    wait(2)
    began = time.perf_counter()
    widget = segmentation.SegmentationWidget(viewer)
    viewer.window.add_dock_widget(widget)
    widget.start()
    QApplication.processEvents()
    opened = time.perf_counter() - began
    front = widget.annotators.front
    front.set_engine(Instant() if engine == "instant" else get_engine(engine), "live", "auto", "overwrite")
    front.set_classes(ClassTable.from_ids([1, 2], background=255))
    clock = Clock(viewer, front)
    rng = np.random.default_rng(0)
    places = {255: (0.15, 0.7), 1: (0.35, 0.4), 2: (0.9, 0.75)}  # sky, coat, grass
    first = None
    for number in range(NUMBER):
        label = (255, 1, 2)[number % 3]
        front.layers.strokes.selected_label = label
        start = np.asarray(places[label]) * size + rng.normal(0, 0.02 * size, 2)
        turn = rng.uniform(0, 2 * np.pi) + np.linspace(0, 2, MOVES)
        points = start + np.cumsum(np.stack((np.sin(turn), np.cos(turn)), 1), axis=0) * 0.15 * size / MOVES
        stroke(viewer, np.clip(points, 2, size - 3), clock, 1.0, rate)
        if first is None and clock.paints:
            first = clock.paints[0][1] - clock.moves[0]
        if number == 2:
            warm = len(clock.moves)  # all three classes have strokes
    times = clock.latencies()
    clock.moves = clock.moves[warm:]
    steady = clock.latencies()
    height, width = viewer.window._qt_viewer.canvas.size
    print(f"{engine}, {size} x {size}, shown on {width} x {height} pixels")
    print(f"widget opened in {opened:.2f} s, first result {first:.2f} s after the first move")
    print(f"moves with a result, all: {len(times)}, {quantiles(times)}")
    print(f"three classes: {len(steady)} of {len(clock.moves)}, {quantiles(steady)}")
    print(f"results painted: {len(clock.paints)} of {NUMBER * (MOVES - 1)} moves")
    widget.end_all()
    viewer.close()


if __name__ == "__main__":
    main(*(f(v) for f, v in zip((str, int, float, int, int, int), sys.argv[1:], strict=False)))
