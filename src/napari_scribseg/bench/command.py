"""The command ``scribseg bench``."""

from __future__ import annotations

import dataclasses
import logging
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from napari_scribseg.options import Device, DeviceOption
from napari_scribseg.progress import ShowProgress, show_progress

if TYPE_CHECKING:
    from napari_scribseg.bench.cohort.judging import CohortRules
    from napari_scribseg.bench.play import Rules
    from napari_scribseg.bench.tasks import Protocol
    from napari_scribseg.datasets import DataSet

__all__ = ["INTERRUPTED", "Cases", "Root", "Seed", "bench", "open_data_sets"]

log = logging.getLogger("scribseg")

INTERRUPTED = "scribseg: interrupted; finished results are kept. Run the command again to resume"
_QUICK_DATA = ("graz_scribbles", "acdc_scribbles", "dsb2018_nuclei", "msd_hippocampus")


class ProtocolName(StrEnum):
    """Who draws."""

    human = "human"
    strokes = "strokes"
    clicks = "clicks"
    initial_mask = "initial-mask"
    volume = "volume"
    every_nth = "every-nth"
    every_nth_truth = "every-nth-truth"
    cohort = "cohort"


class LargerError(StrEnum):
    """The measure by which a robot finds the larger error."""

    peak = "peak"
    pixels = "pixels"


class User(StrEnum):
    """How the simulated user of strokes draws."""

    plain = "plain"
    photographs = "photographs"
    cardiac = "cardiac"


class FillName(StrEnum):
    """How the slices between those with strokes get their labels."""

    none = "none"
    interpolation = "interpolation"
    propagation = "propagation"
    between = "between"


class OrderName(StrEnum):
    """Which slice a user of a volume, or of a cohort, goes to next."""

    offered = "offered"
    most_wrong = "most-wrong"
    middle = "middle"
    random = "random"
    queue = "queue"
    sequential = "sequential"


class LearningName(StrEnum):
    """What learns from the slices that a user of a cohort accepted."""

    none = "none"
    learning = "learning"
    plain_unet = "plain-unet"


class Peers(StrEnum):
    """Which other methods run beside the engines."""

    installed = "installed"
    none = "none"


Root = Annotated[Path | None, typer.Option(help="Folder of the built-in data sets. Default: SCRIBSEG_DATA.")]
Cases = Annotated[int | None, typer.Option(min=1, help="Cases of a data set, evenly chosen. Default: all.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random choices.")]

_Out = Annotated[Path, typer.Option(help="Folder for tables and figures; an interrupted run in it is resumed.")]
_Engines = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME[:P=V,...]", help="Engine or peer with its parameters; may be repeated. Default: all."),
]
_Data = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME|DIR", help="Built-in data set, or a folder; may be repeated. Default: a made CT."),
]
_Unseen = Annotated[bool, typer.Option("--held-out", help="Only cases that no network of this package was trained on.")]
_Case = Annotated[list[str] | None, typer.Option("--case", metavar="NAME", help="Only this case; may be repeated.")]
_Download = Annotated[
    bool,
    typer.Option(
        "--download",
        help="Fetch the data sets of --data that are missing from where their authors publish them; their licences are "
        "shown first. Without it, nothing is fetched.",
    ),
]
_Protocols = Annotated[
    list[ProtocolName] | None,
    typer.Option(help="Who draws; may be repeated. Default: human where people drew strokes, else strokes and clicks."),
]
_User = Annotated[
    User | None,
    typer.Option(
        help="How simulated strokes are drawn: plainly, or as people drew on such images. Default: plain, and cardiac "
        "in cohorts."
    ),
]
_Peers = Annotated[Peers, typer.Option(help="Whether other methods run as well.")]
_Slices = Annotated[
    int | None,
    typer.Option(min=1, help="Slices of a volume. Default: 3 for a simulated user, all with a person's strokes."),
]
_Corrections = Annotated[int, typer.Option(min=0, help="Most corrections after the first strokes.")]
_Clicks = Annotated[int, typer.Option(min=2, help="Most clicks.")]
_Larger = Annotated[
    LargerError,
    typer.Option(help="Which error is clicked: the one deeper at its middle, or the one of more pixels."),
]
_Fill = Annotated[
    list[FillName] | None,
    typer.Option(help="Of whole volumes: how the slices between are filled; may be repeated. Default: all."),
]
_Order = Annotated[
    list[OrderName] | None,
    typer.Option(
        help="Of the protocols volume and cohort: which slice is next; may be repeated. Default: the one offered, and "
        "in cohorts queue."
    ),
]
_Every = Annotated[
    list[int] | None,
    typer.Option(min=1, help="Of the protocols every-nth: every so manyeth slice; may be repeated. Default: 3."),
]
_Strokes = Annotated[int, typer.Option(min=1, help="Most strokes of the protocol volume.")]
_Learning = Annotated[
    list[LearningName] | None,
    typer.Option(help="Of the protocol cohort: what learns from accepted slices; may be repeated. Default: all."),
]
_Encoder = Annotated[
    Path | None,
    typer.Option(help="Of the protocol cohort: the network that learning starts from. Default: the one that ships."),
]
_Regions = Annotated[
    int | None,
    typer.Option(min=1, help="Of the protocol cohort: regions of neighbouring slices that each volume is cut into."),
]
_LearnSeconds = Annotated[
    float,
    typer.Option(min=1, help="Of the protocol cohort: seconds of the processor that learning takes at most each time."),
]
_PeerSteps = Annotated[int, typer.Option(min=1, help="Of the protocol cohort: steps of training the plain U-Net.")]
_Label = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME|ID",
        help="A label that counts, all others are background; may be repeated. Cases without it are left out.",
    ),
]
_Workers = Annotated[
    int, typer.Option(min=1, help="Processes. With more than one, the seconds are those of a busy machine.")
]
_Quick = Annotated[
    bool,
    typer.Option(
        "--quick", help="Two cases, two slices, two corrections, six clicks, and the built-in data sets found."
    ),
]


