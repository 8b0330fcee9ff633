"""An engine that is quick, exact and can be made to wait, fail or lie."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from napari_scribseg.core import EngineInfo, Segmentation, silent
from napari_scribseg.core.source import Source


@dataclass(frozen=True)
class Nearest:
    """Each voxel takes the class of the seed with the most similar value; warm starts leave a trace in the answer."""

    info: ClassVar[EngineInfo] = EngineInfo("nearest", "Nearest", "for tests", max_classes=2000)

    bias: float = 0.0
    trail: bool = False  # whether the answer depends on how many answers came before it

    def prepare(self, image, device="auto"):
        return {"image": image.data.copy(), "answers": 0}

    def segment(self, image, scribbles, state, report=silent):
        scribbles.require(image.shape)
        grey = image.data.mean(axis=0)
        shift = 3.0 * state["answers"] if self.trail else 0.0
        cost = np.empty((scribbles.n_classes, *image.shape), np.float32)
        for k in range(scribbles.n_classes):
            cost[k] = np.abs(grey + shift + self.bias - grey[scribbles.seeds == k].mean())
        best = cost.argmin(axis=0)
        best = np.where(scribbles.seeds >= 0, scribbles.seeds, best)
        p = np.zeros_like(cost)
        np.put_along_axis(p, best[None], 1, axis=0)
        new = {"image": state["image"], "answers": state["answers"] + 1}
        half = Segmentation(np.full_like(p, 1 / len(p)), state)
        report(0.5, half)
        report(1.0)
        return Segmentation(p, new, ("took the nearest",))


class Gate:
    """Holds an engine back until it is opened; tells when the engine has arrived."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.calls: list[str] = []

    def pass_through(self, report) -> None:
        self.arrived.release()
        while not self.go.acquire(timeout=0.005):
            report(0.1)


_GATES: dict[str, Gate] = {}


@dataclass(frozen=True)
class Gated(Nearest):
    """A Nearest that waits at a gate, named by its parameter."""

    info: ClassVar[EngineInfo] = EngineInfo("gated", "Gated", "for tests", max_classes=2000)

    gate: str = ""

    def prepare(self, image, device="auto"):
        _GATES[self.gate].calls.append("prepare")
        return super().prepare(image, device)

    def segment(self, image, scribbles, state, report=silent):
        _GATES[self.gate].calls.append(f"segment after {state['answers']}")
        _GATES[self.gate].pass_through(report)
        return super().segment(image, scribbles, state, report)


@dataclass(frozen=True)
class Lying(Nearest):
    """Returns what it must not, or raises."""

    info: ClassVar[EngineInfo] = EngineInfo("lying", "Lying", "for tests")

    how: str = "raise"

    def segment(self, image, scribbles, state, report=silent):
        good = super().segment(image, scribbles, state, report)
        p = good.probabilities
        results: dict[str, Any] = {
            "shape": Segmentation(p[:, :-1], state),
            "nan": Segmentation(np.where(p > 0, np.nan, p), state),
            "sum": Segmentation(p * 2, state),
            "list": Segmentation(p.tolist(), state),
            "none": None,
        }
        if self.how == "raise":
            raise RuntimeError("the engine broke")
        return results[self.how]


@dataclass(frozen=True)
class Few(Nearest):
    """A Nearest for two classes."""

    info: ClassVar[EngineInfo] = EngineInfo("few", "Few", "for tests", max_classes=2)


@dataclass(frozen=True)
class Alone(Nearest):
    """A Nearest that one class is enough for: all that is darker or brighter than it is the rest."""

    info: ClassVar[EngineInfo] = EngineInfo("alone", "Alone", "for tests", min_classes=1)

    def segment(self, image, scribbles, state, report=silent):
        if np.count_nonzero(scribbles.counts) > 1:
            return super().segment(image, scribbles, state, report)
        drawn, grey = int(np.argmax(scribbles.counts)), image.data.mean(axis=0)
        own = np.abs(grey - grey[scribbles.seeds == drawn].mean()) < 50
        p = np.empty((2, *image.shape), np.float32)
        p[drawn], p[1 - drawn] = own, ~own
        return Segmentation(p, state)


@pytest.fixture
def gate(request):
    """A gate and the engine that waits at it."""
    name = request.node.name
    _GATES[name] = Gate()
    yield _GATES[name], Gated(gate=name)
    for _ in range(100):
        _GATES[name].go.release()


@pytest.fixture
def steps():
    """A volume of shape (6, 12, 16) whose value tells left (0) from right (100), the border moving with the slice."""
    array = np.zeros((6, 12, 16), np.int16)
    for z in range(6):
        array[z, :, 6 + z :] = 100
    return array


@pytest.fixture
def volume(steps):
    return Source.from_array(steps, spacing=(3.0, 1.0, 1.0))


@pytest.fixture
def painted():
    """Strokes for any of its slices: id 1 on the left, 2 on the right."""
    strokes = np.zeros((12, 16), np.uint8)
    strokes[3:9, 2] = 1
    strokes[3:9, 13] = 2
    return strokes


@pytest.fixture
def engines():
    """The engine classes for tests, by name."""
    return {"nearest": Nearest, "gated": Gated, "lying": Lying, "few": Few, "alone": Alone}
