import numpy as np
import pytest
import torch
from brs_networks import Levels
from scipy import ndimage
from torch import nn

from napari_scribseg.core import Scribbles, silent
from napari_scribseg.engines.brs import BRS, ModelCard
from napari_scribseg.engines.brs.cut import Cut
from napari_scribseg.engines.brs.loading import Loaded
from napari_scribseg.engines.brs.minimise import Budget, StrokePixels, disagreement, minimise
from napari_scribseg.engines.brs.pipeline import segment
from napari_scribseg.engines.brs.probing import complete
from napari_scribseg.engines.brs.prompts import Converted, Trained, as_clicks
from napari_scribseg.engines.brs.state import BRSState
from napari_scribseg.nets import EfficientUNet, EfficientUNetConfig, PlainUNet, PlainUNetConfig
from napari_scribseg.prompting.predictions import Grid
from napari_scribseg.testing import two_discs


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def monai(name, **settings):
    nets = pytest.importorskip("monai.networks.nets")
    return getattr(nets, name)(spatial_dims=2, in_channels=1, out_channels=2, **settings)


SMALL = EfficientUNetConfig(4, (8, 8, 8), (1, 1, 1), (1, 2, 2), (True, True, False), (False, False, True))
NETWORKS = {
    "plain-unet": (lambda: PlainUNet(PlainUNetConfig(channels=(8, 12, 16))), 11),
    "plain-unet-1": (lambda: PlainUNet(PlainUNetConfig(in_channels=1, channels=(8, 12), patch=1)), 1),
    "plain-unet-8": (lambda: PlainUNet(PlainUNetConfig(in_channels=8, channels=(8, 12), patch=1)), 8),
    "efficient-unet": (lambda: EfficientUNet(SMALL), 4),
    "softmax": (lambda: Levels(3, halvings=2, softmax=True), 3),
    "monai-unet": (lambda: monai("UNet", channels=(8, 16), strides=(2,)), 1),
    "monai-basic-unet": (lambda: monai("BasicUNet", features=(4, 4, 8, 8, 8, 4)), 1),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    make, channels = NETWORKS[request.param]
    return make().eval().requires_grad_(False), torch.rand(1, channels, 48, 64)


def test_converted_networks_are_themselves_bit_for_bit_while_the_maps_are_zero(network):
    net, image = network
    own = net(image)
    prompt = Converted(float(image.std()))
    base = prompt.base(image, np.full((48, 64), -1, dtype=np.int32))
    assert torch.equal(net(prompt.changed(base, prompt.zero(image))), own)
    assert not torch.equal(net(prompt.changed(base, prompt.zero(image) + 0.1)), own)


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_maps_share_the_first_convolution(channels):
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, 5, 3, padding=1)
    image, maps = torch.rand(1, channels, 20, 24), torch.rand(1, 1, 20, 24)
    shared = nn.functional.conv2d(maps.expand(-1, channels, -1, -1), conv.weight, padding=1)
    torch.testing.assert_close(conv(Converted(1.0).changed(image, maps)), conv(image) + shared)


def interaction_maps(seeds):
    return Trained("distance", 3).base(torch.zeros(1, 1, *seeds.shape), seeds)[0, 1:].numpy()


def test_interaction_maps_are_truncated_distances():
    seeds = np.full((30, 400), -1, dtype=np.int32)
    seeds[3, 5:9] = 1
    near, none = interaction_maps(seeds)
    expected = 1 - np.minimum(ndimage.distance_transform_edt(seeds != 1), 255) / 255
    np.testing.assert_allclose(near, expected, atol=1e-5)
    assert near[3, 6] == 1
    assert near[0, 399] == 0
    assert not none.any()
    seeds[20, 20] = 0
    assert interaction_maps(seeds)[1][20, 20] == 1


