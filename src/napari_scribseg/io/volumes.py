"""Read images with their geometry, whatever the format."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.io.loaded import LoadedVolume

__all__ = ["IMAGE_EXTENSIONS", "extension", "read_volume", "stem"]

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd", ".nhdr", ".seg.nrrd")
METAIMAGE = (".mha", ".mhd")
TIFF = (".tif", ".tiff", ".ome.tif", ".ome.tiff")
PICTURES = (".png", ".jpg", ".jpeg")
DICOM = (".dcm",)
IMAGE_EXTENSIONS = NIFTI + NRRD + METAIMAGE + DICOM + TIFF + PICTURES

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
        A file with one of the extensions in ``IMAGE_EXTENSIONS``, or a folder of DICOM files.
    series : str, optional
        Which series of the folder, by its ``identity`` in :func:`napari_scribseg.io.list_series`; needed where there
        are several.

    Returns
    -------
    LoadedVolume
        Axes in the order of napari, with the file's own affine. ``classes`` is filled where the file itself has names
        (``.seg.nrrd``).

    Raises
    ------
    InputError
        If the file is missing, damaged, of an unknown format, or too large for the memory; or if a folder holds no
        DICOM series, or several and none is named.
    """
    file = Path(path).expanduser()
    try:
        if file.is_dir():
            from napari_scribseg.io.dicom import read_series

            return read_series(file, series)
        return _read_file(file)
    except OSError as error:
        raise InputError(f"{file}: it cannot be read ({error.strerror or error})") from error


def _read_file(file: Path) -> LoadedVolume:
    if not file.exists():
        raise InputError(f"there is no file {file}")
    kind = extension(file)
    if kind in NIFTI:
        from napari_scribseg.io.nifti import read_nifti

        return read_nifti(file)
    if kind in NRRD:
        from napari_scribseg.io.itk import read_nrrd

        return read_nrrd(file)
    if kind in METAIMAGE:
        from napari_scribseg.io.itk import read_metaimage

        return read_metaimage(file)
    if kind in TIFF:
        from napari_scribseg.io.planar import read_tiff

        return read_tiff(file)
    if kind in PICTURES:
        from napari_scribseg.io.planar import read_picture

        return read_picture(file)
    if kind in DICOM:
        from napari_scribseg.io.dicom import read_file

        return read_file(file)
    raise InputError(f"{file.name}: the format is not known; expected one of {', '.join(IMAGE_EXTENSIONS)}")
