"""JSON that is nested too deeply for Python, and pipes in the place of files."""

import os

import numpy as np
import pytest

from napari_scribseg.annotate import Session
from napari_scribseg.batch import read_table
from napari_scribseg.batch.bids_tree import write_description
from napari_scribseg.core import InputError
from napari_scribseg.engines.brs.card import read_card
from napari_scribseg.explore import Workspace
from napari_scribseg.explore.feature_cache import FeatureCache
from napari_scribseg.io import read_classes
from napari_scribseg.io.run_folder import RunFolder
from napari_scribseg.nets import load_model
from napari_scribseg.train.command import parse_config
from napari_scribseg.train.pack import read_pack
from napari_scribseg.train.settings import Settings

DEEP = "[" * 100_000


def test_records_and_features_that_cannot_be_read_are_made_again(tmp_path):
    (tmp_path / "record.json").write_text(DEEP)
    assert RunFolder(tmp_path, "run.json").record("record.json") == {}
    cache = FeatureCache(tmp_path / "features")
    cache.put("image", "encoder", {(0,): np.ones(3, np.float32)})
    (path,) = (file for file in (tmp_path / "features").rglob("*") if file.is_file())
    path.write_bytes(len(DEEP).to_bytes(8, "little") + DEEP.encode())
    assert cache.get("image", "encoder") == {}


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("dataset_description.json", lambda path: write_description(path.parent, path.parent, "svcd", {})),
        ("run.json", lambda path: RunFolder(path.parent, "run.json").open(settings={}).__enter__()),
        ("study.json", lambda path: RunFolder(path.parent, "study.json").open(settings={}).__enter__()),
        ("net.pt.scribseg.json", lambda path: read_card(path.with_name("net.pt"))),
        ("settings.json", lambda path: Settings.from_json(path.read_text())),
        ("config.json", lambda path: parse_config(path.read_text(), None)),
    ],
)
def test_deep_json_is_reported(tmp_path, name, read):
    (tmp_path / name).write_text(DEEP)
    with pytest.raises(InputError) as raised:
        read(tmp_path / name)
    assert len(str(raised.value)) < 2000


@pytest.mark.parametrize("read", [read_classes, read_table, Session.load, Workspace.load, load_model, read_pack])
def test_a_pipe_is_no_file(tmp_path, read):
    path = tmp_path / "pipe.tsv"
    os.mkfifo(path)
    with pytest.raises(InputError):
        read(path)
