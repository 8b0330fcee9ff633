"""A learned network for brs, as ONNX, as a torch.export file, and in another project."""

import numpy as np
import pytest
import torch
from two_discs import CLASSES, volume_of

from napari_scribseg import get_engine
from napari_scribseg.core import InputError, silent
from napari_scribseg.engines.brs.card import read_card
from napari_scribseg.learn import LearnedNetwork, Project
from napari_scribseg.learn.network_export import export_network


@pytest.fixture
def inputs():
    """Two inputs of a size that no file was made for."""
    return np.random.default_rng(0).uniform(-1, 1, (2, 3, 96, 128)).astype(np.float32)


def expected(learned, values):
    with torch.no_grad():
        return learned.model(torch.from_numpy(values)).numpy()


def test_the_engine_brs_predicts_as_the_network_drafts(learned, tmp_path):
    path, card = export_network(learned, tmp_path / "discs.safetensors")
    assert card.name == "discs.safetensors.scribseg.json"
    assert read_card(path).ids == (0, 2, 5)
    source, labels = volume_of(7)
    engine = get_engine("brs", model=str(path))
    assert engine.slices == 3
    state = engine.prepare(source.around(source.slice_index(4), 3), "cpu")
    predicted = np.array([0, 2, 5])[engine.unprompted(state).argmax(axis=0)]
    (draft,) = learned.draft(source, [source.slice_index(4)], silent)
    assert (predicted == draft.labels).mean() > 0.97
    assert (predicted == labels[4]).mean() > 0.9


def test_an_onnx_file_computes_the_same(learned, inputs, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    path, _ = export_network(learned, tmp_path / "discs.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": inputs})
    np.testing.assert_allclose(found, expected(learned, inputs), atol=1e-3)


def test_a_torch_export_file_computes_the_same(learned, inputs, tmp_path):
    path, _ = export_network(learned, tmp_path / "discs.pt2")
    module = torch.export.load(str(path)).module()
    with torch.no_grad():
        found = module(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, expected(learned, inputs), atol=1e-3)
    assert read_card(path).multiple == learned.model.config.stride


def test_another_project_takes_the_network(learned, tmp_path):
    project = Project.create(tmp_path / "one", CLASSES, engine="svcd")
    with pytest.raises(InputError, match="no network was learned"):
        project.export_network(tmp_path / "a.onnx")
    project.networks_folder.mkdir()
    named = LearnedNetwork(learned.model, CLASSES.with_names(["bright", "dark"]), learned.card)
    named.save(project.networks_folder / "0001.safetensors")
    path, _ = project.export_network(tmp_path / "a.safetensors")
    other = Project.create(tmp_path / "other", ["dark", "third"], engine="svcd")
    added = other.add_network(path)
    names = {c.name: c.id for c in other.classes}
    assert added.ids == (0, names["bright"], names["dark"])
    assert other.network().checksum == learned.checksum
    assert LearnedNetwork.load(other.network_files()[0]).ids == added.ids


def test_bad_input_is_refused(learned, tmp_path):
    with pytest.raises(InputError, match=r"one of \.safetensors, \.onnx, \.pt2 is expected"):
        export_network(learned, tmp_path / "a.pt")
    with pytest.raises(InputError, match="the folder does not exist"):
        export_network(learned, tmp_path / "no" / "a.onnx")
    export_network(learned, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="is there already"):
        export_network(learned, tmp_path / "a.safetensors")
    export_network(learned, tmp_path / "a.safetensors", overwrite=True)
    project = Project.create(tmp_path / "p", ["a"], engine="svcd")
    (tmp_path / "x.safetensors").write_bytes(b"none")
    with pytest.raises(InputError, match=r"x\.safetensors"):
        project.add_network(tmp_path / "x.safetensors")
