"""The explorer in the real window: mouse and keys on embedding and canvas, files on the disk.

The embedding consists of principal components here, which need no kernel; UMAP has its own tests.
"""

from html import escape
from pathlib import Path

import numpy as np
import pytest
import yaml
from app_model import Application
from hands import PLAIN, Hands, drag, ended, settle, until
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog
from skimage.io import imsave

pytest.importorskip("higra")

from napari_scribseg.core import InputError
from napari_scribseg.explore import embedding, encoders, feature_space
from napari_scribseg.explore import workspace as workspace_module
from napari_scribseg.io import read_labels
from napari_scribseg.widgets.common.autosaves import workspace_autosaves
from napari_scribseg.widgets.common.key_sheet import KeySheet
from napari_scribseg.widgets.explore import commands
from napari_scribseg.widgets.explore.explore_actions import ACTIONS
from napari_scribseg.widgets.explore.explorer import ExploreWidget
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

pytestmark = pytest.mark.gui

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def stack():
    """Bright squares and dim discs on a dark ground; the second slice has two squares that touch."""
    slices = np.random.default_rng(0).normal(10, 1, (3, 96, 96)).astype(np.float32)
    rows, columns = np.mgrid[:96, :96]
    for z in range(3):
        slices[z, 10:30, 12:32] += 100
        slices[z, 60:80, 50:70] += 100
        slices[z][(rows - 25) ** 2 + (columns - 70) ** 2 < 120] += 45
        slices[z][(rows - 72) ** 2 + (columns - 20) ** 2 < 120] += 45
    slices[1, 62:78, 70:88] += 100
    return slices


class Explorer(Hands):
    """A viewer with the explorer."""

    def __init__(self, viewer):
        super().__init__(viewer, ExploreWidget(viewer), "Explore segments", (1300, 900))

    @property
    def workspace(self):
        return self.widget.exploration.workspace

    @property
    def shown(self):
        """The labels in the canvas."""
        return np.asarray(self.widget.exploration.layers.front.segments.data)

    def shows_class(self, z, row, column, label):
        """Wait until the canvas shows a class."""
        until(lambda: self.shown[z, row, column] == label, f"class {label} in the canvas")

    def done(self):
        """Wait for the job, and for what follows it in the window."""

        def idle():
            moving = self.widget.embedding.is_moving or self.widget.local.is_moving
            return not (moving or self.widget.jobs.is_busy or self.widget.exploration.layers.is_turning)

        settle()
        until(idle, "the end of the job")

    def prepare(self):
        """Add the layer, cut and embed, by the buttons."""
        self.click(self.widget.images.buttons["add"])
        until(lambda: len(self.workspace.pictures) == len(self.viewer.layers[0].data), "the images")
        self.widget.cutting.regions.setValue(6)
        self.click(self.widget.cutting.buttons["cut"])
        until(lambda: len(self.workspace.ids()), "the segments")
        self.click(self.widget.cutting.buttons["embed"])
        until(lambda: len(self.widget.embedding.scene.ids) == len(self.workspace.ids()), "the embedding")
        self.done()
        self.viewer.reset_view()
        settle()

    def click(self, button):
        """Click a button once it can be clicked, and wait for what it starts."""
        until(button.isEnabled, f"the button {button.text()!r}")
        button.click()
        self.done()

    def at(self, row, column):
        """The segment of a pixel of the displayed slice."""
        return self.workspace.segment_at(self.widget.exploration.layers.index(), row, column)

    def pixel_of(self, identity):
        """Where a segment is in the embedding, once it is there."""
        view = self.widget.embedding
        until(lambda: view.pixel_of(int(identity)) is not None, f"segment {identity} in the embedding")
        return view.pixel_of(int(identity))

    def box(self, ids, modifier=PLAIN):
        """Draw a box around segments in the embedding."""
        view = self.widget.embedding
        pixels = np.array([self.pixel_of(i) for i in ids])
        low, high = pixels.min(axis=0) - 5, pixels.max(axis=0) + 5
        drag(view, [QPoint(*map(round, corner)) for corner in (low, (low + high) / 2, high)], modifier, parts=2)

    def on_image(self, *points):
        """A click, or a stroke, on the canvas at pixels of the displayed slice."""
        drag(self.canvas, self.pixels(*points), parts=2)

    def press(self, key, modifier=PLAIN):
        """A key on the embedding."""
        self.key(key, modifier, self.widget.embedding)


