"""The command ``scribseg train``."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_scribseg.core.paths import user_path
from napari_scribseg.options import Device, Overwrite

if TYPE_CHECKING:
    from napari_scribseg.datasets import DataSet
    from napari_scribseg.train.machine import Machine
    from napari_scribseg.train.pack import Pack
    from napari_scribseg.train.settings import Settings

__all__ = ["app"]

log = logging.getLogger("scribseg")

app = typer.Typer(help="Train the networks that ship with the package.", no_args_is_help=True, rich_markup_mode=None)

_PACK, _SETTINGS = "data.pack", "settings.json"
_STOPPED = 3  # the exit status of a run that was asked to stop and can be taken up again

#: The light network of ``scribseg train brs``, with the same two decoders. The fine one, which sees every pixel, takes
#: four fifths of the time of a step; the coarse one and the encoder are therefore wide for their size. It is also given
#: what lies close to a click, and its last answer: :func:`~napari_scribseg.prompting.network_input`.
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


@app.command("scribble-net")
def scribble_net(
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, weights, logs and pictures.")],
    data: Data = None,
    root: Root = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, with its settings and data.")
    ] = False,
    devices: Annotated[int, typer.Option(min=1, help="Training processes on each computer.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Computers.")] = 1,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that draw samples. Default: by the cores.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch on a CPU. Default: all cores.")] = None,
    start: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights to start from, with another --seed. Default: random.")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="What the network answers: scribbles (default), clicks, box, extreme-points; or none."),
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Samples in all. Default: a million.")] = None,
    cooldown: Annotated[
        float | None,
        typer.Option(
            help="Share of the samples, the last ones, over which the learning rate falls. Default: 1. With less, "
            "--resume takes another number of --samples as long as the rate has not begun to fall."
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples of a step. Default: 32.")] = None,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate. Default: 0.002.")] = None,
    corrections: Annotated[
        int | None, typer.Option(min=1, help="Most corrections in an iterative step. Default: 3.")
    ] = None,
    network: Annotated[str | None, typer.Option(help="plain-unet (default) or efficient-unet.")] = None,
    config: Annotated[str | None, typer.Option(metavar="JSON", help="Fields of the network's configuration.")] = None,
    validate: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="A source that only validates; may be repeated.")
    ] = None,
    validation_samples: Annotated[int | None, typer.Option(min=1, help="Of each such source. Default: 48.")] = None,
    size: Annotated[int | None, typer.Option(min=32, help="Side of a sample, in pixels. Default: 128.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto (default), float32 or bfloat16.")] = None,
    compile_: Annotated[bool, typer.Option("--compile", help="Let torch compile the network.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Of all that is drawn at random.")] = None,
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="Between two checkpoints.")] = 3.0,
    validation_minutes: Annotated[float, typer.Option(min=0, help="Between two validations.")] = 15.0,
    log_every: Annotated[int, typer.Option(min=1, help="Steps between two rows of the log.")] = 50,
    until: Annotated[int | None, typer.Option(min=1, help="Stop after this step; --resume goes on.")] = None,
) -> None:
    """Train a network that answers strokes; stops cleanly when interrupted, and goes on exactly there."""
    given = {
        "samples": samples, "cooldown": cooldown, "batch": batch, "rate": rate,
        "corrections": corrections, "architecture": network,
        "config": _config(config, network), "validation": tuple(validate) if validate else None, "seed": seed,
        "start": str(user_path(start).absolute()) if start else None, "prompt": prompt,
        "validation_samples": validation_samples, "size": size, "precision": precision, "compile": compile_ or None,
    }  # fmt: skip
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    machine = _machine(device, devices, nodes, workers, threads, checkpoint_minutes, validation_minutes, log_every)
    _run(out, chosen, machine, data, root, resume=resume, until=until)


@app.command("brs")
def brs(
    out: Annotated[Path, typer.Option(help="Folder of the run; its parts are called coarse and fine.")],
    data: Data = None,
    root: Root = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
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
    prompt: Annotated[str | None, typer.Option(help="clicks (default, as published) or scribbles.")] = None,
    coarse_samples: Annotated[int, typer.Option(min=1, help="Samples without the fine decoder.")] = 300_000,
    fine_samples: Annotated[int, typer.Option(min=1, help="Samples with it, after those.")] = 200_000,
    corrections: Annotated[
        int,
        typer.Option(
            min=0,
            help="Most corrections of an answer, in every other step. Default: none of clicks, as published; of "
            "scribbles as scribble-net.",
        ),
    ] = 0,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples of a step. Default: 32.")] = None,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate. Default: 0.002.")] = None,
    validate: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="A source that only validates; may be repeated.")
    ] = None,
    validation_samples: Annotated[int | None, typer.Option(min=1, help="Of each such source. Default: 48.")] = None,
    size: Annotated[int | None, typer.Option(min=32, help="Side of a sample, in pixels. Default: 128.")] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that draw samples.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch on a CPU. Default: all cores.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn at random.")] = 0,
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="Between two checkpoints.")] = 3.0,
    validation_minutes: Annotated[float, typer.Option(min=0, help="Between two validations.")] = 15.0,
    log_every: Annotated[int, typer.Option(min=1, help="Steps between two rows of the log.")] = 50,
) -> None:
    """Train the network of BRS in two stages: without its fine decoder, then with it."""
    if start is not None and encoder is not None:
        from napari_scribseg.core import InputError

        raise InputError(
            f"both --start {start} and --encoder {encoder} were given; weights to start from hold an encoder already, "
            "so one of the two is expected"
        )
    config: dict[str, Any] = {} if published else dict(LIGHT_BRS)
    given = {
        "architecture": "brs-net", "prompt": prompt or "clicks", "batch": batch, "rate": rate, "size": size,
        "validation": tuple(validate) if validate else None, "validation_samples": validation_samples,
        "encoder_rate": 0.01 if encoder else None,
    }  # fmt: skip
    if corrections:
        given |= {"corrections": corrections, "iterative": 0.5, "unchanged": 0.0, "single": 0.5}
    elif given["prompt"] == "clicks":
        given["iterative"] = 0.0
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    machine = _machine(device, 1, 1, workers, threads, checkpoint_minutes, validation_minutes, log_every)
    coarse, fine = out / "coarse", out / "fine"
    if start is None and not (fine / _SETTINGS).is_file():
        first: dict[str, Any] = {"config": {**config, "fine": False}, "samples": coarse_samples, "seed": seed}
        if encoder:
            from napari_scribseg.nets import fetch_encoder

            file = fetch_encoder() if str(encoder) == "download" else encoder
            first["encoder"] = str(user_path(file).absolute())
        _run(coarse, chosen | first, machine, data, root, resume=resume)
    second: dict[str, Any] = {"config": config, "samples": fine_samples, "seed": seed + 1}
    if start is None and coarse.is_dir():
        start, data = coarse / "weights.safetensors", [str(coarse / _PACK)]
    if start is not None:
        second["start"] = str(user_path(start).absolute())
    _run(fine, chosen | second, machine, data, root, resume=resume)


def _machine(
    device: Device, devices: int, nodes: int, workers: int | None, threads: int | None,
    checkpoint_minutes: float, validation_minutes: float, rows: int,
) -> Machine:  # fmt: skip
    from napari_scribseg.train.machine import Machine

    seconds = 60 * checkpoint_minutes, 60 * validation_minutes
    return Machine(device.value, devices, nodes, workers, threads, *seconds, rows)


def _run(
    out: Path,
    chosen: dict[str, Any],
    machine: Machine,
    data: list[str] | None,
    root: Path | None,
    *,
    resume: bool,
    until: int | None = None,
) -> None:
    """Begin a run with the chosen settings, or go on with the one in the folder."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads leave their cores to those that draw samples
    from napari_scribseg.train.loop import train
    from napari_scribseg.train.machine import make_fabric
    from napari_scribseg.train.pack import read_pack
    from napari_scribseg.train.settings import Settings

    stored = out / _SETTINGS
    going_on = resume and stored.is_file()
    settings = Settings.from_json(stored.read_text(encoding="utf-8"), str(stored)) if going_on else Settings(**chosen)
    fabric = make_fabric(machine, settings.precision)
    if fabric.is_global_zero:
        if going_on:
            settings = _with_samples(settings, chosen, out)
            _check_same(settings, chosen)
        else:
            _prepare(out, settings, data, root)
    fabric.launch()
    if not going_on or "samples" in chosen:
        settings = Settings.from_json(stored.read_text(encoding="utf-8"), str(stored))
    with _stop_requested() as stopped:
        result = train(settings, read_pack(out / _PACK), out, fabric, machine, until=until, stopped=stopped)
    if fabric.is_global_zero:
        typer.echo(out / "weights.safetensors")
        if not result.finished:
            log.info("stopped at step %d of %d; --resume goes on from there", result.step, settings.steps)
    if stopped():
        raise typer.Exit(_STOPPED)


