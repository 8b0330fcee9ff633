"""Made pictures of any size with strokes, for the speed benchmarks: regions of one colour each, texture and noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_scribseg import Image, Scribbles


def scene(size: int = 512, labels: int = 4, stroke_pixels: int = 2000, channels: int = 3) -> tuple[Image, Scribbles]:
    """A picture of ``size`` x ``size`` pixels and about ``stroke_pixels`` stroke pixels, the same at every call."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, size, (4 * labels, 2))
    rows, columns = np.mgrid[:size, :size]
    bend = [ndimage.gaussian_filter(rng.standard_normal((size, size)), size / 30) * size * 1.5 for _ in range(2)]
    nearest = np.zeros((size, size), dtype=np.intp)
    best = np.full((size, size), np.inf)
    for i, (y, x) in enumerate(centres):
        distance = (rows + bend[0] - y) ** 2 + (columns + bend[1] - x) ** 2
        nearest[distance < best] = i
        best = np.minimum(best, distance)
    truth = nearest % labels
    colours = rng.uniform(40, 215, (labels, channels))
    texture = ndimage.gaussian_filter(rng.standard_normal((size, size)), 6)[..., np.newaxis] * 150
    picture = colours[truth] + texture + rng.normal(0, 10, (size, size, channels))
    seeds = np.full((size, size), -1, dtype=np.int32)
    for label in range(labels):
        paint(seeds, truth == label, label, stroke_pixels // labels, rng)
    return Image.from_array(np.clip(picture, 0, 255).astype(np.uint8), (1.0, 1.0)), Scribbles(seeds, labels)


def paint(seeds: np.ndarray, region: np.ndarray, label: int, pixels: int, rng: np.random.Generator) -> None:
    """Paint strokes, three pixels wide, inside a region until it has so many stroke pixels; in place."""
    inside = ndimage.distance_transform_edt(region)
    candidates = np.argwhere(inside > min(4, inside.max() - 1))
    left = pixels
    while left > 0:
        y, x = candidates[rng.integers(len(candidates))]
        angle = rng.uniform(0, 2 * np.pi)
        for _ in range(60):
            window = seeds[max(int(y) - 1, 0) : int(y) + 2, max(int(x) - 1, 0) : int(x) + 2]
            fresh = window != label
            if np.count_nonzero(fresh) > left:
                left = 0
                break
            left -= int(np.count_nonzero(fresh))
            window[...] = label
            angle += rng.normal(0, 0.2)
            y, x = y + np.sin(angle), x + np.cos(angle)
            if not (0 <= y < len(region) and 0 <= x < region.shape[1] and region[int(y), int(x)]):
                break


def with_one_more_stroke(scribbles: Scribbles, pixels: int = 100) -> Scribbles:
    """The scribbles with a straight stroke of the first class, three pixels wide, where nothing was painted."""
    seeds = scribbles.seeds.copy()
    length = pixels // 3
    free = ndimage.minimum_filter(seeds == -1, (9, length + 9), mode="constant", cval=0)
    near = ndimage.distance_transform_edt(seeds != 0)
    y, x = np.unravel_index(np.argmin(np.where(free, near, np.inf)), seeds.shape)
    seeds[y - 1 : y + 2, x - length // 2 : x - length // 2 + length] = 0
    return Scribbles(seeds, scribbles.n_classes, scribbles.ids)
