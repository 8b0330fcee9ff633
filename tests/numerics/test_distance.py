import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from skimage.graph import MCP_Geometric

from napari_scribseg.numerics.fused.distance import FAR, euclidean_distance, geodesic_distance


def strokes(shape, labels, seed=0):
    rng = np.random.default_rng(seed)
    seeds = np.full(shape, -1, dtype=np.int32)
    for k in range(labels):
        seeds[rng.integers(shape[0]), rng.integers(shape[1])] = k
    return seeds


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (37, 90)])
@pytest.mark.parametrize("pixel", [(1.0, 1.0), (3.0, 1.0), (1.0, 2.5)])
def test_euclidean_distance_matches_scipy(shape, pixel):
    seeds = strokes(shape, 3)
    distance = euclidean_distance(seeds, 4, pixel)
    for k in range(3):
        if (seeds == k).any():
            np.testing.assert_allclose(
                distance[k], distance_transform_edt(seeds != k, sampling=pixel), rtol=1e-5, atol=1e-4
            )
    assert (distance[3] == FAR).all()


@pytest.mark.parametrize("pixel", [(1.0, 1.0), (2.0, 1.0)])
@pytest.mark.parametrize("shape", [(1, 30), (25, 1), (45, 60)])
def test_geodesic_distance_matches_shortest_paths(shape, pixel):
    seeds = strokes(shape, 2)
    cost = (1 + 30 * np.random.default_rng(1).random(shape) ** 3).astype(np.float32)
    distance = geodesic_distance(seeds, 3, cost, pixel, tolerance=0.0, max_scans=100)
    for k in range(2):
        if (seeds == k).any():
            paths = MCP_Geometric(cost, fully_connected=True, sampling=pixel)
            expected = paths.find_costs(np.argwhere(seeds == k))[0]
            np.testing.assert_allclose(distance[k], expected, rtol=1e-4, atol=1e-4)
    assert (distance[2] == FAR).all()


def test_geodesic_distance_goes_around_a_wall():
    cost = np.ones((21, 21), dtype=np.float32)
    cost[:18, 10] = 1e4
    seeds = np.full(cost.shape, -1, dtype=np.int32)
    seeds[2, 2] = 0
    distance = geodesic_distance(seeds, 1, cost, tolerance=0.0)
    assert distance[0, 2, 18] > 2 * np.hypot(0, 16)
    assert distance[0, 2, 8] == pytest.approx(6)


def test_geodesic_distance_from_former_bounds_is_that_from_nothing():
    rng = np.random.default_rng(3)
    cost = (1 + 20 * rng.random((50, 40))).astype(np.float32)
    before = strokes(cost.shape, 2)
    former = geodesic_distance(before, 2, cost, tolerance=0.0, max_scans=100)
    kept = former.copy()
    more = before.copy()
    more[20:24, 5:30] = 1
    warm = geodesic_distance(more, 2, cost, tolerance=0.0, max_scans=100, start=former)
    cold = geodesic_distance(more, 2, cost, tolerance=0.0, max_scans=100)
    np.testing.assert_array_equal(warm, cold)
    np.testing.assert_array_equal(former, kept)
