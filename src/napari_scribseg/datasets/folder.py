"""A plain folder of images and their labels as a data set."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.datasets.case import DataSet
from napari_scribseg.datasets.listing import images_in, require_folder
from napari_scribseg.datasets.reading import About, CaseFiles, read_listed
from napari_scribseg.io.json_files import read_json

__all__ = ["open_folder", "read_about"]

_IMAGE_FOLDERS = ("images", "imagesTr", "image", "img")
_LABEL_FOLDERS = ("labels", "labelsTr", "masks", "gt", "label", "mask")
_STROKE_FOLDERS = ("scribbles", "scribblesTr")
_LABEL_ENDS = ("_label", "_labels", "_mask", "_seg")
_STROKE_ENDS = ("_scribbles",)
_CHANNEL = re.compile(r"_\d{4}$")  # nnU-Net's number of a channel

_EXPECTED = (
    f"expected {' or '.join(f'{n}/' for n in _IMAGE_FOLDERS[:2])} beside "
    f"{', '.join(f'{n}/' for n in _LABEL_FOLDERS[:4])} with equal file names, or NAME_image beside "
    f"{', '.join(f'NAME{e}' for e in _LABEL_ENDS)} in one folder"
)


def open_folder(path: Path) -> DataSet:
    """Pairs of images and labels, in two folders or in one.

    Parameters
    ----------
    path : Path
        A folder with ``images/`` (also ``imagesTr``, ``image``, ``img``) and ``labels/`` (also ``labelsTr``,
        ``masks``, ``gt``, ``label``, ``mask``) whose files have equal names, also as nnU-Net has them:
        ``x_0000.nii.gz``, ``x_0001.nii.gz`` are the channels of ``x``. Or one with ``x_image`` (or ``x``) and
        ``x_label`` (``_labels``, ``_mask``, ``_seg``) beside each other. Strokes are in ``scribbles/`` or as
        ``x_scribbles``: painted labels, 0 where nothing is. ``dataset.json`` is read by :func:`read_about`.

    Returns
    -------
    DataSet
        Its cases are sorted by name; each is a group of its own.

    Raises
    ------
    InputError
        If the folder is missing, holds no pair, or ``dataset.json`` cannot be understood.
    """
    root = require_folder(user_path(path))
    about = read_about(root / "dataset.json")
    images, labels, strokes = _in_folders(root) or _side_by_side(root)
    both = [name for name in images if name in labels]
    if not both:
        raise InputError(f"{root}: it holds no pair of image and labels but {_found(root)}; {_EXPECTED}")
    _report_unpaired(root, sorted(set(images) - set(labels)), sorted(set(labels) - set(images)))
    cases = {n: CaseFiles(n, images[n], labels[n], strokes.get(n), group=n, source=root.name) for n in sorted(both)}
    return DataSet(
        name=root.name,
        title=f"{len(cases)} images with labels in {root.name}",
        licence=about.licence,
        trainable=about.trainable,
        human_strokes=any(c.strokes for c in cases.values()),
        cases=tuple(cases),
        read=partial(read_listed, cases=cases, about=about),
    )


_Parts = tuple[dict[str, tuple[Path, ...]], dict[str, Path], dict[str, Path]]


def _in_folders(root: Path) -> _Parts | None:
    """Images, labels and strokes by the name of their case; None where there are no two folders for them."""
    places = [
        next((root / n for n in names if (root / n).is_dir()), None) for names in (_IMAGE_FOLDERS, _LABEL_FOLDERS)
    ]
    if places[0] is None or places[1] is None:
        return None
    files = images_in(places[0])
    for series in sorted(p for p in places[0].iterdir() if p.is_dir() and not p.name.startswith(".")):
        files.setdefault(series.name, series)  # a folder of DICOM files
    labels = _less(images_in(places[1]), _LABEL_ENDS)
    painted = next((root / n for n in _STROKE_FOLDERS if (root / n).is_dir()), None)
    strokes = _less(images_in(painted), _STROKE_ENDS) if painted else {}
    return _channels(files, labels), labels, strokes


def _channels(files: Mapping[str, Path], labels: Mapping[str, Path]) -> dict[str, tuple[Path, ...]]:
    """Files by case; those that differ in nnU-Net's number only are channels of one."""
    found: dict[str, tuple[Path, ...]] = {}
    for name, path in files.items():
        case = name.removesuffix("_image")
        if name in labels:
            case = name
        elif _CHANNEL.search(name):
            case = _CHANNEL.sub("", name)
        found[case] = (*found.get(case, ()), path)
    return found


