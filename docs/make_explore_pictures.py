"""Make the explorer's pictures: ``xvfb-run -a -s "-screen 0 1500x1000x24" python docs/make_explore_pictures.py``.

A real window is driven by mouse and keys; what is written to ``docs/images`` is what a user sees. Another folder can be
named as the first argument.
"""

import os
import sys
import tempfile
from pathlib import Path

import nibabel.testing
import numpy as np
from make_pictures import Studio, wait
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_scribseg.core import ClassTable, LabelClass
from napari_scribseg.io import read_volume
from napari_scribseg.widgets.explore.explorer import ExploreWidget


class ExploreStudio(Studio):
    """A viewer with the explorer, a hand for the mouse, and a camera."""

    size = (1380, 900)

    def open_widget(self):
        """Dock the explorer as the menu does."""
        self.widget = ExploreWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget, name="Explore segments")
        wait(4)

    @property
    def workspace(self):
        """The workspace in front."""
        return self.widget.exploration.workspace

    def done(self):
        """Wait for the job and what follows it."""
        wait(0.2)
        while self.widget.jobs.is_busy:
            wait(0.05)
        wait(3)

    def drag(self, target, points):
        """Press, move and release the left button."""
        where = [QPoint(round(x), round(y)) for x, y in points]
        QTest.mouseMove(target, where[0])
        wait(0.05)
        QTest.mousePress(target, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[0])
        for point in where[1:]:
            QTest.mouseMove(target, point)
            wait(0.03)
        QTest.mouseRelease(target, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[-1])
        wait(0.3)

    def box(self, identity, cells):
        """Draw a box around a segment and its neighbours in the grid, so many to each side."""
        view = self.widget.embedding
        middle, half = np.array(view.pixel_of(identity)), (cells + 0.4) * view.scene.camera.scale
        inside = np.clip([middle - half, middle, middle + half], 1, (view.width() - 2, view.height() - 2))
        self.drag(view, inside)


def canvas_pixel(viewer, layer, row, column):
    """Where a pixel of the displayed slice is on the canvas."""
    z = viewer.dims.current_step[0]
    _, y, x = layer.data_to_world((z, row, column))
    return viewer.window._qt_viewer.canvas.view.scene.transform.map([x, y])[:2]


def head(folder, theme):
    """The slices of a real MR volume: cut, embedded, labelled by a box, learned, split."""
    studio = ExploreStudio(folder, theme)
    suffix = "" if theme == "dark" else f"-{theme}"
    loaded = read_volume(Path(nibabel.testing.data_path) / "example4d.nii.gz")
    image = studio.viewer.add_image(
        np.asarray(loaded.array[0]),
        name="head",
        scale=loaded.geometry.spacing[1:],
        units=("mm",) * 3,
        axis_labels=("z", "y", "x"),
        contrast_limits=(0, 800),
    )
    studio.viewer.dims.set_current_step(0, 14)
    studio.open_widget()
    widget = studio.widget
    table = ClassTable.from_ids([1, 2], background=255)
    for identity, name in ((1, "ventricles"), (2, "brain")):
        table = table.with_class(LabelClass(identity, name, table[identity].color))
    widget.exploration.set_classes(table)
    widget.images.buttons["add"].click()
    studio.done()
    widget.cutting.simplification.setValue(0.01)
    widget.cutting.slider.setValue(150)
    studio.viewer.reset_view()
    while "segments: contours" not in studio.viewer.layers:
        wait(0.1)
    if not suffix:
        studio.shoot("explore-cut")
    widget.cutting.buttons["cut"].click()
    studio.done()
    widget.cutting.buttons["embed"].click()
    studio.done()
    widget.classes.select(1)
    ids = widget.embedding.scene.ids
    middle = studio.workspace.segment_at(14, 60, 64)
    xy = studio.workspace.xy(ids)
    studio.box(middle, 3)
    QTest.keyClick(widget.embedding, Qt.Key.Key_1)
    wait(0.5)
    wait(3)
    studio.shoot(f"explore-embedding{suffix}")
    if suffix:
        return close(studio)
    widget.embedding.fit()
    corner = studio.workspace.segment_at(14, 3, 3)
    near = np.argsort(np.linalg.norm(xy - studio.workspace.xy([corner])[0], axis=1))[:30]
    widget.exploration.select(ids[near])
    QTest.keyClick(widget.embedding, Qt.Key.Key_0)
    widget.cutting.buttons["learn"].click()
    studio.done()
    widget.exploration.select(studio.workspace.inside([xy.min(axis=0), xy.mean(axis=0)]))
    widget.labels.buttons["local"].click()
    studio.done()
    studio.shoot("explore-learned")
    widget.local.hide()
    split(studio, image)
    studio.shoot("explore-split")
    return close(studio)


def split(studio, image):
    """Strokes of both signs on the largest segment of the displayed slice, within the head."""
    widget = studio.widget
    widget.exploration.display.turn_to(14)
    wait(0.3)
    identity = studio.workspace.segment_at(14, 60, 64)
    widget.exploration.pick(identity, "new")
    rows, columns = np.nonzero(studio.workspace.segments(14) == identity)
    canvas = studio.viewer.window._qt_viewer.canvas.native
    widget.sections.reveal(widget.files)
    order = np.argsort(columns)
    for name, part in (("positive", order[len(order) // 6]), ("negative", order[-len(order) // 6])):
        widget.files.buttons[name].click()
        wait(0.3)
        row, column = rows[part], columns[part]
        points = [canvas_pixel(studio.viewer, image, row + step, column) for step in (-2, 0, 2)]
        studio.drag(canvas, points)


def close(studio):
    """End the worker and the window."""
    studio.widget.end_all()
    studio.viewer.close()
    wait(0.3)


def main():
    """Make all pictures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "images")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as autosave:
        os.environ["SCRIBSEG_AUTOSAVE"] = autosave
        head(folder, "dark")


if __name__ == "__main__":
    main()
