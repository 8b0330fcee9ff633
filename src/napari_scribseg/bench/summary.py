"""From the rows of a run to one line for each data set, protocol and method."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.bench.columns import COLUMNS, Row
from napari_scribseg.bench.play import Rules
from napari_scribseg.bench.statistics import area_under_curve, bootstrap_mean, interactions_needed

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["curves", "mean_columns", "rows_frame", "summarize"]

_TARGETS = {"85": 0.85, "90": 0.90}  # IoU; Dice of a volume
_IMAGE = ["case", "image"]


def rows_frame(rows: Sequence[Row]) -> DataFrame:
    """Rows as a table of pandas, with a column for each field."""
    import pandas as pd

    return pd.DataFrame({name: [getattr(row, name) for row in rows] for name in COLUMNS})


def summarize(rows: DataFrame, rules: Rules) -> DataFrame:
    """One line for each data set, protocol and method, in the order in which they first occur.

    Parameters
    ----------
    rows : DataFrame
        Of :func:`rows_frame`.
    rules : Rules
        Of the rows; they define the number of interactions that counts where a score is never reached.

    Returns
    -------
    DataFrame
        The columns of ``summary.csv``. A mean ``x`` over images stands with the ends of its 95 % interval, ``x_low``
        and ``x_high``: of every column with a :class:`~napari_scribseg.bench.columns.Mean` after the last interaction;
        ``first_dice`` and ``first_iou`` after the first answer; ``area`` under the IoU over the interactions.
        ``noc85`` and ``noc90`` are the mean number of interactions until that IoU, in the protocol ``volume`` that Dice
        (the most where it is never reached), each with its interval, ``reached85`` and ``reached90`` the share of the
        images that reach it. ``first_seconds`` is the median time to
        prepare and to answer for the first time, ``seconds`` that of an answer, each with its 95th percentile;
        ``peak_mib`` the most memory of any answer.
    """
    import pandas as pd

    parts = rows.groupby(["data", "protocol", "method"], sort=False)
    return pd.DataFrame([_line(key, part, rules.most(key[1])) for key, part in parts])


def curves(
    rows: DataFrame, score: str, length: int, *, keep_last: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """Scores over the interactions, one curve for each image.

    Parameters
    ----------
    rows : DataFrame
        Of one method, data set and protocol.
    score : str
        Name of a column of numbers.
    length : int
        Interactions.
    keep_last : bool
        Whether the last score is repeated where a user had nothing left to correct; else NaN follows.

    Returns
    -------
    scores : ndarray of shape (N, length)
        One line for each image, in the order in which they first occur.
    groups : ndarray of shape (N,), str
        What each image belongs to.
    """
    images = rows.drop_duplicates(_IMAGE).set_index(_IMAGE)
    table = rows.pivot(index=_IMAGE, columns="interaction", values=score).reindex(images.index)
    scores = table.reindex(columns=range(1, length + 1)).to_numpy(dtype=np.float64)
    last = rows.groupby(_IMAGE)["interaction"].max().reindex(images.index).to_numpy().clip(max=length)[:, None]
    number = np.arange(1, length + 1)
    if keep_last:
        scores = np.take_along_axis(scores, np.minimum(number, last) - 1, axis=1)
    return scores, images["group"].to_numpy(dtype=object)


def _line(key: Sequence[Hashable], rows: DataFrame, length: int) -> dict[str, Any]:
    iou, groups = curves(rows, "iou", length)
    dice, _ = curves(rows, "dice", length)
    segmented = np.isfinite(curves(rows, "seconds", length, keep_last=False)[0])
    at_first = np.arange(len(groups)), segmented.argmax(axis=1)  # 0 where there is no answer
    line = dict(zip(("data", "protocol", "method"), key, strict=True))
    line |= {"unit": rows["unit"].iloc[0], "images": len(groups)}
    line |= {"failures": rows.loc[rows["failure"] != "", "image"].nunique(), "interactions": length}
    for name in (name for name, column in COLUMNS.items() if column.mean is not None):
        line |= mean_columns(name, curves(rows, name, length)[0][:, -1], groups)
    line |= mean_columns("first_dice", dice[at_first], groups) | mean_columns("first_iou", iou[at_first], groups)
    reached = dice if key[1] == "volume" else iou
    for target, score in _TARGETS.items():
        needed = [interactions_needed(curve, score, length) for curve in reached]
        line |= mean_columns(f"noc{target}", needed, groups)
    for target, score in _TARGETS.items():
        line[f"reached{target}"] = float((reached.max(axis=1) >= score).mean())
    line |= mean_columns("area", [area_under_curve(curve) for curve in iou], groups)
    prepared = rows["prepare_seconds"] > 0
    first = prepared if prepared.any() else rows["interaction"] == 1  # of volumes, preparing is a part of the seconds
    line |= _percentiles("first_seconds", (rows["seconds"] + rows["prepare_seconds"])[first])
    line |= _percentiles("seconds", rows["seconds"])
    return line | {"peak_mib": rows["peak_mib"].max()}


def mean_columns(name: str, values: ArrayLike, groups: ArrayLike) -> dict[str, float]:
    """The mean of some values, and the ends of its interval, as columns ``name``, ``name_low`` and ``name_high``."""
    found = bootstrap_mean(values, groups)
    return {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}


def _percentiles(name: str, seconds: Any) -> dict[str, float]:
    """Median and 95th percentile of the finite values; NaN without values."""
    values = seconds.to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    median, most = np.percentile(values, (50, 95)) if values.size else (np.nan, np.nan)
    return {name: float(median), f"{name}95": float(most)}
