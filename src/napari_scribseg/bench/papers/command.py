"""The command ``scribseg study``."""

from __future__ import annotations

import logging
import shlex
import sys
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_scribseg.bench.command import INTERRUPTED, Cases, Root, Seed, open_data_sets
from napari_scribseg.options import Device, DeviceOption
from napari_scribseg.progress import show_progress

if TYPE_CHECKING:
    from napari_scribseg.bench.columns import Row
    from napari_scribseg.bench.play import Rules
    from napari_scribseg.datasets import DataSet

__all__ = ["study"]

log = logging.getLogger("scribseg")

_DATA = ["graz_scribbles", "acdc_scribbles"]


class PartName(StrEnum):
    """The parts of the study."""

    table1 = "table1"
    kernel = "kernel"
    width = "width"
    depth = "depth"
    beta = "beta"
    downscaling = "downscaling"
    seeds = "seeds"
    finetune = "finetune"
    sloppiness = "sloppiness"


_Out = Annotated[Path, typer.Option(help="Folder for tables and figures; an interrupted study in it is resumed.")]
_Parts = Annotated[list[PartName] | None, typer.Option(help="What to measure; may be repeated. Default: all.")]
_Data = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME|DIR", help="Built-in data set, or a folder; may be repeated. Default: both with people's strokes."
    ),
]
_Slices = Annotated[int | None, typer.Option(min=1, help="Slices of a volume, evenly chosen.")]
_Outlines = Annotated[int, typer.Option(min=2, help="Outlines of an object with one size of error.")]
_PublishedFit = Annotated[
    bool,
    typer.Option(
        "--published-fit",
        help="3000 steps of Adam of size 5e-4 on all strokes (paper 000), and a row with the settings of paper 002: "
        "very slow.",
    ),
]
_Quick = Annotated[bool, typer.Option("--quick", help="Two cases, one slice of a volume.")]


def study(
    out: _Out,
    part: _Parts = None,
    data: _Data = None,
    root: Root = None,
    cases: Cases = None,
    slices: _Slices = None,
    outlines: _Outlines = 10,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    published_fit: _PublishedFit = False,
    quick: _Quick = False,
) -> None:
    """Repeat the measurements of the papers on networks fitted to one image, with their numbers beside ours."""
    from napari_scribseg.bench.papers.parts import (
        PARTS,
        PUBLISHED_SLOPPY,
        SLOPPY_METHODS,
        all_methods,
        with_published_fit,
    )
    from napari_scribseg.bench.papers.report import write_study
    from napari_scribseg.bench.papers.sloppiness import SloppyPlan, measure
    from napari_scribseg.bench.play import Rules
    from napari_scribseg.io.run_folder import RunFolder

    if quick:
        cases, slices = cases or 2, slices or 1
    wanted = [p.value for p in part or PartName]
    parts = tuple(with_published_fit(p) if published_fit else p for p in PARTS if p.name in wanted)
    sets = open_data_sets(data or _DATA, root)
    sloppy_methods = {**(PUBLISHED_SLOPPY if published_fit else {}), **SLOPPY_METHODS}
    methods, missing = _available(all_methods(parts))
    rows, sloppy = [], []
    outputs = ("study.md", *(f"{p.value}*.csv" for p in PartName))
    settings = {"outlines": outlines, "seed": seed, "version": version("napari-scribseg")}
    try:
        with RunFolder(out, "study.json").open(outputs, settings):
            if methods:
                rules = Rules(corrections=0, seed=seed, device=device.value)
                rows = _run(methods, sets, out / "strokes", rules, cases, slices)
            if PartName.sloppiness in wanted:
                plan = SloppyPlan(
                    tuple(sloppy_methods.values()), sets, cases, outlines=outlines, seed=seed, device=device.value
                )
                with show_progress("outlining", "jobs") as progress:
                    sloppy = measure(plan, out / "outlines", progress)
    except KeyboardInterrupt:
        typer.echo(INTERRUPTED, err=True)
        raise
    names = {method: name for name, method in sloppy_methods.items()}
    command = shlex.join(["scribseg", *sys.argv[1:]])
    for path in write_study(out, parts, rows, sloppy, names=names, command=command, left_out=missing):
        typer.echo(path)


def _available(methods: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """The methods that can be loaded, and a message for each of the others."""
    from napari_scribseg.bench.methods import parse_method
    from napari_scribseg.core import InputError

    kept, missing = [], []
    for method in methods:
        try:
            parse_method(method)
            kept.append(method)
        except InputError as error:
            missing.append(f"`{method}`: {error}")
            log.info("left out: %s: %s", method, error)
    return tuple(kept), missing


def _run(
    methods: tuple[str, ...], sets: tuple[DataSet, ...], out: Path, rules: Rules, cases: int | None, slices: int | None
) -> list[Row]:
    """One result of each method for each image, with strokes of people or else of a simulated user."""
    from napari_scribseg.bench.plan import Plan, run

    rows = []
    for drawn in (True, False):
        own = tuple(one for one in sets if one.human_strokes == drawn)
        if own:
            plan = Plan(methods, own, ("human",) if drawn else ("strokes",), rules, cases, slices)
            with show_progress("measuring", "jobs") as progress:
                rows += run(plan, out, progress=progress)
    return rows