@pytest.fixture(autouse=True)
def _quick_embedding(monkeypatch):
    for module in (feature_space, workspace_module):
        monkeypatch.setattr(module, "fit_embedding", lambda f, *_a, **_k: 3 * embedding.principal_components(f))


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(stack(), name="scan", scale=(4, 2, 2))
    viewer.dims.set_current_step(0, 1)
    return viewer


@pytest.fixture
def hands(viewer, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    hands = Explorer(viewer)
    yield hands
    hands.widget.end_all()
    ended(hands.widget.dispatcher)


def test_box_assign_undo_split_save_resume(hands, tmp_path, monkeypatch):
    hands.prepare()
    widget, workspace = hands.widget, hands.workspace
    assert hands.viewer.dims.current_step[0] == 1  # the displayed slice stays
    square = hands.at(20, 22)
    assert square
    assert square != hands.at(2, 2)

    hands.box([square])
    until(lambda: square in widget.exploration.selected)
    hands.press(Qt.Key.Key_1)
    until(lambda: workspace.table.label[square] == 1)
    hands.shows_class(1, 20, 22, 1)
    hands.shows_class(1, 2, 2, 0)
    assert "class 1" in hands.status

    hands.press(Qt.Key.Key_Z, CTRL)
    hands.shows_class(1, 20, 22, 0)
    hands.press(Qt.Key.Key_Z, CTRL | SHIFT)
    hands.shows_class(1, 20, 22, 1)

    whole = hands.at(70, 60)
    assert whole == hands.at(70, 80)  # both squares are one segment
    hands.on_image((140, 120))
    until(lambda: widget.exploration.selected.tolist() == [whole])
    widget.labels.buttons["assign"].click()
    widget.files.buttons["positive"].click()
    hands.on_image((130, 110), (150, 110))
    widget.files.buttons["negative"].click()
    hands.on_image((132, 164), (148, 164))
    hands.key(Qt.Key.Key_S)
    hands.done()
    assert hands.at(70, 60) != hands.at(70, 80)
    hands.shows_class(1, 70, 60, 1)
    hands.shows_class(1, 70, 80, 0)
    strokes = widget.exploration.layers.front.strokes
    assert not strokes.data.any()
    hands.press(Qt.Key.Key_Z, CTRL)
    until(lambda: hands.at(70, 60) == whole)
    assert set(np.unique(strokes.data)) == {0, 1, 2}  # what was drawn is there again
    hands.press(Qt.Key.Key_Z, CTRL | SHIFT)

    labels = [workspace.labels(i) for i in range(3)]
    path = tmp_path / "mine.npz"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path.with_suffix("")), ""))
    widget.labels.buttons["save"].click()
    hands.shows("Saved")
    widget.resume(path)
    hands.done()
    assert hands.workspace is not workspace
    assert "Resumed 3 images" in hands.status
    assert all(np.array_equal(hands.workspace.labels(i), labels[i]) for i in range(3))
    hands.shows_class(1, 70, 60, 1)
    hands.shows_class(1, 70, 80, 0)


def test_embedding_and_image_show_each_other_and_contours_follow_the_slider(hands):
    hands.prepare()
    widget = hands.widget
    other = int(hands.workspace.ids(2)[0])
    x, y = hands.pixel_of(other)
    hands.box([other])
    widget.exploration.pick(other, "new")
    settle()
    assert hands.viewer.dims.current_step[0] == 2
    contours = next(layer for layer in hands.viewer.layers if layer.name == "segments: contours")
    assert (np.asarray(contours.data) == 2).any()
    hands.viewer.dims.set_current_step(0, 0)
    until(lambda: widget.images.number.value() == 1)
    before = np.asarray(contours.data).copy()
    widget.cutting.slider.setValue(0)
    until(lambda: (np.asarray(contours.data) != before).any())
    assert "at this threshold" in hands.status
    assert (x, y) != (0, 0)


