"""Small pictures of segments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from napari_scribseg.explore.segments import Segments
from napari_scribseg.explore.workspace_images import Picture
from napari_scribseg.prompting.channels import three_channels

__all__ = ["Thumbnails", "thumbnails"]

Thumbnails = tuple[NDArray[np.int64], NDArray[np.uint8]]  # ids and pixels

_AROUND = 0.15  # of a thumbnail's side that shows the surroundings
_DARKER = 0.35


def thumbnails(pictures: Sequence[Picture], segments: Segments, size: int) -> Thumbnails:
    """Ids, and each segment in a square, its surroundings darker, shape (n, size, size, 3)."""
    made = np.zeros((len(segments.ids), size, size, 3), dtype=np.uint8)
    for row, (identity, image, box) in enumerate(zip(segments.ids, segments.image, segments.box, strict=True)):
        found = segments.maps[image]
        assert found is not None
        made[row] = _thumbnail(pictures[image], found, identity, box, size)
    return segments.ids, made


def _thumbnail(
    picture: Picture, found: NDArray[np.int32], identity: int, box: NDArray[np.int32], size: int
) -> NDArray[np.uint8]:
    top, left, bottom, right = (int(n) for n in box)
    side = max(bottom - top, right - left)
    margin = max(int(side * _AROUND), 2)
    middle = (top + bottom) // 2, (left + right) // 2
    half = side // 2 + margin
    rows = slice(max(middle[0] - half, 0), middle[0] + half + 1)
    columns = slice(max(middle[1] - half, 0), middle[1] + half + 1)
    crop = (_channels(picture)[:, rows, columns] + 1) / 2
    shade = np.where(found[rows, columns] == identity, np.float32(1), np.float32(_DARKER))
    small = resize(np.moveaxis(crop * shade, 0, -1), (size, size), order=1, anti_aliasing=True)  # type: ignore[no-untyped-call]
    pixels: NDArray[np.uint8] = np.clip(np.rint(small * 255), 0, 255).astype(np.uint8)
    return pixels


@lru_cache(maxsize=1)  # thumbnails are made one image after the other
def _channels(picture: Picture) -> NDArray[np.float32]:
    """Red, green and blue from -1 to 1, shape (3, H, W)."""
    return three_channels(picture.data)
