"""The parts of the explorer that need no real window: camera, scene, contours, jobs, forms, the embedding's mouse."""

from concurrent.futures import Future
from queue import SimpleQueue
from threading import Event, current_thread
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from hands import until
from napari.layers import Image as ImageLayer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_scribseg.core import Cancelled, InputError
from napari_scribseg.explore import CutSettings, Workspace
from napari_scribseg.explore.embedding import nearest
from napari_scribseg.explore.task import WorkspaceTask
from napari_scribseg.io.napari_hooks import get_reader
from napari_scribseg.kernel import Worker
from napari_scribseg.kernel import jobs as kernel_jobs
from napari_scribseg.widgets.common.autosaves import new_workspace_autosave, workspace_autosaves
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.explore import encoder_form
from napari_scribseg.widgets.explore.background_jobs import LongJobs, QuickJobs
from napari_scribseg.widgets.explore.camera import Camera
from napari_scribseg.widgets.explore.contours import BORDER, CHOSEN, contours
from napari_scribseg.widgets.explore.edge_maps import EdgeMaps
from napari_scribseg.widgets.explore.embedding_view import EmbeddingView
from napari_scribseg.widgets.explore.frame_drawing import packed_colors, paint_discs, paint_tiles, with_room
from napari_scribseg.widgets.explore.grid import grid_positions
from napari_scribseg.widgets.explore.groups import as_images
from napari_scribseg.widgets.explore.panels import CutPanel
from napari_scribseg.widgets.explore.scene import Scene
from napari_scribseg.widgets.explore.tiles import Tiles

SIZE = (200, 100)


def crowd(n=50, seed=0):
    xy = np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)
    return np.arange(1, n + 1), xy, np.full((n, 3), 200, np.uint8)


def test_camera_shows_all_and_zooms_about_the_mouse():
    _, xy, _ = crowd()
    camera = Camera.around(xy, *SIZE)
    pixels = camera.to_pixels(xy, *SIZE)
    assert (pixels >= 0).all()
    assert (pixels < SIZE).all()
    assert camera.to_xy(*pixels[3], *SIZE) == pytest.approx(tuple(xy[3]), abs=1e-3)
    before = camera.to_xy(30, 40, *SIZE)
    assert camera.zoomed(3, 30, 40, *SIZE).to_xy(30, 40, *SIZE) == pytest.approx(before)
    assert camera.moved(10, 5).to_xy(40, 45, *SIZE) == pytest.approx(before)
    half = camera.between(camera.zoomed(4, 0, 0, *SIZE), 0.5)
    assert half.scale == pytest.approx(2 * camera.scale)


def test_discs_and_tiles_are_painted_within_the_frame():
    frame = np.zeros((40, 60), np.uint32)
    red = packed_colors(np.array([[255, 0, 0]], np.uint8))
    paint_discs(frame, np.array([[10, 20], [-3, 2], [500, 9]], np.float32), np.repeat(red, 3), np.float32(4))
    assert frame[20, 10] == red[0] == 0xFFFF0000
    assert frame[20, 30] == 0
    tiles = np.full((1, 8, 8), 7, np.uint32)
    where = np.array([[40, 20], [59, 39]], np.float32)
    paint_tiles(frame, where, np.repeat(red, 2), np.array([1, 1]), tiles, np.zeros(2, np.int32), 8)
    assert (frame[16:24, 36:44] == 7).all()
    assert (frame[15, 36:44] == red[0]).all()
    assert frame[39, 59] == 7


def test_thumbnails_of_another_size_show_the_same():
    frame = np.zeros((40, 60), np.uint32)
    halves = np.full((1, 6, 6), packed_colors(np.array([10, 20, 30], np.uint8)))
    halves[0, :, 3:] = packed_colors(np.array([30, 40, 50], np.uint8))
    where, rim = np.array([[10, 10], [40, 20]], np.float32), packed_colors(np.array([[255, 0, 0]] * 2, np.uint8))
    paint_tiles(frame, where[:1], rim[:1], np.array([1]), halves, np.zeros(1, np.int32), 3)
    assert (frame[9:12, 9] == halves[0, 0, 0]).all()
    assert (frame[9:12, 10] == packed_colors(np.array([20, 30, 40], np.uint8))).all()  # the mean of both halves
    assert (frame[9:12, 11] == halves[0, 0, 5]).all()
    assert (frame[8:13, 8] == rim[0]).all()
    paint_tiles(frame, where[1:], rim[1:], np.array([1]), halves, np.zeros(1, np.int32), 16)
    assert (frame[12:28, 32:40] == halves[0, 0, 0]).all()
    assert (frame[12:28, 40:48] == halves[0, 0, 5]).all()
    assert (frame[11:29, 48] == rim[1]).all()


