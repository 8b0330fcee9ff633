"""Where a layer with fewer voxels has to lie to cover the same part of the world: arithmetic, no layer objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_scribseg.core import Geometry

__all__ = ["cover", "plain_geometry"]

_MILLIMETRES = {"nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "meter": 1000.0}


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


def plain_geometry(
    shape: Sequence[int], scale: Sequence[float], units: Sequence[str], axis_labels: Sequence[str]
) -> Geometry:
    """The geometry of an image that no reader of ours opened: voxel sizes, in millimetres where the units say so.

    Parameters
    ----------
    shape : sequence of int
        Voxels along each axis.
    scale : sequence of float
        Voxel sizes along them.
    units : sequence of str
        Unit of each axis, such as ``"pixel"`` or ``"micrometer"``.
    axis_labels : sequence of str
        Names of the axes; those that napari made up are replaced.
    """
    known = [_MILLIMETRES.get(unit) for unit in units]
    metric = len(shape) > 0 and all(size is not None for size in known[-2:])
    spacing = tuple(
        abs(float(s)) * (size if metric and size is not None else 1.0) for s, size in zip(scale, known, strict=True)
    )
    named = not any(label.lstrip("-").isdigit() or label.startswith("axis ") for label in axis_labels)
    return Geometry(
        shape=tuple(int(n) for n in shape),
        spacing=spacing,
        unit="millimeter" if metric else "pixel",
        axis_names=tuple(axis_labels) if named else (),
    )
