import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_scribseg.core import Scribbles
from napari_scribseg.engines.single_image.fields import Fields, gather
from napari_scribseg.engines.single_image.fit import by_graph, fit
from napari_scribseg.engines.single_image.learners import Penalty, PixelLearner, UNetLearner
from napari_scribseg.engines.single_image.pixel_net import PixelNet
from napari_scribseg.engines.single_image.stroke_samples import StrokeSamples
from napari_scribseg.engines.single_image.unet import SingleUNet, rectangles_around
from napari_scribseg.testing import two_discs


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_strokes(shape, n_classes=3, share=0.05, seed=0):
    """Single pixels all over, the corners among them."""
    rng = np.random.default_rng(seed)
    seeds = np.where(rng.random(shape) < share, rng.integers(0, n_classes, shape), -1).astype(np.int32)
    seeds[0, 0], seeds[-1, -1], seeds[0, -1] = 0, 1, n_classes - 1
    return Scribbles(seeds, n_classes)


def on_whole_image(net, channels, samples):
    """Cross-entropy of the whole image's logits, where all that is not fitted to is ignored."""
    targets = torch.full((channels.shape[1] * channels.shape[2],), -100)
    targets[samples.pixels[samples.fitted]] = torch.from_numpy(samples.targets[samples.fitted])
    return functional.cross_entropy(net(channels[None]), targets.reshape(1, *channels.shape[1:]), ignore_index=-100)


def gradients(loss, net):
    return torch.autograd.grad(loss, list(net.parameters()))


def pixel_net(channels=5, classes=3, kernel=3, depth=2, seed=0):
    return PixelNet(channels, classes, 8, depth, kernel, torch.Generator().manual_seed(seed)).double()


# the fit at the receptive fields is that on the whole image


@pytest.mark.parametrize(("kernel", "depth"), [(1, 2), (3, 1), (3, 2), (5, 3)])
def test_loss_and_gradients_are_those_of_the_whole_image(kernel, depth):
    channels = torch.rand(5, 23, 31, dtype=torch.float64)
    samples = StrokeSamples.of(random_strokes((23, 31)), 0.2, 0)
    net = pixel_net(kernel=kernel, depth=depth)
    loss, expected = PixelLearner(net, channels, samples).loss(), on_whole_image(net, channels, samples)
    torch.testing.assert_close(loss, expected)
    for ours, whole in zip(gradients(loss, net), gradients(expected, net), strict=True):
        torch.testing.assert_close(ours, whole)
    torch.testing.assert_close(PixelLearner(net, channels, samples).descend(), expected.detach())
    for parameter, whole in zip(net.parameters(), gradients(on_whole_image(net, channels, samples), net), strict=True):
        torch.testing.assert_close(parameter.grad, whole)


def test_weights_after_some_steps_are_those_of_the_whole_image():
    channels = torch.rand(3, 19, 26, dtype=torch.float64)
    samples = StrokeSamples.of(random_strokes((19, 26)), 0.0, 0)
    ours, whole = pixel_net(3), pixel_net(3)
    fit(list(ours.parameters()), PixelLearner(ours, channels, samples).descend, None, 25, 1e-2, lambda *_: None)
    fit(
        list(whole.parameters()),
        lambda: by_graph(whole, lambda: on_whole_image(whole, channels, samples)),
        None,
        25,
        1e-2,
        lambda *_: None,
    )
    start = pixel_net(3)
    for a, b, c in zip(ours.parameters(), whole.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)
        assert (a - c).abs().max() > 1e-2


