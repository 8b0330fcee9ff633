from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("pytorch_metric_learning")

from disc_pictures import discs, majority

from napari_scribseg import InputError
from napari_scribseg.core import Cancelled
from napari_scribseg.explore import Workspace, embedding, feature_space
from napari_scribseg.explore.encoders import CropEncoder, MapEncoder
from napari_scribseg.explore.tuning import StageFeatures, Tuning, last_stage, open_network, tuned_encoder


@pytest.fixture(autouse=True)
def _quick_embedding(monkeypatch):
    monkeypatch.setattr(feature_space, "fit_embedding", lambda f, *_a, **_k: 3 * embedding.principal_components(f))


@pytest.fixture
def taught(workspace):
    found = majority(workspace, [discs(0)[1], discs(1)[1]], workspace.ids())
    for value, label in ((1, 1), (2, 2)):
        workspace.assign(workspace.ids()[found == value][:4], label)
    return workspace


@pytest.mark.parametrize("encoder", [MapEncoder(), CropEncoder()], ids=["maps", "crops"])
def test_samples_through_the_last_stage_are_the_features(encoder, workspace):
    data = discs(0)[0][None].astype(np.float32)
    regions = np.unique(workspace.segments(0), return_inverse=True)[1].reshape(96, 96).astype(np.int32)
    rows = encoder.describe(data, regions)
    network = open_network("", "cpu", None)
    collected = StageFeatures(last_stage(network), encoder.samples(network, data, regions), torch.from_numpy(rows))
    drawn = torch.arange(len(rows)).flip(0)
    with torch.no_grad():
        assert collected(drawn).numpy() == pytest.approx(rows[::-1], abs=1e-4)


@pytest.mark.parametrize("view", ["maps", "crops"])
def test_learning_theopen_network_describes_all_again_and_is_saved(view, taught, tmp_path):
    taught.use_encoder(view)
    taught.embed()
    ids = taught.ids()
    before = taught.table.features[ids].copy()
    assert taught.learn(backbone=True) == len(ids) - len(taught.filtered("unlabelled"))
    after = taught.table.features[ids]
    assert after.shape == before.shape
    assert np.isfinite(after).all()
    assert np.abs(after - before).max() > 1e-5
    assert after[:, :10] == pytest.approx(before[:, :10], abs=1e-5)  # brightness and size stay
    taught.save(tmp_path / "mine.npz")
    again = Workspace.load(tmp_path / "mine.npz", cache=tmp_path / "features")
    assert again.space.tuning.digest == taught.space.tuning.digest
    again.table.clear_features()
    again.embed()
    assert again.table.features[ids] == pytest.approx(after, abs=1e-5)
    taught.use_encoder("maps" if view == "crops" else "crops")
    assert taught.space.tuning is None


def test_cancelled_theopen_network_stays_as_it_was(taught):
    taught.embed()
    ids = taught.ids()
    before = taught.table.features[ids].copy()

    def stop(fraction, preview=None):
        if fraction >= 0.59:  # while segments are described again
            raise Cancelled

    with pytest.raises(Cancelled):
        taught.learn(stop, backbone=True)
    assert taught.space.tuning is None
    assert taught.space.head is None
    assert np.array_equal(taught.table.features[ids], before)


def testopen_networks_that_cannot_be_learned_are_refused(taught, monkeypatch):
    taught.embed()
    monkeypatch.setattr(taught, "space", replace(taught.space, backbone="resnet18.a1_in1k"))
    monkeypatch.setattr(MapEncoder, "describe", lambda *_: pytest.fail("nothing is missing"))
    with pytest.raises(InputError, match="of timm cannot be learned"):
        taught.learn(backbone=True)
    with pytest.raises(InputError, match="do not fit scribble-net"):
        tuned_encoder("", "cpu", Tuning({"0.weight": np.zeros(3, np.float32)}))
