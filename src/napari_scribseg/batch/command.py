"""The command ``scribseg batch``."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_scribseg.options import AllowOutside, Device

if TYPE_CHECKING:
    from napari_scribseg.batch.jobs import Job, Outcome
    from napari_scribseg.batch.report import BatchReport
    from napari_scribseg.batch.run import Progress

__all__ = ["batch"]

log = logging.getLogger("scribseg")
_SOME_FAILED = 1


def batch(
    cohort: Annotated[
        Path, typer.Argument(help="Table (.csv, .tsv) with the columns image and scribbles, or a BIDS folder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for labels, records and the report; made where it is missing.")],
    engine: Annotated[str, typer.Option(help="Name of the engine; `scribseg engines` lists them.")] = "svcd",
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the engine; may be repeated.")
    ] = None,
    background: Annotated[
        int | None, typer.Option(help="Id whose strokes mark the background, where the table does not say.")
    ] = None,
    axis: Annotated[
        int | None, typer.Option(help="Axis across which the slices lie, where the table does not say.")
    ] = None,
    suffix: Annotated[
        str | None, typer.Option(help="BIDS: suffix of the images, such as T1w, where several fit the strokes.")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes; 0 = none but this one. Default: half the cores.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler to send the work to, tcp://HOST:8786.")
    ] = None,
    ignore_geometry: Annotated[
        bool, typer.Option("--ignore-geometry", help="Accept scribbles that lie elsewhere in space.")
    ] = False,
    allow_outside: AllowOutside = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write also over labels that are not by this command, or were changed.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed/--keep-failed", help="Whether to try again what failed before.")
    ] = True,
) -> None:
    """Segment every image of a cohort; what is done already is not done again."""
    from napari_scribseg.batch.cluster import SchedulerLost
    from napari_scribseg.batch.run import run_batch
    from napari_scribseg.core.parameters import parse_parameters
    from napari_scribseg.core.registry import engine_class
    from napari_scribseg.io.outputs import check_outputs

    parameters = parse_parameters(engine_class(engine), param or [])
    check_outputs([out / "report.csv", out / "report.md"], [] if cohort.is_dir() else [cohort], overwrite=True)
    jobs = _read(cohort, out, engine, suffix=suffix, background=background, axis=axis)
    try:
        with _progress(len(jobs)) as progress:
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
                progress=progress,
            )
    except SchedulerLost as error:
        typer.echo(f"scribseg: {error}", err=True)
        raise typer.Exit(_SOME_FAILED) from error
    except KeyboardInterrupt:
        typer.echo("scribseg: what is done stays; the same command goes on from here", err=True)
        raise
    if cohort.is_dir():
        _describe(cohort, report)
    _end(report)


def _read(cohort: Path, out: Path, engine: str, *, suffix: str | None, **values: Any) -> tuple[Job, ...]:
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


def _describe(root: Path, report: BatchReport) -> None:
    from napari_scribseg.batch.bids_tree import write_description

    write_description(root, report.folder, report.engine, dict(report.settings))


def _end(report: BatchReport) -> None:
    """Tell where the report is; exit status 1 where an image failed."""
    from napari_scribseg.core.text import one_line

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


@contextmanager
def _progress(total: int) -> Iterator[Progress]:
    """A moving bar on a terminal; elsewhere a line every ten seconds."""
    start = time.perf_counter()
    failed = 0
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("segmenting", total=total)

            def move(outcome: Outcome, done: int, of: int) -> None:
                nonlocal failed
                if outcome.status == "failed":
                    failed += 1
                    bar.console.print(f"{outcome.id}: {outcome.error}", markup=False, highlight=False)
                bar.update(
                    task, completed=done, total=of, description=f"segmenting, {failed} failed" if failed else None
                )

            yield move
        return
    last = start

    def tell(outcome: Outcome, done: int, of: int) -> None:
        nonlocal failed, last
        failed += outcome.status == "failed"
        now = time.perf_counter()
        if done < of and now - last >= 10:
            last = now
            log.info("segmenting: %d of %d images, %d failed, %.0f s", done, of, failed, now - start)

    yield tell
