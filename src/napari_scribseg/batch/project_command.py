"""The commands ``scribseg project``: images that are annotated, learned from, shared and exported together."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_scribseg.core import Report
from napari_scribseg.core.registry import DEFAULT_ENGINE
from napari_scribseg.options import Device, DeviceOption
from napari_scribseg.progress import ShowProgress, show_progress

__all__ = ["app"]

_Project = Annotated[Path, typer.Argument(help="Folder of the project.")]
_Annotator = Annotated[
    str | None, typer.Option(help="Your name, as session files note it. Default: that of your account.")
]


class Kind(StrEnum):
    """What a project is exported as."""

    nnunet = "nnunet"
    monai = "monai"
    coco = "coco"
    network = "network"


class Only(StrEnum):
    """Which labels are exported."""

    finished = "finished"
    accepted = "accepted"
    all = "all"


class Prefer(StrEnum):
    """Which of two versions of a slice is shown after a merge."""

    ours = "ours"
    theirs = "theirs"
    newest = "newest"


class Keep(StrEnum):
    """Which of two versions of a slice a conflict ends with."""

    chosen = "chosen"
    other = "other"


app = typer.Typer(
    help="Annotate many images as one project: learn from them, share them, export them.", no_args_is_help=True
)


@app.command()
def create(
    project: Annotated[Path, typer.Argument(help="A new folder.")],
    classes: Annotated[list[str], typer.Option("--class", metavar="NAME", help="A class; may be repeated.")],
    engine: Annotated[str, typer.Option(help="Engine for strokes; `scribseg engines` lists them.")] = DEFAULT_ENGINE,
) -> None:
    """Make a new PROJECT with these classes; one for the background is added."""
    from napari_scribseg.learn import Project

    typer.echo(Project.create(project, classes, engine=engine).folder)


@app.command()
def add(
    project: _Project,
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Images; folders of images, of DICOM series, of a BIDS data set or of nnU-Net; JSON files of COCO, "
            "MONAI or nnU-Net; learned networks, .safetensors."
        ),
    ],
    labels: Annotated[
        Path | None, typer.Option(help="Label file of the image, or a folder of label files with the images' names.")
    ] = None,
    as_class: Annotated[
        str, typer.Option(metavar="NAME", help="The class of all labels, where the files number instances.")
    ] = "",
    annotator: _Annotator = None,
) -> None:
    """Add images to PROJECT, each as a case. They stay where they are; labels that come along are accepted."""
    from napari_scribseg.core.errors import one_line
    from napari_scribseg.learn import Project

    opened = Project.open(project, annotator)
    networks = [path for path in paths if path.suffix == ".safetensors"]
    for path in networks:
        opened.add_network(path)
        typer.echo(path)
    images = [path for path in paths if path not in networks]
    if not images:
        return
    with show_progress("adding", "%") as show:
        added = opened.add(images, labels, as_class=as_class, report=_percent(show))
    for message in added.skipped:
        typer.echo(one_line(f"skipped: {message}"), err=True)
    for name in added.cases:
        typer.echo(name)


@app.command()
def status(
    project: _Project,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="Show how far people agree on slices that two of them accepted.")
    ] = False,
) -> None:
    """Show the cases of PROJECT, how far each is, what comes next, and which slices people disagree on."""
    from napari_scribseg.core.errors import one_line
    from napari_scribseg.learn import Project

    opened = Project.open(project)
    rows = [("case", "state", "accepted", "strokes", "by")]
    missing = {case.name for case in opened.missing()}
    for case in opened.cases:
        counts = case.counts()
        people = ", ".join(f"{who or 'unknown'} {n}" for who, n in counts.by.items())
        state = f"{case.state}, image missing" if case.name in missing else case.state
        rows.append((case.name, state, f"{counts.accepted} of {counts.slices}", str(counts.strokes), people))
    _table(rows)
    for case in opened.cases:
        if problem := case.counts().problem:
            typer.echo(one_line(f"{case.name}: {problem}"), err=True)
    typer.echo(str(opened.status()))
    for case, conflict in opened.conflicts:
        where = f"{case.name}, {conflict.slice_index}"
        typer.echo(
            f"{where}: {conflict.chosen} and {conflict.other} differ on {conflict.differing} pixels; that of "
            f"{conflict.chosen} is shown (scribseg project resolve)"
        )
    place = opened.next()
    if place is not None:
        doubt = "" if place.doubt is None else f", doubt {place.doubt:.0%}"
        typer.echo(f"next: {place.case}, {place.slice_index}{doubt}")
    if agreement:
        from napari_scribseg.learn.annotators import mean_agreement

        means = mean_agreement(opened.agreement())
        pairs = [(m.name, f"{m.who}, {m.whom}", str(m.slices), f"{m.dice:.3f}", f"{m.surface:.2f}") for m in means]
        _table([("class", "people", "slices", "Dice", "mean distance"), *pairs])


@app.command()
def learn(project: _Project, device: DeviceOption = Device.auto) -> None:
    """Learn a network from strokes and accepted slices of PROJECT; the same command resumes an interrupted run."""
    from napari_scribseg.learn import Project

    with show_progress("learning", "%") as show:
        network = Project.open(project).learn(_percent(show), device=device.value)
    card = network.card
    typer.echo(f"learned from {card.examples} slices of {len(card.cases)} cases")
    if card.agreement is not None:
        typer.echo(str(card.agreement))


@app.command()
def draft(
    project: _Project,
    cases: Annotated[
        list[str] | None, typer.Argument(help="Names of cases. Default: those that nobody has worked on.")
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Cases at once, with dask (extra `cluster`); 0: one by one, in this process.")
    ] = 0,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A dask scheduler whose workers do the work.")
    ] = None,
) -> None:
    """Draft the slices of cases that have no labels of their own, with the network that was learned last."""
    from napari_scribseg.batch.project_drafts import draft_cases
    from napari_scribseg.core.errors import one_line
    from napari_scribseg.learn import Project

    with show_progress("drafting", "cases") as show:
        outcomes = draft_cases(
            Project.open(project),
            cases or None,
            workers=None if scheduler is not None else workers,
            scheduler=scheduler,
            progress=lambda outcome, done, total: show(done, total, outcome.case),
        )
    for outcome in outcomes:
        if outcome.error:
            typer.echo(one_line(f"scribseg: {outcome.case}: {outcome.error}"), err=True)
        else:
            typer.echo(f"{outcome.case}: {outcome.slices} slices")
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def find(
    project: _Project, folder: Annotated[Path, typer.Argument(help="Where the images are now, at any depth.")]
) -> None:
    """Find the images of PROJECT again that were moved to FOLDER; each is recognised by its content."""
    from napari_scribseg.learn import Project

    opened = Project.open(project)
    for case in opened.find(folder):
        typer.echo(case.name)
    left = opened.missing()
    if left:
        typer.echo(f"{len(left)} images are still missing, the first is {left[0].image.path}", err=True)
        raise typer.Exit(1)


@app.command()
def merge(
    project: _Project,
    other: Annotated[Path, typer.Argument(help="Another copy of the project; it is only read.")],
    prefer: Annotated[
        Prefer, typer.Option(help="Which version of a slice is shown where both were accepted; the other one is kept.")
    ] = Prefer.ours,
) -> None:
    """Bring the cases, strokes, accepted slices and networks of OTHER into PROJECT; nothing is overwritten."""
    from napari_scribseg.learn import Project

    report = Project.open(project).merge(other, prefer.value)
    conflicts = sum(report.conflicts.values())
    typer.echo(
        f"{len(report.added)} cases, {sum(report.slices.values())} slices and {len(report.networks)} networks added; "
        f"{conflicts} slices in conflict"
    )
    for name in report.in_use:
        typer.echo(f"{name} is open and was left as it is; close it, and merge again", err=True)
    if report.in_use:
        raise typer.Exit(1)


@app.command()
def resolve(
    project: _Project,
    case: Annotated[str, typer.Argument(help="Name of the case.")],
    keep: Annotated[Keep, typer.Option(help="The version that is shown, or the other one.")],
    slices: Annotated[
        list[str] | None, typer.Option("--slice", metavar="SLICE", help="As status shows it: 'z 14'. Default: all.")
    ] = None,
) -> None:
    """Choose between two people's versions of slices of CASE; the one that is not shown stays stored."""
    from napari_scribseg.core import InputError
    from napari_scribseg.learn import Project

    opened = Project.open(project)
    found = [c for c in opened.case(case).conflicts if slices is None or str(c.slice_index) in slices]
    if not found:
        raise InputError(f"{case} has no such conflict; `scribseg project status` lists them")
    for conflict in found:
        opened.resolve(case, conflict, keep.value)
        typer.echo(f"{case}, {conflict.slice_index}")


@app.command()
def export(
    project: _Project,
    kind: Annotated[
        Kind,
        typer.Argument(help="nnunet: raw data set; monai: data list; coco: 2D instances; network: the newest one."),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            help="A new folder; for nnU-Net with a name such as Dataset042_Liver. For a network a file: .safetensors "
            "for brs and other projects, .onnx, or .pt2."
        ),
    ],
    only: Annotated[
        Only,
        typer.Option(help="Finished cases; also the accepted slices of others, the rest as `ignore`; or all labels."),
    ] = Only.finished,
) -> None:
    """Write images and labels of PROJECT as a data set of another program, or the network that it learned last."""
    from napari_scribseg.learn import Project

    opened = Project.open(project)
    if kind is Kind.network:
        typer.echo(opened.export_network(out)[0])
        return
    with show_progress("exporting", "%") as show:
        files = opened.export(kind.value, out, only=only.value, report=_percent(show))
    typer.echo(files[-1])


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    from napari_scribseg.core.errors import one_line

    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _percent(show: ShowProgress) -> Report:
    return lambda fraction, preview=None: show(round(100 * fraction), 100)