def test_number_filter_next_learn_and_the_embedding_of_a_selection(hands):
    hands.prepare()
    widget = hands.widget
    widget.classes.add_class()
    bright = [hands.workspace.segment_at(z, 20, 22) for z in range(3)]
    dim = [hands.workspace.segment_at(z, 25, 70) for z in range(3)]
    widget.exploration.select(np.array(bright))
    hands.press(Qt.Key.Key_1)
    widget.exploration.select(np.array(dim))
    hands.press(Qt.Key.Key_2)
    hands.press(Qt.Key.Key_9)
    assert "there is no class of the number 9" in hands.status.lower()
    widget.bar.filter.setCurrentIndex(1)
    assert not np.isin(bright + dim, widget.embedding.scene.ids).any()
    widget.bar.filter.setCurrentIndex(0)
    widget.bar.buttons["next"].click()
    until(lambda: len(widget.exploration.selected) == 1)
    assert hands.workspace.table.label[widget.exploration.selected[0]] == 0
    widget.cutting.buttons["learn"].click()
    hands.done()
    assert "Learned from 6" in hands.status
    widget.exploration.select(np.array(bright + dim))
    widget.labels.buttons["local"].click()
    hands.done()
    assert widget.local.isVisible()
    assert sorted(widget.local.scene.ids) == sorted(bright + dim)


def test_an_edge_map_layer_another_encoder_and_names(hands, viewer):
    widget = hands.widget
    edges = np.zeros((3, 96, 96), np.float32)
    edges[:, :, 40] = 1  # one border, which the image does not have
    viewer.add_image(edges, name="my edges")
    viewer.add_image(edges[0], name="flat")
    widget.images.layer.setCurrentText("scan")
    widget.images.buttons["add"].click()
    hands.done()
    assert [p.name for p in hands.workspace.pictures] == ["scan [0]", "scan [1]", "scan [2]"]
    panel = widget.cutting
    panel.gradient.setCurrentIndex(panel.gradient.findData("given"))
    panel.edges.setCurrentText("flat")
    panel.buttons["cut"].click()
    hands.done()
    until(lambda: "the edge map 'flat' has the shape (96, 96)" in hands.status.lower(), "what is wrong with the map")
    panel.edges.setCurrentText("my edges")
    panel.slider.setValue(1)
    hands.shows("at this threshold")
    panel.regions.setValue(2)
    panel.auto.setChecked(True)
    panel.buttons["cut"].click()
    hands.done()
    assert hands.workspace.settings.gradient == "given"
    assert len(hands.workspace.ids()) == 6
    assert hands.at(20, 10) == hands.at(90, 30) != hands.at(20, 60)

    choose = panel.encoder.view
    choose.setCurrentIndex(1)
    choose.activated.emit(1)
    hands.done()
    assert hands.workspace.encoder == ("crops", "")
    panel.encoder.chosen.emit("crops", "/does/not/exist.safetensors")
    hands.done()
    hands.shows("are missing")
    assert hands.workspace.encoder == ("crops", "")


