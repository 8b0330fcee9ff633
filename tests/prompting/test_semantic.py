import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_scribseg.core import InputError
from napari_scribseg.nets import (
    BRSNet,
    BRSNetConfig,
    EfficientUNet,
    EfficientUNetConfig,
    PlainUNet,
    PlainUNetConfig,
    save_model,
)
from napari_scribseg.prompting import semantic
from napari_scribseg.prompting.semantic import encoder_maps, semantic_features
from napari_scribseg.testing import two_discs


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_three_channels_from_0_to_1(channels):
    image, _, _ = two_discs(channels=channels)
    found = semantic_features(image.data)
    assert found.shape == (3, *image.shape)
    assert found.dtype == np.float32
    assert (found.min(), found.max()) == (0, 1)
    assert np.array_equal(found, semantic_features(image.data))


def test_the_features_separate_objects():
    image, _, truth = two_discs((96, 128), channels=3)
    found = semantic_features(image.data)
    means = np.stack([found[:, truth == k].mean(axis=1) for k in range(3)])
    assert np.linalg.norm(means[0] - means[2]) > 0.15


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 3), (300, 20)])
def test_odd_shapes_and_constant_images(shape):
    rng = np.random.default_rng(0)
    found = semantic_features(rng.random((1, *shape)).astype(np.float32))
    assert found.shape == (3, *shape)
    assert np.isfinite(found).all()
    assert np.isfinite(semantic_features(np.full((1, *shape), 5, dtype=np.float32))).all()


def test_maps_of_all_scales_weigh_alike():
    image = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(0)) * 2 - 1
    maps = encoder_maps(image, "", "cpu")
    assert maps.shape == (1, 16 + 32 + 64 + 96 + 128, 32, 40)
    for scale in maps.split((16, 32, 64, 96, 128), dim=1):
        torch.testing.assert_close(scale.mean(dim=(2, 3)).abs().max(), torch.tensor(0.0), atol=0.2, rtol=0)
        assert 0.3 < float(scale.square().mean(dim=(2, 3)).sum()) < 3


@pytest.mark.parametrize(
    "network",
    [
        PlainUNet(PlainUNetConfig(in_channels=6, channels=(4, 8))),
        EfficientUNet(
            EfficientUNetConfig(
                channels=(4, 8), repeats=(1, 1), expansion=(1, 2), fused=(True, False), squeeze=(False, True)
            )
        ),
        BRSNet(
            BRSNetConfig(
                stem=8, blocks=(1, 1, 1, 1), growth=4, squeeze=(4, 4, 4, 4), skips=(4, 4, 4), coarse=(8, 8, 8, 8)
            )
        ),
    ],
    ids=["plain", "efficient", "brs"],
)
def test_any_network_of_the_package(network, tmp_path):
    path = save_model(tmp_path / "own.safetensors", network.eval())
    image, _, _ = two_discs(channels=3)
    found = semantic_features(image.data, str(path))
    assert found.shape == (3, *image.shape)
    assert not np.array_equal(found, semantic_features(image.data))


def test_a_network_of_other_inputs_is_refused(tmp_path):
    path = save_model(tmp_path / "grey.safetensors", PlainUNet(PlainUNetConfig(in_channels=1, channels=(4, 8))))
    with pytest.raises(InputError, match="takes 1 input channels"):
        semantic_features(np.zeros((1, 20, 20), dtype=np.float32), str(path))


def test_a_missing_file_is_named():
    with pytest.raises(InputError, match="missing"):
        semantic_features(np.zeros((1, 20, 20), dtype=np.float32), "nowhere.safetensors")


def test_without_timm_one_message_names_the_extra(monkeypatch):
    monkeypatch.setattr(semantic.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"the backbone 'resnet18' needs the package timm: pip install 'napari-scribs"):
        semantic_features(np.zeros((1, 20, 20), dtype=np.float32), "resnet18")


class StandIn(torch.nn.Module):
    """Two scales, as timm's features_only models give them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.nn.Conv2d(4, 6, 3, stride=2, padding=1)

    def forward(self, x):
        a = torch.relu(self.a(x))
        return [a, torch.relu(self.b(a))]


@pytest.fixture
def timm(monkeypatch, tmp_path):
    """A stand-in for timm and the hub, with the calls that are made of them."""
    torch.manual_seed(0)
    weights = tmp_path / "model.safetensors"
    save_file(StandIn().state_dict(), weights)
    requested = []

    def create_model(name, pretrained, features_only, pretrained_cfg_overlay):
        requested.append((name, pretrained, features_only))
        model = StandIn()
        model.load_state_dict(load_file(pretrained_cfg_overlay["file"]))
        return model

    def download(repository, filename):
        requested.append((repository, filename))
        if repository == "timm/gone":
            raise OSError("the hub does not answer\nat all")
        return str(weights)

    module = types.ModuleType("timm")
    module.is_model = lambda name: name in ("small", "gone", "bare")
    module.get_pretrained_cfg = lambda name: types.SimpleNamespace(hf_hub_id=None if name == "bare" else "timm/")
    module.create_model = create_model
    module.data = types.SimpleNamespace(
        resolve_model_data_config=lambda model: {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2)}
    )
    hub = types.ModuleType("huggingface_hub")
    hub.hf_hub_download = download
    monkeypatch.setitem(sys.modules, "timm", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setattr(semantic.importlib.util, "find_spec", lambda name: object())
    semantic.open_timm_encoder.cache_clear()
    yield requested
    semantic.open_timm_encoder.cache_clear()


def test_a_timm_model_with_weights_in_safetensors(timm):
    image, _, _ = two_discs(channels=3)
    found = semantic_features(image.data, "small")
    assert found.shape == (3, *image.shape)
    assert (found.min(), found.max()) == (0, 1)
    assert timm == [("timm/small", "model.safetensors"), ("small", True, True)]
    semantic_features(image.data, "small")
    assert len(timm) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smal", "the backbone 'smal' is unknown"),  # codespell:ignore smal
        ("gone", "weights of the timm model 'gone' cannot be had: the hub does not answer$"),
        ("bare", "the timm model 'bare' has no weights on the Hugging Face hub"),
    ],
)
def test_a_timm_model_that_cannot_be_had_gives_one_message(timm, name, message):
    with pytest.raises(InputError, match=message):
        semantic_features(np.zeros((1, 20, 20), dtype=np.float32), name)
