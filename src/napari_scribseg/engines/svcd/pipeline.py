"""From strokes to probabilities: cost, coarse solution, preview, refinement; the same for every device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Image, Report, Scribbles, Segmentation
from napari_scribseg.numerics.device import choose_device

if TYPE_CHECKING:
    from napari_scribseg.engines.svcd.engine import SVCD

__all__ = ["Backend", "Problem", "SVCDState", "Solver", "prepare", "relax", "segment"]

COARSE_STEPS = (4, 8, 100)  # steps on the finest level, the next, and every coarser one
_SMALLEST = 24  # pixels that the shorter side of a coarse level keeps
_LARGE = 1 << 21  # pixels above which the first answer is that of half the resolution
_REFINE_STEPS = 400
_AT_ONCE = 16  # steps between two reports
_STILL = 1e-4  # share of the values that still move when the refinement ends


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """``min sum u f + smoothness sum g |grad u|``, on the device; arrays are the backend's own."""

    cost: Any
    weights: Any
    smoothness: float
    pixel: tuple[float, float]
    memory: Any = None
    notes: tuple[str, ...] = ()
    exact: bool = True


class Solver(Protocol):
    """A solution being improved."""

    def advance(self, n_steps: int) -> float:
        """Take steps; the share of values that moved."""
        ...

    @property
    def fields(self) -> Any:
        """What a finer level starts from."""
        ...

    def primal(self) -> NDArray[np.float32]:
        """The relaxed labelling, shape (K, H, W), on the host; not to be changed by later steps."""
        ...


