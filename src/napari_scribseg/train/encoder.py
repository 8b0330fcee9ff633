"""The ImageNet weights of an encoder, fetched when the user asks for them, and checked before they are kept."""

from __future__ import annotations

from pathlib import Path

import torch

from napari_scribseg.core import InputError
from napari_scribseg.io.download import digest_of, download

__all__ = ["ENCODER_URL", "fetch_encoder"]

#: DenseNet-121 as torchvision publishes it; the name ends in the first digits of its SHA-256.
ENCODER_URL = "https://download.pytorch.org/models/densenet121-a639ec97.pth"

LARGEST = 1 << 26  # bytes; the file has 32.3 million


def fetch_encoder(url: str = ENCODER_URL, folder: str | Path | None = None) -> Path:
    """The file of an encoder, downloaded unless it is there already.

    Parameters
    ----------
    url : str
        Of a file ``NAME-DIGITS.pth`` whose SHA-256 begins with the digits.
    folder : str or Path, optional
        Where it is stored; by default the folder of torch.hub and torchvision.

    Returns
    -------
    Path
        For :func:`~napari_scribseg.nets.load_encoder`; the file is complete and has its checksum.

    Raises
    ------
    InputError
        If it cannot be fetched or written, is too large, or has another checksum; nothing is left behind then.
    """
    name = url.rpartition("/")[2]
    digits = name.rpartition("-")[2].partition(".")[0]
    if len(digits) < 8 or set(digits) - set("0123456789abcdef"):
        raise InputError(
            f"the encoder {name!r} has no checksum in its name; one such as densenet121-a639ec97.pth is expected"
        )
    path = (Path(folder) if folder is not None else Path(torch.hub.get_dir()) / "checkpoints") / name
    if path.is_file() and digest_of(path).startswith(digits):
        return path

    def check(found: str) -> None:
        if not found.startswith(digits):
            raise InputError(f"{url} gave a file with another checksum than {digits}...; it is not kept")

    download(url, path, limit=LARGEST, check=check, instead="fetch it yourself and give the file as encoder instead")
    return path
