"""The report of a cohort: a table with a row for each image, and a summary to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_scribseg.batch.batch_jobs import STATUSES, BatchOutcome, Status
from napari_scribseg.core.errors import one_line
from napari_scribseg.io.atomic import write_files
from napari_scribseg.io.sheets import csv_text, markdown_row

__all__ = ["FILES", "BatchReport", "write_report"]

FILES = ("report.csv", "report.md")

_MOST_NOTES = 50


@dataclass(frozen=True, slots=True)
class BatchReport:
    """The outcome of every image, in the order of the cohort.

    Attributes
    ----------
    outcomes : tuple of BatchOutcome
        One for each job.
    folder : Path
        The output folder; ``report.csv`` and ``report.md`` lie in it.
    engine : str
        Registered name.
    settings : mapping
        The value of every field of the engine.
    seconds : float
        Time of this run.
    """

    outcomes: tuple[BatchOutcome, ...]
    folder: Path
    engine: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.outcomes)

    def __iter__(self) -> Iterator[BatchOutcome]:
        return iter(self.outcomes)

    def count(self, status: Status) -> int:
        """How many images have this status."""
        return sum(outcome.status == status for outcome in self.outcomes)

    @property
    def failures(self) -> tuple[BatchOutcome, ...]:
        """The images that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")

    @property
    def summary(self) -> str:
        """Counts in one line, such as ``198 done, 2 failed of 200 images``."""
        counts = ", ".join(f"{self.count(status)} {status}" for status in STATUSES if self.count(status))
        return f"{counts or 'none'} of {len(self)} images"


def write_report(report: BatchReport) -> tuple[Path, Path]:
    """Write ``report.csv`` and ``report.md`` into the output folder: both, or none.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    table, text = (report.folder / name for name in FILES)
    write_files({table: _csv(report).encode(), text: _markdown(report).encode()})
    return table, text


def _csv(report: BatchReport) -> str:
    rows: list[tuple[Any, ...]] = [("id", "image", "status", "seconds", "slices", "labels", "error")]
    for o in report:
        labels = o.labels.relative_to(report.folder).as_posix() if o.labels else ""
        rows.append((o.id, o.image, o.status, f"{o.seconds:.2f}" if o.seconds else "", o.slices or "", labels, o.error))
    return csv_text(rows)


def _markdown(report: BatchReport) -> str:
    from napari_scribseg import __version__

    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    lines = [
        "# Batch report",
        "",
        f"{report.summary}; {report.seconds:.1f} s.",
        "",
        f"Engine {report.engine}{f' ({settings})' if settings else ''}, napari-scribseg {__version__}.",
    ]
    computed = sorted(o.seconds for o in report if o.status == "done")
    if computed:
        lines += ["", f"Seconds an image: median {computed[len(computed) // 2]:.2f}, longest {computed[-1]:.2f}."]
    if report.failures:
        lines += ["", "## Failed", "", "They are tried again when the same command is run again.", ""]
        lines += ["| image | why |", "|---|---|"]
        lines += [markdown_row([o.id, o.error]) for o in report.failures]
    if report.count("left"):
        lines += ["", f"{report.count('left')} images were not reached; run the same command again to resume."]
    notes = Counter(note for o in report for note in o.notes)
    if notes:
        lines += ["", "## Warnings", ""]
        lines += [f"- {one_line(note)} ({count} images)" for note, count in notes.most_common(_MOST_NOTES)]
    return "\n".join(lines) + "\n"