@pytest.mark.parametrize(("n", "aspect"), [(1, 1.0), (3, 5.0), (40, 1.5), (700, 4.0)])
def test_the_grid_has_a_cell_for_each_and_keeps_near_ones_near(n, aspect):
    xy = np.random.default_rng(n).normal(size=(n, 2)).astype(np.float32)
    cells = grid_positions(xy, aspect)
    assert np.array_equal(cells, np.round(cells))
    assert len(np.unique(cells, axis=0)) == n
    width, height = np.ptp(cells, axis=0) + 1
    assert width * height <= max(1.2 * n + 2 * max(width, height), 4)
    if n > 10:
        assert aspect / 2 < width / height < aspect * 2
        index, _ = nearest(xy, xy, 4, same=True)
        distances = np.linalg.norm(cells[:, None] - cells[index[:, 1:]], axis=-1)
        assert np.median(distances) < 0.25 * np.hypot(width, height)
    assert np.array_equal(cells, grid_positions(xy, aspect))


def test_the_grid_separates_groups_and_has_room_for_all_at_one_position():
    groups = np.repeat([[0, 0], [10, 0]], 30, axis=0).astype(np.float32)
    cells = grid_positions(
        groups + np.random.default_rng(0).normal(scale=0.1, size=groups.shape).astype(np.float32), 2.0
    )
    assert cells[:30, 0].max() < cells[30:, 0].min()
    assert len(np.unique(grid_positions(np.zeros((50, 2), np.float32), 1.0), axis=0)) == 50


def test_one_thumbnail_in_each_cell():
    xy = np.array([[0.1, 0.1], [0.2, 0.3], [1.5, 0.2], [-3, -3]], np.float32)
    assert with_room(xy, 1.0).tolist() == [True, False, True, True]
    spread = np.array([[0, 0], [1e6, 1e6], [0.1, 0.2]], np.float32)
    assert with_room(spread, 1.0).tolist() == [True, True, False]
    assert len(with_room(np.zeros((0, 2), np.float32), 1.0)) == 0
    assert with_room(xy, 1.0, most=1).tolist() == [False, False, True, True]
    assert with_room(spread, 1.0, most=1).tolist() == [False, True, False]


def test_points_move_smoothly_and_keep_colour_and_selection():
    scene = Scene(Tiles())
    scene.style = "map"
    ids, xy, colors = crowd()
    scene.show(ids, xy, SIZE, now=0.0)
    scene.color(colors)
    scene.select(ids[:5])
    assert not scene.step(0.0)
    target = xy + 3
    scene.show(ids[2:], target[2:], SIZE, now=10.0)
    assert np.array_equal(scene.xy, xy[2:])
    assert scene.step(10.4)
    assert (scene.xy > xy[2:]).all()
    assert (scene.xy < target[2:]).all()
    assert not scene.step(11.0)
    assert np.array_equal(scene.xy, target[2:])
    assert scene.selected.tolist() == [3, 4, 5]
    scene.show(ids, np.full_like(xy, np.nan), SIZE, now=20.0)
    assert len(scene.ids) == 0
    frame, missing = scene.frame(*SIZE)
    assert (frame == frame[0, 0]).all()
    assert len(missing) == 0


@pytest.mark.parametrize("n", [200, 5000])
def test_the_grid_shows_hundreds_of_thumbnails_side_by_side(n):
    tiles, size = Tiles(side=4), (426, 238)  # the embedding where both docks are open on a small screen
    scene = Scene(tiles)
    ids, xy, colors = crowd(n)
    scene.show(ids, xy, size, now=0.0)
    scene.color(colors)
    _, wanted = scene.frame(*size)
    assert len(wanted) >= 200
    tiles.put(wanted, np.full((len(wanted), 4, 4, 3), 9, np.uint8))
    frame, missing = scene.frame(*size)
    assert len(missing) == 0
    assert (frame == 0xFF090909).mean() > 0.3
    assert not (frame[:, [0, -1]] == 0xFF090909).any()  # none reaches over the edge
    assert not (frame[[0, -1]] == 0xFF090909).any()
    pixels = scene.camera.to_pixels(scene.xy, *size)
    found = {scene.at(x, y, *size) for x, y in pixels[np.isin(ids, wanted)]}
    assert found == set(wanted.tolist())
    scene.select(ids[:1])
    scene.restyle("map", size, now=1.0)
    assert scene.step(1.4)
    assert not scene.step(2.0)
    assert np.array_equal(scene.xy, xy)
    assert scene.selected.tolist() == [1]
    scene.restyle("points", size, now=3.0)
    scene.step(4.0)
    assert len(scene.frame(*size)[1]) == 0


