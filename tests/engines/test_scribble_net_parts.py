import numpy as np
import pytest
import torch

from napari_scribseg.core import Image, InputError, Scribbles
from napari_scribseg.engines.scribble_net import ScribbleNet, crop_passes, pipeline
from napari_scribseg.engines.scribble_net.crop_passes import PreparedImage
from napari_scribseg.engines.scribble_net.stroke_parts import whole_class
from napari_scribseg.numerics.variational.multiscale import open_backend
from napari_scribseg.numerics.variational.refine import boundary_weights, refine
from napari_scribseg.prompting import network_input, predictions
from napari_scribseg.prompting.channels import three_channels
from napari_scribseg.prompting.crops import (
    Crop,
    CropLogits,
    crop_image,
    crop_strokes,
    first_box,
    fit_crops,
    image_levels,
    paste,
)
from napari_scribseg.prompting.predictions import UNCLAIMED, UNSEEN, ClassLogits, Strokes


class Recorder:
    """Stands for a network: keeps its inputs, and returns what it is set to."""

    device = torch.device("cpu")
    recalls = True

    def __init__(self, states):
        self.states, self.given = states, []

    def __call__(self, image, stroke_map, previous):
        self.given.append((image, stroke_map, previous))
        return self.states(image, stroke_map)


def scene_of(channels, network, pixel=(1.0, 1.0)):
    channels = torch.as_tensor(channels, dtype=torch.float32)
    return PreparedImage(pixel, tuple(channels.shape[1:]), image_levels(channels, pixel), network)


def seeds_of(shape, *strokes):
    seeds = np.full(shape, -1, dtype=np.int32)
    for k, rows, columns in strokes:
        seeds[rows, columns] = k
    return seeds


def flat_prediction(crop, logit, box=None):
    return ClassLogits((CropLogits(crop, torch.full(crop.shape, float(logit))),), box or crop.box)


# network_input


def test_network_input_of_four_and_of_six_channels():
    image, stroke_map = torch.rand(2, 3, 4, 5), torch.tensor([1, 0, -1, 0, 1]).expand(2, 4, 5)
    four = network_input(image, stroke_map, None, 4)
    assert torch.equal(four[:, :3], image)
    assert torch.equal(four[:, 3], stroke_map.float())
    previous = torch.rand(2, 4, 5)
    six = network_input(image, stroke_map, previous, 6)
    assert torch.equal(six[:, 3], (stroke_map > 0).float())
    assert torch.equal(six[:, 4], (stroke_map < 0).float())
    assert torch.equal(six[:, 5], previous)
    assert (network_input(image, stroke_map, None, 6)[:, 5] == 0).all()
    with pytest.raises(InputError, match="7 input channels cannot be given strokes"):
        network_input(image, stroke_map, None, 7)


# channels


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("unit", [1e-4, 1.0, 3000.0])
def test_channels_have_three_channels_from_minus_1_to_1_in_any_unit(n_channels, unit):
    values = np.random.default_rng(0).normal(0, 1, (n_channels, 40, 50))
    channels = three_channels((values * unit - 7 * unit).astype(np.float32))
    assert channels.shape == (3, 40, 50)
    assert channels.dtype == np.float32
    assert channels.min() == -1
    assert channels.max() == 1
    np.testing.assert_allclose(channels, three_channels((values * 2).astype(np.float32)), atol=1e-2)


def test_channels_of_few_channels():
    rng = np.random.default_rng(0)
    one = rng.normal(0, 1, (1, 30, 30)).astype(np.float32)
    assert (three_channels(one)[0] == three_channels(one)[2]).all()
    two = np.concatenate((one, rng.normal(0, 9, one.shape).astype(np.float32)))
    channels = three_channels(two)
    np.testing.assert_allclose(channels[2], (channels[0] + channels[1]) / 2, atol=1e-6)
    picture = np.rint(rng.uniform(0, 255, (3, 30, 30))).astype(np.float32)
    picture[1] /= 5
    picture = np.rint(picture)
    channels = three_channels(picture)
    assert channels[1].max() < -0.5  # a picture keeps its colours
    with_alpha = np.concatenate((picture, np.full((1, 30, 30), 255, dtype=np.float32)))
    assert np.array_equal(three_channels(with_alpha), channels)


def test_channels_of_many_channels_keep_what_varies():
    pattern = np.sin(np.arange(50) / 3)[None].repeat(40, 0)
    data = np.random.default_rng(0).normal(0, 0.05, (8, 40, 50)) + pattern
    channels = three_channels(data.astype(np.float32))
    assert np.corrcoef(channels[0].ravel(), pattern.ravel())[0, 1] > 0.99