class Backend(Protocol):
    """The arithmetic of one kind of device."""

    def semantic(self, engine: SVCD) -> NDArray[np.float32]:
        """The semantic features of shape (3, H, W), from 0 to 1, of an engine that looks at them."""
        ...

    def pose(self, engine: SVCD, scribbles: Scribbles, memory: Any, quick: bool) -> Problem:
        """The problem for one set of strokes.

        ``memory`` is that of an earlier problem on this image, or None. ``quick`` allows a first approximation, which
        is not ``exact``.
        """
        ...

    def add(self, problem: Problem, cost: NDArray[np.float32]) -> Problem:
        """The problem with a cost of shape (K, H, W) added to its own."""
        ...

    def halve(self, problem: Problem) -> Problem:
        """The problem at half the resolution."""
        ...

    def start(self, problem: Problem, coarse: Solver | None) -> Solver:
        """A solver, from the solution of the halved problem where there is one."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SVCDState:
    """What the engine remembers of one image.

    Attributes
    ----------
    backend : Backend
        Holds the scaled image and its edges on the device.
    device : str
        Where it computes.
    memory : Any
        What the backend keeps of the last strokes.
    """

    backend: Backend
    device: str
    memory: Any = None


def prepare(engine: SVCD, image: Image, device: str) -> SVCDState:
    """The state for a fresh image."""
    chosen = choose_device(device)
    finest = min(image.spacing)
    pixel = (image.spacing[0] / finest, image.spacing[1] / finest)
    if chosen == "cpu":
        from napari_scribseg.engines.svcd.compiled import CompiledBackend

        return SVCDState(CompiledBackend(image, pixel, engine), chosen)
    from napari_scribseg.engines.svcd.tensors import TensorBackend

    return SVCDState(TensorBackend(image, pixel, engine, chosen), chosen)


def segment(engine: SVCD, scribbles: Scribbles, state: SVCDState, report: Report) -> Segmentation[SVCDState]:
    """The answer for one set of strokes: the same whatever was asked before."""
    report(0.0)
    problem = state.backend.pose(engine, scribbles, state.memory, quick=True)
    report(0.2)
    large = problem.weights.shape[0] * problem.weights.shape[1] > _LARGE
    levels = _levels(state.backend, problem)
    solver = _coarse_to_fine(state.backend, levels, finest=int(large))
    notes = (*problem.notes, f"computed on {state.device}")
    preview = _answer(solver, scribbles, replace(state, memory=problem.memory), (*notes, "preview"))
    report(0.4, cast("Segmentation[object]", preview))
    if not problem.exact:
        problem = state.backend.pose(engine, scribbles, problem.memory, quick=False)
        report(0.6)
        solver = _coarse_to_fine(state.backend, _levels(state.backend, problem))
    elif large:
        solver = _finer(state.backend, levels[0], solver, COARSE_STEPS[0])
    _refine(solver, lambda share: report(0.7 + 0.3 * share))
    return _answer(solver, scribbles, replace(state, memory=problem.memory), notes)


def relax(
    engine: SVCD,
    scribbles: Scribbles,
    state: SVCDState,
    memory: Any,
    cost: NDArray[np.float32],
    smoothness: float,
    tell: Callable[[float], None],
) -> tuple[NDArray[np.float32], Any]:
    """The relaxed labelling when the cost of each label is not the model's alone.

    Parameters
    ----------
    engine : SVCD
    scribbles : Scribbles
    state : SVCDState
    memory : Any
        From an earlier call for this image, or None.
    cost : ndarray of shape (K, H, W), float32
        Added to the model's where nothing is painted.
    smoothness : float
        Added to the model's weight of the boundary length.
    tell : callable
        Called with the share of the work that is done; may raise to end it.

    Returns
    -------
    ndarray of shape (K, H, W), float32
    Any
        For the next call.
    """
    problem = state.backend.pose(engine, scribbles, memory, quick=False)
    tell(0.3)
    added = np.where(scribbles.seeds >= 0, np.float32(0), cost)
    problem = replace(state.backend.add(problem, added), smoothness=problem.smoothness + smoothness)
    solver = _coarse_to_fine(state.backend, _levels(state.backend, problem))
    _refine(solver, lambda share: tell(0.5 + share / 2))
    return solver.primal(), problem.memory


def _refine(solver: Solver, tell: Callable[[float], None]) -> None:
    """Take steps until hardly anything moves."""
    for taken in range(0, _REFINE_STEPS, _AT_ONCE):
        tell(taken / _REFINE_STEPS)
        if solver.advance(_AT_ONCE) <= _STILL:
            break


def _answer(solver: Solver, scribbles: Scribbles, state: SVCDState, notes: tuple[str, ...]) -> Segmentation[SVCDState]:
    """The solver's labelling at full resolution, with certainty for its own class at every stroke pixel."""
    probabilities = solver.primal()
    if probabilities.shape[1:] != scribbles.shape:
        height, width = scribbles.shape
        probabilities = probabilities.repeat(2, axis=1)[:, :height].repeat(2, axis=2)[:, :, :width].copy()
    rows, columns = np.nonzero(scribbles.seeds >= 0)
    probabilities[:, rows, columns] = 0
    probabilities[scribbles.seeds[rows, columns], rows, columns] = 1
    return Segmentation(probabilities, state, notes)


def _levels(backend: Backend, problem: Problem) -> list[Problem]:
    """The problem and its halvings."""
    levels = [problem]
    shape = np.asarray(problem.weights.shape)
    while len(levels) < 6 and min(-(-shape // 2)) >= _SMALLEST:
        levels.append(backend.halve(levels[-1]))
        shape = -(-shape // 2)
    return levels


def _coarse_to_fine(backend: Backend, levels: list[Problem], finest: int = 0) -> Solver:
    """Solve at the coarsest level, then a few steps on each finer one, down to the level ``finest``."""
    solver = backend.start(levels[-1], None)
    solver.advance(COARSE_STEPS[-1])
    for depth in range(len(levels) - 2, finest - 1, -1):
        solver = _finer(backend, levels[depth], solver, COARSE_STEPS[min(depth, 1)])
    return solver


def _finer(backend: Backend, problem: Problem, coarse: Solver, n_steps: int) -> Solver:
    """Go on from the solution of the halved problem."""
    solver = backend.start(problem, coarse)
    solver.advance(n_steps)
    return solver
