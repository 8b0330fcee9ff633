from pathlib import Path

import numpy as np
import pytest
import torch
from brs_networks import SHAPE, Levels, disc_network, discs, levels_picture

from napari_scribseg.annotate.engine_cache import size_of
from napari_scribseg.core import Cancelled, Image, InputError, Scribbles
from napari_scribseg.engines.brs import BRS, FBRS, ModelCard, minimise, write_card
from napari_scribseg.nets import save_model

pytestmark = pytest.mark.usefixtures("unhurried")

UNKNOWN = -1


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "discs.safetensors"
    save_model(path, disc_network(), {"prompt": "none"})
    write_card(path, ModelCard(normalisation="none"))
    return str(path)


@pytest.fixture(scope="module")
def levels(tmp_path_factory):
    """A network of three outputs as torch.export writes it."""
    path = tmp_path_factory.mktemp("net") / "levels.pt2"
    axes = {2: torch.export.Dim("rows", min=4, max=512), 3: torch.export.Dim("columns", min=4, max=512)}
    program = torch.export.export(Levels().eval(), (torch.zeros(1, 1, 20, 24),), dynamic_shapes={"x": axes})
    torch.export.save(program, path)
    write_card(path, ModelCard(normalisation="none"))
    return str(path)


@pytest.fixture(scope="module")
def scene():
    """A bright disc and a dim one, which the network misses; strokes that want the dim one."""
    values, truth = discs(np.random.default_rng(5), levels=(1.0, 0.35))
    seeds = np.full(SHAPE, UNKNOWN, dtype=np.int32)
    for k in (0, 1):
        rows, columns = (round(float(v)) for v in np.argwhere(truth == k + 1).mean(0))
        seeds[rows, columns - 2 : columns + 3] = k
    seeds[1, 2:-2] = 0
    return Image.from_array(values, (1.0, 1.0)), truth, seeds


def result(engine, image, seeds, n_classes=2, state=None, report=lambda fraction, preview=None: None, ids=()):
    scribbles = Scribbles(seeds, n_classes, ids)
    made = engine.segment(image, scribbles, engine.prepare(image, "cpu") if state is None else state, report)
    p = made.probabilities
    assert p.shape == (n_classes, *image.shape)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-4)
    valid = seeds >= 0
    assert np.array_equal(made.labels[valid], seeds[valid])
    return made


def seed_accuracy(made):
    """Shares of the stroke pixels that the network got right: after, and before it was corrected."""
    words = made.notes[0].replace(",", "").split()
    numbers = [float(words[i]) for i, word in enumerate(words[1:]) if word == "%"]
    return (numbers[0], numbers[-1])


@pytest.mark.parametrize("objective", ["squared", "cross-entropy"])
def test_a_network_is_corrected_where_strokes_contradict_it(model, scene, objective):
    image, _, seeds = scene
    made = result(BRS(model=model, evaluations=60, objective=objective), image, seeds)
    after, before = seed_accuracy(made)
    assert before < 90
    assert after >= 99


def test_bfloat16_corrects_as_well_with_nearly_the_same_result(model, scene):
    image, _, seeds = scene
    exact, half = (result(BRS(model=model, evaluations=60, precision=p), image, seeds) for p in ("float32", "bfloat16"))
    assert seed_accuracy(half)[0] >= 99
    assert not np.array_equal(half.probabilities, exact.probabilities)
    assert (half.labels == exact.labels).mean() > 0.98


@pytest.mark.parametrize("layer", ["A", "B", "C"])
def test_f_brs_corrects_more(model, scene, layer):
    image, _, seeds = scene
    after, before = seed_accuracy(result(FBRS(model=model, layer=layer, evaluations=60), image, seeds))
    assert after >= before if layer == "C" else after > before  # C has only six channels to correct


def test_where_the_network_is_right_its_result_stays_bit_for_bit(model):
    values, truth = discs(np.random.default_rng(5))
    image = Image.from_array(values, (1.0, 1.0))
    seeds = np.full(SHAPE, UNKNOWN, dtype=np.int32)
    row, column = (round(float(v)) for v in np.argwhere(truth == 1).mean(0))
    seeds[row, column], seeds[0, :5] = 1, 0
    for engine in (BRS(model=model), FBRS(model=model)):
        state = engine.prepare(image, "cpu")
        own = torch.sigmoid(disc_network()(torch.from_numpy(values)[None, None]).detach())[0, 0].numpy()
        made = result(engine, image, seeds, state=state)
        rest = seeds < 0
        assert np.array_equal(made.probabilities[:, rest], engine.unprompted(state)[:, rest])
        np.testing.assert_allclose(engine.unprompted(state)[1], own, atol=1e-6)
        assert "agrees with 100.0 %" in made.notes[0]


