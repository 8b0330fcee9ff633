"""Bands of voxels, paths in them, and the relaxed problem: each against a plain computation of the same."""

import itertools

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from napari_scribseg.numerics.volume_cut.band import Band
from napari_scribseg.numerics.volume_cut.paths import path_lengths
from napari_scribseg.numerics.volume_cut.relaxation import BandRelaxation


@pytest.fixture
def mask():
    return np.random.default_rng(3).random((5, 7, 6)) < 0.6


def test_neighbours_are_those_in_the_volume(mask):
    band = Band.of(mask)
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(len(band))
    for axis in range(3):
        following = np.full(mask.shape, -1)
        ahead = np.moveaxis(following, axis, 0)
        ahead[:-1] = np.moveaxis(number, axis, 0)[1:]
        assert (band.after[axis] == following[mask]).all()
        linked = band.after[axis] >= 0
        assert (band.before[axis][band.after[axis][linked]] == np.flatnonzero(linked)).all()
        assert np.count_nonzero(band.before[axis] >= 0) == np.count_nonzero(linked)


def test_paths_are_the_cheapest_ones(mask):
    rng, voxel = np.random.default_rng(5), (2.0, 1.0, 0.5)
    band = Band.of(mask)
    cost = rng.uniform(0.5, 4, len(band)).astype(np.float32)
    starts = np.full(len(band), -1)
    starts[[0, 9]], starts[50] = 0, 1
    rows, columns, lengths = [], [], []
    for axis, size in enumerate(voxel):
        i = np.flatnonzero(band.after[axis] >= 0)
        j = band.after[axis][i]
        rows, columns = [*rows, *i, *j], [*columns, *j, *i]
        lengths += [*np.tile(size * (cost[i] + cost[j]) / 2, 2)]
    graph = coo_array((lengths, (rows, columns)), shape=(len(band), len(band))).tocsr()
    expected = [dijkstra(graph, indices=np.flatnonzero(starts == k), min_only=True) for k in (0, 1)]
    found = path_lengths(band, cost, starts, 3, voxel)
    np.testing.assert_allclose(found[:2], expected, rtol=1e-5)
    assert np.isinf(found[2]).all()


def energy(labels, cost, weights, band):
    total = cost[np.arange(len(band)), labels].sum()
    for axis in range(3):
        i = np.flatnonzero(band.after[axis] >= 0)
        total += weights[axis, i] @ (labels[i] != labels[band.after[axis][i]])
    return total


def test_two_labels_reach_the_least_energy_of_all_labellings():
    rng = np.random.default_rng(0)
    band = Band.of(np.ones((3, 2, 2), bool))
    for _ in range(5):
        cost = rng.uniform(0, 2, (12, 2)).astype(np.float32)
        weights = rng.uniform(0, 1, (3, 12)).astype(np.float32)
        relaxation = BandRelaxation(band, cost, weights)
        relaxation.advance(2000)
        least = min(energy(np.array(each), cost, weights, band) for each in itertools.product((0, 1), repeat=12))
        assert energy(relaxation.primal.argmax(axis=1), cost, weights, band) == pytest.approx(least, abs=1e-3)


def test_the_labelling_stays_in_the_simplex_and_forbidden_labels_are_not_taken():
    rng = np.random.default_rng(1)
    band = Band.of(rng.random((6, 9, 8)) < 0.8)
    cost = rng.uniform(0, 1, (len(band), 5)).astype(np.float32)
    cost[:, 3] = 1000
    relaxation = BandRelaxation(band, cost, np.full((3, len(band)), 0.4, np.float32))
    first = relaxation.advance(1)
    last = relaxation.advance(300)
    np.testing.assert_allclose(relaxation.primal.sum(axis=1), 1, atol=1e-4)
    assert relaxation.primal.min() >= 0
    assert not (relaxation.primal.argmax(axis=1) == 3).any()
    assert last < 0.01 <= first
