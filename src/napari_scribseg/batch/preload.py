"""What dask calls in each worker process of this machine when it starts."""

from __future__ import annotations

import signal
from typing import Any

__all__ = ["dask_setup"]


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that started the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
