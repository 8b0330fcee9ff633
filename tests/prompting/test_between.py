import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_scribseg.core import InputError
from napari_scribseg.nets import PixelNet, PixelNetConfig
from napari_scribseg.numerics.filling import fill_span
from napari_scribseg.numerics.filling.features import (
    N_FEATURES,
    N_MAPS,
    ONE_SIDED,
    features,
    maps_of,
    prior_logits,
)
from napari_scribseg.numerics.filling.shapes import signed_distances
from napari_scribseg.numerics.filling.sides import Side
from napari_scribseg.prompting.between import FillBetween, shipped_fill_between

ROWS, COLUMNS = np.mgrid[:48, :56]


def disc(r, y=24, x=28):
    return (np.hypot(ROWS - y, COLUMNS - x) < r).astype(np.int32)


def side(labels, image=None, ids=(0, 1)):
    image = labels.astype(np.float32) if image is None else image
    return Side.of(
        signed_distances(labels, np.asarray(ids), (1.0, 1.0)), np.searchsorted(ids, labels), image, (1.0, 1.0)
    )


@pytest.fixture
def silent_network():
    """Adds nothing."""
    model = PixelNet(PixelNetConfig(hidden=(4,)))
    torch.nn.init.zeros_(model.layers[-1].weight)
    torch.nn.init.zeros_(model.layers[-1].bias)
    return FillBetween(model)


def test_a_network_of_other_features_is_refused():
    with pytest.raises(InputError, match="takes 5 features; 30 are expected"):
        FillBetween(PixelNet(PixelNetConfig(in_channels=5)))


def test_the_maps_hold_both_sides_and_how_near_they_are():
    first, last = side(disc(8)), side(disc(12))
    x = maps_of((first, last), (1, 3), disc(9).astype(np.float32), 1)
    assert x.shape == (N_MAPS, 48, 56)
    np.testing.assert_array_equal(x[0], 2.0 * disc(9) - 1)
    np.testing.assert_allclose(x[5], 0.75 * x[3] + 0.25 * x[4], atol=1e-6)
    assert (prior_logits(x)[24, 28] > 0) & (prior_logits(x)[0, 0] < 0)
    assert x[6][24, 28] > 0 > x[6][0, 28]
    assert features(x).shape == (N_FEATURES, 48, 56)
    np.testing.assert_array_equal(features(x)[:N_MAPS], x)
    np.testing.assert_allclose(x[7:, 0, 0], [0.1, 0.3])
    swapped = maps_of((last, first), (3, 1), disc(9).astype(np.float32), 1)
    np.testing.assert_allclose(swapped[[0, 2, 1, 4, 3, 5, 6, 8, 7]], x, atol=1e-6)


def test_beyond_the_outermost_anchor_the_second_side_is_far():
    x = maps_of((side(disc(8)),), (2,), disc(9).astype(np.float32), 1)
    np.testing.assert_array_equal(x[1], x[2])
    np.testing.assert_array_equal(x[3], x[4])
    np.testing.assert_allclose(x[7:, 0, 0], [0.2, ONE_SIDED / 10])


def test_a_network_that_adds_nothing_leaves_the_blended_shapes(silent_network):
    first, last = disc(8), disc(14)
    images = [np.zeros((1, 48, 56), np.float32)] * 12
    plain = {p.offset: p.labels for p in fill_span(first, last, images) if p.final}
    same = {p.offset: p.labels for p in fill_span(first, last, images, refine=silent_network) if p.final}
    for k, labels in plain.items():
        np.testing.assert_array_equal(same[k], labels)


def test_each_of_several_classes_has_its_logits(silent_network):
    labels = disc(8, 20, 16) + 2 * disc(7, 28, 40)
    both = side(labels, ids=(0, 1, 2))
    logits = silent_network((both, both), (1, 1), labels.astype(np.float32))
    assert logits.shape == (3, 48, 56)
    np.testing.assert_array_equal(logits.argmax(axis=0), labels)


def test_a_structure_whose_class_changes_is_no_background():
    first, last = disc(12), 2 * disc(12)
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(5, 48, 56)), (0, 1, 1))
    images = [(100 * disc(12) + 15 * n)[np.newaxis].astype(np.float32) for n in noise]
    for part in fill_span(first, last, images, refine=shipped_fill_between()):
        assert np.count_nonzero((part.labels != 0) != (disc(12) != 0)) < 25


def test_the_shipped_network_follows_the_image_where_the_shapes_change_at_once():
    """A bright disc that grows between two slices, not evenly."""
    radii = [8, 8, 8, 14, 14, 14, 14]
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(7, 48, 56)), (0, 1, 1))
    truth = [disc(r) for r in radii]
    images = [(100 * t + 15 * n)[np.newaxis].astype(np.float32) for t, n in zip(truth, noise, strict=True)]
    wrong = []
    for refine in (None, shipped_fill_between()):
        parts = fill_span(truth[0], truth[-1], images, refine=refine)
        final = {part.offset: part for part in parts if part.final}
        wrong.append(sum(np.count_nonzero(final[k].labels != truth[k]) for k in final))
    assert wrong[1] < wrong[0]


def test_it_follows_the_image_beyond_the_outermost_anchor_and_ends():
    """A bright disc that grows, then is gone."""
    truth = [disc(8 + 0.5 * k) if k < 6 else disc(0) for k in range(30)]
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(30, 48, 56)), (0, 1, 1))
    images = [(100 * t + 15 * n)[np.newaxis].astype(np.float32) for t, n in zip(truth, noise, strict=True)]
    found = {p.offset: p.labels for p in fill_span(truth[0], None, images, refine=shipped_fill_between())}
    assert sorted(found) == list(range(1, len(found) + 1))
    assert 3 <= len(found) < 15
    for k in range(1, 4):
        assert np.count_nonzero(found[k] != truth[k]) < 0.15 * np.count_nonzero(truth[k])
