import subprocess
import sys

import numpy as np
import pytest
import torch
from skimage import data

from napari_scribseg.core import Cancelled, Image, InputError, Scribbles, Stroke
from napari_scribseg.engines.svcd import SVCD, pipeline
from napari_scribseg.engines.svcd.pipeline import SVCDState, segment
from napari_scribseg.io.sample_data import mr_volume
from napari_scribseg.numerics.fused.relaxation import HALO
from napari_scribseg.numerics.variational.compiled import paper_cost
from napari_scribseg.numerics.variational.multiscale import halvings_of, open_backend, solve_coarse_to_fine
from napari_scribseg.numerics.variational.reference import paper_cost as reference_cost
from napari_scribseg.numerics.variational.tensors import TensorBackend
from napari_scribseg.prompting.semantic import semantic_features
from napari_scribseg.testing import check_engine, two_discs

PAPER = SVCD(model="paper", alpha=8.0, smoothness=20.0)


def on_torch(engine, image, scribbles):
    """The answer of the torch path, on the CPU."""
    finest = min(image.spacing)
    pixel = (image.spacing[0] / finest, image.spacing[1] / finest)
    semantic = semantic_features(image.data) if engine.features == "colour+semantic" else None
    backend = TensorBackend(image, pixel, engine, "cpu", semantic)
    return segment(engine, scribbles, SVCDState(backend, "cpu"), lambda fraction, preview=None: None)


@pytest.mark.parametrize("engine", [SVCD(), PAPER], ids=["auto", "paper"])
@pytest.mark.parametrize("channels", [1, 3])
def test_compiled_and_torch_paths_agree(engine, channels):
    image, scribbles, _ = two_discs((61, 75), channels)
    compiled = engine.segment(image, scribbles, engine.prepare(image, "cpu"))
    tensors = on_torch(engine, image, scribbles)
    assert (compiled.labels == tensors.labels).mean() > 0.995


@pytest.mark.parametrize("shape", [(1, 30), (40, 1), (33, 50)])
@pytest.mark.parametrize("pixel", [(1.0, 1.0), (2.0, 1.0)])
def test_compiled_paper_cost_matches_the_reference(shape, pixel):
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (2, *shape)).astype(np.float32)
    seeds = np.where(rng.random(shape) < 0.1, rng.integers(0, 3, shape), -1).astype(np.int32)
    seeds.reshape(-1)[:2] = (0, 1)
    cost = paper_cost(image, seeds, 4, 10.0, 2.0, pixel).transpose(1, 0, 2)
    expected = reference_cost(torch.from_numpy(image).double(), torch.from_numpy(seeds), 4, 10.0, 2.0, pixel).numpy()
    np.testing.assert_allclose(cost, expected, atol=0.5)  # near EPSILON, where pairs may be skipped
    clear = expected < 10
    np.testing.assert_allclose(cost[clear], expected[clear], atol=2e-3)
    assert (cost[3] == 1000).all()


def test_published_parameters_are_the_defaults_of_the_published_model():
    engine = SVCD(model="paper")
    assert (engine.sigma, engine.alpha, engine.smoothness, engine.gamma) == (1.3, 1.8, 100.0, 5.0)
    image, scribbles, _ = two_discs()
    notes = engine.segment(image, scribbles, engine.prepare(image, "cpu")).notes
    assert any("sigma 1.3" in note and "alpha 1.8" in note for note in notes)


def test_too_many_classes_are_refused():
    image, _, _ = two_discs()
    seeds = np.full(image.shape, -1, dtype=np.int32)
    seeds[0, :21] = np.arange(21)
    with pytest.raises(InputError, match="21 classes were given; this engine takes at most 20"):
        SVCD().segment(image, Scribbles(seeds, 21), SVCD().prepare(image, "cpu"))


@pytest.mark.parametrize("labels", [2, 7, 20])
def test_2_to_20_labels_on_a_picture_of_stripes(labels):
    truth = np.repeat(np.arange(labels), 8)[None].repeat(40, 0)
    rng = np.random.default_rng(0)
    values = rng.permutation(labels)[truth] * 250 / labels
    image = Image.from_array(values + rng.normal(0, 1, truth.shape), (1, 1))
    seeds = np.full(truth.shape, -1, dtype=np.int32)
    seeds[18:22, 3::8] = truth[18:22, 3::8]
    result = SVCD().segment(image, Scribbles(seeds, labels), SVCD().prepare(image, "cpu"))
    assert (result.labels == truth).mean() > 0.9
    assert result.probabilities.dtype == np.float32
    np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-4)


