"""Models of all kinds, and what is said where they do not fit."""

import importlib.util
import json
import warnings
from dataclasses import asdict

import numpy as np
import pytest
import torch
from brs_networks import Levels, levels_picture
from safetensors.torch import save_file
from torch import nn

from napari_scribseg import get_engine
from napari_scribseg.core import Image, InputError, Scribbles
from napari_scribseg.engines.brs import BRS, FBRS, ModelCard, card_path, read_card, runs_code, write_card
from napari_scribseg.engines.brs.loading import Loaded
from napari_scribseg.engines.brs.probing import complete
from napari_scribseg.nets import PixelNet, PixelNetConfig, PlainUNet, PlainUNetConfig, build, save_model
from napari_scribseg.nets.brs_net import without_fine_decoder
from napari_scribseg.testing import two_discs

pytestmark = pytest.mark.usefixtures("unhurried")

PLAIN = ModelCard(normalisation="none")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def exported(network, path, size=(20, 24), free=True, channels=1):
    axes = {2: torch.export.Dim("rows", min=4, max=512), 3: torch.export.Dim("columns", min=4, max=512)}
    program = torch.export.export(
        network.eval(), (torch.zeros(1, channels, *size),), dynamic_shapes={"x": axes} if free else None
    )
    torch.export.save(program, path)
    return path


def scripted(network, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network.eval()), str(path))
    return path


class Wrong(nn.Module):
    """A convolution whose output is spoilt."""

    def __init__(self, how: str):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=0 if how == "smaller" else 1)
        self.how = how

    def forward(self, x):
        y = self.conv(x)
        if self.how == "nan":
            return y * float("nan")
        if self.how == "text":
            return "mask"
        if self.how == "fails":
            raise RuntimeError("first line\nsecond line")
        return y


def refusal(call):
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def opened(network, card=PLAIN):
    return complete(Loaded(network.eval().requires_grad_(False), card), "net", "cpu")


def seen(network, image):
    """What the network is given for an image."""
    return network.input(network.channels(image), network.grid(image.shape, image.spacing))