def test_the_grid_is_made_anew_for_a_canvas_of_another_shape():
    scene = Scene(Tiles())
    ids, xy, _ = crowd(60)
    scene.show(ids, xy, (400, 100), now=0.0)
    wide = np.ptp(scene.xy, axis=0)
    scene.resized((100, 400))
    high = np.ptp(scene.xy, axis=0)
    assert wide[0] > 2 * wide[1]
    assert high[1] > 2 * high[0]
    pixels = scene.camera.to_pixels(scene.xy, 100, 400)
    assert (pixels > 0).all()
    assert (pixels < (100, 400)).all()


def test_a_frame_shows_points_then_thumbnails():
    tiles = Tiles()
    scene = Scene(tiles)
    scene.style = "map"
    scene.show(np.array([4, 9]), np.array([[0, 0], [1, 0]], np.float32), SIZE, now=0.0)
    scene.color(np.array([[255, 0, 0], [0, 0, 255]], np.uint8))
    frame, missing = scene.frame(*SIZE)
    assert missing.tolist() == [4, 9]
    (x, y), _ = scene.camera.to_pixels(scene.xy, *SIZE)
    assert frame[int(y), int(x)] == 0xFFFF0000
    tiles.put(np.array([4]), np.full((1, tiles.side, tiles.side, 3), 9, np.uint8))
    frame, missing = scene.frame(*SIZE)
    assert missing.tolist() == [9]
    assert frame[int(y), int(x)] == 0xFF090909
    assert frame[int(y), int(x) - tiles.side // 2 - 1] == 0xFFFF0000  # its rim has the colour of the class
    assert scene.at(x + 12, y, *SIZE) == 4  # anywhere on the thumbnail
    assert scene.at(100, 5, *SIZE) == 0
    large, _ = scene.frame(*SIZE, 2.0)
    assert large.shape == (200, 400)


def test_tiles_drop_the_oldest(monkeypatch):
    monkeypatch.setattr("napari_scribseg.widgets.explore.tiles.MAX_TILES", 4)
    tiles = Tiles(2)
    tiles.put(np.array([1, 2, 3]), np.zeros((3, 2, 2, 3), np.uint8))
    tiles.put(np.array([9, 8]), np.ones((2, 2, 2, 3), np.uint8))
    assert (tiles.rows(np.array([1, 2, 3, 1000])) < 0).all()
    assert (tiles.pixels[tiles.rows(np.array([9, 8]))] == 0xFF010101).all()


def test_contours_between_regions_and_of_chosen_ones():
    regions = np.zeros((20, 20), np.int32)
    regions[5:15, 5:15] = 7
    lines = contours(regions)
    assert set(np.unique(lines)) == {0, BORDER}
    assert lines[10, 14] == BORDER
    assert lines[10, 10] == 0
    lines = contours(regions, np.array([7]))
    assert lines[5, 5] == CHOSEN
    assert lines[10, 10] == 0
    assert not (lines[regions == 0] == CHOSEN).any()
    assert not contours(np.zeros((4, 4), np.int32)).any()


class StubView:
    """A window that records."""

    def __init__(self):
        self.messages, self.busy, self.notified = [], [], []

    def show_message(self, text, *, error=False):
        self.messages.append((text, error))

    def notify(self, text):
        self.notified.append(text)

    def show_busy(self, busy):
        self.busy.append(busy)

    def show_progress(self, fraction):
        pass


class Later:
    """An executor that runs when reported to."""

    def __init__(self):
        self.waiting = []

    def submit(self, function, *args):
        future = Future()
        self.waiting.append((future, function, args))
        return future

    def run(self):
        future, function, args = self.waiting.pop(0)
        try:
            future.set_result(function(*args))
        except (Cancelled, InputError) as error:
            future.set_exception(error)


def test_jobs_run_one_at_a_time_show_errors_and_can_be_cancelled():
    view, later, done = StubView(), Later(), []
    jobs = LongJobs(later, lambda function: function(), view)
    jobs.run("Cutting", WorkspaceTask(lambda report, deliver: report(0.5) or 3), done.append)
    jobs.run("Embedding", WorkspaceTask(lambda report, deliver: 4), done.append)
    assert "Cutting is still running" in view.messages[-1][0]
    later.run()
    assert (done, view.busy, jobs.is_busy) == ([3], [True, False], False)

    def wrong(report, deliver):
        raise InputError("the images are too small")

    jobs.run("Cutting", WorkspaceTask(wrong), done.append)
    later.run()
    assert view.messages[-1] == ("The images are too small", True)
    assert view.notified == ["The images are too small"]

    jobs.run("Learning", WorkspaceTask(lambda report, deliver: report(0.1)), done.append)
    jobs.cancel()
    later.run()
    assert "Learning was cancelled" in view.messages[-1][0]
    assert done == [3]

    def refuse(result):
        raise InputError(f"{result} is too late")

    jobs.run("Embedding", WorkspaceTask(lambda report, deliver: 5, refuse), done.append)
    later.run()
    assert view.messages[-1] == ("5 is too late", True)
    jobs.run(
        "Reading",
        WorkspaceTask(lambda report, deliver: 6),
        lambda n: jobs.run("Cutting", WorkspaceTask(str), done.append),
    )
    later.run()
    assert jobs.is_busy  # one job after the other
    jobs.cancel()


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_a_job_that_raises_more_than_an_exception_ends(error):
    view, done, posted = StubView(), [], SimpleQueue()
    worker = Worker()
    jobs = LongJobs(worker, posted.put, view)

    def wrong(report, deliver):
        raise error

    jobs.run("Cutting", WorkspaceTask(wrong), done.append)
    posted.get(timeout=60)()
    assert not jobs.is_busy
    assert type(error).__name__ in view.notified[0]
    jobs.run("Cutting", WorkspaceTask(lambda report, deliver: 3), done.append)
    posted.get(timeout=60)()
    assert done == [3]
    worker.shutdown()


def test_a_job_that_hangs_is_abandoned_and_stays_cancelled(monkeypatch):
    monkeypatch.setattr(kernel_jobs, "PATIENCE", 0.05)
    view, done, posted, begun, loose, outcome, hung = StubView(), [], SimpleQueue(), Event(), Event(), [], []
    worker = Worker()
    jobs = LongJobs(worker, posted.put, view)

    def hang(report, deliver):
        hung.append(current_thread())
        begun.set()
        loose.wait()
        try:
            report(0.5)
        except Cancelled as error:
            outcome.append(error)
            raise
        done.append("never")

    jobs.run("Embedding", WorkspaceTask(hang), done.append)
    assert begun.wait(60)
    jobs.cancel()
    while jobs.is_busy:
        posted.get(timeout=60)()
    assert "Embedding did not stop in time and was abandoned" in view.messages[-1][0]
    jobs.run("Cutting", WorkspaceTask(lambda report, deliver: 3), done.append)
    while jobs.is_busy:
        posted.get(timeout=60)()
    loose.set()
    hung[0].join(60)
    assert len(outcome) == 1
    messages = list(view.messages)
    while not posted.empty():
        posted.get()()
    assert (done, view.messages, jobs.is_busy) == ([3], messages, False)
    worker.shutdown()


def test_of_many_quick_jobs_the_newest_runs():
    view, later, results = StubView(), Later(), []
    quick = QuickJobs(later, lambda function: function(), view)
    for number in range(5):
        quick.run(WorkspaceTask(lambda report, deliver, n=number: n), results.append)
    while later.waiting:
        later.run()
    assert results == [0, 4]

    def wrong(report, deliver):
        raise InputError("no network")

    quick.run(WorkspaceTask(wrong), results.append)
    later.run()
    assert view.messages == [("No network", True)]


@pytest.fixture
def cutting(qtbot):
    panel = CutPanel()
    qtbot.addWidget(panel)
    panel.reported = []
    panel.previewed.connect(lambda: panel.reported.append(panel.threshold))
    return panel


def test_the_slider_is_logarithmic_and_ends_the_automatic_threshold(cutting):
    assert cutting.auto.isChecked()
    cutting.slider.setValue(250)
    cutting.slider.setValue(500)
    assert cutting.reported == pytest.approx([0.1 * 1e6**0.25, 100], rel=0.01)
    assert not cutting.auto.isChecked()
    cutting.value.setValue(1000)
    assert cutting.slider.value() == pytest.approx(667, abs=1)


def test_settings_are_shown_without_a_preview(cutting):
    settings = CutSettings(gradient="network", criterion="dynamics", threshold=0.25, simplification=0.02)
    cutting.show_settings(settings)
    assert cutting.settings == {"gradient": "network", "criterion": "dynamics", "simplification": 0.02}
    assert cutting.threshold == pytest.approx(0.25)
    assert cutting.reported == []


def test_the_edge_map_is_a_layer_and_changes_are_previewed_once_there_is_a_threshold(cutting):
    layers = [("scan", object()), ("edges", object())]
    cutting.show_layers(layers)
    assert cutting.edge_layer is None
    cutting.gradient.setCurrentIndex(cutting.gradient.findData("given"))
    assert not cutting.edges.isHidden()
    cutting.edges.setCurrentIndex(1)
    assert cutting.edge_layer is layers[1][1]
    assert cutting.reported == []
    cutting.slider.setValue(500)
    cutting.edges.setCurrentIndex(0)
    assert len(cutting.reported) == 2
    cutting.show_settings(CutSettings())
    assert cutting.edges.isHidden()


@pytest.fixture
def encoder(qtbot, monkeypatch):
    monkeypatch.setattr(encoder_form, "find_spec", lambda name: name)
    form = encoder_form.EncoderForm()
    qtbot.addWidget(form)
    form.reported = []
    form.chosen.connect(lambda view, backbone: form.reported.append((view, backbone)))
    return form


def choose(combo, text):
    combo.setCurrentText(text)
    combo.activated.emit(combo.currentIndex())


def test_the_encoder_is_chosen_by_view_and_network(encoder, monkeypatch):
    choose(encoder.view, "by themselves")
    assert encoder.reported == [("crops", "")]
    assert encoder.view.currentData() == "maps"  # until it is known to work
    encoder.show_encoder("crops", "")
    choose(encoder.view, "by themselves")
    replies = iter(["", "/nets/own.safetensors"])
    monkeypatch.setattr(encoder_form.QFileDialog, "getOpenFileName", lambda *_args: (next(replies), ""))
    choose(encoder.network, "a file…")
    assert encoder.reported == [("crops", "")]
    assert encoder.network.currentData() == ""
    choose(encoder.network, "a file…")
    assert encoder.reported[1:] == [("crops", "/nets/own.safetensors")]
    encoder.show_encoder("crops", "/nets/own.safetensors")
    assert encoder.network.currentText() == "own.safetensors"
    monkeypatch.setattr(encoder_form.QInputDialog, "getText", lambda *_args, **_kwargs: (" resnet18.a1_in1k ", True))
    choose(encoder.network, "a timm model…")
    choose(encoder.network, "shipped network")
    assert encoder.reported[2:] == [("crops", "resnet18.a1_in1k"), ("crops", "")]


@pytest.fixture
def embedding(qtbot):
    view = EmbeddingView(Tiles())
    qtbot.addWidget(view)
    view.resize(300, 200)
    view.show()
    view.reported, view.keys = [], []
    view.outlined.connect(lambda corners, how: view.reported.append((corners, how)))
    view.picked.connect(lambda identity, how: view.reported.append((identity, how)))
    view.pressed.connect(lambda action: view.keys.append(action.name))
    view.show_points(*crowd(), smoothly=False)
    until(lambda: not view.is_moving)
    return view


def drag(view, *points, modifier=Qt.KeyboardModifier.NoModifier):
    where = [QPoint(round(x), round(y)) for x, y in points]
    QTest.mousePress(view, Qt.MouseButton.LeftButton, modifier, where[0])
    for point in where[1:]:
        QTest.mouseMove(view, point)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, modifier, where[-1])


