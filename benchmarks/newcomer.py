"""A robot newcomer: from ``napari`` to the saved labels of one slice, by mouse and keys.

Run as ``xvfb-run -a -s "-screen 0 1366x768x24" python benchmarks/newcomer.py mr-head``, or with ``ct``, for which
SCRIBSEG_DATA names the folder of development data. The window fills the screen. An action is one click, one stroke,
one key or one line of text; moving the mouse is none. The saved file is read back and scored. What the robot knows of
the window is what is seen there: names in menus, the picture. The labels of the MR slice were drawn by hand
(``tests/data/newcomer``), those of the CT are TotalSegmentator's. The last line of the output is a JSON object.
"""

import argparse
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from qtpy.QtCore import QPoint, QRect, QSettings, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QScrollBar

from napari_scribseg.io import read_labels

KEY, PLAIN, SHIFT = Qt.Key, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
LEFT = Qt.MouseButton.LeftButton
LONG = 120  # seconds, after which something will not happen any more
HAND_DRAWN = Path(__file__).parents[1] / "tests" / "data" / "newcomer" / "mr-head-z16.png"


@dataclass(frozen=True)
class Task:
    """One image: how it is opened, the slice, the names, and a stroke for each class (key, points as row and column).

    The first stroke is painted with the class that the window has chosen already.
    """

    z: int
    sample: str = ""
    file: str | None = None
    names: str = ""
    strokes: tuple[tuple[Qt.Key | None, tuple[tuple[int, int], ...]], ...] = ()


TASKS = {
    "mr-head": Task(
        16,
        sample="MR head with strokes",  # which brings names
        strokes=(
            (None, ((22, 46), (45, 40), (70, 48), (78, 64), (70, 80), (45, 88), (22, 80))),
            (KEY.Key_F3, ((33, 56), (40, 62), (48, 62), (57, 60))),
            (KEY.Key_F1, ((10, 20), (90, 20), (92, 110), (8, 110))),
        ),
    ),
    "ct": Task(
        14,
        file="example_ct_sm.nii.gz",
        names="liver, spleen",
        strokes=(
            (None, ((30, 94), (45, 100), (55, 96), (52, 78), (60, 90), (70, 85), (74, 68), (81, 52))),
            (KEY.Key_F3, ((26, 24), (37, 22), (38, 14), (52, 13))),
            (
                KEY.Key_F1,
                (
                    *((58, 10), (48, 8), (40, 9), (30, 13), (23, 21), (22, 29), (42, 29), (46, 24), (52, 36), (64, 38)),
                    *((75, 50), (66, 55), (60, 70), (55, 62), (44, 66), (38, 86), (28, 83), (22, 92), (27, 99)),
                    *((40, 107), (50, 107), (59, 103), (69, 96), (79, 91), (86, 80), (86, 60), (86, 46)),
                ),
            ),
        ),
    ),
}
ORGANS = {"spleen": (1,), "right kidney": (2,), "left kidney": (3,), "liver": (5,)}  # ids of TotalSegmentator


def true_slice(name, data):
    """A mask by the name of each class."""
    if name == "mr-head":
        drawn = np.asarray(Picture.open(HAND_DRAWN))
        return {"brain": drawn == 1, "ventricles": drawn == 2}
    published = read_labels(data / "totalsegmentator" / "example_seg.nii.gz").array[TASKS[name].z]
    return {organ: np.isin(published, ids) for organ, ids in ORGANS.items() if organ in TASKS[name].names}


def dice(first, second):
    """Overlap of two masks."""
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def until(condition, what):
    """Let the windows work until a condition holds; returns what it gave."""
    end = time.monotonic() + LONG
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {LONG} s for {what}")
        QApplication.processEvents()
        time.sleep(0.01)
    return found


