"""The command ``scribseg bench``."""

from __future__ import annotations

import logging
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_scribseg.options import Device

if TYPE_CHECKING:
    from napari_scribseg.bench.play import Rules
    from napari_scribseg.bench.run import Progress
    from napari_scribseg.datasets import DataSet

__all__ = ["bench", "show_progress"]

log = logging.getLogger("scribseg")

_QUICK_DATA = ("graz_scribbles", "acdc_scribbles", "dsb2018_nuclei", "msd_hippocampus")


class Draws(StrEnum):
    """Who draws."""

    human = "human"
    strokes = "strokes"
    clicks = "clicks"
    mend = "mend"


class User(StrEnum):
    """How the simulated user of strokes draws."""

    plain = "plain"
    photographs = "photographs"
    cardiac = "cardiac"


class Peers(StrEnum):
    """Which other methods run beside the engines."""

    installed = "installed"
    none = "none"


def bench(
    out: Annotated[Path, typer.Option(help="Folder for tables and figures; a run that it holds goes on.")],
    engine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:P=V,...]", help="Engine or peer with its parameters; may be repeated. Default: all."
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|DIR", help="Known data set, or a folder; may be repeated. Default: a made CT."),
    ] = None,
    protocol: Annotated[
        list[Draws] | None,
        typer.Option(help="Who draws; may be repeated. Default: human where there are such strokes, else the robots."),
    ] = None,
    user: Annotated[
        User, typer.Option(help="Who draws simulated strokes: nobody in particular, or as people did on such images.")
    ] = User.plain,
    peers: Annotated[Peers, typer.Option(help="Run other methods as well.")] = Peers.installed,
    root: Annotated[Path | None, typer.Option(help="Folder of the known data sets; default: SCRIBSEG_DATA.")] = None,
    cases: Annotated[int | None, typer.Option(min=1, help="Cases of a data set, evenly chosen. Default: all.")] = None,
    slices: Annotated[
        int | None,
        typer.Option(min=1, help="Slices of a volume. Default: 3 for a robot, all with a person's strokes."),
    ] = None,
    corrections: Annotated[int, typer.Option(min=0, help="Most corrections after the first strokes.")] = 5,
    clicks: Annotated[int, typer.Option(min=2, help="Most clicks.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn at random.")] = 0,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes; more than one makes the seconds those of a busy machine.")
    ] = 1,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A look: two cases, two slices, two corrections, six clicks; what data there is."),
    ] = False,
) -> None:
    """Measure engines and their peers on images with known labels: tables, figures and a row for every answer."""
    from napari_scribseg.bench.report import write_report
    from napari_scribseg.bench.run import Plan, run

    if quick:
        cases, slices, corrections, clicks = cases or 2, slices or 2, min(corrections, 2), min(clicks, 6)
    sets = _data_sets(data, root, quick)
    rules = _rules(user, corrections, clicks, seed, device)
    plan = Plan(
        _methods(engine, peers is Peers.installed),
        sets,
        tuple(p.value for p in protocol) if protocol else None,
        rules,
        cases,
        slices,
    )
    try:
        with show_progress() as progress:
            rows = run(plan, out, workers=workers, progress=progress)
    except KeyboardInterrupt:
        typer.echo("scribseg: what is measured stays; the same command goes on from here", err=True)
        raise
    for path in write_report(rows, rules, out, shlex.join(["scribseg", *sys.argv[1:]])):
        typer.echo(path)


def _methods(names: list[str] | None, with_peers: bool) -> tuple[str, ...]:
    """What is measured; peers whose library is missing are named in a line."""
    from napari_scribseg.bench.methods import ALL_PEERS
    from napari_scribseg.bench.peers import PEERS
    from napari_scribseg.core import engine_names

    methods = list(names or engine_names())
    missing = sorted(name for name, peer in PEERS.items() if not peer.installed)
    if with_peers:
        methods += [name for name in ALL_PEERS if name.split(":")[0] not in missing]
        if missing:
            log.info("left out: %s; pip install 'napari-scribseg[bench]' brings them", ", ".join(missing))
    return tuple(dict.fromkeys(methods))


def _data_sets(names: list[str] | None, root: Path | None, quick: bool) -> tuple[DataSet, ...]:
    """The data sets asked for; the made CT by default, and for a quick look those that are there."""
    from napari_scribseg.core import InputError
    from napari_scribseg.datasets import made_ct, open_data_set

    if names:
        opened = [made_ct() if name == "made_ct" else open_data_set(name, root) for name in names]
        repeated = {d.name for d in opened if [o.name for o in opened].count(d.name) > 1}
        if repeated:
            raise InputError(
                f"two data sets are called {sorted(repeated)[0]!r}; data sets of different names are expected"
            )
        return tuple(opened)
    found = [made_ct()]
    for name in _QUICK_DATA if quick else ():
        try:
            found.append(open_data_set(name, root))
        except InputError as error:
            log.debug("%s", error)
    return tuple(found)


def _rules(user: User, corrections: int, clicks: int, seed: int, device: Device) -> Rules:
    from napari_scribseg.bench.play import Rules
    from napari_scribseg.simulate import RobotUser, human_like

    drawing = RobotUser() if user is User.plain else human_like(user.value)
    return Rules(drawing, corrections=corrections, clicks=clicks, seed=seed, device=device.value)


@contextmanager
def show_progress() -> Iterator[Progress]:
    """A moving bar on a terminal; elsewhere a line every ten seconds and at the end."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("measuring", total=None)
            yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what[:60])
        return
    start = last = time.perf_counter()

    def tell(done: int, total: int, what: str) -> None:
        nonlocal last
        now = time.perf_counter()
        if done == total or now - last >= 10:
            last = now
            log.info("%d of %d measured, %.0f s: %s", done, total, now - start, what)

    yield tell
