"""Train the network that fills between slices: ``python benchmarks/fill_net.py STEP FOLDER``, the steps in this order.

``hippocampus``: samples from spans of the volumes of ``msd_hippocampus``, without those held out and without the first
8 others, which are for choosing. Two slices, 2 to 8 apart on any axis, are the anchors; slices between are the truth.
``slices``: samples from single slices of ``permissive_slices``, mostly CT and MR. The slice is the truth; both anchors
are made from it by smooth displacements that grow with the distance, with noise and other brightness. ``train``: the
network, written to ``FOLDER/fill-net.safetensors``. A sample is 80 pixels near the blended border of one class.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from skimage.transform import resize
from torch import nn

from napari_scribseg.datasets import HELD_OUT, open_data_set
from napari_scribseg.nets import PixelNet, PixelNetConfig, save_model
from napari_scribseg.numerics.filling.features import UNIT, features, maps_of
from napari_scribseg.numerics.filling.motion import BAND, TAIL, WIDE, GreyScale, flows_from
from napari_scribseg.numerics.filling.shapes import borders, both_distances, box_around, signed_distances
from napari_scribseg.numerics.filling.sides import Side
from napari_scribseg.numerics.fused.flow import move

PIXEL = (1.0, 1.0)
TUNING = 8
PER_SAMPLE = 80
ONE_SIDED = 0.12
SIGNED = [0, 1, 2, 9, 13, 14, 15, 18, 19, 20, 23, 24, 25, 26, 27]  # features that an inverted image has inverted
OTHER_KINDS = ("fundus", "octa", "photo", "histo", "derm", "endo")
Sample = tuple[np.ndarray, np.ndarray]


def pixels(maps: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Sample | None:
    """Features and truth of some pixels near the blended border; None without any."""
    near = np.argwhere(np.abs(maps[5]) < 8 / UNIT)
    if len(near) == 0 or not np.isfinite(maps).all():
        return None
    y, x = near[rng.integers(0, len(near), PER_SAMPLE)].T
    return features(maps)[:, y, x].T, truth[y, x]


def from_hippocampi(rng: np.random.Generator) -> Iterator[Sample | None]:
    """Samples of one span after the other, without end."""
    data_set = open_data_set("msd_hippocampus")
    names = [name for name in data_set.cases if name not in HELD_OUT["msd_hippocampus"]][TUNING:]
    while True:
        for name in rng.permutation(names):
            case = data_set.read(str(name))
            for axis in rng.choice(3, 8, p=[0.4, 0.4, 0.2]):
                images = np.moveaxis(np.asarray(case.image, np.float32), axis, 0)
                truth = np.moveaxis(np.asarray(case.truth), axis, 0)
                at = np.flatnonzero((truth > 0).any(axis=(1, 2)))
                n = int(rng.integers(2, 9))
                first = max(int(rng.integers(at[0] - 2, max(at[-1] + 2 - n, at[0] - 1) + 1)), 0)
                if first + n < len(truth):
                    yield from span_samples(images[first : first + n + 1], truth[first : first + n + 1], rng)


def span_samples(images: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Iterator[Sample | None]:
    """Up to four slices between the first and the last, each of their classes against the others."""
    n = len(truth) - 1
    ends = np.ascontiguousarray(truth[0]), np.ascontiguousarray(truth[-1])
    box = box_around(*ends)
    if box is None:
        return
    scale = GreyScale.of([(ends[0], images[:1]), (ends[1], images[-1:])], box)
    grey = [scale.read(image[np.newaxis]) for image in images]
    ids = np.union1d(ends[0][box], ends[1][box])
    distances = both_distances(ends[0][box], ends[1][box], ids, PIXEL)
    anchors = [
        Side.of(own, np.searchsorted(ids, end[box]), grey[k], PIXEL)
        for own, end, k in zip(distances, ends, (0, n), strict=True)
    ]
    flows = flows_from(grey, lambda share: None)
    one_sided = rng.random() < ONE_SIDED
    for k in rng.choice(np.arange(1, n), min(4, n - 1), replace=False):
        sides = [anchor.moved(flow[k - 1].whole()) for anchor, flow in zip(anchors, flows, strict=True)]
        steps = [int(k), int(n - k)]
        if one_sided:
            sides, steps = sides[:1], steps[:1]
        for index, label in enumerate(ids):
            if label != 0 or rng.random() < 0.4:
                yield pixels(maps_of(sides, steps, grey[k], index), truth[k][box] == label, rng)


def noise(shape: tuple[int, ...], width: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of standard deviation 1, shape (..., H, W)."""
    values = ndimage.gaussian_filter(rng.normal(size=shape), (0,) * (len(shape) - 2) + (width, width))
    return (values / (values.std() + 1e-9)).astype(np.float32)


