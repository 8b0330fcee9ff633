import numpy as np
import pytest
import torch

from napari_scribseg.core import InputError, Scribbles, get_engine
from napari_scribseg.engines.single_image import FineTune
from napari_scribseg.nets import (
    BRSNet,
    BRSNetConfig,
    EfficientUNet,
    EfficientUNetConfig,
    PlainUNet,
    PlainUNetConfig,
    save_model,
)
from napari_scribseg.testing import check_engine, two_discs

FROZEN = ("nothing", "encoder", "all but the last layer")
SMALL = {
    "plain": lambda n: PlainUNet(PlainUNetConfig(in_channels=n, channels=(8, 16), patch=1)),
    "efficient": lambda n: EfficientUNet(
        EfficientUNetConfig(
            in_channels=n,
            channels=(4, 8),
            repeats=(1, 1),
            expansion=(1, 2),
            fused=(True, False),
            squeeze=(False, True),
        )
    ),
    "brs": lambda n: BRSNet(
        BRSNetConfig(
            in_channels=n,
            stem=8,
            blocks=(1, 1, 1, 1),
            growth=4,
            squeeze=(4, 4, 4, 4),
            skips=(4, 4, 4),
            coarse=(8, 8, 8, 8),
        )
    ),
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def weights(tmp_path):
    """The path of an untrained network."""

    def make(kind="plain", channels=3):
        torch.manual_seed(0)
        return str(save_model(tmp_path / f"{kind}{channels}.safetensors", SMALL[kind](channels).eval()))

    return make


def result(engine, image, scribbles, state=None):
    return engine.segment(image, scribbles, state or engine.prepare(image, "cpu"))


def test_contract(weights):
    check_engine(FineTune(weights=weights(), rate=0.01), minimum_accuracy=0.6)


def test_the_network_of_the_package_learns_other_classes():
    image, scribbles, truth = two_discs(channels=3)
    engine = get_engine("finetune", steps=20)
    found = result(engine, image, scribbles)
    assert (found.labels == truth).mean() > 0.6
    assert found.curve.training[-1] < found.curve.training[0]


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("frozen", FROZEN)
def test_what_is_frozen_stays_and_the_rest_does_not(kind, frozen, weights):
    image, scribbles, _ = two_discs(channels=3)
    engine = FineTune(weights=weights(kind), frozen=frozen, steps=4, held_back=0.0)
    net = result(engine, image, scribbles).state.fitted.network.base
    torch.manual_seed(0)
    fresh = dict(SMALL[kind](3).named_parameters())
    head = "fine_head" if kind == "brs" else "head"
    encoder = ("features", "excite") if kind == "brs" else ("stem", "down", "shrink")
    moved = {name for name, value in net.named_parameters() if not name.startswith(head) and name in fresh
             and not torch.equal(value, fresh[name])}  # fmt: skip
    assert net.get_submodule(head).out_channels == 3
    if frozen == "all but the last layer":
        assert not moved
    else:
        assert moved
        assert any(name.startswith(encoder) for name in moved) == (frozen == "nothing")
    assert not any(m.training for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d))


def test_an_encoder_that_is_computed_once_changes_no_result(weights):
    """With all but the last layer frozen, remembering the encoder must not matter: compare with the whole network."""
    image, scribbles, _ = two_discs(channels=3)
    engine = FineTune(weights=weights("efficient"), frozen="all but the last layer", steps=3)
    state = result(engine, image, scribbles).state
    net = state.fitted.network
    torch.manual_seed(0)
    whole = SMALL["efficient"](3).eval()
    whole.head = net.head
    with torch.no_grad():
        torch.testing.assert_close(net(state.channels[None]), whole(state.channels[None]))


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 6, 8, 11])
def test_networks_of_all_inputs(channels, weights):
    image, scribbles, _ = two_discs()
    found = result(FineTune(weights=weights("plain", channels), steps=2), image, scribbles)
    assert found.state.channels.shape == (channels, *image.shape)
    np.testing.assert_allclose(found.probabilities.sum(0), 1, atol=1e-5)


def test_a_large_image_is_shown_smaller_and_segmented_at_its_size(weights):
    image, scribbles, _ = two_discs((100, 300), 3)
    engine = FineTune(weights=weights(), size=96, steps=2)
    state = engine.prepare(image, "cpu")
    assert state.channels.shape == (3, 32, 96)
    assert result(engine, image, scribbles, state).probabilities.shape == (3, 100, 300)


def test_a_further_stroke_and_a_new_class_go_on(weights):
    image, scribbles, _ = two_discs(channels=3)
    engine = FineTune(weights=weights(), steps=12)
    two = Scribbles(np.where(scribbles.seeds == 2, -1, scribbles.seeds).astype(np.int32), 2, (0, 7))
    first = result(engine, image, two)
    second = result(engine, image, Scribbles(scribbles.seeds, 3, (0, 7, 5)), first.state)
    assert second.notes[0].startswith("continued from the last weights")
    assert second.state.fitted.ids == (0, 7, 5)
    assert first.state.fitted.network.head.out_channels == 2


def test_12_labels_and_strokes_on_every_pixel(weights):
    image, _, truth = two_discs()
    engine = FineTune(weights=weights(), steps=2)
    assert np.array_equal(result(engine, image, Scribbles(truth.astype(np.int32), 3)).labels, truth)
    seeds = np.full(image.shape, -1, dtype=np.int32)
    seeds[5, :48] = np.repeat(np.arange(12), 4)
    assert result(engine, image, Scribbles(seeds, 12)).probabilities.shape == (12, *image.shape)


def test_bad_input_gets_one_message(weights):
    image, _, _ = two_discs()
    with pytest.raises(InputError, match="takes 7 input channels; 1, 3, 4, 5, 6, 8, 11 are expected"):
        FineTune(weights=weights("plain", 7)).prepare(image, "cpu")
    with pytest.raises(InputError, match="missing"):
        FineTune(weights="nowhere.safetensors").prepare(image, "cpu")
