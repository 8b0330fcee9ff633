"""The command ``scribseg train``."""

from __future__ import annotations

import filecmp
import json
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.options import Device, DeviceOption, Overwrite

if TYPE_CHECKING:
    from napari_scribseg.datasets import DataSet
    from napari_scribseg.train.machine import Machine
    from napari_scribseg.train.pack import Pack
    from napari_scribseg.train.settings import Settings

__all__ = ["app", "parse_config"]

log = logging.getLogger("scribseg")

app = typer.Typer(help="Train the networks that ship with the package.", no_args_is_help=True, rich_markup_mode=None)

_PACK, _SETTINGS = "data.pack", "settings.json"
_OPTIONS = ("samples", "cooldown", "batch", "rate", "corrections", "size", "precision")  # may replace --published's
_STOPPED = 3  # the exit status of a run that was interrupted and can be resumed

#: The light network of ``scribseg train brs``, with the same two decoders. The fine one, of full resolution, takes four
#: fifths of the time of a step; the coarse one and the encoder are therefore wide for their size. Its input also has a
#: map of what lies close to a click, and the last prediction: :func:`~napari_scribseg.prompting.network_input`.
LIGHT_BRS: dict[str, Any] = {
    "in_channels": 8, "stem": 32, "growth": 16, "blocks": (3, 4, 6, 4), "squeeze": (4, 8, 8, 16), "skips": (32, 48, 64),
    "coarse": (128, 96, 64, 32), "branch": (8, 8, 8),
}  # fmt: skip

Data = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DIR|PACK|NAME",
        help="Pack, folder with images and labels, built-in data set or a folder of them; may be repeated.",
    ),
]
Root = Annotated[Path | None, typer.Option(help="Folder of the built-in data sets; default: SCRIBSEG_DATA.")]
Resume = Annotated[bool, typer.Option("--resume", help="Resume the run in the folder, with its settings and data.")]
Workers = Annotated[int | None, typer.Option(min=0, help="Processes that draw samples. Default: by the cores.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of torch on a CPU. Default: all cores.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Samples of a step. Default: 32.")]
Rate = Annotated[float | None, typer.Option(help="Highest learning rate. Default: 0.002.")]
Size = Annotated[int | None, typer.Option(min=32, help="Side of a sample, in pixels. Default: 128.")]
Sources = Annotated[
    list[str] | None, typer.Option(metavar="SOURCE", help="A source that only validates; may be repeated.")
]
SourceSamples = Annotated[int | None, typer.Option(min=1, help="Samples of each such source. Default: 48.")]
CheckpointMinutes = Annotated[float, typer.Option(min=0, help="Between two checkpoints.")]
ValidationMinutes = Annotated[float, typer.Option(min=0, help="Between two validations.")]
LogEvery = Annotated[int, typer.Option(min=1, help="Steps between two rows of the log.")]


@app.command()
def pack(
    out: Annotated[Path, typer.Option(help="File to write; its name ends in .pack.")],
    data: Data = None,
    root: Root = None,
    side: Annotated[int, typer.Option(help="Longest side of a picture, in pixels.")] = 352,
    slices: Annotated[int, typer.Option(help="Most slices of a volume, along each axis.")] = 4,
    overwrite: Overwrite = False,
) -> None:
    """Pack images with labels into one compact file."""
    from napari_scribseg.io.atomic import check_writable
    from napari_scribseg.io.outputs import check_outputs
    from napari_scribseg.train.pack import PackOptions, write_pack

    check_writable(out)
    check_outputs([out], [path for path in map(Path, data or ()) if path.is_file()], overwrite=overwrite)
    packed = write_pack(out, _data_sets(data, root), PackOptions(side=side, slices=slices))
    size = out.stat().st_size / 2**20
    log.info("%d pictures of %d sources, %.1f MiB: %s", len(packed), len(packed.sources), size, out)
    typer.echo(out)