def bench(
    out: _Out,
    engine: _Engines = None,
    data: _Data = None,
    unseen: _Unseen = False,
    download: _Download = False,
    protocol: _Protocols = None,
    user: _User = None,
    peers: _Peers = Peers.installed,
    root: Root = None,
    cases: Cases = None,
    case: _Case = None,
    slices: _Slices = None,
    corrections: _Corrections = 5,
    clicks: _Clicks = 20,
    larger: _Larger = LargerError.peak,
    label: _Label = None,
    fill: _Fill = None,
    order: _Order = None,
    every: _Every = None,
    strokes: _Strokes = 200,
    learning: _Learning = None,
    encoder: _Encoder = None,
    regions: _Regions = None,
    learn_seconds: _LearnSeconds = 160,
    peer_steps: _PeerSteps = 600,
    seed: Seed = 0,
    workers: _Workers = 1,
    device: DeviceOption = Device.auto,
    quick: _Quick = False,
) -> None:
    """Measure engines and their peers on images with known labels: tables, figures and a row for every answer."""
    from napari_scribseg.bench.plan import Plan, run
    from napari_scribseg.bench.report import write_report

    if quick:
        cases, slices, corrections, clicks = cases or 2, slices or 2, min(corrections, 2), min(clicks, 6)
    is_cohort = protocol is not None and ProtocolName.cohort in protocol
    methods = tuple(engine or ["scribble-net"]) if is_cohort else _methods(engine, peers is Peers.installed)
    if download:
        _fetch_missing(data or [], methods, root)
    opened = open_data_sets(data or ["made_ct"], root) + (_quick_data_sets(root) if quick and not data else ())
    opened = _only_unseen(opened) if unseen else opened
    opened = _only_named(opened, case) if case else opened
    if protocol is not None and is_cohort:
        _require_alone(protocol, workers)
        cohort_rules = _cohort_rules(user, encoder, learn_seconds, peer_steps, seed, device)
        _measure_cohorts(opened, methods, learning, order, cohort_rules, out, cases, label, regions)
        return
    rules = _rules(user or User.plain, corrections, clicks, larger, seed, device, strokes)
    plan = Plan(
        methods,
        opened,
        _protocols(protocol),
        rules,
        cases,
        slices,
        labels=tuple(label or ()),
        fills=tuple(name.value for name in fill or FillName),
        orders=tuple(name.value for name in order or (OrderName.offered,)),
        every=tuple(every or (3,)),
    )
    try:
        with show_progress("measuring", "jobs") as progress:
            rows = run(plan, out, workers=workers, progress=progress)
    except KeyboardInterrupt:
        typer.echo(INTERRUPTED, err=True)
        raise
    for path in write_report(rows, rules, out, shlex.join(["scribseg", *sys.argv[1:]])):
        typer.echo(path)


def _protocols(chosen: list[ProtocolName] | None) -> tuple[Protocol, ...] | None:
    return tuple(cast("Protocol", name.value) for name in chosen) if chosen else None


def _methods(names: list[str] | None, with_peers: bool) -> tuple[str, ...]:
    """The methods to measure; peers whose library is missing are named in a line."""
    from napari_scribseg.bench.methods import ALL_PEERS
    from napari_scribseg.bench.peers import PEERS
    from napari_scribseg.core import engine_names

    methods = list(names or engine_names())
    missing = sorted(name for name, peer in PEERS.items() if not peer.installed)
    if with_peers:
        methods += [name for name in ALL_PEERS if name.split(":")[0] not in missing]
        if missing:
            log.info("left out: %s; install them with: pip install 'napari-scribseg[bench]'", ", ".join(missing))
    return tuple(dict.fromkeys(methods))


def open_data_sets(names: list[str], root: Path | None) -> tuple[DataSet, ...]:
    """The data sets of these names, or folders.

    Parameters
    ----------
    names : list of str
        ``made_ct`` is a CT made for the purpose.
    root : Path or None
        Folder of the built-in data sets; by default that in ``SCRIBSEG_DATA``.

    Raises
    ------
    InputError
        If one cannot be opened, or two have the same name.
    """
    from napari_scribseg.core import InputError
    from napari_scribseg.datasets import made_ct, open_data_set

    opened = [made_ct() if name == "made_ct" else open_data_set(name, root) for name in names]
    found = [one.name for one in opened]
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two data sets are called {twice!r}; data sets of different names are expected")
    return tuple(opened)


