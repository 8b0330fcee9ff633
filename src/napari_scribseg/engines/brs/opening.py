"""Networks, loaded once a process and shared by all images."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from napari_scribseg.core.paths import user_path
from napari_scribseg.engines.brs.card import card_path
from napari_scribseg.engines.brs.loading import load_network
from napari_scribseg.engines.brs.network import Network
from napari_scribseg.engines.brs.probing import complete
from napari_scribseg.engines.brs.sources import find_source

__all__ = ["open_network"]

_KEPT = 4


def open_network(model: str, weights: str, trust: bool, device: str) -> Network:
    """A model, loaded if it has not been yet, or has changed since.

    Parameters
    ----------
    model, weights, trust
        As for :class:`~napari_scribseg.engines.brs.BRS`.
    device : str
        As :func:`~napari_scribseg.numerics.device.choose_device` gives it.

    Raises
    ------
    InputError
        If there is no such model, it cannot be loaded, or is no network that segments slices.
    """
    source = find_source(model)
    paths = [path for path in (source.path, user_path(weights)) if path.name]
    files = [file for path in paths for file in (path, card_path(path), path / "models" / "model.pt")]
    versions = tuple((s.st_mtime_ns, s.st_size) if (s := _stat(f)) else None for f in files)
    return _open(str(Path.cwd()), model, weights, trust, device, versions)


def _stat(path: Path) -> Any:
    try:
        return path.stat()
    except OSError:
        return None


@lru_cache(maxsize=_KEPT)
def _open(folder: str, model: str, weights: str, trust: bool, device: str, versions: tuple[Any, ...]) -> Network:
    """The model as its files are now (``versions``)."""
    source = find_source(model)
    return complete(load_network(source, weights, trust, device), source.name, device)
