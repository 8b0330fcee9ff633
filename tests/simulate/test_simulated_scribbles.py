import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_shapes import disc, labels
from skimage.draw import line as straight

from napari_scribseg.core import InputError
from napari_scribseg.simulate import ScribbleStyle, simulate_scribble
from napari_scribseg.simulate.simulated_scribbles import paint, smooth_line


@settings(max_examples=200, deadline=None)
@given(labels(), st.integers(0, 1000), st.booleans())
def test_strokes_stay_inside_but_for_edges_that_leave(label, seed, bridge):
    style = ScribbleStyle(bridge_components=bridge)
    found = simulate_scribble(label, seed, style)
    assert found.mask.shape == label.shape
    assert found.mask.any() == label.any()
    assert label[tuple(found.points.T)].all()
    leaving = [line.points[line.leaves] for line in found.lines]
    if not any(map(len, leaving)):
        assert (label | ~found.mask).all()
    else:
        way = np.concatenate(leaving)
        for pixel in np.argwhere(found.mask & ~label):
            assert np.hypot(*(way - pixel).T).min() <= style.radius + np.sqrt(0.5) + 1e-9
    never = simulate_scribble(label, seed, ScribbleStyle(bridge_components=bridge, outside="never"))
    np.testing.assert_array_equal(never.mask, found.mask & label)


@settings(max_examples=60, deadline=None)
@given(labels(), st.integers(0, 1000))
def test_the_same_seed_gives_the_same_strokes(label, seed):
    first, again = simulate_scribble(label, seed), simulate_scribble(label, np.random.default_rng(seed))
    np.testing.assert_array_equal(first.mask, again.mask)
    np.testing.assert_array_equal(first.points, again.points)
    np.testing.assert_array_equal(first.edges, again.edges)


@settings(max_examples=60, deadline=None)
@given(labels(), st.integers(0, 1000))
def test_a_line_leaves_only_where_the_straight_edge_does(label, seed):
    found = simulate_scribble(label, seed)
    for line in found.lines:
        assert line.leaves.any() <= any(
            not label[straight(*found.points[a], *found.points[b])].all()
            or np.hypot(*(found.points[a] - found.points[b])) > 1
            for a, b in zip(line.knots[:-1], line.knots[1:], strict=True)
        )
    spent = [tuple(sorted(e)) for line in found.lines for e in zip(line.knots[:-1], line.knots[1:], strict=True)]
    assert sorted(spent) == sorted(tuple(sorted(e)) for e in found.edges.tolist())
    assert {k for line in found.lines for k in line.knots} == set(range(len(found.points)))


@settings(max_examples=60, deadline=None)
@given(labels(), st.integers(0, 1000))
def test_strokes_paint_what_the_pen_does(label, seed):
    found = simulate_scribble(label, seed, ScribbleStyle(outside="pen"))
    drawn = np.zeros_like(label)
    for stroke in found.strokes(3):
        assert stroke.class_index == 3
        drawn |= stroke.rasterize(label.shape)
    np.testing.assert_array_equal(drawn, found.mask)


def test_different_seeds_give_different_strokes():
    label = disc((64, 64), (32, 16), 15) | disc((64, 64), (32, 40), 15)
    masks = {simulate_scribble(label, seed).mask.tobytes() for seed in range(10)}
    assert len(masks) == 10


def test_parts_are_joined_only_on_request():
    label = np.zeros((40, 80), dtype=bool)
    label[5:35, 5:30] = label[5:35, 50:75] = True
    separate = simulate_scribble(label, 0, ScribbleStyle(torn_share=0))
    assert not (separate.mask & ~label).any()
    joined = simulate_scribble(label, 0, ScribbleStyle(torn_share=0, bridge_components=True))
    assert len(joined.edges) == len(joined.points) - 1 == len(separate.edges) + 1
    assert joined.mask[:, 35:45].any()


def test_a_spline_of_two_points_is_straight_and_of_many_smooth():
    line, stretch = smooth_line(np.asarray([[0.0, 0.0], [3.0, 4.0]]), 0)
    np.testing.assert_allclose(line[[0, -1]], [[0, 0], [3, 4]], atol=1e-9)
    np.testing.assert_allclose(line[:, 0] * 4, line[:, 1] * 3, atol=1e-9)
    assert not stretch.any()
    knots = np.asarray([[0.0, 0.0], [10.0, 5.0], [0.0, 10.0], [10.0, 15.0], [0.0, 20.0]])
    through, stretch = smooth_line(knots, 0)
    for knot in knots:
        assert np.hypot(*(through - knot).T).min() < 0.3
    assert np.abs(np.diff(through, axis=0)).max() <= 0.5
    assert stretch[0] == 0
    assert stretch[-1] == 3
    assert (np.diff(stretch) >= 0).all()
    smooth, _ = smooth_line(knots, 2)
    misses = [np.hypot(*(smooth - knot).T).min() for knot in knots]
    assert 0.5 < np.sqrt(np.mean(np.square(misses))) <= 2.0


def test_a_smooth_line_does_not_swing_far_out_between_its_points():
    # a smoothing spline alone left this way by 456 pixels, others by so many that the memory ran out
    knots = [
        (119, 80), (108, 48), (104, 21), (69, 15), (60, 24), (41, 20), (34, 46), (33, 67), (37, 86), (56, 107),
        (65, 104), (67, 113), (89, 115),
    ]  # fmt: skip
    line, stretch = smooth_line(np.asarray(knots, dtype=np.float64), 1.8427578601335226)
    assert line.min() > 0
    assert line.max() < 160
    assert np.abs(np.diff(line, axis=0)).max() <= 0.5
    assert len(stretch) == len(line) < 3000
    assert (np.diff(stretch) >= 0).all()


def test_the_pen_has_its_radius_and_is_cut_at_the_image():
    mask = paint(np.asarray([[4.0, 4.0]]), 2, (9, 9))
    np.testing.assert_array_equal(mask, disc((9, 9), (4, 4), 2))
    assert mask.sum() == 13
    np.testing.assert_array_equal(paint(np.asarray([[-1.0, 8.0]]), 2, (9, 9)), disc((9, 9), (-1, 8), 2))
    assert not paint(np.asarray([[-9.0, 40.0]]), 2, (9, 9)).any()
    assert paint(np.zeros((1, 2)), 0.5, (2, 2)).sum() == 1


@pytest.mark.parametrize("label", [np.zeros((2, 2, 2), bool), np.zeros((0, 4), bool), np.zeros((4, 4)), ["a"]])
def test_what_is_no_label_is_reported(label):
    with pytest.raises(InputError, match="expected"):
        simulate_scribble(label, 0)


@pytest.mark.parametrize(
    "fields",
    [{"tiles": 0}, {"tile_share": 2}, {"radius": np.nan}, {"torn_edges": (0.5,)}, {"outside": "x"}, {"deviation": -1}],
)
def test_a_style_that_cannot_be_is_reported(fields):
    with pytest.raises(InputError, match=f"{next(iter(fields))} is"):
        ScribbleStyle(**fields)
