"""Ten thousand random labels, the same in every run: ``pytest -m slow tests/simulate``."""

import numpy as np
import pytest
from label_shapes import blobs, disc

from napari_scribseg.simulate import simulate_scribble

KINDS = ("empty", "full", "pixel", "border", "disc", "ring", "discs", "blobs", "noise", "line")


def random_label(kind, rng):
    """A label of a kind; up to 48 pixels high and wide."""
    shape = tuple(rng.integers(1, 49, 2))
    y, x = (int(rng.integers(s)) for s in shape)
    size = int(rng.integers(1, 25))
    if kind in ("empty", "full"):
        return np.full(shape, kind == "full")
    if kind == "pixel":
        return disc(shape, (y, x), 0)
    if kind == "border":
        return disc(shape, (y, 0) if rng.random() < 0.5 else (shape[0] - 1, x), size)
    if kind == "disc":
        return disc(shape, (y, x), size)
    if kind == "ring":
        return disc(shape, (y, x), size) & ~disc(shape, (y, x), size - rng.integers(1, 6))
    if kind == "discs":
        centres = rng.uniform(0, shape, (int(rng.integers(2, 30)), 2))
        return np.any([disc(shape, centre, rng.uniform(0, 4)) for centre in centres], axis=0)
    if kind == "line":
        label = np.zeros(shape, dtype=bool)
        label[y, : x + 1] = label[: y + 1, x] = True
        return label
    return blobs(shape, int(rng.integers(1000)), 3.0 if kind == "blobs" else 0.0)


def check(label, found):
    """Something is painted where there is something; outside only by edges that leave the label."""
    assert found.mask.shape == label.shape
    assert found.mask.dtype == bool
    assert found.mask.any() == label.any()
    assert (found.mask & label).any() == label.any()
    assert label[tuple(found.points.T)].all()
    beyond = np.argwhere(found.mask & ~label)
    if len(beyond):
        way = np.concatenate([line.points[line.leaves] for line in found.lines])
        nearest = np.hypot(*(beyond[:, np.newaxis] - way).transpose(2, 0, 1)).min(axis=1)
        assert nearest.max() <= found.radius + np.sqrt(0.5) + 1e-9  # a pen that stands on a pixel


@pytest.mark.slow
def test_ten_thousand_random_labels():
    rng = np.random.default_rng(0)
    for number in range(10_000):
        label = random_label(KINDS[number % len(KINDS)], rng)
        found = simulate_scribble(label, number)
        check(label, found)
        if number // len(KINDS) % 10 == 0:  # each kind in turn
            again = simulate_scribble(label, number)
            np.testing.assert_array_equal(again.mask, found.mask)
            np.testing.assert_array_equal(again.edges, found.edges)
