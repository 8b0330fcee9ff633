"""Small data sets, tasks and methods for the tests of the benchmark."""

import dataclasses
import json
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image as Picture

from napari_scribseg.bench.columns import Row
from napari_scribseg.bench.methods import Method
from napari_scribseg.bench.results import BenchJob
from napari_scribseg.bench.tasks import BenchTask
from napari_scribseg.core import EngineInfo, Image, Segmentation, silent
from napari_scribseg.datasets import Case, DataSet


def _picture(seed=0, shape=(40, 44)):
    """A bright square (1) and a grey one (2) on a dark ground (0), with noise: image and truth."""
    truth = np.zeros(shape, np.int32)
    truth[8:24, 6:20] = 1
    truth[20:34, 26:40] = 2
    noise = np.random.default_rng(seed).normal(0, 5, shape)
    return np.clip(np.asarray([30, 210, 120])[truth] + noise, 0, 255).astype(np.uint8), truth


def _strokes(shape=(40, 44)):
    """Short strokes in each class of the picture; -1 where nothing is painted."""
    strokes = np.full(shape, -1, np.int32)
    strokes[3, 4:40], strokes[14, 9:16], strokes[27, 30:36] = 0, 1, 2
    return strokes


def _read(name, strokes, spacing):
    image, truth = _picture(int(name[1:]))
    drawn = _strokes() if strokes else None
    return Case(name, image, truth, spacing, group=name, strokes=drawn, unit="mm")


@pytest.fixture
def picture():
    return _picture


@pytest.fixture
def strokes():
    return _strokes


@pytest.fixture
def data_set():
    """Makes a data set of ``count`` pictures that worker processes cannot read."""

    def make(count=2, name="made", human=False, spacing=(1.0, 0.5)):
        names = tuple(f"p{i}" for i in range(count))
        read = partial(_read, strokes=human, spacing=spacing)
        return DataSet(name, "Two squares", "BSD-3-Clause", False, human, names, read)

    return make


@pytest.fixture
def folder(tmp_path):
    """Writes a folder of image and label pairs; those named in ``drawn`` get strokes."""

    def write(count=3, name="pairs", drawn=()):
        root = tmp_path / name
        for part in ("images", "labels", *(["scribbles"] if drawn else [])):
            (root / part).mkdir(parents=True)
        for i in range(count):
            image, truth = _picture(i)
            Picture.fromarray(image).save(root / "images" / f"p{i}.png")
            Picture.fromarray(truth.astype(np.uint8)).save(root / "labels" / f"p{i}.png")
            if i in drawn:
                painted = np.choose(_strokes() + 1, [0, 9, 1, 2]).astype(np.uint8)
                Picture.fromarray(painted).save(root / "scribbles" / f"p{i}.png")
        (root / "dataset.json").write_text(json.dumps({"background_stroke": 9}))
        return root

    return write


@pytest.fixture
def task():
    """The picture with three classes, or its first square against the rest."""

    def make(n_classes=3, human=False, spacing=(1.0, 1.0)):
        image, truth = _picture()
        truth = np.where(truth < n_classes, truth, 0).astype(np.int64)
        strokes = np.where(_strokes() < n_classes, _strokes(), -1).astype(np.int32) if human else None
        counted = tuple(range(1, n_classes))
        return BenchTask("p0", "g", Image.from_array(image, spacing), truth, n_classes, counted, strokes, "px")

    return make


@dataclass(frozen=True)
class Toy:
    """Gives the labels of ``think``, and notes each call in the list ``calls``."""

    think: object
    calls: list = dataclasses.field(default_factory=list)
    info: ClassVar[EngineInfo] = EngineInfo("toy", "Toy", "for tests")

    def prepare(self, image, device="auto"):
        self.calls.append(("prepare", device))
        return len(self.calls)

    def segment(self, image, scribbles, state, report=silent):
        self.calls.append(("segment", scribbles.seeds.copy(), state))
        labels = self.think(image, scribbles)
        if isinstance(labels, Segmentation):
            return labels
        probabilities = np.eye(scribbles.n_classes, dtype=np.float32)[labels]
        return Segmentation(np.moveaxis(probabilities, -1, 0), len(self.calls))


@dataclass(frozen=True)
class EagerToy(Toy):
    """As :class:`Toy`; strokes of one class are enough."""

    info: ClassVar[EngineInfo] = EngineInfo("eager", "Eager", "for tests", min_classes=1)


@pytest.fixture
def toy():
    def make(think, *, eager=False, name="toy"):
        return Method(name, (EagerToy if eager else Toy)(think), False)

    return make


@pytest.fixture
def job():
    return BenchJob("made", "p0", "strokes", "toy")


@pytest.fixture
def make_row():
    """A row with everything filled in; named values replace what is there."""

    def make(**values):
        row = Row(
            data="made", case="p0", protocol="clicks", method="toy", image="p0", group="g0", interaction=1, n_classes=2,
            stroke_pixels=10, dice=0.9, iou=0.8, hausdorff=5.0, hausdorff95=3.0, surface=1.0, unit="mm",
            seed_accuracy=1.0, prepare_seconds=0.5, seconds=0.25, peak_mib=12.0, failure="",
        )  # fmt: skip
        return dataclasses.replace(row, **values)

    return make


@pytest.fixture
def without_times():
    """Rows without what differs from run to run: times and memory."""

    def strip(rows):
        same = {"prepare_seconds": 0.0, "peak_mib": 0.0, "raw_seed_accuracy": 0.0, "gain": 0.0}
        kept = [
            dataclasses.replace(
                r,
                **same,
                seconds=float(np.isfinite(r.seconds)),
                error_auc=np.nan_to_num(r.error_auc, nan=-1.0),
                calibration_error=np.nan_to_num(r.calibration_error, nan=-1.0),
            )
            for r in rows
        ]
        return sorted(kept, key=lambda r: (r.job, r.image, r.interaction))

    return strip
