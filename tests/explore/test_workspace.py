import json
import threading
import zipfile

import numpy as np
import pytest
from disc_pictures import discs, majority

from napari_scribseg import Image, InputError, get_engine
from napari_scribseg.core import Cancelled, ClassTable, silent
from napari_scribseg.explore import Workspace, cutting
from napari_scribseg.explore.feature_space import Embedded
from napari_scribseg.explore.hierarchy import build_hierarchy
from napari_scribseg.io import read_labels
from napari_scribseg.io.lock import InUseError


def labelled(workspace):
    ids = workspace.ids()
    found = majority(workspace, [discs(0)[1], discs(1)[1]], ids)
    workspace.classes = ClassTable.from_ids([1, 2], background=3)
    for value, label in ((0, 3), (1, 1), (2, 2)):
        workspace.assign(ids[found == value], label)
    return workspace


def test_labels_and_background(workspace):
    labelled(workspace)
    truth = discs(0)[1]
    assert (workspace.labels(0) == truth).mean() > 0.97
    assert workspace.labels(0).dtype == np.uint8
    assert not len(workspace.filtered("unlabelled"))


def test_images_of_all_kinds(tmp_path):
    from skimage.io import imsave

    imsave(tmp_path / "a.png", discs()[0])
    imsave(tmp_path / "b.png", np.stack([discs()[0]] * 3, -1)[:50])
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "broken.tif").write_bytes(b"")
    workspace = Workspace()
    added = workspace.add_images(tmp_path)
    assert added.indices == (0, 1)
    assert len(added.skipped) == 2
    assert all("broken" in message for message in added.skipped)
    volume = Image.from_array(np.stack([discs(s)[0] for s in range(3)]), (2.0, 1.0, 1.0))
    assert workspace.add_images([volume, np.zeros((30, 40, 2), np.uint16)]).indices == (2, 3, 4, 5)
    assert [p.z_index for p in workspace.pictures] == [None, None, 0, 1, 2, None]
    assert workspace.pictures[0].name == "a"
    assert workspace.pictures[5].name == "image 4"
    named = workspace.add_images([np.zeros((9, 9)), np.zeros((8, 8))], "cells").indices
    assert [workspace.pictures[i].name for i in named] == ["cells 1", "cells 2"]
    assert workspace.pictures[workspace.add_images(volume, "scan").indices[1]].name == "scan [1]"
    workspace = Workspace()
    workspace.add_images(tmp_path)
    workspace.add_images([volume, np.zeros((30, 40, 2), np.uint16)])
    assert workspace.next_batch(2) == (0, 1)
    workspace.cut(workspace.next_batch(2))
    assert workspace.next_batch() == (2, 3, 4, 5)
    workspace.cut()
    assert all(len(workspace.ids(i)) for i in range(6))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no images were given"),
        ("/does/not/exist.png", "there is no file"),
        (np.zeros((5, 5, 40)), "at most 16 channels"),
        (np.full((5, 5), np.nan), "NaN"),
        (np.zeros((0, 5)), "at least one element"),
        (np.array([["a"]]), "real numbers"),
    ],
)
def test_images_that_cannot_be(given, message):
    workspace = Workspace()
    with pytest.raises(InputError, match=message):
        workspace.add_images(given)
    assert not workspace.pictures


