"""Small files for the tests of the data sets."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Picture

AFFINE = np.diag([0.8, 0.9, 3.0, 1.0])  # x, y, z


@pytest.fixture
def picture() -> Callable[[Path, np.ndarray], Path]:
    """Writes a PNG."""

    def write(path: Path, array: np.ndarray) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(np.asarray(array, dtype=np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def nifti() -> Callable[..., Path]:
    """Writes a volume given as (z, y, x)."""

    def write(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.ascontiguousarray(np.asarray(array).transpose(2, 1, 0)), affine), path)
        return path

    return write


@pytest.fixture
def pair() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """An image, and labels 0 to 2 of it."""

    def make(seed: int = 0, shape: tuple[int, ...] = (12, 10)) -> tuple[np.ndarray, np.ndarray]:
        labels = np.zeros(shape, dtype=np.uint8)
        labels[..., 2:6, 3:7] = 1
        labels[..., 7:9, 4:9] = 2
        return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8), labels

    return make
