"""The displayed slice of a layer: arithmetic on axis numbers."""

from __future__ import annotations

from collections.abc import Sequence

from napari_scribseg.core.source import SliceIndex

__all__ = ["displayed_axes", "slice_at"]


def displayed_axes(order: Sequence[int], ndim: int, n_displayed: int = 2) -> tuple[int, ...]:
    """The displayed axes of a layer, in the order of display.

    Parameters
    ----------
    order : sequence of int
        ``viewer.dims.order``: the axes of the world, those displayed last.
    ndim : int
        Axes of the layer; they are the last ones of the world, as in NumPy broadcasting.
    n_displayed : int
        2 for slices, 3 for volumes.
    """
    missing = len(order) - ndim
    own = [axis - missing for axis in order if axis >= missing]
    return tuple(own[-n_displayed:])


def slice_at(
    shape: Sequence[int], displayed: Sequence[int], point: Sequence[float], channel_axis: int | None = None
) -> SliceIndex | None:
    """The slice of a volume at a point.

    Parameters
    ----------
    shape : sequence of int
        Shape of the layer.
    displayed : sequence of int
        The displayed axes; other than two give no slice.
    point : sequence of float
        Position in the layer's voxel coordinates; the displayed axes are ignored.
    channel_axis : int, optional
        The axis of channels, which the volume does not have.

    Returns
    -------
    SliceIndex or None
        None if the point lies outside, or the channel axis is displayed.
    """
    axes = [axis for axis in range(len(shape)) if axis != channel_axis]
    if len(displayed) != 2 or any(axis not in axes for axis in displayed):
        return None
    position = []
    for axis in axes:
        if axis in displayed:
            continue
        index = round(float(point[axis]))
        if not 0 <= index < shape[axis]:
            return None
        position.append(index)
    first, second = sorted(axes.index(axis) for axis in displayed)
    return SliceIndex((first, second), tuple(position))
