"""Labels that a simulated user may meet."""

import numpy as np
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter


def disc(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def blobs(shape, seed, width):
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), width, mode="wrap")
    return noise > 0.5 * noise.std()


@st.composite
def labels(draw):
    """Empty, one pixel, discs that may touch the border, rings, many components, the whole image."""
    shape = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    kind = draw(st.sampled_from(["empty", "full", "pixel", "disc", "ring", "blobs", "noise"]))
    row, column = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
    size = draw(st.integers(1, 30))
    if kind in ("empty", "full"):
        return np.full(shape, kind == "full")
    if kind == "pixel":
        return disc(shape, (row, column), 0)
    if kind == "disc":
        return disc(shape, (row, column), size)
    if kind == "ring":
        return disc(shape, (row, column), size) & ~disc(shape, (row, column), size - draw(st.integers(1, 6)))
    return blobs(shape, size, 3.0 if kind == "blobs" else 0.0)
