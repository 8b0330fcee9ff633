import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from napari_scribseg.bench.metrics import calibration_error, error_auc, score, seed_accuracy
from napari_scribseg.numerics.comparison import boundary_distances, overlap


def square(shape, rows, columns):
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


def brute_force(found, true, spacing):
    """Every boundary voxel (with an 8-neighbour outside) against every other."""
    ends = [
        np.argwhere(m & ~binary_erosion(m, np.ones((3,) * m.ndim), border_value=0)) * spacing for m in (found, true)
    ]
    table = cdist(*ends)
    distances = np.concatenate([table.min(axis=1), table.min(axis=0)])
    return distances.max(), np.percentile(distances, 95), distances.mean()


def test_overlap_by_hand():
    found = square((10, 10), slice(0, 4), slice(0, 4))
    true = square((10, 10), slice(2, 6), slice(0, 4))
    assert overlap(found, true) == pytest.approx((2 * 8 / 32, 8 / 24))
    assert overlap(found, found) == (1, 1)
    assert overlap(found, ~found) == (0, 0)


def test_overlap_of_empty_masks():
    empty, full = np.zeros((4, 4), dtype=bool), np.ones((4, 4), dtype=bool)
    assert overlap(empty, empty) == (1, 1)
    assert overlap(empty, full) == overlap(full, empty) == (0, 0)


def test_distances_by_hand():
    a, b = np.zeros((1, 20), dtype=bool), np.zeros((1, 20), dtype=bool)
    a[0, 3], b[0, 11] = True, True
    assert boundary_distances(a, b, (1.0, 1.0)) == pytest.approx((8, 8, 8))
    assert boundary_distances(a, b, (9.0, 0.25)) == pytest.approx((2, 2, 2))
    assert boundary_distances(a, b | a, (1.0, 1.0)) == pytest.approx((8, np.percentile([0, 0, 8], 95), 8 / 3))


def test_shifted_squares_in_millimetres():
    true = square((32, 32), slice(8, 20), slice(8, 20))
    down, right = np.roll(true, 3, axis=0), np.roll(true, 3, axis=1)
    assert boundary_distances(down, true, (2.0, 0.5))[0] == pytest.approx(6)
    assert boundary_distances(right, true, (2.0, 0.5))[0] == pytest.approx(1.5)


@pytest.mark.parametrize("rows", [slice(0, 5), slice(27, 32), slice(0, 32)])
def test_an_object_at_the_rim_has_its_boundary_there(rows):
    true = square((32, 32), rows, slice(0, 32))
    assert boundary_distances(true, true, (1.0, 1.0)) == (0, 0, 0)
    inner = binary_erosion(true, iterations=2, border_value=0)
    expected = brute_force(inner, true, (1.0, 3.0))
    assert expected[0] > 0
    assert boundary_distances(inner, true, (1.0, 3.0)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("density", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 3.1), (4.0, 0.3)])
def test_distances_as_a_brute_force_finds_them(density, spacing):
    rng = np.random.default_rng(1)
    for _ in range(6):
        found, true = rng.random((2, *rng.integers(3, 16, 2))) < density
        if found.any() and true.any():
            expected = brute_force(found, true, spacing)
            assert boundary_distances(found, true, spacing) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_distances_in_three_dimensions():
    rng = np.random.default_rng(2)
    found, true = rng.random((2, 5, 8, 7)) < 0.4
    expected = brute_force(found, true, (3.0, 1.0, 0.5))
    assert boundary_distances(found, true, (3.0, 1.0, 0.5)) == pytest.approx(expected, rel=1e-5)


def test_distances_of_empty_masks():
    empty = np.zeros((30, 40), dtype=bool)
    assert boundary_distances(empty, empty, (1.0, 2.0)) == (0, 0, 0)
    for pair in ((empty, ~empty), (~empty, empty)):
        assert boundary_distances(*pair, (1.0, 1.0)) == (50, 50, 50)
        assert boundary_distances(*pair, (2.0, 2.0)) == (100, 100, 100)


def test_score_is_the_mean_over_the_classes_that_count():
    truth = np.zeros((20, 20), dtype=np.int64)
    truth[2:8, 2:8], truth[12:18, 12:18] = 1, 2
    labels = truth.copy()
    labels[truth == 2] = 0  # missed altogether
    found = score(labels, truth, (1, 2), (1.0, 1.0))
    diagonal = np.hypot(20, 20)
    assert (found.dice, found.iou) == (0.5, 0.5)
    assert (found.hausdorff, found.hausdorff95, found.surface) == pytest.approx((diagonal / 2,) * 3)
    assert score(labels, truth, (1,), (1.0, 1.0)).dice == 1
    with_ground = score(labels, truth, (0, 1, 2), (1.0, 1.0)).dice
    assert with_ground == pytest.approx((1 + 2 * (400 - 72) / (400 - 72 + 400 - 36)) / 3)


def test_pixels_without_truth_count_neither_for_nor_against():
    truth = np.zeros((20, 20), dtype=np.int64)
    truth[5:12, 5:12] = 1
    truth[:, 12:] = -1
    labels = (truth == 1).astype(np.int64)
    beyond = labels.copy()
    beyond[5:12, 12:18] = 1
    assert score(beyond, truth, (1,), (1.0, 1.0)) == score(labels, truth, (1,), (1.0, 1.0))
    assert score(labels, truth, (1,), (1.0, 1.0)).dice == 1
    assert score(labels, np.full_like(truth, -1), (1,), (1.0, 1.0)).dice == 1


def test_seed_accuracy():
    seeds = np.full((4, 4), -1)
    assert seed_accuracy(np.zeros((4, 4), dtype=int), seeds) == 1
    seeds[0] = (0, 0, 1, 2)
    assert seed_accuracy(np.zeros((4, 4), dtype=int), seeds) == 0.5


def test_error_auc_is_the_share_of_pairs_in_order():
    risk = np.array([0.1, 0.4, 0.35, 0.8, 0.4])
    wrong = np.array([False, False, True, True, True])
    pairs = [(1.0 if a > b else 0.5 if a == b else 0.0) for a in risk[wrong] for b in risk[~wrong]]
    assert error_auc(risk, wrong) == pytest.approx(np.mean(pairs))
    assert np.isnan(error_auc(risk, np.zeros(5, bool)))
    assert np.isnan(error_auc(risk, np.ones(5, bool)))


def test_calibration_error_by_hand():
    risk = np.array([0.0, 0.0, 0.0, 0.5, 0.5, 1.0])
    wrong = np.array([False, False, True, True, False, True])
    assert calibration_error(risk, wrong) == pytest.approx(1 / 6)  # of the three with risk 0, one is wrong
    assert calibration_error(np.zeros(4), np.ones(4, bool)) == 1
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))