class Newcomer:
    """Mouse and keyboard in front of napari; counts what they do, and takes a picture of the screen after it."""

    def __init__(self, viewer, shots):
        self.viewer, self.shots = viewer, shots
        self.window = viewer.window._qt_window
        self.actions = []
        self.file = None  # of the last dialog
        self.after_stroke = {}  # labels of the slice, by the number of the action

    def did(self, what):
        """Count an action."""
        if QApplication.activeWindow() is None:
            self.window.activateWindow()  # as a window manager does when a dialog closes
        self.wait_idle()
        self.actions.append(what)
        self.shoot(what)

    def shoot(self, what):
        """A picture of the screen."""
        if self.shots:
            QApplication.processEvents()
            name = "".join(c if c.isalnum() else "-" for c in what.lower())
            self.window.screen().grabWindow(0).save(str(self.shots / f"{len(self.actions):02}-{name}.png"))

    @property
    def dock(self):
        """Our widget in its dock; None before it is opened."""
        docked = self.viewer.window.dock_widgets
        return next((widget for name, widget in docked.items() if name.startswith("Scribble segmentation")), None)

    def wait_idle(self):
        """Look at the window until nothing happens in it any more."""
        QTest.qWait(400)
        dock = self.dock
        if dock is not None:
            until(lambda: dock.annotators.is_idle and "Preparing" not in dock.status.line.text(), "the engine")
            QTest.qWait(200)

    def perform(self, action, what, text=None):
        """Do something; where a dialog for files follows, type ``text`` there, and Return."""
        if text is None:
            action()
            self.did(what)
            return
        files = []

        def agree():
            dialog = QApplication.activeModalWidget()
            if not isinstance(dialog, QFileDialog):
                QTimer.singleShot(200, agree)
                return
            self.actions.append(what)
            self.shoot(f"{what} dialog")
            line = dialog.findChild(QLineEdit)
            QTest.keyClicks(line, text)
            files.append(Path(dialog.selectedFiles()[0]))
            QTest.keyClick(line, KEY.Key_Return)

        QTimer.singleShot(500, agree)
        action()
        until(lambda: files, "a dialog for files")
        self.did(f"type {text}" if text else "key Return")
        self.file = files[0]

    def menu(self, first, *rest, text=None):
        """Click a menu, move over its submenus, and click an entry."""
        bar = self.window.menuBar()
        entry = next(action for action in bar.actions() if action.text().replace("&", "") == first)
        QTest.mouseClick(bar, LEFT, PLAIN, bar.actionGeometry(entry).center())
        menu = until(lambda: entry.menu() if entry.menu().isVisible() else None, f"the menu {first}")
        self.did(f"click {first}")
        for name in rest:
            entry = next(a for a in menu.actions() if a.text().replace("&", "").startswith(name))
            where = menu.actionGeometry(entry).center()
            QTest.mouseMove(menu, where)
            if name != rest[-1]:
                menu = until(lambda entry=entry: entry.menu() if entry.menu().isVisible() else None, f"the menu {name}")
            else:
                self.shoot(f"menu {name}")
                self.perform(partial(QTest.mouseClick, menu, LEFT, PLAIN, where), f"click {name}", text)

    def go_to(self, z):
        """Drag the slider to a slice, if another one is displayed."""
        if self.viewer.dims.current_step[0] == z:
            return
        sliders = self.window._qt_viewer.dims.findChildren(QScrollBar)
        slider = next(each for each in sliders if each.isVisible() and each.maximum() >= z)
        steps, middle = slider.maximum() - slider.minimum(), slider.height() // 2
        at = [round(slider.width() * (step + 0.5) / (steps + 1)) for step in (slider.value(), z)]
        QTest.mousePress(slider, LEFT, PLAIN, QPoint(at[0], middle))
        while self.viewer.dims.current_step[0] != z:  # as a hand does that sees the number
            QTest.mouseMove(slider, QPoint(at[1], middle))
            QTest.qWait(20)
            at[1] += 1 if self.viewer.dims.current_step[0] < z else -1
            if not 0 <= at[1] <= slider.width():
                raise RuntimeError(f"the slider does not reach {z}")
        QTest.mouseRelease(slider, LEFT, PLAIN, QPoint(at[1], middle))
        QTest.qWait(200)
        assert self.viewer.dims.current_step[0] == z
        self.did(f"drag the slider to {z}")

    def click(self, widget, what):
        """Click a visible part of the window."""
        if not widget.isVisible() or widget.visibleRegion().isEmpty():
            raise RuntimeError(f"{what} is not in sight")
        QTest.mouseClick(widget, LEFT, PLAIN, widget.rect().center())
        self.did(f"click {what}")

    @property
    def keyboard(self):
        """Where keys go: to a list that popped up, else to the part of the window that was clicked last."""
        return QApplication.activePopupWidget() or QApplication.focusWidget() or self.window

    def type(self, text):
        """Type a line of text where the keyboard is, and Return."""
        for character in text:
            QTest.keyClicks(self.keyboard, character)
        QTest.qWait(300)
        self.shoot(f"typing {text}")
        QTest.keyClick(self.keyboard, KEY.Key_Return)
        self.did(f"type {text}")

    def key(self, key, name, modifier=PLAIN):
        """Press a key where the keyboard is."""
        QTest.keyClick(self.keyboard, key, modifier)
        self.did(f"key {name}")

    def stroke(self, points):
        """Paint a line through positions (row, column) of the displayed slice."""
        canvas = self.window._qt_viewer.canvas
        image = self.viewer.layers[0]
        where = []
        for point in points:
            world = np.asarray(image.data_to_world((self.viewer.dims.current_step[0], *point)))[-2:]
            where.append(QPoint(*(round(float(c)) for c in canvas.view.scene.transform.map(world[::-1])[:2])))
        QTest.mouseMove(canvas.native, where[0])
        QTest.qWait(50)
        QTest.mousePress(canvas.native, LEFT, PLAIN, where[0])
        for start, stop in itertools.pairwise(where):
            for part in np.linspace(0, 1, 5)[1:]:
                QTest.mouseMove(canvas.native, start + (stop - start) * float(part))
                QTest.qWait(10)
        QTest.mouseRelease(canvas.native, LEFT, PLAIN, where[-1])
        self.did("stroke")
        labels = self.dock.annotators.front.session.labels
        self.after_stroke[len(self.actions)] = labels[self.viewer.dims.current_step[0]].copy()

    def save(self):
        """Shift+S, and Return in the dialog, which suggests a file; returns the file."""
        self.perform(lambda: QTest.keyClick(self.keyboard, KEY.Key_S, SHIFT), "key Shift+S", "")
        until(lambda: "Saved" in self.dock.status.line.text(), "the file")
        self.wait_idle()
        self.shoot("saved")
        return self.file


