import numpy as np
import pytest

from napari_scribseg.core import ClassTable
from napari_scribseg.picture import render_slice


@pytest.mark.parametrize("padding", [-3024, -32768, -3.4e38])
def test_padding_is_black_and_the_rest_keeps_its_contrast(padding):
    image = np.random.default_rng(0).normal(-200, 300, (60, 80))
    labels = np.zeros(image.shape, np.uint8)
    plain = render_slice(image, labels, ClassTable()).astype(int)
    image[:, 60:] = padding
    padded = render_slice(image, labels, ClassTable()).astype(int)
    assert np.abs(padded - plain)[:, :60].max() <= 12
    assert (padded[:, 60:] == 0).all()


def test_numbers_of_subnormal_size_have_a_contrast():
    image = np.linspace(0, 1e-310, 4800).reshape(60, 80)
    shown = render_slice(image, np.zeros(image.shape, np.uint8), ClassTable())
    assert np.ptp(shown) == 255