def test_networks_that_were_trained_with_maps_get_them():
    seeds = np.full((8, 9), -1, dtype=np.int32)
    seeds[1, 1], seeds[5, 5] = 1, 0
    image = torch.rand(1, 3, 8, 9)
    prompt = Trained("distance", 5)
    base = prompt.base(image, seeds)
    assert torch.equal(base[:, :3], image)
    assert np.array_equal(base[0, 3:].numpy(), interaction_maps(seeds))
    assert torch.equal(prompt.changed(base, prompt.zero(image)), base)
    changed = prompt.changed(base, prompt.zero(image) + 1)
    assert torch.equal(changed[:, :3], image)
    assert torch.equal(changed[:, 3:], base[:, 3:] + 1)


def test_dots_become_clicks_and_strokes_some_of_them():
    seeds, (rows, columns) = np.full((60, 80), -1, dtype=np.int32), np.mgrid[:60, :80]
    seeds[np.hypot(rows - 10, columns - 12) <= 2] = 1
    seeds[np.hypot(rows - 30, columns - 20) <= 6] = 0
    seeds[0, 79] = 1
    clicks = as_clicks(seeds)
    assert np.argwhere(clicks == 1).tolist() == [[0, 79], [10, 12]]
    assert np.argwhere(clicks == 0).tolist() == [[30, 20]]
    stroke = np.full_like(seeds, -1)
    stroke[48:53, 5:75] = 1
    clicks = as_clicks(stroke)
    at = np.argwhere(clicks == 1)
    assert (stroke[clicks >= 0] == 1).all()
    assert 5 <= len(at) <= 9
    gaps = np.diff(np.sort(at[:, 1]))
    assert gaps.min() >= 6
    assert gaps.max() <= 20
    assert (as_clicks(np.full_like(seeds, -1)) == -1).all()


def test_only_networks_trained_on_clicks_are_given_clicks():
    seeds = np.full((32, 32), -1, dtype=np.int32)
    seeds[8:13, 8:13] = 1
    given = {kind: Trained(kind, 6).base(torch.zeros(1, 3, 32, 32), seeds)[0, 3] for kind in ("clicks", "scribbles")}
    assert torch.argwhere(given["clicks"]).tolist() == [[10, 10]]
    assert given["scribbles"].sum() == 25


def test_a_network_of_the_papers_kind_is_given_its_maps():
    """It answers by the maps alone: the object is where its map is larger."""

    class Nearer(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 1)
            with torch.no_grad():
                self.conv.weight.copy_(torch.tensor([0.0, 40.0, -40.0]).reshape(1, 3, 1, 1))
                self.conv.bias.zero_()

        def forward(self, x):
            return self.conv(x)

    net = complete(Loaded(Nearer().requires_grad_(False), ModelCard(prompt="distance", channels=1)), "net", "cpu")
    image, scribbles, _ = two_discs()
    one = Scribbles(np.where(scribbles.seeds == 2, -1, scribbles.seeds), 2)
    channels = net.channels(image)
    state = BRSState(net, net.input(channels, image.shape), None, (), Grid((1.0, 1.0), image.shape))
    made = segment(BRS(), one, state, silent)
    maps = interaction_maps(one.seeds)
    assert np.array_equal(made.labels[one.seeds < 0], (maps[0] > maps[1])[one.seeds < 0].astype(int))


def annotated(places, classes, weights=None):
    n = len(places)
    weights = torch.ones(n) if weights is None else torch.tensor(weights)
    return StrokePixels(torch.tensor(places), torch.tensor(classes), weights, torch.ones(n, dtype=torch.bool))


