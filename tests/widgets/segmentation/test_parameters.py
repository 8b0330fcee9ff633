from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from napari_scribseg.core import Range, engine_names
from napari_scribseg.core.registry import engine_class
from napari_scribseg.widgets.segmentation.parameters import parameters_of


@dataclass(frozen=True)
class Sample:
    """A sample.

    Parameters
    ----------
    smoothness : float
        Weight of the boundary,
        without unit.
    rounds, more : int
        How often.

    Raises
    ------
    InputError
        Never.
    """

    smoothness: Annotated[float, Range(0, 100)] = 20.0
    sigma: Annotated[float, Range(0.1, 50, 0.1, "width, in grey values")] | None = None
    rounds: int = 3
    more: int = 1
    exact: bool = False
    model: Literal["auto", "paper"] = "auto"
    note: str = ""
    table: tuple[int, ...] = ()


def found():
    return {p.name: p for p in parameters_of(Sample)}


def test_kinds_and_defaults():
    assert {name: (p.kind, p.default) for name, p in found().items()} == {
        "smoothness": ("float", 20.0),
        "sigma": ("float", None),
        "rounds": ("int", 3),
        "more": ("int", 1),
        "exact": ("bool", False),
        "model": ("choice", "auto"),
        "note": ("text", ""),
    }


def test_range_inside_an_optional_is_found():
    sigma = found()["sigma"]
    assert (sigma.low, sigma.high, sigma.step, sigma.optional) == (0.1, 50, 0.1, True)
    assert not found()["smoothness"].optional


def test_docs_come_from_the_range_or_the_docstring():
    assert found()["sigma"].doc == "width, in grey values"
    assert found()["smoothness"].doc == "Weight of the boundary, without unit."
    assert found()["rounds"].doc == found()["more"].doc == "How often."


@pytest.mark.parametrize(("default", "step"), [(20.0, 1.0), (0.5, 0.1), (1e-4, 1e-5), (0.0, 1.0)])
def test_step_follows_the_default(default, step):
    @dataclass(frozen=True)
    class One:
        a: Annotated[float, Range(0, 100)] = default

    assert parameters_of(One)[0].step == pytest.approx(step)


def test_every_registered_engine_has_a_form():
    for name in engine_names():
        for parameter in parameters_of(engine_class(name)):
            assert parameter.doc, f"{name}.{parameter.name} tells nobody what it does"
