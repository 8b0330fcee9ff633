"""What was written before the redesign still opens, and holds what it held; see data/written-before/README.md."""

import csv
import hashlib
import json
import os
import platform
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_scribseg import ClassTable, Image, LabelClass, Session, get_engine
from napari_scribseg.core.source import SliceIndex

BEFORE = Path(__file__).parent / "data" / "written-before"
BACKGROUND = LabelClass(255, "background", (0.5, 0.5, 0.5, 1.0), background=True)
CELL = LabelClass(3, "cell β", (1.0, 0.0, 0.0, 1.0))
NUCLEUS = LabelClass(300, "nucleus", (0.0, 0.25, 1.0, 0.5), visible=False)
OLD = LabelClass(7, "old", (0.0, 1.0, 0.0, 1.0), locked=True)
CLASSES = ClassTable((BACKGROUND, CELL, NUCLEUS))


def digest(array):
    """Of type, shape and every value of an array."""
    array = np.ascontiguousarray(array)
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()[:16]


def counts(array):
    return {int(value): int(n) for value, n in zip(*np.unique(array, return_counts=True), strict=True)}


@pytest.fixture
def copied(tmp_path):
    """Copies a folder, for what writes into it."""

    def copy(name):
        return Path(shutil.copytree(BEFORE / name, tmp_path / name))

    return copy


# sessions


def test_an_autosaved_session_of_an_image(copied):
    path = copied("session-image") / "discs.scribseg"
    session = Session.load(path, sidecar=path)
    assert digest(session.labels) == "b46fa84d1eb67c80"
    assert counts(session.labels) == {0: 785, 3: 104, 300: 119}
    assert digest(session.painted()) == "f2d99e75cec39763"
    assert counts(session.painted()) == {0: 943, 3: 8, 255: 49, 300: 8}  # without the stroke that was undone
    assert session.classes == CLASSES
    assert session.engine == get_engine("svcd")
    assert (session.overlap, session.device, session.accepted) == ("overwrite", "auto", frozenset())
    assert not session.can_undo
    painted = session.painted()
    painted[15, 2:8] = 255
    session.draw(painted)
    assert session.undo()
    assert digest(session.labels) == "b46fa84d1eb67c80"
    session.close()
    assert digest(Session.load(path).labels) == "b46fa84d1eb67c80"


def test_a_session_of_a_volume():
    session = Session.load(BEFORE / "session-volume" / "ball.scribseg")
    assert session.labels.shape == (6, 20, 24)
    assert digest(session.labels) == "2497b981fd790c0b"
    assert counts(session.labels) == {0: 2398, 3: 240, 7: 96, 300: 146}
    assert {slice_index.position: digest(session.painted(slice_index)) for slice_index in session.painted_slices()} == {
        (0,): "375e8d8772266279",
        (1,): "b3f67bc98b987e3b",
        (2,): "bf1ede257797fa18",
        (3,): "b3f67bc98b987e3b",
        (5,): "3880f08fc460ae66",
    }
    across = SliceIndex((0, 2), (14,))
    assert across in session.painted_slices((0, 2))
    assert counts(session.painted(across)) == {0: 136, 3: 4, 255: 4}
    assert session.accepted == {SliceIndex((1, 2), (0,)), SliceIndex((1, 2), (3,)), SliceIndex((0, 2), (3,))}
    assert session.classes == ClassTable((BACKGROUND, CELL, NUCLEUS, OLD))
    assert session.engine == get_engine("svcd", smoothness=60.0)
    assert (session.overlap, session.device) == ("keep", "cpu")
    assert session.volume.geometry.spacing == pytest.approx((2.5, 0.9, 0.8))


@pytest.mark.parametrize("name", ["session-image/discs.scribseg", "session-volume/ball.scribseg"])
def test_a_replay_computes_what_the_session_had(name):
    replayed, had = Session.replay(BEFORE / name).labels, Session.load(BEFORE / name).labels
    assert (replayed != had).mean() <= 0.02  # the weights of the engine's energy are others since


