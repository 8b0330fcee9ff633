"""Tiny cohorts, and a network that knows them at once."""

from dataclasses import dataclass

import numpy as np
import pytest

from napari_scribseg.annotate.drafter import Draft
from napari_scribseg.bench.cohort.cohorts import open_cohort
from napari_scribseg.bench.cohort.judging import CohortRules
from napari_scribseg.bench.cohort.learning import Learned
from napari_scribseg.datasets import Case, DataSet
from napari_scribseg.learn import LearnSettings
from napari_scribseg.learn import learn as learn_from
from napari_scribseg.simulate import RobotUser, ScribbleStyle

SHAPE = (6, 24, 26)


def balls(name, shape=SHAPE):
    """A bright ball (3) and a grey one (7) in noise: a case named after its seed."""
    seed = int(name[1:])
    z, y, x = np.mgrid[tuple(map(slice, shape))]
    truth = np.zeros(shape, np.int32)
    truth[((z - 2.5) / 2.2) ** 2 + ((y - 8 - seed % 3) / 5) ** 2 + ((x - 8) / 5) ** 2 <= 1] = 3
    truth[((z - 2.5) / 2.2) ** 2 + ((y - 15) / 5) ** 2 + ((x - 18) / 5) ** 2 <= 1] = 7
    grey = np.asarray([30.0, 0, 0, 200, 0, 0, 0, 120])[truth]
    image = grey + np.random.default_rng(seed).normal(0, 4, shape)
    names = {0: "background", 3: "bright", 7: "grey"}
    return Case(name, image.astype(np.float32), truth, (2.0, 1.0, 1.0), group=name, names=names, unit="mm")


def nuclei(name):
    """An image of four nuclei, each an instance."""
    seed = int(name[1:])
    truth = np.zeros((32, 34), np.int32)
    for number, (row, column) in enumerate(((6, 6), (6, 24), (22, 8), (23, 25)), start=1):
        truth[row + seed % 2 : row + 6, column : column + 6] = number
    image = 20 + 150 * (truth > 0) + np.random.default_rng(seed).normal(0, 4, truth.shape)
    return Case(name, image.astype(np.float32), truth, (1.0, 1.0), group=name, instances=True)


def data_set(read, count, name="made"):
    return DataSet(name, "made", "BSD-3-Clause", False, False, tuple(f"c{i}" for i in range(count)), read)


@pytest.fixture
def volumes():
    """Makes a data set of volumes."""
    return lambda count=3, name="made": data_set(balls, count, name)


@pytest.fixture
def images():
    """Makes a data set of images with instances."""
    return lambda count=3, name="pictures": data_set(nuclei, count, name)


@pytest.fixture
def cohort(volumes):
    return lambda count=3: open_cohort(volumes(count))


@pytest.fixture
def rules():
    return CohortRules(RobotUser(style=ScribbleStyle(radius=0.5)), within=(2,), peer_steps=2, peer_cases=(2, 3))


@dataclass(frozen=True)
class Levels:
    """Takes each grey value for a class."""

    classes: object
    checksum = "levels"

    def draft(self, source, slices, report):
        for slice_index in slices:
            grey = np.asarray(source.image(slice_index).data[0])
            labels = np.where(grey > 160, 1, np.where(grey > 75, 2, 0)).astype(np.uint8)
            yield Draft(slice_index, labels, np.ones(labels.shape, np.float32))


@pytest.fixture
def levels():
    return Levels


@pytest.fixture
def learn():
    """Learns for two steps, and notes in ``calls`` how many examples it got, and what it went on from."""

    def short(examples, classes, last):
        short.calls.append((len(examples), None if last is None else last.examples))
        settings = LearnSettings(steps=2, again=1, batch=2)
        network = learn_from(examples, classes, start=None if last is None else last.network, settings=settings)
        return Learned(network, len(examples), 1.0)

    short.calls = []
    return short
