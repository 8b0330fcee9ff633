"""The engine coarse-to-fine: reading outlines, masks to learn from, the fit, and the engine's contract."""

import dataclasses

import numpy as np
import pytest
import torch

from napari_scribseg.annotate.segment import to_label_ids
from napari_scribseg.core import Cancelled, Image, InputError, Scribbles, Stroke
from napari_scribseg.engines.coarse_to_fine import CoarseToFine
from napari_scribseg.engines.coarse_to_fine.rough_outlines import cell_labels, read_drawing
from napari_scribseg.engines.coarse_to_fine.shapes import draw_shape, find_regions, sloppy_cells, snap
from napari_scribseg.testing import two_discs

SMALL = CoarseToFine(samples=16, epochs=1, width=8, repeats=2)


def ring(shape=(60, 80), centre=(30, 40), radius=20, label=1, n_classes=2, gap=0.0):
    """Scribbles of one freehand circle, part of it left open."""
    angle = np.linspace(0, 2 * np.pi - gap, 200)
    line = np.stack([centre[0] + radius * np.sin(angle), centre[1] + radius * np.cos(angle)], axis=1)
    return Scribbles(np.full(shape, -1, np.int32), n_classes).add(Stroke(line, 0, label))


def disc(shape=(60, 80), centre=(30, 40), radius=20):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


@pytest.mark.parametrize("more", [{"representation": "encoder"}, {"mask": "thresholded"}, {"shapes": "paper"}])
def test_the_contract_of_its_variants(more):
    image, scribbles, _ = two_discs(channels=3)
    engine = dataclasses.replace(SMALL, **more)
    result = engine.segment(image, scribbles, engine.prepare(image, "cpu"))
    valid = scribbles.seeds >= 0
    assert np.array_equal(result.labels[valid], scribbles.seeds[valid])
    assert np.allclose(result.probabilities.sum(0), 1, atol=1e-4)


@pytest.mark.parametrize("gap", [0.0, 0.3])
def test_a_closed_line_is_an_area_even_if_its_ends_do_not_meet(gap):
    drawing = read_drawing(ring(gap=gap), cell=6)
    assert drawing.background == 0
    assert (drawing.strokes == -1).all()
    inside = drawing.areas == 1
    assert np.count_nonzero(inside & disc()) / np.count_nonzero(inside | disc()) > 0.9


def test_a_line_far_from_closed_is_a_stroke():
    drawing = read_drawing(ring(gap=3.0), cell=6)
    assert (drawing.areas == -1).all()
    assert np.count_nonzero(drawing.strokes == 1) == ring(gap=3.0).counts[1]


def test_the_smaller_of_two_areas_counts_and_a_stroke_in_them_is_kept():
    seeds = ring(n_classes=3, radius=25).seeds.copy()
    seeds[ring(radius=10, label=1).seeds == 1] = 2
    seeds[8:12, 38] = 0
    drawing = read_drawing(Scribbles(seeds, 3), cell=5)
    assert drawing.areas[30, 40] == 2
    assert drawing.areas[30, 60] == 1
    assert (drawing.strokes[8:12, 38] == 0).all()


def test_what_is_painted_full_is_an_area():
    seeds = np.where(disc(), 1, -1).astype(np.int32)
    drawing = read_drawing(Scribbles(seeds, 2), cell=5)
    assert np.array_equal(drawing.areas == 1, disc())


def test_cells_by_the_gradient_where_only_strokes_are_drawn():
    picture = np.zeros((1, 40, 60), np.float32)
    picture[:, :, 30:] = 1
    seeds = np.full((40, 60), -1, np.int32)
    seeds[20, 5:10], seeds[20, 50:55] = 0, 1
    cells = cell_labels(read_drawing(Scribbles(seeds, 2), 10), picture, (4, 6), 2)
    assert np.array_equal(cells, np.repeat([[0, 0, 0, 1, 1, 1]], 4, 0))


def test_an_outline_need_not_be_kept_but_a_stroke_is():
    image = Image.from_array(np.where(disc(radius=14), 200.0, 20.0), (1, 1))
    scribbles = ring(radius=20)
    result = SMALL.segment(image, scribbles, SMALL.prepare(image, "cpu"))
    assert result.outlines
    assert np.array_equal(to_label_ids(result, scribbles), result.labels)
    assert result.labels[30, 40] == 1
    assert result.labels[2, 2] == 0
    scribbles = scribbles.add(Stroke(np.asarray([[30.0, 38], [30, 42]]), 0, 0))
    result = SMALL.segment(image, scribbles, result.state)
    assert (result.labels[30, 38:43] == 0).all()


def test_a_stopped_fit_goes_on_and_ends_alike():
    image, scribbles, _ = two_discs()
    whole = SMALL.segment(image, scribbles, SMALL.prepare(image, "cpu"))
    state = SMALL.prepare(image, "cpu")
    seen = []

    def stop(fraction, preview=None):
        seen.append((fraction, preview is not None))
        if fraction > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        SMALL.segment(image, scribbles, state, stop)
    assert any(shown for _, shown in seen)
    assert state.fit.progress > 0.3
    later = []
    result = SMALL.segment(image, scribbles, state, lambda fraction, preview=None: later.append(fraction))
    assert later[2] > 0.3
    assert np.array_equal(result.probabilities, whole.probabilities)
    assert result.state.fit.done


def test_the_fit_is_kept_for_the_image():
    image, scribbles, _ = two_discs()
    result = SMALL.segment(image, scribbles, SMALL.prepare(image, "cpu"))
    weights = result.state.fit.net.wider[0].weight.clone()
    again = SMALL.segment(image, scribbles, result.state)
    assert torch.equal(weights, again.state.fit.net.wider[0].weight)
    assert again.state.fit is result.state.fit