def test_labels_layers_files_and_finishing_by_strokes(hands, tmp_path, monkeypatch):
    hands.prepare()
    widget = hands.widget
    widget.exploration.select(np.array([hands.at(20, 22)]))
    hands.press(Qt.Key.Key_1)
    widget.exploration.select(np.array([hands.at(2, 2)]))
    hands.press(Qt.Key.Key_0)
    widget.files.buttons["layers"].click()
    hands.done()
    made = hands.viewer.layers["scan labels"]
    assert made.data[1, 20, 22] == 1
    assert made.data[1, 2, 2] == 0  # the background
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(tmp_path / "out"))
    widget.files.buttons["export"].click()
    hands.shows("Saved")
    (written,) = (tmp_path / "out").glob("*.nii.gz")
    assert np.array_equal(read_labels(written).array, made.data)
    hands.viewer.layers.remove(made)

    widget.files.buttons["finish"].click()
    until(lambda: "scan strokes" in hands.viewer.layers)
    strokes = hands.viewer.layers["scan strokes"].data
    assert set(np.unique(strokes[1])) == {0, 1, 255}
    assert not strokes[0].any()
    window = hands.viewer.window._qt_window
    (segmentation,) = (w for w in window.findChildren(SegmentationWidget) if w.annotators.front is not None)
    until(lambda: segmentation.annotators.front.session.labels[1].any())
    assert segmentation.annotators.front.session.labels[1, 20, 22] == 1
    segmentation.end_all()


def test_a_folder_of_unlike_images_and_deleted_layers(hands, tmp_path):
    folder = tmp_path / "cells"
    folder.mkdir()
    random = np.random.default_rng(1)
    for number, shape in enumerate([(60, 80), (90, 50, 3), (60, 80)]):
        picture = random.integers(0, 40, shape, dtype=np.uint8)
        picture[20:40, 20:40] += 150
        imsave(folder / f"{number}.png", picture, check_contrast=False)
    (folder / "broken.png").write_bytes(b"no picture")
    hands.widget.work.add_files([folder])
    hands.done()
    assert len(hands.workspace.pictures) == 3
    assert "1 skipped" in hands.status
    hands.widget.cutting.regions.setValue(4)
    hands.widget.cutting.buttons["cut"].click()
    hands.done()
    inside = hands.workspace.segment_at(1, 30, 30)
    hands.widget.exploration.pick(inside, "new")
    hands.press(Qt.Key.Key_1)
    hands.shows_class(1, 30, 30, 1)
    group = hands.widget.exploration.layers.front
    hands.viewer.layers.remove(group.segments)
    hands.viewer.layers.remove(group.source.layer)
    assert "deleted" in hands.status
    hands.widget.exploration.display.turn_to(1)
    hands.shows_class(1, 30, 30, 1)


def test_mistakes_are_shown_and_closing_autosaves_the_workspace(hands):
    widget = hands.widget
    widget.work.embed()
    assert "there are no segments" in hands.status.lower()
    widget.exploration.split()
    assert "no image is visible" in hands.status.lower()
    widget.exploration.assign(1)
    assert "nothing is selected" in hands.status.lower()
    hands.prepare()
    square = hands.at(20, 22)
    widget.exploration.select(np.array([square]))
    hands.press(Qt.Key.Key_1)
    widget.exploration.set_classes(widget.classes.classes.without(1))
    assert "segments have the class" in hands.status.lower()
    hands.viewer.window.remove_dock_widget(widget)
    assert widget.is_ended
    until(lambda: len(workspace_autosaves()) == 1)
    again = Explorer(hands.viewer)
    assert "Resume" in again.status
    again.widget.files.buttons["resume"].click()
    again.done()
    assert again.workspace.table.label[again.workspace.segment_at(1, 20, 22)] == 1
    assert [layer.name for layer in hands.viewer.layers].count("scan") == 1  # the layer that is there shows it
    assert again.widget.exploration.layers.front.source.layer is hands.viewer.layers["scan"]
    again.widget.end_all()


def test_the_manifest_has_a_command_for_every_action():
    manifest = yaml.safe_load((Path(__file__).parents[3] / "napari.yaml").read_text(encoding="utf-8"))
    start = "napari-scribseg.explore-segments."
    named = {c["id"].removeprefix(start): c for c in manifest["contributions"]["commands"] if c["id"].startswith(start)}
    assert list(named) == [action.name for action in ACTIONS]
    for action in ACTIONS:
        assert named[action.name]["title"] == f"{action.text.rstrip('…')} (Explore segments)"
        assert named[action.name]["python_name"] == f"{commands.__name__}:{action.name}"
        assert callable(getattr(commands, action.name))
    with pytest.raises(AttributeError):
        commands.no_such_action  # noqa: B018


