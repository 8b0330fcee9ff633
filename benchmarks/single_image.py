"""Networks fitted to one image: what a fit costs, and how good it is on people's strokes, ``svcd`` in the same run.

``python benchmarks/single_image.py speed``: 512 x 512, 1000 stroke pixels, 4 labels; clock and processor time in
milliseconds of fit and prediction, of a further stroke, and of ``cnn`` trained on the whole image for as many steps.
``python benchmarks/single_image.py accuracy``: mean IoU over all classes on some images of ``graz_scribbles`` and
slices of ``acdc_scribbles`` (in ``SCRIBSEG_DATA``, by default ``../shared/data`` beside the checkout), and each
method's difference to ``svcd`` on the same images, with 95 % bootstrap intervals over photographs and patients.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from napari_scribseg import Image, Scribbles, get_engine
from napari_scribseg.bench.statistics import bootstrap_mean
from napari_scribseg.bench.tasks import BenchTask, evenly, tasks
from napari_scribseg.datasets import open_data_set
from napari_scribseg.engines.single_image.fit import by_graph
from napari_scribseg.engines.single_image.learners import PixelLearner
from napari_scribseg.engines.single_image.pixel_net import PixelNet
from napari_scribseg.engines.single_image.stroke_samples import StrokeSamples
from napari_scribseg.numerics.comparison import overlap

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
SIZE, LABELS = 512, 4
METHODS: dict[str, tuple[str, dict[str, object]]] = {
    "svcd": ("svcd", {}),
    "svcd, colour+semantic": ("svcd", {"features": "colour+semantic"}),
    "pwn, colour": ("pwn", {"inputs": "colour"}),
    "pwn, colour+position": ("pwn", {"inputs": "colour+position"}),
    "pwn, colour+semantic": ("pwn", {"inputs": "colour+semantic"}),
    "cnn, colour": ("cnn", {"inputs": "colour"}),
    "cnn, colour+position": ("cnn", {"inputs": "colour+position"}),
    "cnn, colour+semantic": ("cnn", {"inputs": "colour+semantic"}),
    "cnn-reg, colour+position": ("cnn-reg", {}),
    "finetune, encoder frozen": ("finetune", {}),
    "finetune, all but the last layer frozen": ("finetune", {"frozen": "all but the last layer"}),
    "unet-single, colour, 1 level": ("unet-single", {"levels": 1}),
}


def scene() -> tuple[Image, Scribbles, Scribbles]:
    """Four noisy stripes of colour, 250 stroke pixels in each; and the same with 50 more of one label."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(LABELS), SIZE // LABELS)[None].repeat(SIZE, 0)
    colours = rng.uniform(40, 210, (LABELS, 3))
    pixels = np.clip(colours[truth] + rng.normal(0, 25, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
    seeds = np.full((SIZE, SIZE), -1, dtype=np.int32)
    for k in range(LABELS):
        at = np.arange(125)
        column = k * SIZE // LABELS + 20 + at // 2
        for side in (0, 1):
            seeds[60 + 90 * k // 2 + at, column + side] = k
    more = seeds.copy()
    more[400:425, 40:42] = 0
    return Image.from_array(pixels, (1.0, 1.0)), Scribbles(seeds, LABELS), Scribbles(more, LABELS)


def timed(call, repeats: int) -> tuple[float, float]:
    """Medians of clock and processor time, in milliseconds, after one run that does not count."""
    call()
    rows = []
    for _ in range(repeats):
        start = np.asarray((time.perf_counter(), time.process_time()))
        call()
        rows.append(np.asarray((time.perf_counter(), time.process_time())) - start)
    wall, processor = 1e3 * np.median(rows, axis=0)
    return float(wall), float(processor)


def whole_image_step(repeats: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Times of one step of ``cnn`` on the whole image, and of one at the receptive fields of the strokes."""
    image, scribbles, _ = scene()
    engine = get_engine("cnn")
    channels = engine.prepare(image, "cpu").channels
    samples = StrokeSamples.of(scribbles, 0.0, 0)
    net = PixelNet(len(channels), LABELS, engine.width, engine.depth, engine.kernel, torch.Generator().manual_seed(0))
    learner = PixelLearner(net, channels, samples)
    targets = torch.from_numpy(scribbles.seeds.astype(np.int64))[None]
    optimizer = torch.optim.Adam(net.parameters(), lr=engine.rate, fused=True)

    def on_whole_image() -> torch.Tensor:
        return by_graph(net, lambda: functional.cross_entropy(net(channels[None]), targets, ignore_index=-1))

    def step(descend) -> None:
        descend()
        optimizer.step()

    whole = timed(lambda: step(on_whole_image), repeats)
    fields = timed(lambda: [step(learner.descend) for _ in range(20)], repeats)
    return whole, (fields[0] / 20, fields[1] / 20)


def speed(repeats: int) -> None:
    """Print the table of times."""
    image, first, more = scene()
    print(f"{int(first.counts.sum())} stroke pixels, medians of {repeats}; clock (processor) in ms\n")
    print("| engine | first strokes | a further stroke | steps |\n|---|---|---|---|")
    for name in ("pwn", "cnn", "cnn-reg"):
        engine = get_engine(name)
        state = engine.prepare(image, "cpu")
        cold = timed(lambda e=engine, s=state: e.segment(image, first, s), repeats)
        result = engine.segment(image, first, state)
        warm = timed(lambda e=engine, a=result: e.segment(image, more, a.state), repeats)
        steps = result.curve.steps[-1]
        print(f"| {name} | {cold[0]:.0f} ({cold[1]:.0f}) | {warm[0]:.0f} ({warm[1]:.0f}) | {steps} |", flush=True)
    whole, fields = whole_image_step(max(repeats // 2, 3))
    print(
        f"\none step of cnn: whole image {whole[0]:.0f} ({whole[1]:.0f}), receptive fields {fields[0]:.2f} "
        f"({fields[1]:.2f}): {whole[1] / fields[1]:.0f} times as much processor time"
    )


def chosen(name: str, cases: int, slices: int) -> list[BenchTask]:
    """The tasks of some cases of a data set, evenly chosen."""
    data = open_data_set(name, os.environ.get("SCRIBSEG_DATA", DEFAULT_DATA))
    return [t for case in evenly(list(data.cases), cases) for t in tasks(data.read(case), "human", most_slices=slices)]


def mean_iou(task: BenchTask, engine) -> float:
    """Over all classes, the background too, as in paper 000."""
    state = engine.prepare(task.image, "cpu")
    labels = engine.segment(task.image, Scribbles(task.strokes, task.n_classes), state).labels
    valid = task.truth >= 0
    scores = [overlap((labels == k) & valid, task.truth == k)[1] for k in range(task.n_classes)]
    return float(np.mean(scores))


def accuracy(cases: int, slices: int, only: list[str]) -> None:
    """Print the table of scores, a row as soon as it is measured."""
    sets = {name: chosen(name, cases, slices) for name in ("graz_scribbles", "acdc_scribbles")}
    heads = " | ".join(f"{name} ({len(t)}) | less svcd" for name, t in sets.items())
    print(f"| method | {heads} |\n|---|{'---|' * 2 * len(sets)}")
    base: dict[str, np.ndarray] = {}
    for method, (name, parameters) in METHODS.items():
        if only and method not in only and method != "svcd":
            continue
        cells = []
        for data, some in sets.items():
            scores = np.asarray([mean_iou(t, get_engine(name, **parameters)) for t in some])
            base.setdefault(data, scores)
            gap = bootstrap_mean(scores - base[data], [t.group for t in some])
            cells.append(f"{scores.mean():.3f} | {gap.mean:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})")
        print(f"| {method} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run one of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "accuracy"])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--cases", type=int, default=10, help="of each data set")
    parser.add_argument("--slices", type=int, default=1, help="of a volume")
    parser.add_argument("--only", nargs="*", default=[], help="methods, by the names of the table")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "speed":
        speed(given.repeats)
    else:
        accuracy(given.cases, given.slices, given.only)


if __name__ == "__main__":
    main()
