import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import pytest

from napari_scribseg.core import (
    EngineInfo,
    InputError,
    Range,
    Shown,
    check_parameters,
    engine_names,
    parameters_of,
    parse_parameters,
)
from napari_scribseg.core.registry import engine_class


@dataclass(frozen=True)
class Mine:
    reach: Annotated[float, Range(0, 10)] = 1.0
    count: Annotated[int, Range(1, 4)] = 2
    kind: Literal["soft", "hard"] = "soft"
    path: str = ""
    anything: object = None

    def __post_init__(self):
        check_parameters(self)


@pytest.mark.parametrize(
    "values",
    [{}, {"reach": 0}, {"reach": np.float32(10)}, {"count": np.int64(4)}, {"kind": "hard"}, {"anything": [1]}],
)
def test_what_fits_is_taken(values):
    assert Mine(**values) == Mine(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reach": 11}, "reach is 11; expected 0 to 10"),
        ({"reach": -0.1}, "reach is -0.1; expected 0 to 10"),
        ({"reach": float("inf")}, "reach is inf; a finite number is expected"),
        ({"reach": "far"}, "reach is 'far'; a finite number is expected"),
        ({"reach": True}, "reach is True; a finite number is expected"),
        ({"count": 2.0}, "count is 2.0; a whole number is expected"),
        ({"count": 5}, "count is 5; expected 1 to 4"),
        ({"kind": "firm"}, "kind is 'firm'; expected one of soft, hard"),
        ({"path": 3}, "path is 3; text is expected"),
    ],
)
def test_what_does_not_fit_is_reported_in_one_message(values, message):
    with pytest.raises(InputError) as raised:
        Mine(**values)
    assert str(raised.value) == message


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

    info: ClassVar[EngineInfo] = EngineInfo(name="sample", title="Sample", summary="a sample")


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


def test_every_parameter_of_a_registered_engine_has_a_meaning():
    for name in engine_names():
        for parameter in parameters_of(engine_class(name)):
            assert parameter.doc, f"{name}.{parameter.name} tells nobody what it does"


def test_docs_of_a_base_class_are_found():
    @dataclass(frozen=True)
    class Derived(Sample):
        """A sample of samples.

        Parameters
        ----------
        extra : float
            Half of it.
        """

        extra: float = 0.5

    docs = {p.name: p.doc for p in parameters_of(Derived)}
    assert docs["smoothness"] == "Weight of the boundary, without unit."
    assert docs["extra"] == "Half of it."


def test_an_optional_number_has_its_range_too():
    check_parameters(Sample(sigma=None))
    check_parameters(Sample(sigma=0.1))
    with pytest.raises(InputError, match=r"sigma is 51; expected 0.1 to 50"):
        check_parameters(Sample(sigma=51))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("smoothness=1e-3", 1e-3),
        ("sigma=none", None),
        ("sigma=2", 2.0),
        ("rounds=7", 7),
        ("exact=True", True),
        ("model=paper", "paper"),
        ("note=none=x", "none=x"),
    ],
)
def test_texts_become_values_of_the_kind(text, value):
    (found,) = parse_parameters(Sample, [text]).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smoothness=high", "the parameter smoothness is 'high'; a number is expected"),
        ("sigma=high", "the parameter sigma is 'high'; a number or none is expected"),
        ("rounds=2.5", "the parameter rounds is '2.5'; a whole number is expected"),
        ("exact=perhaps", "the parameter exact is 'perhaps'; one of true, false is expected"),
        ("model=new", "the parameter model is 'new'; one of auto, paper is expected"),
        ("model", "the parameter 'model' has no '='; name=value is expected"),
        (
            "models=1",
            "'sample' has no parameter 'models'; it has smoothness, sigma, rounds, more, exact, model, note",
        ),
    ],
)
def test_texts_that_do_not_fit_are_refused(text, message):
    with pytest.raises(InputError) as raised:
        parse_parameters(Sample, [text])
    assert str(raised.value) == message


@dataclass(frozen=True)
class Described:
    """An engine.

    Parameters
    ----------
    plain_name : float
        See :class:`~napari_scribseg.core.Image`, :func:`the reader <x.y>` and ``"a"`` of :doi:`10.1/2`.
    mode : {"auto", "paper"}
        Of the model.
    width : float
        Of a kernel.
    """

    info: ClassVar[EngineInfo] = EngineInfo(name="described", title="Described", summary="a sample")

    plain_name: float = 1.0
    mode: Annotated[Literal["auto", "paper"], Shown("Settings", choices=("automatic", "as published"))] = "auto"
    width: Annotated[float, Range(0, 1), Shown("Tolerance", "How far.", when=("mode", ("paper",)))] | None = 0.5


def test_a_parameter_is_shown_in_the_user_s_words():
    plain, mode, width = parameters_of(Described)
    assert (plain.label, plain.tip) == ("plain name", 'See Image, the reader and "a" of 10.1/2.')
    assert (mode.label, mode.tip, mode.shown.choices) == ("Settings", "Of the model.", ("automatic", "as published"))
    assert (width.label, width.tip, width.shown.when) == ("Tolerance", "How far.", ("mode", ("paper",)))
    assert width.optional
    assert width.high == 1


@pytest.mark.parametrize("name", engine_names())
def test_every_engine_s_parameters_have_plain_words(name):
    parameters = parameters_of(engine_class(name))
    names = {parameter.name: parameter for parameter in parameters}
    assert len({parameter.label for parameter in parameters}) == len(parameters)
    for parameter in parameters:
        assert parameter.shown.label, parameter.name
        assert parameter.tip, parameter.name
        for text in (parameter.label, parameter.tip):
            assert not re.search(r"[`:]\w+:|``|sigma|alpha|gamma|lambda", text), text
            assert text.isascii(), text
        assert len(parameter.shown.choices) in (0, len(parameter.choices))
        if parameter.shown.when is not None:
            other, values = parameter.shown.when
            assert all(names[other].kind != "choice" or value in names[other].choices for value in values)
