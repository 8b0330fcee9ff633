"""Hands for napari's window, and the patience that goes with them."""

import itertools

from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from waiting import wait_for

PLAIN = Qt.KeyboardModifier.NoModifier


def settle():
    """Let the windows work off what has happened so far, and what the X server has sent."""
    QGuiApplication.sync()


def until(condition, what="the window"):
    """Wait until a condition holds while the windows work."""
    return wait_for(condition, what, meanwhile=QApplication.processEvents)


def ended(dispatcher):
    """Wait for the end of a closed widget's threads, and for what they posted."""
    dispatcher.join()
    settle()


def drag(target, where, modifier=PLAIN, parts=4):
    """Press the left button at the first of some pixels, move over the others, and let go."""
    QTest.mouseMove(target, where[0])
    settle()
    QTest.mousePress(target, Qt.MouseButton.LeftButton, modifier, where[0])
    for start, stop in itertools.pairwise(where):
        for part in range(1, parts + 1):
            QTest.mouseMove(target, start + (stop - start) * (part / parts))
            settle()
    QTest.mouseRelease(target, Qt.MouseButton.LeftButton, modifier, where[-1])
    settle()


class Hands:
    """A viewer with one of our widgets docked, and hands for mouse and keyboard."""

    def __init__(self, viewer, widget, name, size):
        self.viewer, self.widget = viewer, widget
        window = viewer.window._qt_window
        window.resize(*size)
        viewer.window.add_dock_widget(widget, name=name)
        until(
            lambda: window.windowHandle() is not None and window.windowHandle().isExposed(), "the window on the screen"
        )
        settle()

    @property
    def canvas(self):  # no reference is kept: napari's fixture counts the windows that stay
        return self.viewer.window._qt_viewer.canvas.native

    @property
    def status(self):
        return self.widget.status.line.text()

    def shows(self, text):
        """Wait until the status line says a text."""
        until(lambda: text in self.status, f"{text!r} in the status line")

    def pixels(self, *points):
        """Where positions (row, column) of the world are on the canvas."""
        transform = self.viewer.window._qt_viewer.canvas.view.scene.transform
        return [QPoint(*(round(float(c)) for c in transform.map([x, y])[:2])) for y, x in points]

    def key(self, key, modifier=PLAIN, target=None):
        QTest.keyClick(target or self.canvas, key, modifier)
        settle()
