"""A robot newcomer: from ``napari`` to the saved labels of one slice, by mouse and keys.

Run as ``xvfb-run -a -s "-screen 0 1366x768x24" python benchmarks/newcomer.py mr-head``, or with ``ct``, for which
SCRIBSEG_DATA names the folder of development data. The window fills the screen. An action is one click, one stroke,
one key or one line of text; moving the mouse is none. The saved file is read back and scored. What the robot knows of
the window is what is seen there: names in menus, the picture. The labels of the MR slice were drawn by hand
(``tests/data/newcomer``), those of the CT are TotalSegmentator's. The last line of the output is a JSON object.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from qtpy.QtCore import QKeyCombination, QSettings, Qt, QTimer
from qtpy.QtGui import QKeySequence

from napari_scribseg.io import read_labels

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
from person import Person

KEY = Qt.Key
START = ("Layers", "Annotate", "Start painting (Scribble segmentation)")
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


class Newcomer(Person):
    """Counts what the hands do, and takes a picture of the screen after it."""

    def __init__(self, viewer, size, shots):
        super().__init__(viewer, size)
        self.shots = shots
        self.actions = []
        self.after_stroke = {}  # labels of the slice, by the number of the action
        self.photograph("napari")

    @contextmanager
    def action(self, what):
        """Count an action; what follows from it ends before the next one."""
        self.actions.append(what)
        number = len(self.actions)
        yield
        self.idle()
        self.photograph(what, number)

    def photograph(self, what, number=0):
        """A picture of the screen."""
        if self.shots:
            name = "".join(c if c.isalnum() else "-" for c in what.lower())
            self.window.screen().grabWindow(0).save(str(self.shots / f"{number:02}-{name}.png"))

    def click(self, target, where=None, what=""):
        with self.action(f"click {what}"):
            super().click(target, where, what)

    def key(self, key, modifier=Qt.KeyboardModifier.NoModifier, target=None):
        with self.action(f"key {QKeySequence(QKeyCombination(modifier, key)).toString()}"):
            super().key(key, modifier, target)

    def type(self, text):
        with self.action(f"type {text}"):
            super().type(text)

    def go_to(self, z):
        with self.action(f"drag the slider to {z}"):
            super().go_to(z)

    def stroke(self, *points):
        with self.action("stroke"):
            super().stroke(*points)
        self.after_stroke[len(self.actions)] = self.labels.copy()

    def _complete(self, dialog, path):
        self.photograph("dialog", len(self.actions))
        with self.action(f"type {path}" if path else "key Return"):
            return super()._complete(dialog, path)


def work(newcomer, name):
    """Do a task; returns the saved file."""
    task = TASKS[name]
    if task.sample:
        newcomer.menu("File", "Open Sample", "Scribble segmentation", task.sample)
        newcomer.menu(*START)
    else:
        newcomer.choose_file(lambda: newcomer.menu(*START), task.file)
    if newcomer.z != task.z:
        newcomer.go_to(task.z)
    if task.names:
        newcomer.click(newcomer.widget.classes.names, what="the line of names")
        newcomer.type(task.names)
    for key, points in task.strokes:
        if key is not None:
            newcomer.key(key)
        newcomer.stroke(*points)
    file = newcomer.choose_file(lambda: newcomer.key(KEY.Key_S, Qt.KeyboardModifier.ShiftModifier))
    newcomer.until(lambda: "Saved" in newcomer.status, "the file")
    newcomer.photograph("saved", len(newcomer.actions))
    return file


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
            screen = viewer.window._qt_window.screen().size()
            newcomer = Newcomer(viewer, options.size or (screen.width(), screen.height()), options.shots)
            report(options.task, newcomer, work(newcomer, options.task), options.data)
            status[0] = 0
        finally:
            viewer.close()

    QTimer.singleShot(500, drive)
    napari.run()
    return status[0]


if __name__ == "__main__":
    main()
