import numpy as np
import pytest
import torch

from napari_scribseg.datasets import Case, DataSet
from napari_scribseg.train.pack import write_pack
from napari_scribseg.train.settings import Settings


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def discs(seed, *, colour=False, instances=False, unknown=False, side=72):
    """A picture of bright discs on a dark ground, and their labels."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((side, side + 8), dtype=np.int32)
    y, x = np.ogrid[:side, : side + 8]
    for k, (r, c) in enumerate(((22, 24), (48, 52)), start=1):
        truth[(y - r) ** 2 + (x - c) ** 2 < rng.integers(9, 15) ** 2] = k if instances else 1
    image = np.where(truth > 0, 190, 60) + rng.integers(-15, 16, truth.shape)
    if unknown:
        truth[:, :6] = -1
    image = image.astype(np.uint8)
    return (np.stack((image, image // 2, 255 - image), axis=-1) if colour else image), truth


@pytest.fixture(name="discs")
def discs_fixture():
    return discs


@pytest.fixture(name="data_set")
def data_set_fixture():
    return data_set


def data_set(name, count, licence="CC0", **look):
    def read(case):
        image, truth = discs(int(case.split()[-1]), **look)
        instances = look.get("instances", False)
        return Case(case, image, truth, (1.0, 1.0), group=case, source=name, instances=instances)

    return DataSet(name, name, licence, True, False, tuple(f"{name} {i}" for i in range(count)), read)


@pytest.fixture(scope="session")
def pack(tmp_path_factory):
    """Three sources: grey, colour, instances with an unknown border."""
    sets = [data_set("grey", 4), data_set("colour", 3, colour=True), data_set("cells", 3, instances=True, unknown=True)]
    return write_pack(tmp_path_factory.mktemp("pack") / "data.pack", sets)


@pytest.fixture
def tiny():
    """Settings of a run of a few steps of a very small network; arguments replace fields."""

    def make(**changes):
        values = {
            "config": {"channels": (6, 8)}, "samples": 64, "batch": 4, "size": 32, "warm_up": 8, "iterative": 0.5,
            "corrections": 1,
            "validation": ("cells",), "validation_samples": 3, "weights": {}, "rate": 5e-3,
        }  # fmt: skip
        return Settings(**{**values, **changes})

    return make
