"""Networks that know strokes: those of this package by name or file, and the look at the object from near."""

import numpy as np
import pytest
import torch
from brs_networks import discs

from napari_scribseg.core import Image, InputError, Scribbles
from napari_scribseg.engines.brs import BRS, FBRS, ModelCard, runs_code
from napari_scribseg.engines.brs.card import write_card
from napari_scribseg.engines.brs.corrected_query import strokes_in_crop, strokes_on_grid
from napari_scribseg.engines.brs.loading import Loaded
from napari_scribseg.engines.brs.model_source import DEFAULT, shipped_names
from napari_scribseg.engines.brs.probing import complete
from napari_scribseg.engines.brs.state import BRSState, ZoomIn
from napari_scribseg.engines.brs.zoom import next_crop
from napari_scribseg.nets import BRSNet, BRSNetConfig, PlainUNet, PlainUNetConfig, load_shipped, save_model
from napari_scribseg.prompting.crops import Crop, CropLogits, covered, image_levels, resampled, sampled
from napari_scribseg.prompting.predictions import ClassLogits, Grid

LIGHT = BRSNetConfig(
    stem=4, growth=2, blocks=(1, 1, 1, 1), squeeze=(2,) * 4, skips=(4,) * 3, coarse=(8,) * 4, branch=(2,) * 3
)

pytestmark = pytest.mark.usefixtures("unhurried")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def clicked(tmp_path):
    """A network of paper 003's shape, trained on clicks as its file says; its weights are random."""
    torch.manual_seed(0)
    return str(save_model(tmp_path / "clicks.safetensors", BRSNet(LIGHT).eval(), {"prompt": "clicks"}))