@pytest.mark.parametrize("kind", [BRS, FBRS])
def test_corrections_persist(model, scene, kind):
    image, _, seeds = scene
    engine = kind(model=model, evaluations=60)
    first = result(engine, image, seeds)
    more = seeds.copy()
    more[3, 2:-2] = 0
    warm, cold = result(engine, image, more, state=first.state), result(engine, image, more)
    assert seed_accuracy(warm)[1] >= seed_accuracy(cold)[1]  # before anything is evaluated
    if kind is BRS:
        assert seed_accuracy(warm)[1] > seed_accuracy(cold)[1]
        assert np.array_equal(result(engine, image, seeds, state=first.state).labels, first.labels)


def test_strokes_taken_back_are_discarded(model, scene):
    image, _, seeds = scene
    engine = BRS(model=model, evaluations=60)
    first = result(engine, image, seeds)
    fewer = np.where(seeds == 0, seeds, UNKNOWN)
    again = result(engine, image, fewer, state=first.state)
    assert np.array_equal(again.probabilities, result(engine, image, fewer).probabilities)


@pytest.mark.parametrize("kind", [BRS, FBRS])
def test_the_same_strokes_give_the_same_result(model, scene, kind):
    image, _, seeds = scene
    engine = kind(model=model)
    one, two = (result(engine, image, seeds).probabilities for _ in range(2))
    assert np.array_equal(one, two)


def test_the_first_correction_is_shown_before_the_last(model, scene):
    image, _, seeds = scene
    seen = []

    def report(fraction, preview=None):
        seen.append((fraction, preview))

    last = result(BRS(model=model, evaluations=60), image, seeds, report=report)
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    previews = [preview for _, preview in seen if preview is not None]
    assert len(previews) >= 2
    assert not np.array_equal(previews[0].probabilities, previews[1].probabilities)
    for preview in previews:
        assert np.array_equal(preview.labels[seeds >= 0], seeds[seeds >= 0])
        assert preview.notes[-1] == "preview"
    assert last.notes[-1] != "preview"


@pytest.mark.parametrize("kind", [BRS, FBRS])
@pytest.mark.parametrize("after", [0, 3, 5])
def test_cancelled_at_any_time(model, scene, kind, after):
    image, _, seeds = scene
    engine, calls = kind(model=model), []
    state = engine.prepare(image, "cpu")

    def report(fraction, preview=None):
        calls.append(fraction)
        if len(calls) > after:
            raise Cancelled

    with pytest.raises(Cancelled):
        result(engine, image, seeds, state=state, report=report)
    assert np.array_equal(
        result(engine, image, seeds, state=state).probabilities, result(engine, image, seeds).probabilities
    )


@pytest.mark.parametrize("kind", [BRS, FBRS])
def test_the_budget_of_evaluations_is_kept(model, scene, kind):
    image, _, seeds = scene
    made = result(kind(model=model, evaluations=2), image, seeds)
    assert "before 2 evaluations" in made.notes[0]


def test_the_budget_of_time_is_kept(model, scene, monkeypatch):
    shows = iter([False, False, True])
    monkeypatch.setattr(minimise.Budget, "late", property(lambda self: next(shows)))
    image, _, seeds = scene
    made = result(BRS(model=model, evaluations=1000), image, seeds)
    assert "before 2 evaluations" in made.notes[0]


def test_one_of_two_classes_is_enough(model, scene):
    image, truth, seeds = scene
    for index in (0, 1):
        alone = np.where(seeds == index, seeds, UNKNOWN)
        made = result(BRS(model=model, evaluations=60), image, alone)
        assert any("one class was drawn" in note for note in made.notes)
    only_dim = result(BRS(model=model, evaluations=60), image, np.where(seeds == 1, seeds, UNKNOWN))
    assert (only_dim.labels[truth == 1] == 1).mean() > 0.9  # the network's own object stays


