"""A data set that needs no files: a synthetic CT with the labels that it is made from."""

from __future__ import annotations

import numpy as np

from napari_scribseg.datasets.case import Case, DataSet
from napari_scribseg.io import sample_data

__all__ = ["made_ct"]

_CASES = 4


def made_ct() -> DataSet:
    """The abdomen of :func:`napari_scribseg.io.sample_data.ct_phantom`, four times with other noise; 40 slices each.

    Four organs before muscle, fat and air. It shows that the program works, not how good a method is on real images.
    """
    names = tuple(f"noise_{seed}" for seed in range(_CASES))
    title = "A made CT of an abdomen, with its organs"
    return DataSet("made_ct", title, "BSD-3-Clause", False, False, names, _read)


def _read(name: str) -> Case:
    sample = sample_data.ct_phantom(int(name.removeprefix("noise_")))
    assert sample.truth is not None  # it is made from them
    return Case(
        name,
        sample.array,
        sample.truth.astype(np.int32),
        sample.geometry.spacing,
        group=name,
        source="made_ct",
        names={0: "background", **{c.id: c.name for c in sample.classes if c.id != sample.classes.background}},
        unit="mm",
    )
