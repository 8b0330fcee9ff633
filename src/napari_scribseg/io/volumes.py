"""Read images with their geometry, whatever the format."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.io.loaded import LoadedVolume

__all__ = ["IMAGE_EXTENSIONS", "extension", "read_volume", "stem"]

NIFTI = (".nii", ".nii.gz")
IMAGE_EXTENSIONS = NIFTI

# Longest first: ".seg.nrrd" before ".nrrd".
_KNOWN = (".seg.nrrd", ".ome.tiff", ".ome.tif", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".tiff", ".tif",
          ".png", ".jpeg", ".jpg", ".dcm", ".zarr", ".tsv", ".txt", ".label")  # fmt: skip


def extension(path: Path) -> str:
    """The extension that tells the format, in lower case, double ones whole; empty where none is known."""
    name = path.name.lower()
    return next((e for e in _KNOWN if name.endswith(e)), "")


def stem(path: Path) -> str:
    """The file's name without the extension that tells its format."""
    cut = len(extension(path))
    return (path.name[:-cut] if cut else path.name) or path.name


def read_volume(path: str | PathLike[str], *, series: str | None = None) -> LoadedVolume:
    """Read an image.

    Parameters
    ----------
    path : str or PathLike
        A NIfTI file.
    series : str, optional
        UID of the DICOM series to read.

    Returns
    -------
    LoadedVolume
        Axes in the order of napari, with the file's own affine.

    Raises
    ------
    InputError
        If the file is missing, damaged, of an unknown format, or too large for the memory.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise InputError(f"there is no file {file}")
    kind = extension(file)
    if kind in NIFTI:
        from napari_scribseg.io.nifti import read_nifti

        return read_nifti(file)
    raise InputError(f"{file.name}: the format is not known; expected one of {', '.join(IMAGE_EXTENSIONS)}")
