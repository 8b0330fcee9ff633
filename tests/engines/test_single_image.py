import dataclasses

import numpy as np
import pytest
import torch

from napari_scribseg.core import Cancelled, Image, Scribbles, get_engine
from napari_scribseg.engines.single_image import CNN, PWN, CNNReg, UNetSingle, pipeline
from napari_scribseg.engines.single_image.stroke_samples import StrokeSamples
from napari_scribseg.testing import two_discs

ENGINES = [PWN(), CNN(), CNNReg(), UNetSingle(width=4, steps=30)]
NAMES = [e.info.name for e in ENGINES]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def result(engine, image, scribbles, state=None):
    return engine.segment(image, scribbles, state or engine.prepare(image, "cpu"))


@pytest.mark.parametrize("name", NAMES)
def test_colours_alone_separate_the_discs(name):
    image, scribbles, truth = two_discs(channels=3)
    colour = {"penalty": "colour", "beta": 1e5} if name == "cnn-reg" else {}
    found = result(get_engine(name, inputs="colour", **colour), image, scribbles)
    assert (found.labels == truth).mean() > (0.8 if name == "unet-single" else 0.9)


def test_the_notes_describe_the_fit_and_the_result_has_its_curve():
    image, scribbles, _ = two_discs()
    found = result(CNN(steps=20), image, scribbles)
    assert found.notes[0].startswith("fitted afresh: kept the weights of step")
    curve = found.curve
    assert len(curve.steps) == len(curve.training) == len(curve.validation) >= 2
    assert found.state.channels.shape == (1, *image.shape)
    assert CNN().prepare(image, "cpu").fitted is None


# a further stroke


def with_stroke(scribbles, index=1):
    seeds = scribbles.seeds.copy()
    seeds[10, 10:40] = index
    return Scribbles(seeds, scribbles.n_classes, scribbles.ids)


@pytest.mark.parametrize("name", NAMES)
def test_a_further_stroke_goes_on_from_the_last_weights(name):
    image, scribbles, _ = two_discs()
    engine = get_engine(name, steps=20, width=4)
    first = result(engine, image, scribbles)
    before = [p.detach().clone() for p in first.state.fitted.network.parameters()]
    more = with_stroke(scribbles, 0)
    second = result(engine, image, more, first.state)
    assert second.notes[0].startswith("continued from the last weights")
    assert second.curve.steps[-1] == 5
    for a, b in zip(before, first.state.fitted.network.parameters(), strict=True):
        assert torch.equal(a, b)
    again = result(engine, image, more, first.state)
    assert np.array_equal(again.probabilities, second.probabilities)


def test_the_same_strokes_get_the_same_result_without_a_fit():
    image, scribbles, _ = two_discs()
    first = result(CNN(), image, scribbles)
    second = result(CNN(), image, scribbles, first.state)
    assert np.array_equal(first.probabilities, second.probabilities)
    assert second.curve is first.curve


def test_a_stroke_that_was_taken_back_leaves_no_trace():
    image, scribbles, _ = two_discs()
    cold = result(PWN(), image, scribbles)
    drawn = result(PWN(), image, with_stroke(scribbles), cold.state)
    back = result(PWN(), image, scribbles, drawn.state)
    assert np.array_equal(back.probabilities, cold.probabilities)
    other = result(PWN(seed=1), image, scribbles, drawn.state)
    assert other.notes[0].startswith("fitted afresh")


@pytest.mark.parametrize("name", ["pwn", "unet-single"])
def test_a_new_class_joins_those_that_are_valid(name):
    image, scribbles, truth = two_discs(channels=3)
    engine = get_engine(name, inputs="colour", width=8)
    two = Scribbles(np.where(scribbles.seeds == 2, -1, scribbles.seeds).astype(np.int32), 2, (0, 7))
    first = result(engine, image, two)
    three = Scribbles(scribbles.seeds, 3, (0, 7, 5))
    second = result(engine, image, three, first.state)
    assert second.state.fitted.ids == (0, 7, 5)
    assert second.curve.steps[-1] > 25
    assert (second.labels == truth).mean() > (0.8 if name == "unet-single" else 0.9)


def test_the_seed_decides():
    image, scribbles, _ = two_discs()
    one, two, other = (result(CNN(seed=s, steps=10), image, scribbles).probabilities for s in (3, 3, 4))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_the_global_generator_is_left_alone():
    image, scribbles, _ = two_discs()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    result(UNetSingle(steps=1, width=2), image, scribbles)
    assert torch.equal(torch.rand(3), expected)