def check_levels(engine):
    """The three stripes are segmented as by its network, and one stroke that contradicts it has its class."""
    image, truth = levels_picture()
    seeds = np.full(truth.shape, -1, dtype=np.int32)
    for k in range(3):
        seeds[4, 16 * k + 6] = k
    state = engine.prepare(image, "cpu")
    assert np.array_equal(engine.unprompted(state).argmax(0), truth)
    assert np.array_equal(engine.segment(image, Scribbles(seeds, 3), state).labels, truth)
    seeds[20, 6] = 2
    made = engine.segment(image, Scribbles(seeds, 3), state)
    assert "agrees with 100.0 %" in made.notes[0]
    return state


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A module of the user's own."""
    (tmp_path / "my_networks.py").write_text(
        "from brs_networks import Levels\n\ndef levels():\n    return Levels()\n\nnumber = 3\n"
        "def number_maker():\n    return 3\ndef broken():\n    raise OSError('no disk')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "my_networks"


def test_a_program_of_torch_export(tmp_path):
    path = exported(Levels(), tmp_path / "levels.pt2")
    write_card(path, PLAIN)
    assert "may run code" in runs_code(str(path))
    assert "trust=True" in refusal(lambda: BRS(model=str(path)).prepare(levels_picture()[0], "cpu"))
    check_levels(BRS(model=str(path), trust=True, evaluations=60))


def test_a_program_for_one_size_only(tmp_path):
    path = exported(Levels(), tmp_path / "levels.pt2", size=(20, 24), free=False)
    write_card(path, PLAIN)
    image, truth = levels_picture()
    engine = BRS(model=str(path), trust=True)
    state = engine.prepare(image, "cpu")
    assert state.x.shape == (1, 1, 20, 24)  # the image is resized, and the answer back
    assert (engine.unprompted(state).argmax(0) == truth).mean() > 0.9


def test_torchscript(tmp_path):
    path = scripted(Levels(), tmp_path / "levels.pt")
    write_card(path, PLAIN)
    assert "TorchScript" in runs_code(str(path))
    assert "trust=True" in refusal(lambda: BRS(model=str(path)).prepare(levels_picture()[0], "cpu"))
    check_levels(BRS(model=str(path), trust=True, evaluations=60))


def test_f_brs_names_a_network_that_it_cannot_cut(tmp_path):
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return self.conv(x) if float(x.sum()) > 0 else self.conv(-x)

    from napari_scribseg.engines.brs.cut import Cut

    message = refusal(lambda: Cut(Fails(), torch.zeros(1, 1, 8, 8), "B", "net"))
    assert message.startswith("net cannot be taken apart for f-brs (")


@pytest.mark.parametrize("ending", ["safetensors", "pt", "nested"])
def test_a_factory_with_weights(package, tmp_path, ending):
    weights = tmp_path / f"weights.{'safetensors' if ending == 'safetensors' else 'pt'}"
    tensors = Levels().state_dict()
    if ending == "safetensors":
        save_file(tensors, weights)
    else:
        torch.save({"state_dict": tensors, "epoch": 3} if ending == "nested" else tensors, weights)
    write_card(weights, PLAIN)
    model = f"{package}:levels"
    assert "is a function" in runs_code(model)
    assert "trust=True" in refusal(lambda: BRS(model=model, weights=str(weights)).prepare(levels_picture()[0], "cpu"))
    check_levels(BRS(model=model, weights=str(weights), trust=True, evaluations=60))


def test_a_file_of_this_package_runs_no_code(tmp_path):
    path = save_model(tmp_path / "net.safetensors", PlainUNet(PlainUNetConfig(in_channels=1)), {"prompt": "none"})
    assert runs_code(str(path)) == ""
    assert runs_code("") == ""
    image, _ = levels_picture()
    state = BRS(model=str(path)).prepare(image, "cpu")
    assert state.x.shape == (1, 1, *image.shape)
    assert (float(state.x.min()), float(state.x.max())) == (-1.0, 1.0)  # as scribseg train shows pictures


@pytest.fixture
def bundle(tmp_path):
    """A MONAI bundle with the files of one network, as the card beside it says."""

    def make(script=False, definition=None):
        folder = tmp_path / "stripes"
        (folder / "configs").mkdir(parents=True)
        (folder / "models").mkdir()
        valid = {"inputs": {"image": {"num_channels": 1, "spatial_shape": ["*", "*"]}}}
        valid["outputs"] = {"pred": {"num_channels": 3, "channel_def": {"0": "ground", "1": "a", "2": "b"}}}
        (folder / "configs" / "metadata.json").write_text(json.dumps({"network_data_format": valid}))
        if script:
            scripted(Levels(), folder / "models" / "model.ts")
        if definition:
            (folder / "configs" / "inference.json").write_text(json.dumps({"network_def": definition}))
            torch.save(Levels().state_dict(), folder / "models" / "model.pt")
        return folder

    return make


def test_the_program_of_a_bundle_needs_no_monai(bundle):
    folder = bundle(script=True)
    assert "MONAI bundle" in runs_code(str(folder))
    assert "trust=True" in refusal(lambda: BRS(model=str(folder)).prepare(levels_picture()[0], "cpu"))
    state = check_levels(BRS(model=str(folder), trust=True, evaluations=60))
    assert state.network.card.classes == ("ground", "a", "b")


def test_the_network_of_a_bundle(bundle):
    pytest.importorskip("monai")
    folder = bundle(definition={"_target_": "brs_networks.Levels", "channels": 1})
    check_levels(BRS(model=str(folder), trust=True, evaluations=60))


def test_a_bundle_without_monai_names_what_to_install(bundle, monkeypatch):
    folder = bundle(definition={"_target_": "brs_networks.Levels"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = refusal(lambda: BRS(model=str(folder), trust=True).prepare(levels_picture()[0], "cpu"))
    assert message == "the bundle stripes needs MONAI: pip install 'napari-scribseg[monai]'"


def test_bundles_that_do_not_fit(bundle, tmp_path):
    folder = bundle()
    image = levels_picture()[0]
    assert "stripes is incomplete" in refusal(lambda: BRS(model=str(folder), trust=True).prepare(image, "cpu"))
    scripted(Levels(), folder / "models" / "model.ts")
    valid = {"network_data_format": {"inputs": {"image": {"num_channels": 1, "spatial_shape": [96, 96, 96]}}}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(valid))
    assert "takes volumes" in refusal(lambda: BRS(model=str(folder), trust=True).prepare(image, "cpu"))
    (tmp_path / "empty").mkdir()
    assert "no MONAI bundle" in refusal(lambda: runs_code(str(tmp_path / "empty")))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"hello", "notes.txt is no model; a .safetensors file"),
        ("net.pt", b"\x80\x02}q\x00.", "net.pt is no model"),
        ("net.safetensors", b"\x00" * 20, "net.safetensors is no safetensors file"),
        (None, None, "missing.pt2 is missing; a .safetensors file"),
    ],
)
def test_what_is_no_model(tmp_path, name, content, message):
    path = tmp_path / (name or "missing.pt2")
    if content is not None:
        path.write_bytes(content)
    assert message in refusal(lambda: BRS(model=str(path), trust=True).prepare(levels_picture()[0], "cpu"))


