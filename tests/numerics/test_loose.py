import numpy as np
import pytest
from scipy import ndimage
from thin import thin_curves

from napari_scribseg.core import Image, Scribbles
from napari_scribseg.numerics.loose import find_loose
from napari_scribseg.testing import two_discs


@pytest.mark.parametrize("value", [60.0, 180.0], ids=["dark", "bright"])
def test_strokes_wider_than_the_curves_that_they_follow_are_loose(value):
    image, scribbles, truth = thin_curves(value)
    (found,) = find_loose(image, scribbles)
    painted = scribbles.seeds == 1
    assert found.index == 1
    assert truth[painted].mean() < 0.6
    assert truth[found.core].mean() > 0.9
    assert not (found.core & ~painted).any()
    away = ~ndimage.binary_dilation(painted, iterations=3)
    assert (found.log_odds[away & truth] > 0).mean() > 0.8  # curves without strokes, too
    assert (found.log_odds[away & ~truth] > 0).mean() < 0.1


def test_every_stroke_keeps_a_part_along_its_whole_length():
    image, scribbles, _ = thin_curves()
    (found,) = find_loose(image, scribbles)
    for stroke in ndimage.find_objects(ndimage.label(scribbles.seeds == 1)[0]):
        assert found.core[stroke].any(axis=0).mean() > 0.9


def test_strokes_in_wide_structures_are_exact():
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:128, :128]
    radius = np.hypot(rows - 64, columns - 64)
    truth = radius < 40
    image = Image.from_array(np.where(truth, 60.0, 120.0) + rng.normal(0, 6, truth.shape), (1, 1))
    seeds = np.where(np.abs(radius - 30) <= 2.5, 1, np.where(np.abs(radius - 55) <= 1.5, 0, -1)).astype(np.int32)
    assert find_loose(image, Scribbles(seeds, 2)) == ()


def test_a_structure_as_wide_as_three_pens_is_not_thin():
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:128, :128]
    radius = np.hypot(rows - 64, columns - 64)
    ring = np.abs(radius - 35) <= 7.5
    image = Image.from_array(np.where(ring, 60.0, 120.0) + rng.normal(0, 6, ring.shape), (1, 1))
    seeds = np.where(np.abs(radius - 35) <= 2.5, 1, np.where(np.abs(radius - 55) <= 1.5, 0, -1)).astype(np.int32)
    assert find_loose(image, Scribbles(seeds, 2)) == ()


def test_thin_strokes_and_noise_are_exact():
    image, scribbles, truth = thin_curves()
    thin = np.where(ndimage.binary_erosion(scribbles.seeds == 1, iterations=2), 1, -1).astype(np.int32)
    thin[scribbles.seeds == 0] = 0
    assert find_loose(image, Scribbles(thin, 2)) == ()
    noise = Image.from_array(np.random.default_rng(0).normal(0, 1, truth.shape), (1, 1))
    assert find_loose(noise, scribbles) == ()
    assert find_loose(*two_discs()[:2]) == ()


def test_the_background_is_never_loose_and_not_all_classes_are():
    image, scribbles, _ = thin_curves()
    swapped = Scribbles(np.where(scribbles.seeds < 0, -1, 1 - scribbles.seeds).astype(np.int32), 2)
    assert find_loose(image, swapped) == ()
    both = scribbles.seeds.copy()
    both[both == 0] = -1
    both[40:] = np.where(both[40:] == 1, 0, -1)
    assert find_loose(image, Scribbles(both, 2, (3, 4))) == ()


def test_the_scale_of_the_intensities_does_not_matter():
    image, scribbles, _ = thin_curves()
    (found,) = find_loose(image, scribbles)
    (same,) = find_loose(Image.from_array(image.data[0] * 1e-6 - 3e-4, (1, 1)), scribbles)
    assert (found.core == same.core).mean() > 0.999


def test_few_strokes_show_lines_only_where_other_strokes_have_none():
    image, scribbles, _ = thin_curves()
    named, _ = ndimage.label(scribbles.seeds == 1)
    sizes = np.bincount(named.ravel())
    longest = named == 1 + np.argmax(sizes[1:])
    columns = np.flatnonzero(longest.any(axis=0))
    piece = longest & (np.arange(longest.shape[1]) < columns[0] + 90)
    few = np.where(piece, 1, np.where(scribbles.seeds == 0, 0, -1)).astype(np.int32)
    assert len(find_loose(image, Scribbles(few, 2))) == 1
    alone = np.where(piece, 1, -1).astype(np.int32)
    assert find_loose(image, Scribbles(alone, 2)) == ()
    many = np.where(scribbles.seeds == 1, 1, -1).astype(np.int32)
    assert len(find_loose(image, Scribbles(many, 2))) == 1
    on_lines = few.copy()
    on_lines[(scribbles.seeds == 1) & ~longest] = 0
    assert find_loose(image, Scribbles(on_lines, 2)) == ()
