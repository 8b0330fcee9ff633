"""Edge weights on the CPU."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, assignment, call-arg"
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import kernel
from napari_scribseg.numerics.threads import band_edges, in_parallel

__all__ = ["channel_gradient", "edge_weights"]


def channel_gradient(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Size of the forward difference along rows and along columns, each the Euclidean norm over the channels.

    Parameters
    ----------
    image : ndarray of shape (C, H, W), float32
        Intensities of any unit.

    Returns
    -------
    ndarray of shape (2, H, W), float32
        Zero in the last row and the last column respectively.
    """
    components = np.zeros((2, *image.shape[1:]), dtype=np.float32)
    edges = band_edges(image.shape[1])
    in_parallel(lambda i: _differences(image, components, edges[i], edges[i + 1]), len(edges) - 1)
    return components


@kernel
def _differences(image, components, start, stop):
    n_channels, height, width = image.shape
    for y in range(start, stop):
        down, right = components[0, y], components[1, y]
        for c in range(n_channels):
            row = image[c, y]
            below = image[c, y + 1] if y + 1 < height else row
            for x in range(width):
                difference = below[x] - row[x]
                down[x] += difference * difference
            for x in range(width - 1):
                difference = row[x + 1] - row[x]
                right[x] += difference * difference
        for x in range(width):
            down[x] = np.sqrt(down[x])
            right[x] = np.sqrt(right[x])


def edge_weights(
    image: NDArray[np.float32], gamma: float, pixel: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.float32]:
    """Weight of the boundary length, as :func:`~napari_scribseg.numerics.variational.differences.edge_weights`."""
    down, right = channel_gradient(image)
    for component, size in ((down, pixel[0]), (right, pixel[1])):
        largest = float(component.max())
        np.multiply(component, np.float32(1 / (largest * size) if largest > 0 else 0), out=component)
    weights: NDArray[np.float32] = np.exp(np.float32(-gamma) * np.sqrt(down * down + right * right))
    return weights
