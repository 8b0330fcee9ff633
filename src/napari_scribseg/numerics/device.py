"""The device that computes, and the number of threads. Loads torch only if it must."""

from __future__ import annotations

import ctypes.util
import os
import sys
from pathlib import Path

from napari_scribseg.core.errors import InputError

__all__ = ["DEVICES", "choose_device", "count_cuda_cards", "has_nvidia_driver", "n_threads"]

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(device: str = "auto") -> str:
    """The device to use.

    Parameters
    ----------
    device : str
        ``"cpu"``, ``"cuda"`` (``"cuda:1"`` for the second card), ``"mps"``, or ``"auto"``: CUDA where there is a card
        that torch can use, else the CPU.

    Returns
    -------
    str
        ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.

    Raises
    ------
    InputError
        If the name is unknown, or there is no such device.
    """
    kind, _, number = device.partition(":")
    if kind not in DEVICES or (number and not (kind == "cuda" and number.isdecimal())):
        raise InputError(f"the device {device!r} is unknown; expected one of {', '.join(DEVICES)}")
    if kind == "cpu":
        return "cpu"
    if kind == "auto":
        return "cuda" if has_nvidia_driver() and count_cuda_cards() else "cpu"
    if kind == "mps":
        if not _has_mps():
            raise InputError("the device 'mps' was asked for, but this computer has none; expected 'cpu' or 'auto'")
        return "mps"
    cards = count_cuda_cards()
    if int(number or 0) >= cards:
        found = f"{cards} CUDA devices were" if cards else "no CUDA device was"
        raise InputError(f"the device {device!r} was asked for, but {found} found; expected 'cpu' or 'auto'")
    return device


def n_threads() -> int:
    """Number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1


def has_nvidia_driver() -> bool:
    """Whether torch may find a CUDA device; machines without a card are spared the import."""
    if sys.platform == "linux":
        return (
            Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()
        )
    return ctypes.util.find_library("nvcuda") is not None


def count_cuda_cards() -> int:
    """Number of CUDA devices that torch can use; loads torch."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _has_mps() -> bool:
    import torch

    return torch.backends.mps.is_available()
