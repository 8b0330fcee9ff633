"""Read images with their geometry, whatever the format."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike

from napari_scribseg.core import InputError, Source
from napari_scribseg.core.paths import check_regular, user_path
from napari_scribseg.io.formats import ReadOptions, format_of, formats, image_extensions

__all__ = ["read_volume"]


def read_volume(
    path: str | PathLike[str], *, series: str | None = None, allow_outside: bool = False, ids: bool = False
) -> Source:
    """Read an image.

    Parameters
    ----------
    path : str or PathLike
        A file with one of the extensions of :func:`~napari_scribseg.io.image_extensions`, or a folder of DICOM files.
    series : str, optional
        Which series of the folder, by its ``identity`` in :func:`napari_scribseg.io.list_series`; needed where there
        are several.
    allow_outside : bool
        Whether files that a header names (``.mhd``, ``.nhdr``, ``.ome.tif``) may lie outside of the header's folder.
        Say so only for a file whose origin you trust: it can name any file that you may read.
    ids : bool
        Whether its values are label ids: then the numbers of a palette are read, not its colours.

    Returns
    -------
    Source
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
        check_regular(file)
        kind = next(kind for kind in formats() if kind.folders) if file.is_dir() else format_of(file)
        if kind is None:
            expected = ", ".join(image_extensions())
            raise InputError(f"{file.name}: the format is not known; expected one of {expected}")
        read = kind.read(file, ReadOptions(ids=ids, allow_outside=allow_outside, series=series))
        return replace(read, path=str(path))
    except OSError as error:
        raise InputError(f"{file}: it cannot be read ({error.strerror or error})") from error
