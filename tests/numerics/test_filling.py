import numpy as np
import pytest
from scipy import ndimage

from napari_scribseg.core import Cancelled, InputError
from napari_scribseg.numerics.filling import fill_span
from napari_scribseg.numerics.fused.flow import compose, move, optical_flow

ROWS, COLUMNS = np.mgrid[:64, :72]


def disc(y, x, r):
    return np.hypot(ROWS - y, COLUMNS - x) < r


def picture(labels, seed=0):
    """A slice of shape (1, H, W) that shows its labels, with texture that is the same everywhere."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=labels.shape), 1)
    return (100.0 * labels + 5 * noise)[np.newaxis].astype(np.float32)


def filled(first, last, images, spacing=(1.0, 1.0, 1.0)):
    parts = list(fill_span(first, last, images, spacing))
    return parts, {part.offset: part for part in parts if part.final}


def dice(found, right):
    return 2 * np.count_nonzero(found & right) / (np.count_nonzero(found) + np.count_nonzero(right))


def moving(n, dy=0.0, dx=0.0, r=12):
    """A disc on n slices, its centre (dy, dx) farther on each."""
    return [disc(30 + dy * k, 25 + dx * k, r).astype(np.int32) for k in range(n)]


def test_every_slice_has_a_preview_and_then_a_final_result_nearest_to_the_anchors_first():
    truth = moving(7)
    parts, _ = filled(truth[0], truth[-1], [picture(labels) for labels in truth])
    assert [part.final for part in parts] == [False] * 5 + [True] * 5
    assert [part.offset for part in parts[:5]] == [part.offset for part in parts[5:]] == [1, 5, 2, 4, 3]
    for part in parts:
        assert part.labels.shape == part.certainty.shape == (64, 72)
        assert part.labels.dtype == np.int32
        assert part.certainty.dtype == np.float32
        assert 0 <= part.certainty.min() <= part.certainty.max() <= 1


def test_labels_follow_a_structure_that_moves_there_and_back():
    there = [0, 2, 4, 6, 4, 2, 0]
    truth = [disc(30, 25 + dx, 8).astype(np.int32) for dx in there]
    images = [picture(labels, seed=0) for labels in truth]
    parts, final = filled(truth[0], truth[-1], images)
    previews = {part.offset: part for part in parts if not part.final}
    assert dice(previews[3].labels == 1, truth[3] == 1) < 0.6
    assert dice(final[3].labels == 1, truth[3] == 1) > 0.8


def test_a_class_that_one_anchor_lacks_shrinks_away_towards_it():
    first, last = disc(30, 35, 14) * 3, np.zeros((64, 72), np.int64)
    images = [picture(np.zeros((64, 72), np.int32))] * 8
    _, final = filled(first, last, images)
    areas = [np.count_nonzero(final[k].labels == 3) for k in range(1, 7)]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > 0.5 * np.count_nonzero(first)
    assert areas[-1] < 0.1 * np.count_nonzero(first)


def test_a_hole_stays_a_hole_and_every_value_is_a_class():
    ring = (disc(30, 35, 20) & ~disc(30, 35, 8)).astype(np.uint8) * 7
    _, final = filled(ring, ring, [picture(ring)] * 5)
    for part in final.values():
        np.testing.assert_array_equal(part.labels, ring)
        assert part.labels.dtype == np.uint8


def test_anchors_that_are_alike_and_empty_give_their_one_class():
    empty = np.full((64, 72), 4)
    parts, final = filled(empty, empty, [picture(empty)] * 4)
    assert sorted(final) == [1, 2]
    assert all((part.labels == 4).all() and (part.certainty == 1).all() for part in parts)


def test_the_size_of_a_pixel_counts():
    first = np.zeros((64, 72), np.int32)
    first[20:40, 30:50] = 1
    images = [np.zeros((1, 64, 72), np.float32)] * 5
    flat, tall = (filled(first, first * 0, images, (1.0, y, 1.0))[1][1].labels == 1 for y in (1.0, 6.0))
    assert np.count_nonzero(flat.any(axis=1)) == np.count_nonzero(flat.any(axis=0)) > 0
    assert np.count_nonzero(tall.any(axis=1)) > np.count_nonzero(tall.any(axis=0)) > 0


def test_certainty_is_lowest_at_the_borders_and_falls_with_the_distance_to_the_anchors():
    truth = moving(9)
    _, final = filled(truth[0], truth[-1], [picture(labels) for labels in truth])
    near = ndimage.binary_dilation(truth[0]) & ~ndimage.binary_erosion(truth[0])
    means = [float(final[k].certainty[near].mean()) for k in range(1, 5)]
    assert means == sorted(means, reverse=True)
    for part in final.values():
        assert part.certainty[near].mean() < part.certainty[~near].mean()


@pytest.mark.parametrize("backwards", [False, True])
def test_beyond_the_outermost_anchor_it_follows_the_image_and_ends(backwards):
    truth = moving(40, dx=0.5)
    images = [picture(labels) for labels in truth]
    if backwards:
        _, final = filled(None, truth[0], images[::-1])
        found = {39 - offset: part for offset, part in final.items()}
    else:
        _, found = filled(truth[0], None, images)
    assert sorted(found) == list(range(1, len(found) + 1))
    assert 3 <= len(found) < 39
    areas = [np.count_nonzero(found[k].labels) for k in sorted(found)]
    assert areas == sorted(areas, reverse=True)
    for k in (1, 2, 3):
        assert dice(found[k].labels == 1, truth[k] == 1) > 0.85


def test_filling_ends_where_the_image_shows_the_structure_no_longer():
    truth = [disc(30, 25, 16).astype(np.int32) if k < 4 else np.zeros((64, 72), np.int32) for k in range(12)]
    _, final = filled(truth[0], None, [picture(labels) for labels in truth])
    assert sorted(final) == [1, 2, 3]


def test_colour_and_other_types_of_images_are_taken():
    truth = moving(5, dx=2.0)
    images = [np.repeat(picture(labels), 3, axis=0).clip(0, 255).astype(np.uint8) for labels in truth]
    _, final = filled(truth[0], truth[-1], images)
    assert dice(final[2].labels == 1, truth[2] == 1) > 0.9


def test_a_report_that_raises_ends_it():
    truth = moving(6)
    seen = []

    def report(fraction, preview=None):
        seen.append(fraction)
        if fraction > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(fill_span(truth[0], truth[-1], [picture(labels) for labels in truth], report=report))
    assert seen == sorted(seen)
    fractions = []
    list(
        fill_span(
            truth[0], truth[-1], [picture(labels) for labels in truth], report=lambda f, p=None: fractions.append(f)
        )
    )
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first": None, "last": None}, "labels of one end"),
        ({"first": np.zeros((5, 5), int)}, "first slice have shape"),
        ({"last": np.zeros((64, 72))}, "integers of shape"),
        ({"images": [np.zeros((1, 64, 72))]}, "at least one"),
        ({"spacing": (1.0, 0.0, 1.0)}, "three positive numbers"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    labels = np.zeros((64, 72), int)
    given = {"first": labels, "last": labels, "images": [np.zeros((1, 64, 72))] * 3, "spacing": (1.0, 1.0, 1.0)}
    given |= change
    with pytest.raises(InputError, match=message):
        fill_span(given["first"], given["last"], given["images"], given["spacing"])


def textured(shape=(90, 110)):
    return ndimage.gaussian_filter(np.random.default_rng(0).random(shape), 2).astype(np.float32) * 8


@pytest.mark.parametrize("shape", [(90, 110), (33, 60), (16, 9)])
def test_optical_flow_finds_a_shift(shape):
    large = textured((shape[0] + 8, shape[1] + 8))
    fixed, moved = large[4:-4, 4:-4], large[2:-6, 5:-3]  # fixed at x is moved at x + (2, -1)
    for coarse in (False, True):
        flow = optical_flow(np.ascontiguousarray(fixed), np.ascontiguousarray(moved), coarse=coarse)
        assert flow.shape == (2, *shape)
        assert abs(np.median(flow[0]) - 2) < 0.3
        assert abs(np.median(flow[1]) + 1) < 0.3


def test_move_reads_like_scipy_and_composed_flows_like_one_after_the_other():
    image = textured()
    rng = np.random.default_rng(1)
    near, far = ndimage.gaussian_filter(rng.normal(size=(2, 2, *image.shape)), (0, 0, 5, 5)).astype(np.float32) * 20
    grid = np.indices(image.shape)
    expected = ndimage.map_coordinates(image, grid + near, order=1, mode="nearest")
    np.testing.assert_allclose(move(image[np.newaxis], near)[0], expected, atol=1e-4)
    through = move(move(image[np.newaxis], far), near)[0]
    assert np.abs(move(image[np.newaxis], compose(near, far))[0] - through).mean() < 0.02
