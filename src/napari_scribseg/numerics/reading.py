"""How an engine reads strokes: every pixel is certain, or only the structure that was followed with a wide pen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.core import UNKNOWN, Hint, Image, Report, Scribbles, Segmentation, Shown, silent

if TYPE_CHECKING:
    from napari_scribseg.numerics.loose import LooseClass

__all__ = ["StrokeReading", "reads_strokes"]

StrokeReading = Annotated[
    Literal["auto", "exact", "loose"],
    Shown(
        "Strokes",
        "Exact: every painted pixel has its class. Along a line: the pen may be wider than the vessel or membrane that "
        "it follows. Automatic: along a line where the image shows one that is thinner than the pen.",
        choices=("automatic", "exact", "along a line"),
    ),
]
Method = TypeVar("Method", bound=Callable[..., Segmentation[Any]])

_ENGINE_SHARE = 0.15  # of the engine's log odds of a class that follows lines, beside the log odds of the lines
_MOST_LOG_ODDS = 4.0  # of the engine's
_THIN = "strokes of {} follow something thinner than the pen; if not, choose Strokes: exact in Engine"
_MIDDLES = "only the middle of the strokes of {} is taken as certain"
_MIDDLE = 0.6  # share of the depth in the middle of a stroke that a pixel of its middle has


def reads_strokes(segment: Method) -> Method:
    """Let an engine's method ``segment`` read strokes as its parameter ``strokes`` says.

    ``"exact"``: every stroke pixel has its class. ``"loose"``: the strokes of every class but the background follow a
    structure under the pen, and only the line that they follow, or else their middle, is certain. ``"auto"``: loose
    for the classes whose strokes follow lines thinner than the pen, exact for all others
    (:func:`~napari_scribseg.numerics.loose.find_loose`).

    The engine is given the certain pixels only. Where strokes follow lines, the log odds of a pixel to lie on such a
    line are added to the engine's own. A note of the result names the classes whose strokes are loose.

    Parameters
    ----------
    segment : callable
        The method of an engine that has the parameter ``strokes``.

    Returns
    -------
    callable
        A method with the same parameters.
    """

    @wraps(segment)
    def read_and_segment(
        engine: Any, image: Image, scribbles: Scribbles, state: Any, report: Report = silent
    ) -> Segmentation[Any]:
        reading = None if engine.strokes == "exact" else _Reading.of(image, scribbles, engine.strokes == "loose")
        if reading is None:
            return segment(engine, image, scribbles, state, report)

        def read(fraction: float, preview: Segmentation[object] | None = None) -> None:
            report(fraction, None if preview is None else reading.apply(preview))

        return reading.apply(segment(engine, image, reading.certain, state, read))

    return cast("Method", read_and_segment)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """Strokes some of which are loose.

    Attributes
    ----------
    certain : Scribbles
        Their certain pixels.
    loose : tuple of int
        Classes whose strokes are loose.
    lines : tuple of LooseClass
        Those of them that follow lines.
    """

    certain: Scribbles
    loose: tuple[int, ...]
    lines: tuple[LooseClass, ...]

    @classmethod
    def of(cls, image: Image, scribbles: Scribbles, all_loose: bool) -> _Reading | None:
        """The reading; None where no stroke is loose, or the scribbles do not fit the image."""
        if scribbles.shape != image.shape or len(image.shape) != 2:
            return None
        from napari_scribseg.numerics.loose import find_loose
        from napari_scribseg.numerics.variational.energy import background_label

        lines = find_loose(image, scribbles)
        seeds = scribbles.seeds.copy()
        for line in lines:
            seeds[(seeds == line.index) & ~line.core] = UNKNOWN
        loose = {line.index for line in lines}
        if all_loose:
            rest = set(np.flatnonzero(scribbles.counts).tolist()) - loose - {background_label(scribbles)}
            for index in rest:
                painted = seeds == index
                seeds[painted & ~_middle(painted)] = UNKNOWN
            loose |= rest
        return cls(replace(scribbles, seeds=seeds), tuple(sorted(loose)), lines) if loose else None

    def apply(self, found: Segmentation[Any]) -> Segmentation[Any]:
        """The engine's result with the lines in it."""
        made = replace(found, loose=self.loose, notes=(*self._notes(), *found.notes))
        if self.lines:
            made = replace(made, probabilities=_with_lines(found.probabilities, self.certain, self.lines))
            made.set_seeds(self.certain.seeds)
        return made

    def _notes(self) -> tuple[str, ...]:
        thin = [line.index for line in self.lines]
        rest = [index for index in self.loose if index not in thin]
        return tuple(
            Hint.about(text, (self.certain.ids[k] for k in indices))
            for indices, text in ((thin, _THIN), (rest, _MIDDLES))
            if indices
        )


def _middle(painted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels about as deep in a stroke as its middle is, at least one of each stroke."""
    depth = ndimage.distance_transform_edt(np.pad(painted, 1))[1:-1, 1:-1]
    size = 2 * int(np.ceil(depth.max())) + 1
    middle: NDArray[np.bool_] = painted & (depth >= _MIDDLE * ndimage.maximum_filter(depth, size))
    return middle


def _with_lines(
    probabilities: NDArray[np.float32], certain: Scribbles, lines: tuple[LooseClass, ...]
) -> NDArray[np.float32]:
    """Probabilities of all classes, those of the lines' classes by their log odds, the others' in proportion."""
    thin = [line.index for line in lines]
    others = np.setdiff1d(np.arange(len(probabilities)), thin)
    drawn = others[certain.counts[others] > 0]
    rest = probabilities[others]
    total = rest.sum(axis=0)
    alike = np.isin(others, drawn if len(drawn) else others).astype(np.float32)
    none = total <= np.finfo(np.float32).tiny
    rest = np.where(none, (alike / alike.sum())[:, np.newaxis, np.newaxis], rest / np.where(none, 1, total))
    own = np.clip(probabilities[thin], np.finfo(np.float32).tiny, 1)
    own = np.log(own) - np.log(np.clip(1 - probabilities[thin], np.finfo(np.float32).tiny, 1))
    own = np.clip(own, -_MOST_LOG_ODDS, _MOST_LOG_ODDS)
    odds = np.exp(np.stack([line.log_odds for line in lines]) + np.float32(_ENGINE_SHARE) * own)
    made = np.empty_like(probabilities)
    made[thin], made[others] = odds, rest
    made /= 1 + odds.sum(axis=0)
    return made