# inputs of all kinds


@pytest.mark.parametrize("name", NAMES)
def test_12_labels(name):
    truth = np.repeat(np.arange(12), 6)[None].repeat(40, 0)
    colours = np.stack(np.meshgrid((0, 120, 240), (0, 240), (0, 240)), -1).reshape(12, 3)
    image = Image.from_array(colours[truth].astype(np.uint8), (1, 1))
    seeds = np.full(truth.shape, -1, dtype=np.int32)
    seeds[10:30, 2::6] = truth[10:30, 2::6]
    settings = {"steps": 40} if name == "unet-single" else {"steps": 300}
    found = result(get_engine(name, **settings), image, Scribbles(seeds, 12))
    assert found.probabilities.shape == (12, *truth.shape)
    assert (found.labels == truth).mean() > (0.3 if name == "unet-single" else 0.6)


def test_of_very_many_stroke_pixels_some_are_taken_and_a_note_has_their_number():
    seeds = np.zeros((200, 200), dtype=np.int32)
    seeds[:4], seeds[50, 50:60] = 1, 2
    samples = StrokeSamples.of(Scribbles(seeds, 3), 0.0, 0, most=1500)
    counts = np.bincount(samples.targets)
    assert counts[2] == 10
    assert len(samples.pixels) <= 1500
    assert counts.min() > 9
    image = Image.from_array(np.random.default_rng(0).random((200, 200)), (1, 1))
    found = result(PWN(steps=1), image, Scribbles(seeds, 3))
    assert any(note.startswith("fitted to") and note.endswith("of 40000 stroke pixels") for note in found.notes)


def test_semantic_features_are_an_input_and_a_picture():
    image, scribbles, _ = two_discs(channels=3)
    found = result(PWN(inputs="colour+semantic", steps=5), image, scribbles)
    assert found.state.channels.shape[0] == 6
    picture = found.state.semantic
    assert picture.shape == (*image.shape, 3)
    assert 0 <= picture.min() < picture.max() <= 1
    assert PWN().prepare(image, "cpu").semantic is None


def test_positions_go_from_0_to_1_and_colours_too():
    image, _, _ = two_discs((20, 31), channels=3)
    state = CNN(inputs="colour+position").prepare(image, "cpu")
    colour, position = state.channels[state.where["colour"]], state.channels[state.where["position"]]
    assert (float(position[0, 0, 5]), float(position[0, -1, 5])) == (0, 1)
    assert (float(position[1, 3, 0]), float(position[1, 3, -1])) == (0, 1)
    assert colour.min() >= -0.3
    assert colour.max() <= 1.3


# reports


def test_previews_while_it_fits(monkeypatch):
    monkeypatch.setattr(pipeline, "PREVIEW_AFTER", 0.0)
    image, scribbles, _ = two_discs()
    seen = []

    def report(fraction, preview=None):
        seen.append((fraction, preview))

    engine = CNN(steps=20)
    engine.segment(image, scribbles, engine.prepare(image, "cpu"), report)
    previews = [p for _, p in seen if p is not None]
    assert len(previews) >= 3
    for preview in previews:
        assert "preview" in preview.notes
        np.testing.assert_allclose(preview.probabilities.sum(0), 1, atol=1e-5)
    assert [f for f, _ in seen] == sorted(f for f, _ in seen)


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_stopped_in_the_middle_without_harm(name):
    image, scribbles, _ = two_discs()
    engine = get_engine(name, steps=30, width=4)
    first = result(engine, image, scribbles)
    calls = 0

    def stop(fraction, preview=None):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        engine.segment(image, with_stroke(scribbles), first.state, stop)
    again = result(engine, image, scribbles, first.state)
    assert np.array_equal(again.probabilities, first.probabilities)
    assert torch.get_num_threads() == 1


# bad input


def test_the_penalty_changes_the_result():
    image, scribbles, _ = two_discs()
    weak, strong = (result(dataclasses.replace(CNNReg(), beta=b), image, scribbles) for b in (0.0, 1e8))
    plain = result(CNN(inputs="colour+position"), image, scribbles)
    assert np.array_equal(weak.labels, plain.labels)
    assert not np.array_equal(strong.labels, plain.labels)
