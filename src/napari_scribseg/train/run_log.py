"""The logs of a run: a CSV file of the steps, one of the validations, and TensorBoard where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_scribseg.io.atomic import replacing
from napari_scribseg.io.sheets import csv_rows, csv_text

__all__ = ["RunLog"]


class RunLog:
    """The logs of one run, in its folder; rows after the step at which it resumes are dropped.

    Parameters
    ----------
    folder : Path
        Gets ``steps.csv``, ``validation.csv`` and, with TensorBoard, ``tensorboard/``.
    step : int
        Steps done.
    """

    STEPS = ("step", "samples", "seconds", "loss", "dice", "rate", "samples_per_second")
    VALIDATION = ("step", "samples", "source", "first", "corrected")

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        rows = _start(folder / "steps.csv", self.STEPS, step)
        _start(folder / "validation.csv", self.VALIDATION, step)
        self.seconds = max((float(row[self.STEPS.index("seconds")]) for row in rows), default=0.0)
        self._board = _board(folder / "tensorboard", step)

    def steps(self, **values: float) -> None:
        """Add a row to ``steps.csv``."""
        self._append("steps.csv", [values[name] for name in self.STEPS])
        names = ("loss", "dice", "rate", "samples_per_second")
        self._scalars({f"train/{name}": values[name] for name in names}, int(values["step"]))

    def validation(self, step: int, samples: int, scores: Mapping[str, tuple[float, ...]]) -> None:
        """Add rows to ``validation.csv``: for each source, Dice after the first strokes and after one correction."""
        for source, dice in scores.items():
            self._append("validation.csv", [step, samples, source, *dice, *[""] * (2 - len(dice))])
            self._scalars({f"{name}/{source}": d for name, d in zip(self.VALIDATION[3:], dice, strict=False)}, step)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._board is not None:
            self._board.close()

    def _append(self, name: str, row: Sequence[Any]) -> None:
        with (self.folder / name).open("a", newline="", encoding="utf-8") as file:
            file.write(csv_text([row]))

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def _start(path: Path, columns: tuple[str, ...], step: int) -> list[list[str]]:
    """Write a table anew with its rows up to ``step``, and return them; a row that a crash cut off is dropped."""
    before = csv_rows(path.read_text(encoding="utf-8")) if step and path.is_file() else []
    rows = before[1:] if before and before[0] == list(columns) else []
    kept = [row for row in rows if len(row) == len(columns) and row[0].isdecimal() and int(row[0]) <= step]
    with replacing(path) as file:
        file.write(csv_text([columns, *kept]).encode())
    return kept
