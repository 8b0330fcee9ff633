"""What issues ask of every engine that is fitted to one image, and of svcd with semantic features, in one table."""

import numpy as np
import pytest
import torch

from napari_scribseg.core import Image, InputError, LossCurve, Scribbles, get_engine, pictures_of
from napari_scribseg.nets import PlainUNet, PlainUNetConfig, save_model
from napari_scribseg.testing import check_engine, two_discs

QUICK = {
    "pwn": {"steps": 5},
    "cnn": {"steps": 5, "width": 4},
    "cnn-reg": {"steps": 5, "width": 4},
    "unet-single": {"steps": 3, "width": 4},
    "finetune": {"steps": 2},
    "coarse-to-fine": {"samples": 16, "epochs": 2, "width": 8, "repeats": 2},
    "svcd": {"features": "colour+semantic"},
}
FITTED = [name for name in QUICK if name != "svcd"]
SEMANTIC = {
    "pwn": {"inputs": "colour+semantic"},
    "cnn": {"inputs": "semantic"},
    "cnn-reg": {"inputs": "colour+position+semantic"},
    "unet-single": {"inputs": "position+semantic"},
    "svcd": {"features": "colour+semantic"},
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small untrained network, which is all that a test of input kinds needs."""
    torch.manual_seed(0)
    net = PlainUNet(PlainUNetConfig(in_channels=3, channels=(8, 16), patch=1)).eval()
    return str(save_model(tmp_path_factory.mktemp("weights") / "small.safetensors", net))


@pytest.fixture
def quick(weights):
    """An engine by its name, quick; more parameters on top."""

    def make(name, **more):
        own = {"weights": weights} if name == "finetune" else {}
        return get_engine(name, **{**QUICK[name], **own, **more})

    return make


def result(engine, image, scribbles, report=None):
    state = engine.prepare(image, "cpu")
    return engine.segment(image, scribbles, state, *(() if report is None else (report,)))


def sound(found, scribbles):
    """Check that a result holds probabilities, and strokes have their class where they are not outlines."""
    np.testing.assert_allclose(found.probabilities.sum(0), 1, atol=1e-4)
    assert found.probabilities.shape == (scribbles.n_classes, *scribbles.shape)
    valid = scribbles.seeds >= 0
    if not found.outlines:
        assert np.array_equal(found.labels[valid], scribbles.seeds[valid])


@pytest.mark.parametrize("name", QUICK)
def test_one_stroke(quick, name):
    """Of one class of two: enough for an engine that says so; the others ask for strokes of a second class."""
    image, scribbles, _ = two_discs()
    alone = Scribbles(np.where(scribbles.seeds == 1, 1, -1).astype(np.int32), 2)
    engine = quick(name)
    if engine.info.min_classes == 1:
        sound(result(engine, image, alone), alone)
        return
    with pytest.raises(InputError) as caught:
        result(engine, image, alone)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", QUICK)
def test_one_pixel_of_each_of_two_classes(quick, name):
    image, _, _ = two_discs()
    seeds = np.full(image.shape, -1, np.int32)
    seeds[2, 5], seeds[24, 17] = 0, 1
    scribbles = Scribbles(seeds, 2)
    sound(result(quick(name), image, scribbles), scribbles)


@pytest.mark.parametrize("name", QUICK)
def test_one_label(quick, name):
    """A single class leaves nothing to tell apart, and that is said in one sentence."""
    image, scribbles, _ = two_discs()
    with pytest.raises(InputError, match="one class") as caught:
        result(quick(name), image, Scribbles(np.where(scribbles.seeds == 1, 0, -1).astype(np.int32), 1))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", QUICK)
def test_strokes_on_every_pixel(quick, name):
    image, _, truth = two_discs()
    scribbles = Scribbles(truth.astype(np.int32), 3)
    found = result(quick(name), image, scribbles)
    sound(found, scribbles)
    assert (found.labels == truth).mean() > 0.9


@pytest.mark.parametrize("name", QUICK)
def test_12_labels(quick, name):
    truth = np.repeat(np.arange(12), 5)[None].repeat(40, 0)
    colours = np.stack(np.meshgrid((0, 120, 240), (0, 240), (0, 240)), -1).reshape(12, 3)
    image = Image.from_array(colours[truth].astype(np.uint8), (1, 1))
    seeds = np.full(truth.shape, -1, np.int32)
    seeds[10:30, 2::5] = truth[10:30, 2::5]
    scribbles = Scribbles(seeds, 12, tuple(range(3, 15)))
    sound(result(quick(name), image, scribbles), scribbles)


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("name", QUICK)
def test_images_of_1_to_8_channels(quick, name, channels):
    image, scribbles, _ = two_discs((30, 34), channels)
    sound(result(quick(name), image, scribbles), scribbles)


# the curve of the fit


@pytest.mark.parametrize("name", FITTED)
def test_the_result_has_the_curve_of_its_fit(quick, name):
    image, scribbles, _ = two_discs()
    curve = result(quick(name), image, scribbles).curve
    assert isinstance(curve, LossCurve)
    assert np.isfinite(curve.training).all()
    assert np.isfinite(curve.validation).any()
    assert curve.steps[-1] <= curve.max_steps
    judged = np.flatnonzero(np.isfinite(curve.validation))
    best = judged[curve.validation[judged].argmin()]
    assert curve.validation[list(curve.steps).index(curve.best)] <= 1.01 * curve.validation[best]


@pytest.mark.parametrize("name", FITTED)
def test_previews_have_the_curve_so_far(quick, name, monkeypatch):
    monkeypatch.setattr("napari_scribseg.engines.single_image.pipeline.PREVIEW_AFTER", 0.0)
    monkeypatch.setattr("napari_scribseg.engines.coarse_to_fine.pipeline.CURVE_EVERY", 0.0)
    image, scribbles, _ = two_discs()
    more = {"samples": 320} if name == "coarse-to-fine" else {"steps": 16}
    seen = []
    found = result(
        quick(name, **more), image, scribbles, lambda _, preview=None: seen.append(preview and preview.curve)
    )
    curves = [curve for curve in seen if curve is not None]
    assert len(curves) >= 3
    lengths = [len(curve.steps) for curve in curves]
    assert lengths == sorted(set(lengths))
    for curve in curves:
        assert curve.max_steps == found.curve.max_steps
        assert np.array_equal(curve.training, found.curve.training[: len(curve.steps)])


def test_an_engine_that_fits_nothing_has_no_curve(quick):
    image, scribbles, _ = two_discs()
    assert result(quick("svcd"), image, scribbles).curve is None


def test_without_strokes_held_back_the_last_step_is_kept(quick):
    image, scribbles, _ = two_discs()
    curve = result(quick("cnn", held_back=0.0, steps=12), image, scribbles).curve
    assert np.isnan(curve.validation).all()
    assert curve.best == curve.steps[-1] == curve.max_steps == 12


def test_the_early_stop_is_seen(quick):
    image, scribbles, _ = two_discs()
    curve = result(quick("cnn", steps=100000, rate=0.1), image, scribbles).curve
    assert curve.ended_early
    assert curve.best < curve.steps[-1] < 100000


# pictures


@pytest.mark.parametrize("name", SEMANTIC)
def test_semantic_features_can_be_shown(quick, name):
    engine = quick(name, **SEMANTIC[name])
    assert pictures_of(engine) == ("semantic features",)
    image, _, _ = two_discs(channels=3)
    picture = engine.picture("semantic features", engine.prepare(image, "cpu"))
    assert picture.shape == (*image.shape, 3)
    assert 0 <= picture.min() < picture.max() <= 1
    with pytest.raises(InputError, match="no picture 'colours'; .* has semantic features"):
        engine.picture("colours", engine.prepare(image, "cpu"))


def test_every_engine_shows_the_same_features(quick):
    image, _, _ = two_discs(channels=3)
    shown = [
        engine.picture("semantic features", engine.prepare(image, "cpu"))
        for engine in (
            quick("pwn", inputs="colour+semantic"),
            quick("svcd"),
            quick("svcd", model="paper"),
        )
    ]
    for other in shown[1:]:
        np.testing.assert_allclose(other, shown[0], atol=1e-6)


@pytest.mark.parametrize("name", ["pwn", "finetune"])
def test_without_semantic_inputs_there_is_no_picture(quick, name):
    assert pictures_of(quick(name)) == ()
    assert pictures_of(get_engine("svcd")) == ()


@pytest.mark.parametrize("name", ["pwn", "svcd"])
def test_the_contract_with_pictures(quick, name):
    check_engine(quick(name, **SEMANTIC[name]), minimum_accuracy=0.5)
