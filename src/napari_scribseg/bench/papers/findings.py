"""From rows to findings: mean IoU of each cell of a table, and differences of methods on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_scribseg.bench.papers.parts import Part
from napari_scribseg.bench.papers.sloppiness import Sloppiness
from napari_scribseg.bench.rows import Row
from napari_scribseg.bench.statistics import Interval, bootstrap_mean

__all__ = ["Cell", "Difference", "Level", "cells_of", "differences_of", "levels_of"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a table.

    Attributes
    ----------
    data, row, column, method : str
        Where it stands, and what was run; ``method`` is empty where only the paper has a number.
    images : int
        How many were segmented.
    iou : Interval
        Mean over images of the mean over classes; NaN without rows.
    published : float or None
        The paper's.
    """

    data: str
    row: str
    column: str
    method: str
    images: int
    iou: Interval
    published: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one method is than another on the same images.

    Attributes
    ----------
    data, text, better, worse : str
        Which, and what the paper says of it.
    images : int
        Segmented by both.
    iou : Interval
        Mean difference; above 0 where the claim holds.
    """

    data: str
    text: str
    better: str
    worse: str
    images: int
    iou: Interval

    @property
    def verdict(self) -> str:
        """Whether the claim holds here, as far as the interval tells."""
        if self.iou.low > 0:
            return "holds"
        return "does not hold" if self.iou.high < 0 else "open"


@dataclass(frozen=True, slots=True)
class Level:
    """What a method makes of outlines with one size of error; means over objects."""

    data: str
    method: str
    error: float
    objects: int
    drawn_agreement: Interval
    answer_agreement: Interval
    gain: Interval
    drawn_iou: Interval
    answer_iou: Interval
    first_seconds: float
    seconds: float


def cells_of(part: Part, rows: Sequence[Row], data: str) -> list[Cell]:
    """The cells of a part on one data set, in the part's order, then those that only the paper has.

    Parameters
    ----------
    part : Part
        Which methods stand where.
    rows : sequence of Row
        What was measured; one answer for each image.
    data : str
        Name of the data set.
    """
    found = []
    for place in [*part.cells, *(p for p in part.published if p not in part.cells)]:
        method = part.cells.get(place, "")
        own = [row for row in rows if row.method == method and row.data == data]
        iou = bootstrap_mean([row.iou for row in own], [row.group for row in own])
        found.append(Cell(data, *place, method, len(own), iou, part.published.get(place)))
    return found


def differences_of(part: Part, rows: Sequence[Row], data: str) -> list[Difference]:
    """The paper's conclusions, each as a difference between two methods on the images that both segmented."""
    scores = {(row.method, row.case, row.image): row for row in rows if row.data == data}
    found = []
    for claim in part.claims:
        pairs = [
            (row, scores[claim.worse, *key[1:]])
            for key, row in scores.items()
            if key[0] == claim.better and (claim.worse, *key[1:]) in scores
        ]
        iou = bootstrap_mean([a.iou - b.iou for a, b in pairs], [a.group for a, _ in pairs])
        if pairs:
            found.append(Difference(data, claim.text, claim.better, claim.worse, len(pairs), iou))
    return found


def levels_of(rows: Sequence[Sloppiness]) -> list[Level]:
    """The sloppiness experiment by data set, method and size of error, in the order of the rows."""
    import numpy as np

    found = []
    for data, method, error in dict.fromkeys((r.data, r.method, r.error) for r in rows):
        own = [r for r in rows if (r.data, r.method, r.error) == (data, method, error)]
        groups = [r.group for r in own]
        found.append(
            Level(
                data,
                method,
                error,
                len(own),
                bootstrap_mean([r.drawn_agreement for r in own], groups),
                bootstrap_mean([r.answer_agreement for r in own], groups),
                bootstrap_mean([r.answer_agreement - r.drawn_agreement for r in own], groups),
                bootstrap_mean([r.drawn_iou for r in own], groups),
                bootstrap_mean([r.answer_iou for r in own], groups),
                float(np.median([r.first_seconds for r in own])),
                float(np.median([r.seconds for r in own])),
            )
        )
    return found