def test_channels_of_constant_images_and_of_small_objects_on_an_even_ground():
    assert (three_channels(np.full((1, 9, 9), 5, dtype=np.float32)) == -1).all()
    data = np.random.default_rng(0).normal(0, 1, (1, 200, 200)).astype(np.float32)
    data[:, 100:108, 100:108] += 100  # less than 0.5 per cent of the pixels
    channels = three_channels(data)
    assert np.ptp(channels[0, :90]) < 0.2


# crops


def test_views_are_square_inside_the_image_and_shortened_where_all_have_room():
    whole, small = fit_crops([(0, 0, 100, 400), (90, 10, 95, 20)], 128, (100.0, 400.0))
    assert whole.shape == small.shape
    assert whole.scale == 400 / 128
    assert small.scale == 10 / 128
    assert small.top >= 0
    assert small.box[2] <= 100
    (alone,) = fit_crops([(0, 0, 100, 400)], 128, (100.0, 400.0))
    assert alone.shape == (32, 128)
    assert alone.box == (0.0, 0.0, 100.0, 400.0)


@pytest.mark.parametrize("pixel", [(1.0, 1.0), (3.0, 1.0), (1.0, 2.5)])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.3, 4.0])
def test_a_view_shows_a_ramp_where_it_lies_and_paints_it_back(pixel, scale):
    shape = (90, 120)
    at = [(np.arange(n) + 0.5) * p for n, p in zip(shape, pixel, strict=True)]
    ramp = torch.from_numpy((at[0][:, None] + 2 * at[1][None]).astype(np.float32))
    levels = image_levels(ramp[None].repeat(3, 1, 1), pixel)
    crop = Crop(8.0, 12.0, scale, (16, 24))
    seen = crop_image(levels, crop)[1]
    expected = crop.centres(0)[:, None] + 2 * crop.centres(1)[None]
    np.testing.assert_allclose(seen.numpy(), expected, atol=0.05 * scale + 0.05)
    field = torch.full(shape, torch.nan)
    rows, columns = paste(field, torch.from_numpy(expected.astype(np.float32)), crop, pixel)
    assert torch.isfinite(field).sum() == (rows.stop - rows.start) * (columns.stop - columns.start)
    inner = field[rows.start + 2 : rows.stop - 2, columns.start + 2 : columns.stop - 2]
    if scale <= 1:
        truth = ramp[rows.start + 2 : rows.stop - 2, columns.start + 2 : columns.stop - 2]
        torch.testing.assert_close(inner, truth, atol=0.2, rtol=0)


def test_a_coarse_view_averages():
    checks = torch.from_numpy((np.indices((64, 64)).sum(0) % 2).astype(np.float32))
    seen = crop_image(image_levels(checks[None].repeat(3, 1, 1), (1.0, 1.0)), Crop(0, 0, 4.0, (16, 16)))
    torch.testing.assert_close(seen, torch.full((3, 16, 16), 0.5))


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0, 9.0])
def test_no_stroke_is_lost_and_others_are_negative(scale):
    seeds = seeds_of((90, 90), (0, 10, 10), (1, 40, slice(20, 60)), (2, slice(70, 72), 80))
    painted = np.nonzero(seeds >= 0)
    size = int(np.ceil(90 / scale))
    crop = Crop(0.0, 0.0, scale, (size, size))
    signals = [crop_strokes(seeds, painted, k, crop, (1.0, 1.0)) for k in range(3)]
    for k, drawn in enumerate(signals):
        assert (drawn == 1).any()
        assert np.array_equal(drawn != 0, signals[0] != 0)
        assert (drawn[signals[(k + 1) % 3] == 1] == -1).all()
    beyond = crop_strokes(seeds, painted, 0, Crop(-50.0, 95.0, scale, (20, 20)), (1.0, 1.0))
    assert not beyond.any()


# predictions


def test_a_crop_grows_until_the_object_fits_and_others_see_the_strokes():
    shape = (300, 300)
    channels = np.full((3, *shape), -1.0)
    channels[:, 60:240, 100:200] = 1.0
    network = Recorder(lambda image, stroke_map: 6 * image[:, 0])
    scene = scene_of(channels, network)
    strokes = Strokes.of(seeds_of(shape, (0, 150, slice(145, 155)), (1, 150, slice(90, 95))))
    found = crop_passes.first_pass(scene, {0: whole_class(strokes, 0)}, {}, ())[0]
    top, left, bottom, right = found.patches[0].crop.box
    assert top < 60
    assert bottom > 240
    assert left < 100
    assert right > 200
    np.testing.assert_allclose(found.box, (60, 100, 240, 200), atol=4)
    assert len(network.given) > 1
    assert all((stroke_map == 1).any() for _, stroke_map, _ in network.given)
    assert (network.given[-1][1] == -1).any()
    assert network.given[0][0].shape == (1, 3, 128, 128)