def test_folder_without_images(tmp_path):
    with pytest.raises(InputError, match="holds no images"):
        Workspace().add_images(tmp_path)
    (tmp_path / "x.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="x"):
        Workspace().add_images(tmp_path)


def test_save_labels_of_images_and_volumes(workspace, tmp_path):
    labelled(workspace)
    with pytest.raises(InputError, match="not cut|was cut"):
        Workspace().save_labels(tmp_path)
    volume = Image.from_array(np.stack([discs(s)[0] for s in range(3)]), (2.0, 1.0, 1.0))
    workspace.add_images(volume)
    workspace.cut(workspace.next_batch())
    workspace.assign(workspace.ids(3), 2)
    written = workspace.save_labels(tmp_path / "out")
    volumes = [p for p in written if p.name.endswith(".nii.gz")]
    assert len(volumes) == 3
    loaded = read_labels(volumes[2])
    assert loaded.array.shape == (3, 96, 96)
    assert (loaded.array[1] == 2).all()
    assert loaded.geometry.spacing == pytest.approx((2, 1, 1))
    assert np.array_equal(np.squeeze(read_labels(volumes[0]).array), workspace.labels(0))


def test_strokes_finish_an_image_with_an_engine(workspace):
    with pytest.raises(InputError, match="no segment of the image has a class"):
        workspace.scribbles(0)
    labelled(workspace)
    scribbles = workspace.scribbles(0)
    truth = discs(0)[1]
    assert scribbles.ids == (0, 1, 2)
    assert (scribbles.seeds >= 0).mean() < 0.2
    seeds = scribbles.seeds >= 0
    assert (scribbles.to_ids(np.maximum(scribbles.seeds, 0))[seeds] == truth[seeds]).all()
    image = Image.from_array(workspace.pictures[0].array, (1, 1))
    engine = get_engine("svcd")
    result = engine.segment(image, scribbles, engine.prepare(image))
    assert (scribbles.to_ids(result.labels) == truth).mean() > 0.95


def test_saved_and_loaded(workspace, tmp_path):
    labelled(workspace)
    workspace.set_edges(1, np.ones((96, 96)))
    pixels = np.argwhere(workspace.segments(0) == workspace.ids(0)[0])
    workspace.split(int(workspace.ids(0)[0]), pixels[:1], pixels[-1:])
    ids = workspace.ids()
    workspace.table.xy[ids] = np.random.default_rng(0).normal(size=(len(ids), 2))
    workspace.table.set_features(ids, np.eye(len(ids), 8, dtype=np.float32))
    workspace.save(tmp_path / "work.npz")
    other = Workspace.load(tmp_path / "work.npz", cache=tmp_path)
    assert np.array_equal(other.ids(), ids)
    for name in ("label", "xy", "features", "box", "area", "image"):
        assert np.array_equal(getattr(other.table, name)[ids], getattr(workspace.table, name)[ids])
    for index in range(2):
        assert np.array_equal(other.labels(index), workspace.labels(index))
        assert np.array_equal(other.pictures[index].array, workspace.pictures[index].array)
    assert other.settings == workspace.settings
    assert other.classes == workspace.classes
    assert other.gradient(1, "given").min() == 1
    assert other.cut([1]) == ()  # the same pixels are the same segments
    new = other.ids(0).max()
    other.cut([1], threshold=other.settings.threshold / 5, simplification=0)
    assert not set(other.ids(1).tolist()) & set(range(1, int(new))) - set(ids.tolist())


def test_workspace_of_files_finds_them_again(tmp_path):
    from skimage.io import imsave

    (tmp_path / "there").mkdir()
    imsave(tmp_path / "there" / "a.png", discs()[0])
    workspace = Workspace()
    workspace.add_images(tmp_path / "there")
    workspace.cut(regions=5)
    workspace.assign(workspace.ids()[:2], 1)
    workspace.save(tmp_path / "w.npz")
    with zipfile.ZipFile(tmp_path / "w.npz") as archive:
        assert not any(n.startswith("array") for n in archive.namelist())
    (tmp_path / "there" / "a.png").rename(tmp_path / "a.png")
    assert np.array_equal(Workspace.load(tmp_path / "w.npz").labels(0), workspace.labels(0))
    imsave(tmp_path / "a.png", discs()[0][:40])
    with pytest.raises(InputError, match=r"shape \(40, 96\) now"):
        Workspace.load(tmp_path / "w.npz")
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match="not there any more"):
        Workspace.load(tmp_path / "w.npz")


