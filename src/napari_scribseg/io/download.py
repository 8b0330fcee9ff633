"""A file from an address on the web: whole, of a bounded size and with the expected content, or none."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit

from napari_scribseg.core import InputError
from napari_scribseg.io.atomic import refusal, replacing
from napari_scribseg.io.limits import human_size

__all__ = ["digest_of", "download"]

_PIECE = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte


def download(
    url: str,
    path: Path,
    *,
    limit: int,
    instead: str,
    check: Callable[[str], object] | None = None,
    progress: Callable[[int, int | None], object] | None = None,
) -> str:
    """Fetch a file.

    Parameters
    ----------
    url : str
        Begins with ``https://`` or ``http://``; it may lead on to other such addresses, but not from https to http.
    path : Path
        The file to write; its folder is made. A file that is there is replaced once the new one is complete.
    limit : int
        Most bytes that it may have.
    instead : str
        What a user can do where it cannot be fetched, for the message.
    check : callable, optional
        Called with the SHA-256 of the content before the file is kept; it raises ``InputError`` to refuse it.
    progress : callable, optional
        Called with the bytes so far and those in all, None where the server does not say.

    Returns
    -------
    str
        The SHA-256 of the content, in hexadecimal digits.

    Raises
    ------
    InputError
        If it cannot be fetched or written, is cut off, too large, or refused by ``check``; ``path`` is then what it
        was before, and nothing else is left behind.
    """
    if urlsplit(url).scheme not in ("https", "http"):
        raise InputError(f"the address is {url}; one that begins with https:// is expected")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            digest = _transfer(url, file, limit, progress)
            if check is not None:
                check(digest)
    except InputError:
        raise
    except (OSError, ValueError, HTTPException) as error:  # no network, no such address, cut off, a full disk
        raise InputError(f"{url} cannot be fetched ({_reason(error)}); {instead}") from error
    return digest


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) and not isinstance(error, HTTPError) else error
    text = (refusal(cause) or cause.strerror) if isinstance(cause, OSError) and not isinstance(cause, HTTPError) else ""
    return text or str(cause) or type(cause).__name__


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows addresses of the same kind, and from http to https."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> Any:
        target = urljoin(req.full_url, headers.get("location") or headers.get("uri") or "")
        if urlsplit(target).scheme not in {"https", req.type}:
            fp.close()
            raise InputError(f"{req.full_url} leads on to {target}, which is not followed; https:// is expected")
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _transfer(url: str, file: BinaryIO, limit: int, progress: Callable[[int, int | None], object] | None) -> str:
    """Write the content to a file, at most ``limit`` bytes; its SHA-256."""
    digest, written = hashlib.sha256(), 0
    with urllib.request.build_opener(_Redirects).open(url, timeout=_TIMEOUT) as response:
        declared = _declared(response.headers)
        if (declared or 0) > limit:
            raise InputError(_too_large(url, limit))
        while piece := response.read(_PIECE):
            written += len(piece)
            if written > limit:
                raise InputError(_too_large(url, limit))
            digest.update(piece)
            file.write(piece)
            if progress is not None:
                progress(written, declared)
    if declared is not None and written != declared:
        raise InputError(f"{url} was cut off after {written} of {declared} bytes, and is not kept; try again")
    return digest.hexdigest()


def _declared(headers: HTTPMessage) -> int | None:
    """The bytes that a server promises; None where it does not, or sends pieces whose lengths it states itself."""
    text = headers.get("Content-Length", "").strip()
    return int(text) if text.isdecimal() and "chunked" not in headers.get("Transfer-Encoding", "").lower() else None


def _too_large(url: str, limit: int) -> str:
    return f"{url} has more than {limit} bytes ({human_size(limit)}), which is more than expected; it is not kept"
