import numpy as np
import pytest
from label_shapes import disc

from napari_scribseg.core import InputError
from napari_scribseg.simulate import HumanError, ScribbleStyle
from napari_scribseg.simulate.human_error import apply_error, overshoot, shake, shorten
from napari_scribseg.simulate.simulated_scribbles import Line, paint_lines

SHAPE = (60, 400)
LABEL = np.zeros(SHAPE, dtype=bool)
LABEL[20:40, 20:380] = True


def straight(first=40.0, last=360.0, row=30.0):
    columns = np.arange(first, last + 0.5, 0.5)
    points = np.stack([np.full_like(columns, row), columns], axis=1)
    return Line((0, 1), points, np.zeros(len(points), dtype=bool))


def test_no_error_changes_nothing():
    line = straight()
    same = apply_error(line, LABEL, HumanError(), np.random.default_rng(0))
    np.testing.assert_array_equal(same.points, line.points)
    assert not same.leaves.any()


@pytest.mark.parametrize("length", [0.0, 2.0, 10.0])
def test_a_shaky_line_strays_sideways_by_its_size(length):
    line = straight()
    off = [shake(line.points, 1.5, length, np.random.default_rng(s)) - line.points for s in range(30)]
    np.testing.assert_allclose(np.asarray(off)[..., 1], 0, atol=1e-9)
    assert np.sqrt(np.mean(np.square(off)) * 2) == pytest.approx(1.5, rel=0.1)
    steps = np.abs(np.diff(np.asarray(off)[..., 0], axis=1)).mean()
    assert steps < (2 if length == 0 else 1.5 / length)
    dots = [shake(np.zeros((1, 2)), 1.5, length, np.random.default_rng(s)) for s in range(300)]
    assert np.sqrt(np.mean(np.square(dots)) * 2) == pytest.approx(1.5, rel=0.15)


def test_a_shaky_line_has_no_gaps_and_is_painted_where_it_leaves():
    error = HumanError(jitter=8, jitter_length=2)
    line = apply_error(straight(), LABEL, error, np.random.default_rng(1))
    assert np.abs(np.diff(line.points, axis=0)).max() <= 0.5 + 1e-9
    assert line.points.shape[0] == line.leaves.shape[0]
    at = np.rint(line.points).astype(int)
    np.testing.assert_array_equal(LABEL[tuple(at[~line.leaves].T)], True)
    assert (paint_lines((line,), LABEL, ScribbleStyle(radius=0)) & ~LABEL).any()
    assert not (paint_lines((line,), LABEL, ScribbleStyle(outside="never")) & ~LABEL).any()


def test_a_steered_line_is_shaky_and_keeps_to_its_label():
    error = HumanError(jitter=8, jitter_length=2, steered=True)
    line = apply_error(straight(), LABEL, error, np.random.default_rng(1))
    assert np.abs(np.diff(line.points, axis=0)).max() <= 0.5 + 1e-9
    assert LABEL[tuple(np.rint(line.points).astype(int).T)].all()
    assert np.ptp(line.points[:, 0]) > 10
    assert not line.leaves.any()


def test_a_steered_line_does_not_move_where_it_leaves_its_label_on_purpose():
    crossing = straight(0, 390)
    crossing = Line(crossing.knots, crossing.points, ~LABEL[tuple(np.rint(crossing.points).astype(int).T)])
    error = HumanError(jitter=3, jitter_length=2, steered=True)
    line = apply_error(crossing, LABEL, error, np.random.default_rng(0))
    outside = ~LABEL[tuple(np.rint(line.points).astype(int).T)]
    np.testing.assert_array_equal(line.points[outside & (line.points[:, 1] < 19), 0], 30)
    assert line.leaves[outside].all()


@pytest.mark.parametrize("n", [1, 2, 641])
def test_a_shortened_line_loses_its_ends(n):
    rng = np.random.default_rng(3)
    parts = [shorten(n, 0.6, rng) for _ in range(400)]
    lengths = np.asarray([part.stop - part.start for part in parts])
    assert lengths.min() >= max(int(0.4 * n), 1)
    assert lengths.max() <= n
    assert all(part.start >= 0 for part in parts)
    assert all(part.stop <= n for part in parts)
    if n == 641:
        assert lengths.mean() / n == pytest.approx(0.7, abs=0.03)
        assert np.mean([part.start for part in parts]) / n == pytest.approx(0.15, abs=0.03)
    line = apply_error(straight(), LABEL, HumanError(shortened=1.0), rng)
    assert 1 <= len(line.points) == len(line.leaves) <= 641


def test_a_line_runs_past_the_border_at_the_nearer_end():
    line = straight(40, 370)
    before, same, after = overshoot(line.points, LABEL, 5, np.random.default_rng(0))
    assert len(before) == 0
    np.testing.assert_array_equal(same, line.points)
    assert 384 <= after[-1, 1] <= 385
    before, _, after = overshoot(line.points[::-1] * [1, -1] + [0, 400], LABEL, 5, np.random.default_rng(0))
    assert len(after) + len(before) > 0
    assert overshoot(line.points, np.ones(SHAPE, dtype=bool), 5, np.random.default_rng(0)) is None
    spot = overshoot(np.asarray([[30.0, 200.0]]), LABEL, 3, np.random.default_rng(0))
    assert spot is not None
    assert not LABEL[tuple(np.rint(np.concatenate(spot)).astype(int).T)].all()


def test_lines_spill_at_their_rate_and_as_far_as_set():
    error, rng = HumanError(spill=4, spill_rate=0.3), np.random.default_rng(0)
    found = [apply_error(straight(), LABEL, error, rng) for _ in range(400)]
    longer = [line.points[:, 1].max() - 379.5 for line in found if line.leaves.any()] + [
        20 - line.points[:, 1].min() for line in found if line.leaves.any()
    ]
    assert 0.2 < np.mean([line.leaves.any() for line in found]) < 0.4
    assert np.mean([max(a, 0) for a in longer]) * 2 == pytest.approx(4, rel=0.3)


def test_a_dot_at_the_edge_of_the_image_stays_where_it_is():
    label = disc((20, 20), (0, 0), 40)
    line = Line((0,), np.asarray([[0.0, 0.0]]), np.zeros(1, dtype=bool))
    same = apply_error(line, label, HumanError(spill=5, spill_rate=1), np.random.default_rng(0))
    np.testing.assert_array_equal(same.points, line.points)


@pytest.mark.parametrize("fields", [{"jitter": -1}, {"spill": np.inf}, {"spill_rate": 1.1}, {"wrong_label": np.nan}])
def test_an_error_that_cannot_be_is_reported(fields):
    with pytest.raises(InputError, match=f"{next(iter(fields))} is"):
        HumanError(**fields)
