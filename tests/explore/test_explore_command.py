import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("higra")

from disc_pictures import discs
from skimage.io import imsave
from typer.testing import CliRunner

from napari_scribseg import InputError
from napari_scribseg.explore import Workspace
from napari_scribseg.explore.command import app
from napari_scribseg.io import read_labels


def test_a_workspace_made_ready_and_its_labels(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_scribseg.explore.workspace.default_folder", lambda: tmp_path / "cache")
    (tmp_path / "images").mkdir()
    for seed in range(2):
        imsave(tmp_path / "images" / f"{seed}.png", discs(seed)[0])
    (tmp_path / "images" / "broken.png").write_bytes(b"nothing")
    done = CliRunner().invoke(
        app, ["prepare", str(tmp_path / "images"), "--out", str(tmp_path / "w.npz"), "--regions", "5"]
    )
    assert done.exit_code == 0, done.output
    assert "2 images" in done.output
    assert "skipped: broken.png" in done.output
    workspace = Workspace.load(tmp_path / "w.npz")
    assert np.isfinite(workspace.xy(workspace.ids())).all()
    assert not len(workspace.embed())  # nothing is new
    workspace.assign(workspace.ids(0), 2)
    workspace.save(tmp_path / "w.npz")
    done = CliRunner().invoke(
        app, ["labels", str(tmp_path / "w.npz"), "--out", str(tmp_path / "out"), "--extension", ".tif"]
    )
    assert done.exit_code == 0, done.output
    assert (read_labels(tmp_path / "out" / "0_labels.tif").array == 2).all()
    assert not read_labels(tmp_path / "out" / "1_labels.tif").array.any()
    for command in (
        ["prepare", str(tmp_path / "images"), "--out", str(tmp_path / "w.npz")],
        ["labels", str(tmp_path / "w.npz"), "--out", str(tmp_path / "out"), "--extension", ".tif"],
    ):
        done = CliRunner().invoke(app, command)
        assert isinstance(done.exception, InputError)
        assert "is there already; --overwrite replaces it" in str(done.exception)
    done = CliRunner().invoke(app, [*command, "--overwrite"])
    assert done.exit_code == 0, done.output


def test_no_image_is_written_over_by_its_labels(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_scribseg.explore.workspace.default_folder", lambda: tmp_path / "cache")
    image = tmp_path / "a_labels.tif"
    imsave(image, discs()[0])
    workspace = Workspace()
    workspace.add_images(image)
    workspace.cut(regions=5)
    image.rename(tmp_path / "a.tif")
    image.symlink_to(tmp_path / "a.tif")
    (tmp_path / "a_labels_labels.tif").hardlink_to(tmp_path / "a.tif")
    before = image.read_bytes()
    with pytest.raises(InputError, match="would be written over the input"):
        workspace.save_labels(tmp_path, ".tif")
    assert image.read_bytes() == before


def test_prepare_checks_first_that_it_can_write(tmp_path):
    imsave(tmp_path / "a.png", discs()[0])
    done = CliRunner().invoke(app, ["prepare", str(tmp_path / "a.png"), "--out", str(tmp_path / "no" / "w.npz")])
    assert isinstance(done.exception, InputError)


def test_the_command_line_loads_no_torch():
    code = "import sys, napari_scribseg.explore.command; print(*{'torch', 'higra', 'skimage'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
