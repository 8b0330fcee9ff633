"""From rows to findings: mean IoU of each cell of a paper's table, and differences of methods on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scribseg.bench.papers.parts import Part
from napari_scribseg.bench.papers.sloppiness import Sloppiness
from napari_scribseg.bench.summary import mean_columns

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["cells_of", "differences_of", "levels_of", "verdict"]


def cells_of(part: Part, rows: DataFrame, data: str) -> DataFrame:
    """The cells of a part on one data set, in the order of the part, then those that only the paper has.

    Parameters
    ----------
    part : Part
        The methods and their places.
    rows : DataFrame
        What was measured, one result for each image; see :func:`~napari_scribseg.bench.summary.rows_frame`.
    data : str
        Name of the data set.

    Returns
    -------
    DataFrame
        A line for each cell: ``data``; its ``row`` and ``column``; ``method``, empty where only the paper has a number;
        ``images``; ``iou``, the mean over images, with its ends ``iou_low``, ``iou_high``; ``published``, the number of
        the paper or None.
    """
    import pandas as pd

    own = rows[rows["data"] == data]
    lines: list[dict[str, Any]] = []
    for row, column in dict.fromkeys([*part.cells, *part.published]):
        method = part.cells.get((row, column), "")
        results = own[own["method"] == method]
        line = {"data": data, "row": row, "column": column, "method": method, "images": len(results)}
        lines.append(line | mean_columns("iou", results["iou"], results["group"]))
    found = pd.DataFrame(lines)
    places = zip(found["row"], found["column"], strict=True)
    return found.assign(published=pd.Series([part.published.get(place) for place in places], dtype=object))


def differences_of(part: Part, rows: DataFrame, data: str) -> DataFrame:
    """The paper's conclusions, each as a difference between two methods on the images that both segmented.

    Parameters
    ----------
    part, rows, data
        As for :func:`cells_of`.

    Returns
    -------
    DataFrame
        A line for each conclusion: ``data``, ``text``, ``better`` and ``worse`` method, ``images``, and the mean
        difference ``iou`` with its ends; above 0 where the conclusion holds.
    """
    import pandas as pd

    own = rows[rows["data"] == data]
    lines: list[dict[str, Any]] = []
    for claim in part.claims:
        better, worse = (own[own["method"] == method] for method in (claim.better, claim.worse))
        both = better.merge(worse, on=["case", "image"], suffixes=("", "_worse"))
        if both.empty:
            continue
        line = {"data": data, "text": claim.text, "better": claim.better, "worse": claim.worse, "images": len(both)}
        lines.append({**line, **mean_columns("iou", both["iou"] - both["iou_worse"], both["group"])})
    return pd.DataFrame(lines)


def verdict(low: float, high: float) -> str:
    """Whether a conclusion holds, by the interval of its difference."""
    if low > 0:
        return "holds"
    return "does not hold" if high < 0 else "open"


def levels_of(rows: Sequence[Sloppiness]) -> DataFrame:
    """Means over objects for each method and size of error, in the order of the rows.

    Returns
    -------
    DataFrame
        ``data``, ``method``, ``error``, ``objects``; means with their ends of ``drawn_agreement``,
        ``result_agreement``, ``gain`` (their difference), ``drawn_iou`` and ``result_iou``; medians of
        ``first_seconds`` and ``seconds``.
    """
    import pandas as pd

    frame = pd.DataFrame([asdict(row) for row in rows])
    frame["gain"] = frame["result_agreement"] - frame["drawn_agreement"]
    lines: list[dict[str, Any]] = []
    for (data, method, error), own in frame.groupby(["data", "method", "error"], sort=False):
        line: dict[str, Any] = {"data": data, "method": method, "error": error, "objects": len(own)}
        for name in ("drawn_agreement", "result_agreement", "gain", "drawn_iou", "result_iou"):
            line |= mean_columns(name, own[name], own["group"])
        line |= {name: float(np.median(own[name])) for name in ("first_seconds", "seconds")}
        lines.append(line)
    return pd.DataFrame(lines)
