"""Slices with bright discs that a network learns within seconds."""

import numpy as np

from napari_scribseg.core import ClassTable
from napari_scribseg.core.source import Source
from napari_scribseg.learn import Example, LearnSettings
from napari_scribseg.learn.slices import SliceReader

QUICK = LearnSettings(steps=180, again=30, batch=4, side=64)
CLASSES = ClassTable.from_ids([1, 2, 5], background=1)


def volume_of(seed, shape=(8, 40, 48)):
    """An image with a bright disc (class 2) and a dark one (class 5) in each slice, and its labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    rows, columns = np.ogrid[: shape[1], : shape[2]]
    for label in labels:
        for identity, column in ((2, 14), (5, 34)):
            middle = rng.uniform(14, 26), column + rng.uniform(-3, 3)
            label[(rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < rng.uniform(6, 9) ** 2] = identity
    image = np.choose(labels, [100, 0, 180, 0, 0, 20]) + rng.normal(0, 8, shape)
    return Source.from_array(image.astype(np.float32), spacing=(3.0, 0.5, 0.5)), labels


def examples_from(seed, count=8):
    """Accepted examples of a volume."""
    source, labels = volume_of(seed)
    reader = SliceReader(source)
    slices = list(source.slices())[:count]
    return [Example(f"case {seed}", i, *_read(reader, i, labels[i.position[0]])) for i in slices]


def _read(reader, slice_index, labels):
    image, spacing = reader.read(slice_index)
    return image, labels, True, spacing
