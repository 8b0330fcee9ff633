"""Make pictures of the window and of engines: ``xvfb-run -a -s "-screen 0 1400x1000x24" python docs/make_pictures.py``.

A real window is driven by mouse events on its canvas; what is written to ``docs/images`` is what a user sees. Another
folder can be named as the first argument.
"""

import itertools
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import napari
import nibabel.testing
import numpy as np
from PIL import Image as Picture
from qtpy.QtCore import QPoint, QSettings, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from skimage import data

from napari_scribseg.core import ClassTable, LabelClass
from napari_scribseg.io import read_volume
from napari_scribseg.widgets.segmentation.preparing import PREPARING
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

LARGEST = 250_000  # bytes of a picture, above which its colours are made fewer
COLORS = 200


def wait(seconds):
    """Let the window work."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.002)


class Studio:
    """A viewer with the widget, a hand for the mouse, and a camera."""

    size = (1280, 800)

    def __init__(self, folder, theme="dark"):
        self.folder = folder
        self.viewer = napari.Viewer(show=False)
        self.viewer.theme = theme
        self.window = self.viewer.window._qt_window
        self.window.resize(*self.size)
        self.window.show()
        wait(0.5)

    def open_widget(self):
        """Dock the widget as the menu does."""
        self.widget = SegmentationWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget, name="Scribble segmentation")
        wait(1.5)
        while PREPARING in self.widget.status.line.text():
            wait(0.5)

    def begin(self, classes):
        """Press the button, and give the classes names."""
        self.widget.images.start.click()
        self.front.set_classes(classes)
        self.viewer.reset_view()
        wait(0.5)

    @property
    def front(self):
        """The annotator in front."""
        return self.widget.annotators.front

    def stroke(self, identity, points, brush=None, while_down=lambda: None):
        """Draw a line in data coordinates (row, column) with the mouse; ``while_down`` is called after each piece."""
        strokes = self.front.layers.strokes
        self.front.paint_with(identity)
        strokes.brush_size = brush or strokes.brush_size
        shown = self.viewer.dims.displayed
        scale, origin = strokes.scale[list(shown)], strokes.translate[list(shown)]
        canvas = self.viewer.window._qt_viewer.canvas
        where = []
        for point in points:
            y, x = np.asarray(point) * scale + origin
            where.append(QPoint(*(round(float(c)) for c in canvas.view.scene.transform.map([x, y])[:2])))
        QTest.mouseMove(canvas.native, where[0])
        wait(0.05)
        QTest.mousePress(canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[0])
        for start, stop in itertools.pairwise(where):
            for part in np.linspace(0, 1, 6)[1:]:
                QTest.mouseMove(canvas.native, start + (stop - start) * float(part))
                wait(0.015)
            while_down()
        QTest.mouseRelease(canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where[-1])
        self.wait_for_result()

    def wait_for_result(self):
        """Wait for the engine."""
        wait(0.1)
        while self.front.session.is_busy:
            wait(0.05)
        wait(0.3)

    def shoot(self, name):
        """Photograph the whole window."""
        QTest.mouseMove(self.window, QPoint(640, 5))
        wait(0.6)
        pixels = self.viewer.window.screenshot(flash=False, canvas_only=False)
        picture = Picture.fromarray(pixels).convert("RGB")
        path = self.folder / f"{name}.png"
        picture.save(path, optimize=True)
        if path.stat().st_size > LARGEST:
            picture.quantize(COLORS, dither=Picture.Dither.NONE).save(path, optimize=True)
        print(f"{path} {path.stat().st_size // 1024} kB")

    def choose_engine(self, name):
        """Choose an engine in the list."""
        chooser = self.widget.engines.engine_combo
        chooser.setCurrentIndex(chooser.findData(name))
        wait(2)

    def look(self):
        """The canvas as it is at this moment."""
        wait(0.35)
        return Picture.fromarray(self.viewer.window.screenshot(flash=False, canvas_only=True)).convert("RGB")

    def close(self):
        """End the worker and the window."""
        self.widget.end_all()
        self.viewer.close()
        wait(0.3)


def classes(*named):
    """A table with a background and classes of these names."""
    table = ClassTable.from_ids(range(1, len(named) + 1), background=255)
    for number, name in enumerate(named, 1):
        table = table.with_class(LabelClass(number, name, table[number].color))
    return table


def uncertainty(folder):
    """The uncertainty of the sample's own strokes."""
    studio = Studio(folder)
    studio.viewer.open_sample("napari-scribseg", "mr-head")
    studio.viewer.dims.set_current_step(0, 14)
    studio.open_widget()
    studio.widget.images.start.click()
    studio.viewer.reset_view()
    studio.wait_for_result()
    studio.widget.overlays.combo.setCurrentIndex(2)
    studio.shoot("window-uncertainty")
    studio.close()


