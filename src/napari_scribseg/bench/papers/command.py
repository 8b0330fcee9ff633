"""The command ``scribseg study``."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_scribseg.options import Device

if TYPE_CHECKING:
    from napari_scribseg.bench.papers.sloppiness import Sloppiness
    from napari_scribseg.bench.rows import Row
    from napari_scribseg.datasets import DataSet

__all__ = ["study"]

log = logging.getLogger("scribseg")

_DATA = ("graz_scribbles", "acdc_scribbles")


class Chosen(StrEnum):
    """The parts of the study."""

    table1 = "table1"
    kernel = "kernel"
    width = "width"
    depth = "depth"
    beta = "beta"
    finetune = "finetune"
    sloppiness = "sloppiness"


def study(
    out: Annotated[Path, typer.Option(help="Folder for tables and figures; a study that it holds goes on.")],
    part: Annotated[list[Chosen] | None, typer.Option(help="What to redo; may be repeated. Default: all.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|DIR", help="Known data set, or a folder; may be repeated. Default: both with strokes."
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the known data sets; default: SCRIBSEG_DATA.")] = None,
    cases: Annotated[int | None, typer.Option(min=1, help="Cases of a data set, evenly chosen. Default: all.")] = None,
    slices: Annotated[int | None, typer.Option(min=1, help="Slices of a volume, evenly chosen.")] = None,
    outlines: Annotated[int, typer.Option(min=2, help="Outlines of an object with one size of error.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn at random.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    quick: Annotated[bool, typer.Option("--quick", help="A look: two cases, one slice of a volume.")] = False,
) -> None:
    """Redo what the papers on networks fitted to one image measured, with their numbers beside ours."""
    from napari_scribseg.bench.papers.parts import PARTS, SLOPPY_METHODS, all_methods
    from napari_scribseg.bench.papers.report import write_study

    if quick:
        cases, slices = cases or 2, slices or 1
    wanted = [p.value for p in part or Chosen]
    parts = tuple(p for p in PARTS if p.name in wanted)
    sets = _data_sets(data, root)
    methods, missing = _available(all_methods(parts))
    rows, sloppy = [], []
    _check_settings(out, {"outlines": outlines, "seed": seed})
    try:
        if methods:
            rows = _scribbled(methods, sets, out / "strokes", cases, slices, seed, device)
        if Chosen.sloppiness in wanted:
            sloppy = _outlined(sets, out / "outlines", cases, outlines, seed, device)
    except KeyboardInterrupt:
        typer.echo("scribseg: what is measured stays; the same command goes on from here", err=True)
        raise
    names = {method: name for name, method in SLOPPY_METHODS.items()}
    command = shlex.join(["scribseg", *sys.argv[1:]])
    for path in write_study(out, parts, rows, sloppy, names=names, command=command, left_out=missing):
        typer.echo(path)


def _data_sets(names: list[str] | None, root: Path | None) -> tuple[DataSet, ...]:
    """The data sets asked for, each once."""
    from napari_scribseg.core import InputError
    from napari_scribseg.datasets import made_ct, open_data_set

    opened = [made_ct() if name == "made_ct" else open_data_set(name, root) for name in names or _DATA]
    found = [one.name for one in opened]
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two data sets are called {twice!r}; data sets of different names are expected")
    return tuple(opened)


def _available(methods: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """The methods that can be had, and a sentence for each of the others."""
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


def _check_settings(out: Path, settings: dict[str, int]) -> None:
    """Write the settings, or compare them with those of the study that is to go on."""
    from importlib.metadata import version

    from napari_scribseg.core import InputError
    from napari_scribseg.io.atomic import replacing
    from napari_scribseg.io.outputs import check_folder

    settings = {**settings, "version": version("napari-scribseg")}  # type: ignore[dict-item]
    path = out / "study.json"
    check_folder(out, path.name, ("study.md", *(f"{part.value}*.csv" for part in Chosen)))
    try:
        out.mkdir(parents=True, exist_ok=True)
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else settings
    except OSError as error:
        raise InputError(f"{out} cannot be used ({error.strerror}); a folder for the results is expected") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}); give another folder") from error
    if before != settings:
        raise InputError(f"{out} holds a study with {before}, now it is {settings}; give another folder, or the same")
    with replacing(path) as file:
        file.write(json.dumps(settings).encode())


def _scribbled(
    methods: tuple[str, ...],
    sets: tuple[DataSet, ...],
    out: Path,
    cases: int | None,
    slices: int | None,
    seed: int,
    device: Device,
) -> list[Row]:
    """One answer of each method to each image: people's strokes, or a simulated user's where nobody drew."""
    from napari_scribseg.bench.command import show_progress
    from napari_scribseg.bench.play import Rules
    from napari_scribseg.bench.run import Plan, run

    rules = Rules(corrections=0, seed=seed, device=device.value)
    rows = []
    for drawn in (True, False):
        own = tuple(one for one in sets if one.human_strokes == drawn)
        if own:
            plan = Plan(methods, own, ("human",) if drawn else ("strokes",), rules, cases, slices)
            with show_progress() as progress:
                rows += run(plan, out, progress=progress)
    return rows


def _outlined(
    sets: tuple[DataSet, ...], out: Path, cases: int | None, outlines: int, seed: int, device: Device
) -> list[Sloppiness]:
    from napari_scribseg.bench.command import show_progress
    from napari_scribseg.bench.papers.parts import SLOPPY_METHODS
    from napari_scribseg.bench.papers.sloppiness import SloppyPlan, measure
    from napari_scribseg.io.lock import locked

    plan = SloppyPlan(tuple(SLOPPY_METHODS.values()), sets, cases, outlines=outlines, seed=seed, device=device.value)
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / "lock"), show_progress() as progress:
        return measure(plan, out, progress)