def test_what_a_session_began_with_comes_back():
    session = Session.load(BEFORE / "session-volume" / "ball.scribseg")
    session.reopen(SliceIndex((0, 2), (3,)))
    assert session.clear(SliceIndex((1, 2), (5,)))
    assert counts(session.labels[5]) == {0: 287, 3: 97, 7: 96}


# workspaces


def test_a_workspace(copied, tmp_path):
    pytest.importorskip("higra")
    from napari_scribseg.explore import Workspace

    workspace = Workspace.load(copied("workspace") / "two.npz", cache=tmp_path / "features")
    assert [picture.name for picture in workspace.pictures] == ["a", "grey"]
    assert workspace.ids().tolist() == [1, 2, 3, 4, 5, 6]
    assert [digest(workspace.segments(i)) for i in range(2)] == ["08d8271a91a1fb36", "64fb54ae25ee26dd"]
    assert counts(workspace.segments(0)) == {1: 109, 2: 129, 3: 395, 4: 375}
    assert [digest(workspace.labels(i)) for i in range(2)] == ["cf8cee84d740f045", "5c82f35558a449fe"]
    assert counts(workspace.labels(1)) == {0: 611, 300: 109}  # the second assignment was undone
    assert digest(workspace.xy(workspace.ids())) == "c65d265af2fbe361"
    assert digest(workspace.gradient(1, "given")) == "126932cc2b8a2bf2"
    assert workspace.classes == CLASSES
    settings = workspace.settings
    assert (settings.gradient, settings.criterion, settings.simplification) == ("gaussian", "volume", 0.1)
    assert settings.threshold == pytest.approx(19.11615214375496)
    assert workspace.encoder[0] == "maps"
    assert Path(workspace.encoder[1]).name == "tiny.safetensors"
    assert digest(workspace.table.features[workspace.ids()]) == "903296cd04571297"


def test_a_workspace_is_written_as_it_was(copied, tmp_path):
    pytest.importorskip("higra")
    from napari_scribseg.explore import Workspace

    path = copied("workspace") / "two.npz"
    Workspace.load(path, cache=tmp_path / "features").save(path.with_name("again.npz"))
    with np.load(path) as before, np.load(path.with_name("again.npz")) as after:
        assert set(before.files) == set(after.files)
        for name in set(before.files) - {"header"}:
            assert np.array_equal(before[name], after[name], equal_nan=before[name].dtype.kind == "f"), name
        old, new = (json.loads(found["header"].tobytes()) for found in (before, after))
    assert {**old, "pictures": None} == {**new, "pictures": None}
    assert [set(one) for one in old["pictures"]] == [set(one) for one in new["pictures"]]


# runs that go on


def test_a_batch_goes_on_where_it_was(copied):
    from napari_scribseg.batch import read_table, run_batch

    folder = copied("batch")
    for path in (folder / "out" / ".scribseg" / "records" / "in").glob("i*.json"):  # the times of a fresh copy
        record = json.loads(path.read_text())
        for name, _, changed in (*record["request"]["image"], *record["request"]["scribbles"]):
            os.utime(folder / "in" / name, ns=(changed, changed))
        for name, _, changed in record["outputs"]:
            os.utime(folder / "out" / name, ns=(changed, changed))
    table = read_table(folder / "cohort.csv")
    again = run_batch(table, folder / "out", parameters={"smoothness": 50.0}, workers=0, device="cpu")
    assert [outcome.status for outcome in again.outcomes] == ["skipped", "skipped", "failed"]
    assert [outcome.slices for outcome in again.outcomes[:2]] == [2, 2]
    other = run_batch(table, folder / "out", parameters={"smoothness": 60.0}, workers=0, device="cpu")
    assert [outcome.status for outcome in other.outcomes] == ["done", "done", "failed"]


