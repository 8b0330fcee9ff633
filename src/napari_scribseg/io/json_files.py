"""JSON objects in files: read within bounds, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_scribseg.core import InputError
from napari_scribseg.io.atomic import write_files
from napari_scribseg.io.limits import read_text

__all__ = ["read_json", "write_json"]

_MOST_BYTES = 64 << 20


def read_json(path: Path, what: str = "description of a data set", *, most: int = _MOST_BYTES) -> dict[str, Any]:
    """A JSON object in a file.

    Parameters
    ----------
    path : Path
    what : str
        The kind of file that is expected, for messages.
    most : int
        Bytes that it may have.

    Raises
    ------
    InputError
        If the file cannot be read, is too large, or is no JSON object.
    """
    text = read_text(path, most, what)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name}: it is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path.name}: it holds {type(content).__name__}; an object with keys is expected")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, with a line for each value; InputError if it cannot be written."""
    write_files({path: (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()})