def work(newcomer, name):
    """Do a task; returns the saved file."""
    task = TASKS[name]
    newcomer.shoot("napari")
    if task.sample:
        newcomer.menu("File", "Open Sample", "Scribble segmentation", task.sample)
    newcomer.menu("Layers", "Annotate", "Start painting", text=task.file)
    newcomer.go_to(task.z)
    if task.names:
        newcomer.click(newcomer.dock.classes.names, "the line of names")
        newcomer.type(task.names)
    for key, points in task.strokes:
        if key is not None:
            newcomer.key(key, f"F{int(key) - int(KEY.Key_F1) + 1}")
        newcomer.stroke(points)
    return newcomer.save()


def overlaps(labels, classes, truth):
    """The Dice of each class of a slice, shape (H, W), by its name; 0 where there is no such class."""
    found = {label.name: labels == label.id for label in classes}
    empty = np.zeros(labels.shape, bool)
    return {organ: round(dice(found.get(organ, empty), mask), 3) for organ, mask in truth.items()}


def report(name, newcomer, path, data):
    """Print the actions, the Dice after each stroke, and that of the saved file."""
    saved, truth = read_labels(path), true_slice(name, data)
    for number, action in enumerate(newcomer.actions, 1):
        labels = newcomer.after_stroke.get(number)
        shown = "" if labels is None else f"  {overlaps(labels, saved.classes, truth)}"
        print(f"{number:2} {action}{shown}")
    found = overlaps(saved.array[TASKS[name].z], saved.classes, truth)
    print(json.dumps({"task": name, "actions": len(newcomer.actions), "file": path.name, "dice": found}))


def main():
    """Start napari as its command does, and do the task in it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--shots", type=Path, help="a folder for pictures of the screen after every action")
    parser.add_argument("--size", type=int, nargs=2, help="width and height of the window; the screen's by default")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SCRIBSEG_DATA", "../shared/data")))
    options = parser.parse_args()
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        for variable in ("HOME", "XDG_CONFIG_HOME", "SCRIBSEG_AUTOSAVE"):
            os.environ[variable] = temporary
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, temporary)
        if TASKS[options.task].file:
            shutil.copy(options.data / "totalsegmentator" / TASKS[options.task].file, temporary)
        sys.exit(run(options))


def run(options):
    """Run napari with the robot in its event loop; returns an exit status."""
    import napari

    viewer = napari.Viewer()
    viewer.theme = options.theme
    status = [1]

    def drive():
        try:
            window = viewer.window._qt_window
            window.setGeometry(QRect(0, 0, *options.size) if options.size else window.screen().geometry())
            window.activateWindow()
            newcomer = Newcomer(viewer, options.shots)
            newcomer.wait_idle()
            report(options.task, newcomer, work(newcomer, options.task), options.data)
            status[0] = 0
        finally:
            viewer.close()

    QTimer.singleShot(500, drive)
    napari.run()
    return status[0]


if __name__ == "__main__":
    main()
