"""An image of thin curves, and strokes along some of them with a pen that is wider."""

import numpy as np

from napari_scribseg.core import Image, Scribbles


def thin_curves(value=60.0, seed=0):
    """Five curves, two pixels wide, on a noisy ground of 120.

    Two of them have strokes, five pixels wide and one pixel beside; strokes of the background run between curves.
    Returns the image, the scribbles and the mask of the curves.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:96, :128]
    curves = np.stack([rows - (13 + 17 * i + 4 * np.sin(columns / 12 + i)) for i in range(5)])
    truth = (np.abs(curves) <= 1.0).any(axis=0)
    image = Image.from_array(np.where(truth, value, 120.0) + rng.normal(0, 6, truth.shape), (1.0, 1.0))
    seeds = np.full(truth.shape, -1, dtype=np.int32)
    seeds[(np.abs(curves[2] - 9) <= 1) & (columns > 20) & (columns < 100)] = 0
    seeds[(np.abs(curves[0] - 9) <= 1) & (columns > 20) & (columns < 100)] = 0
    for i in (1, 3):
        seeds[(np.abs(curves[i] - 1) <= 2.5) & (columns > 10) & (columns < 116)] = 1
    return image, Scribbles(seeds, 2), truth
