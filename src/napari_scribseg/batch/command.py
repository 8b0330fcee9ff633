"""The command ``scribseg batch``."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_scribseg.options import AllowOutside, Device, DeviceOption, EngineName, EngineParameters
from napari_scribseg.progress import ShowProgress, show_progress

if TYPE_CHECKING:
    from napari_scribseg.batch.batch_jobs import BatchJob, BatchOutcome
    from napari_scribseg.batch.cohort import Progress
    from napari_scribseg.batch.report import BatchReport

__all__ = ["batch"]

log = logging.getLogger("scribseg")
_SOME_FAILED = 1

_Cohort = Annotated[
    Path, typer.Argument(help="Table (.csv, .tsv) with the columns image and scribbles, or a BIDS folder.")
]
_Out = Annotated[Path, typer.Option(help="Folder for labels, records and the report; made where it is missing.")]
_Background = Annotated[
    int | None, typer.Option(help="Id whose strokes mark the background, where the table has none.")
]
_Axis = Annotated[
    str | None,
    typer.Option(
        metavar="AXIS",
        help="Axis that the slices cut, where the table has none: axial, coronal, sagittal or its number.",
    ),
]
_Suffix = Annotated[
    str | None, typer.Option(help="BIDS: suffix of the images, such as T1w, where several fit the strokes.")
]
_Workers = Annotated[int | None, typer.Option(help="Worker processes; 0 = none but this one. Default: half the cores.")]
_Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler that gets the work, tcp://HOST:8786.")
]
_IgnoreGeometry = Annotated[
    bool, typer.Option("--ignore-geometry", help="Accept scribbles that lie elsewhere in space.")
]
_Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Write also over labels that are not by this command, or were changed.")
]
_Fill = Annotated[bool, typer.Option("--fill", help="Fill the slices without strokes from those with strokes.")]
_RetryFailed = Annotated[
    bool, typer.Option("--retry-failed/--keep-failed", help="Whether images that failed before are tried again.")
]


def batch(
    cohort: _Cohort,
    out: _Out,
    engine: EngineName = "svcd",
    param: EngineParameters = None,
    background: _Background = None,
    axis: _Axis = None,
    fill: _Fill = False,
    suffix: _Suffix = None,
    device: DeviceOption = Device.auto,
    workers: _Workers = None,
    scheduler: _Scheduler = None,
    ignore_geometry: _IgnoreGeometry = False,
    allow_outside: AllowOutside = False,
    overwrite: _Overwrite = False,
    retry_failed: _RetryFailed = True,
) -> None:
    """Segment every image of a cohort; finished images are not segmented again."""
    from napari_scribseg.batch.cluster import SchedulerLost
    from napari_scribseg.batch.cohort import run_batch
    from napari_scribseg.batch.report import FILES
    from napari_scribseg.core.anatomy import parse_axis
    from napari_scribseg.core.parameters import parse_parameters
    from napari_scribseg.core.registry import engine_class
    from napari_scribseg.io.outputs import check_outputs

    parameters = parse_parameters(engine_class(engine), param or [])
    check_outputs([out / name for name in FILES], [] if cohort.is_dir() else [cohort], overwrite=True)
    jobs = _read(cohort, out, engine, suffix=suffix, background=background, axis=parse_axis(axis))
    try:
        with show_progress("segmenting", "images") as show:
            report = run_batch(
                jobs,
                out,
                engine=engine,
                parameters=parameters,
                workers=workers,
                scheduler=scheduler,
                device=device.value,
                ignore_geometry=ignore_geometry,
                allow_outside=allow_outside,
                overwrite=overwrite,
                retry_failed=retry_failed,
                fill=fill,
                progress=_count_failures(show),
            )
    except SchedulerLost as error:
        typer.echo(f"scribseg: {error}", err=True)
        raise typer.Exit(_SOME_FAILED) from error
    except KeyboardInterrupt:
        typer.echo("scribseg: interrupted; finished images are kept. Run the command again to resume", err=True)
        raise
    if cohort.is_dir():
        from napari_scribseg.batch.bids_tree import write_description

        write_description(cohort, report.folder, report.engine, dict(report.settings))
    _end(report)


def _read(cohort: Path, out: Path, engine: str, *, suffix: str | None, **values: Any) -> tuple[BatchJob, ...]:
    """The jobs of a table or of a BIDS folder."""
    from napari_scribseg.core import InputError

    if cohort.is_dir():
        from napari_scribseg.batch.bids_tree import check_derivative, read_bids

        check_derivative(cohort, out)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            jobs = read_bids(cohort, engine=engine, suffix=suffix, **values)
        for warning in caught:
            log.warning("%s", warning.message)
        return jobs
    if suffix is not None:
        raise InputError(f"the suffix {suffix!r} was given with a table; it tells the images of a BIDS folder apart")
    from napari_scribseg.batch.tables import read_table

    return read_table(cohort, **values)


def _end(report: BatchReport) -> None:
    """Print where the report is; exit status 1 where an image failed."""
    from napari_scribseg.core.errors import one_line

    typer.echo(report.folder / "report.md")
    if report.failures:
        first = report.failures[0]
        typer.echo(
            one_line(
                f"scribseg: {report.summary}, see {report.folder / 'report.md'}; the first is {first.id}: {first.error}"
            ),
            err=True,
        )
        raise typer.Exit(_SOME_FAILED)
    log.info("%s", report.summary)


def _count_failures(show: ShowProgress) -> Progress:
    """Progress that also shows how many images failed, and on a terminal why."""
    failed = 0

    def progress(outcome: BatchOutcome, done: int, total: int) -> None:
        nonlocal failed
        if outcome.status == "failed":
            failed += 1
            show.note(f"{outcome.id}: {outcome.error}")
        show(done, total, f"{failed} failed" if failed else "")

    return progress
