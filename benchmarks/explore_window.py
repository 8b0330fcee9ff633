"""How long the explorer blocks the window: ``xvfb-run -a python benchmarks/explore_window.py [--images 24]``.

The buttons of the real window add, cut and embed images. A timer of the event loop, due every 5 ms, measures the gaps
between its calls; also while nothing is done, which is the share of napari and the display.
"""

from __future__ import annotations

import argparse
import time

import napari
import numpy as np
from qtpy.QtCore import QTimer
from window import wait

from explore import made
from napari_scribseg.widgets.explore.explorer import ExploreWidget


class Pulse:
    """Gaps between turns of the event loop, in seconds."""

    def __init__(self) -> None:
        self._gaps: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(5)

    def _beat(self) -> None:
        now = time.perf_counter()
        self._gaps.append(now - self._last)
        self._last = now

    def print_gaps(self, name: str, seconds: float) -> None:
        """A line about what was done, and begin anew."""
        gaps = np.sort(self._gaps)[::-1]
        longest = ", ".join(f"{gap:.2f}" for gap in gaps[:5])
        print(f"{name:8s} {seconds:6.1f} s; longest gaps {longest} s; {np.sum(gaps > 0.1)} over 0.1 s", flush=True)
        self._gaps.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--side", type=int, default=512)
    arguments = parser.parse_args()
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1300, 900)
    viewer.add_image(np.stack(made(arguments.images, arguments.side)), name="images")
    widget = ExploreWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Explore segments")
    wait(3)
    pulse = Pulse()
    wait(5)
    pulse.print_gaps("nothing", 5)
    for name, button in (
        ("add", widget.images.buttons["add"]),
        ("cut", widget.cutting.buttons["cut"]),
        ("embed", widget.cutting.buttons["embed"]),
        ("again", widget.cutting.buttons["embed"]),
    ):
        began = time.perf_counter()
        button.click()
        wait(0.2)
        while widget.jobs.is_busy:
            wait(0.05)
        seconds = time.perf_counter() - began
        wait(1)
        pulse.print_gaps(name, seconds)
    viewer.close()


if __name__ == "__main__":
    main()