@pytest.mark.parametrize("other", [False, True], ids=["alone", "with the other dock"])
def test_a_question_mark_shows_the_keys_of_the_docks(hands, other):
    others = []
    if other:
        others.append(SegmentationWidget(hands.viewer))
        hands.viewer.window.add_dock_widget(others[0], name="Scribble segmentation")
        settle()
    main = hands.viewer.window._qt_window
    main.activateWindow()
    until(main.isActiveWindow, "the active window")
    for target in (hands.canvas, hands.widget.embedding):
        target.setFocus()
        hands.key(Qt.Key.Key_Question, target=target)
        (sheet,) = (sheet for sheet in main.findChildren(KeySheet) if sheet.isVisible())
        text = sheet.table.text()
        assert "Explore segments" in text
        assert text.startswith("<h3>Explore segments") or target is hands.canvas
        assert all(escape(action.tooltip) in text for action in ACTIONS if action.key)
        assert ("Scribble segmentation</h3>" in text) == other
        sheet.close()
        settle()
    for widget in others:
        widget.end_all()


def test_networks_compute_on_the_device_that_is_chosen(hands, monkeypatch):
    combo, used = hands.widget.cutting.device, []
    assert [combo.itemData(i) for i in range(combo.count())] == ["auto", "cpu", "cuda", "mps"]
    until(lambda: combo.itemText(0).startswith("auto: "), "the device that was found")
    assert hands.workspace.device == "auto"

    def choose(device):
        used.append(device)
        if device == "mps":
            raise InputError("there is no such card")
        return "cpu"

    for module in (workspace_module, encoders):
        monkeypatch.setattr(module, "choose_device", choose)
    for device in ("cpu", "mps"):
        combo.setCurrentIndex(combo.findData(device))
        combo.activated.emit(combo.currentIndex())
    hands.shows("There is no such card")
    assert (hands.workspace.device, combo.currentData()) == ("cpu", "cpu")
    used.clear()
    hands.prepare()
    assert set(used) == {"cpu"}
    assert np.isfinite(hands.workspace.xy(hands.workspace.ids())).all()


def test_the_first_embedding_takes_the_room_and_shows_every_segment(hands):
    segmentation = SegmentationWidget(hands.viewer)
    hands.viewer.window.add_dock_widget(segmentation, name="Scribble segmentation")
    hands.viewer.window._qt_window.resize(1366, 768)
    until(lambda: segmentation.height() > 100, "the other dock")
    until(lambda: abs(segmentation.height() - hands.widget.height()) < 20, "docks of the same height")
    view = hands.widget.embedding
    hands.prepare()
    until(lambda: view.height() > 0.25 * hands.viewer.window._qt_window.height(), "a large embedding")
    ids = hands.workspace.ids()
    until(lambda: (hands.widget.tiles.rows(ids) >= 0).all(), "thumbnails of all segments")
    for identity in ids:
        assert view.scene.at(*view.pixel_of(int(identity)), view.width(), view.height()) == identity
    assert segmentation.bar.buttons["undo"].visibleRegion().boundingRect().height() > 10
    segmentation.end_all()


@pytest.fixture
def palette():
    """napari's application, which the viewers of tests do not have."""
    app = Application("napari")
    yield app
    Application.destroy("napari")


def test_opens_from_the_manifest_and_its_commands_are_in_the_palette(palette, viewer):
    _, widget = viewer.window.add_plugin_dock_widget("napari-scribseg", "Explore segments")
    assert widget.images.source.layer is viewer.layers[0]
    commands = {action.name: f"napari-scribseg.explore-segments.{action.name}" for action in ACTIONS}
    assert all(command in palette.commands for command in commands.values())
    assert palette.commands[commands["cut"]].title == "Cut (Explore segments)"
    with palette.injection_store.register(providers=[(lambda: viewer, type(viewer))]):
        palette.commands.execute_command(commands["assign"]).result()
        assert "nothing is selected" in widget.status.line.text().lower()
    widget.end_all()