def test_learning_makes_the_error_on_held_back_masks_smaller():
    image, scribbles, _ = two_discs(channels=3)
    engine = dataclasses.replace(SMALL, samples=64, epochs=6, sloppiness=0.0)
    result = engine.segment(image, scribbles, engine.prepare(image, "cpu"))
    scores = result.state.fit.scores
    assert min(scores) < scores[0]
    curve = result.curve
    assert list(curve.validation[np.isfinite(curve.validation)]) == scores
    assert curve.steps[-1] == curve.max_steps == 6 * 6
    assert curve.best in 6 * np.arange(1, 7)


def test_a_large_image_is_fitted_smaller_and_segmented_whole():
    image = Image.from_array(np.where(disc((200, 300), (100, 150), 60), 200.0, 20.0), (1, 1))
    engine = dataclasses.replace(SMALL, resolution=64)
    state = engine.prepare(image, "cpu")
    assert state.picture.shape == (1, 43, 64)
    scribbles = ring((200, 300), (100, 150), 62)
    labels = engine.segment(image, scribbles, state).labels
    assert labels.shape == (200, 300)
    assert labels[100, 150] == 1


@pytest.mark.parametrize("n_classes", [1, 12])
def test_few_and_many_classes(n_classes):
    image = Image.from_array(np.random.default_rng(0).normal(0, 1, (48, 60)), (1, 1))
    seeds = np.full((48, 60), -1, np.int32)
    for k in range(n_classes):
        seeds[4 * (k % 12) : 4 * (k % 12) + 3, 5:50] = k
    if n_classes == 1:
        with pytest.raises(InputError, match="one class"):
            SMALL.segment(image, Scribbles(seeds, 1), SMALL.prepare(image, "cpu"))
        return
    result = SMALL.segment(image, Scribbles(seeds, n_classes, tuple(range(1, 13))), SMALL.prepare(image, "cpu"))
    assert result.probabilities.shape == (12, 48, 60)
    assert np.isfinite(result.probabilities).all()


def test_eight_channels_and_strokes_on_every_pixel():
    image = Image.from_array(np.random.default_rng(0).normal(0, 1, (40, 44, 8)), (1, 1))
    seeds = np.zeros((40, 44), np.int32)
    seeds[:, 20:] = 1
    result = SMALL.segment(image, Scribbles(seeds, 2, (3, 4)), SMALL.prepare(image, "cpu"))
    assert result.labels[20, 5] == 0
    assert result.labels[20, 40] == 1


@pytest.mark.parametrize("kind", ["rectangle", "circle", "smooth"])
def test_shapes_are_not_too_small(kind):
    shapes = [draw_shape((60, 80), kind, np.random.default_rng(seed)) for seed in range(30)]
    assert all(shape.any() for shape in shapes)
    assert np.mean([shape.mean() for shape in shapes]) > 0.05
    assert len({shape.tobytes() for shape in shapes}) == 30


def test_a_shape_moves_to_the_regions_that_it_covers():
    regions = np.repeat(np.arange(4), 10)[np.newaxis].repeat(20, 0)
    mask = np.zeros((20, 40), bool)
    mask[:, 3:17] = True
    assert np.array_equal(snap(mask, (regions,)), regions < 2)
    halves = np.where(np.arange(40) < 20, 0, 1)[np.newaxis].repeat(20, 0)
    assert np.array_equal(snap(mask, (halves, halves, regions)), regions < 2)
    small = np.zeros((20, 40), bool)
    small[5:8, 5:8] = True
    assert np.array_equal(snap(small, (regions,)), small)


def test_regions_end_where_the_image_has_an_edge():
    picture = np.zeros((64, 64, 1), np.float32)
    picture[:, 32:] = 1
    for regions in find_regions(picture):
        assert not set(np.unique(regions[:, :31])) & set(np.unique(regions[:, 33:]))


def test_cells_of_a_careful_and_of_a_sloppy_hand():
    mask = disc((60, 60), (30, 30), 20)
    exact = sloppy_cells(mask, (10, 10), 0, np.random.default_rng(0))
    assert np.count_nonzero(exact != (mask.reshape(10, 6, 10, 6).mean(axis=(1, 3)) >= 0.5)) <= 2
    sloppy = [sloppy_cells(mask, (10, 10), 1, np.random.default_rng(seed)) for seed in range(5)]
    assert any(not np.array_equal(cells, exact) for cells in sloppy)
    assert all(np.count_nonzero(cells & exact) > 0.4 * np.count_nonzero(cells | exact) for cells in sloppy)


@pytest.mark.parametrize(("channels", "grey"), [(3, False), (3, True), (1, False), (2, False)])
def test_the_coarse_picture_shows_the_cells(channels, grey):
    rng = np.random.default_rng(0)
    image = Image.from_array(rng.integers(0, 255, (50, 64, channels)).astype(np.uint8), (1.0, 1.0))
    engine = CoarseToFine(samples=8, epochs=1, width=8, repeats=2, grey=grey)
    state = engine.prepare(image, "cpu")
    found = engine.picture("coarse picture", state)
    rows, columns = state.fit.net.grid
    assert found.shape == (50, 64, 3)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) <= rows * columns
    if channels == 1:
        np.testing.assert_allclose(found.mean(), state.picture.mean(), atol=0.03)
    assert (found[..., 0] == found[..., 2]).all() == (grey or channels != 3)
    seeds = np.full(image.shape, -1, dtype=np.int32)
    seeds[5:20, 5:20], seeds[40:, 50:] = 1, 0
    assert engine.segment(image, Scribbles(seeds, 2), state).labels.shape == (50, 64)
    assert state.fit.net.config.in_channels == 2 * (channels if not grey else 1) + 1
