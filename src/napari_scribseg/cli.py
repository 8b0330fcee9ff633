"""The command ``scribseg``: the same work without a window."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_scribseg.batch.command import batch
from napari_scribseg.batch.project_command import app as project
from napari_scribseg.bench.command import bench
from napari_scribseg.bench.papers.clicks_command import study_clicks
from napari_scribseg.bench.papers.command import study
from napari_scribseg.core.registry import DEFAULT_ENGINE
from napari_scribseg.explore.command import app as explore
from napari_scribseg.options import (
    AllowOutside,
    AxisOption,
    Device,
    DeviceOption,
    EngineName,
    EngineParameters,
    Overwrite,
)
from napari_scribseg.progress import show_progress
from napari_scribseg.train.command import app as train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_scribseg.core.classes import ClassTable
    from napari_scribseg.core.geometry import Geometry
    from napari_scribseg.headless import SliceDone

__all__ = ["app", "main"]

BAD_INPUT = 2
FAILURE = 1

_Background = Annotated[int | None, typer.Option(help="Value of the strokes that mark the background; written as 0.")]
_Bids = Annotated[
    bool | None,
    typer.Option(
        "--bids/--no-bids",
        help="Write a table of names and colours, _dseg.tsv. Default: where the format has no place for them.",
    ),
]
_IgnoreGeometry = Annotated[
    bool, typer.Option("--ignore-geometry", help="Accept a file with another position in space than the first one.")
]
_ItkSnap = Annotated[bool, typer.Option("--itksnap", help="Also write an ITK-SNAP label file.")]
_Out = Annotated[Path, typer.Option(help="Label file to write: .nii.gz, .seg.nrrd, .nrrd, .mha, .tif.")]
_Slices = Annotated[
    str | None, typer.Option(metavar="N|FIRST:LAST", help="Slices to change, both included. Default: all.")
]

app = typer.Typer(
    help="Segment CT, MR and microscopy volumes from a few strokes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
log = logging.getLogger("scribseg")


@dataclass(frozen=True, slots=True)
class _LabelOutput:
    """A label file to write, and the tables beside it."""

    out: Path
    bids: bool | None
    itksnap: bool

    def check(self, images: list[Path], labels: list[Path], *, overwrite: bool, beside: Iterable[Path] = ()) -> None:
        """Check before long work that it may be written, with files ``beside`` it; the others are those that are read.

        Raises
        ------
        InputError
            If it may not.
        """
        from napari_scribseg.io.class_tables import tables_beside
        from napari_scribseg.io.label_files import check_label_path, label_outputs
        from napari_scribseg.io.outputs import check_outputs

        check_label_path(self.out)
        inputs = [*images, *labels, *(table for path in labels for table in tables_beside(path))]
        outputs = [*label_outputs(self.out, bids_tsv=self.bids, itksnap=self.itksnap), *beside]
        check_outputs(outputs, inputs, overwrite=overwrite)

    def write(self, labels: NDArray[Any], geometry: Geometry, classes: ClassTable) -> None:
        """Write it, and name the files."""
        from napari_scribseg.io import write_labels

        for path in write_labels(self.out, labels, geometry, classes, bids_tsv=self.bids, itksnap=self.itksnap):
            typer.echo(path)


def _parsed(engine: str, param: list[str] | None) -> dict[str, Any]:
    """The parameters of an engine."""
    from napari_scribseg.core.parameters import parse_parameters
    from napari_scribseg.core.registry import engine_class

    return parse_parameters(engine_class(engine), param or [])


def _version(requested: bool) -> None:
    if requested:
        from napari_scribseg import __version__

        typer.echo(__version__)
        raise typer.Exit


class OneLine(logging.Formatter):
    """Log messages of one line each, whatever names of files and images stand in them."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """The message without control characters; a traceback below it keeps its lines."""
        from napari_scribseg.core.errors import one_line

        return one_line(super().formatMessage(record))


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if debug else logging.INFO)
    for name in ("numba", "matplotlib", "PIL"):
        logging.getLogger(name).setLevel(logging.WARNING)


@app.command()
def segment(
    image: Annotated[Path, typer.Argument(help="Image file or DICOM folder.")],
    scribbles: Annotated[
        Path, typer.Option(help="Label file of the image's shape: 0 = unpainted, other values = the classes.")
    ],
    out: _Out,
    engine: EngineName = DEFAULT_ENGINE,
    param: EngineParameters = None,
    background: _Background = None,
    axis: AxisOption = None,
    device: DeviceOption = Device.auto,
    picture: Annotated[Path | None, typer.Option(metavar="PNG", help="Also write a picture of the result.")] = None,
    bids: _Bids = None,
    itksnap: _ItkSnap = False,
    ignore_geometry: _IgnoreGeometry = False,
    allow_outside: AllowOutside = False,
    overwrite: Overwrite = False,
) -> None:
    """Segment every slice of IMAGE that has strokes, and write a label volume with its geometry."""
    from napari_scribseg.core.anatomy import parse_axis, slice_axis
    from napari_scribseg.headless import segment_volume, stroke_slices
    from napari_scribseg.picture import check_picture, write_picture

    if picture is not None:
        check_picture(picture)
    output = _LabelOutput(out, bids, itksnap)
    output.check([image], [scribbles], overwrite=overwrite, beside=[picture] if picture else [])
    with _progress("segmenting") as progress:
        volume, strokes, labels, classes = segment_volume(
            image,
            scribbles,
            engine=engine,
            parameters=_parsed(engine, param),
            background=background,
            axis=parse_axis(axis),
            device=device.value,
            ignore_geometry=ignore_geometry,
            allow_outside=allow_outside,
            progress=progress,
        )
    output.write(labels, volume.geometry, classes)
    if picture is not None:
        slices = stroke_slices(strokes.array, slice_axis(volume.geometry, parse_axis(axis)))
        write_picture(picture, volume, strokes, labels, classes, slices)
        typer.echo(picture)


@app.command()
def fill(
    image: Annotated[Path, typer.Argument(help="Image file or DICOM folder.")],
    strokes: Annotated[
        Path, typer.Option(help="Label file of the image's shape, with strokes on some slices: 0 = unpainted.")
    ],
    out: _Out,
    labels: Annotated[
        Path | None, typer.Option(help="Label file with finished slices, from which the others are filled, too.")
    ] = None,
    slices: _Slices = None,
    engine: EngineName = DEFAULT_ENGINE,
    param: EngineParameters = None,
    background: _Background = None,
    axis: AxisOption = None,
    device: DeviceOption = Device.auto,
    bids: _Bids = None,
    itksnap: _ItkSnap = False,
    ignore_geometry: _IgnoreGeometry = False,
    allow_outside: AllowOutside = False,
    overwrite: Overwrite = False,
) -> None:
    """Segment the slices of IMAGE that have strokes, fill the others from them, and write a label volume."""
    from napari_scribseg.core.anatomy import parse_axis
    from napari_scribseg.headless import parse_slices, segment_volume

    output = _LabelOutput(out, bids, itksnap)
    output.check([image], [strokes, *([labels] if labels else [])], overwrite=overwrite)
    with show_progress("filling", "percent") as show:
        volume, _strokes, found, classes = segment_volume(
            image,
            strokes,
            engine=engine,
            parameters=_parsed(engine, param),
            background=background,
            axis=parse_axis(axis),
            device=device.value,
            ignore_geometry=ignore_geometry,
            allow_outside=allow_outside,
            progress=lambda step: show(round(50 * step.done / step.total), 100, "slices with strokes"),
            fill=True,
            slices=parse_slices(slices),
            labels=labels,
            report=lambda fraction, _preview=None: show(round(50 + 50 * fraction), 100),
        )
    output.write(found, volume.geometry, classes)


@app.command()
def engines() -> None:
    """List the engines."""
    from napari_scribseg.core import engine_infos
    from napari_scribseg.core.engine import ENGINE_GROUPS

    infos = engine_infos()
    width = max(map(len, infos), default=0)
    groups = dict.fromkeys((*ENGINE_GROUPS, *sorted(info.group for info in infos.values())))
    for group in groups:
        shown = {name: info for name, info in infos.items() if info.group == group}
        if shown:
            typer.echo(group)
        for name, info in shown.items():
            typer.echo(f"  {name:<{width}}  {info.title}{' (live)' if info.live else ''}: {info.summary}")


@app.command()
def info(
    image: Annotated[Path, typer.Argument(help="Image file, label file or DICOM folder.")],
    allow_outside: AllowOutside = False,
) -> None:
    """Show shape, voxel size, orientation, position and values of a file."""
    from napari_scribseg.core.errors import one_line
    from napari_scribseg.headless import describe

    for line in describe(image, allow_outside=allow_outside):
        typer.echo(one_line(line))


@app.command()
def measure(
    labels: Annotated[Path, typer.Argument(help="Label file.")],
    image: Annotated[Path | None, typer.Option(help="Image file or DICOM folder on the grid of the labels.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="CSV", help="Table to write; without it, it is shown.")] = None,
    per_slice: Annotated[bool, typer.Option("--per-slice", help="Measure also every slice.")] = False,
    axis: AxisOption = None,
    ignore_geometry: _IgnoreGeometry = False,
    allow_outside: AllowOutside = False,
    overwrite: Overwrite = False,
) -> None:
    """Measure the classes of a label file: voxels, volume, surface, centre, and intensities of an image."""
    from napari_scribseg.core.anatomy import parse_axis
    from napari_scribseg.core.errors import one_line
    from napari_scribseg.headless import measure_files
    from napari_scribseg.io.measurement_table import check_measurements
    from napari_scribseg.io.outputs import check_outputs

    if out is not None:
        check_measurements(out)
        check_outputs([out], [labels, *([image] if image else [])], overwrite=overwrite)
    with show_progress("measuring", "percent") as show:
        table = measure_files(
            labels,
            image,
            per_slice=per_slice,
            axis=parse_axis(axis),
            ignore_geometry=ignore_geometry,
            allow_outside=allow_outside,
            report=lambda fraction, _preview=None: show(round(100 * fraction), 100),
        )
    if out is not None:
        typer.echo(table.write(out))
        return
    cells = [[one_line(cell) for cell in row] for row in table.text()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command()
def edit(
    labels: Annotated[Path, typer.Argument(help="Label file.")],
    tool: Annotated[str, typer.Argument(help="Name of the tool; the page on editing lists them.")],
    edited: Annotated[str, typer.Option("--class", metavar="CLASS", help="Name or id of the class that is edited.")],
    out: _Out,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the tool; may be repeated.")
    ] = None,
    other: Annotated[str | None, typer.Option("--with", metavar="CLASS", help="The other class, for combine.")] = None,
    slices: _Slices = None,
    axis: AxisOption = None,
    each_slice: Annotated[
        bool, typer.Option("--each-slice", help="Edit slices one by one, and not together in 3D.")
    ] = False,
    over: Annotated[str, typer.Option(metavar="background|all", help="Which voxels the class may get.")] = "background",
    lock: Annotated[
        list[str] | None, typer.Option(metavar="CLASS", help="A class that stays as it is; may be repeated.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="Image on the grid of the labels, for threshold.")] = None,
    bids: _Bids = None,
    itksnap: _ItkSnap = False,
    ignore_geometry: _IgnoreGeometry = False,
    allow_outside: AllowOutside = False,
    overwrite: Overwrite = False,
) -> None:
    """Edit a class of a label file by a tool, such as fill-holes or grow, and write the labels with their geometry."""
    from napari_scribseg.core.anatomy import parse_axis
    from napari_scribseg.headless import edit_file, parse_slices

    output = _LabelOutput(out, bids, itksnap)
    output.check([image] if image else [], [labels], overwrite=overwrite)
    with show_progress("editing", "percent") as show:
        volume, found, classes = edit_file(
            labels,
            tool,
            edited,
            parameters=param or [],
            other=other,
            slices=parse_slices(slices),
            axis=parse_axis(axis),
            each_slice=each_slice,
            over=over,
            locked=lock or [],
            image=image,
            ignore_geometry=ignore_geometry,
            allow_outside=allow_outside,
            report=lambda fraction, _preview=None: show(round(100 * fraction), 100),
        )
    output.write(found, volume.geometry, classes)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results: a new one, or that of an earlier demo.")],
    device: DeviceOption = Device.auto,
) -> None:
    """Segment a real MR volume, installed with nibabel, from a few strokes; needs no network."""
    from napari_scribseg.io import read_labels
    from napari_scribseg.io.demo_input import write_demo_input

    inputs = write_demo_input(out)
    segment(
        inputs.image,
        inputs.scribbles,
        out / "labels.nii.gz",
        background=inputs.background,
        device=device,
        picture=out / "labels.png",
        bids=True,
        overwrite=True,
    )
    labels = read_labels(out / "labels.nii.gz")
    typer.echo(f"open {inputs.image} and {out / 'labels.nii.gz'} in napari or any other viewer", err=True)
    log.debug("the label volume has the shape %s", labels.geometry.shape)


app.command()(batch)
app.command()(bench)
app.command()(study)
app.command()(study_clicks)
app.add_typer(train, name="train")
app.add_typer(explore, name="explore")
app.add_typer(project, name="project")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[SliceDone], None]]:
    """Show each slice done; where the first one takes long, a line gives the reason.

    An engine is compiled for the machine on the very first run.
    """
    why = threading.Timer(3, log.info, ("%s: the first run on a machine compiles the engine, some 20 seconds", what))
    why.daemon = True
    why.start()
    try:
        with show_progress(what, "slices") as show:

            def show_slice(step: SliceDone) -> None:
                why.cancel()
                show(step.done, step.total)
                for note in step.notes:
                    log.debug("%s: %s", step.slice_index, note)

            yield show_slice
    finally:
        why.cancel()


def _interrupt_main() -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()  # which does not end a wait


@contextmanager
def _no_interrupt_lost() -> Iterator[None]:
    """Interrupt once more where Python drops a Ctrl-C, as it does with what a finalizer or a callback raises."""
    before = sys.unraisablehook

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if dropped.exc_type is KeyboardInterrupt:
            threading.Timer(0.01, _interrupt_main).start()  # raised in this function, it would be dropped again
        else:
            before(dropped)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _show_warning(message: Warning | str, category: type[Warning], *_where: Any, **_options: Any) -> None:
    """Show a warning for users in one line; warnings for programmers need --debug."""
    if issubclass(category, UserWarning):
        typer.echo(f"scribseg: {message}", err=True)


def _flush() -> None:
    """Write out what is printed; on a full disk, Python tries nothing more when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def main() -> None:
    """Run the command; exit status 2 for bad input, 1 for a failure, 130 when interrupted."""
    from napari_scribseg.core import InputError
    from napari_scribseg.core.errors import one_line
    from napari_scribseg.io.atomic import refusal

    debug = "--debug" in sys.argv[1:]
    try:
        with warnings.catch_warnings(), _no_interrupt_lost():
            if not debug:
                warnings.showwarning = _show_warning
            try:
                app(standalone_mode=True)
            finally:
                _flush()
    except InputError as error:
        if debug:
            raise
        typer.echo(f"scribseg: {error}", err=True)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        typer.echo("scribseg: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os._exit(FAILURE)  # the reader of our output is gone: nothing can be printed any more
    except Exception as error:
        if debug:
            raise
        reason = refusal(error) if isinstance(error, OSError) else None
        if isinstance(error, OSError) and reason:
            typer.echo(f"scribseg: {error.filename or 'the output'} cannot be written: {reason}", err=True)
            sys.exit(BAD_INPUT)
        typer.echo(f"scribseg: {type(error).__name__}: {one_line(str(error))} (--debug shows where)", err=True)
        sys.exit(FAILURE)


if __name__ == "__main__":
    main()
