"""What ``scribseg bench --protocol cohort`` does."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from napari_scribseg.bench.cohort.cohorts import open_cohort
from napari_scribseg.bench.cohort.judging import CohortRules
from napari_scribseg.bench.cohort.report import write_cohort_report
from napari_scribseg.bench.cohort.run import CohortPlan, run_cohorts
from napari_scribseg.bench.cohort.setups import cohort_setups
from napari_scribseg.core import InputError

if TYPE_CHECKING:
    from napari_scribseg.bench.cohort.run import Progress
    from napari_scribseg.datasets import DataSet

__all__ = ["measure_cohorts"]


def measure_cohorts(
    data: Sequence[DataSet],
    methods: Sequence[str],
    learning: Sequence[str],
    orders: Sequence[str],
    rules: CohortRules,
    out: Path,
    *,
    cases: int | None = None,
    labels: Sequence[str] = (),
    regions: int | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> list[Path]:
    """Run cohorts, and write their report; the parameters are those of the parts, errors too.

    Raises
    ------
    InputError
        If a plain U-Net is requested and MONAI is not installed, the file of the rules' network is missing, or as the
        parts raise it.
    """
    if "plain-unet" in learning and find_spec("monai") is None:
        raise InputError("the plain U-Net is MONAI's, which is not installed: pip install 'napari-scribseg[monai]'")
    if rules.encoder and "learning" in learning and not Path(rules.encoder).is_file():
        raise InputError(f"the network {rules.encoder} is missing; the path of a .safetensors file is expected")
    setups = cohort_setups(methods, learning, orders)
    cohorts = tuple(open_cohort(one, most=cases, labels=labels, regions=regions) for one in data)
    rows = run_cohorts(CohortPlan(cohorts, tuple(setups), rules), out, progress=progress)
    return write_cohort_report(rows, rules, out, command)
