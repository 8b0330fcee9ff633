import numpy as np
import pytest
from scipy.stats import chisquare

from napari_scribseg.simulate.graph import edge_costs, remove_inner_edges, spanning_edges, split_into_paths


def test_the_way_outside_counts_three_times():
    mask = np.ones((3, 21), dtype=bool)
    mask[:, 5:15] = False
    points = np.asarray([[1, 0], [1, 20], [0, 0]])
    costs, leaves = edge_costs(points, mask, 3.0, np.zeros(3))
    assert costs[0, 1] == pytest.approx(10 + 3 * 10, abs=1)
    assert costs[0, 2] == pytest.approx(1)
    np.testing.assert_array_equal(costs, costs.T)
    np.testing.assert_array_equal(leaves, [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    assert np.isinf(edge_costs(points, mask, 3.0, np.asarray([0, 1, 0]))[0][0, 1])
    assert edge_costs(points[:0], mask, 3.0, np.zeros(0))[0].shape == (0, 0)


def test_the_tree_goes_round_a_hole_rather_than_across():
    mask = np.ones((21, 21), dtype=bool)
    mask[3:18, 3:18] = False
    corners = np.asarray([[1, 1], [1, 19], [19, 19], [19, 1]])
    edges = spanning_edges(edge_costs(corners, mask, 3.0, np.zeros(4))[0])
    assert len(edges) == 3
    assert all((corners[a] == corners[b]).any() for a, b in edges)


def test_infinite_costs_part_the_tree():
    costs = np.full((4, 4), np.inf)
    costs[0, 1] = costs[1, 0] = costs[2, 3] = costs[3, 2] = 1
    assert sorted(map(sorted, spanning_edges(costs).tolist())) == [[0, 1], [2, 3]]
    assert spanning_edges(np.full((1, 1), np.inf)).shape == (0, 2)


def test_only_inner_edges_go_and_as_often_as_in_the_paper():
    chain = np.stack([np.arange(9), np.arange(1, 10)], axis=1)
    seed = np.random.default_rng(0)
    removed = []
    for _ in range(4000):
        left = remove_inner_edges(chain, 0.2, (1 / 2, 1 / 3, 1 / 6), seed)
        removed.append(len(chain) - len(left))
        assert set(left.ravel().tolist()) == set(range(10))
    counts = np.bincount(removed, minlength=4)
    assert chisquare(counts, 4000 * np.asarray([0.8, 0.1, 0.2 / 3, 0.1 / 3])).pvalue > 0.01


def test_a_star_loses_nothing():
    star = np.asarray([[0, 1], [0, 2], [0, 3]])
    np.testing.assert_array_equal(remove_inner_edges(star, 1.0, (0, 0, 1), np.random.default_rng(0)), star)


def test_the_longest_path_is_drawn_first_by_its_length_in_pixels():
    #        4
    #        |
    # 0 - 1 - 2 ----------- 3      5 (alone)
    points = np.asarray([[10, 0], [10, 5], [10, 10], [10, 40], [4, 10], [50, 50]])
    paths = split_into_paths(points, np.asarray([[0, 1], [1, 2], [2, 3], [2, 4]]))
    assert paths[0] in ([0, 1, 2, 3], [3, 2, 1, 0])
    assert sorted(paths[1]) == [2, 4]
    assert paths[2] == [5]


def test_paths_of_a_torn_graph():
    points = np.asarray([[0, 0], [0, 9], [30, 0], [30, 20]])
    assert [sorted(p) for p in split_into_paths(points, np.asarray([[0, 1], [2, 3]]))] == [[2, 3], [0, 1]]
    assert split_into_paths(points[:0], np.zeros((0, 2), dtype=np.intp)) == []