def test_the_first_prediction_is_an_input_of_the_second_pass():
    shape = (200, 200)
    network = Recorder(lambda image, stroke_map: torch.where(stroke_map == 1, 8.0, -8.0))
    scene = scene_of(np.zeros((3, *shape)), network)
    strokes = Strokes.of(seeds_of(shape, (0, slice(90, 110), slice(90, 110)), (1, 5, 5)))
    parts = {k: whole_class(strokes, k) for k in (0, 1)}
    first = crop_passes.first_pass(scene, parts, {}, (1,))
    assert network.given[0][2] is None
    second = crop_passes.second_pass(scene, {0: parts[0]}, first, False)
    previous = network.given[-1][2]
    assert previous.max() > 0.99
    assert previous.min() < 0.01
    crop = second[0].patches[-1].crop
    assert crop.scale < first[0].patches[0].crop.scale
    assert crop.box[0] < 90
    assert crop.box[2] > 110


def test_of_two_predictions_the_finer_one_counts_more():
    scene = scene_of(np.zeros((3, 100, 100)), Recorder(None))
    coarse, fine = Crop(0, 0, 4.0, (25, 25)), Crop(40, 40, 1.0, (20, 20))
    fields = predictions.merge_logits({0: flat_prediction(coarse, 8), 1: flat_prediction(fine, 3)}, scene, None)
    assert fields[0, 50, 50] == 2
    assert fields[1, 50, 50] == 3
    assert fields[0, 5, 5] == 8
    assert UNSEEN - 1 < fields[1, 5, 5] < UNSEEN
    assert fields[1, 35, 50] > fields[1, 5, 5]  # the farther away, the less


def test_what_no_class_claims_belongs_to_the_widest():
    scene = scene_of(np.zeros((3, 100, 100)), Recorder(None))
    crop = Crop(0, 0, 1.0, (100, 100))
    message = {0: flat_prediction(crop, -9), 1: flat_prediction(Crop(0, 0, 1.0, (20, 20)), -3)}
    fields = predictions.merge_logits(message, scene, 0)
    assert (fields[0] == UNCLAIMED).all()
    assert (fields.argmax(0) == 0).all()


def test_the_widest_class_is_the_background_or_the_one_that_reaches_farthest():
    scene = scene_of(np.zeros((3, 50, 50)), Recorder(None))
    strokes = Strokes.of(seeds_of((50, 50), (0, 3, slice(3, 6)), (1, slice(10, 40), 9)))
    assert predictions.widest(strokes, [0, 1], (0, 7), scene) == 0
    assert predictions.widest(strokes, [0, 1], (5, 7), scene) == 1
    assert predictions.widest(strokes, [1], (0, 7), scene) == 1


# refine and mix


def test_boundaries_move_to_edges_and_strokes_stay():
    truth = np.zeros((60, 60), dtype=bool)
    truth[20:40, 20:40] = True
    channels = np.where(truth, 1.0, -1.0)[None].repeat(3, 0).astype(np.float32)
    distance = np.maximum(np.abs(np.arange(60) - 29.5)[:, None], np.abs(np.arange(60) - 29.5)[None])
    blurred = torch.sigmoid(torch.from_numpy((11.4 - distance).astype(np.float32)))  # 1.4 pixels too large
    seeds = seeds_of((60, 60), (0, 30, 30))
    reported = []
    p = torch.stack((1 - blurred, blurred))
    refined = refine(p, seeds, boundary_weights(channels, (1.0, 1.0)), (1.0, 1.0), reported.append)
    before, after = ((q[1] > 0.5).numpy() for q in (p, refined))
    assert (after != truth).sum() < 0.5 * (before != truth).sum()
    assert refined[0, 30, 30] > 0.5  # a stroke against all evidence
    torch.testing.assert_close(refined.sum(0), torch.ones(60, 60))
    assert reported == sorted(reported)
    assert torch.equal(refined[:, 0], p[:, 0])  # far away nothing is touched


