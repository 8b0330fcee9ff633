import numpy as np
import pytest

from napari_scribseg.numerics.lines import line_response


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2, np.pi / 2])
@pytest.mark.parametrize("value", [-10.0, 10.0])
def test_a_line_has_its_contrast_at_its_middle_whatever_its_direction(angle, value):
    rows, columns = np.mgrid[-30:31, -30:31]
    distance = np.abs(np.sin(angle) * rows + np.cos(angle) * columns)
    dark, bright = line_response((value * (distance <= 1.5)).astype(np.float32), 3.0)
    found, other = (dark, bright) if value < 0 else (bright, dark)
    assert 6 < found[30, 30] <= 10.01
    assert other[30, 30] < 0.01
    assert found[distance > 7].max() < 0.5


def test_an_edge_and_a_ramp_are_no_lines():
    columns = np.mgrid[:40, :50][1]
    for values in (100.0 * (columns > 25), 2.0 * columns):
        dark, bright = line_response(values.astype(np.float32), 3.0)
        inner = np.s_[:, 8:-8]
        assert max(dark[inner].max(), bright[inner].max()) < 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (200, 7)])
@pytest.mark.parametrize("width", [2.0, 15.2, 34.2])
def test_images_smaller_than_the_line(shape, width):
    dark, bright = line_response(np.random.default_rng(0).normal(0, 1, shape).astype(np.float32), width)
    assert dark.shape == bright.shape == shape
    assert dark.dtype == bright.dtype == np.float32
    assert np.isfinite(dark).all()
    assert min(dark.min(), bright.min()) >= 0
