"""Slices as a learned network is given them: between their neighbours, on one scale for the whole image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.padding import some_values, without_padding
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.numerics.intensity import percentiles, to_unit
from napari_scribseg.prompting.channels import three_channels

__all__ = ["N_SLICES", "SliceReader"]

N_SLICES = 3  # the slice and its neighbours
TAIL = 0.5  # percentage of the intensities beyond either end of the scale
_SEEN = 9  # slices that the scale of a volume comes from

Float32 = NDArray[np.float32]


class SliceReader:
    """Reads slices of an image with their neighbours.

    Intensities of one channel are scaled by percentiles of the whole image, those of several as
    :func:`~napari_scribseg.prompting.channels.three_channels` does, slice by slice.

    Parameters
    ----------
    source : Source
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._scale: tuple[float, float] | None = None

    def read(self, slice_index: SliceIndex) -> tuple[Float32, tuple[float, float]]:
        """A slice.

        Returns
        -------
        image : ndarray of shape (C, H, W), float32
            From -1 to 1. C is 3 (the slice between its neighbours; at the ends of the volume, and in a 2D image, the
            slice stands for those that are missing), or 9 where the image has several channels.
        spacing : tuple of 2 float

        Raises
        ------
        InputError
            If the slice does not lie in the volume, or a voxel is NaN or infinite.
        """
        image = self._source.around(slice_index, N_SLICES)
        rows, columns = image.spacing
        each = image.n_channels // N_SLICES
        if each == 1:
            return self._scaled(image.data, slice_index), (rows, columns)
        slices = [three_channels(image.data[i * each : (i + 1) * each]) for i in range(N_SLICES)]
        return np.concatenate(slices), (rows, columns)

    def _scaled(self, data: Float32, slice_index: SliceIndex) -> Float32:
        if self._scale is None:
            self._scale = self._find_scale(slice_index)
        low, high = self._scale
        scaled: Float32 = np.clip(to_unit(without_padding(data), low, high) * 2 - 1, -1, 1)
        return scaled

    def _find_scale(self, like: SliceIndex) -> tuple[float, float]:
        """The percentiles of some slices, the same for every slice of an image."""
        source = self._source
        axis = max(source.ndim - 3, 0)
        like = next(iter(source.slices(axis))) if source.ndim > 2 else like
        count = source.shape[axis] if source.ndim > 2 else 1
        at = sorted({int(i) for i in np.linspace(0, count - 1, min(_SEEN, count))})
        slices = [like.at(axis, i) for i in at] if source.ndim > 2 else [like]
        values = np.concatenate([some_values(without_padding(source.image(each).data)).ravel() for each in slices])
        low, high = percentiles(values, (TAIL, 100 - TAIL))
        if high <= low:
            low, high = float(values.min()), float(values.max())
        return low, high