def _only_unseen(opened: tuple[DataSet, ...]) -> tuple[DataSet, ...]:
    """The data sets with the cases that no network was trained on; those that are no training data stay whole."""
    from napari_scribseg.core import InputError
    from napari_scribseg.datasets import held_out

    found = []
    for data in opened:
        cases = tuple(case for case in data.cases if not data.trainable or held_out(data.name, case))
        if not cases:
            raise InputError(f"networks are trained on all cases of {data.name}; none is held out")
        found.append(dataclasses.replace(data, cases=cases))
    return tuple(found)


def _only_named(opened: tuple[DataSet, ...], names: list[str]) -> tuple[DataSet, ...]:
    """The data sets with the cases of these names; those without one are left out."""
    from napari_scribseg.core import InputError

    cases = dict.fromkeys(case for data in opened for case in data.cases)
    missing = next((name for name in names if name not in cases), None)
    if missing is not None:
        some = ", ".join([*cases][:8]) + (", ..." if len(cases) > 8 else "")
        raise InputError(f"no data set has a case {missing!r}; they have {some}")
    found = (dataclasses.replace(data, cases=tuple(case for case in data.cases if case in names)) for data in opened)
    return tuple(data for data in found if data.cases)


def _fetch_missing(names: list[str], methods: tuple[str, ...], root: Path | None) -> None:
    """Fetch the data sets of these names that are missing; before, the methods are checked that are to be measured."""
    from napari_scribseg.bench.methods import parse_method
    from napari_scribseg.core import InputError
    from napari_scribseg.datasets import built_in_data_sets, fetch_data_set

    built_in = {one.name for one in built_in_data_sets()}
    wanted = [name for name in dict.fromkeys(names) if name in built_in]
    if not wanted:
        raise InputError("--download fetches the built-in data sets that --data names; none is named")
    for method in methods:
        parse_method(method)
    for name in wanted:
        with show_progress(f"fetching {name}", "MiB") as show:

            def show_bytes(done: int, total: int | None, show: ShowProgress = show) -> None:
                show(done >> 20, None if total is None else total >> 20)

            fetch_data_set(name, root, announce=log.info, progress=show_bytes)


def _quick_data_sets(root: Path | None) -> tuple[DataSet, ...]:
    """The built-in data sets of a quick run that are found."""
    from napari_scribseg.core import InputError
    from napari_scribseg.datasets import open_data_set

    found = []
    for name in _QUICK_DATA:
        try:
            found.append(open_data_set(name, root))
        except InputError as error:
            log.debug("%s", error)
    return tuple(found)


def _rules(
    user: User, corrections: int, clicks: int, larger: LargerError, seed: int, device: Device, strokes: int
) -> Rules:
    from napari_scribseg.bench.play import Rules, VolumeRules
    from napari_scribseg.simulate import RobotUser, human_like

    drawing = RobotUser() if user is User.plain else human_like(user.value)
    clicking = RobotUser("clicks", tolerance=0.0, larger=larger.value)
    return Rules(drawing, clicking, corrections, clicks, seed, device.value, VolumeRules(strokes))


def _require_alone(protocols: list[ProtocolName], workers: int) -> None:
    from napari_scribseg.core import InputError

    if len(set(protocols)) > 1 or workers > 1:
        raise InputError(
            "the protocol cohort has rows of its own, and its cases follow one another; it is expected alone, "
            "with one worker"
        )


def _cohort_rules(
    user: User | None, encoder: Path | None, learn_seconds: float, peer_steps: int, seed: int, device: Device
) -> CohortRules:
    from napari_scribseg.bench.cohort.judging import CohortRules
    from napari_scribseg.simulate import RobotUser, human_like

    kind = user or User.cardiac
    drawing = RobotUser() if kind is User.plain else human_like(kind.value)
    path = "" if encoder is None else str(encoder)
    return CohortRules(
        drawing, learn_seconds=learn_seconds, peer_steps=peer_steps, encoder=path, seed=seed, device=device.value
    )


def _measure_cohorts(
    opened: tuple[DataSet, ...],
    methods: tuple[str, ...],
    learning: list[LearningName] | None,
    order: list[OrderName] | None,
    rules: CohortRules,
    out: Path,
    cases: int | None,
    label: list[str] | None,
    regions: int | None,
) -> None:
    """The protocol ``cohort``."""
    from napari_scribseg.bench.cohort.command import measure_cohorts

    try:
        with show_progress("measuring", "cases") as progress:
            written = measure_cohorts(
                opened, methods,
                [name.value for name in learning or LearningName], [name.value for name in order or (OrderName.queue,)],
                rules, out, cases=cases, labels=label or (), regions=regions,
                command=shlex.join(["scribseg", *sys.argv[1:]]), progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        typer.echo(INTERRUPTED, err=True)
        raise
    for path in written:
        typer.echo(path)
