"""Time of brs and f-brs on one image: ``python benchmarks/brs.py [--threads 2]``.

A plain U-Net of about 1 million parameters with random weights, one channel, 256 x 256 pixels, and strokes that it can
hardly follow, so that all evaluations are spent. The tables hold medians. Of each engine, with the image prepared: the
time of the whole result, of the first preview (the network's prediction), and of the first correction that is shown. Of
the network: the time of a single evaluation as it is, with batch norm folded, and with channels last too. The processor
time of all threads together stands in brackets; other programs on the computer change it less. The last column is the
processor time of a result as a share of that of as many bare evaluations, which run between the results.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from napari_scribseg.core import Image, Scribbles
from napari_scribseg.engines.brs import BRS, FBRS
from napari_scribseg.nets import PlainUNet, PlainUNetConfig, fold_batch_norm, save_model

SIZE = 256
CHANNELS = {1: (16, 32, 64, 96, 128), 2: (20, 40, 72, 96, 128)}  # by patch: about 1 million parameters


def make_network(patch: int) -> PlainUNet:
    """Random weights that keep the size of what passes through, so that no gradient vanishes (denormals are slow)."""
    torch.manual_seed(0)
    net = PlainUNet(PlainUNetConfig(in_channels=1, channels=CHANNELS[patch], patch=patch))
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


def now() -> np.ndarray:
    """Clock and processor time, in milliseconds."""
    return 1e3 * np.asarray((time.perf_counter(), time.process_time()))


def medians_text(times: list[np.ndarray]) -> str:
    """Medians as text."""
    wall, processor = np.median(times, axis=0)
    return f"{wall:.0f} ({processor:.0f})"


def median_ms(call, repeats: int) -> str:
    """Median of some runs after one that does not count."""
    call()
    times = []
    for _ in range(repeats):
        start = now()
        call()
        times.append(now() - start)
    return medians_text(times)


def evaluation(net: torch.nn.Module, channels_last: bool):
    """A function that goes forward, and backward to the input."""
    x = torch.rand(1, 1, SIZE, SIZE)
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    net.requires_grad_(False)
    x.requires_grad_(True)
    return lambda: torch.autograd.grad(net(x).square().sum(), x)


def measure_engine(engine, image: Image, scribbles: Scribbles, repeats: int, bare) -> None:
    """Print the medians of an engine; ``bare`` evaluations run between its results."""
    state = engine.prepare(image, "cpu")
    totals, previews, corrections, bares, notes = [], [], [], [], ""
    for turn in range(repeats + 1):
        start, shown = now(), []

        def report(fraction, preview=None, *, start=start, shown=shown):
            if preview is not None:
                shown.append(now() - start)

        notes = engine.segment(image, scribbles, state, report).notes[0]
        if turn:  # the first does not count
            totals.append(now() - start)
            previews.append(shown[0])
            corrections.append(shown[1] if len(shown) > 1 else totals[-1])
            start = now()
            for _ in range(engine.evaluations):
                bare()
            bares.append(now() - start)
    ratio = np.median(totals, axis=0)[1] / np.median(bares, axis=0)[1]
    name = f"{engine.info.name} {getattr(engine, 'layer', '') or engine.precision}"
    print(
        f"| {name} | {' | '.join(map(medians_text, (totals, previews, corrections, bares)))} | {ratio:.2f} | {notes} |",
        flush=True,
    )


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--patch", type=int, default=1, choices=CHANNELS, help="2: no wide layers at full resolution")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    net = make_network(given.patch)
    print(f"{sum(p.numel() for p in net.parameters())} parameters, {SIZE} x {SIZE}, {given.threads} threads\n")
    print("| one evaluation | ms (processor) |\n|---|---|")
    folded = fold_batch_norm(net)
    for name, module, last in (("as it is", net, False), ("batch norm folded", folded, False)):
        print(f"| {name} | {median_ms(evaluation(module, last), given.repeats)} |")
    bare = evaluation(folded, True)
    print(f"| channels last too | {median_ms(bare, given.repeats)} |\n", flush=True)
    rng = np.random.default_rng(0)
    image = Image.from_array(rng.normal(0, 1, (SIZE, SIZE)), (1.0, 1.0))
    seeds = np.full((SIZE, SIZE), -1, dtype=np.int32)
    seeds[::3, ::3] = rng.integers(0, 2, seeds[::3, ::3].shape)
    with tempfile.TemporaryDirectory() as folder:
        path = str(save_model(Path(folder) / "net.safetensors", make_network(given.patch), {"prompt": "none"}))
        print("| engine | result, ms (processor) | first preview | first correction | bare | ratio | notes |")
        print("|---" * 7 + "|")
        engines = [
            BRS(model=path, seconds=60.0),
            BRS(model=path, seconds=60.0, precision="bfloat16"),
            *(FBRS(model=path, layer=k, seconds=60.0) for k in ("A", "B", "C")),
        ]
        for engine in engines:
            measure_engine(engine, image, Scribbles(seeds, 2), given.repeats, bare)


if __name__ == "__main__":
    main()