def from_slices(rng: np.random.Generator) -> Iterator[Sample | None]:
    """Samples of one slice after the other, ten of each, without end."""
    data_set = open_data_set("permissive_slices")
    names = [name for name in data_set.cases if not name.startswith(OTHER_KINDS)]
    medical = [name for name in names if name.startswith(("ct_", "mr_"))]
    while True:
        case = data_set.read(str(rng.choice(medical if rng.random() < 0.75 else names)))
        image = np.asarray(case.image, np.float32)
        image = image.mean(axis=-1) if image.ndim > 2 else image
        for _ in range(10):
            part = object_of(image, case.truth, rng)
            if part is not None:
                yield made_sample(*part, rng)


def object_of(image: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """A part of a slice, scaled so that an object has a side of 8 to 60 pixels, and the object; None without one."""
    ids = [k for k in np.unique(truth) if k > 0 and np.count_nonzero(truth == k) > 30]
    if not ids:
        return None
    mask = truth == rng.choice(ids)
    if rng.random() < 0.5:
        parts, count = ndimage.label(mask)
        mask = parts == rng.integers(1, count + 1)
        if np.count_nonzero(mask) < 30:
            return None
    scale = min(np.exp(rng.uniform(np.log(8), np.log(60))) / np.sqrt(np.count_nonzero(mask)), 2.0)
    around = int(60 / scale)
    box = tuple(slice(max(at.min() - around, 0), at.max() + around) for at in np.nonzero(mask))
    shape = tuple(max(int(side * scale), 8) for side in image[box].shape)
    if max(shape) > 400:
        return None
    image = resize(image[box], shape, order=1, anti_aliasing=True, preserve_range=True).astype(np.float32)
    mask = resize(mask[box].astype(np.float32), shape, order=1, anti_aliasing=True) > 0.5
    border = np.argwhere(borders(mask.astype(int)))
    if len(border) == 0:
        return None
    y, x = border[rng.integers(len(border))]
    window = slice(max(y - 52, 0), y + 52), slice(max(x - 52, 0), x + 52)
    image, mask = image[window], mask[window]
    return None if min(image.shape) < 24 or mask.all() or not mask.any() else (image, mask)


def made_sample(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> Sample | None:
    """A slice whose anchors are the slice itself, displaced."""
    near = ndimage.binary_dilation(borders(mask.astype(int)), iterations=BAND)
    low, high = np.percentile(image[near], [TAIL, 100 - TAIL])
    if high - low < 8:
        return None
    image = np.clip((image - low) / (high - low), *WIDE)
    distance = signed_distances(mask.astype(int), np.array([1]), PIXEL)[0]
    outward = np.stack(np.gradient(ndimage.gaussian_filter(distance, 1)))
    outward /= np.hypot(*outward) + 1e-6
    n = int(rng.integers(2, 11))
    k = int(rng.integers(1, n))
    rate, growth, grain = rng.uniform(0.1, 0.55), rng.uniform(0, 0.5), rng.uniform(0, 0.12)
    trend = noise(image.shape, rng.uniform(6, 20), rng) * rng.uniform(0, 1)  # grows from one anchor to the other
    sides = []
    for sign, steps in ((-1, k), (1, n - k)):
        flow = noise((2, *image.shape), rng.uniform(2, 12), rng) * rate * steps**0.7
        grown = noise(image.shape, rng.uniform(5, 20), rng) + sign * trend
        flow += outward * grown * growth * steps**0.8 * np.exp(-np.abs(distance) / 8)
        shown, moved = move(np.stack([image, distance]).astype(np.float32), flow.astype(np.float32))
        shown = shown + grain * noise(image.shape, rng.uniform(0.4, 1.2), rng)
        shown += rng.uniform(0, 0.15) * rng.random() * noise(image.shape, rng.uniform(5, 20), rng)
        shown = np.clip(shown * rng.uniform(0.9, 1.1) + rng.uniform(-0.05, 0.05), *WIDE).astype(np.float32)
        own = signed_distances((moved > 0).astype(int), np.array([0, 1]), PIXEL)
        sides.append(Side.of(own, (moved > 0).astype(np.intp), shown, PIXEL))
    seen = np.clip(image + grain * noise(image.shape, rng.uniform(0.4, 1.2), rng), *WIDE).astype(np.float32)
    one_sided = rng.random() < ONE_SIDED
    sides, steps = (sides[:1], [k]) if one_sided else (sides, [k, n - k])
    return pixels(maps_of(sides, steps, seen, 1), mask, rng)


def write_samples(path: Path, samples: Iterator[Sample | None], count: int) -> None:
    """The first so many samples, as one file."""
    start, found = time.perf_counter(), []
    for sample in samples:
        if sample is not None:
            found.append(sample)
            if len(found) % 1000 == 0:
                print(f"{path.stem}: {len(found)} after {time.perf_counter() - start:.0f} s", flush=True)
        if len(found) == count:
            break
    described, truth = (np.stack(part) for part in zip(*found, strict=True))
    np.savez(path, features=described.astype(np.float16), truth=truth)


def train(folder: Path, epochs: int, batch: int = 4096, rate: float = 3e-3) -> None:
    """Fit the network.

    Single slices, of many kinds, count twice; the features of every other sample are those of the inverted image.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    parts = [np.load(folder / f"{name}.npz") for name in ("hippocampus", "slices", "slices")]
    described = np.concatenate([part["features"] for part in parts]).astype(np.float32)
    truth = torch.from_numpy(np.concatenate([part["truth"] for part in parts]).astype(np.float32)).reshape(-1)
    described[1::2, :, SIGNED] *= -1
    x = torch.from_numpy(described.reshape(-1, described.shape[-1]))
    prior = UNIT * x[:, 5]
    model = PixelNet(PixelNetConfig())
    model.mean.copy_(x.mean(dim=0))
    model.scale.copy_(1 / (x.std(dim=0) + 1e-3))
    nn.init.zeros_(model.layers[-1].weight)
    steps = epochs * (len(x) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    for epoch in range(epochs):
        losses = []
        for chosen in torch.randperm(len(x)).split(batch)[: len(x) // batch]:
            logits = model(x[chosen]) + prior[chosen]
            loss = nn.functional.binary_cross_entropy_with_logits(logits, truth[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: {np.mean(losses):.4f}", flush=True)
    card = {
        "data": "msd_hippocampus (without the held-out volumes and 8 others), permissive_slices",
        "licences": "CC BY-SA 4.0 (Medical Segmentation Decathlon); permissive, of each source its own",
        "samples": " + ".join(str(len(part["truth"])) for part in parts[:2]),
        "epochs": str(epochs),
        "made by": "benchmarks/fill_net.py",
    }
    save_model(folder / "fill-net.safetensors", model, card)


def main() -> None:
    """Take one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["hippocampus", "slices", "train"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=12000)
    parser.add_argument("--epochs", type=int, default=15)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    if given.step == "train":
        train(given.folder, given.epochs)
    else:
        source = from_hippocampi if given.step == "hippocampus" else from_slices
        write_samples(given.folder / f"{given.step}.npz", source(rng), given.samples)


if __name__ == "__main__":
    main()