def test_a_benchmark_goes_on_where_it_was(copied):
    from napari_scribseg.bench.plan import Plan, run
    from napari_scribseg.bench.play import Rules
    from napari_scribseg.bench.report import write_report
    from napari_scribseg.datasets import DataSet

    def unread(case):
        raise AssertionError(f"{case} was measured before")

    folder = copied("bench")
    settings = json.loads((folder / "run.json").read_text())
    assert settings["version"] == "0.1.0"
    here = {
        "version": _version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
    }
    (folder / "run.json").write_text(json.dumps({**settings, **here}))
    data = DataSet("pairs", "Discs", "CC0", False, False, ("p0", "p1"), unread)
    rules = Rules(corrections=1, clicks=2, device="cpu")
    rows = run(Plan(("svcd", "svcd:smoothness=50"), (data,), ("strokes", "clicks"), rules), folder)
    assert len(rows) == 16
    first = rows[0]
    assert (first.data, first.case, first.protocol, first.method) == ("pairs", "p0", "strokes", "svcd")
    assert (first.interaction, first.n_classes, first.stroke_pixels) == (1, 3, 424)
    assert (first.dice, first.iou, first.unit, first.failure) == (0.959101, 0.921417, "px", "")
    write_report(rows, rules, folder)
    now = {"obeyed": "seed_accuracy", "agreed": "raw_seed_accuracy"}
    for name in ("rows.csv", "summary.csv"):
        head, *lines = _table(BEFORE / "bench" / name)
        words = [column.partition("_") if column.split("_")[0] in now else (column, "", "") for column in head]
        columns = [now.get(word, word) + "".join(end) for word, *end in words]
        former, present = _columns([columns, *lines]), _columns(_table(folder / name))
        added = {
            column for column in present if column.startswith(("error_auc", "calibration_error"))
        }  # were not measured
        computed = {f"noc{target}_{end}" for target in (85, 90) for end in ("low", "high")}
        assert set(present.pop("slices", "1")) == {"1"}  # of images
        assert {column: present[column] for column in present if column not in added | computed} == former
        assert {value for column in added for value in present[column]} == {"nan"}


def _version():
    from napari_scribseg import __version__

    return __version__


def _columns(table):
    head, *lines = table
    return dict(zip(head, zip(*lines, strict=True), strict=True))


def _table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_a_study_goes_on_where_it_was(copied):
    from napari_scribseg.bench.papers.sloppiness import SloppyPlan, measure
    from napari_scribseg.datasets import DataSet

    def unread(case):
        raise AssertionError(f"{case} was measured before")

    data = DataSet("made", "Discs", "CC0", False, False, ("p0",), unread)
    plan = SloppyPlan(("coarse-to-fine:epochs=1,samples=50",), (data,), errors=(0.03, 0.1), outlines=2)
    rows = measure(plan, copied("study-outlines"), lambda done, total, what: None)
    assert [(row.image, row.error, row.drawn_iou, row.result_iou) for row in rows] == [
        ("p0 object 1", 0.03, 0.889519, 0.964602),
        ("p0 object 1", 0.1, 0.638025, 0.842173),
    ]


# training


def test_a_training_pack():
    from napari_scribseg.train.pack import read_pack

    pack = read_pack(BEFORE / "training" / "run" / "data.pack")
    assert pack.sources == ("cells", "colour", "grey")
    assert {item.name: tuple(map(digest, pack.load(item))) for item in pack.items} == {
        "grey 0": ("20c9c5b4244ff12c", "53b32944708ccac9"),
        "grey 1": ("8824b707231fcf8a", "fdbba001bea54ba7"),
        "colour 0": ("819e83a10785e75c", "53b32944708ccac9"),
        "cells 0": ("20c9c5b4244ff12c", "d499aa3b22f4ee5a"),
    }
    cells = pack.items[-1]
    assert (cells.source, cells.background, cells.instances, cells.licence) == ("cells", 0, True, "CC0")


