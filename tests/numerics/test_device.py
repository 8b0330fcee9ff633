import threading
from itertools import pairwise

import pytest
import torch

from napari_scribseg.core import InputError
from napari_scribseg.numerics import device
from napari_scribseg.numerics.threads import band_edges, in_parallel


def test_cpu_and_auto_are_always_to_be_had():
    assert device.choose_device("cpu") == "cpu"
    assert device.choose_device("auto") in ("cpu", "cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this computer has a CUDA card")
def test_missing_cuda_is_one_clear_message():
    with pytest.raises(InputError, match="'cuda' was asked for, but no CUDA device was found") as caught:
        device.choose_device("cuda")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this computer has MPS")
def test_missing_mps_is_one_clear_message():
    with pytest.raises(InputError, match="'mps' was asked for"):
        device.choose_device("mps")


@pytest.mark.parametrize("name", ["quantum", "cuda:x", "cpu:1", ""])
def test_unknown_devices_are_refused(name):
    with pytest.raises(InputError, match="is unknown; expected one of auto, cpu, cuda, mps"):
        device.choose_device(name)


def test_auto_takes_a_card_where_torch_finds_one(monkeypatch):
    monkeypatch.setattr(device, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(device, "count_cuda_cards", lambda: 2)
    assert device.choose_device("auto") == "cuda"
    assert device.choose_device("cuda:1") == "cuda:1"
    with pytest.raises(InputError, match="2 CUDA devices were found"):
        device.choose_device("cuda:2")


def test_every_task_runs_once_whoever_calls():
    done = []
    callers = [threading.Thread(target=in_parallel, args=(done.append, 50)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(done) == sorted(list(range(50)) * 4)


def test_an_error_of_a_task_reaches_the_caller():
    def task(index):
        if index == 7:
            raise ValueError("seven")

    with pytest.raises(ValueError, match="seven"):
        in_parallel(task, 20)
    in_parallel(lambda _: None, 0)


def test_bands_cover_the_rows():
    for rows in (1, 31, 64, 1000):
        edges = band_edges(rows)
        assert edges[0] == 0
        assert edges[-1] == rows
        assert all(b > a for a, b in pairwise(edges))
