import numpy as np
import pytest
from scipy import ndimage
from skimage.color import rgb2lab

from napari_scribseg.numerics.fused.filters import gaussian_gradient, rgb_to_lab, smooth


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (25, 1), (40, 33)])
@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.5])
def test_smoothing_and_gradient_match_scipy(shape, sigma):
    image = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype(np.float32)
    expected = np.stack([ndimage.gaussian_filter(channel, sigma) for channel in image])
    np.testing.assert_allclose(smooth(image, sigma), expected, atol=1e-3)
    gradient = np.sqrt(sum(ndimage.gaussian_gradient_magnitude(channel, sigma) ** 2 for channel in image))
    np.testing.assert_allclose(gaussian_gradient(image, sigma), gradient, atol=1e-3)


def test_coarse_rows_count_less():
    rows = np.arange(40, dtype=np.float32)[:, np.newaxis].repeat(30, axis=1)[np.newaxis]
    assert gaussian_gradient(rows, 1.0)[20, 15] == pytest.approx(1, rel=1e-3)
    assert gaussian_gradient(rows, 1.0, (4.0, 1.0))[20, 15] == pytest.approx(0.25, rel=0.05)


def test_lab_matches_scikit_image():
    picture = np.random.default_rng(0).integers(0, 256, (3, 50, 60)).astype(np.float32)
    expected = rgb2lab(picture.transpose(1, 2, 0) / 255).transpose(2, 0, 1)
    np.testing.assert_allclose(rgb_to_lab(picture), expected, atol=0.02)
