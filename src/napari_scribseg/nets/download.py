"""The ImageNet weights of an encoder, fetched when the user asks for them, and checked before they are kept."""

from __future__ import annotations

import hashlib
import secrets
import time
import urllib.request
from pathlib import Path

import torch

from napari_scribseg.core import InputError

__all__ = ["ENCODER_URL", "fetch_encoder"]

#: DenseNet-121 as torchvision publishes it; the name ends in the first digits of its SHA-256.
ENCODER_URL = "https://download.pytorch.org/models/densenet121-a639ec97.pth"

LARGEST = 1 << 26  # bytes; the file has 32.3 million
_PIECE = 1 << 20
_ABANDONED = 86_400.0  # age in seconds of a partial download whose process was killed
_TIMEOUT = 30.0  # seconds without a byte


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
    if path.is_file() and _digest(path).startswith(digits):
        return path
    temporary = path.with_name(f".{name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f".{name}.*.tmp"):
            if time.time() - old.stat().st_mtime > _ABANDONED:
                old.unlink(missing_ok=True)
        _download(url, temporary)
        if not _digest(temporary).startswith(digits):
            raise InputError(f"{url} gave a file with another checksum than {digits}...; it is not kept")
        temporary.replace(path)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # no network, no such address, a full disk
        raise InputError(
            f"{url} cannot be fetched ({error}); fetch it yourself and give the file as encoder instead"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _download(url: str, path: Path) -> None:
    """Download to a file of at most ``LARGEST`` bytes."""
    if not url.startswith(("https://", "http://")):
        raise InputError(f"the encoder's address is {url}; one that begins with https:// is expected")
    written = 0
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response, path.open("xb") as file:  # noqa: S310
        while piece := response.read(_PIECE):
            written += len(piece)
            if written > LARGEST:
                raise InputError(f"{url} has more than {LARGEST} bytes; an encoder is smaller, and this is not kept")
            file.write(piece)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
