"""Results of a workspace: label images, strokes for an engine, label files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

from napari_scribseg.core import ClassTable, InputError, Scribbles
from napari_scribseg.explore.workspace_images import Picture
from napari_scribseg.io import write_labels
from napari_scribseg.io.label_files import check_label_path, label_outputs
from napari_scribseg.io.outputs import check_outputs

__all__ = ["Labelling"]


@dataclass(frozen=True, slots=True, eq=False)
class Labelling:
    """The classes of all images at one moment; any thread may read them.

    Attributes
    ----------
    pictures : tuple of Picture
    maps : tuple of (ndarray of shape (H, W), int32) or None
        Segments of each image; None where it was not cut.
    label : ndarray, int32
        Class of each segment, 0 for none.
    classes : ClassTable
        The class marked as background becomes 0.
    """

    pictures: tuple[Picture, ...]
    maps: tuple[NDArray[np.int32] | None, ...]
    label: NDArray[np.int32]
    classes: ClassTable

    def image(self, index: int) -> NDArray[Any]:
        """The label image, shape (H, W), uint8 or uint16: 0 for no class and for the background."""
        table = self.label.copy()
        if self.classes.background is not None:
            table[table == self.classes.background] = 0
        labels = table[self._map(index)]
        return labels.astype(np.uint8 if labels.max(initial=0) <= 255 else np.uint16)

    def scribbles(self, index: int) -> Scribbles:
        """Middle lines of the labelled segments, those of one class taken together, as strokes.

        Raises
        ------
        InputError
            If no segment of the image has a class.
        """
        painted = self.label[self._map(index)]
        strokes = np.zeros(painted.shape, dtype=np.int32)
        for identity in np.unique(painted[painted > 0]):
            inner = ndimage.binary_erosion(np.pad(painted == identity, 1, mode="edge"))[1:-1, 1:-1]
            region = inner if inner.any() else painted == identity
            strokes[skeletonize(region)] = identity  # type: ignore[no-untyped-call]
        if not (strokes > 0).any():
            raise InputError("no segment of the image has a class; assign one first")
        return Scribbles.from_labels(strokes, background=self.classes.background)

    def save(self, folder: Path, extension: str, *, overwrite: bool) -> tuple[Path, ...]:
        """Write one label file for each image or volume that was cut; see :meth:`Workspace.save_labels`."""
        volumes: dict[int, list[int]] = {}
        for index, picture in enumerate(self.pictures):
            volumes.setdefault(picture.volume, []).append(index)
        cut = {v: indices for v, indices in volumes.items() if any(self.maps[i] is not None for i in indices)}
        if not cut:
            raise InputError("no image was cut into segments yet; there are no labels to save")
        names = _names({v: self.pictures[indices[0]] for v, indices in cut.items()})
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the folder {folder} cannot be made: {error.strerror or error}") from error
        check_label_path(folder / f"x{extension}")
        paths = {volume: folder / f"{names[volume]}_labels{extension}" for volume in cut}
        outputs = [path for one in paths.values() for path in label_outputs(one, bids_tsv=True)]
        sources = {picture.path for picture in self.pictures if picture.path}
        check_outputs(outputs, map(Path, sorted(sources)), overwrite=overwrite)
        written: list[Path] = []
        for volume, indices in cut.items():
            slices = [self.image(i) for i in indices]
            geometry = self.pictures[indices[0]].geometry
            labels = slices[0] if len(geometry.shape) == 2 else np.stack(slices)
            written += write_labels(paths[volume], labels, geometry, self.classes, bids_tsv=True)
        return tuple(written)

    def _map(self, index: int) -> NDArray[np.int32]:
        found = self.maps[index]
        return np.zeros(self.pictures[index].shape, dtype=np.int32) if found is None else found


def _names(pictures: dict[int, Picture]) -> dict[int, str]:
    """A different file name for each volume."""
    names: dict[int, str] = {}
    for volume, picture in pictures.items():
        base = picture.name if picture.z_index is None else picture.name.rpartition(" [")[0]
        name = re.sub(r"[^\w.-]+", "_", base) or "image"
        names[volume] = name if name not in names.values() else f"{name}_{volume}"
    return names
