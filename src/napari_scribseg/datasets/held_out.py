"""Cases that no network of this package is trained on, for measurements on unseen images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from napari_scribseg.datasets.case import DataSet

__all__ = ["HELD_OUT", "HELD_OUT_SOURCES", "held_out", "without_held_out"]

#: Names of cases by data set, drawn at random once; of the nuclei, each kind of image by its share.
HELD_OUT: Mapping[str, tuple[str, ...]] = {
    "msd_hippocampus": tuple(
        f"hippocampus_{number:03}"
        for number in (6, 19, 25, 40, 42, 74, 87, 89, 102, 144, 149, 158, 163, 169, 176, 177, 185, 203, 210, 223)
    ),
    "dsb2018_nuclei": (
        "003cee89357d9fe1", "0121d6759c5adb29", "05a8f65ebd0b30d3", "0b0d577159f0d6c2", "0d2bf916cc8de90d",
        "0ddd8deaf1696db6", "1023509cf8d4c155", "10328b822b836e67", "139946af9e2c7ef4", "15039b3acccc4257",
        "1a75de9e11303142", "1b6044e4858a9b7c", "1c681dfa5cf7e413", "1db1cddf28e305c9", "1e488c42eb1a54a3",
        "1e8408fbb1619e7a", "20b20ab049372d18", "21408476af050633", "2255d5aba044256b", "23830d0e51245fc0",
        "2869fad54664677e", "2ad489c11ed8b77a", "2c83c86dd4e5dacc", "2d53d7ec0c579fff", "305a8baaf726d7c9",
        "30f65741053db713", "353ab00e964f71aa", "37ed50eea5a1e0ba", "3874755f6222e830", "3d0ca3498d97edeb",
        "420f43d21dbaba42", "4829177d0b36abdd", "4b274461c6d001a7", "4ca5081854df7bbc", "4d2cff9a0c8df3a7",
        "4d40de30a3db3bc4", "4d4ebfcae4374165", "50a7ea80dd73232a", "514ccfc78cb55988", "54cb3328e778d87f",
    ),
}  # fmt: skip

#: Whole sources of ``permissive_slices``: retinal vessels.
HELD_OUT_SOURCES = ("fundus_hrf_vessel",)


def held_out(data_set: str, case: str) -> bool:
    """Whether a case is never trained on.

    Parameters
    ----------
    data_set, case : str
        Names, as :attr:`~napari_scribseg.datasets.case.DataSet.name` and ``cases`` have them.
    """
    if data_set.partition("/")[0] == "permissive_slices":
        return case.partition("/")[0] in HELD_OUT_SOURCES
    return case in HELD_OUT.get(data_set, ())


def without_held_out(data_set: DataSet) -> DataSet:
    """A data set without the cases that are never trained on."""
    return replace(data_set, cases=tuple(name for name in data_set.cases if not held_out(data_set.name, name)))