def small_object(shape=(160, 200), at=(40, 60), radius=8):
    """A bright disc, and its mask."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mask = np.hypot(rows - at[0], columns - at[1]) <= radius
    noise = np.random.default_rng(0).normal(0, 0.05, shape)
    return Image.from_array((mask + noise).astype(np.float32), (1.0, 1.0)), mask


def test_networks_of_the_package_are_named():
    assert {"nuclei-unet", DEFAULT} <= set(shipped_names())
    assert runs_code("nuclei-unet") == ""
    values, truth = discs(np.random.default_rng(3), (96, 128), levels=(1.0,))
    image = Image.from_array(values, (1.0, 1.0))
    state = BRS(model="nuclei-unet").prepare(image, "cpu")
    assert state.network.name == "nuclei-unet"
    assert state.x.shape == (1, 3, 96, 128)
    assert (float(state.x.min()), float(state.x.max())) == (-1, 1)
    found = BRS().unprompted(state).argmax(0)
    common, either = ((found == 1) & (truth == 1)).sum(), ((found == 1) | (truth == 1)).sum()
    assert common / either > 0.7  # a bright disc looks like a nucleus
    assert float(load_shipped("nuclei-unet")[1]["samples"]) > 0


def test_a_network_trained_on_clicks_is_given_its_maps(clicked):
    image, mask = small_object()
    seeds = np.where(mask, np.int32(-1), np.int32(-1))
    seeds[40, 60], seeds[100, 150] = 1, 0
    engine = BRS(model=clicked, evaluations=30)
    state = engine.prepare(image, "cpu")
    assert (state.network.card.channels, state.network.n_inputs) == (3, 5)
    assert state.own is None
    made = engine.segment(image, Scribbles(seeds, 2), state)
    assert made.state.former.zoom_ins[1].change.shape[1] == 2  # both maps are corrected, the image is not
    assert "predicted by clicks.safetensors" in made.notes


@pytest.mark.parametrize("prompt", ["box", "extreme-points", "words"])
def test_networks_for_other_prompts_are_refused(tmp_path, prompt):
    net = PlainUNet(PlainUNetConfig(channels=(4, 4)))
    path = str(save_model(tmp_path / "net.safetensors", net, {"prompt": prompt}))
    with pytest.raises(InputError) as caught:
        BRS(model=path).prepare(small_object()[0], "cpu")
    message = f"the network in net.safetensors takes '{prompt}'; one of scribbles, clicks, none is expected"
    assert str(caught.value) == message


def look_at(crop, box):
    result = ClassLogits((CropLogits(crop, torch.zeros(crop.shape)),), box)
    return ZoomIn(crop, None, result, torch.zeros(1))


def test_a_view_holds_strokes_and_surroundings_and_stays_until_the_object_leaves_it():
    extent = (400.0, 600.0)
    first = next_crop((100.0, 200.0, 120.0, 230.0), False, None, 128, extent)
    assert first.shape == (128, 128)
    np.testing.assert_allclose(first.box, (65, 170, 155, 260))  # three times the strokes, or 0.15 of the image
    dotted = next_crop((100.0, 200.0, 104.0, 204.0), True, None, 128, extent)
    np.testing.assert_allclose(dotted.box, (27, 127, 177, 277))  # a quarter of the image
    valid = look_at(first, (95.0, 195.0, 150.0, 240.0))
    assert next_crop((100.0, 200.0, 130.0, 230.0), False, valid, 128, extent) == first
    moved = next_crop((100.0, 200.0, 120.0, 300.0), False, valid, 128, extent)  # a stroke beyond it
    assert moved.left <= 195
    assert moved.box[3] >= 300
    larger = next_crop((100.0, 200.0, 120.0, 230.0), False, look_at(first, (50.0, 150.0, 170.0, 280.0)), 128, extent)
    np.testing.assert_allclose(larger.box, (12.5, 117.5, 207.5, 312.5))


def test_a_view_shows_the_strokes_where_they_lie():
    targets = np.full((60, 80), -1, dtype=np.int32)
    targets[20, 30:40], targets[40, 10] = 1, 0
    crop = Crop(10.0, 20.0, 0.5, (64, 64))
    shown = strokes_in_crop(targets, crop, (1.0, 1.0))
    assert (shown[20:22, 20:40] == 1).all()
    assert (shown >= 0).sum() == 40  # that off the object lies outside


@pytest.mark.parametrize("pixel", [(1.0, 1.0), (3.0, 1.0)])
def test_some_pixels_of_a_view_are_those_of_all(pixel):
    crop = Crop(5.0, 12.0, 1.7, (32, 24))
    values = torch.rand(2, *crop.shape)
    rows, columns = covered(crop, (90, 120), pixel)
    whole = resampled(values, crop, (rows, columns), pixel)
    at = np.mgrid[rows, columns].reshape(2, -1)
    some = sampled(values, crop, (at[0], at[1]), pixel)
    np.testing.assert_allclose(some.reshape(whole.shape).numpy(), whole.numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", [BRS, FBRS])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0)])
def test_a_small_object_is_shown_in_a_crop(kind, spacing):
    image, mask = small_object((320, 400), (40, 60), 8)
    image = Image.from_array(image.data[0], spacing)
    seeds = np.full(mask.shape, -1, dtype=np.int32)
    seeds[40, 55:65] = 1
    engine = kind(model="scribble-net")
    first = engine.segment(image, Scribbles(seeds, 2), engine.prepare(image, "cpu"))
    look = first.state.former.zoom_ins[1]
    assert look.previous is None
    assert look.crop.scale < 1
    more = seeds.copy()
    more[44, 58:62], more[200, 150:160] = 1, 0
    second = engine.segment(image, Scribbles(more, 2), first.state)
    near, far = second.state.former.zoom_ins[1], second.state.former.zoom_ins[0]
    assert near.previous is look.prediction
    assert mask[covered(near.crop, mask.shape, second.state.grid.pixel)].sum() == mask.sum()
    assert far.crop.box[2:] >= second.state.grid.extent  # the background is looked for everywhere
    found = second.labels == 1
    assert (found & mask).sum() / (found | mask).sum() > 0.8
    again = engine.segment(image, Scribbles(more, 2), second.state)
    np.testing.assert_array_equal(again.labels, second.labels)
    fewer = engine.segment(image, Scribbles(seeds, 2), second.state)
    assert fewer.state.former.zoom_ins[1].previous is None  # strokes were taken back
    never = kind(model="scribble-net", zoom=False)
    state = never.segment(image, Scribbles(seeds, 2), never.prepare(image, "cpu")).state
    assert never.segment(image, Scribbles(more, 2), state).state.former.zoom_ins[1].crop is None


def test_a_view_grows_with_a_large_object():
    """A network that classifies each pixel by whether it is bright."""
    bright = torch.nn.Conv2d(11, 1, 1)
    with torch.no_grad():
        bright.weight.zero_()
        bright.weight[0, 0] = 20
        bright.bias.zero_()
    bright.requires_grad_(False)
    net = complete(Loaded(bright, ModelCard(prompt="scribbles", channels=3), 11), "bright", "cpu")
    image, mask = small_object((200, 200), (100, 100), 70)
    channels = net.channels(image)
    grid = Grid((1.0, 1.0), (200, 200))
    state = BRSState(
        net, net.input(channels, (192, 192)), None, image_levels(torch.from_numpy(channels), grid.pixel), grid
    )
    seeds = np.full(mask.shape, -1, dtype=np.int32)
    seeds[98:103, 98:103] = 1
    engine = BRS()
    made = engine.segment(image, Scribbles(seeds, 2), state)
    box = made.state.former.zoom_ins[1].crop.box
    assert min(box[:2]) <= 30
    assert max(box[2:]) >= 170
    found = made.labels == 1
    assert (found & mask).sum() / (found | mask).sum() > 0.95


def test_without_a_background_one_class_is_predicted_everywhere():
    image, mask = small_object()
    seeds = np.full(mask.shape, -1, dtype=np.int32)
    seeds[40, 58:62], seeds[100, 20:180], seeds[130, 100:110] = 0, 1, 2
    engine = BRS(model="scribble-net")
    made = engine.segment(image, Scribbles(seeds, 3, (1, 2, 3)), engine.prepare(image, "cpu"))
    crops = {i: look.crop.box for i, look in made.state.former.zoom_ins.items()}
    assert crops[2][2] - crops[2][0] >= 160
    assert crops[1][2] - crops[1][0] < 80
    assert (made.labels[140:, :60] == 1).all()


def test_a_network_with_maps_of_its_own_is_shown_all_of_the_image_first(tmp_path):
    image, mask = small_object()
    seeds = np.full(mask.shape, -1, dtype=np.int32)
    seeds[40, 58:62], seeds[120, 150:160] = 1, 0
    net = torch.nn.Conv2d(3, 1, 1)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([8.0, 20.0, -20.0]).reshape(1, 3, 1, 1))
        net.bias.fill_(-6.0)
    torch.jit.script(net).save(str(tmp_path / "own.pt"))
    write_card(tmp_path / "own.pt", ModelCard(channels=1, prompt="distance", head="sigmoid", applied=False))
    engine = BRS(model=str(tmp_path / "own.pt"), trust=True)
    first = engine.segment(image, Scribbles(seeds, 2), engine.prepare(image, "cpu"))
    assert first.state.former.zoom_ins[1].crop is None
    seeds[44, 58:62] = 1
    second = engine.segment(image, Scribbles(seeds, 2), first.state)
    look = second.state.former.zoom_ins[1]
    assert look.crop.shape == (224, 224)
    assert look.crop.scale < 0.8
    assert ((second.labels == 1) & mask).sum() > 0.8 * mask.sum()


def test_networks_that_take_images_alone_keep_their_scale():
    image, mask = small_object()
    engine = FBRS(model="nuclei-unet", zoom=True)
    state = engine.prepare(image, "cpu")
    assert not state.levels
    seeds = np.full(mask.shape, -1, dtype=np.int32)
    seeds[40, 58:62] = 1
    for _ in range(2):
        state = engine.segment(image, Scribbles(seeds, 2), state).state
        assert (state.former.zoom_ins[1].crop, state.former.zoom_ins[1].prediction) == (None, None)
        seeds[50, 60] = 0


def test_strokes_have_no_holes_on_a_finer_grid_and_are_not_lost_on_a_coarser_one():
    seeds = np.full((20, 30), -1, dtype=np.int32)
    seeds[4:7, 5:9], seeds[15, 20] = 1, 0
    finer = strokes_on_grid(seeds, (50, 75))
    assert (finer[10:17, 13:22] == 1).all()
    assert set(np.unique(finer)) == {-1, 0, 1}
    coarser = strokes_on_grid(seeds, (4, 6))
    assert coarser[3, 4] == 0
    assert coarser[1, 1] == 1
