"""A cache of features on the disk, as safetensors, one file for each image and encoder."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pooch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from napari_scribseg.io.atomic import replacing

__all__ = ["FeatureCache", "default_folder"]

MAX_BYTES = 2 << 30  # of a folder; the files used longest ago are removed first
_KEY = 3  # numbers of a fingerprint

log = logging.getLogger("scribseg")


def default_folder() -> Path:
    """The default folder: the user's cache of this program."""
    return Path(pooch.os_cache("napari-scribseg")) / "features"


class FeatureCache:
    """Features by image, encoder and fingerprint. Files that cannot be read or written are no error.

    Parameters
    ----------
    folder : Path
        Made when it is first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, image: str, encoder: str) -> dict[tuple[int, ...], NDArray[np.float32]]:
        """The features of an image by the fingerprints of its segments: area and two sums."""
        path = self._path(image, encoder)
        if not path.is_file():
            return {}
        try:
            content = path.read_bytes()
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            if header.get("__metadata__", {}).get("encoder") != encoder:
                return {}
            tensors = load(content)
            keys, rows = tensors["keys"], tensors["features"].astype(np.float32)
            if keys.shape != (len(rows), _KEY) or rows.ndim != 2 or not np.isfinite(rows).all():
                return {}
            path.touch()  # used last now
        except (OSError, ValueError, KeyError, AttributeError, RecursionError, SafetensorError) as error:
            log.debug("the features in %s are computed again: %s", path, error)
            return {}
        return dict(zip(map(tuple, keys.tolist()), rows, strict=True))

    def put(self, image: str, encoder: str, found: dict[tuple[int, ...], NDArray[np.float32]]) -> None:
        """Cache the features of an image."""
        path = self._path(image, encoder)
        tensors: dict[str, NDArray[Any]] = {
            "keys": np.array(list(found), dtype=np.int64),
            "features": np.stack(list(found.values())).astype(np.float16),
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(save(tensors, metadata={"encoder": encoder}))
        except OSError as error:
            log.debug("features cannot be cached in %s: %s", path, error)

    def prune(self) -> None:
        """Remove the files used longest ago where the folder has grown beyond 2 GiB."""
        try:
            files = sorted((p.stat().st_mtime, p.stat().st_size, p) for p in self.folder.glob("*.safetensors"))
            total = sum(size for _, size, _ in files)
            for _, size, path in files:
                if total <= MAX_BYTES:
                    break
                path.unlink()
                total -= size
        except OSError as error:
            log.debug("%s cannot be tidied: %s", self.folder, error)

    def _path(self, image: str, encoder: str) -> Path:
        return self.folder / f"{image}-{hashlib.sha256(encoder.encode()).hexdigest()[:16]}.safetensors"