def test_refining_on_the_host_and_on_a_device_agree():
    rng = np.random.default_rng(0)
    channels = rng.uniform(-1, 1, (3, 40, 50)).astype(np.float32)
    weights = boundary_weights(channels, (1.0, 2.0))
    p = torch.softmax(torch.from_numpy(rng.normal(0, 2, (3, 40, 50)).astype(np.float32)), 0)
    cost = -torch.log(p)
    from napari_scribseg.numerics.variational import refine as module

    host = module.relax_on_host(cost, p, weights, (1.0, 2.0), lambda share: None)
    device = module.relax_on_device(cost, p, weights, (1.0, 2.0), lambda share: None)
    assert (host.argmax(0) == device.argmax(0)).float().mean() > 0.99


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_colours_near_the_strokes_overrule_a_network_that_does_not_know(share):
    truth = np.zeros((40, 60), dtype=int)
    truth[:, 30:] = 1
    image = Image(np.where(truth == 1, 200.0, 50.0)[None].astype(np.float32), (1.0, 1.0))
    seeds = seeds_of(truth.shape, (0, 20, slice(3, 9)), (1, 20, slice(50, 57)))
    even, reported = torch.full((2, 40, 60), 0.5), []
    backend = open_backend(pipeline.ENERGY, image, "cpu")
    mixed, terms = pipeline.mix(even, Scribbles(seeds, 2), backend, (), share, reported.append)
    assert (mixed.argmax(0).numpy() == truth).all()
    torch.testing.assert_close(mixed.sum(0), torch.ones(40, 60))
    assert reported == sorted(reported)
    again, _ = pipeline.mix(even, Scribbles(seeds, 2), backend, terms, share, reported.append)
    torch.testing.assert_close(again, mixed)


def test_a_network_that_knows_decides_where_colours_do_not():
    rng = np.random.default_rng(0)
    image = Image(rng.normal(100, 10, (1, 40, 60)).astype(np.float32), (1.0, 1.0))
    seeds = seeds_of((40, 60), (0, 20, slice(3, 9)), (1, 20, slice(50, 57)))
    sure = torch.full((2, 40, 60), 1e-4)
    sure[1, :, 20:], sure[0, :, :20] = 1 - 1e-4, 1 - 1e-4  # not in the middle between the strokes, where distances meet
    backend = open_backend(pipeline.ENERGY, image, "cpu")
    mixed, _ = pipeline.mix(sure, Scribbles(seeds, 2), backend, (), 0.2, lambda share: None)
    assert (mixed.argmax(0) == sure.argmax(0)).float().mean() > 0.97


# dots


def test_dots_are_counted_and_strokes_are_none():
    strokes = seeds_of(
        (60, 80), (1, slice(10, 13), slice(10, 13)), (1, slice(40, 43), slice(60, 63)), (0, 50, slice(5, 25))
    )
    strokes[30, 30], strokes[31, 31] = 2, 2
    strokes = Strokes.of(strokes)
    assert strokes.n_dots(1, (1.0, 1.0)) == 2
    assert strokes.n_dots(0, (1.0, 1.0)) is None
    assert strokes.n_dots(2, (1.0, 1.0)) == 1
    assert strokes.n_dots(1, (4.0, 1.0)) is None  # 12 x 3 mm


def test_a_dot_is_seen_in_a_wide_view_and_a_stroke_in_one_of_its_size():
    extent = (400.0, 600.0)
    dot, line = (
        first_box((100.0, 200.0, 104.0, 204.0), True, None, extent),
        first_box((100.0, 200.0, 104.0, 240.0), False, None, extent),
    )
    assert dot == (27.0, 127.0, 177.0, 277.0)
    assert line == (42.0, 160.0, 162.0, 280.0)
    valid = first_box((100.0, 200.0, 104.0, 204.0), True, (90.0, 190.0, 170.0, 230.0), extent)
    assert valid[2] - valid[0] == 120.0


def test_colours_count_less_where_strokes_are_short_or_the_background_has_few_dots(monkeypatch):
    """The share of the variational energy."""
    shares = []

    def recorded(probabilities, scribbles, backend, terms, share, progress):
        shares.append(share)
        return probabilities, terms

    monkeypatch.setattr(pipeline, "mix", recorded)
    image = Image.from_array(np.random.default_rng(0).random((64, 64), np.float32), (1.0, 1.0))
    engine = ScribbleNet(hybrid=0.6)
    state = engine.prepare(image, "cpu")
    hatches = [(0, row, slice(5, 59)) for row in range(5, 35, 5)]
    dots = [(0, slice(5, 8), slice(5 + 9 * k, 8 + 9 * k)) for k in range(3)]
    for background in (hatches, hatches[:1], [(0, 5, slice(5, 15))], dots):
        seeds = seeds_of((64, 64), (1, slice(40, 43), slice(40, 43)), *background)
        engine.segment(image, Scribbles(seeds, 2), state)
    long, middle, short, dotted = shares
    lengths = np.array([6 * 54 + 2, 54 + 2, 10 + 2]) / np.hypot(64, 64)
    np.testing.assert_allclose((long, middle, short), 0.6 * lengths**3 / (lengths**3 + 0.6**3), rtol=1e-6)
    assert long > 0.59
    assert 0.2 < middle < 0.4
    assert max(short, dotted) < 0.01