def _config(text: str | None, network: str | None) -> dict[str, Any] | None:
    """The configuration given as JSON; none of the default network's where another one is asked for."""
    import json

    from napari_scribseg.core import InputError

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


def _with_samples(settings: Settings, given: dict[str, Any], out: Path) -> Settings:
    """The settings of a run that goes on, with another number of samples if it may still have one."""
    from napari_scribseg.core import InputError
    from napari_scribseg.io.atomic import write_files
    from napari_scribseg.train.checkpoint import latest, read_checkpoint
    from napari_scribseg.train.pack import writes

    changed = replace(settings, samples=given.get("samples", settings.samples))
    if changed.samples == settings.samples:
        return settings
    newest = latest(out / "checkpoints")
    done = read_checkpoint(newest).step * settings.batch if newest is not None else 0
    first = min(settings.falls_from, changed.falls_from)
    if done > first:
        raise InputError(
            f"samples is {changed.samples} where the run has {settings.samples}, of which {done} are done; its "
            f"learning rate falls from sample {first} on, and another number is expected before that"
        )
    write_files({out / _SETTINGS: writes(changed.to_json().encode())})
    return changed


def _check_same(settings: Settings, given: dict[str, Any]) -> None:
    """A run that goes on keeps its settings."""
    from napari_scribseg.core import InputError

    changed = [name for name in given if getattr(replace(settings, **given), name) != getattr(settings, name)]
    if changed:
        name = changed[0]
        raise InputError(
            f"{name} is {given[name]!r}, but the run has {getattr(settings, name)!r}; with --resume its own settings "
            "are expected"
        )