def test_files_that_are_no_workspace(workspace, tmp_path):
    with pytest.raises(InputError, match="there is no workspace file"):
        Workspace.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match="not a workspace file"):
        Workspace.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", a=np.arange(3))
    with pytest.raises(InputError, match="not a workspace file"):
        Workspace.load(tmp_path / "other.npz")
    np.savez(tmp_path / "pickled.npz", header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="damaged"):
        Workspace.load(tmp_path / "pickled.npz")
    workspace.save(tmp_path / "good.npz")
    content = dict(np.load(tmp_path / "good.npz"))
    for name, wrong in (("map 0", content["map 0"] + 1), ("area", content["area"][1:]), ("ids", content["ids"] * 0)):
        np.savez(tmp_path / "bad.npz", **{**content, name: wrong})
        with pytest.raises(InputError, match="damaged"):
            Workspace.load(tmp_path / "bad.npz")
    data = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="not a workspace file|damaged"):
        Workspace.load(tmp_path / "cut.npz")
    with pytest.raises(InputError, match="cannot be saved"):
        workspace.save(tmp_path / "missing" / "w.npz")


def test_a_file_is_autosaved(workspace, tmp_path):
    path = tmp_path / "kept.npz"
    workspace.autosave(path)
    with pytest.raises(InUseError, match="another session"):
        Workspace().autosave(path)

    def agrees():
        workspace.flush()
        other = Workspace.load(path, cache=tmp_path)
        assert np.array_equal(other.ids(), workspace.ids())
        assert np.array_equal(other.table.label[other.ids()], workspace.table.label[workspace.ids()])
        assert other.classes == workspace.classes
        for index in range(2):
            assert np.array_equal(other.segments(index), workspace.segments(index))

    ids = workspace.ids()
    workspace.assign(ids[:3], 1)
    agrees()
    pixels = np.argwhere(workspace.segments(0) == ids[0])
    workspace.split(int(ids[0]), pixels[:1], pixels[-1:])
    agrees()
    workspace.undo()
    agrees()
    workspace.undo()
    agrees()
    workspace.cut([1], threshold=0, simplification=0)
    agrees()
    before = path.read_bytes()
    workspace.save(path)  # the same, at once
    workspace.save(tmp_path / "other.npz")
    assert path.read_bytes() == before == (tmp_path / "other.npz").read_bytes()
    workspace.classes = ClassTable.from_ids([5])
    workspace.close()
    assert 5 in Workspace.load(path, cache=tmp_path).classes
    assert sorted(p.name for p in tmp_path.glob("*.npz")) == ["kept.npz", "other.npz"]
    assert not list(tmp_path.glob(".*"))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_a_file_that_cannot_be_autosaved_is_reported_once(workspace, tmp_path):
    reported = []
    workspace.autosave(tmp_path / "missing" / "w.npz", reported.append)
    workspace.assign(workspace.ids()[:1], 1)
    workspace.flush()
    assert len(reported) == 1
    assert "cannot be saved" in reported[0]
    (tmp_path / "missing").mkdir()
    workspace.close()
    assert (tmp_path / "missing" / "w.npz").exists()


def test_ids_that_a_file_makes_up_take_no_memory(workspace, tmp_path):
    labelled(workspace)
    workspace.save(tmp_path / "good.npz")
    content = dict(np.load(tmp_path / "good.npz"))
    header = json.loads(content["header"].tobytes())

    def load(far, size):
        content["header"] = np.frombuffer(json.dumps({**header, "next": size}).encode(), np.uint8)
        moved = {name: array + far for name, array in content.items() if name == "ids" or name.startswith("map ")}
        np.savez(tmp_path / "far.npz", **{**content, **moved})
        return Workspace.load(tmp_path / "far.npz", cache=tmp_path)

    for far, size in ((0, 200_000_000), (199_999_000, 200_000_000)):
        other = load(far, size)
        assert len(other.table.image) < 10_000
        assert len(other.ids()) == len(workspace.ids())
        for index in range(2):
            assert np.array_equal(other.labels(index), workspace.labels(index))
    for far, size in ((0, 1), (0, -5), (0, 1 << 40)):
        with pytest.raises(InputError, match="damaged"):
            load(far, size)


