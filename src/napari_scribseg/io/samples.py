"""Images to try things on, with strokes painted on them; all but one need no network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError, Stroke
from napari_scribseg.io.volumes import read_volume

__all__ = ["BACKGROUND", "Sample", "mr_volume"]

BACKGROUND = 255

Points = tuple[tuple[float, float], ...]

# Strokes on the MR volume: plane, class, radius in voxels, points (row, column).
_MR_STROKES: tuple[tuple[int, int, float, Points], ...] = (
    *((z, BACKGROUND, 1.0, ((6, 12), (90, 14))) for z in (10, 14, 18)),
    *((z, BACKGROUND, 1.0, ((6, 116), (90, 114))) for z in (10, 14, 18)),
    (10, 1, 1.0, ((20, 48), (44, 38), (70, 46))),
    (10, 1, 1.0, ((20, 82), (44, 90), (70, 82))),
    (10, 1, 1.0, ((44, 55), (44, 60))),
    (10, 1, 1.0, ((44, 68), (44, 74))),
    (10, 1, 1.0, ((22, 58), (22, 70))),
    (10, 1, 0.0, ((68, 62), (78, 62))),
    (10, 2, 0.0, ((28, 51), (33, 52))),
    (10, 2, 0.0, ((24, 75), (32, 74))),
    (10, 2, 0.0, ((58, 61), (64, 57))),
    (10, 2, 0.0, ((58, 68), (64, 72))),
    (14, 1, 1.0, ((22, 46), (45, 40), (70, 48))),
    (14, 1, 1.0, ((22, 82), (45, 88), (70, 80))),
    (14, 1, 1.0, ((43, 54), (48, 54))),
    (14, 1, 1.0, ((43, 72), (48, 72))),
    (14, 1, 1.0, ((20, 57), (20, 70))),
    (14, 1, 1.0, ((68, 63), (78, 63))),
    (14, 2, 0.0, ((31, 54), (36, 58))),
    (14, 2, 0.0, ((31, 72), (36, 68))),
    (14, 2, 0.0, ((55, 60), (60, 57))),
    (14, 2, 0.0, ((53, 63), (60, 69))),
    (18, 1, 1.0, ((22, 48), (45, 40), (70, 48))),
    (18, 1, 1.0, ((22, 80), (45, 88), (70, 80))),
    (18, 1, 1.0, ((20, 57), (20, 70))),
    (18, 1, 1.0, ((66, 63), (78, 63))),
    (18, 2, 0.0, ((36, 57), (46, 63), (54, 58))),
    (18, 2, 0.0, ((38, 70), (46, 65), (54, 70))),
)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An image with strokes.

    Attributes
    ----------
    name : str
        For a layer.
    array : ndarray of shape (\\*S) or (\\*S, 3)
        Channels last where it is a colour picture.
    geometry : Geometry
        Of the axes ``S``.
    painted : ndarray of shape (\\*S), uint8
        Ids of the strokes, 0 = unpainted.
    classes : ClassTable
        Names and colours; the background's strokes have the id 255.
    path : Path or None
        The file that the image was read from.
    """

    name: str
    array: NDArray[Any]
    geometry: Geometry
    painted: NDArray[np.uint8]
    classes: ClassTable
    path: Path | None = None

    @property
    def channels(self) -> bool:
        """Whether the last axis of ``array`` is channels."""
        return self.array.ndim > self.painted.ndim


def _paint(
    shape: tuple[int, ...], strokes: tuple[tuple[int, int, float, Points], ...]
) -> NDArray[np.uint8]:
    """Strokes on the planes of a volume, or on the one plane of a picture."""
    painted = np.zeros(shape, dtype=np.uint8)
    planes = painted if len(shape) == 3 else painted[np.newaxis]
    for plane, identity, radius, points in strokes:
        touched = Stroke(np.asarray(points, dtype=np.float64), radius, 0).rasterize(planes.shape[1:])
        planes[plane][touched] = identity
    return painted


def _classes(**names: int) -> ClassTable:
    """A table of the background and the classes named."""
    table = ClassTable.from_ids(names.values(), background=BACKGROUND)
    for name, identity in names.items():
        table = table.with_class(replace(table[identity], name=name))
    return table


def mr_volume() -> Sample:
    """A real MR volume of a head that is installed with nibabel, 24 x 96 x 128 voxels, with strokes on three slices.

    Raises
    ------
    InputError
        If nibabel was installed without its test data.
    """
    import nibabel

    path = Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz"
    if not path.exists():
        raise InputError(f"there is no file {path}; nibabel is expected to be installed with its test data")
    loaded = read_volume(path)
    whole = loaded.geometry
    geometry = replace(whole, shape=whole.shape[1:], spacing=whole.spacing[1:], axis_names=whole.axis_names[1:])
    array = loaded.array[0]
    classes = _classes(brain=1, ventricles=2)
    return Sample("MR head", array, geometry, _paint(geometry.shape, _MR_STROKES), classes, path)
