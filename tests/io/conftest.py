"""Grids as they occur: the affine maps the indices (x, y, z) of a file to RAS+ millimetres."""

import nibabel
import numpy as np
import pytest

from napari_scribseg.core import ClassTable, Geometry, LabelClass

SHAPE = (5, 6, 7)  # z, y, x


def _rotation(*angles):
    return nibabel.eulerangles.euler2mat(*angles)


def _affine(directions, sizes, origin=(-31.5, 12.25, 104.0)):
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions) * sizes
    affine[:3, 3] = origin
    return affine


SHEAR = np.array([[1, 0.2, 0], [0, 1, 0.3], [0, 0, 1]]) / np.linalg.norm([[1, 0.2, 0], [0, 1, 0.3], [0, 0, 1]], axis=0)

AFFINES = {
    "anisotropic": _affine(np.eye(3), (0.7, 0.9, 3.5)),
    "lps": _affine(np.diag([-1, -1, 1]), (0.7, 0.7, 5.0)),
    "left-handed": _affine(np.diag([-1, 1, 1]), (1.0, 1.5, 2.0)),
    "reversed": _affine(np.diag([1, 1, -1]), (0.8, 0.8, 2.5)),
    "permuted": _affine([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], (0.5, 0.6, 4.0)),
    "oblique": _affine(_rotation(0.3, -0.5, 0.7), (0.7, 0.9, 3.5)),
    "oblique left-handed": _affine(_rotation(-0.2, 0.4, 1.1) @ np.diag([1, -1, 1]), (0.7, 0.9, 3.5)),
    "sheared": _affine(_rotation(0.1, 0.2, 0.3) @ SHEAR, (0.7, 0.9, 3.5)),
}


@pytest.fixture(params=[n for n in AFFINES if n != "sheared"])
def affine(request):
    """Of every grid whose axes are at right angles."""
    return AFFINES[request.param]


@pytest.fixture(params=list(AFFINES))
def any_affine(request):
    """Of every grid, the sheared one too."""
    return AFFINES[request.param]


@pytest.fixture
def sheared():
    return AFFINES["sheared"]


def to_array_order(affine):
    """Columns of (x, y, z) to columns of (z, y, x)."""
    return affine[:, [2, 1, 0, 3]]


@pytest.fixture
def geometry_from():
    """Make the geometry of an array of a shape on a grid."""

    def make(affine, shape=SHAPE, seconds=1.5):
        spacing = tuple(np.linalg.norm(to_array_order(affine)[:3, :3], axis=0))
        spacing = (seconds, *spacing) if len(shape) == 4 else spacing[-len(shape) :]
        return Geometry(shape, spacing, to_array_order(affine), "millimeter")

    return make


@pytest.fixture
def labels():
    """Ids up to 65535, no symmetry."""
    array = np.random.default_rng(1).integers(0, 4, SHAPE).astype(np.int64)
    array[4, 5, 6], array[0, 1, 2] = 65535, 300
    return array


@pytest.fixture
def small_labels():
    return np.random.default_rng(2).integers(0, 4, SHAPE).astype(np.int64)


@pytest.fixture
def classes():
    return ClassTable(
        (
            LabelClass(2, "left kidney", (1.0, 0.0, 0.2, 1.0)),
            LabelClass(1, 'liver "S8" µ\\n', (0.2, 0.4, 0.6, 1.0)),
            LabelClass(3, "tumour", (0.0, 1.0, 0.0, 1.0)),
        )
    )
