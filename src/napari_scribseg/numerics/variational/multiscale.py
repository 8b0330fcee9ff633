"""Solve a labelling problem from coarse to fine, then until convergence; the same on every device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Image
from napari_scribseg.numerics.variational.parameters import EnergyParameters
from napari_scribseg.numerics.variational.problem import Backend, Problem, Solver

__all__ = ["continue_finer", "converge", "halvings_of", "open_backend", "solve_coarse_to_fine"]

COARSE_STEPS = (4, 8, 100)  # steps on the finest level, the next, and every coarser one
_SMALLEST = 24  # pixels that the shorter side of a coarse level keeps
_MOST_STEPS = 400  # of the refinement
_STEPS_PER_REPORT = 16
_STILL = 1e-4  # share of the values that still move when the refinement ends


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


def converge(solver: Solver, progress: Callable[[float], None]) -> None:
    """Take steps until hardly anything moves; ``progress`` is called with the share of the most steps."""
    for taken in range(0, _MOST_STEPS, _STEPS_PER_REPORT):
        progress(taken / _MOST_STEPS)
        if solver.advance(_STEPS_PER_REPORT) <= _STILL:
            break
