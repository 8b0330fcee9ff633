"""Is this the image that the strokes were painted on? Checked in the background after a session was loaded."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from psygnal import SignalInstance

from napari_scribseg.annotate.segment import checksum
from napari_scribseg.annotate.snapshot import Snapshot
from napari_scribseg.core.engine import Report
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.kernel.jobs import Call, Jobs, ShutDownError

__all__ = ["Comparison"]

PATIENCE = 0.05  # seconds after which strokes that wait for the worker come first


class Comparison:
    """Compares a volume with the checksums of the slices that the engines of a session saw.

    Parameters
    ----------
    snapshot, volume : Snapshot, Source
        The session as it was saved, and the image it is going on with.
    jobs : Jobs
        Of the session that goes on; compares in its worker.
    hint : signal of one str
        Emitted where the image differs; a warning is given where nobody listens.
    stopped : callable
        Whether the comparison is of no use any more.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        volume: Source,
        jobs: Jobs[Any],
        hint: SignalInstance,
        *,
        stopped: Callable[[], bool],
    ) -> None:
        self._volume, self._jobs, self._hint, self._stopped = volume, jobs, hint, stopped
        self._patience = math.inf if jobs.is_inline else PATIENCE
        seen = {entry.slice_index: entry.recipe.checksum for entry in snapshot.entries if entry.recipe is not None}
        self._left = sorted(seen.items(), reverse=True)
        self._total = len(seen)
        self._differing: list[SliceIndex] = []
        self._spacing = snapshot.spacing

    def begin(self) -> None:
        """Go on with the slices that are left; in the owner's thread."""
        if self._stopped():
            return
        if not self._left:
            self._finish()
            return
        with contextlib.suppress(ShutDownError):
            self._jobs.queue(Call(self._some, lambda _none: self.begin()))

    def _some(self, _report: Report) -> None:
        """Compare for a while; in the worker, which alone touches the lists meanwhile."""
        end = time.monotonic() + self._patience
        while self._left:
            slice_index, expected = self._left.pop()
            if not self._same(slice_index, expected):
                self._differing.append(slice_index)
            if time.monotonic() > end:
                return

    def _same(self, slice_index: SliceIndex, expected: int) -> bool:
        try:
            return checksum(self._volume.image(slice_index)) == expected
        except Exception:  # noqa: BLE001  NaN, a lazy array that cannot be read: not the image of then
            return False

    def _finish(self) -> None:
        differences = []
        if self._differing:
            differences.append(
                f"it differs on {len(self._differing)} of the {self._total} slices that were segmented "
                f"(first {self._volume.where(self._differing[0])})"
            )
        now = self._volume.geometry.spacing
        if not np.allclose(now, self._spacing, rtol=1e-3):
            then, size = (" x ".join(f"{s:.4g}" for s in spacing) for spacing in (self._spacing, now))
            differences.append(f"its voxels measure {size} and measured {then}")
        text = f"this is not the image that the strokes were painted on: {'; '.join(differences)}"
        if differences and len(self._hint):
            self._hint.emit(text)
        elif differences:
            warnings.warn(text, UserWarning, stacklevel=2)
