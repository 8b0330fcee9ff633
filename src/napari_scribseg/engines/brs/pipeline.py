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
from napari_scribseg.engines.brs.looks import Look, Looks
from napari_scribseg.engines.brs.minimise import Best, Budget, minimise
from napari_scribseg.engines.brs.network import Network
from napari_scribseg.engines.brs.opening import open_network
from napari_scribseg.engines.brs.questions import ALL, ask, probabilities
from napari_scribseg.engines.brs.solver import cut_for, require_finite
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.numerics.variational.refine import boundary_weights, refine
from napari_scribseg.prompting.crops import Level, levels_of
from napari_scribseg.prompting.predictions import Grid

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
    looks : mapping of int to Look
        How it was asked, by the label id of the class that was asked about (-1: about all at once).
    layer : str
        Where what was corrected belongs: a layer of f-BRS, or nothing for the maps.
    """

    seeds: NDArray[np.int32]
    looks: Mapping[int, Look]
    layer: str


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
    levels : tuple of Level
        The image on the network's scale and its own grid; none where the network is always shown all of it.
    grid : Grid
        The image's own.
    boundaries : ndarray of shape (H, W), float32, or None
        Weight of the boundary length, where boundaries are moved to edges.
    memory : Memory or None
    """

    network: Network
    x: Tensor
    own: Tensor | None
    levels: tuple[Level, ...]
    grid: Grid
    boundaries: NDArray[np.float32] | None = None
    memory: Memory | None = None


def prepare(engine: BRS | FBRS, image: Image, device: str) -> BRSState:
    """The state for a fresh image."""
    network = open_network(engine.model, engine.weights, engine.trust, choose_device(device))
    channels = network.channels(image)
    x = network.input(channels, network.grid(image.shape, image.spacing))
    own = None
    if network.card.prompt == "none":
        with torch.no_grad():
            own = network.raw(x, exact=True)
        require_finite(own, network)
    if isinstance(layer := getattr(engine, "layer", None), str):
        cut_for(network, x, layer)
    zooms = engine.zoom and network.card.prompt != "none" and not network.card.spacing and not network.card.size
    grid = Grid.of(image.shape, image.spacing)
    levels = levels_of(torch.from_numpy(channels).to(network.device), grid.pixel) if zooms else ()
    moved = engine.refine == "edges" and network.card.takes_signal
    boundaries = boundary_weights(channels, grid.pixel) if moved else None
    return BRSState(network, x, own, levels, grid, boundaries)


def unprompted(state: BRSState) -> NDArray[np.float32]:
    """Probabilities of the network's own classes without strokes, shape (K, H, W); the first is the rest for a sigmoid.

    Raises
    ------
    InputError
        If the network was trained to be given strokes.
    """
    if state.own is None:
        raise InputError(f"{state.network.name} answers strokes only; a network that takes images is expected")
    found: NDArray[np.float32] = torch.softmax(state.network.fields(state.own, state.grid.shape), dim=0).cpu().numpy()
    return found


def segment(engine: BRS | FBRS, scribbles: Scribbles, state: BRSState, report: Report) -> Segmentation[BRSState]:
    """The answer for one set of strokes; what was corrected before is where it begins."""
    report(0.0)
    budget, layer = Budget(engine.evaluations, engine.seconds), getattr(engine, "layer", "")
    questions = {q.key: q for q in ask(state.network, scribbles, engine.zoom)}
    ids = {key: scribbles.ids[key] if key >= 0 else key for key in questions}
    memory = _recalled(state, scribbles, layer)
    again = memory is not None and np.array_equal(memory.seeds, _labels(scribbles))
    looks = Looks(engine, state, scribbles)
    solvers, fields, wrong = {}, {}, {}
    for i, (key, question) in enumerate(questions.items()):
        former = None if memory is None else memory.looks.get(ids[key])
        solvers[key], fields[key], wrong[key] = looks.begin(question, former, again)
        report(0.1 * ((i + 1) / len(questions)))
    notes = _notes(state, scribbles)

    def found() -> Tensor:
        if ALL in fields:
            return probabilities(fields, scribbles)
        return probabilities(looks.odds({k: (questions[k], solvers[k], fields[k]) for k in questions}), scribbles)

    def show(fraction: float, better: bool) -> None:
        answer = _answer(scribbles, found(), state, (*notes, "preview")) if better else None
        report(fraction, cast("Segmentation[object] | None", answer))

    show(0.1, True)
    before, n_evaluations = sum(wrong.values()), 0
    changes = {key: solver.start for key, solver in solvers.items()}
    refined = [key for key in solvers if wrong[key]]
    for i, key in enumerate(refined):

        def keep(new: Tensor, key: int = key) -> None:
            fields[key] = new

        tell = _teller(i, len(refined), engine.evaluations, keep, show)
        best = minimise(solvers[key].start, solvers[key].evaluate, budget, tell, solvers[key].first_step)
        keep(best.fields)
        wrong[key], changes[key] = best.wrong, best.values
        n_evaluations += best.evaluations
    marks = sum(int((q.targets >= 0).sum()) for q in questions.values())
    former_share, share = (1 - n / max(marks, 1) for n in (before, sum(wrong.values())))
    kept = {ids[k]: looks.look(q, solvers[k], fields[k], changes[k]) for k, q in questions.items()}
    new = Memory(_labels(scribbles), kept, layer)
    made = found()
    if state.boundaries is not None:
        given = scribbles.seeds, state.boundaries, state.grid.pixel
        made = refine(made, *given, lambda part: report(0.95 + 0.05 * part))
    report(1.0)
    notes = (_told(former_share, share, n_evaluations), *notes)
    return _answer(scribbles, made, replace(state, memory=new), notes, share)


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
    scribbles: Scribbles, probabilities: Tensor, state: BRSState, notes: tuple[str, ...], raw: float | None = None
) -> Segmentation[BRSState]:
    found = probabilities.to("cpu", torch.float32).numpy()
    return Segmentation.of(found, scribbles, state, notes, raw_seed_accuracy=raw)