def test_each_of_many_classes_is_predicted_against_the_rest(model, scene):
    image, truth, seeds = scene
    three = np.full(SHAPE, UNKNOWN, dtype=np.int32)
    three[1, 2:-2] = 0
    three[(seeds == 0) & (truth == 1)], three[seeds == 1] = 1, 2
    made = result(BRS(model=model, evaluations=60), image, three, 3)
    assert seed_accuracy(made)[0] >= 99
    assert set(made.state.former.zoom_ins) == {1, 2}  # the background is what is left
    away = result(BRS(model=model, evaluations=60), image, three, 3, ids=(4, 5, 6))
    assert set(away.state.former.zoom_ins) == {4, 5, 6}  # none of them is the background


@pytest.mark.parametrize("kind", [BRS, FBRS])
def test_a_network_of_many_classes(levels, kind):
    image, truth = levels_picture()
    engine = kind(model=levels, trust=True, evaluations=60)
    seeds = np.full(truth.shape, UNKNOWN, dtype=np.int32)
    for k in range(3):
        seeds[4, 16 * k + 6] = k
    made = result(engine, image, seeds, 3)
    assert (made.labels == truth).all()
    seeds[20, 5:8] = 2  # on class 0
    corrected = result(engine, image, seeds, 3)
    assert seed_accuracy(corrected)[1] < 100
    if kind is BRS:
        assert seed_accuracy(corrected)[0] == 100
        assert (corrected.labels == truth).mean() > 0.95


def test_only_the_cross_entropy_moves_a_network_that_is_sure_and_wrong(levels):
    image, truth = levels_picture()
    seeds = np.full(truth.shape, UNKNOWN, dtype=np.int32)
    seeds[4, 6], seeds[4, 22], seeds[20, 5:8] = 0, 1, 2  # the network gives class 2 a probability of e^-35 there
    published = BRS(model=levels, trust=True, evaluations=60, objective="squared")
    assert seed_accuracy(result(published, image, seeds, 3))[0] < 100
    assert seed_accuracy(result(BRS(model=levels, trust=True, evaluations=60), image, seeds, 3))[0] == 100


def test_outputs_and_classes_are_matched_by_ids(levels, tmp_path):
    image, truth = levels_picture()
    seeds = np.full(truth.shape, UNKNOWN, dtype=np.int32)
    seeds[4, 6], seeds[4, 38] = 0, 1
    engine = BRS(model=levels, trust=True)
    with pytest.raises(InputError, match=r"levels\.pt2 has 3 classes, and strokes of 2 were given; paint all"):
        result(engine, image, seeds)
    copy = tmp_path / "levels.pt2"
    copy.write_bytes(Path(levels).read_bytes())
    write_card(copy, ModelCard(normalisation="none", ids=(0, 3, 7)))
    engine = BRS(model=str(copy), trust=True)
    made = result(engine, image, seeds, ids=(0, 7))  # nobody painted 3: it belongs to the background
    assert np.array_equal(made.labels, truth == 2)
    made = result(engine, image, seeds, ids=(3, 7))
    assert np.array_equal(made.labels == 1, truth == 2)
    with pytest.raises(InputError, match="has no output for the label id 5; its outputs stand for 0, 3, 7"):
        result(engine, image, seeds, ids=(0, 5))


def test_sizes_and_spacings_that_differ(model, tmp_path, scene):
    image, _, seeds = scene
    made = result(BRS(model=model, evaluations=60), image, seeds)
    path = tmp_path / "coarse.safetensors"
    save_model(path, disc_network(), {"prompt": "none"})
    write_card(path, ModelCard(normalisation="none", spacing=(1.0, 1.0)))
    fine = Image.from_array(np.kron(image.data[0], np.ones((2, 2))), (0.5, 0.5))
    twice = result(BRS(model=str(path), evaluations=60), fine, np.kron(seeds, np.ones((2, 2), dtype=np.int32)))
    assert (twice.labels[::2, ::2] == made.labels).mean() > 0.9
    assert twice.state.x.shape == (1, 1, *SHAPE)


def test_a_state_counts_what_it_holds(model, scene):
    image, _, seeds = scene
    made = result(BRS(model=model), image, seeds)
    assert size_of(made.state) >= 2 * image.data.nbytes
    assert size_of(made.state) < 20 * image.data.nbytes  # not the network
