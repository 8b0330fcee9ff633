import math
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from qtpy.QtWidgets import QLabel

from napari_scribseg.core import Range
from napari_scribseg.core.registry import engine_class, engine_infos
from napari_scribseg.widgets.segmentation.engine_form import EngineForm


@dataclass(frozen=True)
class Sample:
    smoothness: Annotated[float, Range(0, 100)] = 20.0
    sigma: Annotated[float, Range(0.1, 50, 0.1)] | None = None
    rounds: Annotated[int, Range(1, 9)] = 3
    exact: bool = False
    model: Literal["auto", "paper"] = "auto"


@dataclass(frozen=True)
class Other:
    weight: Annotated[float, Range(1e-6, 1.0)] = 1e-4


@pytest.fixture
def form(qtbot):
    form = EngineForm()
    qtbot.addWidget(form)
    form.show_engine(Sample)
    return form


def test_untouched_form_gives_no_values(form):
    assert form.values == {}
    Sample(**form.values)


def test_changed_values_are_reported(form):
    events = []
    form.changed.connect(events.append)
    form["smoothness"].field.value = 35.0
    form["model"].field.value = "paper"
    form["exact"].field.value = True
    form["rounds"].field.value = 5
    assert events[-1] == {"smoothness": 35.0, "model": "paper", "exact": True, "rounds": 5}
    assert isinstance(events[-1]["rounds"], int)


def test_auto_box_stands_for_none(form):
    assert form["sigma"].value is None
    assert not form["sigma"].field.enabled
    form["sigma"].auto.value = False
    form["sigma"].field.value = 2.5
    assert form.values == {"sigma": 2.5}
    form["sigma"].auto.value = True
    assert form.values == {}


def test_values_stay_in_the_range(form):
    with pytest.raises(ValueError, match="100"):
        form["smoothness"].field.value = 1000


def test_reset_reports_once(form):
    form["rounds"].field.value = 7
    events = []
    form.changed.connect(events.append)
    form.reset()
    assert events == [{}]


def test_another_engine_replaces_the_rows(form):
    form.show_engine(Other, {"weight": 3e-5})
    assert form.values == {"weight": pytest.approx(3e-5)}
    with pytest.raises(KeyError):
        form["sigma"]


def test_small_numbers_are_not_rounded_away(form):
    form.show_engine(Other)
    assert form.values == {}
    form["weight"].field.value = 2e-5
    assert form.values == {"weight": pytest.approx(2e-5)}


def ends(row):
    """Values at the ends of a field's range, or each of its choices."""
    parameter = row.parameter
    if parameter.kind == "choice":
        return list(parameter.choices)
    if parameter.kind == "bool":
        return [True, False]
    if parameter.kind == "text":
        return ["a", ""]
    return [end for end in (parameter.low, parameter.high) if math.isfinite(end)]


def same(found, expected):
    return found == (pytest.approx(expected) if isinstance(expected, float) else expected)


@pytest.mark.parametrize("name", sorted(engine_infos()))
def test_the_form_of_every_engine_gives_back_what_was_put_in(form, name):
    made = engine_class(name)
    form.show_engine(made)
    assert form.values == {}
    shown = {field: form[field].value for field in form}
    assert made(**shown) == made()
    for field in form:
        if form[field].auto is not None:
            form[field].auto.value = False
        for value in ends(form[field]):
            form[field].value = value
            assert same(form[field].value, value)
            form.show_engine(made, form.values)  # as when another engine was looked at in between
            assert same(form[field].value, value)
        form.show_engine(made)


@dataclass(frozen=True)
class Unbounded:
    learning: float = 1e7
    rate: Annotated[float, Range(0, 1e9)] = 123456.789
    count: int = 3_000_000


def test_a_default_of_any_size_is_shown_as_it_is(form):
    form.show_engine(Unbounded)
    assert form.values == {}
    assert Unbounded(**{name: form[name].value for name in form}) == Unbounded()
    form["learning"].field.value = 2e9
    assert form.values == {"learning": 2e9}


def test_a_value_finer_than_the_step_is_not_rounded(form):
    form.show_engine(Sample, {"sigma": 0.123456, "smoothness": 33.333333})
    assert form.values == {"sigma": 0.123456, "smoothness": 33.333333}


def test_parameters_of_a_mode_that_is_off_are_hidden(form):
    form.show_engine(engine_class("svcd"))
    form.show()
    assert not form["sigma"].widget.native.isVisible()
    form["model"].field.value = "paper"
    assert form["sigma"].widget.native.isVisible()
    form["sigma"].field.value = 3.0
    assert form.values == {"model": "paper", "sigma": 3.0}
    form.reset()
    assert not form["sigma"].widget.native.isVisible()
    form.show_engine(engine_class("svcd"), {"model": "paper"})
    assert not form["sigma"].widget.native.isHidden()


def test_the_form_has_the_user_s_words(form):
    form.show_engine(engine_class("svcd"))
    labels = [label.text() for label in form.findChildren(QLabel)]
    assert "Smoothness" in labels
    assert "Colour tolerance" in labels
    assert form["model"].field.native.currentText() == "automatic"
    assert form["smoothness"].field.tooltip.startswith("Larger: rounder")
