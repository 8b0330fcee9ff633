"""Segmentations in a BIDS tree as a data set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.datasets.case import DataSet
from napari_scribseg.datasets.folder import read_about
from napari_scribseg.datasets.listing import require_folder
from napari_scribseg.datasets.reading import CaseFiles, read_listed
from napari_scribseg.io.bids_names import STROKES, bids_files, bids_trees, image_of
from napari_scribseg.io.formats import stem
from napari_scribseg.io.json_files import read_json

__all__ = ["is_bids", "open_bids"]

_Found = tuple[Path, Path, dict[str, str]]  # of a label file: the tree it lies in, its path, its entities


def is_bids(folder: Path) -> bool:
    """Whether a folder looks like a BIDS data set: it has ``dataset_description.json`` or ``sub-*`` folders."""
    return (folder / "dataset_description.json").is_file() or any(p.is_dir() for p in folder.glob("sub-*"))


def open_bids(path: Path, raw: Path | None = None, *, suffix: str | None = None) -> DataSet:
    """The ``_dseg`` files of a BIDS data set with their images.

    A case is a label file; its name is that of the file, after its pipeline where there are several, and its group the
    subject. ``..._desc-scribbles_dseg`` with the same entities are a person's strokes: painted labels, 0 where nothing
    is. Names of the ids are read from ``_dseg.tsv``, all else from ``dataset.json`` beside
    ``dataset_description.json``, as for a plain folder.

    Parameters
    ----------
    path : Path
        A raw data set with ``derivatives/PIPELINE/sub-*/``, or one folder of derivatives.
    raw : Path, optional
        The raw data set of a folder of derivatives; two folders up by default.
    suffix : str, optional
        Of the images (``T1w``), where several have the same entities.

    Raises
    ------
    InputError
        If a folder is missing, there is no ``_dseg`` file, or the image of one is missing or ambiguous.
    """
    root = require_folder(user_path(path))
    if raw is not None:
        raw = require_folder(user_path(raw))
    origins = {tree: raw or origin for tree, origin in bids_trees(root)}
    found = [(tree, p, e) for tree in origins for p, e in bids_files(tree) if e["suffix"] == "dseg"]
    labels = [f for f in found if f[2].get("desc") != STROKES]
    if not labels:
        raise InputError(
            f"{root}: it holds no labels; files as derivatives/NAME/sub-01/anat/sub-01_dseg.nii.gz are expected"
        )
    strokes = _strokes([f for f in found if f[2].get("desc") == STROKES])
    several = len({tree for tree, _, _ in labels}) > 1
    cases: dict[str, CaseFiles] = {}
    for tree, file, entities in labels:
        name = f"{tree.name}/{stem(file)}" if several else stem(file)
        if name in cases:
            raise InputError(f"{root}: {cases[name].labels.name} and {file.name} have one name; each is expected once")
        image = image_of(file, entities, origins[tree], tree, suffix=suffix)
        painted = strokes.get((tree, _key(entities))) or strokes.get((None, _key(entities)))
        cases[name] = CaseFiles(name, (image,), file, painted, f"sub-{entities['sub']}", (origins[tree] or root).name)
    about = read_about(root / "dataset.json")
    title, licence = _described(root, about.licence)
    return DataSet(
        name=root.name,
        title=title,
        licence=licence,
        trainable=about.trainable,
        human_strokes=any(c.strokes for c in cases.values()),
        cases=tuple(cases),
        read=partial(read_listed, cases=cases, about=about),
    )


_Key = tuple[Path | None, frozenset[tuple[str, str]]]


def _strokes(found: list[_Found]) -> Mapping[_Key, Path]:
    """Strokes by their tree and their image, and by their image alone for labels of another tree."""
    strokes: dict[_Key, Path] = {}
    for tree, path, entities in found:
        strokes[tree, _key(entities)] = path
        strokes.setdefault((None, _key(entities)), path)
    return strokes


def _key(entities: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """The entities that labels and strokes of one image on one grid share."""
    return frozenset((k, v) for k, v in entities.items() if k not in ("desc", "label", "seg", "suffix", "extension"))


def _described(root: Path, licence: str) -> tuple[str, str]:
    """Title and licence from ``dataset_description.json``."""
    path = root / "dataset_description.json"
    content = read_json(path) if path.is_file() else {}
    stated = content.get("License")
    if licence == "not stated" and isinstance(stated, str) and stated:
        licence = stated
    return str(content.get("Name") or root.name), licence
