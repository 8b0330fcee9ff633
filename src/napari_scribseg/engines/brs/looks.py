"""Zoom-in: a network that knows strokes is shown a class from near (Sofiuk et al. 2020), and told its last answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from napari_scribseg.core import Scribbles
from napari_scribseg.engines.brs.questions import ALL, Question
from napari_scribseg.engines.brs.solver import Solver, patch_of
from napari_scribseg.prompting.crops import MOST_GROWTHS, Box, Crop, first_box, fit_crops, grown, object_box
from napari_scribseg.prompting.predictions import ClassLogits, Strokes, combine, widest

if TYPE_CHECKING:
    from napari_scribseg.engines.brs.engine import BRS, FBRS
    from napari_scribseg.engines.brs.pipeline import BRSState

__all__ = ["Look", "Looks", "next_crop"]

_ALIKE = 0.7  # overlap (intersection over union) of two crops that need not be told apart
_SIZE = 128  # pixels along a side of a crop; networks of this package were trained on it
_ENOUGH = 4  # dots on an object, from which on a network is shown it from near that was trained on whole images
_STRIDE = 32  # sides of crops are multiples of it


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """How a network was asked about a class, and what it saw.

    Attributes
    ----------
    crop : Crop or None
        What it was shown; None for all of the image.
    told : ClassLogits or None
        What it was told that it had answered before.
    answer : ClassLogits or None
        What it answered, corrected; without a patch where it was shown all of the image. None where it is always shown
        all of it.
    change : Tensor
        What was corrected.
    """

    crop: Crop | None
    told: ClassLogits | None
    answer: ClassLogits | None
    change: Tensor


def next_crop(strokes: Box, dot: bool, former: Look | None, size: int, extent: tuple[float, float]) -> Crop:
    """What a network is shown of a class: the former crop, while it holds the strokes and the object hardly moved.

    Parameters
    ----------
    strokes : Box
        Borders of the strokes on it.
    dot : bool
        Whether they are a single dot.
    former : Look or None
        How it was asked for the last answer.
    size : int
        Pixels along a side, a multiple of 32.
    extent : tuple of 2 float
        Of the image.
    """
    known = None if former is None or former.answer is None else former.answer.box
    new = _crop_around(first_box(strokes, dot, known, extent), size, extent)
    if former is None or former.crop is None:
        return new
    seen = former.crop.box
    inside = seen[0] <= strokes[0] and seen[1] <= strokes[1] and seen[2] >= strokes[2] and seen[3] >= strokes[3]
    return former.crop if inside and _overlap(seen, new.box) > _ALIKE else new


def _crop_around(box: Box, size: int, extent: tuple[float, float]) -> Crop:
    """A square: networks of this package, trained on such, are less right where it is shortened."""
    return fit_crops([box], size, extent, shorten=False)[0]


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    sides = [max(min(one[i + 2], other[i + 2]) - max(one[i], other[i]), 0.0) for i in (0, 1)]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    common = sides[0] * sides[1]
    return common / (sum(areas) - common)


class Looks:
    """What a network is shown of the classes that it is asked about.

    Parameters
    ----------
    engine : BRS or FBRS
    state : BRSState
    scribbles : Scribbles
    """

    def __init__(self, engine: BRS | FBRS, state: BRSState, scribbles: Scribbles) -> None:
        self._engine, self._state = engine, state
        self._strokes = Strokes.of(scribbles.seeds)
        card = state.network.card
        self._own = card.takes_signal  # trained on crops: it is shown objects from near from the first stroke on
        self._size = _SIZE if self._own else -(-max(state.x.shape[2:]) // _STRIDE) * _STRIDE
        painted = [int(k) for k in np.flatnonzero(scribbles.counts)]
        alone = len(painted) < 2 or (scribbles.n_classes == 2 and card.prompt != "scribbles")
        self._wide = None if alone else widest(self._strokes, painted, scribbles.ids, state.grid)

    def begin(self, question: Question, former: Look | None, again: bool) -> tuple[Solver, Tensor, int]:
        """What the network says before more is corrected, and how many stroke pixels it is wrong at.

        A crop grows where the object leaves it. The network begins with what was corrected before, if it is shown the
        same.

        Parameters
        ----------
        question : Question
        former : Look or None
            How it was asked for the last answer.
        again : bool
            Whether the strokes are those of the last answer.
        """
        crop, told = self._first_crop(question, former, again)
        for turn in range(MOST_GROWTHS + 1):
            same = former is not None and former.crop == crop
            change = former.change if former is not None and same else None
            solver = Solver(self._engine, self._state, question, crop, told, change)
            fields, wrong = solver.first()
            if crop is None or again or turn == MOST_GROWTHS:
                break
            larger = grown(patch_of(fields, crop), self._state.grid.extent)
            if larger is None:
                break
            crop = _crop_around(larger, self._size, self._state.grid.extent)
        return solver, fields, wrong

    def _first_crop(
        self, question: Question, former: Look | None, again: bool
    ) -> tuple[Crop | None, ClassLogits | None]:
        """What it is shown first, and what it is told that it had answered."""
        if former is not None and again:
            return former.crop, former.told
        grid, key = self._state.grid, question.key
        wide = key == self._wide
        if not self._near(question) or (not self._own and (wide or self._early(question, former))):
            return None, None
        told = None if former is None or former.crop is None else former.answer
        if wide:
            return _crop_around((0.0, 0.0, *grid.extent), self._size, grid.extent), told
        box, dot = self._strokes.box(key, grid.pixel), self._strokes.n_dots(key, grid.pixel) == 1
        return next_crop(box, dot, former, self._size, grid.extent), told

    def _early(self, question: Question, former: Look | None) -> bool:
        """Whether too little is known of the object to look at it from near."""
        if former is None or former.answer is None:
            return True
        n_dots = self._strokes.n_dots(question.key, self._state.grid.pixel)
        return n_dots is not None and n_dots < _ENOUGH

    def _near(self, question: Question) -> bool:
        """Whether parts of the image may be shown."""
        return (
            self._engine.zoom
            and bool(self._state.levels)
            and question.key != ALL
            and bool((question.targets == 1).any())
        )

    def look(self, question: Question, solver: Solver, fields: Tensor, change: Tensor) -> Look:
        """What is kept of an answer."""
        return Look(solver.crop, solver.told, self._prediction(question, solver, fields), change)

    def _prediction(self, question: Question, solver: Solver, fields: Tensor) -> ClassLogits | None:
        """An answer with the borders of its object; None where it is of no use."""
        if not self._near(question):
            return None
        grid, found = self._state.grid, (fields[1] > fields[0]).cpu().numpy()
        box = self._strokes.box(question.key, grid.pixel)
        if solver.crop is not None:
            patch = patch_of(fields, solver.crop)
            return ClassLogits((patch,), object_box(box, solver.crop, found, solver.seeds == 1, grid.extent))
        rows, columns = grid.pixel
        at = (box[0] / rows, box[1] / columns, box[2] / rows, box[3] / columns)
        at = object_box(at, Crop(0.0, 0.0, 1.0, grid.shape), found, question.targets == 1, grid.shape)
        return ClassLogits((), (at[0] * rows, at[1] * columns, at[2] * rows, at[3] * columns))

    def odds(self, answers: Mapping[int, tuple[Question, Solver, Tensor]]) -> dict[int, Tensor]:
        """Logarithms of the odds of the classes on the image's grid, from those that were asked about one by one.

        Parameters
        ----------
        answers : mapping of int to tuple
            The question, how it was asked, and the answer, by the question's key.
        """
        near = {k: self._prediction(q, s, f) for k, (q, s, f) in answers.items() if s.crop is not None}
        predictions = {k: o for k, o in near.items() if o is not None}
        fields = combine(predictions, self._state.grid, self._wide) if predictions else ()
        whole = {k: f[1] - f[0] for k, (_, s, f) in answers.items() if s.crop is None}
        return {**dict(zip(predictions, fields, strict=True)), **whole}