def test_a_checkpoint_and_its_settings():
    from napari_scribseg.kernel.checkpoint import latest, read_checkpoint
    from napari_scribseg.train.settings import Settings

    run = BEFORE / "training" / "run"
    found = read_checkpoint(latest(run / "checkpoints"))
    assert (found.step, found.best) == (2, pytest.approx(0.7455383390188217))
    weights = np.concatenate([p.detach().numpy().ravel() for p in found.model.parameters()])
    assert (weights.size, digest(weights)) == (3902, "403fc463e8d68cbf")
    settings = Settings.from_json((run / "settings.json").read_text())
    assert settings == Settings(
        config={"channels": (3, 4)},
        samples=16,
        batch=4,
        size=32,
        validation=("cells",),
        validation_samples=2,
        seed=5,
        weights={"msd_hippocampus": 5.0, "fluorescence": 7.0, "coco_mval": 18.0},
    )
    before, now = (json.loads(text) for text in ((run / "settings.json").read_text(), settings.to_json()))
    assert {name: now[name] for name in before} == before  # settings added since then come with what was done before
    assert {name: now[name] for name in now if name not in before} == {
        "loss": "entropy+dice", "optimizer": "adamw", "ramp": 0, "pen": "varied", "negative": 0.5,
    }  # fmt: skip


def test_a_training_run_goes_on_to_its_end(copied):
    pytest.importorskip("lightning_fabric")
    from typer.testing import CliRunner

    from napari_scribseg.cli import app
    from napari_scribseg.nets import load_model

    run = copied("training") / "run"
    before = _table(run / "steps.csv")
    arguments = ["train", "scribble-net", "--out", str(run), "--resume", "--workers", "0", "--threads", "1"]
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    after = _table(run / "steps.csv")
    assert after[: len(before)] == before
    assert after[-1][:2] == ["4", "16"]
    assert load_model(run / "weights.safetensors")[1]["samples"] == "16"


def test_a_model_with_its_card():
    from napari_scribseg.engines.brs import ModelCard
    from napari_scribseg.engines.brs.card import read_card

    path = BEFORE / "model" / "mine.safetensors"
    assert read_card(path) == ModelCard(
        channels=1,
        slices=3,
        normalisation="range",
        intensities=(-100.0, 400.0),
        scale=(0.0, 1.0),
        head="sigmoid",
        applied=False,
        classes=("liver",),
        ids=(3,),
        multiple=2,
        spacing=(0.8, 0.8),
        prompt="none",
    )
    values = np.linspace(-200, 500, 48 * 40 * 3, dtype=np.float32).reshape(48, 40, 3)
    engine = get_engine("brs", model=str(path))
    assert engine.slices == 3
    probabilities = engine.unprompted(engine.prepare(Image.from_array(values, (0.8, 0.8)), "cpu"))
    assert probabilities.shape == (2, 48, 40)
    assert probabilities.mean(axis=(1, 2)) == pytest.approx([0.5310739, 0.46892604], abs=1e-4)
    assert probabilities[:, 40, 30] == pytest.approx([0.5199451, 0.48005491], abs=1e-4)


# classes and labels


@pytest.mark.parametrize("name", ["a_dseg.tsv", "a_labels.txt"])
def test_a_class_table_is_read_and_written_as_it_was(tmp_path, name):
    from napari_scribseg.io.class_tables import read_classes, write_classes

    found = read_classes(BEFORE / "classes" / name)
    assert [c.name for c in found] == ["background", "cell β", "nucleus"]
    assert found.ids == (255, 3, 300)
    write_classes(tmp_path / name, CLASSES)
    assert (tmp_path / name).read_bytes() == (BEFORE / "classes" / name).read_bytes()


@pytest.mark.parametrize("extension", [".nii.gz", ".seg.nrrd", ".nrrd", ".mha", ".tif"])
def test_labels_with_their_names(extension):
    from napari_scribseg.io import read_labels

    found = read_labels(BEFORE / "classes" / f"labels_{extension[1:].replace('.', '_')}{extension}")
    assert digest(np.asarray(found.array)) == "424bdc699670e274"
    assert {c.id: c.name for c in found.classes} == {3: "cell β", 300: "nucleus"}
    assert found.geometry.unit == "millimeter"
    assert found.geometry.spacing == pytest.approx((2.5, 0.9, 0.8))
    if extension != ".tif":  # which has no place for where the grid lies
        expected = [[0, 0, -0.8, 10], [0, -0.9, 0, 20], [2.5, 0, 0, -5], [0, 0, 0, 1]]
        assert np.allclose(found.geometry.affine, expected)
