"""What a header says of an image's modality and display, by DICOM's tags, which other formats repeat in their keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

from napari_scribseg.core.windows import DisplayWindow

__all__ = ["described_by_keys", "described_by_tags"]

MODALITY, CENTER, WIDTH, EXPLANATION = "0008|0060", "0028|1050", "0028|1051", "0028|1055"
_KEY = re.compile(r"(?:DICOM[_:])?([0-9a-f]{4})[|_,]([0-9a-f]{4})(?:_\w*)?", re.IGNORECASE)
_METAIMAGE = {"MET_MOD_CT": "CT", "MET_MOD_MR": "MR", "MET_MOD_NM": "NM", "MET_MOD_US": "US"}


def described_by_tags(text: Callable[[str], str]) -> tuple[str, tuple[DisplayWindow, ...]]:
    """Modality and windows, as of :class:`~napari_scribseg.core.Source`.

    Parameters
    ----------
    text : callable
        ``text("0008|0060")`` gives the value of a tag; empty if there is none.
    """
    names = [name.strip() for name in text(EXPLANATION).split("\\")]
    pairs = zip(_numbers(text(CENTER)), _numbers(text(WIDTH)), strict=False)
    windows = [
        DisplayWindow.of(_named(names, n, center, width), center, width)
        for n, (center, width) in enumerate(pairs)
        if np.isfinite([center, width]).all() and width > 1
    ]
    return text(MODALITY).strip().upper(), tuple(dict.fromkeys(windows))


def described_by_keys(fields: Mapping[str, str]) -> tuple[str, tuple[DisplayWindow, ...]]:
    """Modality and windows of the keys in a text header.

    Tags are read as ITK writes them (``0008|0060``) and as dcm2niix does (``DICOM_0008_0060_Modality``); MetaImage also
    has ``Modality``.
    """
    tags = {f"{m[1]}|{m[2]}".lower(): value for key, value in fields.items() if (m := _KEY.fullmatch(key.strip()))}
    modality, windows = described_by_tags(lambda tag: tags.get(tag, ""))
    return modality or _METAIMAGE.get(fields.get("Modality", ""), ""), windows


def _named(names: list[str], n: int, center: float, width: float) -> str:
    own = names[n] if n < len(names) else ""
    return f"{own or 'of the file'} ({center:g} ± {width / 2:g})"


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split("\\") if word.strip()]
    except ValueError:
        return []
