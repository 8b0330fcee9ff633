"""Sample images with strokes; one of them is downloaded, the others are installed or made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError, Stroke
from napari_scribseg.io.formats import read_volume

__all__ = ["BACKGROUND", "EXAMPLE_CT", "SampleImage", "ct_phantom", "mr_volume", "photograph", "totalsegmentator_ct"]

BACKGROUND = 255

Points = tuple[tuple[float, float], ...]

# Strokes on the MR volume, also on the slice that napari opens: slice, class, radius in voxels, points (row, column).
_MR_STROKES: tuple[tuple[int, int, float, Points], ...] = (
    *((z, BACKGROUND, 1.0, ((6, 12), (90, 14))) for z in (11, 14, 18)),
    *((z, BACKGROUND, 1.0, ((6, 116), (90, 114))) for z in (11, 14, 18)),
    (11, 1, 1.0, ((20, 48), (44, 38), (70, 46))),
    (11, 1, 1.0, ((20, 82), (44, 90), (70, 82))),
    (11, 1, 1.0, ((44, 55), (44, 60))),
    (11, 1, 1.0, ((44, 68), (44, 74))),
    (11, 1, 1.0, ((22, 58), (22, 70))),
    (11, 1, 0.0, ((68, 62), (78, 62))),
    (11, 2, 0.0, ((28, 51), (33, 52))),
    (11, 2, 0.0, ((24, 75), (32, 74))),
    (11, 2, 0.0, ((58, 61), (64, 57))),
    (11, 2, 0.0, ((58, 68), (64, 72))),
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

_PHOTOGRAPH_STROKES: tuple[tuple[int, int, float, Points], ...] = (
    (0, BACKGROUND, 3.0, ((40, 30), (330, 22))),
    (0, BACKGROUND, 3.0, ((30, 330), (30, 480))),
    (0, BACKGROUND, 3.0, ((130, 390), (280, 360))),
    (0, BACKGROUND, 3.0, ((320, 400), (330, 490))),
    (0, 1, 3.0, ((330, 120), (470, 150), (480, 250))),
    (0, 1, 3.0, ((300, 90), (340, 70), (440, 60))),
    (0, 1, 3.0, ((330, 320), (400, 290))),
    (0, 2, 3.0, ((90, 200), (150, 210))),
    (0, 3, 3.0, ((60, 170), (45, 210), (70, 270))),
)

# The phantom's organs: id, Hounsfield units, centre and semi-axes in millimetres (z, y, x).
_PHANTOM_SPACING = (3.0, 1.0, 1.0)
_PHANTOM_SHAPE = (40, 192, 256)
_PHANTOM_ORGANS: tuple[tuple[int, float, tuple[tuple[float, ...], tuple[float, ...]]], ...] = (
    (0, 45.0, ((60, 96, 128), (400, 74, 104))),  # muscle, inside a layer of fat
    (1, 115.0, ((66, 84, 80), (45, 44, 46))),  # liver
    (4, 130.0, ((72, 108, 190), (28, 26, 16))),  # spleen
    (2, 190.0, ((46, 126, 88), (32, 17, 13))),  # kidneys
    (2, 190.0, ((50, 126, 168), (32, 17, 13))),
    (0, 260.0, ((60, 110, 134), (400, 9, 9))),  # aorta
    (3, 420.0, ((60, 138, 128), (400, 16, 18))),  # spine
)
_PHANTOM_STROKES: tuple[tuple[int, int, float, Points], ...] = tuple(
    stroke
    for z in (16, 19, 22)
    for stroke in (
        (z, BACKGROUND, 1.0, ((8, 60), (8, 200))),
        (z, BACKGROUND, 1.0, ((27, 110), (30, 150))),
        (z, BACKGROUND, 1.0, ((70, 140), (80, 165), (95, 150))),
        (z, BACKGROUND, 1.0, ((110, 130), (110, 138))),
        (z, BACKGROUND, 1.0, ((158, 80), (162, 128), (158, 176))),
        (z, BACKGROUND, 1.0, ((128, 106), (140, 104))),
        (z, 1, 1.0, ((60, 70), (90, 60), (100, 90))),
        (z, 2, 1.0, ((118, 88), (134, 88))),
        (z, 2, 1.0, ((118, 168), (134, 168))),
        (z, 3, 1.0, ((138, 120), (138, 136))),
        (z, 4, 1.0, ((98, 192), (114, 192))),
    )
)

EXAMPLE_CT = (
    "https://raw.githubusercontent.com/wasserth/TotalSegmentator/0e65a448d557382b1e925276212b3bec7f5aff83/"
    "tests/reference_files/example_ct.nii.gz"
)
_EXAMPLE_CT_SHA256 = "dbd3ae6d614d1d7ef3a46925c30c70038ed52da6b37fdd6afdc7b9b71387e3e1"


@dataclass(frozen=True, slots=True, eq=False)
class SampleImage:
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
    truth : ndarray of shape (\\*S), uint8, or None
        The class of every voxel, 0 = background, where it is known.
    """

    name: str
    array: NDArray[Any]
    geometry: Geometry
    painted: NDArray[np.uint8]
    classes: ClassTable
    path: Path | None = None
    truth: NDArray[np.uint8] | None = None

    @property
    def channels(self) -> bool:
        """Whether the last axis of ``array`` is channels."""
        return self.array.ndim > self.painted.ndim


