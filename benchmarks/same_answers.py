"""Whether two versions of the code give the same results, bit for bit, on 20 real images.

Three steps::

    python benchmarks/same_answers.py question question.npz             # once: crops of images, and strokes
    python benchmarks/same_answers.py answer question.npz before.npz    # with each version of the code
    python benchmarks/same_answers.py compare before.npz after.npz

The images are photographs, MR, CT and microscopy from the folder in ``SCRIBSEG_DATA``. Each has first strokes of all
classes, and a correction: one stroke more, where the first ones are far away. Strokes are drawn once and stored, so
that a version that simulates strokes in another way gets the same ones. Every engine segments with both, the second
time from the state of the first. Compared are these results, the first preview of a live engine, and the arrays and
geometry that ``Image.read`` returns. Only ``Image``, ``Scribbles`` and ``get_engine`` are used, so that the file runs
with older versions as it is; ``PYTHONPATH`` chooses the version. ``answer --only svcd brs`` runs some engines only.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from skimage import graph, io, measure

from napari_scribseg import Image, Scribbles, get_engine

SIDE = 256  # most pixels along a side of a crop
MOST = 3  # classes besides the background
SOURCES = {  # name: image and label, each a file and, of a volume or an .npz, what to take from it
    "photograph-airplane": ("coco_mval/img/airplane00_000000281693.jpg", "coco_mval/gt/airplane00_000000281693.png"),
    "photograph-bench": ("coco_mval/img/bench00_000000322829.jpg", "coco_mval/gt/bench00_000000322829.png"),
    "photograph-couch": ("coco_mval/img/couch00_000000338901.jpg", "coco_mval/gt/couch00_000000338901.png"),
    "photograph-sheep": ("coco_mval/img/sheep00_000000559956.jpg", "coco_mval/gt/sheep00_000000559956.png"),
    "photograph-suitcase": ("coco_mval/img/suitcase00_000000475678.jpg", "coco_mval/gt/suitcase00_000000475678.png"),
    "mr-heart-acdc": ("acdc_scribbles/patient005_frame01.npz:image", "acdc_scribbles/patient005_frame01.npz:label"),
    "mr-hippocampus": (
        "msd_hippocampus/imagesTr/hippocampus_001.nii.gz",
        "msd_hippocampus/labelsTr/hippocampus_001.nii.gz",
    ),
    "mr-heart-hvsmr2": (
        "permissive_slices/mr_heart_hvsmr2/10000_121_image.png",
        "permissive_slices/mr_heart_hvsmr2/10000_121_label.png",
    ),
    "mr-brain": (
        "permissive_slices/mr_mni152_tissue/a101_image.png",
        "permissive_slices/mr_mni152_tissue/a101_label.png",
    ),
    "mr-organs": ("totalsegmentator/example_mr_sm.nii.gz", "totalsegmentator/example_seg_mr.nii.gz"),
    "ct-organs": ("totalsegmentator/example_ct.nii.gz", "totalsegmentator/example_seg.nii.gz"),
    "ct-spleen": (
        "permissive_slices/ct_spleen_msd/10003_spleen_26_image.png",
        "permissive_slices/ct_spleen_msd/10003_spleen_26_label.png",
    ),
    "ct-heart": (
        "permissive_slices/ct_heart_alcapa/101012_image.png",
        "permissive_slices/ct_heart_alcapa/101012_label.png",
    ),
    "ct-liver": ("dcmqi_ct_dicom/02.dcm", "dcmqi_ct_dicom/liver_seg.nrrd"),
    "ct-cervix": (
        "medscribble_dev/BTCV__Cervix__5176452-Image_axis1_maxslice.npz:img",
        "medscribble_dev/BTCV__Cervix__5176452-Image_axis1_maxslice.npz:seg",
    ),
    "microscopy-nuclei": ("dsb2018_nuclei/images/003cee89357d9fe1.png", "dsb2018_nuclei/labels/003cee89357d9fe1.png"),
    "microscopy-phase": ("usiigaci_phase/set10_image.png", "usiigaci_phase/set10_label.png"),
    "microscopy-axons": (
        "axondeepseg_sem/sub-rat1_sample-data1_SEM.png",
        "axondeepseg_sem/sub-rat1_sample-data1_SEM_seg-axonmyelin-manual.png",
    ),
    "microscopy-drosophila": (
        "permissive_slices/fm_drosophila_disc/img_12_image.png",
        "permissive_slices/fm_drosophila_disc/img_12_label.png",
    ),
    "microscopy-histology": (
        "permissive_slices/histo_breast_bcss/1008_01_image.png",
        "permissive_slices/histo_breast_bcss/1008_01_label.png",
    ),
}
INSTANCES = ("microscopy-nuclei", "microscopy-phase", "microscopy-axons")  # all labels are one class
ENGINES = {  # name: parameters; no time may end a fit, and the slow ones take fewer steps
    "svcd": {},
    "scribble-net": {},
    "brs": {"seconds": 3600.0},
    "f-brs": {"seconds": 3600.0},
    "pwn": {},
    "cnn": {},
    "cnn-reg": {"steps": 30},
    "unet-single": {"steps": 20},
    "coarse-to-fine": {"samples": 60, "epochs": 1},
    "finetune": {"steps": 10},
}


# the question


def make_question(root: Path, out: Path) -> None:
    """Write crops and strokes of all images."""
    arrays = {}
    for name, (image_name, label_name) in SOURCES.items():
        picture, labels = _section(root, image_name, label_name)
        if name in INSTANCES:
            labels = (labels > 0).astype(np.uint8)
        picture, labels = _crop(picture, labels)
        first = np.zeros(labels.shape, np.uint8)
        for label in np.unique(labels):
            first[_stroke(labels == label, 60)] = label + 1
        more = first.copy()
        away = np.minimum(ndimage.distance_transform_edt(first == 0), _depth(labels))
        away[labels > 0] *= 3  # rather in an object
        start = np.unravel_index(np.argmax(away), away.shape)
        more[_stroke(labels == labels[start], 15, start) & (first == 0)] = labels[start] + 1
        arrays |= {f"{name} image": picture, f"{name} first": first, f"{name} correction": more}
        print(f"{name}: {picture.shape} {picture.dtype}, stroke pixels {np.bincount(first.ravel()).tolist()[1:]}")
    np.savez_compressed(out, **arrays)


def _section(root: Path, image_name: str, label_name: str) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W) or (H, W, C) and its labels; of a volume the slice with most classes, then most of them."""
    image, labels = _read(root / image_name), _read(root / label_name).astype(np.int64)
    if label_name.endswith(".nrrd"):
        labels = labels[1]  # of three slices, the one of the image
    elif labels.ndim == 3:
        z = max(range(len(labels)), key=lambda i: (min(len(np.unique(labels[i])), MOST + 1), (labels[i] > 0).sum()))
        image, labels = image[z], labels[z]
    image = image[0] if image.ndim == 3 and image.shape[0] == 1 else image
    return image, labels[..., 0] if labels.ndim == 3 else labels


