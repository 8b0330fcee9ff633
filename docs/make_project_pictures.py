"""Make pictures of a project: ``xvfb-run -a -s "-screen 0 1400x1000x24" python docs/make_project_pictures.py``.

Six small cases are parts of a brain in MR that is installed with a dependency. One is painted with mouse and keys, a
network learns from it, with fewer steps than usual so that it takes a minute, and the next case opens with its draft.
Another folder can be named as the first argument.
"""

import os
import sys
import tempfile
from functools import partialmethod
from pathlib import Path

import nibabel
import numpy as np
from make_pictures import Studio, wait
from qtpy.QtCore import QSettings, Qt
from qtpy.QtTest import QTest

from napari_scribseg.io.sample_data import mr_volume
from napari_scribseg.learn import Project
from napari_scribseg.learn.training import LearnSettings

SLICES = 4  # of a case
STEPS = 60  # of learning


def cases(folder):
    """Six files, each with some slices of the brain."""
    volume = mr_volume()
    for number in range(6):
        values = volume.array[SLICES * number : SLICES * (number + 1)].astype(np.float32)
        spacing = [*volume.geometry.spacing[::-1], 1.0]
        nibabel.save(nibabel.Nifti1Image(values.T, np.diag(spacing)), folder / f"patient-{number + 1}.nii.gz")
    return folder


class ProjectStudio(Studio):
    """A viewer with a project."""

    def __init__(self, folder, images, home):
        super().__init__(folder)
        _, self.project = self.viewer.window.add_plugin_dock_widget("napari-scribseg", "Project")
        self.project.follows.setChecked(False)
        wait(1.0)
        self.project.work.create(home / "brains", ("brain",))
        self.rest()
        self.project.work.add([images])
        self.rest()

    def rest(self):
        """Wait until nothing is read, learned or drafted."""
        wait(0.3)
        while self.project._state.working or self.project._state.learning:
            wait(0.1)
        while self.project.work.case.annotator is not None and not self.widget.annotators.is_idle:
            wait(0.1)
        wait(0.5)

    @property
    def widget(self):
        """Scribble segmentation."""
        return self.project.segmentation()

    @property
    def canvas(self):
        """Where keys go."""
        return self.viewer.window._qt_viewer.canvas.native

    def key(self, key, modifier=Qt.KeyboardModifier.NoModifier):
        """Press a key on the canvas."""
        QTest.keyClick(self.canvas, key, modifier)
        self.rest()

    def paint(self, z):
        """A stroke of the brain and one of the background, and accept the slice."""
        self.viewer.dims.set_current_step(0, z)
        wait(0.3)
        background = self.front.session.classes.background
        self.stroke(1, [(22, 55), (45, 45), (75, 60)], 3)
        self.stroke(background, [(5, 10), (90, 10)], 3)
        self.stroke(background, [(5, 118), (90, 118)], 3)
        self.key(Qt.Key.Key_A)

    def open_case(self, name):
        """Open a case."""
        self.project.work.open_case(name)
        self.rest()
        wait(1.0)

    def to_front(self, widget):
        """Show one of the two tabs."""
        around = widget
        while around is not None and not hasattr(around, "isFloating"):
            around = around.parentWidget()
        around.raise_()
        wait(0.3)

    def close(self):
        """End the workers and the window."""
        self.project.end_all()
        super().close()


def main(folder, home):
    """Two pictures: the list of cases, and a case that opens with a draft."""
    Project.learn = partialmethod(Project.learn, settings=LearnSettings(steps=STEPS))
    images = home / "images"
    images.mkdir()
    studio = ProjectStudio(folder, cases(images), home)
    studio.open_case("patient-3")
    for z in range(SLICES):
        studio.paint(z)
    studio.open_case("patient-4")
    studio.paint(1)
    studio.to_front(studio.project)
    studio.project.buttons["learn"].click()
    studio.rest()
    studio.project.buttons["draft"].click()
    studio.rest()
    studio.to_front(studio.project)
    wait(3.5)
    studio.shoot("project-cases")
    studio.open_case("patient-5")
    studio.shoot("project-drafted")
    studio.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["SCRIBSEG_AUTOSAVE"] = home
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(Path(home) / "settings"))
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images", Path(home))
