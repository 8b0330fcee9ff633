"""Pictures of bright and dark discs on grey with the classes of their segments, and clouds of features."""

import numpy as np

from napari_scribseg.explore import Workspace
from napari_scribseg.explore.metric import unit_rows

SIDE = 96
CENTRES = ((20, 20), (20, 70), (70, 24), (72, 72))


def discs(seed: int = 0, shape: tuple[int, int] = (SIDE, SIDE)) -> tuple[np.ndarray, np.ndarray]:
    """A picture, and its truth: 0 ground, 1 dark, 2 bright."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    image, truth = np.full(shape, 100.0), np.zeros(shape, dtype=int)
    for k, (r, c) in enumerate(CENTRES):
        inside = (rows - r) ** 2 + (columns - c) ** 2 <= (9 + k) ** 2
        image[inside] = 40 if k % 2 else 180
        truth[inside] = 1 if k % 2 else 2
    return (image + rng.normal(scale=1.5, size=shape)).clip(0, 255).astype(np.uint8), truth


def majority(workspace: Workspace, truths: list[np.ndarray], ids: np.ndarray) -> np.ndarray:
    """The class of most pixels of each segment."""
    found = []
    for i in ids.tolist():
        image = int(workspace.table.image[i])
        found.append(np.bincount(truths[image][workspace.segments(image) == i]).argmax())
    return np.array(found)


def clouds(n: int = 40, spread: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds of unit vectors."""
    rng = np.random.default_rng(0)
    kinds = np.arange(n) % 2
    rows = np.eye(2, 12)[kinds] + spread * rng.normal(size=(n, 12))
    return unit_rows(rows.astype(np.float32)), kinds.astype(np.int32)
