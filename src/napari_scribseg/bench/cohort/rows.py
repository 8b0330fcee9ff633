"""What is measured of each case of a cohort: a row of ``rows.csv``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from napari_scribseg.bench.results import BenchJob
from napari_scribseg.io.sheets import markdown_row

__all__ = ["CohortRow", "cohort_columns_table"]


def _column(text: str) -> dict[str, str]:
    return {"text": text}


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRow:
    """The measures of one case: a row of ``rows.csv``, with a column for each field."""

    data: str = field(metadata=_column("data set"))
    case: str = field(metadata=_column("its case, or its region of a volume"))
    protocol: str = field(metadata=_column("`cohort`"))
    method: str = field(metadata=_column("engine with its parameters, what learns, and the order of the slices"))
    group: str = field(metadata=_column("patient; cases of one group are not independent"))
    number: int = field(metadata=_column("of the case, from 1 on"))
    slices: int = field(metadata=_column("slices of the case; 1 of an image"))
    strokes: int = field(metadata=_column("strokes that it took; a line that is not connected to others is one"))
    strokes_to_target: float = field(
        metadata=_column("strokes until the mean Dice of the case was 0.90; nan where it never was")
    )
    painted_slices: int = field(metadata=_column("slices with strokes"))
    accepted_slices: int = field(metadata=_column("slices that were accepted, with strokes or without"))
    draft_dice: float = field(
        metadata=_column("Dice of the draft before any stroke, mean over the classes of the case; nan without a draft")
    )
    draft_slices: float = field(
        metadata=_column("share of the slices whose draft is as good as accepted ones have to be; nan without a draft")
    )
    dice: float = field(metadata=_column("Dice when the work was done, mean over the classes of the case"))
    examples: int = field(metadata=_column("slices that were learned from before the case"))
    learn_seconds: float = field(
        metadata=_column("seconds of the processor that learning before it, and within it, took")
    )
    agreement: float = field(
        metadata=_column("how far drafts agree with accepted slices kept back from learning; nan where none were")
    )
    seconds: float = field(metadata=_column("seconds of all answers, with filling and drafts"))
    failure: str = field(default="", metadata=_column("why the work ended early"))

    @property
    def job(self) -> BenchJob:
        """The job that the row belongs to."""
        return BenchJob(self.data, self.case, self.protocol, self.method)

    @property
    def is_played(self) -> bool:
        """Whether a user worked on the case; else only the draft was measured."""
        return not math.isnan(self.dice)


def cohort_columns_table() -> str:
    """The table of the documentation, as Markdown: each column, and what it holds."""
    lines = [markdown_row(["column", "what"]), "|---|---|"]
    lines += [markdown_row([f"`{f.name}`", f.metadata["text"]]) for f in fields(CohortRow)]
    return "\n".join(lines)
