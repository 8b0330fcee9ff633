"""What every engine does with numbers that few images have: padding, subnormal numbers, the largest of 32 bits."""

import numpy as np
import pytest

from napari_scribseg.core import Image, Scribbles, engine_names, get_engine
from napari_scribseg.engines.brs.card import ModelCard
from napari_scribseg.engines.brs.network import _normalised
from napari_scribseg.io.samples import BACKGROUND, ct_phantom
from napari_scribseg.nets.planes import three_planes

LARGEST = float(np.finfo(np.float32).max)


@pytest.fixture(scope="module")
def phantom():
    sample = ct_phantom()
    rows, columns = np.indices(sample.array.shape[1:])
    outside = ((rows - 96) / 95) ** 2 + ((columns - 128) / 127) ** 2 > 1
    return sample.array[16].astype(np.float32), sample.painted[16], sample.truth[16], outside


def dice(name, values, painted, truth):
    """Mean over the classes that are painted."""
    engine, scribbles = get_engine(name), Scribbles.from_labels(painted, background=BACKGROUND)
    image = Image.from_array(values, (1.0, 1.0))
    found = engine.segment(image, scribbles, engine.prepare(image))
    assert np.isfinite(found.probabilities).all()
    labels = np.asarray(scribbles.ids)[found.labels]
    shares = [
        2 * ((labels == i) & (truth == i)).sum() / ((labels == i).sum() + (truth == i).sum()) for i in (1, 2, 3, 4)
    ]
    return float(np.mean(shares))


@pytest.mark.parametrize("name", ["svcd", "scribble-net"])
def test_padding_outside_the_field_of_view_changes_nothing(phantom, name):
    values, painted, truth, outside = phantom
    plain = dice(name, values, painted, truth)
    assert plain > 0.9
    for value in (-3024, -32768, -LARGEST):
        assert dice(name, np.where(outside, np.float32(value), values), painted, truth) > plain - 0.01


@pytest.mark.parametrize("name", ["svcd", "scribble-net"])
@pytest.mark.parametrize("factor", [1e-42 / 2000, LARGEST / 2000])
def test_numbers_of_every_size_give_the_same_answer(phantom, name, factor):
    values, painted, truth, _ = phantom
    scaled = (np.clip(values, -1000, 1900).astype(np.float64) * factor).astype(np.float32)
    assert dice(name, scaled, painted, truth) > dice(name, values, painted, truth) - 0.02


@pytest.mark.parametrize("normalisation", ["percentiles", "mean-std"])
def test_networks_of_others_see_the_same_with_padding_and_with_numbers_of_any_size(phantom, normalisation):
    values, _, _, outside = phantom
    card = ModelCard(normalisation=normalisation, scale=(0.0, 1.0))
    plain = _normalised(values[np.newaxis], card)
    spread = np.ptp(plain)
    for value in (-3024, -32768, -LARGEST):
        padded = _normalised(np.where(outside, np.float32(value), values)[np.newaxis], card)
        assert np.abs(padded - plain)[:, ~outside].max() < 0.1 * spread
    for factor in (1e-40 / 2000, LARGEST / 2000):
        scaled = (values[np.newaxis].astype(np.float64) * factor).astype(np.float32)
        np.testing.assert_allclose(_normalised(scaled, card), plain, atol=0.01 * spread)
    assert (
        _normalised(np.full((1, 8, 8), 7.0, np.float32), card) == _normalised(np.zeros((1, 8, 8), np.float32), card)
    ).all()


def test_what_scribble_net_sees_is_the_same_with_padding(phantom):
    values, _, _, outside = phantom
    plain = three_planes(values[np.newaxis])
    for value in (-2000, -3024, -32768, -LARGEST):
        padded = three_planes(np.where(outside, np.float32(value), values)[np.newaxis])
        assert np.abs(padded - plain)[:, ~outside].max() < 0.05
        assert padded[:, outside].max() < -0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", engine_names())
@pytest.mark.parametrize("factor", [1e-42, 1e-38, LARGEST])
def test_every_engine_answers_with_finite_numbers(name, factor):
    rng = np.random.default_rng(0)
    values = rng.normal(-0.5, 0.05, (40, 48))
    values[10:30, 12:36] = rng.normal(0.5, 0.05, (20, 24))
    painted = np.zeros(values.shape, np.uint8)
    painted[12:28, 14:17], painted[2:5, 4:40] = 1, BACKGROUND
    if name == "coarse-to-fine":
        painted[:] = 0
        painted[9:31, 11], painted[9:31, 36], painted[9, 11:37], painted[30, 11:37] = 1, 1, 1, 1
    engine = get_engine(name)
    image = Image.from_array((np.clip(values, -1, 1) * factor).astype(np.float32), (1.0, 1.0))
    scribbles = Scribbles.from_labels(painted, background=BACKGROUND)
    found = engine.segment(image, scribbles, engine.prepare(image))
    assert np.isfinite(found.probabilities).all()
    object_ = np.asarray(scribbles.ids)[found.labels] == 1 if scribbles.n_classes > 1 else found.labels == 1
    truth = np.zeros(values.shape, bool)
    truth[10:30, 12:36] = True
    assert (object_ == truth).mean() > 0.85