def test_box_and_lasso(workspace):
    ids = workspace.ids()
    assert not len(workspace.inside([[-9, -9], [9, 9]]))  # nothing is embedded yet
    workspace.table.xy[ids] = np.stack([np.arange(len(ids)), np.zeros(len(ids))], axis=1)
    assert workspace.inside([[3.5, 1], [0.5, -1]]).tolist() == ids[1:4].tolist()
    assert workspace.inside([[-1, -1], [2.5, -1], [2.5, 1], [-1, 1]]).tolist() == ids[:3].tolist()
    with pytest.raises(InputError, match="outline has shape"):
        workspace.inside([[1, 2]])


def test_thumbnails_show_the_segment(workspace):
    bright, dark = workspace.segment_at(0, 20, 20), workspace.segment_at(0, 20, 70)
    pictures = [workspace.thumbnail(i, 32) for i in (bright, dark)]
    assert all(p.shape == (32, 32, 3) and p.dtype == np.uint8 for p in pictures)
    assert pictures[0][16, 16].min() > pictures[1][16, 16].max() + 100


def test_signals(workspace):
    reported = []
    workspace.labels_changed.connect(lambda ids: reported.append(("labels", ids.tolist())))
    workspace.segments_changed.connect(lambda images: reported.append(("segments", images)))
    workspace.classes_changed.connect(lambda: reported.append(("classes",)))
    workspace.images_changed.connect(lambda: reported.append(("images",)))
    ids = workspace.ids(0)[:2]
    workspace.assign(ids, 1)
    workspace.assign(ids, 1)  # changes nothing
    workspace.undo()
    workspace.cut(threshold=0, simplification=0)
    workspace.add_images(discs(2)[0])
    assert reported == [
        ("classes",),
        ("labels", ids.tolist()),
        ("labels", ids.tolist()),
        ("segments", (0, 1)),
        ("images",),
    ]


def test_tasks_work_in_another_thread_while_the_owner_edits(workspace):
    def in_thread(task):
        delivered, results = [], []
        thread = threading.Thread(target=lambda: results.append(task.work(silent, delivered.append)))
        thread.start()
        thread.join()
        return results[0], delivered

    ids = workspace.ids()
    task = workspace.cut_task([0], threshold=0, simplification=0)
    workspace.assign(ids[:2], 1)  # while the task works on its snapshot
    result, delivered = in_thread(task)
    assert np.array_equal(workspace.ids(), ids)  # nothing has changed
    for deliver in delivered:
        deliver()
    assert task.finish(result) == (0,)
    assert len(workspace.ids(0)) > len(ids) / 2
    assert [workspace.undo(), workspace.undo(), workspace.undo(), workspace.undo()][:2] == ["cut", "assign"]
    assert not workspace.can_undo
    assert workspace.redo() == "cut"


def test_results_of_another_encoder_are_dropped(workspace):
    task = workspace.embed_task()
    ids = workspace.ids()
    found = Embedded(ids, np.ones((len(ids), 2), np.float32), is_refit=True)
    workspace.use_encoder("crops")
    assert not len(task.finish(found))
    assert not workspace.table.has_embedding[ids].any()
    task = workspace.embed_task()
    assert np.array_equal(task.finish(found), ids)
    assert (workspace.xy(ids) == 1).all()


def test_hierarchies_built_before_a_cancel_are_cached(monkeypatch):
    def stop(fraction, preview=None):
        if fraction > 0:
            raise Cancelled

    built = []
    monkeypatch.setattr(cutting, "build_hierarchy", lambda *how: built.append(how[1]) or build_hierarchy(*how))
    workspace = Workspace()
    workspace.add_images([discs(0)[0], discs(1)[0]])
    with pytest.raises(Cancelled):
        workspace.cut(criterion="area", regions=3, report=stop)
    assert not len(workspace.ids())
    assert built == ["area"]
    assert workspace.preview(0, 5.0, criterion="area").max() > 0
    assert built == ["area"]
