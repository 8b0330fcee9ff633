"""Where the image of a case is, and how it is recognised when its folder moves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_scribseg.core import InputError, Source
from napari_scribseg.core.errors import one_line
from napari_scribseg.io import read_volume

__all__ = ["ImageReference", "find_image", "fingerprint", "read_image"]


@dataclass(frozen=True, slots=True)
class ImageReference:
    """The image of a case.

    Attributes
    ----------
    path : str
        A file or a DICOM folder, relative to the folder of the project, with ``/``; absolute where there is no way.
    absolute : str
        Where it was when it was found last.
    series : str
        Which series of a DICOM folder, by its SeriesInstanceUID; else empty.
    channels : tuple of str
        Further files, as ``path``, each one channel of the image.
    fingerprint : str
        Of grid and values, see :func:`fingerprint`.
    shape : tuple of int
        Of the spatial axes.
    spacing : tuple of float
        Of the same axes.
    """

    path: str
    absolute: str
    series: str = ""
    channels: tuple[str, ...] = ()
    fingerprint: str = ""
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()

    @classmethod
    def of(
        cls, paths: tuple[Path, ...], project: Path, *, series: str = "", source: Source | None = None
    ) -> ImageReference:
        """The reference to an image, which is read for its fingerprint where ``source`` is not given.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        source = _read(paths, series) if source is None else source
        first, *more = paths
        return cls(
            _relative(first, project), str(first.resolve()), series, tuple(_relative(path, project) for path in more),
            fingerprint(source), source.shape, tuple(float(s) for s in source.geometry.spacing),
        )  # fmt: skip

    @property
    def name(self) -> str:
        """The name of its file or folder."""
        return Path(self.path).name

    def to_json(self) -> dict[str, Any]:
        """As a case file has it."""
        return {
            "path": self.path, "absolute": self.absolute, "series": self.series, "channels": list(self.channels),
            "fingerprint": self.fingerprint, "shape": list(self.shape), "spacing": list(self.spacing),
        }  # fmt: skip

    @classmethod
    def from_json(cls, found: Any) -> ImageReference:
        """The inverse of :meth:`to_json`; raises what nonsense raises."""
        texts = [found[key] for key in ("path", "absolute", "series", "fingerprint")]
        if not all(isinstance(text, str) for text in [*texts, *found["channels"]]) or not found["path"]:
            raise ValueError(f"the image is {one_line(str(found))}")
        shape, spacing = tuple(int(n) for n in found["shape"]), tuple(float(s) for s in found["spacing"])
        if len(shape) < 2 or min(shape) < 1 or len(spacing) != len(shape) or min(spacing) <= 0:
            raise ValueError(f"the image has the shape {shape} and the spacing {spacing}")
        return cls(texts[0], texts[1], texts[2], tuple(found["channels"]), texts[3], shape, spacing)

    def moved(self, paths: tuple[Path, ...], project: Path) -> ImageReference:
        """The same image where it is now."""
        first, *more = paths
        return replace(
            self,
            path=_relative(first, project),
            absolute=str(first.resolve()),
            channels=tuple(_relative(path, project) for path in more),
        )


def fingerprint(source: Source) -> str:
    """A hash of grid, type and middle slice: the same wherever the file lies, another one for any other image.

    Parameters
    ----------
    source : Source
        Only one slice of it is read.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    geometry = source.geometry
    affine = [] if geometry.affine is None else geometry.affine.ravel().tolist()
    numbers = " ".join(f"{number:.5g}" for number in (*geometry.spacing, *affine)).replace("-0 ", "0 ")
    middle = tuple(n // 2 for n in source.shape[:-2])
    values = np.ascontiguousarray(source.array[middle])
    found = hashlib.sha256(f"{source.shape} {source.channels} {values.dtype.name} {numbers} ".encode())
    found.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return found.hexdigest()[:32]


def read_image(reference: ImageReference, project: Path, places: Iterable[Path] = ()) -> tuple[Source, ImageReference]:
    """Read the image of a case, and find it again where it was moved.

    Parameters
    ----------
    reference : ImageReference
    project : Path
        The folder of the project.
    places : iterable of Path
        Folders in which to look, where it is neither at its path nor at the one where it was last.

    Returns
    -------
    source : Source
    reference : ImageReference
        With its path as it is now.

    Raises
    ------
    InputError
        If it is nowhere, cannot be read, or another image has taken its place.
    """
    other: Source | None = None
    for paths in _candidates(reference, project, places):
        source = _read(paths, reference.series)
        if fingerprint(source) == reference.fingerprint:
            return source, reference.moved(paths, project)
        other = other or source
    if other is None:
        raise InputError(
            f"the image {reference.name} is not there any more: neither at {reference.path} nor at "
            f"{reference.absolute}; name the folder in which it is now (scribseg project find)"
        )
    raise InputError(
        f"{other.path} is another image than the one that was added: it has shape {other.shape}, expected was "
        f"{reference.shape}, or its position or values differ"
    )


def find_image(reference: ImageReference, project: Path, folder: Path) -> ImageReference | None:
    """Look for an image of the name of a file, and of the same fingerprint, in a folder and all folders inside it."""
    for path in [folder, *sorted(folder.rglob(_pattern(reference.name)))]:
        if path.name != reference.name and not (reference.series and path.is_dir()):
            continue
        paths = (path, *(path.parent / Path(channel).name for channel in reference.channels))
        try:
            if all(p.exists() for p in paths) and fingerprint(_read(paths, reference.series)) == reference.fingerprint:
                return reference.moved(paths, project)
        except InputError:
            continue
    return None


def _pattern(name: str) -> str:
    """A pattern of ``glob`` for exactly this name."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _candidates(reference: ImageReference, project: Path, places: Iterable[Path]) -> Iterator[tuple[Path, ...]]:
    """The files that may be the image, those that are there, each once."""
    first = project / reference.path
    tried = set()
    for path in (first, Path(reference.absolute), *(place / reference.name for place in places)):
        more = [project / c if path == first else path.parent / Path(c).name for c in reference.channels]
        resolved = tuple(p.resolve() for p in (path, *more))
        if resolved not in tried and all(p.exists() for p in resolved):
            tried.add(resolved)
            yield resolved


def _read(paths: tuple[Path, ...], series: str) -> Source:
    sources = [read_volume(path, series=series or None) for path in paths]
    first = sources[0]
    if len(sources) == 1:
        return first
    for path, source in zip(paths, sources, strict=True):
        if source.shape != first.shape or source.channels:
            raise InputError(
                f"{path.name} has shape {np.shape(source.array)}; one channel of shape {first.shape}, as "
                f"{paths[0].name} has, is expected"
            )
    array = np.stack([np.asarray(source.array) for source in sources], axis=-1)
    return replace(first, array=array, channels=True, rgb=False)


def _relative(path: Path, project: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), project.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()