@pytest.mark.parametrize("penalised", [slice(3, 5), slice(0, 3)], ids=["position", "colour"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_the_penalty_is_that_of_the_whole_image(penalised, kernel):
    channels = torch.rand(5, 17, 22, dtype=torch.float64)
    samples = StrokeSamples.of(random_strokes((17, 22), share=0.2), 0.0, 0)
    net = pixel_net(kernel=kernel)
    loss = PixelLearner(net, channels, samples, Penalty(0.7, penalised)).loss()
    inputs = channels.clone().requires_grad_(True)
    plain = on_whole_image(net, inputs, samples)
    (gradient,) = torch.autograd.grad(plain, inputs, create_graph=True)
    expected = plain + 0.7 * gradient[penalised].abs().sum()
    assert expected > plain * 1.001
    torch.testing.assert_close(loss, expected)
    for ours, whole in zip(gradients(loss, net), gradients(expected, net), strict=True):
        torch.testing.assert_close(ours, whole)


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
@pytest.mark.parametrize("shape", [(90, 140), (77, 121)])
def test_a_unet_on_crops_is_that_on_the_whole_image(levels, shape):
    seeds = np.full(shape, -1, dtype=np.int32)
    seeds[4:6, 5:15], seeds[60:62, 100:120], seeds[-1, -5:] = 0, 1, 1
    samples = StrokeSamples.of(Scribbles(seeds, 2), 0.0, 0)
    torch.manual_seed(0)
    net = SingleUNet(2, 2, 4, levels).double()
    channels = torch.rand(2, *shape, dtype=torch.float64)
    boxes = rectangles_around(samples.pixels, shape, net.reach, net.stride)
    area = sum((r.stop - r.start) * (c.stop - c.start) for r, c in boxes)
    assert area < shape[0] * shape[1] or levels == 3
    loss, expected = UNetLearner(net, channels, samples).loss(), on_whole_image(net, channels, samples)
    torch.testing.assert_close(loss, expected)
    for ours, whole in zip(gradients(loss, net), gradients(expected, net), strict=True):
        torch.testing.assert_close(ours, whole)


def test_bands_make_no_difference():
    channels = torch.rand(4, 150, 400)
    net = pixel_net(4, kernel=5).float()
    reported = []
    found = net.everywhere(channels, reported.append)
    assert len(reported) > 2
    torch.testing.assert_close(found, net(channels[None])[0].detach())


def test_what_lies_outside_the_image_is_zero():
    fields = Fields.of(np.asarray([0]), (3, 4), 3, 1)
    assert fields.sources.tolist() == [0, 1, 4, 5]
    patch = gather(torch.tensor([[1.0], [2.0], [3.0], [4.0]]), fields.tables[0])
    assert patch.tolist() == [[0, 0, 0, 0, 1, 2, 0, 3, 4]]


# when a fit ends, and what it keeps


class Bowl(nn.Module):
    """Lowest at 0."""

    def __init__(self):
        super().__init__()
        self.at = nn.Parameter(torch.tensor(4.0))

    def descend(self):
        return by_graph(self, lambda: self.at**2)


def test_the_best_weights_on_what_is_held_back_are_kept():
    bowl = Bowl()
    curve = fit([bowl.at], bowl.descend, lambda: (bowl.at - 2.0) ** 2 + 1, 1000, 0.1, lambda *_: None)
    assert abs(float(bowl.at.detach()) - 2.0) < 0.5
    assert curve.best < curve.steps[-1] < 1000
    assert curve.validation[curve.steps == curve.best] == curve.validation.min()
    assert curve.training[-1] < curve.training[0]
    assert f"step {curve.best} of {curve.steps[-1]}" in curve.describe()


def test_without_a_judge_every_step_is_taken():
    bowl = Bowl()
    curve = fit([bowl.at], bowl.descend, None, 33, 0.1, lambda *_: None)
    assert (curve.best, curve.steps[-1]) == (33, 33)
    assert np.isnan(curve.validation).all()


def test_what_is_held_back_stays_so_and_leaves_every_class_a_part():
    _, scribbles, _ = two_discs((200, 260))
    seeds = scribbles.seeds.copy()
    seeds[100, 20:120], seeds[101, 150:240] = 1, 2
    first = StrokeSamples.of(Scribbles(seeds, 3), 0.2, 0)
    validation_ = first.pixels[~first.fitted]
    assert 0.05 < len(validation_) / len(first.pixels) < 0.45
    for k in range(3):
        assert np.count_nonzero(first.fitted & (first.targets == k)) * 2 >= np.count_nonzero(first.targets == k)
    seeds[150, 20:120] = 0
    second = StrokeSamples.of(Scribbles(seeds, 3), 0.2, 0)
    kept = np.isin(second.pixels, first.pixels)
    assert np.array_equal(second.pixels[kept & ~second.fitted], validation_)


def test_a_class_with_few_pixels_is_fitted_whole_and_still_counts():
    _, scribbles, _ = two_discs((200, 260))
    samples = StrokeSamples.of(scribbles, 0.3, 0)
    small = samples.targets > 0
    assert samples.fitted[small].all()
    assert samples.validating[small].all()
    assert not samples.fitted.all()
    assert not StrokeSamples.of(scribbles, 0.0, 0).validating.any()
