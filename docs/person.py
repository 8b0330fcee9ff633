"""Somebody in front of a real napari window: menus, buttons, mouse and keys, and a camera."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QFileDialog, QLabel, QLineEdit, QScrollBar, QTableWidget

PLAIN = Qt.KeyboardModifier.NoModifier
LEFT = Qt.MouseButton.LeftButton
LONG = 300.0  # seconds, in which also a busy machine compiles what an engine needs
PIECE = 12  # pixels that the mouse moves at once
LARGEST, COLORS = 250_000, 200  # bytes of a picture, above which its colours are made fewer
SMALLEST = (1366, 768)  # pixels of the smallest screen


class Person:
    """Hands and eyes of somebody who knows napari's window only by what it shows.

    Napari is not imported here: who makes the viewer may choose the settings first.

    Parameters
    ----------
    viewer : napari.Viewer
        It is shown in the corner of the screen.
    size : tuple of int
        Width and height of the window in pixels.
    camera : film.Camera or None
        It looks again and again, and the hands move at a pace that an eye can follow. Without one they are as fast as
        the window.
    """

    def __init__(self, viewer, size=SMALLEST, camera=None):
        self.viewer, self.size, self.camera = viewer, size, camera
        self.pictures = {}
        self.texts = set()
        self.pointer = QPoint(self.size[0] // 2, self.size[1] // 2)
        self.window = viewer.window._qt_window
        self.window.move(0, 0)
        self.window.resize(*self.size)
        self.window.show()
        self.until(lambda: self.window.windowHandle() is not None and self.window.windowHandle().isExposed())
        self.window.activateWindow()
        self.until(self.window.isActiveWindow, "the keyboard")

    # time -------------------------------------------------------------------------------------------------------------

    def work(self):
        """Let the window work off what has happened, and what the X server has sent; and let the camera look."""
        QGuiApplication.sync()
        if self.camera is not None:
            self.camera.look(self.pointer)

    def until(self, condition, what="the window"):
        """Wait until a condition holds, and return what it gave."""
        end = time.monotonic() + LONG
        while not (found := condition()):
            if time.monotonic() > end:
                raise TimeoutError(f"waited {LONG:.0f} s for {what}")
            self.work()
            time.sleep(0.005)
        return found

    def pause(self, seconds):
        """Look at the window for a while; only where a camera does, too."""
        end = time.monotonic() + (seconds if self.camera is not None else 0)
        self.work()
        while time.monotonic() < end:
            self.work()
            time.sleep(0.005)

    def caption(self, text):
        """Tell the camera what is being done."""
        if self.camera is not None:
            self.camera.caption = text

    def idle(self):
        """Wait until nothing is prepared or computed any more."""
        self.work()
        if self.widget is not None:
            self.until(lambda: self.widget.annotators.is_idle and "Preparing" not in self.status, "the end of all jobs")
            self.work()

    # mouse and keys ---------------------------------------------------------------------------------------------------

    def move(self, target, where):
        """Move the mouse to a place of a widget."""
        goal = target.mapToGlobal(where)
        if self.camera is not None:
            self._glide(goal)
        self.pointer = goal
        QTest.mouseMove(target, where)
        self.work()

    def _glide(self, goal):
        begin, start = time.monotonic(), self.pointer
        duration = max(_length(goal - start) / self.camera.pace, 1e-3)
        while (part := (time.monotonic() - begin) / duration) < 1:
            self.pointer = start + (goal - start) * part
            self.work()
            time.sleep(0.005)

    def click(self, target, where=None, what=""):
        """Click on a widget, in its middle or at a place of it."""
        assert target.isEnabled(), f"{what or target} is disabled"
        assert not target.visibleRegion().isEmpty(), f"{what or target} is not in sight"
        where = target.rect().center() if where is None else where
        self.move(target, where)
        QTest.mouseClick(target, LEFT, PLAIN, where)
        self.pause(0.1)

    def menu(self, *path):
        """Click on a menu, move over its submenus, and click on an entry."""
        holder = self.window.menuBar()
        for depth, name in enumerate(path):
            actions = {action.text().replace("&", ""): action for action in holder.actions()}
            assert name in actions, f"{name} is not in the menu: {sorted(actions)}"
            self.texts |= actions.keys()
            where = holder.actionGeometry(actions[name]).center()
            submenu = actions[name].menu()
            if depth == 0 or submenu is None:
                self.click(holder, where, name)
            else:
                self.move(holder, where)
            if submenu is not None:
                self.until(submenu.isVisible, f"the menu {name}")
            holder = submenu

    @property
    def keyboard(self):
        """Where keys go: to a list that popped up, else to the part of the window that was clicked last."""
        return QApplication.activePopupWidget() or QApplication.focusWidget() or self.window

    def key(self, key, modifier=PLAIN, target=None):
        """Press a key where the keyboard is, or in another part of the window."""
        QTest.keyClick(target or self.keyboard, key, modifier)
        self.work()

    def type(self, text):
        """Type a line of text where the keyboard is, and Return."""
        for character in text:
            QTest.keyClicks(self.keyboard, character)
            self.work()
        QTest.keyClick(self.keyboard, Qt.Key.Key_Return)
        self.work()

    def go_to(self, z):
        """Drag the slider to another slice."""
        sliders = self.window._qt_viewer.dims.findChildren(QScrollBar)
        slider = next(each for each in sliders if each.isVisible() and each.maximum() >= z)
        steps, middle = slider.maximum() - slider.minimum(), slider.height() // 2
        start, x = (round(slider.width() * (step + 0.5) / (steps + 1)) for step in (slider.value(), z))
        self.move(slider, QPoint(start, middle))
        QTest.mousePress(slider, LEFT, PLAIN, QPoint(start, middle))
        while self.z != z:  # as a hand does that sees the number
            self.move(slider, QPoint(x, middle))
            self.until(lambda: self.z == slider.value(), "the slice")
            x += 1 if self.z < z else -1
            assert 0 <= x <= slider.width(), f"the slider does not reach {z}"
        QTest.mouseRelease(slider, LEFT, PLAIN, QPoint(x, middle))
        self.work()
        assert self.z == z

    def press(self, text):
        """Click on the button with a text."""
        found = [b for b in self.window.findChildren(QAbstractButton) if b.isVisible() and _plain(b.text()) == text]
        assert len(found) == 1, f"{len(found)} buttons show {text}"
        self.widget.sections.ensureWidgetVisible(found[0])
        self.work()
        self.click(found[0], QPoint(12, found[0].height() // 2), text)

    def choose_class(self, name):
        """Click on the row of a class."""
        table = self.widget.classes.table
        (item,) = table.findItems(name, Qt.MatchFlag.MatchExactly)
        self.widget.sections.ensureWidgetVisible(table)
        self.work()
        self.click(table.viewport(), table.visualItemRect(item).center(), name)

    def stroke(self, *points, follows=False):
        """Press the button at a voxel (row, column) of the displayed slice, move over the others, and let go.

        With ``follows`` the button is not let go before the labels have changed.
        """
        where = [self._pixel(point) for point in points]
        self.move(self.canvas, where[0])
        before = self.labels.copy()
        QTest.mousePress(self.canvas, LEFT, PLAIN, where[0])
        for start, stop in itertools.pairwise(where):
            self._draw(start, stop)
        if follows:
            self.until(lambda: not np.array_equal(self.labels, before), "a result while the pen is down")
        QTest.mouseRelease(self.canvas, LEFT, PLAIN, where[-1])
        self.idle()
        self.pause(0.3)

    def _draw(self, start, stop):
        begin, length = time.monotonic(), _length(stop - start)
        pieces = max(1, round(length / PIECE))
        for piece in range(1, pieces + 1):
            place = start + (stop - start) * (piece / pieces)
            QTest.mouseMove(self.canvas, place)
            self.pointer = self.canvas.mapToGlobal(place)
            self.work()
            while self.camera is not None and time.monotonic() - begin < length * piece / pieces / self.camera.pen_pace:
                self.work()
                time.sleep(0.005)

    def _pixel(self, point):
        """Where a voxel of the displayed slice is on the canvas."""
        layer = self.front.layers.strokes
        shown = list(self.viewer.dims.displayed)
        y, x = np.asarray(point) * layer.scale[shown] + layer.translate[shown]
        transform = self.viewer.window._qt_viewer.canvas.view.scene.transform
        return QPoint(*(round(float(c)) for c in transform.map([x, y])[:2]))

    def choose_file(self, press, path=""):
        """Press what opens a dialog for files, type a path there unless the suggestion is taken, and Return.

        Returns the path that was chosen.
        """
        timer, dialogs, chosen, errors = QTimer(), [], [], []

        def on_time():
            dialog = QApplication.activeModalWidget()
            if isinstance(dialog, QFileDialog) and not dialogs:
                dialogs.append(dialog)
                try:
                    chosen.append(self._complete(dialog, path))
                except (AssertionError, ValueError) as error:  # which Qt would print, and go on waiting
                    errors.append(error)
                    dialog.reject()

        timer.timeout.connect(on_time)
        timer.start(50)
        press()
        self.until(lambda: chosen or errors, "a dialog for files")
        timer.stop()
        if errors:
            raise errors[0]
        if QApplication.activeWindow() is None:
            self.window.activateWindow()  # as a window manager does when a dialog closes
        self.idle()
        return chosen[0]

    def _complete(self, dialog, path):
        """Type a path in a dialog, and Return; what it chooses."""
        field = dialog.findChild(QLineEdit)
        if path:
            field.selectAll()
            QTest.keyClicks(field, path)
            assert field.text() == path
        self.pause(0.5)
        for _ in range(5):
            field.completer().popup().hide()  # it would take the key
            if dialog.isVisible():
                QTest.keyClick(field, Qt.Key.Key_Return)
                self.work()
        assert not dialog.isVisible(), f"the dialog does not take {path or field.text()}"
        return Path(dialog.selectedFiles()[0])

    # eyes -------------------------------------------------------------------------------------------------------------

    @property
    def canvas(self):
        """What the mouse paints on."""
        return self.viewer.window._qt_viewer.canvas.native

    @property
    def widget(self):
        """Our widget in its dock; None before it is opened."""
        docked = self.viewer.window.dock_widgets
        return next((widget for title, widget in docked.items() if title.startswith("Scribble segmentation")), None)

    @property
    def front(self):
        """What is annotated."""
        return self.widget.annotators.front

    @property
    def status(self):
        """The status line."""
        return self.widget.status.line.text()

    @property
    def z(self):
        """Number of the displayed slice."""
        return self.viewer.dims.current_step[0]

    @property
    def labels(self):
        """The labels of the displayed slice, as shown: shape (H, W)."""
        return np.asarray(self.front.layers.result.data[self.z])

    def read(self):
        """Take note of all texts in sight."""
        for kind in (QAbstractButton, QLabel):
            self.texts |= {_plain(w.text()) for w in self.window.findChildren(kind)}
        for table in self.window.findChildren(QTableWidget):
            cells = [
                table.item(row, column) for row in range(table.rowCount()) for column in range(table.columnCount())
            ]
            heads = [table.horizontalHeaderItem(column) for column in range(table.columnCount())]
            self.texts |= {item.text() for item in (*cells, *heads) if item is not None}

    def shoot(self, name):
        """Take a picture of the window, under a name, unless it is filmed."""
        self.read()
        if self.camera is not None:
            return
        QTest.mouseMove(self.window, QPoint(self.size[0] // 2, 5))
        self.work()
        for _ in range(3):
            QApplication.processEvents()
        pixels = self.viewer.window.screenshot(flash=False, canvas_only=False)
        self.pictures[name] = Picture.fromarray(pixels).convert("RGB")

    def save_pictures(self, folder: Path):
        """Write all pictures that were taken."""
        for name, picture in self.pictures.items():
            save_picture(picture, folder / name)

    def close(self):
        """Close the window."""
        if self.widget is not None:
            self.widget.end_all()
        self.viewer.close()
        QApplication.processEvents()


def save_picture(picture, path):
    """Write a PNG that is not too large for a repository."""
    picture.save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        picture.quantize(COLORS, dither=Picture.Dither.NONE).save(path, optimize=True)
    print(f"{path} {path.stat().st_size // 1024} kB")


def _length(step):
    return (step.x() ** 2 + step.y() ** 2) ** 0.5


def _plain(text):
    return text.replace("&", "").strip()
