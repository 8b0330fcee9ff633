"""The functions that napari.yaml names: reader, writer and sample data, as plain layer tuples without napari."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError, LabelClass, Source
from napari_scribseg.core.classes import MAX_ID, default_color
from napari_scribseg.core.windows import display_windows
from napari_scribseg.io import is_label_file, list_series, read_labels, read_volume, write_labels
from napari_scribseg.io.dicom_bytes import may_be_dicom
from napari_scribseg.io.formats import extension, image_extensions
from napari_scribseg.io.layer_geometry import LayerTransform, display_placement, layer_geometry, reader_geometry
from napari_scribseg.io.sample_data import SampleImage, ct_phantom, mr_volume, photograph, totalsegmentator_ct

__all__ = [
    "class_colors",
    "class_features",
    "get_reader",
    "layer_classes",
    "sample_ct_phantom",
    "sample_mr_volume",
    "sample_photograph",
    "sample_totalsegmentator_ct",
    "write_labels_layer",
]

LayerData = tuple[Any, dict[str, Any], str]
_LABEL_SUFFIXES = ("_dseg", "_seg", "_label", "_labels", "-label", "-seg", "_mask")
_MOST_INSPECTED = 2000  # files of a folder, which may hold millions of pieces of a zarr array


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """A function that reads ``path``, or None where its format is not registered.

    Parameters
    ----------
    path : str or sequence of str
        An image or label file, the folder of a DICOM series, or several of them.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return _read if paths and all(_is_readable(Path(p)) for p in paths) else None


def _is_readable(path: Path) -> bool:
    """Whether the extension is registered; a folder is readable unless none of its files is DICOM."""
    if not path.is_dir():
        return extension(path) in image_extensions()
    files = list(islice((p for p in path.rglob("*") if p.is_file()), _MOST_INSPECTED))
    return not files or any(map(may_be_dicom, files))


def _read(path: str | Sequence[str]) -> list[LayerData]:
    layers = []
    for one in [path] if isinstance(path, str) else path:
        file = Path(one)
        if file.is_dir():
            layers += _folder_layers(file)
        elif is_label_file(file) or _named_like_labels(file):
            layers.append(_labels_or_image(file))
        else:
            layers.append(image_layer(read_volume(file)))
    return layers


def _folder_layers(folder: Path) -> list[LayerData]:
    """Every DICOM series of a folder; a series that cannot be read becomes a warning where there are others."""
    layers, errors = [], []
    for series in list_series(folder):
        try:
            layers.append(image_layer(read_volume(folder, series=series.identity)))
        except InputError as error:
            errors.append(error)
    if not layers:
        raise errors[0] if errors else InputError(f"{folder}: there is no DICOM image in it")
    for failure in errors:
        warnings.warn(str(failure), UserWarning, stacklevel=2)
    return layers


def _named_like_labels(file: Path) -> bool:
    name = file.name[: -len(extension(file)) or None].lower()
    return name.endswith(_LABEL_SUFFIXES)


def _labels_or_image(file: Path) -> LayerData:
    """A label file as labels; a file that is only named like one and holds no ids, as an image."""
    try:
        loaded = read_labels(file)
    except InputError:
        if is_label_file(file):
            raise
        return image_layer(read_volume(file))
    return labels_layer(loaded.array, loaded.name, loaded.geometry, loaded.classes)


def image_layer(loaded: Source) -> LayerData:
    """An image as a layer; red, green and blue as one colour layer, other channels along a last axis of their own."""
    placement = display_placement(loaded.geometry)
    array = loaded.array
    rgb = loaded.rgb and array.dtype.kind in "uf"
    if rgb and array.dtype.kind == "f":
        rgb = bool(np.nanmin(array) >= 0 and np.nanmax(array) <= 1)
    if loaded.channels and not rgb:
        array = np.moveaxis(array, -1, 0)
        placement = {
            "scale": (1.0, *placement["scale"]),
            "translate": (0.0, *placement["translate"]),
            "units": ("pixel", *placement["units"]),
            "axis_labels": ("channel", *placement["axis_labels"]),
        }
    windows = () if rgb else display_windows(array, loaded.modality, loaded.windows)
    left = {"geometry": loaded.geometry, "windows": windows}
    kwargs = {"name": loaded.name, "rgb": rgb, "metadata": {"scribseg": left}, **placement}
    if windows:  # napari takes the lowest and the highest value of all
        kwargs["contrast_limits"] = (windows[0].low, windows[0].high)
    return array, kwargs, "image"


def labels_layer(labels: NDArray[Any], name: str, geometry: Geometry, classes: ClassTable) -> LayerData:
    """Labels with their names and colours as a layer."""
    kwargs = {
        "name": name,
        "features": class_features(classes),
        "colormap": class_colors(classes),
        "metadata": {"scribseg": {"geometry": geometry}},
        **display_placement(geometry),
    }
    return labels, kwargs, "labels"