def _side_by_side(root: Path) -> _Parts:
    files = images_in(root)
    labels = {n: p for n, p in files.items() if n.endswith(_LABEL_ENDS)}
    strokes = {n: p for n, p in files.items() if n.endswith(_STROKE_ENDS)}
    images = {n: p for n, p in files.items() if n not in labels and n not in strokes}
    named = _less(labels, _LABEL_ENDS)
    return _channels(images, named), named, _less(strokes, _STROKE_ENDS)


def _less(files: Mapping[str, Path], ends: tuple[str, ...]) -> dict[str, Path]:
    """Files by their name less its ending; two of one name are refused."""
    found: dict[str, Path] = {}
    for name, path in files.items():
        end = next((e for e in ends if name.endswith(e)), "")
        case = name.removesuffix(end)
        if case in found:
            raise InputError(
                f"{path.parent}: {found[case].name} and {path.name} are both labels of {case}; one expected"
            )
        found[case] = path
    return found


def _report_unpaired(root: Path, images: list[str], labels: list[str]) -> None:
    for what, missing, names in (("image", "labels", images), ("label file", "an image", labels)):
        if names:
            some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            warnings.warn(f"{root}: {len(names)} {what}(s) without {missing} are left out: {some}", stacklevel=3)


def _found(root: Path) -> str:
    entries = sorted(f"{p.name}/" if p.is_dir() else p.name for p in root.iterdir() if not p.name.startswith("."))
    return ", ".join(entries[:4]) + (f" and {len(entries) - 4} more" if len(entries) > 4 else "") or "nothing"


def read_about(path: Path) -> About:
    """Read ``dataset.json``; without it, the label 0 is the background.

    Its keys, all optional: ``names`` ({"1": "liver"}), ``background`` (0, or null where every id is an object),
    ``background_stroke`` (the value of the strokes that mark the background), ``unknown`` (the id of pixels whose truth
    is unknown), ``instances`` and ``trainable`` (true or false), ``licence``. From the files of nnU-Net and the Medical
    Segmentation Decathlon, ``labels`` is read: names to ids or ids to names; ``ignore`` is ``unknown``.

    Raises
    ------
    InputError
        If it is no JSON, or a value has another type.
    """
    if not path.is_file():
        return About()
    content = read_json(path)
    names = _names(path, content)
    ignored = next((i for i, name in names.items() if name == "ignore" and "names" not in content), None)
    return About(
        names=names,
        background=_id(path, content, "background", 0),
        background_stroke=_id(path, content, "background_stroke", None),
        unknown=_id(path, content, "unknown", ignored),
        instances=_typed(path, content, "instances", bool, False),
        trainable=_typed(path, content, "trainable", bool, False),
        licence=_typed(path, content, "licence" if "licence" in content else "license", str, "not stated"),
    )


def _names(path: Path, content: Mapping[str, Any]) -> dict[int, str]:
    entries = _typed(path, content, "names" if "names" in content else "labels", dict, {})
    found = {}
    for key, value in entries.items():
        identity, name = (key, value) if isinstance(value, str) else (value, key)
        if isinstance(identity, list):  # nnU-Net's regions are unions of labels
            continue
        try:
            found[int(identity)] = str(name)
        except (TypeError, ValueError) as error:
            raise InputError(
                f'{path.name}: {key!r}: {value!r} is no name of a label; {{"1": "liver"}} is expected'
            ) from error
    return found


def _id(path: Path, content: Mapping[str, Any], key: str, default: int | None) -> int | None:
    value = content.get(key, default)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise InputError(f"{path.name}: {key} is {value!r}; a label id or null is expected")


def _typed(path: Path, content: Mapping[str, Any], key: str, kind: Callable[..., Any], default: Any) -> Any:
    value = content.get(key, default)
    if not isinstance(value, kind):  # type: ignore[arg-type]
        raise InputError(f"{path.name}: {key} is {value!r}; {kind.__name__} is expected")
    return value
