import numpy as np
import pytest

from napari_scribseg.core.padding import measured_values, without_padding

LARGEST = np.finfo(np.float32).max


def scan(seed=0, shape=(80, 90)):
    """Air and tissues, and a round field of view."""
    values = np.random.default_rng(seed).normal(-950, 20, shape)
    values[20:60, 20:60] = np.random.default_rng(seed + 1).normal(60, 30, (40, 40))
    values[30:40, 30:40] = 900
    rows, columns = np.indices(shape)
    return values.astype(np.float32), ((rows - 40) / 41) ** 2 + ((columns - 45) / 46) ** 2 > 1


@pytest.mark.parametrize("value", [-2000, -2048, -3024, -9999, -32768, -(2.0**31), -LARGEST])
def test_padding_becomes_as_dark_as_the_darkest(value):
    values, outside = scan()
    padded = np.where(outside, np.float32(value), values)
    found = without_padding(padded)
    np.testing.assert_array_equal(found[~outside], values[~outside])
    assert (found[outside] == np.float32(np.percentile(values[~outside], 0.5))).all()


def test_missing_values_of_32_bits_above_become_as_bright_as_the_brightest():
    values, outside = scan()
    found = without_padding(np.where(outside, np.float32(LARGEST), values))
    np.testing.assert_array_equal(found[~outside], values[~outside])
    assert found[outside].max() <= 900


def test_two_kinds_of_padding_and_edges_between():
    values, outside = scan()
    padded = np.where(outside, np.float32(-32768), values)
    padded[:4], padded[4] = -3024, -20000  # a resampled edge
    assert without_padding(padded).min() > -1100


@pytest.mark.parametrize(
    "change",
    [
        lambda v, o: v,
        lambda v, o: np.where(o, -1024, v),
        lambda v, o: np.where(o, 0, v + 1500),
        lambda v, o: np.where(o, -8, v / 1000),
        lambda v, o: np.where(o, 65535, v + 1500),
    ],
)
def test_what_is_no_padding_stays(change):
    """Air that was cut, a black background, a standardised image, a saturated detector."""
    values = change(*scan()).astype(np.float32)
    assert without_padding(values) is values


def test_two_values_are_an_image():
    values = np.where(np.indices((20, 20))[0] > 10, np.float32(-5000), np.float32(100))
    assert without_padding(values) is values


def test_the_values_beside_padding():
    values, outside = scan()
    volume = np.stack([np.where(outside, -32768, values).astype(np.int16)] * 5)
    volume[:, :4] = -3024
    measured = measured_values(volume)
    whole = values.astype(np.int16)[4:]
    assert (measured.min(), measured.max()) == (whole[~outside[4:]].min(), 900)
    assert len(measured_values(np.stack([values] * 5))) == 5 * values.size
    assert not len(measured_values(np.full((3, 4), np.nan)))
