"""Spans: the slices between two labelled ones, with strokes of every orientation."""

import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.numerics.filling import fill_span
from napari_scribseg.numerics.volume_cut import cut_span, span

BRIGHT, DARK = 300, 7
N, SIZE = 9, 40


@pytest.fixture
def scene():
    """A disc that moves and grows in depth, and a block that only the inner slices have."""
    rows, columns = np.indices((SIZE, SIZE))
    labels = np.zeros((N, SIZE, SIZE), np.uint16)
    image = np.random.default_rng(1).normal(0, 6, labels.shape)
    for z in range(N):
        labels[z][np.hypot(rows - 14, columns - 10 - z) < 6 + 0.3 * z] = BRIGHT
    labels[3:6, 28:34, 8:16] = DARK
    image += np.select([labels == BRIGHT, labels == DARK], [100, -100], 0)
    return image.astype(np.float32)[:, np.newaxis], labels


def filled(parts, shape):
    found, order = np.zeros(shape, np.int64), []
    for part in parts:
        if part.final:
            order.append(part.offset)
            found[part.offset] = part.labels
            assert part.labels.dtype == np.uint16
            assert part.certainty.dtype == np.float32
            assert 0 <= part.certainty.min() <= part.certainty.max() <= 1
    return found, order


def test_every_slice_between_has_its_labels_nearest_first(scene):
    images, labels = scene
    parts = list(cut_span(labels[0], labels[-1], images))
    assert [part.final for part in parts] == [False] * (N - 2) + [True] * (N - 2)
    found, order = filled(parts, labels.shape)
    assert order == [1, 7, 2, 6, 3, 5, 4]
    inner = slice(1, -1)
    both = np.count_nonzero((found[inner] == BRIGHT) & (labels[inner] == BRIGHT))
    assert 2 * both / (np.count_nonzero(found[inner] == BRIGHT) + np.count_nonzero(labels[inner] == BRIGHT)) > 0.95


def test_a_stroke_of_another_orientation_shows_what_neither_anchor_has(scene):
    images, labels = scene
    alone, _ = filled(cut_span(labels[0], labels[-1], images), labels.shape)
    assert not (alone == DARK).any()
    strokes = np.full(labels.shape, -1)
    strokes[3:6, 30, 10:14] = DARK  # painted on the coronal slice 30
    found, _ = filled(cut_span(labels[0], labels[-1], images, strokes=strokes), labels.shape)
    assert (found[3:6, 30, 10:14] == DARK).all()
    assert np.count_nonzero((found == DARK) & (labels == DARK)) > 0.8 * np.count_nonzero(labels == DARK)
    assert np.count_nonzero((found == DARK) & (labels != DARK)) < 0.2 * np.count_nonzero(labels == DARK)
    assert (found == BRIGHT).sum() == pytest.approx((alone == BRIGHT).sum(), rel=0.02)


def test_a_stroke_corrects_the_filled_labels_around_it_only(scene):
    images, labels = scene
    before, _ = filled(cut_span(labels[0], labels[-1], images), labels.shape)
    strokes = np.full(labels.shape, -1)
    strokes[4, 35:38, 30:33] = BRIGHT
    after, _ = filled(cut_span(labels[0], labels[-1], images, strokes=strokes), labels.shape)
    assert (after[4, 35:38, 30:33] == BRIGHT).all()
    assert (after[1:-1, :24] == before[1:-1, :24]).mean() > 0.995


def test_a_span_that_labelled_slices_cross_is_labelled_to_its_end(scene):
    images, labels = scene
    strokes = np.full(labels.shape, -1)
    strokes[1:, 14], strokes[1:, 30] = labels[1:, 14], labels[1:, 30]  # not on the anchor
    found, order = filled(cut_span(labels[0], None, images, strokes=strokes), labels.shape)
    assert order == list(range(1, N))
    assert (found[1:, 14] == labels[1:, 14]).all()
    for label in (BRIGHT, DARK):
        both = np.count_nonzero((found[1:] == label) & (labels[1:] == label))
        assert 2 * both / (np.count_nonzero(found[1:] == label) + np.count_nonzero(labels[1:] == label)) > 0.85


def test_an_open_span_ends_where_filling_ends(scene):
    images, labels = scene
    _, order = filled(cut_span(labels[0], None, images), labels.shape)
    _, expected = filled(fill_span(labels[0], None, images), labels.shape)
    assert order == expected


def test_anchors_of_one_class_need_no_cut(scene):
    images, labels = scene
    empty = np.zeros_like(labels[0])
    found, order = filled(cut_span(empty, empty, images), labels.shape)
    assert len(order) == N - 2
    assert not found.any()


def test_slices_of_one_class_that_cross_leave_no_other(scene):
    images, labels = scene
    strokes = np.full(labels.shape, -1)
    strokes[:, 2] = 0
    found, order = filled(cut_span(np.zeros_like(labels[0]), None, images, strokes=strokes), labels.shape)
    assert len(order) == N - 1
    assert not found.any()


def test_a_span_that_is_too_large_is_filled_and_not_cut(scene, monkeypatch):
    images, labels = scene
    monkeypatch.setattr(span, "MOST_VOXELS", 100)
    found, _ = filled(cut_span(labels[0], labels[-1], images), labels.shape)
    expected, _ = filled(fill_span(labels[0], labels[-1], images), labels.shape)
    assert (found == expected).all()


def test_strokes_of_another_shape_are_refused(scene):
    images, labels = scene
    with pytest.raises(InputError, match=r"the strokes have shape \(2, 40, 40\); \(9, 40, 40\) is expected"):
        cut_span(labels[0], labels[-1], images, strokes=np.zeros((2, SIZE, SIZE), int))


def test_borders_that_move_far_mean_that_the_distance_is_large():
    rows, columns = np.indices((64, 64))
    labels = np.stack([np.hypot(rows - 32, columns - 14 - 5 * z) < 11 - 1.5 * z for z in range(5)]).astype(np.uint16)
    images = (60 * labels + np.random.default_rng(0).normal(0, 20, labels.shape)).astype(np.float32)[:, np.newaxis]
    found, _ = filled(cut_span(labels[0], labels[-1], images), labels.shape)
    as_it_is, _ = filled(cut_span(labels[0], labels[-1], images, by_motion=False), labels.shape)
    distance = span._with_motion(labels[0], labels[-1], 4, (1.0, 1.0, 1.0))[0]
    given, _ = filled(cut_span(labels[0], labels[-1], images, (distance, 1.0, 1.0), by_motion=False), labels.shape)
    assert distance > 3
    assert (found == given).all()
    wrong, before = (np.count_nonzero(each[1:-1] != labels[1:-1]) for each in (found, as_it_is))
    assert wrong < before


def test_borders_that_move_little_leave_the_spacing(scene):
    images, labels = scene
    for spacing in ((1.0, 1.0, 1.0), (2.5, 0.5, 0.5)):
        assert span._with_motion(labels[0], labels[-1], N - 1, spacing) == spacing
    found, _ = filled(cut_span(labels[0], labels[-1], images), labels.shape)
    as_it_is, _ = filled(cut_span(labels[0], labels[-1], images, by_motion=False), labels.shape)
    assert (found == as_it_is).all()
