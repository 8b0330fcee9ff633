"""Somebody in front of a real napari window: menus, buttons, mouse and keys, and a camera."""

from __future__ import annotations

import itertools
import time
from contextlib import suppress
from pathlib import Path

import napari
import numpy as np
from PIL import Image as Picture
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QDialogButtonBox, QFileDialog, QLabel, QLineEdit, QTableWidget

from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

PLAIN = Qt.KeyboardModifier.NoModifier
LEFT = Qt.MouseButton.LeftButton
LONG = 300.0  # seconds, in which also a busy machine compiles what an engine needs
PIECE = 12  # pixels that the mouse moves at once
LARGEST, COLORS = 250_000, 200  # bytes of a picture, above which its colours are made fewer


class Newcomer:
    """Hands and eyes of somebody who knows napari's window only by what it shows.

    Parameters
    ----------
    camera : film.Camera or None
        It looks again and again, and the hands move at a pace that an eye can follow. Without one they are as fast as
        the window.
    """

    size = (1366, 768)

    def __init__(self, camera=None):
        self.camera = camera
        self.pictures = {}
        self.texts = set()
        self.pointer = QPoint(self.size[0] // 2, self.size[1] // 2)
        self.viewer = napari.Viewer(show=False)
        self.window = self.viewer.window._qt_window
        self.window.resize(*self.size)
        self.window.show()
        self.until(lambda: self.window.windowHandle() is not None and self.window.windowHandle().isExposed())

    # time -------------------------------------------------------------------------------------------------------------

    def work(self):
        """Let the window work, and the camera look."""
        QApplication.processEvents()
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
        """Wait until nothing is computed any more."""
        self.work()
        self.until(lambda: self.widget.annotators.is_idle, "the end of all jobs")
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
        where = target.rect().center() if where is None else where
        self.move(target, where)
        QTest.mouseClick(target, LEFT, PLAIN, where)
        self.pause(0.1)

    def menu(self, *path):
        """Choose an entry of the menus."""
        holder = self.window.menuBar()
        for name in path:
            actions = {action.text().replace("&", ""): action for action in holder.actions()}
            assert name in actions, f"{name} is not in the menu: {sorted(actions)}"
            self.texts |= actions.keys()
            self.click(holder, holder.actionGeometry(actions[name]).center(), name)
            holder = actions[name].menu()
            if holder is not None:
                self.until(holder.isVisible, f"the menu {name}")

    def key(self, key, modifier=PLAIN):
        """Press a key above the canvas."""
        QTest.keyClick(self.canvas, key, modifier)
        self.work()

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

    def save_as(self, press, path):
        """Press what opens a dialog for a file, type a path there, and click on *Save*."""
        timer, dialogs, errors = QTimer(), [], []

        def on_time():
            dialog = QApplication.activeModalWidget()
            if isinstance(dialog, QFileDialog) and not dialogs:
                dialogs.append(dialog)
                try:
                    self._type_path(dialog, path)
                except (AssertionError, ValueError) as error:  # which Qt would print, and go on waiting
                    errors.append(error)
                    dialog.reject()

        timer.timeout.connect(on_time)
        timer.start(50)
        press()
        timer.stop()
        assert dialogs, "there was no dialog"
        if errors:
            raise errors[0]

    def _type_path(self, dialog, path):
        field = dialog.findChild(QLineEdit)
        field.selectAll()
        QTest.keyClicks(field, path)
        assert field.text() == path
        self.pause(0.5)
        button = dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Save)
        self.move(button, button.rect().center())
        for _ in range(5):
            field.completer().popup().hide()  # it would take the click
            if dialog.isVisible():
                self.click(button)
        assert not dialog.isVisible(), f"the dialog does not take {path}"

    # eyes -------------------------------------------------------------------------------------------------------------

    @property
    def canvas(self):
        """What the mouse paints on."""
        return self.viewer.window._qt_viewer.canvas.native

    @property
    def widget(self):
        """The dock widget."""
        return next(w for w in self.viewer.window.dock_widgets.values() if isinstance(w, SegmentationWidget))

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
        with suppress(StopIteration):
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
