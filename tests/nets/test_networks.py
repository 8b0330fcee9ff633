import pytest
import torch

from napari_scribseg.core import InputError
from napari_scribseg.nets import (
    EfficientUNet,
    EfficientUNetConfig,
    PlainUNet,
    PlainUNetConfig,
    fold_batch_norm,
    for_inference,
)

NETWORKS = [EfficientUNet, PlainUNet]
SMALL = {
    EfficientUNet: EfficientUNetConfig(
        channels=(8, 8, 8),
        repeats=(1, 1, 1),
        expansion=(1, 2, 2),
        fused=(True, True, False),
        squeeze=(False, False, True),
    ),
    PlainUNet: PlainUNetConfig(channels=(8, 8), patch=2),
}


@pytest.fixture(params=NETWORKS, ids=lambda kind: kind.__name__)
def network(request):
    """A small network whose batch norms have seen something."""
    torch.manual_seed(0)
    model = request.param(SMALL[request.param])
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return model


def test_published_number_of_parameters():
    assert sum(p.numel() for p in EfficientUNet().parameters()) == 1_082_772


def test_plain_network_by_its_configuration():
    assert (
        sum(p.numel() for p in PlainUNet(PlainUNetConfig(channels=(16, 32, 64, 96, 128), patch=1)).parameters())
        == 923_073
    )
    assert sum(p.numel() for p in PlainUNet().parameters()) < 2_500_000  # 5 MB in half precision


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("size", [(32, 32), (29, 50), (1, 7)])
def test_logits_have_the_size_of_the_image(kind, size):
    model = kind().eval()
    with torch.no_grad():
        logits = model(torch.rand(2, model.config.in_channels, *size))
    assert logits.shape == (2, 1, *size)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_each_coarse_pixel_covers_the_stride(kind):
    assert SMALL[kind].stride == 4
    assert kind().config.stride == {EfficientUNet: 16, PlainUNet: 32}[kind]


def test_padding_repeats_the_rim(network):
    network.eval()
    x = torch.rand(1, network.config.in_channels, 13, 18)
    padded = torch.nn.functional.pad(x, (0, 2, 0, 3), mode="replicate")
    torch.testing.assert_close(network(x), network(padded)[..., :13, :18])


def test_images_of_a_batch_do_not_influence_one_another(network):
    network.eval()
    x = torch.rand(3, network.config.in_channels, 16, 16)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-5, rtol=1e-5)


def test_gradient_reaches_every_parameter(network):
    logits = network(torch.rand(2, network.config.in_channels, 24, 24))
    logits.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_folding_keeps_the_output_and_the_network(network):
    x = torch.rand(2, network.config.in_channels, 21, 30)
    expected = network.eval()(x)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_batch_norm(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    torch.testing.assert_close(folded(x), expected, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_folding_a_bare_sequence():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.ReLU()).eval()
    x = torch.rand(1, 2, 8, 8)
    assert len(fold_batch_norm(layers)) == 2
    torch.testing.assert_close(fold_batch_norm(layers)(x), layers(x))


def test_predictor_results_as_the_network_and_twice_the_same(network):
    x = torch.rand(2, network.config.in_channels, 21, 30)
    expected = network.eval()(x)
    predictor = for_inference(network, "cpu")
    first = predictor(x)
    torch.testing.assert_close(first, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(first, predictor(x.double()))
    assert first.dtype == torch.float32
    assert not first.requires_grad
    assert not any(parameter.requires_grad for parameter in predictor.model.parameters())


def test_predictor_in_bfloat16_is_near(network):
    x = torch.rand(1, network.config.in_channels, 16, 16)
    exact, coarse = for_inference(network)(x), for_inference(network, precision="bfloat16")(x)
    assert coarse.dtype == torch.float32
    torch.testing.assert_close(coarse, exact, atol=0.05, rtol=0.05)


def test_predictor_names_what_it_cannot_do(network):
    with pytest.raises(InputError, match="float16 was asked for on a CPU"):
        for_inference(network, precision="float16")
    with pytest.raises(InputError, match="'double'; one of auto"):
        for_inference(network, precision="double")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_graphs_result_as_the_network(network):
    x = torch.rand(2, network.config.in_channels, 21, 30)
    exact = for_inference(network)(x)
    predictor = for_inference(network, "cuda", "float32")
    for _ in range(2):
        torch.testing.assert_close(predictor(x).cpu(), exact, atol=1e-3, rtol=1e-3)
    half = for_inference(network, "cuda")
    torch.testing.assert_close(half(x).cpu(), exact, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EfficientUNetConfig(channels=(8, 16)), "different lengths"),
        (lambda: EfficientUNetConfig(in_channels=0), "below 1"),
        (lambda: EfficientUNetConfig(activation="tanh"), "'tanh'"),
        (lambda: PlainUNetConfig(channels=()), "at least one scale"),
        (lambda: PlainUNetConfig(activation="tanh"), "'tanh'"),
    ],
)
def test_configurations_are_checked(make, message):
    with pytest.raises(InputError, match=message):
        make()
