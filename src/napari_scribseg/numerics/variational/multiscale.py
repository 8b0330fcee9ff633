"""Solve a labelling problem from coarse to fine, then until convergence; the same on every device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Image
from napari_scribseg.numerics.variational.parameters import EnergyParameters
from napari_scribseg.numerics.variational.problem import Backend, Problem, Solver

__all__ = [
    "LIVE",
    "PUBLISHED",
    "Stop",
    "continue_finer",
    "converge",
    "halvings_of",
    "open_backend",
    "solve_coarse_to_fine",
]

COARSE_STEPS = (4, 8, 100)  # steps on the finest level, the next, and every coarser one
_SMALLEST = 24  # pixels that the shorter side of a coarse level keeps
_STEPS_PER_REPORT = 16
_STILL = 1e-4  # share of the values that still move when the refinement ends


@dataclass(frozen=True, slots=True)
class Stop:
    """When a refinement ends.

    Attributes
    ----------
    rest : float
        Largest change of a value, over the last few steps, that does not count as a move.
    most_steps : int
        Steps after which it ends although values still move.
    """

    rest: float
    most_steps: int


LIVE = Stop(0.05, 400)
#: The published model converges slowly where a class has few strokes: with this rule at least 99.5 % of the labels are
#: those of the converged solution (``benchmarks/convergence.py``).
PUBLISHED = Stop(0.002, 4000)


def open_backend(
    parameters: EnergyParameters, image: Image, device: str, semantic: NDArray[np.float32] | None = None
) -> Backend:
    """An image, scaled and with its edges, on a device.

    Parameters
    ----------
    parameters : EnergyParameters
    image : Image
        Of shape (C, H, W).
    device : str
        As :func:`~napari_scribseg.numerics.device.choose_device` gives it: compiled loops on the CPU, torch elsewhere.
    semantic : ndarray of shape (3, H, W), float32, optional
        Semantic features from 0 to 1: further channels for the densities.
    """
    finest = min(image.spacing)
    pixel = (image.spacing[0] / finest, image.spacing[1] / finest)
    if device == "cpu":
        from napari_scribseg.numerics.variational.compiled import CompiledBackend

        return CompiledBackend(image, pixel, parameters, semantic)
    from napari_scribseg.numerics.variational.tensors import TensorBackend

    return TensorBackend(image, pixel, parameters, device, semantic)


def halvings_of(backend: Backend, problem: Problem) -> list[Problem]:
    """The problem and its halvings, the finest first."""
    levels = [problem]
    shape = np.asarray(problem.weights.shape)
    while len(levels) < 6 and min(-(-shape // 2)) >= _SMALLEST:
        levels.append(backend.halve(levels[-1]))
        shape = -(-shape // 2)
    return levels


def solve_coarse_to_fine(backend: Backend, levels: list[Problem], finest: int = 0) -> Solver:
    """Solve at the coarsest level, then take a few steps on each finer one, down to the level ``finest``."""
    solver = backend.start(levels[-1], None)
    solver.advance(COARSE_STEPS[-1])
    for depth in range(len(levels) - 2, finest - 1, -1):
        solver = continue_finer(backend, levels[depth], solver, COARSE_STEPS[min(depth, 1)])
    return solver


def continue_finer(backend: Backend, problem: Problem, coarse: Solver, n_steps: int = COARSE_STEPS[0]) -> Solver:
    """Take steps from the solution of the halved problem."""
    solver = backend.start(problem, coarse)
    solver.advance(n_steps)
    return solver


def converge(solver: Solver, progress: Callable[[float], None], stop: Stop = LIVE) -> None:
    """Take steps until hardly anything moves; ``progress`` is called with the share of the most steps."""
    for taken in range(0, stop.most_steps, _STEPS_PER_REPORT):
        progress(taken / stop.most_steps)
        if solver.advance(_STEPS_PER_REPORT, stop.rest) <= _STILL:
            break
