import numpy as np
import pytest
from scipy import ndimage

from napari_scribseg.simulate import Hand, paint_object, paint_surroundings
from napari_scribseg.simulate.painting import contour_line, hatches, zigzag


@pytest.fixture
def disc():
    y, x = np.ogrid[:96, :96]
    return (y - 48) ** 2 + (x - 44) ** 2 < 25**2


@pytest.fixture
def lines():
    """Thin lines, two pixels wide."""
    mask = np.zeros((96, 96), dtype=bool)
    mask[20:22, 5:90] = mask[40:80, 30:32] = mask[60:62, 10:80] = True
    return mask


def test_a_careful_hand_paints_inside(disc, lines):
    for mask in (disc, lines):
        for seed in range(40):
            drawn = paint_object(mask, Hand(2.0, sway=1.0, loose=False), np.random.default_rng(seed))
            assert (drawn & mask).any()
            assert not (drawn & ~mask).any()


def test_a_pen_wider_than_the_thing_spills_as_it_does_for_people(disc, lines):
    def spill(mask):
        hand = Hand(2.0, sway=1.0, loose=True)
        drawn = [paint_object(mask, hand, np.random.default_rng(seed)) for seed in range(60)]
        return np.mean([(d & ~mask).sum() / d.sum() for d in drawn])

    assert 0.4 < spill(lines) < 0.75  # people: 0.42 and 0.53 on vessels
    assert spill(disc) < 0.1  # people: 0.0 to 0.03 on thick structures


def test_strokes_off_an_object_are_nearly_clean(disc, lines):
    for mask, most in ((disc, 0.02), (lines, 0.06)):
        drawn = [paint_surroundings(mask, Hand(2.0), np.random.default_rng(seed)) for seed in range(80)]
        painted = sum(d.sum() for d in drawn)
        assert painted > 80 * 20
        assert sum((d & mask).sum() for d in drawn) < most * painted


def test_the_same_seed_paints_the_same(disc):
    hand = Hand(1.5)
    for paint in (paint_object, paint_surroundings):
        first, second, other = (paint(disc, hand, np.random.default_rng(seed)) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, second)
        assert (first != other).any()


def test_a_zigzag_is_one_line_across_the_object_and_parallel_lines_are_many(disc):
    rng = np.random.default_rng(0)
    (line,) = zigzag(disc, 6.0, rng, connected=True)
    assert np.abs(np.diff(line, axis=0)).max() <= 0.5
    at = np.rint(line).astype(int)
    assert disc[at[:, 0], at[:, 1]].mean() > 0.95
    assert np.ptp(line, axis=0).max() > 15
    assert len(zigzag(disc, 6.0, rng, connected=False)) > 2


def test_a_contour_keeps_its_distance(disc):
    away = ndimage.distance_transform_edt(~disc)
    (line,) = contour_line(away, 7.0, np.random.default_rng(0))
    at = np.rint(line).astype(int)
    inside = ((at >= 0) & (at < 96)).all(axis=1)
    np.testing.assert_allclose(away[at[inside, 0], at[inside, 1]], 7, atol=1.5)
    assert contour_line(away, 500.0, np.random.default_rng(0)) == []


def test_hatches_lie_side_by_side():
    found = {len(hatches((64, 80), np.random.default_rng(seed))) for seed in range(40)}
    assert {1, 4, 8} <= found


def test_an_object_that_fills_the_image_leaves_no_room():
    full = np.ones((32, 32), dtype=bool)
    for seed in range(10):
        assert not paint_surroundings(full, Hand(2.0), np.random.default_rng(seed)).any()
        assert paint_object(full, Hand(2.0), np.random.default_rng(seed)).any()
        dot = np.zeros((32, 32), dtype=bool)
        dot[5, 7] = True
        assert paint_object(dot, Hand(1.0), np.random.default_rng(seed))[4:7, 6:9].any()