@app.command()
def scribble_net(
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, weights, logs and pictures.")],
    data: Data = None,
    root: Root = None,
    resume: Resume = False,
    published: Annotated[
        bool,
        typer.Option(
            "--published", help="Network, loss and schedule of the paper; other options given replace its settings."
        ),
    ] = False,
    devices: Annotated[int, typer.Option(min=1, help="Training processes on each computer.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Computers.")] = 1,
    device: DeviceOption = Device.auto,
    workers: Workers = None,
    threads: Threads = None,
    start: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights to start from, with another --seed. Default: random.")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Input of the network: scribbles (default), clicks, box, extreme-points; or none."),
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Number of samples. Default: a million.")] = None,
    cooldown: Annotated[
        float | None,
        typer.Option(
            help="Share of the samples, the last ones, over which the learning rate falls. Default: 1. With less, "
            "--resume takes another number of --samples as long as the rate has not begun to fall."
        ),
    ] = None,
    batch: BatchSize = None,
    rate: Rate = None,
    corrections: Annotated[
        int | None, typer.Option(min=1, help="Most corrections in an iterative step. Default: 3.")
    ] = None,
    network: Annotated[str | None, typer.Option(help="plain-unet (default) or efficient-unet.")] = None,
    config: Annotated[str | None, typer.Option(metavar="JSON", help="Fields of the network's configuration.")] = None,
    validate: Sources = None,
    validation_samples: SourceSamples = None,
    size: Size = None,
    precision: Annotated[str | None, typer.Option(help="auto (default), float32 or bfloat16.")] = None,
    compile_: Annotated[bool, typer.Option("--compile", help="Let torch compile the network.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all random choices.")] = None,
    checkpoint_minutes: CheckpointMinutes = 3.0,
    validation_minutes: ValidationMinutes = 15.0,
    log_every: LogEvery = 50,
    until: Annotated[int | None, typer.Option(min=1, help="Stop after this step; --resume goes on.")] = None,
) -> None:
    """Train a network that segments by strokes; an interrupted run saves first, and resumes exactly there."""
    from napari_scribseg.train.machine import Machine
    from napari_scribseg.train.settings import PUBLISHED

    if published and (network is not None or config is not None):
        raise InputError("both --published and --network or --config were given; one of them is expected")
    given = {
        "samples": samples, "cooldown": cooldown, "batch": batch, "rate": rate, "corrections": corrections,
        "architecture": network, "config": parse_config(config, network), "validation": validate and tuple(validate),
        "start": start and str(user_path(start).absolute()), "prompt": prompt, "seed": seed,
        "validation_samples": validation_samples, "size": size, "precision": precision, "compile": compile_ or None,
    }  # fmt: skip
    minutes = 60 * checkpoint_minutes, 60 * validation_minutes
    machine = Machine(device.value, devices, nodes, workers, threads, *minutes, log_every)
    first = PUBLISHED if published else {}
    _run(out, _chosen(given), machine, data, root, first=first, resume=resume, until=until)


