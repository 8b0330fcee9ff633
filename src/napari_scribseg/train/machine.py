"""Where a run computes, and how often it saves; the weights that one process on a CPU learns do not depend on it."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from napari_scribseg.core import InputError
from napari_scribseg.numerics.device import choose_device, n_threads

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Machine", "computes_bfloat16", "make_fabric"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a run computes.

    Attributes
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    devices, nodes : int
        Processes on each computer, and computers. Each process has its own device, or a share of the CPU.
    workers : int or None
        Processes that draw samples, for each training process; None chooses.
    threads : int or None
        Of torch, for each training process on a CPU; None chooses.
    checkpoint, validation : float
        Seconds between two checkpoints, and between two validations.
    rows : int
        Steps between two rows of the log.
    """

    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    workers: int | None = None
    threads: int | None = None
    checkpoint: float = 180.0
    validation: float = 900.0
    rows: int = 50

    def __post_init__(self) -> None:
        for name in ("devices", "nodes", "rows"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; a count of at least 1 is expected")
        if (self.workers or 0) < 0 or (self.threads is not None and self.threads < 1):
            raise InputError(f"workers and threads are {self.workers} and {self.threads}; at least 0 and 1 expected")
        if not (self.checkpoint >= 0 and self.validation >= 0):
            raise InputError(
                f"checkpoint and validation are {self.checkpoint} and {self.validation}; seconds of at least 0 expected"
            )

    @property
    def n_workers(self) -> int:
        """Processes that draw samples: by default a quarter of the cores beside a CPU, all but one beside a GPU."""
        if "fork" not in multiprocessing.get_all_start_methods():
            return self.workers or 0
        cores = n_threads() // self.devices
        share = max(cores // 4, 1) if self.kind == "cpu" else max(min(cores - 1, 16), 1)
        return share if self.workers is None else self.workers

    @property
    def n_threads(self) -> int:
        """Threads of torch."""
        return max(n_threads() // self.devices, 1) if self.threads is None else self.threads

    @property
    def kind(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return choose_device(self.device).partition(":")[0]


def computes_bfloat16(kind: str) -> bool:
    """Whether bfloat16 is faster than float32; on a CPU without its instructions it is many times slower."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return kind == "cpu" and any(bool(getattr(torch.cpu, name, lambda: False)()) for name in names)


def make_fabric(machine: Machine, precision: str) -> Fabric:
    """Lightning Fabric for a machine and one of the precisions of ``Settings``.

    Raises
    ------
    InputError
        If it is not installed, or there is no such device.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise InputError("training needs Lightning Fabric; pip install 'napari-scribseg[train]' brings it") from error
    half = computes_bfloat16(machine.kind) if precision == "auto" else precision == "bfloat16"
    options: dict[str, Any] = {"strategy": "ddp" if machine.devices * machine.nodes > 1 else "auto"}
    options["precision"] = "bf16-mixed" if half else "32-true"
    return Fabric(accelerator=machine.kind, devices=machine.devices, num_nodes=machine.nodes, **options)
