"""From files to a case: the image, its labels on the grid of the image, and strokes where there are some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Geometry, InputError, Source
from napari_scribseg.datasets.case import UNKNOWN, Case
from napari_scribseg.io import read_labels, read_volume

__all__ = ["About", "CaseFiles", "on_grid", "read_case", "read_listed"]

_TOLERANCE = 0.25  # voxels; headers round


@dataclass(frozen=True, slots=True)
class About:
    """Properties of all cases of a set.

    Attributes
    ----------
    names : mapping of int to str
        Names of the label ids, in place of those in the files.
    background : int or None
        The id that is no object; None where every id counts as one.
    background_stroke : int or None
        The value of the strokes that mark the background; it becomes ``background``.
    unknown : int or None
        The id of the pixels whose truth is unknown; it becomes -1.
    instances : bool
        Whether each id is one object of the same kind.
    licence : str
        Of images and labels.
    trainable : bool
        Whether a network whose weights anyone may use can be trained on it.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    background: int | None = 0
    background_stroke: int | None = None
    unknown: int | None = None
    instances: bool = False
    licence: str = "not stated"
    trainable: bool = False


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """The files of one case; several images are channels of one."""

    name: str
    images: tuple[Path, ...]
    labels: Path
    strokes: Path | None = None
    group: str = ""
    source: str = ""


def read_listed(name: str, *, cases: Mapping[str, CaseFiles], about: About) -> Case:
    """The case ``name`` of a list; with ``functools.partial`` the ``read`` of a data set."""
    return read_case(cases[name], about)


def read_case(files: CaseFiles, about: About) -> Case:
    """Read one case.

    Raises
    ------
    InputError
        If a file is missing or damaged, the shapes differ, or the labels are not at the position of the image.
    """
    image, grid, channels = _read_image(files)
    labels = read_labels(files.labels)
    truth = on_grid(labels, grid, files.labels.name)
    if about.unknown is not None:
        truth[truth == about.unknown] = UNKNOWN
    strokes = None
    if files.strokes is not None:
        strokes = _seeds(on_grid(read_labels(files.strokes), grid, files.strokes.name), about)
    if not channels and image.ndim not in (2, 3):
        raise InputError(f"{files.name}: the image has the shape {image.shape}; two or three axes are expected")
    return Case(
        name=files.name,
        image=image,
        truth=truth,
        spacing=grid.spacing,
        group=files.group or files.name,
        source=files.source,
        names={c.id: c.name for c in labels.classes if c.id != about.unknown} | dict(about.names),
        strokes=strokes,
        background=about.background,
        instances=about.instances,
        unit="mm" if grid.unit == "millimeter" else "px",
    )


def _read_image(files: CaseFiles) -> tuple[NDArray[Any], Geometry, bool]:
    """The image in memory, its grid, and whether its last axis is channels."""
    volumes = [read_volume(path) for path in files.images]
    first = volumes[0]
    if len(volumes) == 1:
        return np.ascontiguousarray(first.array), first.geometry, first.channels
    if any(v.channels or v.array.shape != first.array.shape for v in volumes):
        shapes = ", ".join(str(v.array.shape) for v in volumes)
        raise InputError(f"{files.name}: its channels have the shapes {shapes}; one shape is expected")
    return np.stack([v.array for v in volumes], axis=-1), first.geometry, True


def _seeds(painted: NDArray[np.int32], about: About) -> NDArray[np.int32]:
    """Painted labels, 0 where nothing is, as strokes, -1 where nothing is."""
    seeds = np.where(painted == 0, np.int32(UNKNOWN), painted)
    if about.background_stroke is not None:
        seeds[painted == about.background_stroke] = 0 if about.background is None else about.background
    return seeds


def on_grid(labels: Source, grid: Geometry, name: str) -> NDArray[np.int32]:
    """The labels in the axis order of an image, matched by physical position.

    Files of one grid may start at different corners or have their axes in another order, as NRRD masks beside DICOM
    slices. Axes of such labels are transposed and flipped; nothing is interpolated.

    Parameters
    ----------
    labels : Source
        Label ids of shape (\\*S), with their geometry.
    grid : Geometry
        Of the image.
    name : str
        Of the labels, for messages.

    Returns
    -------
    ndarray of shape ``grid.shape``, int32
        A copy; with its axes unchanged where labels or image have no physical position.

    Raises
    ------
    InputError
        If the shapes differ, or the labels are not at the position of the image.
    """
    array, placed = labels.array, labels.geometry.affine
    if array.ndim == 3 and len(grid.shape) == 3 and placed is not None and grid.affine is not None:
        turn = _turn(np.linalg.inv(placed) @ grid.affine, array.shape, grid.shape)
        if turn is not None:
            axes, flipped = turn
            return np.array(np.flip(array.transpose(axes), flipped), dtype=np.int32, order="C")
        if sorted(array.shape) == sorted(grid.shape):
            raise InputError(
                f"{name}: its labels lie elsewhere than the image; labels on the image's grid are expected"
            )
    if array.shape != grid.shape:
        raise InputError(f"{name}: it has the shape {array.shape}; its image has {grid.shape}")
    return np.array(array, dtype=np.int32, order="C")


def _turn(
    to_labels: NDArray[np.float64], labels: tuple[int, ...], image: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Axes to transpose and then to flip so that labels match the image; None where these do not match them.

    ``to_labels``, shape (4, 4), maps an index of the image to one of the labels.
    """
    linear = np.rint(to_labels[:3, :3]).astype(int)
    if (np.abs(linear).sum(0) != 1).any() or (np.abs(linear).sum(1) != 1).any():
        return None
    axes = tuple(int(a) for a in np.abs(linear).argmax(0))  # image axis j runs along the labels' axis axes[j]
    if tuple(labels[a] for a in axes) != image:
        return None
    flipped = tuple(j for j, a in enumerate(axes) if linear[a, j] < 0)
    for corner in product(*((0, n - 1) for n in image)):
        found = to_labels[:3, :3] @ corner + to_labels[:3, 3]
        exact = np.empty(3)
        for j, a in enumerate(axes):
            exact[a] = image[j] - 1 - corner[j] if j in flipped else corner[j]
        if np.abs(found - exact).max() > _TOLERANCE:
            return None
    return axes, flipped
