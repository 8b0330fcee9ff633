"""Volumes and label volumes in files, with their geometry, names and colours. Loads a format's library on first use."""

from napari_scribseg.io.classes_io import read_classes, write_classes
from napari_scribseg.io.labels import read_labels, write_labels
from napari_scribseg.io.loaded import LoadedVolume
from napari_scribseg.io.volumes import read_volume

__all__ = ["LoadedVolume", "read_classes", "read_labels", "read_volume", "write_classes", "write_labels"]