def test_box_lasso_and_click_with_the_mouse(embedding):
    drag(embedding, (1, 1), (150, 100), (299, 199))
    (corners, how) = embedding.reported.pop()
    xy = embedding.scene.xy
    assert how == "new"
    assert corners.shape == (2, 2)
    assert (xy >= corners.min(axis=0)).all()
    assert (xy <= corners.max(axis=0)).all()
    embedding.tool = "lasso"
    drag(embedding, (10, 10), (200, 20), (150, 150), (20, 120), modifier=Qt.KeyboardModifier.ShiftModifier)
    (corners, how) = embedding.reported.pop()
    assert how == "add"
    assert len(corners) >= 4
    x, y = embedding.pixel_of(7)
    QTest.mouseClick(
        embedding, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, QPoint(round(x), round(y))
    )
    assert embedding.reported.pop() == (7, "remove")
    assert embedding.pixel_of(7000) is None


def test_keys_on_the_embedding(embedding):
    for key, modifier in (
        (Qt.Key.Key_3, Qt.KeyboardModifier.NoModifier),
        (Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier),
        (Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier),
        (Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier),
        (Qt.Key.Key_N, Qt.KeyboardModifier.NoModifier),
        (Qt.Key.Key_Q, Qt.KeyboardModifier.NoModifier),
    ):
        QTest.keyClick(embedding, key, modifier)
    assert embedding.keys == ["class_3", "undo", "redo", "assign", "next"]


