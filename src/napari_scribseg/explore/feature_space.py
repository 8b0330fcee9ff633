"""The feature space of segments: features, the metric learned on them, and their embedding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Report
from napari_scribseg.explore.embedding import add_to_embedding, fit_embedding
from napari_scribseg.explore.feature_cache import FeatureCache
from napari_scribseg.explore.segments import Segments
from napari_scribseg.explore.task import part
from napari_scribseg.explore.workspace_images import Picture

if TYPE_CHECKING:
    from napari_scribseg.explore.encoders import SegmentEncoder
    from napari_scribseg.explore.metric import Head
    from napari_scribseg.explore.tuning import Tuning

__all__ = ["Embedded", "FeatureSpace", "Learned", "Resources"]

_DESCRIBING = 0.6  # share of the time of an embedding that features take
_ADDED = 0.65  # and adding new segments to an embedding

Ids = NDArray[np.int64]
Float32 = NDArray[np.float32]
KeepFeatures = Callable[[Ids, Float32], object]


@dataclass(frozen=True, slots=True, eq=False)
class Resources:
    """With what features are computed; the same for all feature spaces of a workspace.

    Attributes
    ----------
    pictures : tuple of Picture
    device : str
        Where encoders run.
    cache : FeatureCache
    keep : callable
        Gets ids and features, shape (n, D), as soon as they are computed; in any thread.
    """

    pictures: tuple[Picture, ...]
    device: str
    cache: FeatureCache
    keep: KeepFeatures


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Positions in the embedding.

    Attributes
    ----------
    ids : ndarray of shape (n,), int64
    xy : ndarray of shape (n, 2), float32
    is_refit : bool
        Whether these are all segments.
    """

    ids: Ids
    xy: Float32
    is_refit: bool


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """Result of a round of learning.

    Attributes
    ----------
    space : FeatureSpace
    count : int
        Labelled segments that it learned from.
    features : ndarray of shape (n, D), float32, or None
        Of all segments, where the encoder was learned.
    embedded : Embedded
        All segments.
    """

    space: FeatureSpace
    count: int
    features: Float32 | None
    embedded: Embedded


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSpace:
    """An encoder, and what was learned on its features. A value: learning gives another one.

    Attributes
    ----------
    view, backbone : str
        Of the encoder, see :func:`~napari_scribseg.explore.encoders.make_encoder`.
    head : Head or None
        The learned metric.
    tuning : Tuning or None
        Learned weights of the encoder's network.
    rounds : int
        Of learning so far.
    """

    view: str = "maps"
    backbone: str = ""
    head: Head | None = None
    tuning: Tuning | None = None
    rounds: int = 0

    def encoder(self, device: str) -> SegmentEncoder:
        """The encoder.

        Raises
        ------
        InputError
            If the view or the device is unknown.
        """
        from napari_scribseg.explore.encoders import make_encoder

        return make_encoder(self.view, self.backbone, device, self.tuning)  # type: ignore[arg-type]

    def apply_metric(self, features: Float32) -> Float32:
        """Features after the learned metric, shape (n, D)."""
        return features if self.head is None else self.head(features)

    def describe(self, segments: Segments, resources: Resources, report: Report) -> Float32:
        """Features of segments, shape (n, D); computed where the table has none."""
        encoder = self.encoder(resources.device)
        features = segments.features
        missing = np.flatnonzero(~segments.described)
        images = np.unique(segments.image[missing]).tolist()
        for n, image in enumerate(images):
            report(n / len(images))
            at = missing[segments.image[missing] == image]
            progress = part(report, n / len(images), (n + 1) / len(images))
            rows = self._describe_image(encoder, image, segments, at, resources, progress)
            if features.shape[1] != rows.shape[1]:
                features = np.full((len(segments.ids), rows.shape[1]), np.nan, dtype=np.float32)
            features[at] = rows
            resources.keep(segments.ids[at], rows)
        if images:
            resources.cache.prune()
        return features

    def embed(self, segments: Segments, resources: Resources, report: Report, *, refit: bool) -> Embedded:
        """Describe segments, and embed those that are new, or all; see :meth:`Workspace.embed`."""
        features = self.describe(segments, resources, part(report, 0, _DESCRIBING))
        old, new = np.flatnonzero(segments.has_embedding), np.flatnonzero(~segments.has_embedding)
        if refit or not len(old):
            return self._refit(segments, features, segments.xy, resources, part(report, _DESCRIBING, 1))
        xy = segments.xy.copy()
        if len(new):
            added, embedded = self.apply_metric(features[new]), self.apply_metric(features[old])
            xy[new] = add_to_embedding(added, embedded, xy[old], part(report, _DESCRIBING, _ADDED))
            if len(new) > len(old):  # the embedding has to follow the new ones
                return self._refit(segments, features, xy, resources, part(report, _ADDED, 1))
        report(1.0)
        return Embedded(segments.ids[new], xy[new], is_refit=False)

    def learn(self, segments: Segments, resources: Resources, report: Report, *, backbone: bool) -> Learned:
        """Learn from the labelled segments and embed all again; see :meth:`Workspace.learn`."""
        features = self.describe(segments, resources, part(report, 0, 0.3))
        labelled = np.flatnonzero(segments.label > 0)
        learning = part(report, 0.3, 0.5)
        if backbone:
            space = self._learn_backbone(segments, features, labelled, resources, learning)
            bare = replace(segments, features=np.zeros((len(segments.ids), 0), dtype=np.float32))
            own = replace(resources, keep=lambda _ids, _rows: None)  # they belong to a space that may yet be cancelled
            features = space.describe(bare, own, part(report, 0.5, 0.7))
        else:
            from napari_scribseg.explore.metric import learn_head

            labels = segments.label[labelled]
            head = learn_head(features[labelled], labels, self.head, seed=self.rounds, report=learning)
            space = replace(self, head=head, rounds=self.rounds + 1)
        embedding = part(report, 0.7 if backbone else 0.5, 1)
        embedded = space._refit(segments, features, segments.xy, resources, embedding)
        return Learned(space, len(labelled), features if backbone else None, embedded)

    def _refit(
        self, segments: Segments, features: Float32, start: Float32, resources: Resources, report: Report
    ) -> Embedded:
        """Embed all segments, from where they are if all have a position."""
        warm = bool(np.isfinite(start[:, 0]).all())
        xy = fit_embedding(self.apply_metric(features), segments.label, start if warm else None, report=report)
        report(1.0)  # the last moment to cancel
        return Embedded(segments.ids, xy, is_refit=True)

    def _learn_backbone(
        self, segments: Segments, features: Float32, labelled: NDArray[np.intp], resources: Resources, report: Report
    ) -> FeatureSpace:
        from napari_scribseg.explore.tuning import learn_backbone

        encoder: Any = self.encoder(resources.device)
        labelled = labelled[np.argsort(segments.image[labelled], kind="stable")]
        images = np.unique(segments.image[labelled]).tolist()

        def samples(network: Any, report: Report) -> list[Any]:
            found = []
            for n, image in enumerate(images):
                report(n / len(images))
                regions = _regions(segments, image, labelled[segments.image[labelled] == image])
                found += encoder.samples(network, resources.pictures[image].data, regions)
            return found

        tuning, head = learn_backbone(
            (encoder.backbone, encoder.device, encoder.tuning),
            samples,
            features[labelled],
            segments.label[labelled],
            self.head,
            seed=self.rounds,
            report=report,
        )
        return replace(self, head=head, tuning=tuning, rounds=self.rounds + 1)

    def _describe_image(
        self,
        encoder: SegmentEncoder,
        image: int,
        segments: Segments,
        at: NDArray[np.intp],
        resources: Resources,
        report: Report,
    ) -> Float32:
        """Features of the segments at these positions, all of one image."""
        picture = resources.pictures[image]
        keys = [(int(a), *map(int, f)) for a, f in zip(segments.area[at], segments.fingerprint[at], strict=True)]
        cached = {} if self.tuning is not None else resources.cache.get(picture.digest, encoder.key)
        missing = [i for i, key in enumerate(keys) if key not in cached]
        if missing:
            rows = encoder.describe(picture.data, _regions(segments, image, at[missing]), report)
            report(1.0)
            cached |= {keys[i]: row for i, row in zip(missing, rows, strict=True)}
            if self.tuning is None:  # a learned network serves this workspace only
                resources.cache.put(picture.digest, encoder.key, cached)
        return np.stack([cached[key] for key in keys])


def _regions(segments: Segments, image: int, at: Sequence[int] | NDArray[np.intp]) -> NDArray[np.int32]:
    """Pixels of the segments at these positions: 0 to k - 1 in their order, -1 elsewhere; shape (H, W)."""
    found = segments.maps[image]
    assert found is not None
    lookup = np.full(int(found.max()) + 1, -1, dtype=np.int32)
    lookup[segments.ids[at]] = np.arange(len(at), dtype=np.int32)
    return lookup[found]