def test_thin_strokes_do_not_collapse():
    """A one-pixel stroke in a grey disc of weak contrast, as in a medical slice, keeps its disc."""
    rows, columns = np.mgrid[:96, :96]
    truth = ((rows - 40) ** 2 + (columns - 52) ** 2 <= 14**2).astype(int)
    image = Image.from_array(400 + 90 * truth + np.random.default_rng(0).normal(0, 25, truth.shape), (1.5, 1.5))
    seeds = np.full(truth.shape, -1, dtype=np.int32)
    seeds[40, 46:58] = 1
    seeds[8, 10:80] = 0
    seeds[85, 10:80] = 0
    result = SVCD().segment(image, Scribbles(seeds, 2), SVCD().prepare(image, "cpu"))
    found = result.labels == 1
    assert 2 * (found & (truth == 1)).sum() / (found.sum() + truth.sum()) > 0.85


@pytest.mark.parametrize("scale", [(1.0, 0.0), (16.0, -1024.0), (257.0, 0.0), (1e-3, 5.0)])
def test_the_unit_of_the_intensities_does_not_matter(scale):
    image, scribbles, truth = two_discs()
    other = Image.from_array(image.data[0] * scale[0] + scale[1], (1, 1))
    result = SVCD().segment(other, scribbles, SVCD().prepare(other, "cpu"))
    assert (result.labels == truth).mean() > 0.97


def test_many_channels_each_count():
    image, scribbles, truth = two_discs(channels=1)
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 20, (5, *image.shape)).astype(np.float32)
    data = np.concatenate([noise, image.data]).astype(np.float32) * 100 + 1000
    many = Image(data, (1.0, 1.0))
    result = SVCD().segment(many, scribbles, SVCD().prepare(many, "cpu"))
    assert (result.labels == truth).mean() > 0.9


def test_anisotropic_pixels_are_measured_in_the_finest_one():
    """A picture sampled at every third row only, with its spacing told, is segmented like the whole."""
    image, scribbles, truth = two_discs((96, 96))
    coarse = Image.from_array(image.data[0, ::3], (3.0, 1.0))
    seeds = scribbles.seeds.reshape(32, 3, 96).max(1)
    engine = SVCD()
    result = engine.segment(coarse, Scribbles(seeds, 3), engine.prepare(coarse, "cpu"))
    assert (result.labels == truth[::3]).mean() > 0.97


def test_preview_comes_before_the_result_and_is_near_it():
    image, scribbles, _ = two_discs()
    seen = []
    engine = SVCD()
    result = engine.segment(image, scribbles, engine.prepare(image, "cpu"), lambda f, p=None: seen.append((f, p)))
    previews = [p for _, p in seen if p is not None]
    assert previews
    assert (previews[0].labels == result.labels).mean() > 0.95
    assert not np.shares_memory(previews[0].probabilities, result.probabilities)


@pytest.mark.parametrize("shape", [(61, 75), (64, 80)])
def test_large_images_are_previewed_at_half_the_resolution(monkeypatch, shape):
    image, scribbles, truth = two_discs(shape)
    engine = SVCD()
    expected = engine.segment(image, scribbles, engine.prepare(image, "cpu"))
    monkeypatch.setattr(pipeline, "LARGE", 1000)
    seen = []
    result = engine.segment(image, scribbles, engine.prepare(image, "cpu"), lambda f, p=None: seen.append(p))
    preview = next(p for p in seen if p is not None)
    assert preview.probabilities.shape == (3, *shape)
    assert (preview.labels == truth).mean() > 0.9
    valid = scribbles.seeds >= 0
    np.testing.assert_array_equal(preview.labels[valid], scribbles.seeds[valid])
    np.testing.assert_array_equal(result.probabilities, expected.probabilities)


def test_cancelling_at_any_moment_leaves_the_state_usable():
    image, scribbles, _ = two_discs()
    engine = SVCD()
    state = engine.prepare(image, "cpu")
    expected = engine.segment(image, scribbles, state)
    total = 0

    def count(fraction, preview=None):
        nonlocal total
        total += 1

    engine.segment(image, scribbles, state, count)
    for stop in range(total):
        left = stop

        def cancel(fraction, preview=None):
            nonlocal left
            if left == 0:
                raise Cancelled
            left -= 1

        with pytest.raises(Cancelled):
            engine.segment(image, scribbles, state, cancel)
    again = engine.segment(image, scribbles, state)
    np.testing.assert_array_equal(again.probabilities, expected.probabilities)


def test_the_result_depends_on_the_strokes_alone_not_on_what_came_before():
    image, scribbles, _ = two_discs()
    engine = SVCD()
    state = engine.prepare(image, "cpu")
    first = engine.segment(image, scribbles, state)
    seeds = scribbles.seeds.copy()
    seeds[-3, 5:40] = 0
    warm = engine.segment(image, Scribbles(seeds, 3), first.state)
    cold = engine.segment(image, Scribbles(seeds, 3), state)
    np.testing.assert_array_equal(warm.probabilities, cold.probabilities)
    erased = engine.segment(image, scribbles, warm.state)
    np.testing.assert_array_equal(erased.probabilities, first.probabilities)