def _prepare(out: Path, settings: Settings, data: list[str] | None, root: Path | None) -> None:
    """The folder of a new run, with its data and settings."""
    from napari_scribseg.core import InputError
    from napari_scribseg.io.atomic import write_files
    from napari_scribseg.io.outputs import check_folder
    from napari_scribseg.train.loop import first_network
    from napari_scribseg.train.pack import read_pack, write_pack, writes

    if (out / _SETTINGS).exists():
        raise InputError(f"{out} holds a run; --resume, which goes on with it, or another folder is expected")
    packed = [name for name in data or () if Path(name).is_file()]
    own = {Path(name).resolve() for name in packed}
    names = ("weights.safetensors", "steps.csv", "validation.csv", *(_PACK,) * ((out / _PACK).resolve() not in own))
    check_folder(out, _SETTINGS, names)
    first_network(settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{out} cannot be made ({error.strerror}); a folder that can be written is expected"
        ) from error
    if packed and len(data or ()) > 1:
        raise InputError(f"{packed[0]} is given with other data; one packed file, or folders, are expected")
    source = read_pack(packed[0]) if packed else write_pack(out / _PACK, _data_sets(data, root))
    _check_sources(source, settings)
    if packed:
        write_files({out / _PACK: writes(source.path.read_bytes())})
    text = settings.to_json().encode()
    write_files({out / _SETTINGS: writes(text)})


def _check_sources(pack: Pack, settings: Settings) -> None:
    from napari_scribseg.core import InputError

    missing = sorted(set(settings.validation) - set(pack.sources))
    if missing:
        raise InputError(
            f"the data has no source {', '.join(missing)} to validate on; name some of {', '.join(pack.sources)} with "
            "--validate"
        )
    if not set(pack.sources) - set(settings.validation):
        raise InputError(f"every source of the data validates; others than {', '.join(pack.sources)} are expected")


def _data_sets(names: list[str] | None, root: Path | None) -> list[DataSet]:
    """The data sets to train on; those that may not be trained on are refused, or left out of a folder of many."""
    from napari_scribseg.core import InputError
    from napari_scribseg.datasets import built_in_data_sets, open_data_set, without_held_out

    built_in = {data_set.name: data_set for data_set in built_in_data_sets()}
    found: list[DataSet] = []
    for name in names or ():
        folder = user_path(name)
        inside = [n for n in built_in if (folder / n).is_dir()] if folder.is_dir() and name not in built_in else []
        if inside:
            found += [open_data_set(n, folder) for n in inside if built_in[n].trainable]
        elif folder.is_dir() and folder.resolve().name in built_in:
            found.append(open_data_set(folder.resolve().name, folder.resolve().parent))
        elif folder.is_dir() and folder.resolve().parent.name == "permissive_slices":
            slices = folder.resolve()
            found.append(open_data_set(f"permissive_slices/{slices.name}", slices.parents[1]))
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
    for data_set, rest in zip(found, kept, strict=True):
        if not rest.cases:
            raise InputError(
                f"no case of {data_set.name} is ever trained on, so that figures can be measured on it; other data is "
                "expected"
            )
    return kept


@contextmanager
def _stop_requested() -> Iterator[Callable[[], bool]]:
    """Whether the process was asked to end (SIGINT, SIGTERM); a second SIGINT ends it at once."""
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
