"""From the rows of a run to what a table shows of a method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.bench.play import Rules
from napari_scribseg.bench.rows import Row
from napari_scribseg.bench.statistics import Interval, area_under_curve, bootstrap_mean, interactions_needed

__all__ = ["Summary", "curves", "summarize"]

_TARGETS = (0.85, 0.90)
_AT_LAST = ("dice", "iou", "hausdorff95", "surface", "obeyed", "agreed")


@dataclass(frozen=True, slots=True)
class Summary:
    """One method on one data set by one protocol.

    Attributes
    ----------
    data, protocol, method : str
        What was measured.
    unit : str
        Of the distances.
    images, failures : int
        Images, and those with an answer missing for a failure.
    interactions : int
        Most interactions that the protocol allows.
    dice, iou, hausdorff95, surface, obeyed, agreed : Interval
        Means over images after the last interaction.
    first_dice, first_iou : Interval
        After the first answer of any kind.
    noc : tuple of float
        Mean number of interactions until IoU 0.85, and 0.90; the most where it is never reached.
    reached : tuple of float
        Share of the images that reached it.
    area : Interval
        Area under the IoU over the interactions.
    first_seconds, first_seconds95, seconds, seconds95 : float
        Median and 95th percentile of preparing and answering for the first time, and of an answer.
    peak_mib : float
        Most memory of any answer.
    """

    data: str
    protocol: str
    method: str
    unit: str
    images: int
    failures: int
    interactions: int
    dice: Interval
    iou: Interval
    hausdorff95: Interval
    surface: Interval
    obeyed: Interval
    agreed: Interval
    first_dice: Interval
    first_iou: Interval
    noc: tuple[float, float]
    reached: tuple[float, float]
    area: Interval
    first_seconds: float
    first_seconds95: float
    seconds: float
    seconds95: float
    peak_mib: float


def summarize(rows: Sequence[Row], rules: Rules) -> list[Summary]:
    """A summary for each data set, protocol and method, in the order in which they first occur.

    Parameters
    ----------
    rows : sequence of Row
        What was measured.
    rules : Rules
        That it was measured by: they say how many interactions count where a score is never reached.
    """
    parts: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        parts.setdefault((row.data, row.protocol, row.method), []).append(row)
    return [_summary(key, part, rules.most(key[1])) for key, part in parts.items()]


def curves(
    rows: Sequence[Row], score: str, length: int, *, stays: bool = True
) -> tuple[NDArray[np.float64], list[str]]:
    """Scores over the interactions, one curve for each image.

    Parameters
    ----------
    rows : sequence of Row
        Of one method, data set and protocol.
    score : str
        Name of a number in the rows.
    length : int
        Interactions.
    stays : bool
        Where a user had nothing left to mend, the last score stays; else NaN follows.

    Returns
    -------
    scores : ndarray of shape (N, length)
        One line for each image.
    groups : list of N str
        What each image belongs to.
    """
    plays = _plays(rows)
    table = np.empty((len(plays), length))
    for line, play in zip(table, plays, strict=True):
        values = [getattr(row, score) for row in play][:length]
        line[: len(values)], line[len(values) :] = values, values[-1] if stays else np.nan
    return table, [play[0].group for play in plays]


def _plays(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each image in the order of the interactions."""
    plays: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        plays.setdefault((row.case, row.image), []).append(row)
    return [sorted(play, key=lambda row: row.interaction) for play in plays.values()]


def _summary(key: tuple[str, str, str], rows: list[Row], length: int) -> Summary:
    tables = {name: curves(rows, name, length)[0] for name in _AT_LAST}
    iou, groups = curves(rows, "iou", length)
    at = np.arange(len(groups)), np.minimum([_first_answer(play) for play in _plays(rows)], length - 1)
    last = {name: bootstrap_mean(table[:, -1], groups) for name, table in tables.items()}
    needed = [[interactions_needed(curve, target, length) for curve in iou] for target in _TARGETS]
    reached = [float((iou.max(axis=1) >= target).mean()) for target in _TARGETS]
    seconds = np.asarray([row.seconds for row in rows if np.isfinite(row.seconds)])
    first = np.asarray([row.seconds + row.prepare_seconds for row in rows if row.prepare_seconds > 0])
    first = first[np.isfinite(first)]
    return Summary(
        data=key[0],
        protocol=key[1],
        method=key[2],
        unit=rows[0].unit,
        images=len(groups),
        failures=len({row.image for row in rows if row.failure}),
        interactions=length,
        dice=last["dice"],
        iou=last["iou"],
        hausdorff95=last["hausdorff95"],
        surface=last["surface"],
        obeyed=last["obeyed"],
        agreed=last["agreed"],
        first_dice=bootstrap_mean(tables["dice"][at], groups),
        first_iou=bootstrap_mean(iou[at], groups),
        noc=(float(np.mean(needed[0])), float(np.mean(needed[1]))),
        reached=(reached[0], reached[1]),
        area=bootstrap_mean([area_under_curve(curve) for curve in iou], groups),
        first_seconds=_percentile(first, 50),
        first_seconds95=_percentile(first, 95),
        seconds=_percentile(seconds, 50),
        seconds95=_percentile(seconds, 95),
        peak_mib=max(row.peak_mib for row in rows),
    )


def _percentile(values: NDArray[np.float64], share: float) -> float:
    """NaN without values."""
    return float(np.percentile(values, share)) if values.size else float("nan")


def _first_answer(play: Sequence[Row]) -> int:
    """Position of the first row with an answer; 0 where none has one."""
    return next((i for i, row in enumerate(play) if np.isfinite(row.seconds)), 0)