def test_dragging_ends_showing_all_until_fit(embedding):
    camera = embedding.scene.camera
    QTest.mousePress(embedding, Qt.MouseButton.RightButton, Qt.KeyboardModifier.NoModifier, QPoint(50, 50))
    QTest.mouseMove(embedding, QPoint(80, 60))
    QTest.mouseRelease(embedding, Qt.MouseButton.RightButton, Qt.KeyboardModifier.NoModifier, QPoint(80, 60))
    assert not embedding.scene.follows
    assert embedding.scene.camera.x < camera.x
    embedding.fit()
    until(lambda: embedding.scene.camera == camera)
    embedding.center_on(7)
    until(lambda: embedding.pixel_of(7) == pytest.approx((150, 100), abs=1))


def test_a_layer_that_was_scaled_is_not_read_from_its_file(tmp_path, monkeypatch):
    path = tmp_path / "i.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((7, 6, 5), np.int16), np.diag([0.7, 0.9, 3.0, 1.0])), path)
    ((data, kwargs, _),) = get_reader(str(path))(str(path))
    layer = ImageLayer(data, **kwargs)
    monkeypatch.setattr(ImageLayer, "source", SimpleNamespace(path=str(path)))
    assert as_images(LayerSource(layer)) == str(path)
    layer.scale = (6.0, 0.9, 0.7)
    assert as_images(LayerSource(layer)).geometry.spacing == pytest.approx((6.0, 0.9, 0.7))


