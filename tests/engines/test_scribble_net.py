import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_scribseg.annotate.engine_cache import size_of
from napari_scribseg.core import Image, InputError, Scribbles
from napari_scribseg.engines.scribble_net import ScribbleNet, networks
from napari_scribseg.nets import (
    EfficientUNet,
    EfficientUNetConfig,
    PixelNet,
    PixelNetConfig,
    PlainUNet,
    PlainUNetConfig,
    save_model,
)
from napari_scribseg.prompting.predictions import LIMIT
from napari_scribseg.testing import check_engine, two_discs

SCALES = 9  # the coarsest one of a crop of 256 pixels has a single pixel


def level_network():
    """A network made by hand: a pixel belongs to the object if it is dark, medium or bright as strokes on it are.

    Three intensities of the first channel are distinguished; max pooling gathers which of them are under strokes on the
    object and under others, from the whole crop.
    """
    net = PlainUNet(PlainUNetConfig(channels=(9, *[6] * (SCALES - 1)), convolutions=2, patch=1)).eval()
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point():
                value.zero_()
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.fill_(1)
                module.running_var.fill_(1 - module.eps)
        _sort_intensities(net.down[0])
        for depth in range(1, SCALES):
            for i in range(6):
                _wire(net.down[depth], 0, i, {(i + 3 if depth == 1 else i): 1.0})
                _wire(net.down[depth], 1, i, {i: 1.0})
        for depth in range(1, SCALES - 1):
            for i in range(6):
                _wire(net.up[depth], 0, i, {6 + i: 1.0})
                _wire(net.up[depth], 1, i, {i: 1.0})
        for i in range(6):
            _wire(net.up[0], 0, i, {i % 3: 1.0, 9 + i: 4.0}, -4.0)
            _wire(net.up[0], 1, i, {i: 1.0})
            net.head.weight[0, i] = 20.0 if i < 3 else -20.0
        net.head.bias.fill_(-6.0)
    return net


def _wire(stage, number, out, sources, bias=0.0):
    """Weights of one output of one of the two convolutions of a stage, its middle pixel only."""
    conv, norm = stage[3 * number], stage[3 * number + 1]
    for source, weight in sources.items():
        conv.weight[out, source, 1, 1] = weight
    norm.bias[out] = bias


def _sort_intensities(stage):
    """Outputs 0 to 2: dark, medium, bright; 3 to 5: these under own strokes; 6 to 8: under others' strokes."""
    for i, knot in enumerate((-0.6, -0.4, 0.4, 0.6)):
        _wire(stage, 0, i, {0: 5.0}, -5.0 * knot)
    for i in (3, 4):
        _wire(stage, 0, i + 1, {i: 1.0})
    lower, upper = {0: 1.0, 1: -1.0}, {2: 1.0, 3: -1.0}
    dark = ({k: -v for k, v in lower.items()}, 1.0)
    medium = (lower | {k: -v for k, v in upper.items()}, 0.0)
    for i, (sources, bias) in enumerate((dark, medium, (upper, 0.0))):
        _wire(stage, 1, i, sources, bias)
        _wire(stage, 1, 3 + i, sources | {4: 1.0}, bias - 1)
        _wire(stage, 1, 6 + i, sources | {5: 1.0}, bias - 1)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that wait for one another take minutes for such small networks where other programs run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(save_model(tmp_path_factory.mktemp("net") / "level.safetensors", level_network()))


@pytest.fixture
def engine(weights):
    return ScribbleNet(weights=weights)


