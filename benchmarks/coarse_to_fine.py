"""Sloppy outlines made masks by coarse-to-fine: ``python benchmarks/coarse_to_fine.py --out DIR [--data NAME ...]``.

One object of each image that shows a large one, made smaller to ``--size`` pixels along the longer side, is outlined
several times for each size of error, as in ``scribseg study --part sloppiness``. Printed for each variant: how well the
outlines and the results agree with one another (mean IoU of each pair) and with the truth, and processor seconds of the
fit with the first result, and of a further result. Finished results are kept in DIR; the same command resumes.
"""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import torch
from skimage.transform import resize

from napari_scribseg.bench.papers.findings import levels_of
from napari_scribseg.bench.papers.sloppiness import SloppyPlan, measure
from napari_scribseg.datasets import Case, DataSet, open_data_set, semantic, slices

_SMALLEST = 0.04  # of the image; what is smaller has too few cells, and is left out

VARIANTS = {
    "as published, thresholded": "coarse-to-fine:mask=thresholded,shapes=paper,sloppiness=0",
    "as published, mask predicted": "coarse-to-fine:shapes=paper,sloppiness=0",
    "and smooth shapes, sloppy": "coarse-to-fine:shapes=smooth",
    "and the image's regions (default)": "coarse-to-fine",
    "default, thresholded": "coarse-to-fine:mask=thresholded",
    "default, encoder": "coarse-to-fine:representation=encoder",
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--data", nargs="+", default=["coco_mval", "acdc_scribbles"], help="built-in data sets, or folders"
    )
    parser.add_argument("--cases", type=int, default=4, help="of each data set")
    parser.add_argument("--size", type=int, default=128, help="pixels along the longer side")
    parser.add_argument("--errors", type=float, nargs="+", default=[0.06, 0.12], help="in diameters of the object")
    parser.add_argument("--outlines", type=int, default=10, help="of an object, for each size of error")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    methods = {VARIANTS[name]: name for name in given.variants}
    data = tuple(_smaller(open_data_set(name), given.size) for name in given.data)
    plan = SloppyPlan(tuple(methods), data, given.cases, tuple(given.errors), given.outlines, device="cpu")
    rows = measure(plan, given.out, lambda done, total, what: print(f"{done} of {total}: {what}", flush=True))
    rows = [dataclasses.replace(row, data="all") for row in rows]
    names = ("variant", "error", "objects", "outlines agree", "results agree", "outlines' IoU", "results' IoU")
    print(f"\n| {' | '.join(names)} | fit, s | next, s |")
    print("|---" * 9 + "|")
    for _, level in levels_of(rows).iterrows():
        scores = ("drawn_agreement", "result_agreement", "drawn_iou", "result_iou")
        cells = [methods[level["method"]], f"{level['error']:.2f}", str(level["objects"])]
        cells += [f"{level[name]:.3f}" for name in scores]
        cells += [f"{level['first_seconds']:.1f}", f"{level['seconds']:.3f}"]
        print(f"| {' | '.join(cells)} |")


def _smaller(data: DataSet, size: int) -> DataSet:
    """The data set with every image, or the middle slice of a volume, made smaller, and all its objects as one."""
    return dataclasses.replace(data, name=f"{data.name}-{size}", read=partial(_read, data=data, size=size))


def _read(name: str, *, data: DataSet, size: int) -> Case:
    case = data.load(name)
    if case.truth.ndim == 3:
        with_objects = list(slices(case, smallest=100))
        case = with_objects[len(with_objects) // 2]
    if case.background is not None:
        case = semantic(dataclasses.replace(case, strokes=None))
    scale = min(size / max(case.truth.shape), 1)
    shape = tuple(round(n * scale) for n in case.truth.shape)
    rows, columns = (((np.arange(n) + 0.5) / scale).astype(np.intp) for n in shape)
    image = resize(case.image.astype(np.float32), shape, anti_aliasing=True, preserve_range=True)
    truth = case.truth[np.ix_(rows, columns)]
    if (truth > 0).mean() < _SMALLEST:
        truth = np.zeros_like(truth)
    return dataclasses.replace(case, image=image, truth=truth, strokes=None, spacing=(1.0, 1.0), name=name)


if __name__ == "__main__":
    main()
