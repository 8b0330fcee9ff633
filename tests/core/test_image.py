import numpy as np
import pytest

from napari_scribseg import Image, InputError


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64, bool])
def test_from_array_keeps_values_of_any_real_type(dtype):
    array = (np.arange(12).reshape(3, 4) % 2 if dtype is bool else np.arange(12).reshape(3, 4)).astype(dtype)
    image = Image.from_array(array, (1.5, 0.5))
    assert image.data.dtype == np.float32
    assert image.data.shape == (1, 3, 4)
    np.testing.assert_array_equal(image.data[0], array)
    assert image.spacing == (1.5, 0.5)


def test_last_axis_becomes_channels():
    array = np.random.default_rng(0).integers(0, 255, (5, 6, 3), dtype=np.uint8)
    image = Image.from_array(array, (1, 1))
    assert (image.n_channels, image.shape) == (3, (5, 6))
    np.testing.assert_array_equal(image.data[2], array[..., 2])


@pytest.mark.parametrize(
    ("array", "spacing", "words"),
    [
        (np.zeros((4, 4, 4, 4)), (1, 1), "expected 2 axes"),
        (np.zeros((4, 0)), (1, 1), "at least one element"),
        (np.full((3, 3), np.nan), (1, 1), "9 of the image's 9 values are NaN"),
        (np.full((3, 3), np.inf), (1, 1), "finite values are expected"),
        (np.full((3, 3), 1e300), (1, 1), "finite values are expected"),
        (np.zeros((3, 3), complex), (1, 1), "real numbers are expected"),
        (np.zeros((3, 3)), (1, 0), "positive finite millimetres"),
        (np.zeros((3, 3)), (1, np.nan), "positive finite millimetres"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_bad_arrays_are_named(array, spacing, words):
    with pytest.raises(InputError, match=words) as error:
        Image.from_array(array, spacing)
    assert "\n" not in str(error.value)


def test_affine_must_fit_the_axes():
    assert Image.from_array(np.zeros((3, 3)), (1, 1), np.eye(3)).affine.shape == (3, 3)
    with pytest.raises(InputError, match="affine has shape"):
        Image.from_array(np.zeros((3, 3)), (1, 1), np.eye(5))


def test_direct_construction_is_checked():
    with pytest.raises(InputError, match="float32 is expected"):
        Image(np.zeros((1, 3, 3)), (1, 1))
    with pytest.raises(InputError, match="channel axis"):
        Image(np.zeros((3, 3), np.float32), (1, 1))
