"""What every engine does with numbers that few images have: padding, subnormal numbers, the largest of 32 bits."""

import numpy as np
import pytest

from napari_scribseg.core import Image, Scribbles, get_engine
from napari_scribseg.engines.brs.card import ModelCard
from napari_scribseg.engines.brs.network import normalised
from napari_scribseg.engines.single_image.pipeline import input_channels
from napari_scribseg.io.sample_data import BACKGROUND, ct_phantom
from napari_scribseg.prompting.channels import three_channels

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
def test_numbers_of_every_size_give_the_same_result(phantom, name, factor):
    values, painted, truth, _ = phantom
    scaled = (np.clip(values, -1000, 1900).astype(np.float64) * factor).astype(np.float32)
    assert dice(name, scaled, painted, truth) > dice(name, values, painted, truth) - 0.02


@pytest.mark.parametrize("normalisation", ["percentiles", "mean-std"])
def test_networks_of_others_see_the_same_with_padding_and_with_numbers_of_any_size(phantom, normalisation):
    values, _, _, outside = phantom
    card = ModelCard(normalisation=normalisation, scale=(0.0, 1.0))
    plain = normalised(values[np.newaxis], card)
    spread = np.ptp(plain)
    for value in (-3024, -32768, -LARGEST):
        padded = normalised(np.where(outside, np.float32(value), values)[np.newaxis], card)
        assert np.abs(padded - plain)[:, ~outside].max() < 0.1 * spread
    for factor in (1e-40 / 2000, LARGEST / 2000):
        scaled = (values[np.newaxis].astype(np.float64) * factor).astype(np.float32)
        np.testing.assert_allclose(normalised(scaled, card), plain, atol=0.01 * spread)
    assert (
        normalised(np.full((1, 8, 8), 7.0, np.float32), card) == normalised(np.zeros((1, 8, 8), np.float32), card)
    ).all()


def test_what_scribble_net_sees_is_the_same_with_padding(phantom):
    values, _, _, outside = phantom
    plain = three_channels(values[np.newaxis])
    for value in (-2000, -3024, -32768, -LARGEST):
        padded = three_channels(np.where(outside, np.float32(value), values)[np.newaxis])
        assert np.abs(padded - plain)[:, ~outside].max() < 0.05
        assert padded[:, outside].max() < -0.9


@pytest.mark.parametrize("factor", [1e-40 / 2000, LARGEST / 2000])
def test_what_fitted_networks_see_is_the_same_whatever_the_size_of_the_numbers(phantom, factor):
    values = phantom[0][np.newaxis]
    scaled = (values.astype(np.float64) * factor).astype(np.float32)
    seen, plain = (
        input_channels(Image(one, (1.0, 1.0)), "colour+position", "scribble-net", "cpu")[0] for one in (scaled, values)
    )
    np.testing.assert_allclose(seen, plain, atol=0.01)
    np.testing.assert_allclose(three_channels(scaled), three_channels(values), atol=0.02)