def test_the_corrective_energy_of_two_classes_is_equation_4():
    logits = torch.tensor([[0.3, -1.0, 2.0, 0.1]])
    fields = torch.stack((torch.zeros_like(logits), logits))
    marks = annotated([0, 1, 2], [1, 1, 0])
    y = torch.sigmoid(logits[0, :3])
    expected = ((torch.tensor([1.0, 1.0, 0.0]) - y) ** 2).sum()
    torch.testing.assert_close(disagreement(marks.pick(fields), marks, "squared"), expected)
    entropy = nn.functional.binary_cross_entropy_with_logits(
        logits[0, :3], torch.tensor([1.0, 1.0, 0.0]), reduction="sum"
    )
    torch.testing.assert_close(disagreement(marks.pick(fields), marks, "cross-entropy"), entropy)
    assert marks.wrong(marks.pick(fields), 0.5) == 2
    assert marks.wrong(marks.pick(fields), 0.9) == 3


def rosenbrock(target):
    def evaluate(values):
        a, b = values[0], values[1]
        energy = (1 - a) ** 2 + 100 * (b - a**2) ** 2
        return energy, values * 1, int(float(energy) > target)

    return evaluate


def test_the_energy_falls_and_it_ends_when_all_is_right():
    seen = []
    best = minimise(
        torch.tensor([-1.2, 1.0]), rosenbrock(1e-4), Budget(200, 60), lambda best, better: seen.append(best.energy)
    )
    assert best.wrong == 0
    assert best.energy <= 1e-4
    assert best.first_energy == pytest.approx(24.2, rel=1e-3)
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == best.evaluations < 200


@pytest.mark.parametrize(("evaluations", "seconds", "spent"), [(5, 60, 5), (1, 60, 1), (100, 0, 1)])
def test_budgets(evaluations, seconds, spent):
    best = minimise(torch.tensor([-1.2, 1.0]), rosenbrock(0.0), Budget(evaluations, seconds), lambda best, better: None)
    assert best.evaluations == spent
    assert best.energy <= best.first_energy


@pytest.mark.parametrize("length", [0.1, 0.01])
def test_the_first_step_is_as_long_as_requested(length):
    seen = []

    def evaluate(values):
        seen.append(values.detach().clone())
        return rosenbrock(0.0)(values)

    minimise(torch.tensor([-1.2, 1.0]), evaluate, Budget(5, 60), lambda best, better: None, length)
    assert (seen[1] - seen[0]).abs().max().item() == pytest.approx(length, rel=1e-4)


def test_networks_trained_with_maps_are_changed_more_carefully(monkeypatch):
    image, scribbles, _ = two_discs()
    one = Scribbles(np.where(scribbles.seeds == 2, -1, scribbles.seeds), 2)
    requested = []

    def spy(start, evaluate, budget, report, first_step):
        requested.append(first_step)
        return minimise(start, evaluate, budget, report, first_step)

    monkeypatch.setattr("napari_scribseg.engines.brs.pipeline.minimise", spy)
    for prompt, channels in (("distance", 1), ("none", 3)):
        torch.manual_seed(0)
        net = complete(
            Loaded(nn.Conv2d(3, 1, 1).requires_grad_(False), ModelCard(prompt=prompt, channels=channels)), "net", "cpu"
        )
        x = net.input(net.channels(image), image.shape)
        own = net.raw(x, exact=True) if prompt == "none" else None
        segment(BRS(evaluations=2), one, BRSState(net, x, own, (), Grid((1.0, 1.0), image.shape)), silent)
    assert requested == [0.01, 0.1]


def test_values_that_are_not_finite_end_it_with_the_best_before():
    def evaluate(values):
        energy = values.square().sum() if float(values.abs().max()) > 0.95 else values.sum() * float("nan")
        return energy, values * 1, 1

    best = minimise(torch.tensor([1.0, 1.0]), evaluate, Budget(50, 60), lambda best, better: None)
    assert np.isfinite(best.energy)
    assert best.evaluations < 50
    still = minimise(torch.ones(2), lambda v: ((v * 0).sum(), v, 3), Budget(50, 60), lambda best, better: None)
    assert (still.evaluations, still.wrong) == (1, 3)


