"""Volumes and label volumes in files, with their geometry, names and colours. Loads a format's library on first use."""

from napari_scribseg.io.class_tables import read_classes, write_classes
from napari_scribseg.io.dicom import list_series
from napari_scribseg.io.formats import image_extensions, label_extensions, read_volume
from napari_scribseg.io.label_files import is_label_file, read_labels, write_labels

__all__ = [
    "image_extensions",
    "is_label_file",
    "label_extensions",
    "list_series",
    "read_classes",
    "read_labels",
    "read_volume",
    "write_classes",
    "write_labels",
]