def photograph(folder):
    """A photograph, with the form of the engine unfolded."""
    studio = Studio(folder)
    studio.viewer.add_image(data.astronaut(), name="astronaut", rgb=True)
    studio.open_widget()
    studio.begin(classes("suit", "head"))
    studio.stroke(255, [(40, 30), (250, 30)], 9)
    studio.stroke(255, [(30, 330), (30, 480)], 9)
    studio.stroke(255, [(400, 400), (440, 330), (470, 360)], 9)
    studio.stroke(1, [(330, 120), (470, 150), (480, 250)], 9)
    studio.stroke(2, [(60, 220), (150, 210)], 9)
    studio.stroke(2, [(105, 165), (45, 225), (105, 285)], 9)
    studio.widget.engines.fold.setChecked(True)
    studio.widget.sections.reveal(studio.widget.engines.form)
    studio.widget.status.details.setChecked(True)
    studio.shoot("window-photograph")
    studio.close()


def fitted_network(folder):
    """A network fitted to the strokes: the curve of its fit, and the semantic features that it sees as a layer."""
    studio = Studio(folder)
    studio.viewer.add_image(data.astronaut()[::2, ::2], name="astronaut", rgb=True)
    studio.open_widget()
    studio.choose_engine("cnn")
    studio.widget.engines.form["inputs"].field.value = "colour+semantic"
    studio.begin(classes("suit", "head"))
    studio.stroke(255, [(20, 15), (125, 15)], 5)
    studio.stroke(255, [(15, 165), (15, 240)], 5)
    studio.stroke(255, [(200, 200), (220, 165), (235, 180)], 5)
    studio.stroke(1, [(165, 60), (235, 75), (240, 125)], 5)
    studio.stroke(2, [(30, 110), (75, 105)], 5)
    button = studio.widget.engines.pictures["semantic features"]
    button.click()
    while "semantic features of astronaut" not in studio.viewer.layers:
        wait(0.1)
    studio.viewer.layers["semantic features of astronaut"].opacity = 0.66
    studio.viewer.layers["astronaut labels"].visible = False
    studio.widget.sections.reveal(button)
    studio.shoot("fitted-network")
    studio.close()


def own_network(folder):
    """A U-Net for nuclei alone, and corrected by strokes; the nuclei are those that the page itself makes."""
    page = (Path(__file__).parent / "tutorial-unet.md").read_text(encoding="utf-8")
    space = {}
    exec(re.search(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1], space)
    studio = Studio(folder)
    studio.viewer.add_image(space["cells"], name="cells", contrast_limits=(0, 110))
    studio.open_widget()
    studio.choose_engine("brs")
    studio.widget.engines.models.choose("nuclei-unet")
    studio.begin(classes("cell"))
    studio.widget.engines.models.predict.click()
    while not studio.front.session.labels.any():
        wait(0.1)
    studio.shoot("unet-alone")
    studio.stroke(1, [(152, 119), (152, 130)], 4)
    studio.stroke(1, [(95, 57), (95, 66)], 4)
    studio.stroke(1, [(54, 187), (54, 197)], 4)
    studio.shoot("unet-corrected")
    studio.close()


def recording(folder):
    """The trained network under the pen: the canvas at moments of a stroke that is still being drawn, and after it."""
    studio = Studio(folder)
    loaded = read_volume(Path(nibabel.testing.data_path) / "example4d.nii.gz")
    studio.viewer.add_image(np.asarray(loaded.array[0])[14], name="head", contrast_limits=(0, 600))
    studio.open_widget()
    studio.choose_engine("scribble-net")
    studio.begin(classes("brain"))
    shots = []

    def shoot():
        shots.append(studio.look())

    shoot()
    studio.stroke(1, [(20, 62), (24, 45), (45, 38), (65, 46), (76, 60)], 2, shoot)
    studio.stroke(1, [(75, 70), (60, 86), (35, 90), (22, 74)], 2, shoot)
    studio.stroke(255, [(14, 8), (50, 5), (90, 10)], 2)
    shoot()
    chosen = [shots[i] for i in (1, 2, 3, 4, 6, -1)]
    side = min(chosen[0].size)
    tiles = []
    for shot in chosen:
        left, top = (shot.width - side) // 2, (shot.height - side) // 2
        tiles.append(shot.crop((left, top, left + side, top + side)).resize((360, 360), Picture.Resampling.LANCZOS))
    sheet = Picture.new("RGB", (3 * 366 - 6, 2 * 366 - 6), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % 3 * 366, number // 3 * 366))
    path = folder / "live-stroke.png"
    sheet.quantize(COLORS, dither=Picture.Dither.NONE).save(path, optimize=True)
    print(f"{path} {path.stat().st_size // 1024} kB")
    studio.close()


def main():
    """Make all pictures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "images")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as autosave:
        os.environ["SCRIBSEG_AUTOSAVE"] = autosave
        QSettings.setPath(
            QSettings.Format.IniFormat, QSettings.Scope.UserScope, autosave
        )  # windows as they are at first
        uncertainty(folder)
        photograph(folder)
        fitted_network(folder)
        own_network(folder)
        recording(folder)


if __name__ == "__main__":
    main()
