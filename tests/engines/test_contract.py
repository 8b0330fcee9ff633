"""What every registered engine keeps: an engine is tested by being registered; only what makes it quick stands here."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import ndimage
from thin import thin_curves

from napari_scribseg.core import Cancelled, Image, InputError, Scribbles, engine_names, get_engine
from napari_scribseg.testing import check_engine, check_prior, two_discs

NAMES = engine_names()
QUICK = {  # parameters with which an engine answers within a second or two
    "cnn": {"steps": 20, "width": 4},
    "cnn-reg": {"steps": 20, "width": 4},
    "coarse-to-fine": {"samples": 16, "epochs": 1, "width": 8, "repeats": 2},
    "finetune": {"steps": 4},
    "pwn": {"steps": 20, "width": 4},
    "unet-single": {"steps": 20, "width": 4},
}
ENGINES = {name: (name, QUICK.get(name, {})) for name in NAMES} | {"svcd, as published": ("svcd", {"model": "paper"})}
CONTRACTS = [  # parameters, and the share of the pixels that is right on the easy picture where it is not 0.9
    ("cnn", {}, 0.6),
    ("cnn-reg", {}, 0.6),
    ("coarse-to-fine", QUICK["coarse-to-fine"], 0.8),
    ("finetune", {"steps": 20}, 0.6),
    ("pwn", {}, 0.6),
    ("svcd", {"model": "paper", "alpha": 8.0, "smoothness": 20.0}, 0.9),
    ("svcd", {"features": "colour+semantic"}, 0.6),
    ("unet-single", {"width": 4, "steps": 30}, 0.6),
    *((name, {}, 0.9) for name in NAMES if name not in QUICK),
]
PRIORS = {
    "cnn": {"steps": 40},
    "cnn-reg": {"steps": 20},
    "coarse-to-fine": {"samples": 40, "epochs": 1},
    "finetune": {"steps": 20},
    "unet-single": {"steps": 20},
}
BAD = [
    *(
        (name, parameters, message)
        for name in ("brs", "f-brs")
        for parameters, message in [
            ({"evaluations": 0}, "evaluations is 0; expected 1 to 1000"),
            ({"seconds": 0}, "seconds is 0; expected 0.1 to 3600"),
            ({"inertia": -1.0}, "inertia is -1.0; expected 0 to 10"),
            ({"objective": "best"}, "objective is 'best'; expected one of cross-entropy, squared"),
            ({"trust": "yes"}, "trust is 'yes'; True or False is expected"),
            ({"model": 3}, "model is 3; text is expected"),
        ]
    ),
    ("cnn", {"kernel": 4}, "kernel is 4; an odd number of pixels is expected"),
    ("cnn", {"depth": 0}, "depth is 0; expected 1 to 16"),
    (
        "cnn-reg",
        {"inputs": "colour"},
        "penalty is 'position', but the inputs are 'colour'; 'colour+position', say, is expected",
    ),
    ("cnn-reg", {"beta": -1.0}, "beta is -1.0; expected 0 to 1e+09"),
    ("coarse-to-fine", {"ratio": 1.0}, "ratio is 1.0; expected 2 to 32"),
    ("coarse-to-fine", {"mask": "guessed"}, "mask is 'guessed'; expected one of predicted, thresholded"),
    ("coarse-to-fine", {"samples": 2}, "samples is 2; expected 8 to 20000"),
    ("coarse-to-fine", {"sloppiness": -1.0}, "sloppiness is -1.0; expected 0 to 3"),
    ("finetune", {"frozen": "all"}, "frozen is 'all'; expected one of nothing, encoder, all but the last layer"),
    (
        "pwn",
        {"inputs": "color"},
        "inputs is 'color'; expected one of colour, position, semantic, colour+position, colour+semantic, "
        "position+semantic, colour+position+semantic",
    ),
    ("pwn", {"rate": float("nan")}, "rate is nan; a finite number is expected"),
    ("pwn", {"steps": 1.5}, "steps is 1.5; a whole number is expected"),
    ("scribble-net", {"weights": 3}, "weights is 3; text is expected"),
    ("scribble-net", {"crop": "tight"}, "crop is 'tight'; expected one of auto, whole"),
    ("scribble-net", {"refine": True}, "refine is True; expected one of edges, none"),
    ("scribble-net", {"hybrid": 1.5}, "hybrid is 1.5; expected 0 to 1"),
    ("scribble-net", {"hybrid": float("nan")}, "hybrid is nan; a finite number is expected"),
    ("scribble-net", {"passes": 3}, "passes is 3; expected 1 to 2"),
    ("scribble-net", {"passes": 1.5}, "passes is 1.5; a whole number is expected"),
    ("svcd", {"sigma": 0.0}, "sigma is 0.0; expected 0.1 to 100"),
    ("svcd", {"alpha": float("nan")}, "alpha is nan; a finite number is expected"),
    ("svcd", {"smoothness": -1.0}, "smoothness is -1.0; expected 0 to 1000"),
    ("svcd", {"gamma": "strong"}, "gamma is 'strong'; a finite number is expected"),
    ("svcd", {"model": "best"}, "model is 'best'; expected one of auto, paper"),
    ("unet-single", {"levels": 5}, "levels is 5; expected 0 to 4"),
]
UNPAINTED = {"coarse-to-fine": 1e-3}  # the most that a class without strokes gets, where it is not 0

pytestmark = pytest.mark.usefixtures("unhurried")
every_name = pytest.mark.parametrize("name", NAMES)
every_engine = pytest.mark.parametrize("engine", ENGINES, indirect=True)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def engine(request):
    name, parameters = ENGINES[request.param]
    return get_engine(name, **parameters)


def segment(engine, image, scribbles, state=None, report=lambda fraction, preview=None: None):
    """An answer with all that an answer promises, the stroke pixels where no outline was drawn."""
    made = engine.segment(image, scribbles, engine.prepare(image, "cpu") if state is None else state, report)
    p = made.probabilities
    assert p.shape == (scribbles.n_classes, *image.shape)
    assert p.dtype == np.float32
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-5)
    bound = made.binding(scribbles.seeds)
    assert np.array_equal(made.labels[bound], scribbles.seeds[bound])
    return made


@pytest.mark.parametrize(("name", "parameters", "accuracy"), CONTRACTS, ids=lambda value: str(value))
def test_contract(name, parameters, accuracy):
    check_engine(get_engine(name, **parameters), minimum_accuracy=accuracy)


def test_every_engine_has_a_contract():
    assert {name for name, _, _ in CONTRACTS} == {*NAMES}


@every_name
def test_labels_that_are_there_already_are_corrected(name):
    check_prior(get_engine(name, **PRIORS.get(name, {})))


@every_name
def test_registered_with_its_own_name(name):
    assert get_engine(name).info.name == name
    assert get_engine(name) == type(get_engine(name))()


def test_making_an_engine_loads_no_torch():
    code = (
        "import sys; from napari_scribseg import engine_names, get_engine\n"
        "engines = [get_engine(name) for name in engine_names()]\n"
        "assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@every_name
def test_every_parameter_is_checked_and_frozen(name):
    engine = get_engine(name)
    for field in dataclasses.fields(engine):
        with pytest.raises(InputError) as caught:
            get_engine(name, **{field.name: object()})
        assert str(caught.value).startswith(f"{field.name} is <object")
        assert "\n" not in str(caught.value)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(engine, field.name, getattr(engine, field.name))


@pytest.mark.parametrize(("name", "parameters", "message"), BAD)
def test_bad_parameters_are_refused_in_one_message(name, parameters, message):
    with pytest.raises(InputError) as caught:
        get_engine(name, **parameters)
    assert str(caught.value) == message


@every_name
def test_volumes_are_refused(name):
    image = Image.from_array(np.zeros((4, 5, 6)), (1, 1, 1))
    with pytest.raises(InputError, match=f"the image has 3 spatial axes; {name} takes 2"):
        get_engine(name).prepare(image, "cpu")


@every_engine
@pytest.mark.parametrize("channels", range(1, 10))
def test_images_of_1_to_9_channels(engine, channels):
    image, scribbles, _ = two_discs((30, 34), channels)
    segment(engine, image, scribbles)


@every_engine
def test_twelve_classes_and_one_without_strokes(engine):
    image = Image.from_array(np.random.default_rng(0).normal(0, 1, (60, 80)), (1, 1))
    seeds = np.full(image.shape, -1, dtype=np.int32)
    for k in range(12):
        seeds[6 + 20 * (k // 4) : 9 + 20 * (k // 4), 6 + 20 * (k % 4) : 16 + 20 * (k % 4)] = k
    made = segment(engine, image, Scribbles(seeds, 13))
    assert made.probabilities[12].max() <= UNPAINTED.get(engine.info.name, 0)
    assert not (made.labels == 12).any()


@every_engine
def test_strokes_on_every_pixel(engine):
    image, _, truth = two_discs((40, 50))
    segment(engine, image, Scribbles(truth.astype(np.int32), 3))


@every_engine
@pytest.mark.parametrize("shape", [(1, 30), (1, 60), (60, 1), (2, 2), (3, 50), (48, 64)])
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "noise"])
def test_odd_shapes_and_classes_without_strokes(engine, shape, constant):
    values = np.full(shape, 7.0) if constant else np.random.default_rng(0).normal(0, 500, shape)
    seeds = np.full(shape, -1, dtype=np.int32)
    seeds[0, 0], seeds[-1, -1] = 0, 2
    made = segment(engine, Image.from_array(values, (1, 2)), Scribbles(seeds, 4))
    assert made.probabilities[[1, 3]].max() <= UNPAINTED.get(engine.info.name, 0)
    assert not np.isin(made.labels, (1, 3)).any()


def with_a_stroke(scribbles):
    seeds = scribbles.seeds.copy()
    seeds[-3, 5:40] = 0
    return Scribbles(seeds, scribbles.n_classes, scribbles.ids)


@every_engine
def test_a_stroke_that_is_taken_back_leaves_no_trace(engine):
    image, scribbles, _ = two_discs()
    first = segment(engine, image, scribbles)
    more = segment(engine, image, with_a_stroke(scribbles), first.state)
    assert np.array_equal(segment(engine, image, scribbles, more.state).probabilities, first.probabilities)
    only = segment(engine, image, with_a_stroke(scribbles))
    assert np.array_equal(segment(engine, image, scribbles, only.state).probabilities, first.probabilities)


@every_engine
def test_stopped_at_any_report_it_results_as_if_it_had_not_been(engine):
    image, scribbles, _ = two_discs()
    reports = []
    expected = segment(engine, image, scribbles, report=lambda fraction, preview=None: reports.append(fraction))
    last = len(reports) - 1
    for stop in range(last) if last <= 24 else sorted({*range(6), *range(6, last, last // 6), last - 1}):
        state, left = engine.prepare(image, "cpu"), iter(range(stop))

        def cancel(fraction, preview=None, left=left):
            if next(left, None) is None:
                raise Cancelled

        with pytest.raises(Cancelled):
            engine.segment(image, scribbles, state, cancel)
        assert np.array_equal(segment(engine, image, scribbles, state).probabilities, expected.probabilities)


@every_engine
def test_previews_keep_the_strokes_and_stay_as_they_were_shown(engine):
    image, scribbles, _ = two_discs()
    fractions, shown = [], []

    def report(fraction, preview=None):
        fractions.append(fraction)
        if preview is not None:
            shown.append((preview, preview.probabilities.copy()))

    made = segment(engine, image, scribbles, report=report)
    assert fractions == sorted(fractions)
    valid = scribbles.seeds >= 0
    for preview, then in shown:
        assert np.array_equal(preview.probabilities, then)
        assert not np.shares_memory(preview.probabilities, made.probabilities)
        assert np.array_equal(preview.labels[valid], scribbles.seeds[valid])
        np.testing.assert_allclose(preview.probabilities.sum(0), 1, atol=1e-4)
    assert "preview" not in made.notes


READING = sorted(name for name in NAMES if "strokes" in {f.name for f in dataclasses.fields(get_engine(name))})


def test_every_engine_reads_strokes_but_that_of_outlines():
    assert set(NAMES) - set(READING) == {"coarse-to-fine"}


@pytest.mark.parametrize("name", READING)
def test_strokes_wider_than_the_structure_are_loose_where_the_image_shows_it(name):
    image, scribbles, truth = thin_curves()
    painted, spill = scribbles.seeds == 1, (scribbles.seeds == 1) & ~truth
    shown = []
    engine = get_engine(name, **QUICK.get(name, {}))
    made = segment(engine, image, scribbles, report=lambda fraction, preview=None: shown.append(preview))
    assert made.loose == (1,)
    assert (
        made.notes[0]
        == "strokes of class 1 follow something thinner than the pen; if not, choose Strokes: exact in Engine"
    )
    assert (made.labels[scribbles.seeds == 0] == 0).all()
    assert (made.labels[spill] == 1).mean() < 0.5
    assert (made.labels[painted & truth] == 1).mean() > 0.8
    assert all(preview.loose == (1,) for preview in shown if preview is not None)
    for stroke in ndimage.find_objects(ndimage.label(painted)[0]):
        assert (made.labels[stroke] == 1).any()
    exact = segment(dataclasses.replace(engine, strokes="exact"), image, scribbles)
    assert exact.loose == ()
    assert (exact.labels[painted] == 1).all()


@pytest.mark.parametrize("name", READING)
def test_exact_strokes_are_read_exactly_where_nothing_is_thin(name):
    image, scribbles, _ = two_discs()
    engine = get_engine(name, **QUICK.get(name, {}))
    made = segment(engine, image, scribbles)
    assert made.loose == ()
    exact = segment(dataclasses.replace(engine, strokes="exact"), image, scribbles)
    assert np.array_equal(made.probabilities, exact.probabilities)
    assert made.notes == exact.notes


@pytest.mark.parametrize("name", READING)
def test_of_loose_strokes_on_anything_the_middle_is_certain(name):
    image, scribbles, _ = two_discs((64, 96))
    seeds = scribbles.seeds.copy()
    for k in (1, 2):
        seeds[ndimage.binary_dilation(seeds == k, iterations=3)] = k
    wide = Scribbles(seeds, 3)
    made = segment(get_engine(name, strokes="loose", **QUICK.get(name, {})), image, wide)
    assert made.loose == (1, 2)
    assert made.notes[0] == "only the middle of the strokes of class 1 and class 2 is taken as certain"
    middle = scribbles.seeds >= 0
    assert np.array_equal(made.labels[middle], scribbles.seeds[middle])
