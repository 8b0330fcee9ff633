"""The steps of ``first-steps.md`` in a real window: ``python docs/first_steps.py [FOLDER] [--film]``.

Each step does what its part of the page says, with menus, buttons, mouse and keys, and asserts what the part promises.
The pictures of the page are written after the last step: there is none of a window that does otherwise.
``make_all_pictures.py`` calls it with settings of its own, as somebody has who starts napari for the first time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from film import Camera
from person import Person
from qtpy.QtCore import Qt

from napari_scribseg.io import read_labels, read_volume
from napari_scribseg.io.sample_data import mr_volume

BACKGROUND, BRAIN, VENTRICLES = 0, 1, 2  # ids of labels
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
Z = 15  # the slice that is painted
AROUND = [*range(20), *range(110, 128)]  # columns of air
Step = Callable[[Person, Path], None]


def open_an_image(person: Person, folder: Path) -> None:
    """A volume, and strokes on three of its slices."""
    person.caption("Open an image: a sample, or your own by drag and drop")
    person.menu("File", "Open Sample", "Scribble segmentation", "MR head with strokes")
    person.until(lambda: len(person.viewer.layers) == 2, "the layers")
    image, strokes = person.viewer.layers
    assert image.data.shape == (24, 96, 128)
    assert list(np.flatnonzero(np.any(strokes.data, axis=(1, 2)))) == [11, 14, 18]
    assert person.z == 11


def open_the_window(person: Person, folder: Path) -> None:
    """The dock, and a layer for the result; a slice with strokes is segmented when it is displayed."""
    person.caption("Open the window, and press Start painting")
    person.menu("Layers", "Segment", "Scribble segmentation (Scribble segmentation)")
    person.until(lambda: "ready" in person.status, "the engine")
    person.shoot("window-opened.png")
    person.press("Start painting")
    assert [layer.name for layer in person.viewer.layers] == ["MR head", "MR head labels", "MR head strokes"]
    assert person.front.layers.strokes.mode == "paint"
    person.idle()
    assert set(np.unique(person.labels)) == {BACKGROUND, BRAIN, VENTRICLES}
    person.caption("The sample's own strokes are segmented; a slice without strokes is yours")
    person.pause(0.7)
    while person.z < Z:
        person.key(Qt.Key.Key_Right, target=person.canvas)
        person.idle()
    assert not person.labels.any()


def paint(person: Person, folder: Path) -> None:
    """One stroke in the brain, one in the air around it, one in a ventricle."""
    person.caption("Paint a stroke in the brain: the result follows the pen")
    for _ in range(2):
        person.key(Qt.Key.Key_BracketRight, target=person.canvas)
    assert person.front.layers.strokes.brush_size == 3
    person.choose_class("brain")
    down, up = ((22, 52), (34, 46), (48, 43), (62, 46), (72, 56)), ((72, 72), (62, 82), (48, 85), (34, 82))
    person.stroke(*down, (74, 64), *up, follows=True)
    assert set(np.unique(person.labels)) == {BACKGROUND, BRAIN}
    assert (person.labels == BRAIN).sum() > 3500
    person.shoot("first-stroke.png")
    person.caption("A stroke in the background, and one in each other class, correct it")
    person.choose_class("background")
    person.stroke((8, 14), (88, 14))
    person.choose_class("ventricles")
    person.stroke((34, 56), (38, 60))
    assert 3500 < (person.labels == BRAIN).sum() < 4500
    assert 100 < (person.labels == VENTRICLES).sum() < 200
    assert not person.labels[:, AROUND].any()


def correct(person: Person, folder: Path) -> None:
    """A short stroke where the result is wrong; undo and redo; the eraser on the result."""
    person.caption("A short stroke where the result is wrong")
    before = person.labels.copy()
    other = (slice(56, 59), slice(58, 67))
    assert (before[other] == BRAIN).all()
    person.stroke((56, 58), (58, 66))
    corrected = person.labels.copy()
    assert (corrected[other] == VENTRICLES).all()
    assert 100 < (corrected == VENTRICLES).sum() - (before == VENTRICLES).sum() < 250
    person.caption("Undo takes it back, redo brings it again")
    person.key(Qt.Key.Key_Z, CONTROL, target=person.canvas)
    person.idle()
    person.pause(0.6)
    assert np.array_equal(person.labels, before)
    person.key(Qt.Key.Key_Z, CONTROL | SHIFT, target=person.canvas)
    person.idle()
    assert np.array_equal(person.labels, corrected)
    person.caption("Erase, or paint, on the result itself (D)")
    for pen in ("result", "erase"):
        person.key(Qt.Key.Key_D, target=person.canvas)
        assert person.widget.pens.brush.kind == pen
    person.stroke((30, 63), (34, 63))
    assert not person.labels[30:35, 63].any()
    assert (person.labels != corrected).sum() < 60
    person.key(Qt.Key.Key_D, target=person.canvas)
    assert person.widget.pens.brush.kind == "strokes"
    assert person.widget.classes.current == VENTRICLES
    person.shoot("window-result.png")


def from_a_few_slices_to_the_volume(person: Person, folder: Path) -> None:
    """The slices between the painted ones are filled; one is corrected, and those up to its neighbours follow."""
    person.caption("Fill the slices between the painted ones")
    painted = (11, 14, Z, 18)
    person.press("Fill between")
    person.idle()
    person.pause(0.5)
    filled = np.asarray(person.front.layers.result.data).copy()
    marks = person.widget.fills.strip.marks
    assert [z for z, mark in enumerate(marks) if mark.kind == "painted"] == list(painted)
    for z in {*range(11, 18)} - set(painted):
        assert marks[z].kind == "filled"
        assert set(np.unique(filled[z])) == {BACKGROUND, BRAIN, VENTRICLES}
    person.caption("N goes to the slice that most needs a stroke")
    person.go_to(16)
    person.shoot("window-filled.png")
    person.key(Qt.Key.Key_N, target=person.canvas)
    person.idle()
    assert person.z == person.front.session.next_slice().position[0]
    person.pause(0.7)
    person.caption("A correction changes only the slices up to its neighbours")
    person.go_to(12)
    person.choose_class("background")
    person.stroke((50, 84), (56, 84))
    person.idle()
    corrected = np.asarray(person.front.layers.result.data)
    assert not np.array_equal(corrected[12], filled[12])
    for z in (*painted, 16, 17):
        assert np.array_equal(corrected[z], filled[z])
    person.key(Qt.Key.Key_Z, CONTROL, target=person.canvas)
    person.idle()
    assert np.array_equal(np.asarray(person.front.layers.result.data), filled)


def accept_and_go_on(person: Person, folder: Path) -> None:
    """The slice is locked, and the one that most needs a stroke is shown."""
    person.caption("Accept a slice that is right; the next one is shown")
    person.go_to(16)
    accepted = person.labels.copy()
    person.key(Qt.Key.Key_A, target=person.canvas)
    person.idle()
    assert person.status.startswith("Accepted z 16")
    assert person.z != 16
    assert np.array_equal(np.asarray(person.front.layers.result.data)[16], accepted)
    assert person.widget.slice_list.model.work == "1 of 24 slices accepted"
    person.pause(0.5)


def save(person: Person, folder: Path) -> None:
    """A file on the grid of the image, with names and colours."""
    person.caption("Save: a label volume with the image's geometry, names and colours")
    path = folder / "head.seg.nrrd"
    person.choose_file(lambda: person.press("Save…"), str(path))
    person.until(lambda: person.status.startswith("Saved head.seg.nrrd"), "the file")
    written, image = read_labels(path), read_volume(mr_volume().path)
    assert np.array_equal(written.array, person.front.layers.result.data)
    assert {c.id: c.name for c in written.classes} == {BRAIN: "brain", VENTRICLES: "ventricles"}
    colors = [person.front.session.classes[i].color for i in (BRAIN, VENTRICLES)]
    np.testing.assert_allclose([c.color for c in written.classes], colors, atol=0.005)
    np.testing.assert_allclose(written.geometry.affine, image.geometry.without_time().affine, atol=1e-4)
    person.read()


STEPS: tuple[Step, ...] = (
    open_an_image,
    open_the_window,
    paint,
    correct,
    from_a_few_slices_to_the_volume,
    accept_and_go_on,
    save,
)


def main() -> None:
    """Take all steps, and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent / "images")
    parser.add_argument("--film", action="store_true", help="write a film of the steps in place of the pictures")
    parser.add_argument("--report", type=Path, help="JSON file for the steps, the pictures and the texts in sight")
    arguments = parser.parse_args()
    camera = Camera() if arguments.film else None
    person = Person(napari.Viewer(show=False), camera=camera)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for step in STEPS:
                step(person, Path(folder))
        if camera is not None:
            camera.save(arguments.folder / "session.webp")
        else:
            person.save_pictures(arguments.folder)
    finally:
        person.close()
    if arguments.report is not None:
        steps = [step.__name__ for step in STEPS]
        report = {"steps": steps, "pictures": sorted(person.pictures), "texts": sorted(person.texts)}
        arguments.report.write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
