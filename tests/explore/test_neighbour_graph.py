import numpy as np
import pytest

pytest.importorskip("umap")

from disc_pictures import clouds
from umap import layouts, umap_

from napari_scribseg.explore.embedding import fit_embedding, nearest, principal_components
from napari_scribseg.explore.neighbour_graph import neighbour_graph, with_classes
from napari_scribseg.numerics.fused.layout import REPULSIONS, move_points


def repeated():
    """Two clouds, in which some points stand twice, and some often."""
    features, kinds = clouds(60)
    features[5], features[20:36] = features[3], features[8]
    kinds[5], kinds[20:36] = kinds[3], kinds[8]
    return features, kinds


@pytest.fixture(scope="module")
def graphs():
    """Neighbours, our graph and UMAP's."""
    features, _ = repeated()
    index, distance = nearest(features, features, 10, same=True)
    theirs = umap_.fuzzy_simplicial_set(
        features, 10, np.random.RandomState(0), "euclidean", knn_indices=index, knn_dists=distance
    )
    return index, distance, neighbour_graph(index, distance), theirs[0]


def test_the_graph_is_umaps(graphs):
    _, _, ours, theirs = graphs
    assert ours.nnz > 400
    assert abs(ours - ours.T).max() < 1e-12
    assert abs(ours - theirs).max() < 1e-4


def test_classes_change_the_graph_as_umap_does(graphs):
    _, _, ours, theirs = graphs
    _, kinds = repeated()
    labels = np.where(np.arange(60) % 3 == 0, kinds + 1, 0).astype(np.int32)
    labels[9] = 3 - labels[9]
    found = with_classes(ours, labels)
    expected = umap_.discrete_metric_simplicial_set_intersection(theirs, np.where(labels > 0, labels, -1))
    assert abs(found - expected).max() < 1e-4
    assert abs(found - ours).max() > 0.1


def test_points_move_as_umaps(graphs):
    edges = graphs[2].tocoo()
    heads, tails = edges.row.astype(np.int32), edges.col.astype(np.int32)
    start = np.random.default_rng(2).uniform(0, 60, (60, 2)).astype(np.float32)
    periods, state, epochs = edges.data.max() / edges.data, np.array([1234567, 891011, 345678]), 2
    theirs = start.copy()
    expected = layouts.optimize_layout_euclidean(
        theirs, theirs, heads, tails, epochs, len(start), periods, 1.9, 0.8, state, move_other=True
    )
    random = state + start[:, :1].astype(np.float64).view(np.int64)
    found, due, repelled = start.copy(), periods.copy(), periods / REPULSIONS
    for epoch in range(epochs):
        move_points(found, heads, tails, periods, due, repelled, random, 1.9, 0.8, epoch, epoch + 1, epochs)
    assert np.abs(found - start).max() > 0.1
    assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("labelled", [False, True])
def test_embeddings_keep_neighbours_as_umap_does(labelled):
    features, kinds = clouds(120, spread=0.5)
    labels = np.where(labelled & (np.arange(120) % 4 == 0), kinds + 1, 0).astype(np.int32)
    neighbours = nearest(features, features, 15, same=True)
    model = umap_.UMAP(
        min_dist=0.01, init=principal_components(features), random_state=0, n_jobs=1, precomputed_knn=neighbours
    )
    theirs = model.fit(features, np.where(labels > 0, labels, -1) if labelled else None).embedding_
    shares = []
    for xy in (fit_embedding(features, labels), theirs):
        index, _ = nearest(xy, xy, 11, same=True)
        shares.append((kinds[index[:, 1:]] == kinds[:, None]).mean())
    assert shares[0] > shares[1] - 0.05
    assert shares[0] > 0.8


def test_the_same_seed_gives_the_same_positions():
    features, kinds = clouds()
    first, again, other = (fit_embedding(features, kinds * 0, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
