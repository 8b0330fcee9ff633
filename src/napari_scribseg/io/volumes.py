"""Read images with their geometry, whatever the format."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.io.loaded import LoadedVolume

__all__ = ["IMAGE_EXTENSIONS", "check_regular", "extension", "read_volume", "stem"]

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd", ".nhdr", ".seg.nrrd")
METAIMAGE = (".mha", ".mhd")
TIFF = (".tif", ".tiff", ".ome.tif", ".ome.tiff")
PICTURES = (".png", ".jpg", ".jpeg")
DICOM = (".dcm",)
IMAGE_EXTENSIONS = NIFTI + NRRD + METAIMAGE + DICOM + TIFF + PICTURES

#: What our own files say about themselves, in the formats that have no other way to say that they hold labels.
LABEL_MARK = "napari-scribseg labels"

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


def check_regular(file: Path) -> None:
    """Ask before a file is opened: a pipe would never end, and a device is no file.

    Raises
    ------
    InputError
        If there is no such file, or it is neither a regular one nor a folder.
    """
    if not file.exists():
        raise InputError(f"there is no file {file}")
    if not (file.is_file() or file.is_dir()):
        raise InputError(f"{file} is a device, a pipe or a socket; a regular file is expected")


def read_volume(
    path: str | PathLike[str], *, series: str | None = None, allow_outside: bool = False, ids: bool = False
) -> LoadedVolume:
    """Read an image.

    Parameters
    ----------
    path : str or PathLike
        A file with one of the extensions in ``IMAGE_EXTENSIONS``, or a folder of DICOM files.
    series : str, optional
        Which series of the folder, by its ``identity`` in :func:`napari_scribseg.io.list_series`; needed where there
        are several.
    allow_outside : bool
        Whether files that a header names (``.mhd``, ``.nhdr``, ``.ome.tif``) may lie outside of the header's folder.
        Say so only for a file whose origin you trust: it can name any file that you may read.
    ids : bool
        Whether its values are ids: then the numbers of a palette are read, not its colours.

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
    file = user_path(path)
    try:
        if file.is_dir():
            from napari_scribseg.io.dicom import read_series

            return read_series(file, series)
        return _read_file(file, allow_outside=allow_outside, ids=ids)
    except OSError as error:
        raise InputError(f"{file}: it cannot be read ({error.strerror or error})") from error


def _read_file(file: Path, *, allow_outside: bool, ids: bool) -> LoadedVolume:
    check_regular(file)
    kind = extension(file)
    if kind in NIFTI:
        from napari_scribseg.io.nifti import read_nifti

        return read_nifti(file)
    if kind in NRRD:
        from napari_scribseg.io.itk import read_nrrd

        return read_nrrd(file, allow_outside=allow_outside)
    if kind in METAIMAGE:
        from napari_scribseg.io.itk import read_metaimage

        return read_metaimage(file, allow_outside=allow_outside)
    if kind in TIFF:
        from napari_scribseg.io.planar import read_tiff

        return read_tiff(file, ids=ids, allow_outside=allow_outside)
    if kind in PICTURES:
        from napari_scribseg.io.pictures import read_picture

        return read_picture(file, ids=ids)
    if kind in DICOM:
        from napari_scribseg.io.dicom import read_file

        return read_file(file)
    raise InputError(f"{file.name}: the format is not known; expected one of {', '.join(IMAGE_EXTENSIONS)}")
