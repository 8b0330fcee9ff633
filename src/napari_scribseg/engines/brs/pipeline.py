"""From strokes to probabilities: the network's answer, then its input or a layer corrected until they are met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import Image, InputError, Report, Scribbles, Segmentation
from napari_scribseg.engines.brs.minimise import Best, Budget, minimise
from napari_scribseg.engines.brs.network import Network
from napari_scribseg.engines.brs.opening import open_network
from napari_scribseg.engines.brs.questions import Question, ask, probabilities
from napari_scribseg.engines.brs.solver import Solver, cut_for, require_finite
from napari_scribseg.engines.brs.zoom import Frame, next_frame
from napari_scribseg.numerics.device import choose_device

if TYPE_CHECKING:
    from napari_scribseg.engines.brs.engine import BRS, FBRS

__all__ = ["BRSState", "Memory", "prepare", "segment", "unprompted"]

_SPARE = 3  # evaluations between two previews


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """The last answer.

    Attributes
    ----------
    seeds : ndarray of shape (H, W), int32
        The strokes that it answered, as label ids; -1 elsewhere.
    changes : mapping of int to Tensor
        What was found to correct, by the label id of the class that was asked about (-1: about all at once).
    layer : str
        Where it belongs: a layer of f-BRS, or nothing for the maps.
    frames : mapping of int to Frame or None
        The part of the image where it was found, by the same label id.
    objects : mapping of int to ndarray of shape (H, W), bool
        What was answered to belong to the class, where the engine zooms in.
    agreement : float
        Share of the stroke pixels that the network gave their class, before they were set.
    """

    seeds: NDArray[np.int32]
    changes: Mapping[int, Tensor]
    layer: str
    frames: Mapping[int, Frame | None]
    objects: Mapping[int, NDArray[np.bool_]]
    agreement: float


@dataclass(frozen=True, slots=True, eq=False)
class BRSState:
    """What the engine remembers of one image.

    Attributes
    ----------
    network : Network
    x : Tensor of shape (1, C, h, w)
        The image as the network takes it.
    own : Tensor of shape (1, n, h, w) or None
        The network's output without strokes, if it can do without.
    planes : ndarray of shape (C, H, W), float32, or None
        The image on the network's scale and its own grid, where the network may be shown parts of it.
    shape : tuple of 2 int
        Of the image.
    spacing : tuple of 2 float
    memory : Memory or None
    """

    network: Network
    x: Tensor
    own: Tensor | None
    planes: NDArray[np.float32] | None
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    memory: Memory | None = None

    @property
    def agreement(self) -> float:
        """Share of the stroke pixels of the last answer that the network gave their class; NaN without strokes."""
        return float("nan") if self.memory is None else self.memory.agreement


def prepare(engine: BRS | FBRS, image: Image, device: str) -> BRSState:
    """The state for a fresh image."""
    network = open_network(engine.model, engine.weights, engine.trust, choose_device(device))
    planes = network.planes(image)
    x = network.input(planes, network.grid(image.shape, image.spacing))
    own = None
    if network.card.prompt == "none":
        with torch.no_grad():
            own = network.raw(x, exact=True)
        require_finite(own, network)
    if isinstance(layer := getattr(engine, "layer", None), str):
        cut_for(network, x, layer)
    zooms = engine.zoom and network.card.prompt != "none" and not network.card.spacing
    return BRSState(network, x, own, planes if zooms else None, image.shape, image.spacing)


def unprompted(state: BRSState) -> NDArray[np.float32]:
    """Probabilities of the network's own classes without strokes, shape (K, H, W); the first is the rest for a sigmoid.

    Raises
    ------
    InputError
        If the network was trained to be given strokes.
    """
    if state.own is None:
        raise InputError(f"{state.network.name} answers strokes only; a network that takes images is expected")
    found: NDArray[np.float32] = torch.softmax(state.network.fields(state.own, state.shape), dim=0).cpu().numpy()
    return found


def segment(engine: BRS | FBRS, scribbles: Scribbles, state: BRSState, report: Report) -> Segmentation[BRSState]:
    """The answer for one set of strokes; what was corrected before is where it begins."""
    report(0.0)
    budget = Budget(engine.evaluations, engine.seconds)
    questions = ask(state.network, scribbles)
    memory = _recalled(state, scribbles, getattr(engine, "layer", ""))
    ids = {q.key: scribbles.ids[q.key] if q.key >= 0 else q.key for q in questions}
    again = memory is not None and np.array_equal(memory.seeds, _labels(scribbles))
    frames = {ids[q.key]: _frame(engine, state, q, memory, ids[q.key], again) for q in questions}
    solvers = {q.key: _solver(engine, state, q, frames[ids[q.key]], memory, ids[q.key]) for q in questions}
    fields, wrong = {}, {}
    for i, (key, solver) in enumerate(solvers.items()):
        first, wrong[key] = solver.first()
        fields[key] = solver.whole(first)
        report(0.1 * (i + 1) / len(solvers))
    notes = _notes(state, scribbles)

    def show(fraction: float, better: bool) -> None:
        answer = _answer(scribbles, fields, state, (*notes, "preview")) if better else None
        report(fraction, cast("Segmentation[object] | None", answer))

    show(0.1, True)
    before, n_evaluations = sum(wrong.values()), 0
    changes = {ids[key]: solver.start for key, solver in solvers.items()}
    refined = [key for key in solvers if wrong[key]]
    for i, key in enumerate(refined):
        solver = solvers[key]

        def keep(found: Tensor, key: int = key, solver: Solver = solver) -> None:
            fields[key] = solver.whole(found)

        best = minimise(solver.start, solver.evaluate, budget, _teller(i, len(refined), engine.evaluations, keep, show))
        keep(best.fields)
        wrong[key], changes[ids[key]] = best.wrong, best.values
        n_evaluations += best.evaluations
    marks = sum(int((q.targets >= 0).sum()) for q in questions)
    former, share = (1 - n / max(marks, 1) for n in (before, sum(wrong.values())))
    objects = {ids[k]: (f[1] > f[0]).cpu().numpy() for k, f in fields.items()} if _zooms(engine, state) else {}
    new = Memory(_labels(scribbles), changes, getattr(engine, "layer", ""), frames, objects, share)
    report(1.0)
    return _answer(scribbles, fields, replace(state, memory=new), (_told(former, share, n_evaluations), *notes))


def _zooms(engine: BRS | FBRS, state: BRSState) -> bool:
    return engine.zoom and state.planes is not None


def _frame(
    engine: BRS | FBRS, state: BRSState, question: Question, memory: Memory | None, key: int, again: bool
) -> Frame | None:
    """The part of the image that the network is shown: all of it, until there is an answer; the same for the same."""
    if memory is None or not _zooms(engine, state) or key not in memory.objects:
        return None
    former = memory.frames.get(key)
    if again:
        return former
    least = max(state.x.shape[2:]) / 2
    return next_frame(former, memory.objects[key], question.targets == 1, state.spacing, least)


def _solver(
    engine: BRS | FBRS, state: BRSState, question: Question, frame: Frame | None, memory: Memory | None, key: int
) -> Solver:
    """Begins with what was corrected before, if the network is shown the same part of the image."""
    same = memory is not None and memory.frames.get(key) == frame
    return Solver(engine, state, question, frame, memory.changes.get(key) if memory is not None and same else None)


def _teller(
    i: int, n: int, most: int, keep: Callable[[Tensor], None], show: Callable[[float, bool], None]
) -> Callable[[Best, bool], None]:
    """What is called after each evaluation: the first correction is shown at once, further ones now and then."""
    last = [-_SPARE]

    def tell(best: Best, better: bool) -> None:
        shown = better and best.evaluations > 1 and best.evaluations - last[0] >= _SPARE
        if shown:
            keep(best.fields)
            last[0] = best.evaluations
        show(0.1 + 0.85 * (i + min(best.evaluations / most, 1.0)) / n, shown)

    return tell


def _recalled(state: BRSState, scribbles: Scribbles, layer: str) -> Memory | None:
    """The last answer, if it was one at the same layer and no strokes were taken back since."""
    memory = state.memory
    if memory is None or memory.layer != layer:
        return None
    drawn = memory.seeds >= 0
    return memory if np.array_equal(memory.seeds[drawn], _labels(scribbles)[drawn]) else None


def _labels(scribbles: Scribbles) -> NDArray[np.int32]:
    """The strokes as label ids."""
    table = np.asarray((*scribbles.ids, -1), dtype=np.int32)
    return table[scribbles.seeds]


def _notes(state: BRSState, scribbles: Scribbles) -> tuple[str, ...]:
    lonely = scribbles.n_classes == 2 and np.count_nonzero(scribbles.counts) == 1
    rest = ("one class was drawn: the other is all that does not belong to it",) if lonely else ()
    return (*rest, f"answered by {state.network.name}", f"computed on {state.network.device}")


def _told(before: float, after: float, evaluations: int) -> str:
    """How many stroke pixels the network itself got right, before any was forced."""
    if not evaluations:
        return f"the network agrees with {100 * after:.1f} % of the stroke pixels"
    return (
        f"the network agrees with {100 * after:.1f} % of the stroke pixels, {100 * before:.1f} % before {evaluations} "
        "evaluations corrected it"
    )


def _answer(
    scribbles: Scribbles, fields: Mapping[int, Tensor], state: BRSState, notes: tuple[str, ...]
) -> Segmentation[BRSState]:
    """With certainty for its own class at every stroke pixel."""
    found = probabilities(fields, scribbles)
    rows, columns = np.nonzero(scribbles.seeds >= 0)
    found[:, rows, columns] = 0
    found[scribbles.seeds[rows, columns], rows, columns] = 1
    return Segmentation(found, state, notes)
