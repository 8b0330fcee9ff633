"""What the segments of a workspace look like: features, the metric learned on them, and places in the plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report
from napari_scribseg.explore.cache import FeatureCache
from napari_scribseg.explore.embedding import fit_embedding
from napari_scribseg.explore.pictures import Picture
from napari_scribseg.explore.placing import add_to_embedding
from napari_scribseg.explore.progress import part
from napari_scribseg.explore.segments import SegmentTable
from napari_scribseg.explore.subprocesses import fit_embedding_in_subprocess
from napari_scribseg.explore.uncertainty import uncertainty

__all__ = ["FeatureSpace"]

_POLL = 0.1  # seconds between two looks at whether it was cancelled
_DESCRIBING = 0.6  # share of the time of an embedding that features take
_PLACED = 0.65  # and places among those of others

Ids = NDArray[np.int64]
Float32 = NDArray[np.float32]


class FeatureSpace:
    """Features, metric and plane of the segments of a table.

    Attributes
    ----------
    view, backbone : str
        Of the encoder, see :func:`~napari_scribseg.explore.encoders.make_encoder`.
    head : Head or None
        What was learned; None before that.
    tuning : Tuning or None
        What was learned of the encoder's network.
    """

    def __init__(
        self,
        table: SegmentTable,
        pictures: Sequence[Picture],
        lock: RLock,
        device: str,
        cache: FeatureCache,
        *,
        subprocess: bool,
    ) -> None:
        self.table, self.pictures, self.device, self.cache = table, pictures, device, cache
        self.view, self.backbone = "maps", ""
        self._fit_embedding = fit_embedding_in_subprocess if subprocess else fit_embedding
        self.head: Any = None
        self.tuning: Any = None
        self.rounds = 0  # of learning
        self._lock = lock
        self._work = RLock()  # one long computation at a time
        self._digests: dict[int, str] = {}

    def use(self, view: str, backbone: str) -> None:
        """Choose an encoder; what other ones said is forgotten.

        Raises
        ------
        InputError
            If the view or the device is unknown.
        """
        from napari_scribseg.explore.encoders import make_encoder

        make_encoder(view, backbone, self.device)  # type: ignore[arg-type]
        if (view, backbone) == (self.view, self.backbone):
            return
        with self._lock:
            self.view, self.backbone = view, backbone
            self.head = self.tuning = None
            self.table.features = np.zeros((len(self.table.image), 0), dtype=np.float32)
            self.table.has_embedding[:] = False

    def embed(self, *, refit: bool, report: Report) -> Ids:
        """Describe and place what is not yet; the ids placed. See :meth:`Workspace.embed`."""
        with self._alone(report):
            with self._lock:
                ids = self.table.ids()
            if not len(ids):
                raise InputError("there are no segments to embed; cut the images first")
            self._describe(ids, part(report, 0, _DESCRIBING))
            ids = ids[self.table.described(ids)]  # but for those that were cut away meanwhile
            has_embedding = self.table.has_embedding[ids]
            new = ids[~has_embedding]
            if refit or not has_embedding.any():
                new = ids
                self._fit(ids, part(report, _DESCRIBING, 1))
            elif len(new):
                old, xy = ids[has_embedding], self.table.xy[ids[has_embedding]]
                found = add_to_embedding(self.learned(new), self.learned(old), xy, part(report, _DESCRIBING, _PLACED))
                report(_PLACED)
                self._place(new, found)
                if len(new) > len(old):  # the plane is theirs more than that of the others
                    new = ids
                    self._fit(ids, part(report, _PLACED, 1))
            report(1.0)
            return new

    def learn(self, report: Report, *, backbone: bool) -> int:
        """Learn from the classes and place all anew; the number of labelled segments. See :meth:`Workspace.learn`."""
        with self._alone(report):
            with self._lock:
                ids = self.table.ids()
            self._describe(ids, part(report, 0, 0.3))
            ids = ids[self.table.described(ids)]
            labels = self.table.label[ids].copy()
            known, labels = ids[labels > 0], labels[labels > 0]
            former = self.head, self.tuning, self.table.features
            try:
                told = part(report, 0.3, 0.5)
                if backbone:
                    self._learn_backbone(known, labels, told)
                    self._describe(ids, part(report, 0.5, 0.7))
                else:
                    self._learn_head(known, labels, told)
                self._fit(ids, part(report, 0.7 if backbone else 0.5, 1))
            except BaseException:
                with self._lock:
                    self.head, self.tuning, features = former  # what belongs together
                    self.table.restore_features(features)
                raise
            self.rounds += 1
            return len(known)

    @contextmanager
    def _alone(self, report: Report) -> Iterator[None]:
        """One long computation at a time; one that waits for another can be cancelled."""
        while not self._work.acquire(timeout=_POLL):
            report(0.0)
        try:
            yield
        finally:
            self._work.release()

    def _learn_head(self, known: Ids, labels: NDArray[np.int32], report: Report) -> None:
        from napari_scribseg.explore.metric import learn_head

        features = self.table.features[known]
        self.head = learn_head(features, labels, self.head, seed=self.rounds, report=report)

    def _learn_backbone(self, known: Ids, labels: NDArray[np.int32], report: Report) -> None:
        from napari_scribseg.explore.encoders import make_encoder
        from napari_scribseg.explore.tuning import learn_backbone

        encoder: Any = make_encoder(self.view, self.backbone, self.device, self.tuning)  # type: ignore[arg-type]
        order = np.argsort(self.table.image[known], kind="stable")
        known, labels = known[order], labels[order]
        images = np.unique(self.table.image[known]).tolist()

        def samples(network: Any, report: Report) -> list[Any]:
            found = []
            for n, image in enumerate(images):
                report(n / len(images))
                regions = self._regions(image, known[self.table.image[known] == image])
                found += encoder.samples(network, self.pictures[image].data, regions)
            return found

        which = encoder.backbone, encoder.device, encoder.tuning
        features = self.table.features[known]
        tuning, head = learn_backbone(which, samples, features, labels, self.head, seed=self.rounds, report=report)
        with self._lock:
            self.tuning, self.head = tuning, head
            self.table.features = np.full_like(self.table.features, np.nan)

    def _regions(self, image: int, ids: Ids) -> NDArray[np.int32]:
        """Where segments lie in an image: 0 to k - 1 in their order, -1 for the others; shape (H, W)."""
        with self._lock:
            lookup = np.full(len(self.table), -1, dtype=np.int32)
            lookup[ids] = np.arange(len(ids), dtype=np.int32)
            found = self.table.maps[image]
            return np.full((1, 1), -1, np.int32) if found is None else lookup[found]

    def local(self, ids: Ids, report: Report) -> Float32:
        """Places of a selection among themselves, shape (n, 2)."""
        self._require(ids)
        return self._fit_embedding(self.learned(ids), self.table.label[ids], local=True, report=report)

    def uncertainty(self, ids: Ids) -> Float32:
        """How uncertain the class of each segment is, 0 to 1; 1 without features."""
        described = self.table.described(ids)
        found = np.ones(len(ids), dtype=np.float32)
        alive = self.table.ids()
        known = alive[(self.table.label[alive] > 0) & self.table.described(alive)]
        if described.any():
            found[described] = uncertainty(self.learned(ids[described]), self.learned(known), self.table.label[known])
        return found

    def learned(self, ids: Ids) -> Float32:
        """Features after what was learned, shape (n, D)."""
        features = self.table.features[ids]
        learned: Float32 = features if self.head is None else self.head(features)
        return learned

    def _require(self, ids: Ids) -> None:
        missing = int((~self.table.described(ids)).sum())
        if missing:
            raise InputError(f"{missing} of the {len(ids)} segments have no features yet; embed first")

    def _fit(self, ids: Ids, report: Report) -> None:
        start = self.table.xy[ids]
        known = ~np.isnan(start[:, 0])
        warm = bool(known.all())
        xy = self._fit_embedding(
            self.learned(ids), self.table.label[ids].copy(), start if warm else None, report=report
        )
        report(1.0)  # the last moment to be cancelled
        with self._lock:
            self.table.has_embedding[:] = False
        self._place(ids, xy)

    def _place(self, ids: Ids, xy: Float32) -> None:
        with self._lock:
            self.table.xy[ids] = xy
            self.table.has_embedding[ids] = True

    def _describe(self, ids: Ids, report: Report) -> None:
        from napari_scribseg.explore.encoders import make_encoder

        encoder = make_encoder(self.view, self.backbone, self.device, self.tuning)  # type: ignore[arg-type]
        missing = ids[~self.table.described(ids)]
        images = np.unique(self.table.image[missing]).tolist()
        for n, image in enumerate(images):
            report(n / len(images))
            self._describe_image(
                encoder,
                int(image),
                missing[self.table.image[missing] == image],
                part(report, n / len(images), (n + 1) / len(images)),
            )
        if images:
            self.cache.prune()

    def _describe_image(self, encoder: Any, image: int, ids: Ids, report: Report) -> None:
        if image not in self._digests:
            self._digests[image] = self.pictures[image].digest
        digest = self._digests[image]
        keys = [(int(a), *map(int, p)) for a, p in zip(self.table.area[ids], self.table.fingerprint[ids], strict=True)]
        kept = {} if self.tuning is not None else self.cache.get(digest, encoder.key)
        unknown = np.array([i for i, key in enumerate(keys) if key not in kept], dtype=np.int64)
        if len(unknown):
            regions = self._regions(image, ids[unknown])
            present = np.unique(regions[regions >= 0])  # what was cut away meanwhile is not described
            compact = np.full(len(unknown) + 1, -1, dtype=np.int32)
            compact[present] = np.arange(len(present), dtype=np.int32)
            if not len(present):
                return
            rows = encoder.describe(self.pictures[image].data, compact[regions], report)
            report(1.0)
            kept |= {keys[unknown[i]]: row for i, row in zip(present, rows, strict=True)}
            if self.tuning is None:  # a network that was learned is of use to this workspace only
                self.cache.put(digest, encoder.key, kept)
        there = [i for i, key in enumerate(keys) if key in kept]
        with self._lock:
            self.table.set_features(ids[there], np.stack([kept[keys[i]] for i in there]))
