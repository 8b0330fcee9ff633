"""Sets of volumes: hippocampus MR, whole CT with organs, and DICOM slices with NRRD masks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.datasets.case import Case, CaseList
from napari_scribseg.datasets.listing import require_folder
from napari_scribseg.datasets.reading import About, CaseFiles, on_grid, read_listed
from napari_scribseg.io import read_labels, read_volume

__all__ = ["find_dcmqi", "find_hippocampus", "find_totalsegmentator"]

# The main organs of TotalSegmentator's tasks "total" (CT) and "total_mr"; the other ids have a number for a name.
_ABDOMEN = {
    1: "spleen",
    2: "right kidney",
    3: "left kidney",
    4: "gallbladder",
    5: "liver",
    6: "stomach",
    7: "pancreas",
    8: "right adrenal gland",
    9: "left adrenal gland",
}
_CT_ORGANS = _ABDOMEN | {
    10: "left upper lobe",
    11: "left lower lobe",
    13: "right middle lobe",
    14: "right lower lobe",
    18: "small bowel",
    19: "duodenum",
    20: "colon",
    21: "urinary bladder",
    52: "aorta",
    63: "inferior vena cava",
    79: "spinal cord",
}
_MR_ORGANS = _ABDOMEN | {
    13: "small bowel",
    14: "duodenum",
    15: "colon",
    19: "vertebrae",
    20: "intervertebral discs",
    21: "spinal cord",
    23: "aorta",
}
_TOTAL = {
    "ct": ("example_ct", "example_seg_fast_force_split", "CT", _CT_ORGANS),
    "ct_crop": ("example_ct_sm", "example_seg", "CT", _CT_ORGANS),
    "mr_crop": ("example_mr_sm", "example_seg_mr", "MR", _MR_ORGANS),
}

# Masks in dcmqi's folder: file, and the names of its ids.
_DCMQI: Mapping[str, Mapping[int, str]] = {
    "heart": {3: "heart"},
    "liver": {1: "liver"},
    "liver_spine": {1: "liver", 2: "spine"},
    "spine": {2: "spine"},
}


def find_hippocampus(folder: Path) -> CaseList:
    """MR crops of the hippocampus: 1 anterior, 2 posterior.

    References
    ----------
    Antonelli et al., "The Medical Segmentation Decathlon", Nature Communications 2022, Task04.
    """
    require_folder(folder)
    labels = sorted(p for p in (folder / "labelsTr").glob("*.nii.gz") if not p.name.startswith("."))
    if not labels:
        raise InputError(f"{folder / 'labelsTr'}: it holds no .nii.gz file")
    cases = {}
    for path in labels:
        name = path.name.removesuffix(".nii.gz")
        cases[name] = CaseFiles(name, (folder / "imagesTr" / path.name,), path, source="msd_hippocampus")
    about = About(names={0: "background", 1: "anterior hippocampus", 2: "posterior hippocampus"})
    return tuple(cases), partial(read_listed, cases=cases, about=about)


def find_totalsegmentator(folder: Path) -> CaseList:
    """A whole CT of 3 mm voxels, a crop of it, and an MR crop; the labels are a model's, not a person's.

    References
    ----------
    Wasserthal et al., Radiology: Artificial Intelligence 2023.
    """
    require_folder(folder)
    names = tuple(n for n, (_, labels, *_) in _TOTAL.items() if (folder / f"{labels}.nii.gz").is_file())
    if not names:
        raise InputError(f"{folder}: it holds none of {', '.join(f'{v[1]}.nii.gz' for v in _TOTAL.values())}")
    return names, partial(_read_total, folder=folder)


def _read_total(name: str, *, folder: Path) -> Case:
    image, labels, modality, organs = _TOTAL[name]
    group = f"totalsegmentator {modality}"  # the crop is of the same patient
    files = CaseFiles(name, (folder / f"{image}.nii.gz",), folder / f"{labels}.nii.gz", group=group, source=group)
    return read_listed(name, cases={name: files}, about=About(names={0: "background"} | organs))


def find_dcmqi(folder: Path) -> CaseList:
    """Three CT slices in DICOM with NRRD masks of liver, spine and heart, whose slices are in reverse order.

    The mask of the heart is not anatomical: it is there to check geometry, not to score.

    References
    ----------
    Herz et al., "dcmqi: An Open Source Library for Standardized Communication of Quantitative Image Analysis Results
    Using DICOM", Cancer Research 2017.
    """
    require_folder(folder)
    names = tuple(n for n in _DCMQI if (folder / f"{n}_seg.nrrd").is_file())
    if not names:
        raise InputError(f"{folder}: it holds none of {', '.join(f'{n}_seg.nrrd' for n in _DCMQI)}")
    return names, partial(_read_dcmqi, folder=folder)


def _read_dcmqi(name: str, *, folder: Path) -> Case:
    image = read_volume(folder)
    path = folder / f"{name}_seg.nrrd"
    return Case(
        name=name,
        image=image.array,
        truth=on_grid(read_labels(path), image.geometry, path.name),
        spacing=image.geometry.spacing,
        group="dcmqi",
        source="dcmqi_ct_dicom",
        names={0: "background"} | dict(_DCMQI[name]),
        unit="mm",
    )
