"""Checks in the background, after a session was loaded, that its strokes were painted on this image."""

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

__all__ = ["compare"]

PATIENCE = 0.05  # seconds after which the worker is free for strokes that wait for it


def compare(
    snapshot: Snapshot, volume: Source, jobs: Jobs[Any], hint: SignalInstance, *, stopped: Callable[[], bool]
) -> None:
    """Begin to compare a volume with the checksums of the slices that the engines of a session saw.

    Parameters
    ----------
    snapshot, volume : Snapshot, Source
        The session as it was saved, and the image that it continues with.
    jobs : Jobs
        Of the session; the comparison runs in its worker.
    hint : signal of one str
        Emitted where the image differs; a warning is given where nobody listens.
    stopped : callable
        Whether the session was closed.
    """
    patience = math.inf if jobs.is_inline else PATIENCE
    made = ((entry.slice_index, entry.recipe or entry.fill) for entry in snapshot.entries)
    seen = {slice_index: recipe.checksum for slice_index, recipe in made if recipe is not None}
    left = sorted(seen.items(), reverse=True)
    differing: list[SliceIndex] = []

    def work(_report: Report) -> None:
        """Compare for a while; in the worker, which alone touches the lists meanwhile."""
        end = time.monotonic() + patience
        while left:
            slice_index, expected = left.pop()
            if not _same(volume, slice_index, expected):
                differing.append(slice_index)
            if time.monotonic() > end:
                return

    def proceed(_none: object = None) -> None:
        """Continue with the slices that are left; in the owner's thread."""
        if left and not stopped():
            with contextlib.suppress(ShutDownError):
                jobs.queue(Call(work, proceed))
        elif not stopped():
            _report_differences(snapshot, volume, differing, len(seen), hint)

    proceed()


def _same(volume: Source, slice_index: SliceIndex, expected: int) -> bool:
    try:
        return checksum(volume.image(slice_index)) == expected
    except Exception:  # noqa: BLE001  NaN, a lazy array that cannot be read: another image
        return False


def _report_differences(
    snapshot: Snapshot, volume: Source, differing: list[SliceIndex], total: int, hint: SignalInstance
) -> None:
    differences = []
    if differing:
        differences.append(
            f"it differs on {len(differing)} of the {total} slices that were segmented "
            f"(first {volume.where(differing[0])})"
        )
    if not np.allclose(volume.geometry.spacing, snapshot.spacing, rtol=1e-3):
        then, now = (" x ".join(f"{s:.4g}" for s in spacing) for spacing in (snapshot.spacing, volume.geometry.spacing))
        differences.append(f"its voxels measure {now} and measured {then}")
    text = f"this is not the image that the strokes were painted on: {'; '.join(differences)}"
    if differences and len(hint):
        hint.emit(text)
    elif differences:
        warnings.warn(text, UserWarning, stacklevel=2)
