import numpy as np
import pytest
import torch
from numba import njit

from napari_scribseg.numerics.fused import density as fused
from napari_scribseg.numerics.fused.colour import colour_density, nearest_colour
from napari_scribseg.numerics.fused.density import exp_negative
from napari_scribseg.numerics.variational.reference import spatially_varying_density


@njit
def exp_all(values, out):
    for i in range(values.size):
        out[i] = exp_negative(values[i])


def test_fast_exponential_against_float64():
    values = np.concatenate([np.linspace(-87, 0, 500_001), -np.logspace(-12, 1.9, 1000)]).astype(np.float32)
    out = np.empty_like(values)
    exp_all(values, out)
    exact = np.exp(values.astype(np.float64))
    assert np.abs(out / exact - 1).max() < 6e-6
    assert np.abs(out / exact - 1)[values > -10].max() < 1.2e-6
    exp_all(np.full(3, -1e6, dtype=np.float32), out)
    assert (out[:3] < 1e-37).all()


def naive(image, seeds, rho, sigma, pixel):
    out = np.zeros(rho.shape)
    for k in range(len(rho)):
        points = np.argwhere(seeds == k)
        for y, x in np.ndindex(*seeds.shape):
            r = rho[k, y, x]
            total = 0.0
            for yj, xj in points:
                place = ((y - yj) * pixel[0]) ** 2 + ((x - xj) * pixel[1]) ** 2
                colour = ((image[:, y, x] - image[:, yj, xj]) ** 2).sum()
                total += np.exp(-place / (2 * r**2)) / (r * np.sqrt(2 * np.pi)) * np.exp(-colour / (2 * sigma**2))
            out[k, y, x] = total / max(len(points), 1)
    return out


def scene(shape=(9, 11), channels=2, labels=3, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.uniform(0, 30, (channels, *shape)).astype(np.float32)
    seeds = np.where(rng.random(shape) < 0.2, rng.integers(0, labels - 1, shape), -1).astype(np.int32)
    rho = rng.uniform(0.4, 8, (labels, *shape)).astype(np.float32)
    return image, seeds, rho


@pytest.mark.parametrize("pixel", [(1.0, 1.0), (2.5, 1.0)])
def test_reference_is_the_formula(pixel):
    image, seeds, rho = scene()
    tensors = (torch.from_numpy(a).double() for a in (image, rho))
    result = spatially_varying_density(next(tensors), torch.from_numpy(seeds), next(tensors), 5.0, pixel)
    np.testing.assert_allclose(
        result.numpy(), naive(image.astype(float), seeds, rho.astype(float), 5.0, pixel), rtol=1e-9
    )
    assert (result[2] == 0).all()  # the last label has no strokes


def test_infinite_width_is_a_plain_colour_density():
    image, seeds, rho = scene()
    result = spatially_varying_density(
        torch.from_numpy(image), torch.from_numpy(seeds), torch.full(rho.shape, torch.inf), 5.0
    )
    y, x = 4, 5
    colours = image[:, seeds == 1]
    expected = np.exp(-((colours - image[:, y, x][:, None]) ** 2).sum(0) / 50).mean()
    assert float(result[1, y, x]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (16, 16), (37, 70)])
@pytest.mark.parametrize(("channels", "sigma"), [(1, 1.3), (3, 5.0), (7, 20.0)])
def test_compiled_density_matches_the_reference(shape, channels, sigma):
    image, seeds, rho = scene(shape, channels)
    seeds[0, 0] = 0
    result = fused.spatially_varying_density(image, seeds, rho, sigma)
    expected = spatially_varying_density(
        torch.from_numpy(image).double(), torch.from_numpy(seeds), torch.from_numpy(rho).double(), sigma
    ).numpy()
    # what may be skipped: exp(-18) over the least width
    bound = np.exp(-fused.NEGLIGIBLE) / (rho * np.sqrt(2 * np.pi))
    assert (np.abs(result - expected) <= bound + 1e-5 * expected).all()


def test_samples_are_all_there_and_in_their_boxes():
    image, seeds, _ = scene((60, 50), 3)
    for label, (points, boxes, edges) in enumerate(fused.collect_samples(image, seeds, 3)):
        assert len(points) == (seeds == label).sum()
        places = {(int(y), int(x)) for y, x in points[:, :2]}
        assert places == {(int(y), int(x)) for y, x in np.argwhere(seeds == label)}
        for g in range(len(boxes)):
            group = points[edges[g] : edges[g + 1]]
            assert (group >= boxes[g, 0]).all()
            assert (group <= boxes[g, 1]).all()


@pytest.mark.parametrize(("channels", "tolerance"), [(1, 0.035), (2, 0.065), (3, 0.095), (4, 1e-4)])
@pytest.mark.parametrize("sigma", [3.0, 20.0])
def test_colour_density_matches_the_formula(channels, tolerance, sigma):
    rng = np.random.default_rng(0)
    image = rng.uniform(-20, 280, (channels, 30, 40)).astype(np.float32)
    seeds = np.where(rng.random((30, 40)) < 0.1, rng.integers(0, 2, (30, 40)), -1).astype(np.int32)
    density = colour_density(image, seeds, 3, sigma)
    for k in range(2):
        samples = image[:, seeds == k]
        distances = ((image[:, None] - samples[..., None, None]) ** 2).sum(0)
        expected = np.exp(-distances / (2 * sigma**2)).mean(0)
        np.testing.assert_allclose(density[k], expected, atol=tolerance * expected.max())
    assert (density[2] == 0).all()


def test_colour_density_of_a_constant_image_is_one():
    seeds = np.full((5, 6), -1, dtype=np.int32)
    seeds[1, 1], seeds[3, 3] = 0, 1
    density = colour_density(np.full((3, 5, 6), 9.0, dtype=np.float32), seeds, 2, 8.0)
    np.testing.assert_allclose(density, 1, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_nearest_colour(channels):
    rng = np.random.default_rng(0)
    image, colours = rng.normal(size=(channels, 31, 40)), rng.normal(size=(channels, 5))
    expected = np.sqrt(((image[..., None] - colours[:, None, None]) ** 2).sum(0)).min(-1)
    found = nearest_colour(image.astype(np.float32), colours.astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-6)
