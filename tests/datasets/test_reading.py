from itertools import permutations, product

import numpy as np
import pytest

from napari_scribseg.core import ClassTable, Geometry, InputError, Source
from napari_scribseg.datasets.reading import on_grid

SHAPE = (3, 4, 5)
AFFINE = np.array([[0.1, 0.05, 0.8, 10], [0.0, 0.9, -0.05, -20], [3.0, 0.0, 0.1, 5], [0, 0, 0, 1]])


def turned(array, axes, flipped):
    """The array with axes exchanged and reversed, and the affine that keeps every voxel in its place."""
    to_old = np.zeros((4, 4))
    to_old[3, 3] = 1
    for new, old in enumerate(axes):
        to_old[old, new] = -1 if new in flipped else 1
        to_old[old, 3] = array.shape[old] - 1 if new in flipped else 0
    values = np.flip(array.transpose(axes), flipped)
    return Source(values, Geometry(values.shape, (1.0,) * 3, AFFINE @ to_old, "millimeter"), "labels", False,
                        ClassTable())  # fmt: skip


@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_every_turn_is_undone(axes):
    ids = np.random.default_rng(0).integers(0, 9, SHAPE, dtype=np.uint8)
    grid = Geometry(SHAPE, (3.0, 0.9, 0.8), AFFINE, "millimeter")
    for signs in product((False, True), repeat=3):
        found = on_grid(turned(ids, axes, tuple(np.flatnonzero(signs))), grid, "labels")
        np.testing.assert_array_equal(found, ids)
        assert found.dtype == np.int32
        assert found.flags.c_contiguous


@pytest.mark.parametrize("shift", [0.5, -1.0])
def test_a_shift_is_refused(shift):
    affine = AFFINE.copy()
    affine[:3, 3] += shift * affine[:3, 0]
    labels = Source(np.zeros(SHAPE, np.uint8), Geometry(SHAPE, (1.0,) * 3, affine, "millimeter"), "labels")
    with pytest.raises(InputError, match="lie elsewhere"):
        on_grid(labels, Geometry(SHAPE, (1.0,) * 3, AFFINE, "millimeter"), "labels")


def test_rounded_headers_are_taken():
    affine = AFFINE + np.random.default_rng(1).uniform(-1e-4, 1e-4, AFFINE.shape) * np.array([[1], [1], [1], [0]])
    ids = np.arange(60, dtype=np.uint8).reshape(SHAPE)
    labels = Source(ids, Geometry(SHAPE, (1.0,) * 3, affine, "millimeter"), "labels")
    np.testing.assert_array_equal(on_grid(labels, Geometry(SHAPE, (1.0,) * 3, AFFINE), "labels"), ids)


def test_without_a_place_the_order_stays():
    ids = np.arange(60, dtype=np.uint8).reshape(SHAPE)
    labels = Source(ids, Geometry(SHAPE, (1.0,) * 3), "labels")
    np.testing.assert_array_equal(on_grid(labels, Geometry(SHAPE, (1.0,) * 3, AFFINE), "labels"), ids)
    with pytest.raises(InputError, match=r"shape \(3, 4, 5\); its image has \(3, 4, 6\)"):
        on_grid(labels, Geometry((3, 4, 6), (1.0,) * 3), "labels")