def test_a_network_of_pixels_is_no_model(tmp_path):
    path = save_model(
        tmp_path / "pixels.safetensors", PixelNet(PixelNetConfig(in_channels=11)), {"prompt": "scribbles"}
    )
    message = refusal(lambda: BRS(model=str(path)).prepare(levels_picture()[0], "cpu"))
    assert "pixels.safetensors holds a pixel-net; a brs-net" in message


def test_damaged_programs(tmp_path):
    for path in (exported(Levels(), tmp_path / "a.pt2"), scripted(Levels(), tmp_path / "b.pt")):
        validation = bytearray(path.read_bytes())
        validation[len(validation) // 3 : len(validation) // 3 + 400] = b"\xff" * 400
        path.write_bytes(validation)
        message = refusal(lambda path=path: BRS(model=str(path), trust=True).prepare(levels_picture()[0], "cpu"))
        assert path.name in message


def test_weights_without_a_network_are_no_model(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(Levels().state_dict(), path)
    assert "holds weights without their network" in refusal(lambda: runs_code(str(path)))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"first.weight": torch.zeros(2, 1, 3, 3)}, "weights.pt holds the weights of another network: 4 of 4 tensors"),
        ({"other": torch.zeros(2)}, "and 1 are too many"),
        ([1, 2], "weights.pt holds no table of tensors"),
        ({"a": 1}, "weights.pt holds no table of tensors"),
        (nn.Conv2d(1, 1, 1), "weights.pt holds more than tensors"),
    ],
)
def test_weights_that_do_not_fit(package, tmp_path, tensors, message):
    path = tmp_path / "weights.pt"
    torch.save(tensors, path)
    engine = BRS(model=f"{package}:levels", weights=str(path), trust=True)
    assert message in refusal(lambda: engine.prepare(levels_picture()[0], "cpu"))


def test_weights_that_are_missing_or_too_many(package, tmp_path):
    image = levels_picture()[0]
    engine = BRS(model=f"{package}:levels", weights=str(tmp_path / "none.pt"), trust=True)
    assert "none.pt are missing" in refusal(lambda: engine.prepare(image, "cpu"))
    (tmp_path / "text.pt").write_text("hello")
    engine = BRS(model=f"{package}:levels", weights=str(tmp_path / "text.pt"), trust=True)
    assert "text.pt" in refusal(lambda: engine.prepare(image, "cpu"))
    path = scripted(Levels(), tmp_path / "levels.pt")
    engine = BRS(model=str(path), weights="other.pt", trust=True)
    assert "they are for a factory only" in refusal(lambda: engine.prepare(image, "cpu"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number_maker", "made a int; a torch.nn.Module is expected"),
        ("missing", "my_networks:missing cannot be imported"),
        ("broken", "my_networks:broken does not load: no disk"),
    ],
)
def test_factories_that_do_not_fit(package, name, message):
    engine = BRS(model=f"{package}:{name}", trust=True)
    assert message in refusal(lambda: engine.prepare(levels_picture()[0], "cpu"))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Wrong("smaller"), "an output of the input's size is expected"),
        (Wrong("nan"), "net gives NaN or infinite values; finite ones are expected"),
        (Wrong("text"), "net gives a str; one tensor"),
        (Wrong("fails"), "net fails for an input of shape"),
        (nn.Sequential(nn.Linear(8, 8)), "net has no convolution"),
        (nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, stride=2)), "an output of the input's size is expected"),
    ],
)
def test_networks_that_do_not_fit(network, message):
    assert message in refusal(lambda: opened(network))


def test_nan_for_this_image_only():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return torch.where(x > 100, torch.nan, self.conv(x))

    from napari_scribseg.engines.brs.corrected_query import require_finite

    network = opened(Root())
    x = seen(network, Image.from_array(np.full((8, 8), 200.0), (1.0, 1.0)))
    assert "gives NaN" in refusal(lambda: require_finite(network.raw(x), network))


