"""Outlines drawn in a hurry."""

import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.simulate import enclosed, sloppy_outline


def disc(radius=30, shape=(120, 130)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - 60) ** 2 + (x - 64) ** 2 < radius**2


def iou(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def test_without_error_it_encloses_the_label():
    assert iou(enclosed(sloppy_outline(disc(), 0, 0), (120, 130)), disc()) > 0.98


def test_a_line_is_closed_and_the_same_for_the_same_seed():
    line = sloppy_outline(disc(), 3, 7)
    assert np.array_equal(line[0], line[-1])
    assert np.array_equal(line, sloppy_outline(disc(), 3, 7))
    assert not np.array_equal(line, sloppy_outline(disc(), 3, 8))


def test_larger_errors_are_farther_off():
    found = [
        np.mean([iou(enclosed(sloppy_outline(disc(), e, s), (120, 130)), disc()) for s in range(8)]) for e in (1, 4, 10)
    ]
    assert found[0] > found[1] > found[2]
    assert 0.85 < found[0] < 1


def test_the_error_has_its_size():
    off = []
    for seed in range(40):
        line = sloppy_outline(disc(40), 4, seed)
        off.append(np.hypot(line[:, 0] - 60, line[:, 1] - 64) - 39.5)
    assert 3 < np.sqrt(np.mean(np.square(np.concatenate(off)))) < 5


def test_a_label_at_the_rim_and_the_larger_of_two_pieces():
    label = np.zeros((50, 60), bool)
    label[:20, :25] = True
    label[40:45, 50:55] = True
    inside = enclosed(sloppy_outline(label, 0, 0), label.shape)
    assert inside[10, 10]
    assert not inside[42, 52]
    moved = [sloppy_outline(label, 4, seed) for seed in range(5)]
    assert all((line >= -0.5).all() and (np.rint(line) < label.shape).all() for line in moved)


@pytest.mark.parametrize(("label", "error"), [(np.zeros((5, 5), bool), 1), (disc(), -1), (disc(), np.nan)])
def test_bad_input(label, error):
    with pytest.raises(InputError, match="expected"):
        sloppy_outline(label, error, 0)
