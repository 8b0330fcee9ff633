"""The report of a run of cohorts: tables as Markdown and CSV, and the curves over the cases done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scribseg.bench.cohort.judging import CohortRules
from napari_scribseg.bench.cohort.rows import CohortRow
from napari_scribseg.bench.cohort.setups import CohortSetup
from napari_scribseg.core.errors import one_line
from napari_scribseg.io.atomic import replacing
from napari_scribseg.io.sheets import frame_csv, markdown_table

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["summarize_cohorts", "write_cohort_report"]

_LATER = 5  # the case from which on learning should have paid
_CURVES = {
    "strokes": "strokes of the case",
    "draft": "Dice of the draft before any stroke",
    "accepted": "share of the slices accepted without a stroke",
}
_NOTES = """\
A user works through the cases one after the other. They look at every slice once, accept it where the Dice of each
class that it has, or its labels have, is {good:.2f}, and paint until it is: first strokes as people paint them, where
there are no labels worth correcting, and exact corrections of the classes that are not good enough yet,
{corrections} at most; slices that they give up are not accepted. Every connected line counts as a stroke, those of the
background too, and so does dropping a draft with a mean Dice under {worth:.2f}, after which the slice is painted anew.
A session fills between the slices that are done. With learning, a network learns from all accepted slices after each
case, and within the first one after {within} accepted slices; every case opens with its draft. `plain-unet` is a U-Net
that is trained from scratch for {steps} steps on the same accepted slices; nobody works with its drafts. Learning
starts from {encoder}, and takes {seconds:.0f} s of the processor at most each time.
"""


def write_cohort_report(rows: Sequence[CohortRow], rules: CohortRules, out: Path, command: str = "") -> list[Path]:
    """Write ``report.md``, ``summary.csv`` and the curves of a run into its folder.

    Parameters
    ----------
    rows : sequence of CohortRow
    rules : CohortRules
        Of the rows.
    out : Path
        Folder of the run.
    command : str
        The command, which is shown.

    Returns
    -------
    list of Path
        The files written.
    """
    summary = summarize_cohorts(rows)
    figures = _write_figures(rows, out) if find_spec("matplotlib") else []
    table, page = out / "summary.csv", out / "report.md"
    text = "\n".join(_lines(rows, summary, rules, command, [figure.name for figure in figures]))
    for path, content in ((table, frame_csv(summary)), (page, text)):
        with replacing(path) as file:
            file.write(content.encode())
    return [page, table, *figures]


def summarize_cohorts(rows: Sequence[CohortRow]) -> DataFrame:
    """One line for each data set and method, in the order in which they first occur.

    Returns
    -------
    DataFrame
        The columns of ``summary.csv``: ``cases`` done; strokes of the ``first`` case and of the ``second``, and their
        mean ``before`` the fifth, and from the fifth on (``later``); ``ratio`` of ``later`` to ``first``;
        ``strokes`` of all; ``to_target``, the mean number of strokes until the mean Dice of a case was good enough,
        and ``reached``, the share of the cases in which it was; ``given_up``, the share of the slices that were not
        accepted; ``dice`` in the end; ``draft2``, ``draft5``, ``draft10``, the Dice of the draft of that case, and
        ``draft_later`` its mean from the fifth on; ``untouched``, the share of the slices of the later cases that were
        accepted without a stroke; seconds of the processor of learning for one case (``learn_seconds``), and of the
        answers of one case (``seconds``); number of ``failures``. NaN where there is no value.
    """
    import pandas as pd

    keys = dict.fromkeys((row.data, row.method) for row in rows)
    return pd.DataFrame([_summary(key, [row for row in rows if (row.data, row.method) == key]) for key in keys])


def _summary(key: tuple[str, str], rows: Sequence[CohortRow]) -> dict[str, Any]:
    by_number = {row.number: row for row in rows}
    played = [row for row in rows if row.is_played]
    later = [row for row in rows if row.number >= _LATER]
    first = by_number[1].strokes if 1 in by_number else np.nan
    ratio = _mean(row.strokes for row in later if row.is_played) / first if first else np.nan
    line: dict[str, Any] = dict(zip(("data", "method"), key, strict=True)) | {"cases": len(rows)}
    line |= {"first": first, "second": _mean(row.strokes for row in played if row.number == 2)}
    line |= {"before": _mean(row.strokes for row in played if 1 < row.number < _LATER)}
    line |= {"later": _mean(row.strokes for row in later if row.is_played), "ratio": ratio}
    line |= {"strokes": sum(row.strokes for row in played) if played else np.nan}
    line |= {"to_target": _mean(row.strokes_to_target for row in played)}
    line |= {"reached": _mean(np.isfinite(row.strokes_to_target) for row in played)}
    line |= {"given_up": _mean(1 - row.accepted_slices / row.slices for row in played)}
    line |= {"dice": _mean(row.dice for row in played)}
    line |= {f"draft{k}": by_number[k].draft_dice if k in by_number else np.nan for k in (2, 5, 10)}
    line |= {"draft_later": _mean(row.draft_dice for row in later)}
    line |= {"untouched": _mean(_untouched(row) for row in later if row.is_played)}
    line |= {"learn_seconds": _mean(row.learn_seconds for row in rows), "seconds": _mean(row.seconds for row in rows)}
    return line | {"failures": sum(bool(row.failure) for row in rows)}


def _untouched(row: CohortRow) -> float:
    """The share of the slices that were accepted without a stroke."""
    return 1 - max(row.painted_slices, row.slices - row.accepted_slices) / row.slices


def _mean(values: Any) -> float:
    """Of those that are numbers; NaN without any."""
    found = [float(value) for value in values if np.isfinite(value)]
    return float(np.mean(found)) if found else np.nan


def _lines(
    rows: Sequence[CohortRow], summary: DataFrame, rules: CohortRules, command: str, figures: Sequence[str]
) -> list[str]:
    lines = ["# Cohorts", ""]
    if command:
        lines += ["```sh", command, "```", ""]
    within = " and ".join(map(str, rules.within))
    encoder = f"`{rules.encoder}`" if rules.encoder else "the network that ships, which may have seen these cases"
    lines += [
        _NOTES.format(
            good=rules.good,
            corrections=rules.corrections,
            within=within,
            steps=rules.peer_steps,
            encoder=encoder,
            seconds=rules.learn_seconds,
            worth=rules.worth,
        )
    ]
    for data, part in summary.groupby("data", sort=False):
        shown = _short_names(part["method"])
        lines += [f"## {one_line(str(data))}", "", *_engine(part["method"]), *markdown_table(_cells(part, shown)), ""]
        lines += [f"![{name}]({name})" for name in figures if name in {_figure_name(c, str(data)) for c in _CURVES}]
        lines += ["", "Case by case:", "", *markdown_table(_case_by_case(rows, str(data), shown)), ""]
    failed = [row for row in rows if row.failure]
    lines += [f"- {one_line(row.case)}, {row.method}: {one_line(row.failure)}" for row in failed]
    if not figures:
        lines += ["No figures: matplotlib is not installed (`pip install 'napari-scribseg[bench]'`).", ""]
    return lines


def _short_names(methods: Iterable[str]) -> dict[str, str]:
    """What methods are called in a table: without the engine where there is one only."""
    setups = {method: CohortSetup.parse(method) for method in methods}
    if len({setup.method for setup in setups.values()}) > 1:
        return {method: method for method in setups}
    return {method: f"{setup.learning} / {setup.order}" for method, setup in setups.items()}


def _engine(methods: Iterable[str]) -> list[str]:
    """The line that names the engine where there is one only."""
    engines = {CohortSetup.parse(method).method for method in methods}
    return [f"Engine: `{one_line(engine)}`.\n" for engine in engines] if len(engines) == 1 else []


def _cells(summary: DataFrame, shown: Mapping[str, str]) -> DataFrame:
    """The table of a data set."""
    import pandas as pd

    later = f"from the {_LATER}th"
    return pd.DataFrame(
        [
            {
                "method": shown[s["method"]],
                "cases": str(s["cases"]),
                "strokes of the first": _text(s["first"], ".0f"),
                "of the second": _text(s["second"], ".0f"),
                f"{later} on": _text(s["later"], ".1f"),
                "as a share of the first": _text(s["ratio"], ".2f"),
                "of all": _text(s["strokes"], ".0f"),
                "to a Dice of 0.90": _text(s["to_target"], ".1f"),
                "slices accepted unpainted": _text(s["untouched"], ".0%"),
                "given up": _text(s["given_up"], ".0%"),
                "Dice": _text(s["dice"], ".3f"),
                **{f"draft of the {k}th": _text(s[f"draft{k}"], ".3f") for k in (5, 10)},
                f"drafts {later} on": _text(s["draft_later"], ".3f"),
                "learning, s": _text(s["learn_seconds"], ".0f"),
                "answers, s": _text(s["seconds"], ".0f"),
            }
            for _, s in summary.iterrows()
        ],
        dtype=object,
    )


def _case_by_case(rows: Sequence[CohortRow], data: str, shown: Mapping[str, str]) -> DataFrame:
    """Strokes of each case, with the Dice of its draft in brackets, a column for each method."""
    import pandas as pd

    own = [row for row in rows if row.data == data]
    methods = list(shown)
    cells = {(row.number, row.method): _case_text(row) for row in own}
    lines = [
        {"case": str(number), **{shown[method]: cells.get((number, method), "") for method in methods}}
        for number in sorted({row.number for row in own})
    ]
    return pd.DataFrame(lines, columns=["case", *shown.values()], dtype=object)


def _case_text(row: CohortRow) -> str:
    draft = f"({row.draft_dice:.3f})" if np.isfinite(row.draft_dice) else ""
    return " ".join(filter(None, [str(row.strokes) if row.is_played else "", draft]))


def _text(value: float, how: str) -> str:
    return "" if np.isnan(value) else format(value, how)


def _figure_name(curve: str, data: str) -> str:
    return f"{curve}-{data}-cohort.png".replace("/", "-")


def _write_figures(rows: Sequence[CohortRow], out: Path) -> list[Path]:
    """The curves of each data set over the number of cases done."""
    from matplotlib.ticker import MaxNLocator

    from napari_scribseg.bench.figures import new_figure, save_figure

    written = []
    for data in dict.fromkeys(row.data for row in rows):
        own = [row for row in rows if row.data == data]
        shown = _short_names(dict.fromkeys(row.method for row in own))
        for curve, label in _CURVES.items():
            figure, (axes,) = new_figure(1, (7, 4.5))
            for number, (method, name) in enumerate(shown.items()):
                points = _points([row for row in own if row.method == method], curve)
                if points:
                    played = CohortSetup.parse(method).is_played
                    axes.plot(
                        *zip(*points, strict=True), "o-" if played else "s--", color=f"C{number}", label=name, ms=4
                    )
            if axes.has_data():
                axes.set_xlabel("cases done")
                axes.set_ylabel(label)
                axes.set_ylim(0, 1.08 * axes.dataLim.y1 if curve == "strokes" else 1.02)
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
                axes.set_title(data)
                axes.legend(fontsize=8, loc="best")
                written.append(save_figure(figure, out / _figure_name(curve, data)))
    return written


def _points(rows: Sequence[CohortRow], curve: str) -> list[tuple[int, float]]:
    """Number of cases done before, and value, where there is one."""
    found = [(row.number - 1, _value(row, curve)) for row in sorted(rows, key=lambda row: row.number)]
    return [point for point in found if np.isfinite(point[1])]


def _value(row: CohortRow, curve: str) -> float:
    if curve == "draft":
        return row.draft_dice
    if not row.is_played:
        return np.nan
    return row.strokes if curve == "strokes" else _untouched(row)