@pytest.mark.parametrize("layer", ["A", "B", "C"])
def test_a_network_cut_in_two_is_the_whole(network, layer):
    net, image = network
    cut = Cut(net, torch.zeros_like(image), layer, "net")
    valid = cut.before(image)
    kept = {node: value.clone() for node, value in valid.items() if isinstance(value, torch.Tensor)}
    own = net(image)
    for _ in range(2):
        again = cut.after(valid, cut.layer(valid))
        torch.testing.assert_close(again, own)
    assert all(torch.equal(valid[node], value) for node, value in kept.items())
    assert cut.layer(valid).shape[1] == cut.channels
    assert not torch.allclose(cut.after(valid, cut.layer(valid) * 1.5 + 0.3), own)


@pytest.mark.parametrize(("layer", "stage"), [("A", "down.2"), ("B", "up.1"), ("C", "up.0")])
def test_what_follows_from_a_changed_layer(layer, stage):
    torch.manual_seed(0)
    net = PlainUNet(PlainUNetConfig(in_channels=2, channels=(4, 6, 8), patch=1)).eval().requires_grad_(False)
    image = torch.rand(1, 2, 32, 32)
    cut = Cut(net, torch.zeros_like(image), layer, "net")
    valid, scale = cut.before(image), torch.full((1,), 1.5, requires_grad=True)
    found = cut.after(valid, cut.layer(valid) * scale + 0.3)
    net.get_submodule(stage).register_forward_hook(lambda _module, _given, out: out * scale + 0.3)
    expected = net(image)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(out.square().sum(), scale)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients)


class Joins(torch.nn.Module):
    """Joins what changes with what does not in many ways: twice the same, between, with what is used elsewhere too."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.coarse = torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.Conv2d(3, 5, 3, padding=1)
        self.between, self.twice = torch.nn.Conv2d(3 + 5 + 3, 4, 3, padding=1), torch.nn.Conv2d(8 + 3, 4, 1)
        self.again, self.grouped = torch.nn.Conv2d(4 + 3, 4, 3, padding=1), torch.nn.Conv2d(4 + 4, 2, 1, groups=2)
        self.last = torch.nn.Conv2d(2, 1, 1)

    def forward(self, x, change=None):
        fine = torch.relu(self.first(x))
        coarse = torch.relu(self.coarse(torch.nn.functional.avg_pool2d(fine, 2)))
        grown = torch.nn.functional.interpolate(coarse if change is None else change(coarse), scale_factor=2.0)
        y = torch.relu(self.between(torch.cat((fine, grown, fine * 2), dim=1)))
        y = torch.relu(self.twice(torch.cat((y, y, fine), dim=1)))
        joined = torch.cat((y, fine), dim=1)
        y = torch.relu(self.again(joined)) + joined[:, :4]
        return self.last(self.grouped(torch.cat((fine[:, :1].expand(-1, 4, -1, -1), y), dim=1)))


def test_what_is_joined_with_what_changes():
    net, image = Joins().eval().requires_grad_(False), torch.rand(1, 1, 16, 16)
    cut = Cut(net, torch.zeros_like(image), "A", "net")
    valid = cut.before(image)
    assert cut.channels == 5
    torch.testing.assert_close(cut.after(valid, cut.layer(valid)), net(image))
    torch.testing.assert_close(cut.after(valid, cut.layer(valid) * 2 - 0.1), net(image, lambda y: y * 2 - 0.1))
    assert not torch.allclose(net(image, lambda y: y * 2 - 0.1), net(image))


def test_layers_lie_behind_one_another():
    net = PlainUNet(PlainUNetConfig(in_channels=1, channels=(4, 6, 8), patch=1)).eval().requires_grad_(False)
    cuts = [Cut(net, torch.zeros(1, 1, 32, 32), layer, "net") for layer in "ABC"]
    assert [cut.channels for cut in cuts] == [8, 6, 4]
    sizes = [tuple(cut.layer(cut.before(torch.zeros(1, 1, 32, 32))).shape[2:]) for cut in cuts]
    assert sizes == [(8, 8), (16, 16), (32, 32)]
