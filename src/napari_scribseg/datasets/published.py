"""Where the authors of sets with people's strokes publish them, and under which licence; nothing is fetched here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_scribseg.datasets.unpacking import unpack_acdc, unpack_grabcut, unpack_medscribble
from napari_scribseg.io.archives import Archive

__all__ = ["PUBLISHED", "Published", "PublishedFile"]

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """An archive on the web.

    Attributes
    ----------
    url : str
        Its address.
    limit : int
        Most bytes that it may have.
    unpacked : int
        Most bytes that its files which are used may have, unpacked; of a tar.gz, all of it.
    """

    url: str
    limit: int
    unpacked: int


@dataclass(frozen=True, slots=True)
class Published:
    """A data set as its authors publish it.

    Attributes
    ----------
    licence : str
        Of strokes, images and labels, as far as the authors state it.
    about : str
        The address of a page that describes it.
    files : tuple of PublishedFile
        Its archives; none where no address is known.
    unpack : callable
        Converts the archives; see :mod:`napari_scribseg.datasets.unpacking`.
    only : collection of str, optional
        The images (MedScribble, GrabCut) or patients (ACDC) that belong to the set; by default all.
    """

    licence: str
    about: str
    files: tuple[PublishedFile, ...] = ()
    unpack: Callable[[Sequence[Archive], Path, Collection[str] | None], int] | None = None
    only: Collection[str] | None = None


# The images on which this project's parameters were chosen.
_MEDSCRIBBLE_DEV = frozenset({
    "ACDC__Challenge2017__patient018_axis2_maxslice",
    "BTCV__Cervix__5176452-Image_axis1_maxslice",
    "CAMUS__4CH_ED__train-patient0286_axis0_midslice",
    "CHAOS__CT__28_axis0_midslice",
    "HipXRay__retrieved_2023_07_10__image_098_axis0_midslice",
    "OASIS__retrieved_2021_01_26__OASIS_OAS1_0183_MR1_axis2_midslice",
    "OCTA500__OCTA_6M__10052_axis0_midslice",
    "PAXRay__retrieved_2023_06_09__RibFrac266frontal_axis0_midslice",
    "PanDental__v2__16_axis0_midslice",
    "SCD__VIS_human__p7_axis2_midslice",
    "STARE__retrieved_2021_12_06__im0239_axis0_midslice",
    "WBC__CV__025_axis0_midslice",
})  # fmt: skip
_ACDC_PATIENTS = frozenset(f"patient{n:03}" for n in (5, 15, 25, 35, 45, 55))
# The photographs of GrabCut; Gulshan et al. drew on others, too.
_GRABCUT_PHOTOGRAPHS = frozenset(
    """
    106024 124084 153077 153093 181079 189080 208001 209070 21077 227092 24077 271008 304074 326038 37073 376043 388016
    65019 69020 86016 banana1 banana2 banana3 book bool bush ceramic cross doll elefant flower fullmoon grave llama
    memorial music person1 person2 person3 person4 person5 person6 person7 person8 scissors sheep stone1 stone2 teddy
    tennis
    """.split()  # noqa: SIM905 - fifty names are read more easily so
)

_MEDSCRIBBLE = Published(
    licence="strokes Apache-2.0, as the authors' repository; images and labels under the licence of each of their "
    "sources, some for non-commercial use only, which MedScribble/README.md in the repository lists",
    about="https://github.com/halleewong/ScribblePrompt",
    files=(
        PublishedFile(
            "https://github.com/halleewong/ScribblePrompt/archive/182c44975f77749b559974ce8db558c8bde57788.zip",
            _GIB, 2 * _GIB,
        ),
    ),
    unpack=unpack_medscribble,
)  # fmt: skip
_ACDC = Published(
    licence="images and labels CC BY-NC-SA 4.0 (as others state it; the authors' pages do not), and Bernard et al. "
    "2018, doi:10.1109/TMI.2018.2837502, must be cited at any use; strokes not stated, cite Valvano et al. 2021",
    about="https://www.creatis.insa-lyon.fr/Challenge/acdc/ and "
    "https://vios-s.github.io/multiscale-adversarial-attention-gates/data",
    files=(
        PublishedFile(
            "https://humanheart-project.creatis.insa-lyon.fr/database/api/v1/folder/637218e573e9f0047faa00fc/download",
            6 * _GIB, 2 * _GIB,
        ),
        PublishedFile(
            "https://github.com/gvalvano/multiscale-adversarial-attention-gates/raw/master/DATA/acdc_scribbles.zip",
            _GIB // 4, _GIB,
        ),
    ),
    unpack=unpack_acdc,
)  # fmt: skip
_ISEG = "https://www.robots.ox.ac.uk/~vgg/data/iseg/"

#: By the name of the built-in data set.
PUBLISHED = {
    "acdc_scribbles": replace(_ACDC, only=_ACDC_PATIENTS),
    "acdc_scribbles_all": _ACDC,
    "grabcut_scribbles": Published(
        licence="not stated; Rother et al. 2004 (photographs and labels) and Gulshan et al. 2010 (strokes) are to be "
        "cited",
        about=_ISEG,
        files=tuple(
            PublishedFile(f"{_ISEG}data/{name}.tgz", _GIB // 4, _GIB)
            for name in ("images", "images-gt", "images-labels")
        ),
        unpack=unpack_grabcut,
        only=_GRABCUT_PHOTOGRAPHS,
    ),
    "graz_scribbles": Published(
        licence="not stated", about="http://www.icg.tu-graz.ac.at/publications/interactive-multi-label-segmentation"
    ),
    "medscribble_all": _MEDSCRIBBLE,
    "medscribble_dev": replace(_MEDSCRIBBLE, only=_MEDSCRIBBLE_DEV),
}