def _read(path: Path) -> np.ndarray:
    name, _, key = path.name.partition(":")
    file = path.with_name(name)
    if key:
        with np.load(file) as archive:
            return archive[key]
    if file.suffix in (".png", ".jpg"):
        return io.imread(file)
    data = Image.read(file).data
    return data[0] if len(data) == 1 else np.moveaxis(data, 0, -1)


def _crop(picture: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A crop around the largest object, with 0 for the background and 1, 2, 3 for its largest classes."""
    objects = measure.label(labels > 0)
    centre = measure.regionprops(np.int32(objects == np.bincount(objects[objects > 0]).argmax()))[0].centroid
    window = []
    for middle, size in zip(centre, labels.shape, strict=True):
        start = max(0, min(int(middle) - SIDE // 2, size - SIDE))
        window.append(slice(start, start + SIDE))
    labels = labels[tuple(window)]
    found, counts = np.unique(labels[labels > 0], return_counts=True)
    numbered = np.zeros(labels.shape, np.uint8)
    for new, old in enumerate(found[np.argsort(-counts, kind="stable")[:MOST]], start=1):
        numbered[labels == old] = new
    return np.ascontiguousarray(picture[tuple(window)]), numbered


def _depth(labels: np.ndarray) -> np.ndarray:
    """Distance from the borders of the classes, and of the image."""
    inside = ndimage.maximum_filter(labels, 3) == ndimage.minimum_filter(labels, 3)
    return ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]


def _stroke(region: np.ndarray, length: int, start: tuple[int, ...] | None = None) -> np.ndarray:
    """A mask of a stroke inside the largest part of a region, or in the part with ``start``, along its middle."""
    parts = measure.label(region, connectivity=1)
    part = parts == (np.bincount(parts[parts > 0]).argmax() if start is None else parts[start])
    depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    if start is None:
        start = np.unravel_index(np.argmax(depth), depth.shape)
    paths = graph.MCP_Geometric(np.where(part, 1 / np.maximum(depth, 1), -1))
    costs, _ = paths.find_costs([start])
    end = np.unravel_index(np.argmax(np.where(np.isfinite(costs), costs, -1)), costs.shape)
    line = np.zeros(region.shape, bool)
    line[tuple(np.array(paths.traceback(end)[:length]).T)] = True
    return ndimage.binary_dilation(line, np.ones((3, 3))) & part if depth[line].max() > 4 else line


# the results


def segment_all(question: Path, out: Path, only: list[str] | None) -> None:
    """Segment every image with every engine and write the results; engines that the file holds are left out."""
    torch.set_num_threads(1)  # sums of other threads may differ in the last bit
    with np.load(question) as archive:
        inputs = {name: archive[name] for name in archive.files}
    present = set()
    if out.exists():
        with zipfile.ZipFile(out) as archive:
            present = {name.split("/")[0] for name in archive.namelist()}
    if "file" not in present:
        _append(out, {f"file/{name}/sha256": np.array(digest) for name, digest in _files().items()})
    for engine_name in ENGINES:
        if engine_name in present or (only and engine_name not in only):
            continue
        began = time.perf_counter()
        arrays: dict[str, np.ndarray] = {}
        for name in SOURCES:
            arrays |= _of_engine(engine_name, ENGINES[engine_name], name, inputs)
        _append(out, arrays)
        print(f"{engine_name}: {time.perf_counter() - began:.1f} s", flush=True)


def _append(out: Path, arrays: dict[str, np.ndarray]) -> None:
    """Add arrays to an .npz file."""
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _of_engine(
    engine_name: str, parameters: dict[str, object], name: str, inputs: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    engine = get_engine(engine_name, **parameters)
    image = Image.from_array(inputs[f"{name} image"], (1.0, 1.0))
    arrays: dict[str, np.ndarray] = {}
    state = engine.prepare(image, "cpu")
    for step in ("first", "correction"):
        previews: list[object] = []

        def report(fraction: float, preview: object = None, previews: list[object] = previews) -> None:
            if preview is not None and not previews:
                previews.append(preview)

        result = engine.segment(image, Scribbles.from_labels(inputs[f"{name} {step}"], background=1), state, report)
        state = result.state
        arrays |= _noted(f"{engine_name}/{name}/{step}", result)
        if engine.info.live and previews:
            arrays |= _noted(f"{engine_name}/{name}/{step} preview", previews[0])
    return arrays


def _noted(key: str, result) -> dict[str, np.ndarray]:
    labels, probabilities = result.labels.astype(np.uint8), np.ascontiguousarray(result.probabilities)
    digest = hashlib.sha256(f"{probabilities.dtype} {probabilities.shape}".encode() + probabilities.tobytes())
    return {
        f"{key}/labels": labels,
        f"{key}/labels sha256": np.array(hashlib.sha256(labels.tobytes()).hexdigest()),
        f"{key}/sha256": np.array(digest.hexdigest()),
        f"{key}/probabilities": probabilities.astype(np.float16),
    }


def _files() -> dict[str, str]:
    """Hash of what ``Image.read`` makes of each file, where the files are there."""
    root, found = os.environ.get("SCRIBSEG_DATA", ""), {}
    for pair in SOURCES.values():
        for name in pair:
            path = Path(root, name)
            if root and path.suffix != ".npz" and ":" not in name and path.exists():
                image = Image.read(path)
                digest = hashlib.sha256(f"{image.shape} {image.spacing} {image.affine}".encode() + image.data.tobytes())
                found[name] = digest.hexdigest()
    return found


# the comparison


def compare(before: Path, after: Path) -> int:
    """Print where two files of results differ; the number of differences."""
    with np.load(before) as one, np.load(after) as two:
        keys = [name.removesuffix("/sha256") for name in one.files if name.endswith("/sha256")]
        segmented = {name.split("/")[0] for name in two.files}
        for engine in dict.fromkeys(key.split("/")[0] for key in keys):
            if engine not in segmented:
                print(f"{engine}: not in {after}")
        keys = [key for key in keys if key.split("/")[0] in segmented]
        new = [name for name in two.files if name.endswith("/sha256") and name not in one.files]
        equal: dict[str, list[bool]] = {}
        for key in keys:
            same = f"{key}/sha256" in two.files and str(one[f"{key}/sha256"]) == str(two[f"{key}/sha256"])
            equal.setdefault(key.split("/")[0], []).append(same)
            if not same:
                print(f"{key}: {_difference(one, two, key)}")
    for engine, all_same in equal.items():
        print(f"{engine}: {sum(all_same)} of {len(all_same)} equal bit for bit")
    if new:
        print(f"{len(new)} results only in {after}")
    return sum(not same for found in equal.values() for same in found)


def _difference(one: np.lib.npyio.NpzFile, two: np.lib.npyio.NpzFile, key: str) -> str:
    if f"{key}/sha256" not in two.files:
        return "missing"
    if f"{key}/labels" not in one.files:
        return "read differently"
    labels, other = one[f"{key}/labels"], two[f"{key}/labels"]
    if labels.shape != other.shape:
        return f"labels of shape {labels.shape} and {other.shape}"
    p, q = one[f"{key}/probabilities"], two[f"{key}/probabilities"]
    if p.shape != q.shape:
        return f"probabilities of shape {p.shape} and {q.shape}"
    most = float(np.abs(p.astype(np.float32) - q).max())
    return f"{np.count_nonzero(labels != other)} of {labels.size} pixels, probabilities by up to {most:.2g}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    question = commands.add_parser("question", help="crop the images and draw the strokes, once")
    question.add_argument("question", type=Path)
    segmenting = commands.add_parser("answer", help="run the engines of the code that is imported")
    segmenting.add_argument("question", type=Path)
    segmenting.add_argument("results", type=Path)
    segmenting.add_argument("--only", nargs="+", choices=ENGINES, metavar="ENGINE")
    against = commands.add_parser("compare", help="print what differs; ends with 1 where something does")
    against.add_argument("before", type=Path)
    against.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "question":
        make_question(Path(os.environ["SCRIBSEG_DATA"]), arguments.question)
    elif arguments.command == "answer":
        segment_all(arguments.question, arguments.results, arguments.only)
    else:
        raise SystemExit(compare(arguments.before, arguments.after) > 0)


if __name__ == "__main__":
    main()
