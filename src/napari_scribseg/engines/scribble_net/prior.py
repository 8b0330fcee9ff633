"""What colours near the strokes say of each class: the spatially varying densities of the variational model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.constants import MIN_RHO
from napari_scribseg.numerics.fused.density import spatially_varying_density
from napari_scribseg.numerics.fused.distance import euclidean_distance
from napari_scribseg.numerics.seeds import thin_seeds

__all__ = ["log_shares"]

ALPHA = 10.0  # width of the spatial kernel, in distances to the nearest stroke
SIGMA = 8.0  # width of the colour kernel, on the scale 0 to 255
_LEAST_SHARE = 1e-3  # added to a class's share of the densities
_OPEN_SHARE = 0.1  # least share of an open class
_NO_DENSITY = 1e-12  # sum of the densities below which no class has a share

Float32 = NDArray[np.float32]


def log_shares(
    planes: Float32,
    seeds: NDArray[np.int32],
    n_classes: int,
    pixel: tuple[float, float],
    open_class: int | None = None,
) -> Float32:
    """Logarithm of each class's share of the densities (Nieuwenhuis & Cremers 2013), shape (K, H, W).

    Parameters
    ----------
    planes : ndarray of shape (3, H, W), float32
        The scaled image, from -1 to 1.
    seeds : ndarray of shape (H, W), int32
        Index of the class at stroke pixels, -1 elsewhere; every class has some.
    n_classes : int
        Number of classes K.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest side.
    open_class : int, optional
        A class whose strokes do not show all that lies there, as the background of a grey image: its share is nowhere
        less than a tenth.
    """
    colours = np.multiply(np.add(planes, np.float32(1)), np.float32(127.5))
    rho = np.maximum(euclidean_distance(seeds, n_classes, pixel) * np.float32(ALPHA), np.float32(MIN_RHO))
    density = spatially_varying_density(colours, thin_seeds(seeds, n_classes), rho, SIGMA, pixel)
    density /= density.sum(axis=0) + np.float32(_NO_DENSITY)
    density += np.float32(_LEAST_SHARE)
    if open_class is not None:
        np.maximum(density[open_class], np.float32(_OPEN_SHARE), out=density[open_class])
    return np.log(density, out=density)
