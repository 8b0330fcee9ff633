"""The picture of the page on coarse-to-fine, of coins: ``python docs/make_outline_pictures.py [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from skimage import data
from skimage.segmentation import find_boundaries
from skimage.transform import rescale

from napari_scribseg import Image, Scribbles, get_engine
from napari_scribseg.core import Stroke
from napari_scribseg.simulate import enclosed, sloppy_outline

CROP = (slice(80, 180), slice(100, 220))  # a coin in the middle
CENTRE, RADIUS = (50.0, 54.0), 20.0  # of that coin
ERRORS = (3.0, 3.0, 6.0, 6.0)  # pixels


def main() -> None:
    """Write ``coarse-to-fine.png``: outlines above, the masks made of them below."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    array = data.coins()[CROP]
    rows, columns = np.mgrid[: array.shape[0], : array.shape[1]]
    coin = (rows - CENTRE[0]) ** 2 + (columns - CENTRE[1]) ** 2 <= RADIUS**2
    engine, image = get_engine("coarse-to-fine"), Image.from_array(array, (1.0, 1.0))
    state = engine.prepare(image)
    above, below = [], []
    for seed, error in enumerate(ERRORS):
        outline = sloppy_outline(coin, error, seed)
        nothing = Scribbles(np.full(array.shape, -1, dtype=np.int32), 2)
        result = engine.segment(image, nothing.add(Stroke(outline, 0, 1)), state)
        state = result.state
        above.append(_drawn(array, enclosed(outline, array.shape), (230, 120, 20)))
        below.append(_drawn(array, result.labels == 1, (30, 160, 230)))
    picture = np.concatenate([np.concatenate(above, axis=1), np.concatenate(below, axis=1)])
    Picture.fromarray(picture).save(folder / "coarse-to-fine.png", optimize=True)


def _drawn(array: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """The image twice as large, with the border of a mask in a colour, and a white rim."""
    large = np.repeat(rescale(array / 255, 2, order=1)[..., np.newaxis], 3, axis=-1)
    border = find_boundaries(np.kron(mask, np.ones((2, 2), bool)), mode="thick")
    large[border] = np.asarray(colour) / 255
    return np.pad((255 * large).astype(np.uint8), ((0, 4), (0, 4), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main()