def class_colors(classes: ClassTable) -> dict[int | None, Any]:
    """Colours by id, RGBA in [0, 1], as napari's direct colormap takes them: hidden classes clear, other ids grey."""
    colors: dict[int | None, Any] = {None: (0.6, 0.6, 0.6, 1.0), 0: (0.0, 0.0, 0.0, 0.0)}
    colors.update({c.id: (*c.color[:3], c.color[3] if c.visible else 0.0) for c in classes})
    return colors


def class_features(classes: ClassTable, nothing: str = "unlabelled") -> dict[str, list[Any]]:
    """Names by id, as napari shows them under the mouse and as writers read them: ``index`` and ``name``.

    ``nothing`` is the name of 0.
    """
    return {"index": [0, *classes.ids], "name": [nothing, *(c.name for c in classes)]}


def write_labels_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Save a labels layer; see :func:`napari_scribseg.io.write_labels` for the formats.

    Where the format has no place for names and colours, they go into a table beside the volume.

    Parameters
    ----------
    path : str
        With one of the extensions of label volumes; ``.nii.gz`` is added where there is none.
    data : array of shape ``(*S)``
        Ids; one further axis of length one, where the image has channels, is left out.
    meta : dict
        As napari passes it: see :func:`~napari_scribseg.io.layer_geometry.layer_geometry` for the geometry.

    Raises
    ------
    InputError
        If the layer cannot be written in this format; a file that was there is unchanged.
    """
    if isinstance(data, (list, tuple)):
        raise InputError("the labels layer is a pyramid; one of a single resolution is expected")
    target = Path(path)
    if not extension(target):
        target = target.with_name(f"{target.name}.nii.gz")
    labels = np.asarray(data)
    transform = LayerTransform.of(meta, len(meta.get("scale", labels.shape)))
    axes = _extra_axes(labels.shape, reader_geometry(transform.metadata))
    if len(transform.units) == labels.ndim:
        transform = transform.without(axes)
    labels = labels.squeeze(axes)
    written = write_labels(target, labels, layer_geometry(labels.shape, transform), layer_classes(meta))
    return [str(p) for p in written]


def _extra_axes(shape: tuple[int, ...], geometry: Geometry | None) -> tuple[int, ...]:
    """Axes of length one that a layer has for channels, beyond the axes of its image's geometry."""
    if geometry is None or len(shape) <= len(geometry.shape):
        return ()
    ones = [axis for axis, n in enumerate(shape) if n == 1]
    for axes in combinations(ones, len(shape) - len(geometry.shape)):
        if tuple(n for axis, n in enumerate(shape) if axis not in axes) == geometry.shape:
            return axes
    return ()


def layer_classes(meta: dict[str, Any]) -> ClassTable:
    """Names and colours out of a layer's features and colormap; a class named "background" is the background."""
    features, colormap = meta.get("features"), meta.get("colormap")
    if features is None or "index" not in features or "name" not in features:
        return ClassTable()
    colors = getattr(colormap, "color_dict", None) or {}
    found: dict[int, LabelClass] = {}
    for index, name in zip(features["index"], features["name"], strict=True):
        identity = _identity(index)
        if identity:
            r, g, b, a = (float(c) for c in np.clip(colors.get(identity, default_color(identity)), 0, 1))
            found[identity] = LabelClass(identity, str(name), (r, g, b, 1.0), visible=a > 0)
    table = ClassTable(tuple(found.values()))
    background = next((c.id for c in table if c.name.lower() == "background"), None)
    return table if background is None else table.as_background(background)


def _identity(index: Any) -> int:
    """The id that a cell of the column ``index`` holds; 0 where it is none, as in a table of another plugin."""
    try:
        return int(index) if 0 < int(index) <= MAX_ID else 0
    except (TypeError, ValueError, OverflowError):
        return 0


def _sample_layers(sample: SampleImage) -> list[LayerData]:
    loaded = Source(sample.array, sample.geometry, sample.name, sample.channels, rgb=sample.channels)
    strokes = labels_layer(sample.painted.copy(), f"{sample.name} strokes", sample.geometry, sample.classes)
    return [image_layer(loaded), strokes]


def sample_mr_volume() -> list[LayerData]:
    """A real MR volume with strokes on three slices; nothing is downloaded."""
    return _sample_layers(mr_volume())


def sample_photograph() -> list[LayerData]:
    """A photograph with strokes; nothing is downloaded."""
    return _sample_layers(photograph())


def sample_ct_phantom() -> list[LayerData]:
    """A synthetic CT with strokes on three slices; nothing is downloaded."""
    return _sample_layers(ct_phantom())


def sample_totalsegmentator_ct() -> list[LayerData]:
    """A whole-body CT, downloaded on first use."""
    return _sample_layers(totalsegmentator_ct())[:1]
