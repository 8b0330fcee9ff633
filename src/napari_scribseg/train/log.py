"""What a run tells: a CSV file of the steps, one of the validations, and TensorBoard where it is installed."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_scribseg.io.sheets import csv_text

__all__ = ["RunLog"]


class RunLog:
    """The logs of one run, in its folder; rows after the step that it goes on from are dropped.

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
        for name, columns in (("steps.csv", self.STEPS), ("validation.csv", self.VALIDATION)):
            _start(folder / name, columns, step)
        self.seconds = max((float(row["seconds"]) for row in _rows(folder / "steps.csv")), default=0.0)
        self._board = _board(folder / "tensorboard", step)

    def steps(self, **values: float) -> None:
        """One row of ``steps.csv``."""
        self._append("steps.csv", [_short(values[name]) for name in self.STEPS])
        self._scalars(
            {f"train/{name}": values[name] for name in ("loss", "dice", "rate", "samples_per_second")},
            int(values["step"]),
        )

    def validation(self, step: int, samples: int, scores: Mapping[str, tuple[float, ...]]) -> None:
        """Rows of ``validation.csv``: for each source, Dice after the first stroke and after one correction, if any."""
        for source, given in scores.items():
            found = dict(zip(self.VALIDATION[3:], given, strict=False))
            cells = [_short(found[name]) if name in found else "" for name in self.VALIDATION[3:]]
            self._append("validation.csv", [step, samples, source, *cells])
            self._scalars({f"{name}/{source}": score for name, score in found.items()}, step)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._board is not None:
            self._board.close()

    def _append(self, name: str, row: list[Any]) -> None:
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


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if None not in row.values() and (row.get("step") or "").isdecimal()]


def _start(path: Path, columns: tuple[str, ...], step: int) -> None:
    """The file with its rows up to ``step``."""
    kept = [row for row in _rows(path) if int(row["step"]) <= step and set(row) == set(columns)] if step else []
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(kept)
    temporary.replace(path)


def _short(value: float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
