"""Places of the segments in a plane, near one another where they look alike: UMAP."""

from __future__ import annotations

import re
import warnings
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Cancelled, Report, silent
from napari_scribseg.explore.needs import need
from napari_scribseg.explore.neighbours import nearest
from napari_scribseg.explore.placing import MIN_DISTANCE, NEIGHBOURS
from napari_scribseg.explore.progress import part

__all__ = ["fit_embedding"]

LOCAL_NEIGHBOURS, LOCAL_MIN_DISTANCE = 5, 0.1  # of a selection
TARGET_WEIGHT = 0.5  # classes and looks count alike
_FEWEST = 5  # points; fewer lie by their principal components
_EXTENT = 10.0  # half the side of what UMAP starts from
_SEARCHING = 0.2  # share of the time that the search of neighbours takes

Float32 = NDArray[np.float32]
_one_at_a_time = Lock()  # numba's simplest threading layer ends the process when two threads use it at once


def fit_embedding(
    features: Float32,
    labels: NDArray[np.int32],
    start: Float32 | None = None,
    *,
    local: bool = False,
    seed: int = 0,
    report: Report = silent,
) -> Float32:
    """Places by UMAP (McInnes et al. 2018), semi-supervised by the classes so far.

    Neighbours are found exactly, as products of matrices: up to tens of thousands of segments that is quicker than an
    index, which has to be compiled first.

    Parameters
    ----------
    features : ndarray of shape (n, D), float32
    labels : ndarray of shape (n,), int32
        Class of each; 0 for none.
    start : ndarray of shape (n, 2), float32, optional
        Places to start from, so that the plane stays recognisable.
    local : bool
        Keep the nearest neighbours together instead of the whole: for a selection.
    seed : int
        The same seed gives the same places.
    report : Report

    Returns
    -------
    ndarray of shape (n, 2), float32

    Raises
    ------
    InputError
        If umap-learn is not installed.
    Cancelled
        If ``report`` asked for it.
    """
    n = len(features)
    umap = need("umap")
    report(0.0)
    if n < _FEWEST or np.ptp(features, axis=0).max() == 0:
        return _principal(features)
    target = np.where(labels > 0, labels, -1) if (labels > 0).any() else None
    count = min(LOCAL_NEIGHBOURS if local else NEIGHBOURS, n - 1)
    model = umap.UMAP(
        n_neighbors=count,
        min_dist=LOCAL_MIN_DISTANCE if local else MIN_DISTANCE,
        target_weight=TARGET_WEIGHT,
        init=_principal(features) if start is None else _centred(start),
        random_state=seed,
        n_jobs=1,
        precomputed_knn=nearest(features, features, count, same=True, report=part(report, 0, _SEARCHING)),
        tqdm_kwds=_told(part(report, _SEARCHING, 1)),
    )
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about graphs in several parts, and about jobs
        model.fit(features, target)
    report(1.0)
    return np.asarray(model.embedding_, dtype=np.float32)


def _principal(features: Float32) -> Float32:
    """The two principal components, from -10 to 10; a line or a point where there are no two."""
    centred = features - features.mean(axis=0)
    xy = np.zeros((len(features), 2), dtype=np.float32)
    if len(features) > 1:
        covariance = centred.T @ centred
        vectors = np.linalg.eigh(covariance)[1][:, -2:]
        xy[:, : vectors.shape[1]] = centred @ vectors
    return _centred(xy)


def _centred(xy: Float32) -> Float32:
    """Around 0, within 10, and no two at the same point: UMAP cannot part those."""
    moved = xy - xy.mean(axis=0)
    moved *= _EXTENT / max(float(np.abs(moved).max(initial=0)), 1e-6)
    jitter = np.random.default_rng(0).normal(scale=1e-3, size=xy.shape)
    spread: Float32 = (moved + jitter).astype(np.float32)
    return spread


class _Listener:
    """A file for UMAP's progress bar that passes on what the bar says."""

    def __init__(self, report: Report) -> None:
        self._report, self._stopped = report, False

    def write(self, text: str) -> int:
        found = re.search(r"(\d+)/(\d+)", text)
        if found and not self._stopped:
            try:
                self._report(min(int(found[1]) / max(int(found[2]), 1), 1.0))
            except Cancelled:
                self._stopped = True  # the bar writes once more when it is closed
                raise
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def _told(report: Report) -> dict[str, Any]:
    # miniters: tqdm's watching thread leaves bars alone that write at every chance
    return {
        "file": _Listener(report),
        "disable": False,
        "bar_format": "{n_fmt}/{total_fmt}",
        "miniters": 1,
        "mininterval": 0.05,
    }