@pytest.mark.parametrize("halvings", [0, 3, 4, 5])
def test_multiples_are_found_and_padded(halvings):
    network = opened(Levels(halvings=halvings))
    assert network.card.multiple == (2**halvings if halvings else 1)
    image, truth = levels_picture()
    x = seen(network, image)
    with torch.no_grad():
        fields = network.fields(network.raw(x), image.shape)
    assert fields.shape == (3, *image.shape)
    assert np.array_equal(fields.argmax(0).numpy(), truth)


@pytest.mark.parametrize(
    ("outputs", "last", "head", "applied"),
    [
        (1, [], "sigmoid", False),
        (1, [nn.Sigmoid()], "sigmoid", True),
        (3, [], "softmax", False),
        (3, [nn.Softmax(1)], "softmax", True),
        (3, [nn.Sigmoid()], "sigmoid", True),
    ],
)
def test_the_head_is_found(outputs, last, head, applied):
    torch.manual_seed(0)
    before = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, outputs, 1)
    card = opened(nn.Sequential(*before, *last)).card
    assert (card.head, card.applied, card.channels, card.multiple) == (head, applied, 1, 1)


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_channels_are_found_and_images_brought_to_them(channels):
    network = opened(Levels(channels))
    assert network.card.channels == channels
    grey, truth = levels_picture()
    with torch.no_grad():
        fields = network.fields(network.raw(seen(network, grey)), grey.shape)
    assert np.array_equal(fields.argmax(0).numpy(), truth)
    five = Image.from_array(np.zeros((8, 8, 5)), (1.0, 1.0))
    if channels > 1:
        assert refusal(lambda: seen(network, five)) == f"the image has 5 channels; net takes {channels}"
    else:
        assert seen(network, five).shape == (1, 1, 8, 8)


def test_slices_are_stacked():
    network = opened(Levels(6), ModelCard(normalisation="none", slices=3))
    assert network.card.channels == 2
    x = seen(network, Image.from_array(np.arange(128.0).reshape(8, 8, 2), (1.0, 1.0)))
    assert x.shape == (1, 6, 8, 8)
    assert torch.equal(x[:, :2], x[:, 4:])


@pytest.mark.parametrize(
    ("fields", "low", "high"),
    [
        ({}, 0.0, 1.0),
        ({"scale": (-1, 1)}, -1.0, 1.0),
        ({"percentiles": (25, 75)}, 0.0, 1.0),
        ({"normalisation": "range", "intensities": (0, 400)}, 0.0, 0.5),
        ({"normalisation": "mean-std", "mean": (100,), "std": (50,)}, -2.0, 2.0),
        ({"normalisation": "none"}, 0.0, 200.0),
    ],
)
def test_intensities_are_scaled_by_the_card(fields, low, high):
    network = opened(Levels(), ModelCard(**fields))
    x = seen(network, Image.from_array(np.linspace(0, 200, 400).reshape(20, 20), (1.0, 1.0)))
    np.testing.assert_allclose([float(x.min()), float(x.max())], [low, high], atol=1e-5)


def test_intensities_by_their_own_mean():
    x = seen(opened(Levels(), ModelCard(normalisation="mean-std")), levels_picture()[0])
    assert abs(float(x.mean())) < 1e-5
    assert abs(float(x.std()) - 1) < 1e-2
    flat = seen(opened(Levels(), ModelCard()), Image.from_array(np.full((8, 8), 7.0), (1.0, 1.0)))
    assert torch.isfinite(flat).all()


