"""Networks for other tasks, made interactive as in section 4.2 of paper 003; what a session keeps when one fails."""

from pathlib import Path

import numpy as np
import pytest
import torch
from brs_networks import SHAPE, Levels, disc_network, discs, levels_picture
from torch import nn

from napari_scribseg.annotate import Session
from napari_scribseg.core import Image, InputError, Scribbles, Source
from napari_scribseg.engines.brs import BRS, FBRS, ModelCard, write_card
from napari_scribseg.nets import save_model

pytestmark = pytest.mark.usefixtures("unhurried")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Semantic(nn.Module):
    """As torchvision's FCN: a dictionary with the logits of many classes, and those of a head for training."""

    def __init__(self):
        super().__init__()
        self.levels, self.aux = Levels(), nn.Conv2d(1, 3, 1)
        self.more = nn.Conv2d(3, 7, 1)
        with torch.no_grad():
            self.more.weight.zero_()
            self.more.bias.fill_(-5.0)
            for k, output in enumerate((0, 2, 6)):  # of seven classes, three are in the picture
                self.more.weight[output, k] = 1.0
                self.more.bias[output] = 0.0

    def forward(self, x):
        return {"aux": self.aux(x), "out": self.more(self.levels(x))}


class Saliency(nn.Module):
    """As DHSNet and its like: probabilities of the one object at several steps, the finest first."""

    def __init__(self):
        super().__init__()
        self.net = disc_network()

    def forward(self, x):
        fine = torch.sigmoid(self.net(x))
        coarse = nn.functional.interpolate(nn.functional.avg_pool2d(fine, 4), x.shape[2:])
        return [fine, coarse]


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The parameters of an engine for one of these networks, with a card beside its weights."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def make(network, card):
        weights = tmp_path / "weights.pt"
        torch.save(network().state_dict(), weights)
        write_card(weights, card)
        return {"model": f"test_brs_conversions:{network.__name__}", "weights": str(weights), "trust": True}

    return make


@pytest.mark.parametrize("kind", [BRS, FBRS])
def test_a_semantic_network(model, kind):
    names = ("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus")
    card = ModelCard(normalisation="none", classes=names, ids=tuple(range(7)))
    engine = kind(**model(Semantic, card), evaluations=60)
    image, truth = levels_picture()
    ids = np.asarray([0, 2, 6])
    state = engine.prepare(image, "cpu")
    assert np.array_equal(engine.unprompted(state).argmax(0), ids[truth])
    seeds = np.full(truth.shape, -1, dtype=np.int32)
    for k in range(3):
        seeds[4, 16 * k + 6] = k
    made = engine.segment(image, Scribbles(seeds, 3, (0, 2, 6)), state)
    assert np.array_equal(made.labels, truth)
    seeds[20:22, 5:8] = 2  # what it calls background is a bus
    made = engine.segment(image, Scribbles(seeds, 3, (0, 2, 6)), made.state)
    assert made.raw_seed_accuracy > 0.6  # 3 of 9 stroke pixels were right before
    if kind is BRS:
        assert made.raw_seed_accuracy == 1


@pytest.mark.parametrize("kind", [BRS, FBRS])
def test_a_saliency_network(model, kind):
    engine = kind(**model(Saliency, ModelCard(normalisation="none")), evaluations=60)
    values, truth = discs(np.random.default_rng(5), levels=(1.0, 0.35))
    image = Image.from_array(values, (1.0, 1.0))
    state = engine.prepare(image, "cpu")
    card = state.network.card
    assert (card.head, card.applied, state.network.n_outputs) == ("sigmoid", True, 1)
    alone = engine.unprompted(state).argmax(0)
    assert (alone[truth == 1] == 1).mean() > 0.9
    assert (alone[truth == 2] == 1).mean() < 0.5
    seeds = np.full(SHAPE, -1, dtype=np.int32)
    row, column = (round(float(v)) for v in np.argwhere(truth == 2).mean(0))
    seeds[row, column - 1 : column + 2] = 1  # the dim disc is salient, too
    made = engine.segment(image, Scribbles(seeds, 2), state)
    assert made.raw_seed_accuracy == 1
    assert (made.labels[truth == 2] == 1).mean() > (alone[truth == 2] == 1).mean()


def test_strokes_stay_when_a_network_fails(tmp_path):
    """Each failure is one sentence, and a network that fits answers the strokes that were kept."""
    good = str(save_model(tmp_path / "discs.safetensors", disc_network(), {"prompt": "none"}))
    write_card(good, ModelCard(normalisation="none"))
    (tmp_path / "text.pt").write_text("hello")
    torch.jit.script(nn.Sequential(nn.Conv2d(1, 3, 3, padding=1))).save(str(tmp_path / "many.pt"))
    values, truth = discs(np.random.default_rng(5))
    painted = np.zeros(SHAPE, dtype=np.uint8)
    painted[truth == 1], painted[1] = 2, 1
    session = Session(Source.from_array(values), "brs")
    for name, message in (("none.pt2", "is missing"), ("text.pt", "is no model"), ("many.pt", "has 3 classes")):
        session.use("brs", model=str(tmp_path / name), trust=True)
        failed = session.draw(painted).exception()
        assert isinstance(failed, InputError)
        assert message in str(failed)
        assert "\n" not in str(failed)
        assert np.array_equal(session.painted(), painted)
    session.use("brs", model=good)
    assert (session.draw(painted).result().labels == painted)[painted > 0].all()