def _paint(shape: tuple[int, ...], strokes: tuple[tuple[int, int, float, Points], ...]) -> NDArray[np.uint8]:
    """Strokes on the slices of a volume, or on a 2D image."""
    painted = np.zeros(shape, dtype=np.uint8)
    slices = painted if len(shape) == 3 else painted[np.newaxis]
    for z, identity, radius, points in strokes:
        touched = Stroke(np.asarray(points, dtype=np.float64), radius, 0).rasterize(slices.shape[1:])
        slices[z][touched] = identity
    return painted


def _classes(**names: int) -> ClassTable:
    """A table of the background and the classes named."""
    table = ClassTable.from_ids(names.values(), background=BACKGROUND)
    for name, identity in names.items():
        table = table.with_class(replace(table[identity], name=name))
    return table


def mr_volume() -> SampleImage:
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
    geometry = loaded.geometry.without_time()
    array = loaded.array[0]
    classes = _classes(brain=1, ventricles=2)
    return SampleImage("MR head", array, geometry, _paint(geometry.shape, _MR_STROKES), classes, path)


def photograph() -> SampleImage:
    """A photograph of NASA's that is installed with scikit-image, 512 x 512 pixels, red, green and blue."""
    from skimage import data

    array = np.asarray(data.astronaut())
    shape = array.shape[:2]
    geometry = Geometry(shape, (1.0, 1.0))
    classes = _classes(suit=1, skin=2, hair=3)
    return SampleImage("astronaut", array, geometry, _paint(shape, _PHOTOGRAPH_STROKES), classes)


def ct_phantom(seed: int = 0) -> SampleImage:
    """A synthetic CT of an abdomen: 40 slices 3 mm apart of 192 x 256 pixels of 1 mm, Hounsfield units, with noise.

    Parameters
    ----------
    seed : int
        Of the noise; the same seed gives the same voxels.
    """
    from scipy.ndimage import gaussian_filter

    axes = [np.arange(n) * size for n, size in zip(_PHANTOM_SHAPE, _PHANTOM_SPACING, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))

    def inside(centre: tuple[float, ...], radii: tuple[float, ...], grown: float = 0.0) -> NDArray[np.bool_]:
        middle, size = (np.reshape(v, (3, 1, 1, 1)) for v in (centre, np.asarray(radii) + grown))
        mask: NDArray[np.bool_] = (((grid - middle) / size) ** 2).sum(0) <= 1
        return mask

    values = np.full(_PHANTOM_SHAPE, -1000.0, dtype=np.float32)
    body, girth = _PHANTOM_ORGANS[0][2]
    truth = np.zeros(_PHANTOM_SHAPE, dtype=np.uint8)
    values[inside(body, girth, 10)] = -100
    for organ, hounsfield, (centre, radii) in _PHANTOM_ORGANS:
        here = inside(centre, radii)
        values[here], truth[here] = hounsfield, organ
    blurred = gaussian_filter(values, (0.3, 0.8, 0.8))
    noise = gaussian_filter(np.random.default_rng(seed).normal(0, 1, _PHANTOM_SHAPE), (0, 0.7, 0.7))
    array = np.rint(blurred + 14 * noise / noise.std()).astype(np.int16)
    affine = np.array([[0, 0, -1.0, 128], [0, -1.0, 0, 96], [3.0, 0, 0, -60], [0, 0, 0, 1]])  # towards the left, back
    geometry = Geometry(_PHANTOM_SHAPE, _PHANTOM_SPACING, affine, "millimeter")
    classes = _classes(liver=1, kidneys=2, spine=3, spleen=4)
    return SampleImage("CT phantom", array, geometry, _paint(_PHANTOM_SHAPE, _PHANTOM_STROKES), classes, truth=truth)


def totalsegmentator_ct() -> SampleImage:
    """The example CT of TotalSegmentator (Apache-2.0), whole body at 3 mm; downloaded on first use.

    Raises
    ------
    InputError
        If it cannot be downloaded, or is not the file that was expected.
    """
    import pooch

    try:
        path = Path(
            pooch.retrieve(
                EXAMPLE_CT,
                known_hash=f"sha256:{_EXAMPLE_CT_SHA256}",
                fname="totalsegmentator_example_ct.nii.gz",
                path=pooch.os_cache("napari-scribseg"),
            )
        )
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong checksum is a ValueError
        reason = " ".join(str(error).split())
        raise InputError(f"{EXAMPLE_CT} could not be downloaded as expected ({reason[:200]})") from error
    loaded = read_volume(path)
    painted = np.zeros(loaded.geometry.shape, dtype=np.uint8)
    return SampleImage("TotalSegmentator CT", loaded.array, loaded.geometry, painted, _classes(), path)
