"""Sets of 2D pictures with labels: photographs, microscopy and single slices of medical images."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError
from napari_scribseg.datasets.case import Case, CaseList
from napari_scribseg.datasets.listing import listed, require_folder
from napari_scribseg.datasets.reading import About, CaseFiles, read_case
from napari_scribseg.io import read_volume

__all__ = [
    "find_axondeepseg",
    "find_coco",
    "find_dsb2018",
    "find_label_maps",
    "find_permissive",
    "find_usiigaci",
    "slice_licences",
]

_HALF = 127  # of 8 bits
_PHOTOGRAPH = re.compile(r"(.*?)\d\d_(\d+)")

# The part of the file names of a source that identifies the patient. A source that is not here, or a name that does not
# fit, is one group: consecutive slices of unknown patients.
_PATIENTS = {
    "ct_aorta": r"\d+(?=_\d+$)",
    "ct_bhsd": r"\d{3}(?=\d{3}$)",
    "ct_congenital_heart": r"\d+(?=_\d+$)",
    "ct_hepaticvessel_msd": r"\d+(?=_\d+$)",
    "ct_lungtumor_msd": r"\d+(?=_\d+$)",
    "ct_pulmonary_av": r"\d+(?=_\d+$)",
    "ct_spleen_msd": r"spleen_\d+",
    "fundus_fives": r".+",
    "mr_brain7t_cerebrum": r"\d+(?=_\d+$)",
    "mr_heart_hvsmr2": r"\d+(?=_\d+$)",
    "mr_sarcoma": r"STS_\d+",
    "mr_spine_spider": r"\d+(?=_\d+$)",
    "octa_faz": r"\d+",
    "us_breast_tcia": r".+",
    "us_carotid": r".+(?=_slice_\d+$)",
}


def find_coco(folder: Path) -> CaseList:
    """Photographs with the mask of one object each; a photograph with several objects is one group.

    References
    ----------
    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.
    """
    names = listed(folder / "gt", ".png")
    return names, partial(_read_coco, folder=folder)


def _read_coco(name: str, *, folder: Path) -> Case:
    parts = _PHOTOGRAPH.fullmatch(name)
    kind, photograph = parts.groups() if parts else ("object", name)
    mask = _grey(folder / "gt" / f"{name}.png")
    return Case(
        name=name,
        image=read_volume(folder / "img" / f"{name}.jpg").array,
        truth=(mask > _HALF).astype(np.int32),
        spacing=(1.0, 1.0),
        group=photograph,
        source="coco_mval",
        names={0: "background", 1: kind.replace("_", " ")},
    )


def find_dsb2018(folder: Path) -> CaseList:
    """Microscopy of nuclei; every id is one nucleus.

    The source of a case is its kind of image, found from its pixels: ``fluorescence`` (grey on dark), ``brightfield``
    (grey on bright) or ``stained`` (colours).

    References
    ----------
    Caicedo et al., Nature Methods 2019 (BBBC038v1).
    """
    return listed(folder / "labels", ".png"), partial(_read_dsb2018, folder=folder)


def _read_dsb2018(name: str, *, folder: Path) -> Case:
    image = read_volume(folder / "images" / f"{name}.png").array
    return Case(
        name=name,
        image=image,
        truth=_grey(folder / "labels" / f"{name}.png").astype(np.int32),
        spacing=(1.0, 1.0),
        group=name,
        source=_kind_of_microscopy(image),
        instances=True,
    )


def _kind_of_microscopy(image: NDArray[Any]) -> str:
    if image.ndim == 3 and np.ptp(image.astype(np.int16), axis=-1).mean() > 2:  # grey levels
        return "stained"
    return "fluorescence" if np.median(image) < _HALF else "brightfield"


def find_usiigaci(folder: Path) -> CaseList:
    """Phase-contrast images of T98G cells; every id is one cell.

    References
    ----------
    Tsai et al., "Usiigaci: instance-aware cell tracking in stain-free phase contrast microscopy", SoftwareX 2019.
    """
    names = listed(folder, "_image.png")
    return names, partial(_read_usiigaci, folder=folder)


def _read_usiigaci(name: str, *, folder: Path) -> Case:
    files = CaseFiles(
        name, (folder / f"{name}_image.png",), folder / f"{name}_label.png", group=name, source="usiigaci_phase"
    )
    return read_case(files, About(names={0: "background"}, instances=True))


def find_axondeepseg(folder: Path) -> CaseList:
    """Scanning electron microscopy of rat spinal cord: 1 axon, 2 myelin; the rat is the group.

    References
    ----------
    Zaimi et al., Scientific Reports 2018; doi:10.5281/zenodo.5498378.
    """
    return listed(folder, "_SEM.png"), partial(_read_axondeepseg, folder=folder)


def _read_axondeepseg(name: str, *, folder: Path) -> Case:
    axon, myelin = (_grey(folder / f"{name}_SEM_seg-{kind}-manual.png") > _HALF for kind in ("axon", "myelin"))
    if axon.shape != myelin.shape:
        raise InputError(f"{name}: its masks have the shapes {axon.shape} and {myelin.shape}; one shape is expected")
    truth = np.where(myelin, np.int32(2), np.int32(0))
    truth[axon] = 1
    return Case(
        name=name,
        image=read_volume(folder / f"{name}_SEM.png").array,
        truth=truth,
        spacing=(1.0, 1.0),
        group=name.partition("_")[0],
        source="axondeepseg_sem",
        names={0: "background", 1: "axon", 2: "myelin"},
    )


def find_permissive(folder: Path) -> CaseList:
    """Single CT, MR, ultrasound, OCT and fundus slices of many sources, or of one, given by its sub-folder.

    The name of a case starts with its source, the sub-folder: ``ct_aorta/10002_135``. Its group is the patient where
    the file name has one, else the whole source.
    """
    inside = any(require_folder(folder).glob("*_label.png"))
    sources = [folder] if inside else sorted(p for p in folder.iterdir() if any(p.glob("*_label.png")))
    names = tuple(f"{s.name}/{n}" for s in sources for n in listed(s, "_label.png"))
    if not names:
        raise InputError(f"{folder}: it holds no slices NAME_label.png, nor sub-folders with some")
    instances = frozenset(s.name for s in sources if "Classes: instances" in _source_text(s))
    return names, partial(_read_permissive, folder=folder.parent if inside else folder, instances=instances)


def _source_text(folder: Path) -> str:
    path = folder / "SOURCE.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def slice_licences(folder: Path) -> dict[str, str]:
    """The licence of each source in ``permissive_slices``, as its SOURCE.txt states it."""
    found = {}
    for path in sorted(folder.glob("*/SOURCE.txt")):
        stated = re.search(r"^licence:\s*(.+)$", _source_text(path.parent), flags=re.MULTILINE)
        found[path.parent.name] = stated[1].strip() if stated else "not stated"
    return found


def _read_permissive(name: str, *, folder: Path, instances: frozenset[str]) -> Case:
    source, _, single = name.partition("/")
    stem = folder / source / f"{single}_image.png"
    image = next((p for p in (stem, stem.with_suffix(".jpg")) if p.exists()), None)
    if image is None:
        raise InputError(f"{stem.parent}: there is no image for the labels of {single}; {stem.name} is expected")
    patient = re.search(_PATIENTS.get(source, "$^"), single)
    files = CaseFiles(
        name,
        (image,),
        folder / source / f"{single}_label.png",
        group=f"{source}/{patient[0]}" if patient else source,
        source=source,
    )
    return read_case(files, About(names={0: "background"}, instances=source in instances))


def find_label_maps(folder: Path) -> CaseList:
    """Slices of whole-head label maps in three directions; the image of a case is its label map.

    References
    ----------
    Billot et al., "SynthSeg", Medical Image Analysis 2023.
    """
    names = tuple(
        f"{part.name}/{name}" for part in sorted(require_folder(folder).iterdir()) if part.is_dir()
        for name in listed(part, "_label.png")
    )  # fmt: skip
    if not names:
        raise InputError(f"{folder}: it holds no sub-folders with label maps NAME_label.png")
    return names, partial(_read_label_map, folder=folder)


def _read_label_map(name: str, *, folder: Path) -> Case:
    source, _, single = name.partition("/")
    labels = _grey(folder / f"{name}_label.png")
    return Case(
        name=name,
        image=labels,
        truth=labels.astype(np.int32),
        spacing=(1.0, 1.0),
        group=f"{source}/{single.partition('_')[0]}",
        source=source,
        names={0: "background"},
    )


def _grey(path: Path) -> NDArray[Any]:
    """A mask or label picture with one channel."""
    loaded = read_volume(path)
    if loaded.channels:
        raise InputError(f"{path.name}: it has {loaded.array.shape[-1]} channels; a label picture has one")
    return np.asarray(loaded.array)
