"""Where a layer with fewer voxels has to lie to cover the same part of the world: arithmetic, no layer objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.utils.transforms import Affine
from numpy.typing import NDArray

__all__ = ["cover", "made_up"]


def cover(
    shape: Sequence[int],
    new_shape: Sequence[int],
    *,
    scale: Sequence[float],
    translate: Sequence[float],
    rotate: NDArray[np.float64],
    shear: NDArray[np.float64],
) -> dict[str, Any]:
    """Scale and translation of a layer of ``new_shape`` that covers one of ``shape`` exactly.

    An axis of length one so becomes one thick voxel that is met at every position of the slider: this is how strokes
    drawn on any channel, and an overlay of one slice, stay in sight. Coarser levels of a pyramid are placed alike.

    Parameters
    ----------
    shape, new_shape : sequence of int
        Voxels of the layer that is there, and of the layer to be placed.
    scale, translate, rotate, shear
        Of the layer that is there, as napari has them.

    Returns
    -------
    dict
        ``scale`` and ``translate``, both of shape (ndim,).
    """
    factor = np.asarray(shape, dtype=float) / np.asarray(new_shape, dtype=float)
    linear = Affine(scale=scale, rotate=rotate, shear=shear, ndim=len(shape)).linear_matrix
    return {
        "scale": np.asarray(scale, dtype=float) * factor,
        "translate": np.asarray(translate, dtype=float) + linear @ ((factor - 1) / 2),
    }


def made_up(label: str) -> bool:
    """Whether napari gave an axis its name, because nobody else did."""
    return label.lstrip("-").isdigit() or label.startswith("axis ")