@app.command()
def brs(
    out: Annotated[Path, typer.Option(help="Folder of the run; its parts are called coarse and fine.")],
    data: Data = None,
    root: Root = None,
    resume: Resume = False,
    published: Annotated[
        bool, typer.Option("--published", help="The paper's own network on DenseNet-121. Default: a light one.")
    ] = False,
    encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|download", help="ImageNet's weights, with --published: densenet121-a639ec97.pth, or fetch it."
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Weights to train further, with another --seed, in place of the coarse part."
        ),
    ] = None,
    prompt: Annotated[str, typer.Option(help="clicks (as published) or scribbles.")] = "clicks",
    coarse_samples: Annotated[
        int | None, typer.Option(min=1, help="Samples without the fine decoder. Default: 300,000.")
    ] = None,
    fine_samples: Annotated[
        int | None, typer.Option(min=1, help="Samples with it, after those. Default: 200,000.")
    ] = None,
    corrections: Annotated[
        int,
        typer.Option(
            min=0,
            help="Most corrections of a prediction, in every other step. Default: none of clicks, as published; of "
            "scribbles as scribble-net.",
        ),
    ] = 0,
    batch: BatchSize = None,
    rate: Rate = None,
    validate: Sources = None,
    validation_samples: SourceSamples = None,
    size: Size = None,
    device: DeviceOption = Device.auto,
    workers: Workers = None,
    threads: Threads = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random choices.")] = 0,
    checkpoint_minutes: CheckpointMinutes = 3.0,
    validation_minutes: ValidationMinutes = 15.0,
    log_every: LogEvery = 50,
) -> None:
    """Train the network of BRS in two stages: without its fine decoder, then with it."""
    from napari_scribseg.train.encoder import fetch_encoder
    from napari_scribseg.train.machine import Machine
    from napari_scribseg.train.settings import Settings

    if start is not None and encoder is not None:
        raise InputError(
            f"both --start {start} and --encoder {encoder} were given; weights to start from include an encoder, "
            "so one of the two is expected"
        )
    config = {} if published else LIGHT_BRS
    given: dict[str, Any] = {
        "architecture": "brs-net", "prompt": prompt, "batch": batch, "rate": rate, "size": size,
        "validation": validate and tuple(validate), "validation_samples": validation_samples,
        "encoder_rate": 0.01 if encoder else None,
    }  # fmt: skip
    if corrections:
        given |= {"corrections": corrections, "iterative": 0.5, "unchanged": 0.0, "single": 0.5}
    elif prompt == "clicks":
        given["iterative"] = 0.0
    minutes = 60 * checkpoint_minutes, 60 * validation_minutes
    machine = Machine(device.value, 1, 1, workers, threads, *minutes, log_every)
    coarse, fine = out / "coarse", out / "fine"
    if start is None:
        begun = (fine / _SETTINGS).is_file()
        file = (None if begun else fetch_encoder()) if str(encoder) == "download" else encoder
        first: dict[str, Any] = {"config": {**config, "fine": False}, "samples": coarse_samples, "seed": seed}
        first["encoder"] = file and str(user_path(file).absolute())
        if not begun:
            _run(coarse, _chosen(given | first), machine, data, root, first={"samples": 300_000}, resume=resume)
        elif resume and (coarse / _SETTINGS).is_file():
            stored = Settings.from_file(coarse / _SETTINGS)
            _check_resumed(coarse, stored, _chosen(given | first), {}, data)
            if coarse_samples not in (None, stored.samples):
                raise InputError(
                    f"--coarse-samples is {coarse_samples}, but the coarse part of {out} has {stored.samples}; "
                    "with --resume its own settings are expected"
                )
    if start is None and coarse.is_dir():
        start, data = coarse / "weights.safetensors", [str(coarse / _PACK)]
    second: dict[str, Any] = {"config": config, "samples": fine_samples, "seed": seed + 1}
    second["start"] = start and str(user_path(start).absolute())
    _run(fine, _chosen(given | second), machine, data, root, first={"samples": 200_000}, resume=resume)


def _chosen(given: dict[str, Any]) -> dict[str, Any]:
    """The settings that were given."""
    return {name: value for name, value in given.items() if value is not None}


def parse_config(text: str | None, network: str | None) -> dict[str, Any] | None:
    """The configuration of a network from JSON; None, for that of the default network, where none is given.

    Raises
    ------
    InputError
        If the text is no JSON object.
    """
    if text is None:
        return {"in_channels": 6} if network == "efficient-unet" else None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f'--config {text!r} is no JSON ({error}); such as {{"channels": [16, 32]}} is expected'
        ) from error
    if not isinstance(values, dict):
        raise InputError(f'--config {text!r} is no table; such as {{"channels": [16, 32]}} is expected')
    return values


