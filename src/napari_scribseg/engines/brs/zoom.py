"""Zoom-in: a network that takes strokes is shown a class in a crop, with its last prediction (Sofiuk et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from napari_scribseg.core import Scribbles
from napari_scribseg.engines.brs.corrected_query import CorrectedQuery, crop_logits
from napari_scribseg.engines.brs.parameters import RefinementParameters
from napari_scribseg.engines.brs.queries import ALL, Query
from napari_scribseg.engines.brs.state import BRSState, ZoomIn
from napari_scribseg.prompting.crops import MOST_GROWTHS, Box, Crop, first_box, fit_crops, grown, object_box
from napari_scribseg.prompting.predictions import ClassLogits, Strokes, merge_logits, widest

__all__ = ["Zoom", "next_crop"]

_ALIKE = 0.7  # intersection over union of two crops, above which the former is kept
_SIZE = 128  # pixels along a side of a crop; networks of this package were trained on it
_ENOUGH = 4  # dots on an object, from which on a network trained on whole images is shown it in a crop
_STRIDE = 32  # sides of crops are multiples of it


def next_crop(strokes: Box, dot: bool, former: ZoomIn | None, size: int, extent: tuple[float, float]) -> Crop:
    """The crop of a class: the former one, while it contains the strokes and fits the object.

    Parameters
    ----------
    strokes : Box
        Borders of the strokes on it.
    dot : bool
        Whether they are a single dot.
    former : ZoomIn or None
        That of the last result.
    size : int
        Pixels along a side, a multiple of 32.
    extent : tuple of 2 float
        Of the image.
    """
    box = None if former is None or former.prediction is None else former.prediction.box
    new = _crop_around(first_box(strokes, dot, box, extent), size, extent)
    if former is None or former.crop is None:
        return new
    seen = former.crop.box
    inside = seen[0] <= strokes[0] and seen[1] <= strokes[1] and seen[2] >= strokes[2] and seen[3] >= strokes[3]
    return former.crop if inside and _overlap(seen, new.box) > _ALIKE else new


def _crop_around(box: Box, size: int, extent: tuple[float, float]) -> Crop:
    """A square: networks of this package, trained on such, are less accurate where it is shortened."""
    return fit_crops([box], size, extent, shorten=False)[0]


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    sides = [max(min(one[i + 2], other[i + 2]) - max(one[i], other[i]), 0.0) for i in (0, 1)]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    common = sides[0] * sides[1]
    return common / (sum(areas) - common)


class Zoom:
    """The crops of the classes that a network predicts.

    Parameters
    ----------
    parameters : RefinementParameters
    state : BRSState
    scribbles : Scribbles
    """

    def __init__(self, parameters: RefinementParameters, state: BRSState, scribbles: Scribbles) -> None:
        self._parameters, self._state = parameters, state
        self._strokes = Strokes.of(scribbles.seeds)
        card = state.network.card
        self._own = card.takes_prompt_maps  # trained on crops: crops from the first stroke on
        self._size = _SIZE if self._own else -(-max(state.x.shape[2:]) // _STRIDE) * _STRIDE
        painted = [int(k) for k in np.flatnonzero(scribbles.counts)]
        alone = len(painted) < 2 or (scribbles.n_classes == 2 and card.prompt != "scribbles")
        self._wide = None if alone else widest(self._strokes, painted, scribbles.ids, state.grid)

    def begin(self, query: Query, former: ZoomIn | None, again: bool) -> tuple[CorrectedQuery, Tensor, int]:
        """The prediction before any further correction, and its number of wrong stroke pixels.

        A crop grows where the object leaves it. The former correction is the start where the crop is the same.

        Parameters
        ----------
        query : Query
        former : ZoomIn or None
            That of the last result.
        again : bool
            Whether the strokes are those of the last result.
        """
        crop, previous = self._first_crop(query, former, again)
        for turn in range(MOST_GROWTHS + 1):
            same = former is not None and former.crop == crop
            change = former.change if former is not None and same else None
            corrected = CorrectedQuery(self._parameters, self._state, query, crop, previous, change)
            fields, wrong = corrected.first()
            if crop is None or again or turn == MOST_GROWTHS:
                break
            larger = grown(crop_logits(fields, crop), self._state.grid.extent)
            if larger is None:
                break
            crop = _crop_around(larger, self._size, self._state.grid.extent)
        return corrected, fields, wrong

    def _first_crop(self, query: Query, former: ZoomIn | None, again: bool) -> tuple[Crop | None, ClassLogits | None]:
        """The first crop, and the earlier prediction that is an input there."""
        if former is not None and again:
            return former.crop, former.previous
        grid, key = self._state.grid, query.key
        wide = key == self._wide
        if not self._may_crop(query) or (not self._own and (wide or self._early(query, former))):
            return None, None
        previous = None if former is None or former.crop is None else former.prediction
        if wide:
            return _crop_around((0.0, 0.0, *grid.extent), self._size, grid.extent), previous
        box, dot = self._strokes.box(key, grid.pixel), self._strokes.n_dots(key, grid.pixel) == 1
        return next_crop(box, dot, former, self._size, grid.extent), previous

    def _early(self, query: Query, former: ZoomIn | None) -> bool:
        """Whether the object is too uncertain for a crop."""
        if former is None or former.prediction is None:
            return True
        n_dots = self._strokes.n_dots(query.key, self._state.grid.pixel)
        return n_dots is not None and n_dots < _ENOUGH

    def _may_crop(self, query: Query) -> bool:
        """Whether the network may be shown a part of the image."""
        return (
            self._parameters.zoom and bool(self._state.levels) and query.key != ALL and bool((query.targets == 1).any())
        )

    def zoom_in(self, query: Query, corrected: CorrectedQuery, fields: Tensor, change: Tensor) -> ZoomIn:
        """The crop, prediction and correction of a result, for the next one."""
        return ZoomIn(corrected.crop, corrected.previous, self._prediction(query, corrected, fields), change)

    def _prediction(self, query: Query, corrected: CorrectedQuery, fields: Tensor) -> ClassLogits | None:
        """The logits in the crop and the box of the object; None where the network always sees the whole image."""
        if not self._may_crop(query):
            return None
        grid, found = self._state.grid, (fields[1] > fields[0]).cpu().numpy()
        box = self._strokes.box(query.key, grid.pixel)
        if corrected.crop is not None:
            patch = crop_logits(fields, corrected.crop)
            return ClassLogits((patch,), object_box(box, corrected.crop, found, corrected.seeds == 1, grid.extent))
        rows, columns = grid.pixel
        at = (box[0] / rows, box[1] / columns, box[2] / rows, box[3] / columns)
        at = object_box(at, Crop(0.0, 0.0, 1.0, grid.shape), found, query.targets == 1, grid.shape)
        return ClassLogits((), (at[0] * rows, at[1] * columns, at[2] * rows, at[3] * columns))

    def odds(self, fields: Mapping[int, tuple[Query, CorrectedQuery, Tensor]]) -> dict[int, Tensor]:
        """Logarithms of the odds of the classes on the image's grid, from their separate predictions.

        Parameters
        ----------
        fields : mapping of int to tuple
            Query, solver and prediction, by the query's key.
        """
        crops = {k: self._prediction(q, s, f) for k, (q, s, f) in fields.items() if s.crop is not None}
        predictions = {k: p for k, p in crops.items() if p is not None}
        merged = merge_logits(predictions, self._state.grid, self._wide) if predictions else ()
        whole = {k: f[1] - f[0] for k, (_, s, f) in fields.items() if s.crop is None}
        return {**dict(zip(predictions, merged, strict=True)), **whole}
