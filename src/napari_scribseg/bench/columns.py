"""The columns of a benchmark: the measures of each result, and how the report shows their means.

A column is one entry in :class:`Row`: from it follow ``rows.csv``, ``summary.csv``, the tables of ``report.md`` and the
table of the documentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from napari_scribseg.bench.metrics import seed_accuracy
from napari_scribseg.bench.results import BenchJob, BenchResult, read_protocol
from napari_scribseg.io.sheets import markdown_row

__all__ = ["COLUMNS", "Column", "Mean", "Row", "columns_table"]


@dataclass(frozen=True, slots=True)
class Mean:
    """How the tables of the report show the mean of a column over images, after the last interaction.

    Attributes
    ----------
    heading : str
        Of the column; ``{unit}`` is replaced by the unit of the distances.
    text : callable
        Formats the mean; None for three digits with the ends of the interval.
    without_corrections, with_corrections : bool
        Whether it is shown where there is one result, and where corrections follow.
    """

    heading: str
    text: Callable[[float], str] | None = None
    without_corrections: bool = True
    with_corrections: bool = True


@dataclass(frozen=True, slots=True)
class Column:
    """One column of ``rows.csv``.

    Attributes
    ----------
    text : str
        Description, for the documentation.
    measure : callable
        From a :class:`~napari_scribseg.bench.results.BenchResult` to the value.
    mean : Mean or None
        Where it is given, the mean of the column is in ``summary.csv`` and in the report.
    """

    text: str
    measure: Callable[[BenchResult], Any]
    mean: Mean | None = None


def column(
    text: str,
    measure: Callable[[BenchResult], Any],
    *,
    mean: Mean | None = None,
    missing: Any = MISSING,
    formerly: str = "",
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """A field of :class:`Row`.

    Parameters
    ----------
    text, measure, mean
        See :class:`Column`.
    missing : optional
        The value in rows that were written before the column was added; without it, such files are refused.
    formerly : str
        The name of the column in files written before.
    parse : callable, optional
        Reads the text of a cell; by default the field's type.
    """
    metadata = {"column": Column(text, measure, mean), "formerly": formerly, "parse": parse}
    return field(default=missing, metadata=metadata)


def percent(share: float) -> str:
    """A share in percent; empty where there is none."""
    if math.isnan(share):
        return ""
    return f"{100 * share:.2f} %" if share < 1 else "100 %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The measures of one interaction: a row of ``rows.csv``, with a column for each field."""

    data: str = column("data set", lambda a: a.job.data)
    case: str = column("its case", lambda a: a.job.case)
    protocol: str = column("who draws", lambda a: a.job.protocol, parse=read_protocol)
    method: str = column("engine or peer with its parameters", lambda a: a.job.method)
    image: str = column("the case, its slice or its object", lambda a: a.task.name)
    group: str = column("photograph or patient; images of one group are not independent", lambda a: a.task.group)
    interaction: int = column("1 for the first strokes or click, then one more each", lambda a: a.number)
    n_classes: int = column("classes in the image", lambda a: a.task.n_classes)
    stroke_pixels: int = column("pixels painted so far", lambda a: int((a.seeds >= 0).sum()))
    slices: int = column(
        "slices with strokes, of a volume; else 1",
        lambda a: int((a.seeds >= 0).any(axis=(-2, -1)).sum()) if a.seeds.ndim == 3 else 1,
        missing=1,
    )
    dice: float = column(
        "Dice coefficient, mean over the classes that count", lambda a: a.scores.dice, mean=Mean("Dice")
    )
    iou: float = column(
        "intersection over union, mean over the classes that count", lambda a: a.scores.iou, mean=Mean("IoU")
    )
    hausdorff: float = column("largest distance between the boundaries, in `unit`", lambda a: a.scores.hausdorff)
    hausdorff95: float = column(
        "95th percentile of the distances between the boundaries, in `unit`",
        lambda a: a.scores.hausdorff95,
        mean=Mean("HD95, {unit}", "{:.1f}".format),
    )
    surface: float = column(
        "mean distance between the boundaries, in `unit`",
        lambda a: a.scores.surface,
        mean=Mean("ASSD, {unit}", "{:.2f}".format, with_corrections=False),
    )
    unit: str = column("`mm` where the data has a voxel size, else `px`", lambda a: a.task.unit)
    seed_accuracy: float = column(
        "share of the painted pixels that have their class",
        lambda a: 0.0 if a.labels is None else seed_accuracy(a.labels, a.seeds),
        mean=Mean("seed accuracy", percent),
        formerly="obeyed",
    )
    prepare_seconds: float = column(
        "seconds to prepare the image, in the row of the first answer; else 0", lambda a: a.prepare_seconds
    )
    seconds: float = column("seconds to answer; nan where there is no answer", lambda a: a.seconds)
    peak_mib: float = column("most memory that the answer took beyond what the process held", lambda a: a.peak_mib)
    failure: str = column(
        "why there is no answer; the scores are then 0, the distances the diagonal of the image", lambda a: a.failure
    )
    raw_seed_accuracy: float = column(
        "of a network that is corrected: `seed_accuracy` of its own answer, without correction; else nan",
        lambda a: a.raw_seed_accuracy,
        mean=Mean("raw seed accuracy", percent, without_corrections=False),
        missing=math.nan,
        formerly="agreed",
    )
    gain: float = column(
        "in `initial-mask`: IoU near the object clicked on, less that before the click; else nan",
        lambda a: a.gain,
        missing=math.nan,
    )
    error_auc: float = column(
        "area under the curve of error detection by the uncertainty: 0.5 by chance; nan where no label is wrong",
        lambda a: a.error_detection[0],
        mean=Mean("error AUC"),
        missing=math.nan,
    )
    calibration_error: float = column(
        "expected calibration error of the uncertainty, in 15 bins",
        lambda a: a.error_detection[1],
        mean=Mean("calibration error"),
        missing=math.nan,
    )

    @classmethod
    def of(cls, result: BenchResult) -> Row:
        """Every column measured."""
        return cls(**{name: column.measure(result) for name, column in COLUMNS.items()})

    @property
    def job(self) -> BenchJob:
        """The job that the row belongs to."""
        return BenchJob(self.data, self.case, self.protocol, self.method)


#: All columns by name, in their order.
COLUMNS: dict[str, Column] = {f.name: f.metadata["column"] for f in fields(Row)}


def columns_table() -> str:
    """The table of the documentation, as Markdown: each column, what it holds, and where its mean is shown."""
    lines = [markdown_row(["column", "what", "mean in the report"]), "|---|---|---|"]
    for name, entry in COLUMNS.items():
        heading = entry.mean.heading.replace(", {unit}", "") if entry.mean else ""
        lines.append(markdown_row([f"`{name}`", entry.text, heading]))
    return "\n".join(lines)