def test_a_card_is_written_and_read(tmp_path):
    model = tmp_path / "net.pt2"
    card = ModelCard(channels=3, classes=("ground", "cell"), ids=(0, 4), applied=True, spacing=(0.5, 0.5), slices=3)
    path = write_card(model, card)
    assert path == card_path(model) == tmp_path / "net.pt2.scribseg.json"
    assert read_card(model) == card
    assert "mean" not in json.loads(path.read_text())
    assert read_card(tmp_path / "other.pt2") is None
    assert ModelCard(**json.loads(json.dumps(asdict(card)))) == card


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "net.pt2.scribseg.json cannot be read as JSON; a model card is expected"),
        ("[1]", "holds no JSON object"),
        ('{"chanels": 3}', "has the field 'chanels'; expected are channels"),  # codespell:ignore chanels
        ('{"channels": "3"}', "the model card has channels = '3'; whole numbers expected"),
        ('{"channels": -1}', "channels = -1; 0 to 1024 expected"),
        ('{"head": "tanh"}', "head = 'tanh'; one of auto, sigmoid, softmax expected"),
        ('{"scale": [1, 0]}', "scale = (1.0, 0.0); low < high expected"),
        ('{"scale": [1]}', "scale = (1.0,); two numbers, or none expected"),
        ('{"percentiles": [0, 101]}', "percentiles"),
        ('{"normalisation": "range"}', "intensities = (); low < high, in the image's unit expected"),
        ('{"mean": [1]}', "mean = (1.0,); as many numbers as in std expected"),
        ('{"std": [0], "mean": [0]}', "std = (0.0,); positive numbers expected"),
        ('{"slices": 2}', "slices = 2; an odd number up to 99 expected"),
        ('{"applied": 1}', "applied = 1; true, false or null expected"),
        ('{"spacing": [0, 1]}', "spacing"),
        ('{"spacing": [NaN, 1]}', "finite numbers expected"),
        ('{"ids": [-1]}', "ids"),
        ('{"classes": ["a", "a"]}', "classes = ('a', 'a'); different names expected"),
        ('{"size": [0, 5]}', "size"),
    ],
)
def test_cards_that_do_not_fit(tmp_path, text, message):
    card_path(tmp_path / "net.pt2").write_text(text)
    assert message in refusal(lambda: read_card(tmp_path / "net.pt2"))


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (ModelCard(ids=(0, 1)), "the card of net has 2 ids; its network has 3 outputs"),
        (ModelCard(classes=("a",)), "the card of net has 1 classes; its network has 3 outputs"),
        (ModelCard(channels=2), "net fails for an input of shape (1, 2, "),
        (ModelCard(prompt="distance", channels=1), "net fails for an input of shape (1, 3, "),
    ],
)
def test_cards_of_another_network(card, message):
    assert message in refusal(lambda: opened(Levels(), card))


def test_a_network_of_several_outputs_cannot_take_strokes():
    message = refusal(lambda: opened(Levels(3), ModelCard(prompt="distance", channels=1)))
    assert "net takes strokes and has 3 outputs; one with sigmoid is expected" in message


def test_a_model_that_changed_is_loaded_again(tmp_path):
    path = tmp_path / "net.safetensors"
    image = levels_picture()[0]
    torch.manual_seed(0)
    results = []
    for _ in range(2):
        save_model(path, PlainUNet(PlainUNetConfig(in_channels=1, channels=(4, 4), patch=1)), {"prompt": "none"})
        results.append(FBRS(model=str(path)).unprompted(BRS(model=str(path)).prepare(image, "cpu")))
    assert not np.array_equal(*results)


def test_the_coarse_decoder_predicts_on_request(tmp_path):
    torch.manual_seed(0)
    config = {"in_channels": 5, "stem": 8, "growth": 4, "blocks": (1, 1, 1, 1), "squeeze": (2, 2, 2, 2),
              "skips": (4, 4, 4), "coarse": (16, 8, 8, 8), "branch": (4, 4, 4)}  # fmt: skip
    both = build("brs-net", config).eval()
    save_model(tmp_path / "both.safetensors", both, {"prompt": "clicks"})
    x = torch.randn(1, 5, 64, 96)
    coarse = without_fine_decoder(both)
    torch.testing.assert_close(coarse(x), both.both(x)[0])
    assert not torch.allclose(coarse(x), both(x))
    image, scribbles, _ = two_discs((64, 96))
    found = {}
    for decoder in ("last", "coarse"):
        engine = get_engine("brs", model=str(tmp_path / "both.safetensors"), decoder=decoder, zoom=False)
        state = engine.prepare(image, "cpu")
        assert state.network.module.config.fine == (decoder == "last")
        found[decoder] = engine.segment(image, scribbles, state).probabilities
    assert not np.allclose(found["last"], found["coarse"])
    save_model(tmp_path / "coarse.safetensors", coarse, {"prompt": "clicks"})
    for model in ("coarse.safetensors", "plain.safetensors"):
        if model.startswith("plain"):
            save_model(tmp_path / model, build("plain-unet", {"channels": (4, 6)}).eval(), {"prompt": "scribbles"})
        with pytest.raises(InputError, match="has no fine decoder that could be left out"):
            get_engine("brs", model=str(tmp_path / model), decoder="coarse").prepare(image, "cpu")