def disc(shape, middle, radius, spacing=(1.0, 1.0)):
    """A bright disc on a dark ground, and its truth; ``middle`` and ``radius`` in units of the spacing."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    truth = np.hypot((rows + 0.5) * spacing[0] - middle[0], (columns + 0.5) * spacing[1] - middle[1]) <= radius
    values = np.where(truth, 200.0, 20.0) + np.random.default_rng(0).normal(0, 3, shape)
    return Image.from_array(values, spacing), truth.astype(int)


def drawn(shape, *strokes):
    """Seeds from (class, rows, columns), each an index or a slice."""
    seeds = np.full(shape, -1, dtype=np.int32)
    for k, rows, columns in strokes:
        seeds[rows, columns] = k
    return seeds


def result(engine, image, seeds, n_classes=2, state=None, report=lambda fraction, preview=None: None):
    scribbles = Scribbles(seeds, n_classes)
    made = engine.segment(image, scribbles, engine.prepare(image, "cpu") if state is None else state, report)
    p = made.probabilities
    assert p.shape == (n_classes, *image.shape)
    assert p.dtype == np.float32
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-4)
    rows, columns = np.nonzero(seeds >= 0)
    assert (p[seeds[rows, columns], rows, columns] == 1).all()
    return made


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def last_view(made, k):
    return made.state.former.predictions[k].patches[-1].crop


@pytest.mark.parametrize(
    "parameters",
    [{}, {"refine": "none"}, {"passes": 1}, {"crop": "whole"}, {"hybrid": 1.0}],
    ids=lambda p: ",".join(map(str, p.items())) or "defaults",
)
def test_contract(weights, parameters):
    check_engine(ScribbleNet(weights=weights, **parameters), minimum_accuracy=0.95)


def test_contract_with_the_published_input(tmp_path):
    torch.manual_seed(0)
    config = EfficientUNetConfig(
        channels=(4, 6), repeats=(1, 1), expansion=(1, 2), fused=(True, True), squeeze=(False,) * 2
    )
    check_engine(
        ScribbleNet(weights=str(save_model(tmp_path / "net.safetensors", EfficientUNet(config)))), minimum_accuracy=0.0
    )


def test_declaration():
    info = ScribbleNet.info
    assert (info.name, info.live, info.needs_weights, info.min_classes) == ("scribble-net", True, True, 1)
    code = "import sys, napari_scribseg.engines.scribble_net as e; e.ScribbleNet(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_message_for_missing_shipped_weights_names_the_parameter(monkeypatch):
    monkeypatch.setattr(networks, "shipped_weights", dict)
    image, _, _ = two_discs()
    with pytest.raises(InputError, match=r"no trained network .* get_engine\('scribble-net', weights=") as caught:
        ScribbleNet().prepare(image, "cpu")
    assert "\n" not in str(caught.value)


def test_missing_foreign_and_damaged_weights_give_one_message(tmp_path, weights):
    image, _, _ = two_discs()
    good = Path(weights).read_bytes()
    names = ("foreign", "damaged", "other", "pixels")
    foreign, damaged, other, pixels = (tmp_path / f"{name}.safetensors" for name in names)
    foreign.write_bytes(b"PK\x03\x04 not a network" * 9)
    damaged.write_bytes(good[:-5000] + bytes(5000))
    save_model(other, PlainUNet(PlainUNetConfig(in_channels=7, channels=(4, 4))))
    save_model(pixels, PixelNet(PixelNetConfig(in_channels=11)))
    cases = {
        tmp_path / "none.safetensors": "missing",
        foreign: "no safetensors file",
        damaged: "damaged",
        pixels: "holds a pixel-net; a brs-net or efficient-unet or plain-unet is expected",
        other: "takes 7 input channels; 4, 5, 6, 8, 11 are expected",
    }
    for path, message in cases.items():
        with pytest.raises(InputError, match=message) as caught:
            ScribbleNet(weights=str(path)).prepare(image, "cpu")
        assert "\n" not in str(caught.value)


def test_a_network_is_loaded_once_and_again_when_its_file_changes(tmp_path):
    path = save_model(tmp_path / "net.safetensors", level_network())
    image, _, _ = two_discs()
    engine = ScribbleNet(weights=str(path))
    first, second = engine.prepare(image, "cpu"), engine.prepare(image, "cpu")
    assert first.image.network is second.image.network
    save_model(path, level_network(), {"title": "newer"})
    os.utime(path, ns=(1, 1))
    assert engine.prepare(image, "cpu").image.network is not first.image.network
    assert size_of(first) < 4 * image.data.nbytes * 3 + 50_000  # the shared network counts nothing


def test_a_small_object_in_a_large_image_is_seen_in_a_local_crop(engine):
    image, truth = disc((768, 1024), (500, 700), 20)
    seeds = drawn(image.shape, (1, 500, slice(692, 708)), (0, 500, slice(640, 650)))
    made = result(dataclasses.replace(engine, passes=2), image, seeds)
    first, second = (p.crop for p in made.state.former.predictions[1].patches)
    assert first.scale * max(first.shape) <= 0.16 * 1024
    assert second.scale * max(second.shape) <= 110
    assert dice(made.labels == 1, truth == 1) > 0.97
    assert (made.labels[:400, :500] == 0).all()


def test_crops_grow_with_the_object(engine):
    image, truth = disc((400, 420), (200, 210), 120)
    seeds = drawn(image.shape, (1, 200, slice(207, 213)), (0, 4, slice(4, 12)))
    made = result(engine, image, seeds)
    first = made.state.former.predictions[1].patches[0].crop
    assert first.scale * max(first.shape) >= 240
    assert dice(made.labels == 1, truth == 1) > 0.97
    assert np.array_equal(
        made.state.former.predictions[0].patches[0].crop.box[:2], (-10.0, 0.0)
    )  # the whole, unsquashed


def test_pixels_are_isotropic_to_the_network(engine):
    spacing = (3.0, 1.0)
    image, truth = disc((80, 240), (120, 120), 50, spacing)
    seeds = drawn(image.shape, (1, 40, slice(110, 130)), (0, 3, slice(20, 220)))
    made = result(engine, image, seeds)
    box = made.state.former.predictions[1].box
    assert abs((box[2] - box[0]) - (box[3] - box[1])) < 8  # round in what it saw
    assert dice(made.labels == 1, truth == 1) > 0.97


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 9])
def test_any_number_of_channels(engine, channels):
    image, scribbles, truth = two_discs((60, 80), channels)
    made = result(engine, image, scribbles.seeds, 3)
    assert (made.labels == truth).mean() > 0.95


@pytest.mark.parametrize("k", [0, 1])
def test_one_class_of_two_is_separated_from_the_rest(engine, k):
    image, truth = disc((96, 96), (48, 48), 20)
    made = result(engine, image, drawn(image.shape, (k, 48, slice(40, 56))))
    assert dice(made.labels == k, truth == 1) > 0.97
    assert any("one class was drawn" in note for note in made.notes)
    with pytest.raises(InputError, match="strokes of one class only"):
        engine.segment(image, Scribbles(drawn(image.shape, (1, 48, 48)), 3), made.state)


def test_each_object_of_a_class_is_predicted_by_its_own_strokes(engine):
    image, scribbles, truth = two_discs((60, 80))
    both = np.where(scribbles.seeds > 0, 1, -1)
    both[30, 20:23] = -1  # a gap: two pieces on the left disc, one on the right
    made = engine.segment(image, Scribbles(both.astype(np.int32), 2), engine.prepare(image, "cpu"))
    former = made.state.former
    assert [part.label for part in former.parts.values()] == [1, 1]
    assert sorted(former.parts) == [1, 2]
    assert len(former.pieces) == 3
    left, right = sorted((part.own for part in former.parts.values()), key=lambda own: np.argwhere(own)[0, 1])
    assert (left | right == (both == 1)).all()
    assert not left[:, 40:].any()
    assert not right[:, :40].any()
    assert ((made.labels == 1) == (truth > 0)).mean() > 0.97
    more = both.copy()
    more[32, 57:60] = 1  # on the right disc: the left one is not predicted again
    again = engine.segment(image, Scribbles(more.astype(np.int32), 2), made.state).state.former
    assert [(again.predictions[k] is former.predictions[k]) for k in (1, 2)] in ([True, False], [False, True])
    shared = engine.segment(image, Scribbles(both.astype(np.int32), 2), engine.prepare(image, "cpu"))
    assert np.array_equal(shared.probabilities, made.probabilities)


def test_strokes_of_classes_that_share_the_image_are_not_divided(engine):
    image, scribbles, _ = two_discs((60, 80))
    seeds = np.where(scribbles.seeds == 2, 1, scribbles.seeds)
    made = engine.segment(image, Scribbles(seeds, 2, (5, 6)), engine.prepare(image, "cpu"))
    assert sorted(made.state.former.parts) == [0, 1]
    divided = engine.segment(image, Scribbles(seeds, 2, (0, 6)), engine.prepare(image, "cpu"))
    assert sorted(divided.state.former.parts) == [0, 1, 2]


def test_what_fits_no_drawn_class_belongs_to_the_background(engine):
    image, scribbles, truth = two_discs((60, 80))
    seeds = np.where(scribbles.seeds == 0, -1, scribbles.seeds)
    made = engine.segment(image, Scribbles(seeds, 3, (0, 4, 7)), engine.prepare(image, "cpu"))
    assert (made.labels == truth).mean() > 0.97
    assert any("no stroke marks the background" in note for note in made.notes)
    shared = engine.segment(image, Scribbles(seeds, 3, (9, 4, 7)), made.state)  # an undrawn class that is no background
    assert not (shared.labels == 0).any()


@pytest.mark.parametrize("refine", ["edges", "none"])
def test_wrong_strokes_keep_their_class(weights, refine):
    image, _ = disc((96, 96), (48, 48), 20)
    seeds = drawn(image.shape, (1, 48, slice(40, 56)), (0, 40, slice(40, 56)), (1, slice(80, 82), slice(5, 30)))
    result(ScribbleNet(weights=weights, refine=refine), image, seeds)


def test_the_preview_comes_first_and_progress_ends_behind_it(engine):
    image, truth = disc((200, 200), (100, 100), 40)
    seeds = drawn(image.shape, (1, 100, slice(90, 110)), (0, 5, slice(5, 190)))
    reported = []
    made = result(engine, image, seeds, report=lambda f, preview=None: reported.append((f, preview)))
    previews = [p for _, p in reported if p is not None]
    assert len(previews) == 1
    assert "preview" in previews[0].notes
    assert "preview" not in made.notes
    assert dice(previews[0].labels == 1, truth == 1) > 0.95
    assert sum(f > 0.3 for f, _ in reported) >= 4  # chances to cancel between the looks
    again = result(engine, image, seeds, state=previews[0].state)
    assert (again.labels == made.labels).mean() > 0.97


def test_only_classes_with_a_new_stroke_in_their_crops_are_predicted_again(engine):
    image = Image.from_array(np.where(np.arange(600) % 200 < 100, 200.0, 20.0)[None].repeat(300, 0), (1, 1))
    strokes = [(k, slice(100, 104), slice(40 + 200 * k, 60 + 200 * k)) for k in range(3)]
    before = result(engine, image, drawn(image.shape, *strokes), 3)
    same = result(engine, image, drawn(image.shape, *strokes), 3, state=before.state)
    assert np.array_equal(same.probabilities, before.probabilities)
    more = drawn(image.shape, *strokes, (0, slice(110, 114), slice(40, 60)))
    after = result(engine, image, more, 3, state=before.state)
    old, new = before.state.former.predictions, after.state.former.predictions
    assert new[0] is not old[0]
    for k in (1, 2):
        seen = any(p.crop.box[1] < 60 and p.crop.box[0] < 114 for p in old[k].patches)
        assert (new[k] is not old[k]) == seen


def test_what_is_outside_all_crops_is_less_likely_than_anything_inside(engine):
    image, _ = disc((300, 900), (150, 100), 30)
    seeds = drawn(image.shape, (1, 150, slice(95, 105)), (0, 150, slice(200, 210)))
    made = result(engine, image, seeds)
    assert np.log(made.probabilities[1, :, 600:].max() + 1e-30) < -LIMIT / 2
    assert (made.labels[:, 600:] == 0).all()


def test_a_preview_predicts_the_drawn_class_only(weights, monkeypatch):
    image, scribbles, _ = two_discs()
    engine = ScribbleNet(weights=weights)
    before = engine.segment(image, scribbles, engine.prepare(image, "cpu"))
    seeds = scribbles.seeds.copy()
    rows, columns = np.nonzero(seeds == 1)
    seeds[rows[0] + 1, columns[0]] = 1
    requested, call = [], networks.ScribbleNetwork.__call__
    monkeypatch.setattr(
        networks.ScribbleNetwork, "__call__", lambda self, *given: requested.append(len(given[0])) or call(self, *given)
    )
    until_preview = []

    def report(fraction, preview=None):
        if preview is not None:
            until_preview.extend(requested)

    after = engine.segment(image, Scribbles(seeds, scribbles.n_classes), before.state, report)
    assert set(until_preview) == {1}
    assert len(requested) > len(until_preview)
    alone = engine.segment(image, Scribbles(seeds, scribbles.n_classes), engine.prepare(image, "cpu"))
    assert (after.labels == alone.labels).mean() > 0.99