def test_the_cpu_path_loads_no_torch():
    code = (
        "import sys, numpy as np\n"
        "from napari_scribseg import Image, Scribbles, get_engine\n"
        "engine = get_engine('svcd')\n"
        "painted = np.zeros((32, 32), int); painted[2, 3:9] = 1; painted[20, 3:9] = 2\n"
        "image = Image.from_array(np.arange(1024.0).reshape(32, 32), (1, 1))\n"
        "engine.segment(image, Scribbles.from_labels(painted), engine.prepare(image, 'cpu'))\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_cuda_without_a_card_is_one_message_and_with_one_keeps_the_contract():
    torch = pytest.importorskip("torch")
    image, _, _ = two_discs()
    if torch.cuda.is_available():
        check_engine(SVCD(), device="cuda")
        return
    with pytest.raises(InputError, match="'cuda' was asked for") as error:
        SVCD().prepare(image, "cuda")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", ["auto", "paper"])
@pytest.mark.parametrize("channels", [1, 3])
def test_semantic_features_as_more_channels(model, channels):
    engine = SVCD(model=model, alpha=8.0, smoothness=20.0, features="colour+semantic")
    image, scribbles, truth = two_discs((61, 75), channels)
    compiled = engine.segment(image, scribbles, engine.prepare(image, "cpu"))
    without = SVCD(model=model, alpha=8.0, smoothness=20.0)
    plain = without.segment(image, scribbles, without.prepare(image, "cpu"))
    assert not np.array_equal(compiled.probabilities, plain.probabilities)
    assert (compiled.labels == truth).mean() > 0.6  # what a network for real images makes of discs is not its best
    assert (compiled.labels == on_torch(engine, image, scribbles).labels).mean() > 0.99


@pytest.mark.parametrize("model", ["auto", "paper"])
def test_the_features_on_torch_are_those_on_the_cpu(model):
    engine = SVCD(model=model, features="colour+semantic")
    image, _, _ = two_discs(channels=3)
    state = engine.prepare(image, "cpu")
    backend = TensorBackend(image, (1.0, 1.0), engine, "cpu", semantic_features(image.data))
    other = SVCDState(backend, "cpu")
    shown, also = (engine.picture("semantic features", s) for s in (state, other))
    assert shown.dtype == also.dtype == np.float32
    np.testing.assert_allclose(also, shown, atol=1e-6)


def test_three_short_strokes_on_a_real_head_find_what_many_strokes_find():
    sample = mr_volume()
    image = Image.from_array(sample.array[18], sample.geometry.spacing[1:])
    engine = SVCD()
    many = Scribbles.from_labels(sample.painted[18], background=255)
    few = np.full(image.shape, -1, dtype=np.int32)
    for k, radius, points in [
        (0, 1.0, [(80, 110), (60, 115)]),
        (1, 1.0, [(65, 45), (72, 55)]),
        (2, 0.0, [(40, 68), (36, 69)]),
    ]:
        few[Stroke(np.asarray(points, float), radius, k).rasterize(few.shape)] = k
    expected = engine.segment(image, many, engine.prepare(image, "cpu")).labels
    found = engine.segment(image, Scribbles(few, 3), engine.prepare(image, "cpu")).labels
    for k in (1, 2):
        overlap = 2 * np.count_nonzero((found == k) & (expected == k))
        assert overlap > 0.9 * (np.count_nonzero(found == k) + np.count_nonzero(expected == k))


@pytest.mark.parametrize(
    ("name", "step", "device"), [("coffee", 10, "cpu"), ("astronaut", 14, "cpu"), ("astronaut", 14, "torch")]
)
def test_the_published_model_is_solved_until_hardly_a_label_changes(name, step, device):
    values = np.atleast_3d(getattr(data, name)()[::step, ::step])
    image = Image(values.transpose(2, 0, 1).astype(np.float32), (1.0, 1.0))
    (height, width), seeds = image.shape, np.full(image.shape, -1, dtype=np.int32)
    seeds[height // 2, width // 4 : width // 3] = 0
    seeds[height // 5, width // 2 : 3 * width // 4] = 1
    seeds[3 * height // 4 : 7 * height // 8, 3 * width // 4] = 2
    engine, scribbles = SVCD(model="paper"), Scribbles(seeds, 3)
    backend = open_backend(engine, image, "cpu") if device == "cpu" else TensorBackend(image, (1.0, 1.0), engine, "cpu")
    found = segment(engine, scribbles, SVCDState(backend, "cpu"), lambda fraction, preview=None: None).labels
    compiled = open_backend(engine, image, "cpu")
    solver = solve_coarse_to_fine(compiled, halvings_of(compiled, compiled.pose(engine, scribbles, (), quick=False)))
    solver.advance(8000)
    assert solver.advance(HALO, 1e-4) == 0
    assert (found == solver.primal().argmax(axis=0)).mean() >= 0.995
