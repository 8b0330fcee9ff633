"""Connected parts of a mask, by SimpleITK, with its progress and its abort."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Report

__all__ = ["Parts", "enclosed"]

_CHUNK = 1 << 22  # voxels that are looked up at once, so that they stay in the processor's cache


class Parts:
    """The parts of a mask that share faces of voxels, numbered from 1, in the order of their first voxels.

    Parameters
    ----------
    mask : ndarray of shape (\\*S), bool, of 2 or 3 axes
    report : Report

    Raises
    ------
    Cancelled
        If ``report`` raised it.
    """

    def __init__(self, mask: NDArray[np.bool_], report: Report) -> None:
        import SimpleITK  # slow to import

        sitk: Any = SimpleITK
        component = sitk.ConnectedComponentImageFilter()
        stopped: list[BaseException] = []

        def progressed() -> None:
            try:
                if not stopped:
                    report(float(component.GetProgress()))
            except BaseException as error:  # noqa: BLE001  SimpleITK turns what is raised here into an error of its own
                stopped.append(error)
                component.Abort()

        component.AddCommand(sitk.sitkProgressEvent, progressed)
        report(0.0)
        try:
            found = component.Execute(sitk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8)))
        except RuntimeError:
            if not stopped:
                raise
        if stopped:
            raise stopped[0]
        self._owner = found  # the array below is its memory, not a copy: a large one takes seconds
        self._numbers: NDArray[np.uint32] = sitk.GetArrayViewFromImage(found)
        self.n_parts = int(self._numbers.max(initial=0))

    def sizes(self, report: Report) -> NDArray[np.int64]:
        """Number of voxels of each part, shape (parts + 1,); entry 0 counts what lies outside."""
        flat = self._numbers.reshape(-1)
        total = np.zeros(self.n_parts + 1, np.int64)
        for start in range(0, flat.size, _CHUNK):
            report(start / flat.size)
            piece = flat[start : start + _CHUNK]
            if piece.any():
                found = np.bincount(piece)
                total[: len(found)] += found
            else:
                total[0] += len(piece)
        return total

    def lookup(self, values: NDArray[Any]) -> NDArray[Any]:
        """The value of each voxel's part, shape (\\*S), from ``values`` of shape (parts + 1,); entry 0 is outside."""
        flat, out = self._numbers.reshape(-1), np.empty(self._numbers.size, values.dtype)
        for start in range(0, flat.size, _CHUNK):
            np.take(values, flat[start : start + _CHUNK], out=out[start : start + _CHUNK], mode="clip")
        return out.reshape(self._numbers.shape)

    def selected(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The voxels of the parts whose entry in ``chosen``, shape (parts + 1,), is true; those outside never are."""
        return self.lookup(np.concatenate([[False], chosen[1:]]))

    def on_border(self) -> NDArray[np.bool_]:
        """Whether each part, shape (parts + 1,), has a voxel at the border of the array."""
        found = np.zeros(self.n_parts + 1, bool)
        for axis in range(self._numbers.ndim):
            for end in (0, -1):
                found[np.take(self._numbers, end, axis=axis)] = True
        return found


def enclosed(mask: NDArray[np.bool_], report: Report) -> NDArray[np.bool_]:
    """The voxels outside of a mask that it encloses: no path over their faces leads to the border of the array.

    Raises
    ------
    Cancelled
        If ``report`` raised it.
    """
    outside = Parts(~mask, report)
    return outside.selected(~outside.on_border())
