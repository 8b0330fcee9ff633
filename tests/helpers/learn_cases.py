"""Small volumes in files, and slices of them that are labelled by hand."""

from __future__ import annotations

import nibabel
import numpy as np

SHAPE = (5, 12, 16)


def ball(seed: int) -> np.ndarray:
    """Where something bright lies in the volume of a seed, shape (5, 12, 16), bool."""
    z, y, x = np.indices(SHAPE)
    return (2 * (z - 2)) ** 2 + (y - 5 - seed % 3) ** 2 + (x - 7 - seed % 4) ** 2 < 16


def write_volume(path, seed: int):
    """A noisy volume with a bright ball, as NIfTI."""
    rng = np.random.default_rng(seed)
    values = 300 * ball(seed) + rng.integers(0, 90, SHAPE)
    affine = np.diag([-0.8, -0.9, 2.0, 1.0])
    affine[:3, 3] = 10, 20, -30 + seed
    image = nibabel.Nifti1Image(values.astype(np.int16).T, affine)
    image.header.set_xyzt_units("mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def label(session, index: int, shift: int = 0, identity: int = 1):
    """Set the labels of a slice by hand: the ball of the first volume, moved, and accept it."""
    labels = np.roll(identity * ball(0)[index], shift, axis=1).astype(np.uint8)
    session.edit(labels, index)
    session.accept(index)
    return labels