def _run(
    out: Path,
    chosen: dict[str, Any],
    machine: Machine,
    data: list[str] | None,
    root: Path | None,
    *,
    resume: bool,
    first: Mapping[str, Any] | None = None,
    until: int | None = None,
) -> None:
    """Begin a run with the chosen settings, over those in ``first``, or resume the one in the folder."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads leave their cores to those that draw samples
    from napari_scribseg.train.loop import train
    from napari_scribseg.train.machine import make_fabric
    from napari_scribseg.train.pack import read_pack
    from napari_scribseg.train.settings import Settings

    resumes = resume and (out / _SETTINGS).is_file()
    settings = Settings.from_file(out / _SETTINGS) if resumes else Settings(**{**(first or {}), **chosen})
    fabric = make_fabric(machine, settings.precision)
    with ExitStack() as stack:
        if fabric.is_global_zero:
            stack.enter_context(_opened(out, settings, data, resumes=resumes))
            if resumes:
                _check_resumed(out, settings, chosen, first or {}, data)
                _change_samples(out, settings, chosen)
            else:
                _prepare(out, settings, data, root)
        fabric.launch()
        settings = Settings.from_file(out / _SETTINGS)
        stopped = stack.enter_context(_stop_requested())
        result = train(settings, read_pack(out / _PACK), out, fabric, machine, until=until, stopped=stopped)
    if fabric.is_global_zero:
        typer.echo(out / "weights.safetensors")
        if not result.finished:
            log.info("stopped at step %d of %d; --resume goes on from there", result.step, settings.steps)
    if stopped():
        raise typer.Exit(_STOPPED)


@contextmanager
def _opened(out: Path, settings: Settings, data: list[str] | None, *, resumes: bool) -> Iterator[None]:
    """Hold the lock of the folder, once it is clear that a run with these settings can begin there, or resume."""
    from napari_scribseg.io.run_folder import RunFolder
    from napari_scribseg.train.loop import first_network

    if not resumes:
        if (out / _SETTINGS).exists():
            raise InputError(f"{out} holds a run; --resume, which goes on with it, or another folder is expected")
        first_network(settings)
    own = any(Path(name).resolve() == (out / _PACK).resolve() for name in data or ())  # the pack is the input
    names = ["weights.safetensors", "steps.csv", "validation.csv", *[_PACK] * (not own)]
    with RunFolder(out, _SETTINGS).open(names):
        yield


def _check_resumed(
    out: Path, settings: Settings, given: dict[str, Any], first: Mapping[str, Any], data: list[str] | None = None
) -> None:
    """Check that what is given with --resume is what the run has, but for its number of samples.

    Raises
    ------
    InputError
        If the run trains another kind of network, was begun without the settings in ``first``, has another setting
        that is given, or other packed data.
    """
    if (settings.architecture == "brs-net") != (given.get("architecture") == "brs-net"):
        kind = "brs" if settings.architecture == "brs-net" else "scribble-net"
        raise InputError(f"the run in {out} trains a {settings.architecture}; scribseg train {kind} is expected")
    changed = replace(settings, **given)
    for name in given:
        if name != "samples" and getattr(changed, name) != getattr(settings, name):
            raise InputError(
                f"{name} is {given[name]!r}, but the run has {getattr(settings, name)!r}; with --resume its own "
                "settings are expected"
            )
    begun = replace(settings, **first)
    for name in first:
        if name not in _OPTIONS and getattr(begun, name) != getattr(settings, name):
            raise InputError(
                f"--published is given, but the run in {out} was begun without it: its {name} is "
                f"{getattr(settings, name)!r}, not {getattr(begun, name)!r}; --resume without --published is expected"
            )
    for file in map(Path, data or ()):
        if file.is_file() and not filecmp.cmp(file, out / _PACK, shallow=False):
            raise InputError(f"{file} is not the data of the run in {out}; with --resume its own data is expected")


def _change_samples(out: Path, settings: Settings, given: dict[str, Any]) -> None:
    """Write another number of samples into the settings of a run whose learning rate has not begun to fall.

    Raises
    ------
    InputError
        If it has.
    """
    from napari_scribseg.io.atomic import write_files
    from napari_scribseg.kernel.checkpoint import latest, read_checkpoint

    changed = replace(settings, samples=given.get("samples", settings.samples))
    if changed.samples == settings.samples:
        return
    newest = latest(out / "checkpoints")
    done = read_checkpoint(newest).step * settings.batch if newest is not None else 0
    first = min(settings.falls_from, changed.falls_from)
    if done > first:
        raise InputError(
            f"samples is {changed.samples} where the run has {settings.samples}, of which {done} are done; its "
            f"learning rate falls from sample {first} on, and another number is expected before that"
        )
    write_files({out / _SETTINGS: changed.to_json().encode()})


def _prepare(out: Path, settings: Settings, data: list[str] | None, root: Path | None) -> None:
    """Write the data and the settings of a new run into its folder."""
    from napari_scribseg.io.atomic import write_files
    from napari_scribseg.train.pack import read_pack, write_pack

    packed = [name for name in data or () if Path(name).is_file()]
    if packed and len(data or ()) > 1:
        raise InputError(f"{packed[0]} is given with other data; one packed file, or folders, are expected")
    source = read_pack(packed[0]) if packed else write_pack(out / _PACK, _data_sets(data, root))
    _check_sources(source, settings)
    if packed:
        write_files({out / _PACK: source.path.read_bytes()})
    write_files({out / _SETTINGS: settings.to_json().encode()})


def _check_sources(pack: Pack, settings: Settings) -> None:
    from napari_scribseg.train.loop import training_sources

    missing = sorted(set(settings.validation) - set(pack.sources))
    if missing:
        raise InputError(
            f"the data has no source {', '.join(missing)} to validate on; name some of {', '.join(pack.sources)} with "
            "--validate"
        )
    if not training_sources(pack, settings):
        raise InputError(f"every source of the data validates; others than {', '.join(pack.sources)} are expected")


def _data_sets(names: list[str] | None, root: Path | None) -> list[DataSet]:
    """The data sets to train on.

    Raises
    ------
    InputError
        If there is none, or one may not be trained on; in a folder of many such a data set is left out.
    """
    from napari_scribseg.datasets import built_in_data_sets, open_data_set, without_held_out

    built_in = {data_set.name: data_set for data_set in built_in_data_sets()}
    found: list[DataSet] = []
    for name in names or ():
        folder = user_path(name).resolve()
        inside = [n for n in built_in if (folder / n).is_dir()] if name not in built_in else []
        if inside:
            found += [open_data_set(n, folder) for n in inside if built_in[n].trainable]
        elif folder.is_dir() and folder.name in built_in:
            found.append(open_data_set(folder.name, folder.parent))
        elif folder.is_dir() and folder.parent.name == "permissive_slices":
            found.append(open_data_set(f"permissive_slices/{folder.name}", folder.parents[1]))
        else:
            found.append(open_data_set(name, root))
    refused = [data_set for data_set in found if data_set.name in built_in and not data_set.trainable]
    if refused:
        raise InputError(
            f"{refused[0].name} ({refused[0].licence}) may not be trained on; one of "
            f"{', '.join(n for n in built_in if built_in[n].trainable)}, or a folder of your own, is expected"
        )
    if not found:
        raise InputError("there is no data; --data with a packed file, a folder or a built-in data set is expected")
    kept = [without_held_out(data_set) for data_set in found]
    empty = next((data_set for data_set in kept if not data_set.cases), None)
    if empty is not None:
        raise InputError(
            f"all cases of {empty.name} are held out for measurements and never trained on; other data is expected"
        )
    return kept


@contextmanager
def _stop_requested() -> Iterator[Callable[[], bool]]:
    """Whether the process has received SIGINT or SIGTERM; a second SIGINT ends it at once."""
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    owner = os.getpid()
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received) and os.getpid() == owner
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
