import numpy as np
import pytest

from napari_scribseg import Scribbles, Segmentation


def test_labels_are_the_most_probable_class():
    p = np.array([[[0.2, 0.5]], [[0.8, 0.5]]], np.float32)
    np.testing.assert_array_equal(Segmentation(p, None).labels, [[1, 0]])


def test_entropy_goes_from_certain_to_undecided():
    p = np.zeros((4, 1, 3), np.float32)
    p[0, 0, 0] = 1
    p[:, 0, 1] = 0.25
    p[:2, 0, 2] = 0.5
    entropy = Segmentation(p, None).entropy
    assert entropy.dtype == np.float32
    np.testing.assert_allclose(entropy, [[0, 1, 0.5]], atol=1e-6)


@pytest.mark.parametrize("n_classes", [1, 20])
def test_entropy_stays_in_bounds(n_classes):
    p = np.random.default_rng(0).dirichlet(np.full(n_classes, 0.1), (5, 5)).astype(np.float32)
    entropy = Segmentation(np.moveaxis(p, -1, 0), None).entropy
    assert entropy.min() >= 0
    assert entropy.max() <= 1


def test_stroke_pixels_get_their_class():
    probabilities = np.full((3, 2, 4), 1 / 3, np.float32)
    seeds = np.array([[0, -1, 2, -1], [-1, 1, -1, -1]], np.int32)
    result = Segmentation.of(probabilities, Scribbles(seeds, 3), "state", ("a note",), raw_seed_accuracy=0.5)
    painted = seeds >= 0
    np.testing.assert_array_equal(result.probabilities[:, painted].T, np.eye(3, dtype=np.float32)[[0, 2, 1]])
    assert (result.probabilities[:, ~painted] == np.float32(1 / 3)).all()
    assert (result.state, result.notes, result.raw_seed_accuracy) == ("state", ("a note",), 0.5)
