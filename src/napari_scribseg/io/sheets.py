"""CSV and Markdown tables whose cells hold text of others: no cell begins a formula, ends a line or adds a column.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula, which may start a program. Such
a cell, and one with control characters, is written with an apostrophe before it and with escapes inside, and read back
as it was. Numbers stay as they are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from napari_scribseg.core.errors import HIDDEN, one_line

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["csv_rows", "csv_text", "frame_csv", "markdown_row", "markdown_table"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)")
_HIDDEN = re.compile(f"[{HIDDEN}]")
# Where a semicolon separates cells in the user's country, what follows one is a cell of its own.
_INNER = re.compile(r"(?<=[;,])\s*[=+\-@]")
_ESCAPED = re.compile(rf"[{HIDDEN}\\]|(?<=[;,])\s*[=+\-@]")
_ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt\\])")


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV, a line each; floats with six digits."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def csv_rows(text: str) -> list[list[str]]:
    """What :func:`csv_text` wrote, cell by cell.

    Raises
    ------
    csv.Error
        If it is no CSV.
    """
    return [[_plain(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]


def frame_csv(frame: DataFrame) -> str:
    """A table of pandas as CSV, with the names of its columns; cells as of :func:`csv_text`."""
    return csv_text([list(frame.columns), *frame.itertuples(index=False, name=None)])


def markdown_table(frame: DataFrame) -> list[str]:
    """The lines of a Markdown table of a table of pandas whose cells are text."""
    lines = [markdown_row(frame.columns), "|---" * frame.shape[1] + "|"]
    return [*lines, *(markdown_row(cells) for cells in frame.itertuples(index=False, name=None))]


def markdown_row(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return " | ".join(["", *(one_line(cell).replace("|", "\\|").replace("<", "&lt;") for cell in cells), ""]).strip()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "" if value is None else str(value)
    begins = text[:1] in ("=", "+", "-", "@", "'") and not _NUMBER.fullmatch(text)
    if not (begins or _HIDDEN.search(text) or _INNER.search(text)):
        return text
    return "'" + _ESCAPED.sub(lambda match: "".join(map(_escape, match[0])), text)


def _escape(letter: str) -> str:
    escaped = letter.encode("unicode_escape").decode("ascii")
    return escaped if escaped != letter else f"\\x{ord(letter):02x}"


def _plain(cell: str) -> str:
    if not cell.startswith("'"):
        return cell
    return _ESCAPE.sub(lambda match: match[0].encode("ascii").decode("unicode_escape"), cell[1:])