def test_a_scaled_2d_layer_keeps_its_geometry_and_further_axes_are_refused():
    workspace = Workspace()
    layer = ImageLayer(np.zeros((6, 5), np.uint8), name="flat", scale=(0.5, 0.25), units=("um", "um"))
    workspace.add_images(as_images(LayerSource(layer)), "flat")
    (picture,) = workspace.pictures
    assert picture.name == "flat"
    assert picture.array.dtype == np.uint8
    assert picture.geometry.spacing == pytest.approx((0.5e-3, 0.25e-3))  # mm
    with pytest.raises(InputError, match="4 spatial axes"):
        workspace.add_images(as_images(LayerSource(ImageLayer(np.zeros((2, 3, 6, 5))))), "movie")


def test_an_image_without_an_edge_map_is_named():
    workspace = Workspace()
    workspace.add_images(np.zeros((6, 5)), "flat")
    with pytest.raises(InputError, match="no edge map for flat"):
        EdgeMaps().task(workspace, None, None, [0])
    workspace.set_edges(0, np.ones((6, 5)))
    assert EdgeMaps().task(workspace, None, None, [0]) is None


def test_the_newest_autosaves_of_workspaces_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("SCRIBSEG_AUTOSAVE", str(tmp_path))
    for day in range(1, 7):
        (tmp_path / f"explore-2026010{day}-120000-abcdef.npz").touch()
    (tmp_path / "scan-0123456789ab-20260101-120000-abcdef.scribseg").touch()
    new = new_workspace_autosave()
    assert not new.exists()
    assert [path.name[8:16] for path in workspace_autosaves()] == ["20260106", "20260105", "20260104", "20260103"]
    assert len(list(tmp_path.glob("*.scribseg"))) == 1
