"""The files that ``scribseg demo`` begins with."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_scribseg.core.errors import InputError
from napari_scribseg.io import sample_data
from napari_scribseg.io.atomic import write_files
from napari_scribseg.io.label_files import write_labels
from napari_scribseg.io.outputs import check_folder

__all__ = ["DemoInput", "write_demo_input"]

_DEMO = "scribseg-demo.txt"


@dataclass(frozen=True, slots=True)
class DemoInput:
    """The files of the demo, and the id of its background strokes."""

    image: Path
    scribbles: Path
    background: int | None


def write_demo_input(folder: Path) -> DemoInput:
    """Write the sample MR volume and its strokes as NIfTI files into a new folder, or into that of an earlier demo.

    Raises
    ------
    InputError
        If the folder holds other files, or cannot be made or written.
    """
    import nibabel

    sample = sample_data.mr_volume()
    source = nibabel.nifti1.load(sample.path)  # type: ignore[no-untyped-call]
    image, scribbles = folder / "image.nii.gz", folder / "scribbles.nii.gz"
    check_folder(folder, _DEMO, ("*",))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}); a writable folder is expected") from error
    volume: Any = source.slicer[..., 0] if source.ndim == 4 else source
    about = "Files of `scribseg demo`, written anew when it is run again with this folder.\n"
    write_files({folder / _DEMO: about.encode()})
    write_files({image: gzip.compress(volume.to_bytes(), 4, mtime=0)})
    write_labels(scribbles, sample.painted, sample.geometry, sample.classes, bids_tsv=True)
    return DemoInput(image, scribbles, sample.classes.background)
