"""File names of BIDS (key-value pairs, a suffix, an extension), and images with strokes in a BIDS tree.

The Brain Imaging Data Structure, specification 1.10, "Common principles: filenames".
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.io import image_extensions
from napari_scribseg.io.formats import extension, stem

__all__ = [
    "STROKES",
    "bids_files",
    "bids_trees",
    "build_name",
    "find_images_with_strokes",
    "image_of",
    "is_segmentation",
    "parse_entities",
]

STROKES = "scribbles"
"""The value of ``desc-`` that marks a ``_dseg`` file as strokes."""

# The order of the entities in a file name, from the appendix of the specification.
_ORDER = (
    "sub", "ses", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec", "dir", "run", "mod",
    "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split", "recording", "chunk", "seg", "atlas", "res",
    "den", "label", "desc",
)  # fmt: skip
_OF_RESULT = frozenset(
    {"space", "desc", "label", "seg", "atlas", "res", "den"}
)  # entities that a derivative adds to those of its image
_PAIR = re.compile(r"([a-zA-Z0-9]+)-([a-zA-Z0-9+]+)")
_WORD = re.compile(r"[a-zA-Z0-9]+")
_SEGMENTATIONS = ("dseg", "probseg", "mask")


def parse_entities(path: str | PathLike[str]) -> dict[str, str]:
    """The entities of a BIDS file name, in their order.

    Returns
    -------
    dict of str to str
        ``{"sub": "01", "ses": "a", "suffix": "T1w", "extension": ".nii.gz"}``.

    Raises
    ------
    InputError
        If it is no BIDS file name.

    Examples
    --------
    >>> parse_entities("sub-01_desc-manual_dseg.nii.gz")
    {'sub': '01', 'desc': 'manual', 'suffix': 'dseg', 'extension': '.nii.gz'}
    """
    file = Path(path)
    end = extension(file) or file.suffix
    *pairs, suffix = (stem(file) if extension(file) else file.stem).split("_")
    found: dict[str, str] = {}
    for pair in pairs:
        parts = _PAIR.fullmatch(pair)
        if parts is None or parts[1] in found:
            raise InputError(f"{file.name}: {pair!r} is no new key-value pair; a name as sub-01_T1w.nii.gz is expected")
        found[parts[1]] = parts[2]
    if "sub" not in found or not _WORD.fullmatch(suffix):
        raise InputError(f"{file.name}: it is no BIDS file name; one as sub-01_ses-a_T1w.nii.gz is expected")
    return found | {"suffix": suffix, "extension": end}


def build_name(entities: Mapping[str, str]) -> str:
    """The file name of these entities, in the order of BIDS; keys that are not of BIDS come last.

    Parameters
    ----------
    entities : mapping of str to str
        As of :func:`parse_entities`; ``extension`` is optional.

    Raises
    ------
    InputError
        If ``sub`` or ``suffix`` is missing, or a key or value has characters other than letters and digits.

    Examples
    --------
    >>> build_name({"desc": "auto", "sub": "01", "suffix": "dseg", "extension": ".nii.gz"})
    'sub-01_desc-auto_dseg.nii.gz'
    """
    suffix, end = entities.get("suffix", ""), entities.get("extension", "")
    if not _WORD.fullmatch(suffix) or "sub" not in entities:
        raise InputError(f"{dict(entities)}: the entities sub and suffix are expected")
    keys = [k for k in entities if k not in ("suffix", "extension")]
    keys.sort(key=lambda k: _ORDER.index(k) if k in _ORDER else len(_ORDER))
    pairs = [f"{k}-{entities[k]}" for k in keys]
    bad = next((p for p in pairs if not _PAIR.fullmatch(p)), None)
    if bad is not None:
        raise InputError(f"{bad!r}: letters and digits only are expected in an entity of a BIDS file name")
    return "_".join([*pairs, suffix]) + end


def is_segmentation(entities: Mapping[str, str]) -> bool:
    """Whether the file is labels or a mask, not an image."""
    return entities["suffix"] in _SEGMENTATIONS


def bids_trees(root: Path) -> list[tuple[Path, Path | None]]:
    """A data set and the folders in its ``derivatives``, each with the raw data set of its images."""
    derivatives = [p for p in sorted(root.glob("derivatives/*")) if p.is_dir()]
    return [(root, _raw_of(root)), *((tree, root) for tree in derivatives)]


def bids_files(root: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """The images and label files below the ``sub-*`` folders of a data set, sorted, with their entities.

    Files of other names are left out; so are derivatives of the data set.
    """
    for subject in sorted(p for p in root.glob("sub-*") if p.is_dir()):
        yield from _files_of(subject)


def _files_of(subject: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    for path in sorted(subject.rglob("sub-*")):
        if extension(path) in image_extensions() and path.is_file():
            try:
                entities = parse_entities(path)
            except InputError:
                continue  # a name that is not of BIDS
            yield path, entities


def _identity(entities: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """The entities that a derivative shares with its image."""
    return frozenset((k, v) for k, v in entities.items() if k not in _OF_RESULT and k not in ("suffix", "extension"))


def image_of(
    path: Path, entities: Mapping[str, str], raw: Path | None, beside: Path, *, suffix: str | None = None
) -> Path:
    """The image that a segmentation belongs to: the one with the same entities, less those that a derivative adds.

    Parameters
    ----------
    path : Path
        The segmentation; named in messages.
    entities : mapping of str to str
        Of the segmentation.
    raw : Path or None
        Root of the raw data set.
    beside : Path
        Root of the derivative. It is searched first where the segmentation has a ``space`` of its own, else second.
    suffix : str, optional
        Of the image, such as ``T1w``; needed where several fit.

    Raises
    ------
    InputError
        If none fits, or several do.
    """
    roots = [r for r in (raw, beside) if r is not None]
    own_space = entities.get("space") not in (None, "orig", "individual", "native")
    if own_space:
        roots.reverse()
    for root in dict.fromkeys(roots):
        fitting = _candidates(root, entities, suffix, entities.get("space") if own_space and root == beside else None)
        same_folder = [p for p in fitting if p.parent.name == path.parent.name]
        fitting = same_folder or fitting
        if len(fitting) > 1:
            names = ", ".join(p.name for p in fitting[:3])
            raise InputError(f"{path.name}: {names} have the same entities; one image is expected, name its suffix")
        if fitting:
            return fitting[0]
    places = " and ".join(str(r) for r in dict.fromkeys(roots))
    raise InputError(f"{path.name}: no image with its entities is in {places}; the raw data set is expected there")


def _candidates(root: Path, entities: Mapping[str, str], suffix: str | None, space: str | None) -> list[Path]:
    return [
        path
        for path, other in _files_of(root / f"sub-{entities['sub']}")
        if _identity(other) == _identity(entities) and not is_segmentation(other)
        if (suffix is None or other["suffix"] == suffix) and (space is None or other.get("space") == space)
    ]


def find_images_with_strokes(
    root: str | PathLike[str], *, suffix: str | None = None
) -> list[tuple[Path, Path, dict[str, str]]]:
    """The images of a BIDS tree that somebody drew strokes on.

    Strokes are files ``..._desc-scribbles_dseg`` in the data set itself or in one of its ``derivatives``. Strokes whose
    image is missing are left out with a warning.

    Parameters
    ----------
    root : str or PathLike
        The raw data set, or a folder of derivatives inside one.
    suffix : str, optional
        Of the images, where several have the same entities.

    Returns
    -------
    list of (Path, Path, dict)
        Image, strokes, and the entities of the image, sorted by the path of the strokes.

    Raises
    ------
    InputError
        If the folder is missing.
    """
    place = user_path(root)
    if not place.is_dir():
        raise InputError(f"{place}: there is no such folder; the folder of a BIDS data set is expected")
    found = []
    for tree, raw in bids_trees(place):
        for path, entities in bids_files(tree):
            if entities["suffix"] != "dseg" or entities.get("desc") != STROKES:
                continue
            try:
                image = image_of(path, entities, raw, tree, suffix=suffix)
            except InputError as error:
                warnings.warn(f"strokes are left out: {error}", stacklevel=2)
                continue
            found.append((image, path, parse_entities(image)))
    return found


def _raw_of(derivative: Path) -> Path | None:
    """The raw data set of a folder of derivatives, two folders up, where there is one."""
    above = derivative.resolve()
    if above.parent.name == "derivatives" and any(above.parent.parent.glob("sub-*")):
        return above.parent.parent
    return None
