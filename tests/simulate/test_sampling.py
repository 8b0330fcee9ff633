import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from label_shapes import disc, labels

from napari_scribseg.simulate.masks import distance_field
from napari_scribseg.simulate.sampling import (
    connected_components,
    cut_disc,
    dilated_skeleton,
    distance_to_disc,
    draw_points,
    shuffled_tiles,
)


def rng():
    return np.random.default_rng(0)


def test_distance_counts_from_the_border_of_the_image():
    np.testing.assert_array_equal(distance_field(np.ones((3, 5), bool)), [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1] * 5])


def test_skeleton_of_a_bar_is_its_middle_made_wider_but_not_outside():
    bar = np.zeros((9, 30), dtype=bool)
    bar[2:7, 2:28] = True
    thin, wide = dilated_skeleton(bar, 0), dilated_skeleton(bar, 1)
    assert thin[4, 8:22].all()
    assert not thin[[2, 3, 5, 6], 10:20].any()
    assert wide[3:6, 8:22].all()
    assert not wide[2, 10:20].any()
    assert not (dilated_skeleton(bar, 9) & ~bar).any()


def test_tiles_cover_each_component_once_in_random_order():
    mask = np.zeros((40, 60), dtype=bool)
    mask[3:33, 4:24] = mask[10:14, 30:58] = True
    components, field = connected_components(mask), distance_field(mask)
    orders = [shuffled_tiles(components, field, 3, 5, 0.0, np.random.default_rng(s)) for s in range(3)]
    for tiles in orders:
        covered = np.zeros(mask.shape, dtype=int)
        for _, rows, columns in tiles:
            covered[rows, columns] += 1
        np.testing.assert_array_equal(covered, mask.astype(int))
        assert len(tiles) == 3 * 3 + 1 * 3
        assert {t.rows.stop - t.rows.start for t in tiles if t.component == 1} == {10}
    assert orders[0] != orders[1]
    assert sorted(map(str, orders[0])) == sorted(map(str, orders[1]))


def test_small_components_have_no_tiles():
    mask = disc((30, 30), (15, 15), 9)
    mask[0, 0] = True
    tiles = shuffled_tiles(connected_components(mask), distance_field(mask), 3, 5, 0.01, rng())
    assert {t.component for t in tiles} == {2}


@settings(max_examples=40, deadline=None)
@given(labels(), st.integers(0, 1000), st.sampled_from([0.0, 1.0, 4.5]))
def test_a_disc_is_cut_out_of_the_distance_field_exactly(label, seed, radius):
    point = tuple(int(i) for i in np.random.default_rng(seed).integers(0, label.shape))
    expected = distance_field(label & ~disc(label.shape, point, radius))
    field = distance_field(label)
    cut_disc(field, point, distance_to_disc(radius, 128))
    np.testing.assert_allclose(field, expected, atol=1e-12)


def draw(mask, share, radius, seed=0, skeleton=None):
    components, field = connected_components(mask), distance_field(mask)
    tiles = shuffled_tiles(components, field, 4, 4, share, np.random.default_rng(seed))
    skeleton = dilated_skeleton(mask, 1) if skeleton is None else skeleton
    return draw_points(field, skeleton, components, tiles, share, radius, np.random.default_rng(seed))


def test_points_lie_on_the_skeleton_and_spaced():
    mask = disc((60, 60), (30, 10), 25) | disc((60, 60), (30, 40), 15)
    for seed in range(20):
        points = draw(mask, 0.01, 6.0, seed)
        assert len(points) >= 2
        assert dilated_skeleton(mask, 1)[tuple(points.T)].all()
        separate = np.hypot(*(points[:, None] - points).transpose(2, 0, 1)) + 99 * np.eye(len(points))
        assert separate.min() > 6


def test_no_tile_passes_a_large_share_and_one_point_is_drawn_all_the_same():
    mask = disc((60, 60), (30, 30), 25)
    assert draw(mask, 1.0, 6.0).shape == (1, 2)
    assert draw(mask, 0.0, 200.0).shape == (1, 2)
    assert draw(mask, 0.0, 6.0, skeleton=np.zeros_like(mask)).shape == (1, 2)
    assert draw(np.zeros((5, 5), bool), 0.0, 6.0).shape == (0, 2)


def test_positions_follow_distance_times_skeleton():
    mask = np.ones((1, 3), dtype=bool)
    field, skeleton = np.asarray([[1.0, 3.0, 6.0]]), np.asarray([[True, True, False]])
    tiles = shuffled_tiles(connected_components(mask), field, 1, 1, 0.0, rng())
    seed = rng()
    found = [draw_points(field, skeleton, connected_components(mask), tiles, 0.0, 9, seed)[0, 1] for _ in range(2000)]
    counts = np.bincount(found, minlength=3)
    assert counts[2] == 0
    assert abs(counts[1] / 2000 - 0.75) < 0.04
