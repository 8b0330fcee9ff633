import numpy as np
import pytest

from napari_scribseg.core.windows import HOUNSFIELD_WINDOWS, DisplayWindow, histogram_window, is_hounsfield


def body(shape=(12, 60, 60), seed=0):
    """Air, fat, soft tissue and bone in Hounsfield units."""
    rng = np.random.default_rng(seed)
    values = rng.normal(-1000, 10, shape)
    values[:, 10:50, 10:50] = rng.normal(-100, 15, (shape[0], 40, 40))
    values[:, 15:45, 15:45] = rng.normal(50, 20, (shape[0], 30, 30))
    values[:, 25:30, 25:30] = rng.normal(700, 100, (shape[0], 5, 5))
    return values


def test_a_window_by_its_centre_and_width():
    assert DisplayWindow.of("abdomen", 40, 400) == DisplayWindow("abdomen", -160, 240)
    assert {w.name for w in HOUNSFIELD_WINDOWS} == {"soft tissue", "lung", "bone", "brain", "liver"}
    assert HOUNSFIELD_WINDOWS[0] == DisplayWindow("soft tissue", -160, 240)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.astype(np.int16),
        lambda v: v.astype(np.float32),
        lambda v: np.maximum(v, -1000).astype(np.int32),
        lambda v: np.where(np.indices(v.shape)[2] > 50, -3024, v).astype(np.int16),
    ],
    ids=["16 bits", "float", "cut at -1000", "padded"],
)
def test_values_with_a_mode_of_air_are_hounsfield_units(change):
    assert is_hounsfield(change(body()))


@pytest.mark.parametrize(
    "values",
    [
        np.maximum(body() + 1024, 0).astype(np.uint16),
        np.random.default_rng(0).integers(-4096, 4096, (5, 40, 40)).astype(np.int16),
        np.abs(np.random.default_rng(0).normal(300, 200, (5, 40, 40))).astype(np.int16),
        np.random.default_rng(0).integers(-150, 300, (5, 40, 40)).astype(np.int16),
        np.where(np.indices((5, 40, 40))[2] > 20, -1000, -900).astype(np.int16),
        np.zeros((4, 4), bool),
        np.full((3, 4), np.nan),
    ],
    ids=["counts", "phase", "magnitude", "an organ cut out", "two values", "mask", "nothing"],
)
def test_other_values_are_not(values):
    assert not is_hounsfield(values)


def test_the_middle_of_the_histogram_leaves_out_tails_and_padding():
    rng = np.random.default_rng(0)
    values = rng.normal(500, 100, (9, 50, 50))
    values[:, 0, :5] = 30000
    window = histogram_window(values)
    assert 200 < window.low < 300
    assert 700 < window.high < 850
    values[:, :20] = -32768
    padded = histogram_window(values.astype(np.int16))
    assert (padded.low, padded.high) == pytest.approx((window.low, window.high), abs=40)


def test_a_few_bright_voxels_on_an_even_ground_are_shown_whole():
    values = np.zeros((5, 40, 40), np.uint16)
    values[2, 10, 10] = 900
    assert histogram_window(values) == DisplayWindow("automatic", 0, 900)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((4, 5), np.int16),
        np.full((4, 5), np.inf),
        np.zeros((4, 5), bool),
        np.arange(256, dtype=np.uint8).reshape(16, 16),
    ],
    ids=["constant", "infinite", "mask", "an 8-bit picture"],
)
def test_what_has_no_middle_is_left_to_the_viewer(values):
    assert histogram_window(values) is None
