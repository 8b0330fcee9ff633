"""``check_engine`` names the promise about a capability that an engine breaks."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.engines.svcd import SVCD
from napari_scribseg.testing import check_engine


@dataclasses.dataclass(frozen=True)
class Capable(SVCD):
    """A good engine with capabilities, which the cases below spoil."""

    slices: ClassVar = 3
    pictures: ClassVar = ("grey",)

    def unprompted(self, state):
        return np.full((2, 48, 64), 0.5, np.float32)

    def picture(self, name, state):
        if name != "grey":
            raise InputError(f"there is no picture {name!r}")
        return np.zeros((48, 64, 3), np.float32)


def wrong_picture(self, name, state):
    return np.zeros((48, 64, 3), np.float32) if name == "grey" else None


def narrow(self, state):
    return np.full((2, 48, 63), 0.5, np.float32)


def refuses(self, state):
    raise InputError("strokes are needed with these parameters")


def test_an_engine_with_every_capability_passes():
    check_engine(Capable())
    check_engine(type("NeedsStrokes", (Capable,), {"unprompted": refuses})())


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        ({"slices": 2}, "`slices` is odd, not 2"),
        ({"slices": 2.5}, "`slices` is odd, not 2.5"),
        ({"unprompted": narrow}, r"unprompted gives shape \(K, H, W\), not \(2, 48, 63\)"),
        ({"unprompted": lambda self, state: np.ones((2, 48, 64), np.float32)}, "unprompted gives probabilities"),
        ({"picture": wrong_picture}, "a picture that the engine does not have raises InputError"),
    ],
)
def test_a_broken_capability_is_named(spoiled, message):
    with pytest.raises(AssertionError, match=message):
        check_engine(type("Spoiled", (Capable,), spoiled)())


def test_half_a_capability_is_named():
    @dataclasses.dataclass(frozen=True)
    class Half:
        info: ClassVar = SVCD.info
        pictures: ClassVar = ("grey",)

        prepare, segment = SVCD.prepare, SVCD.segment
        model, sigma, alpha, smoothness, gamma = "auto", 1.3, 1.8, 100.0, 5.0
        features, backbone, strokes = "colour", "", "auto"

    with pytest.raises(AssertionError, match="an engine with pictures has both `pictures` and `picture"):
        check_engine(Half())
