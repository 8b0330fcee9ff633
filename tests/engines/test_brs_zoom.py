"""Networks that know strokes: those of this package by name or file, and the look at the object from near."""

import numpy as np
import pytest
import torch
from brs_networks import discs

from napari_scribseg.core import Image, InputError, Scribbles
from napari_scribseg.engines.brs import BRS, FBRS, runs_code
from napari_scribseg.engines.brs.solver import _on_grid
from napari_scribseg.engines.brs.sources import DEFAULT, shipped_names
from napari_scribseg.engines.brs.zoom import Frame, frame_around, next_frame
from napari_scribseg.nets import BRSNet, BRSNetConfig, PlainUNet, PlainUNetConfig, load_shipped, save_model

LIGHT = BRSNetConfig(
    stem=4, growth=2, blocks=(1, 1, 1, 1), squeeze=(2,) * 4, skips=(4,) * 3, coarse=(8,) * 4, branch=(2,) * 3
)


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
    assert made.state.memory.changes[1].shape[1] == 2  # both maps are corrected, the image is not
    assert "answered by clicks.safetensors" in made.notes


@pytest.mark.parametrize("prompt", ["box", "extreme-points", "words"])
def test_networks_for_other_prompts_are_refused(tmp_path, prompt):
    net = PlainUNet(PlainUNetConfig(channels=(4, 4)))
    path = str(save_model(tmp_path / "net.safetensors", net, {"prompt": prompt}))
    with pytest.raises(InputError) as caught:
        BRS(model=path).prepare(small_object()[0], "cpu")
    said = f"the network in net.safetensors answers '{prompt}'; one of scribbles, clicks, none is expected"
    assert str(caught.value) == said


def test_a_frame_is_a_square_around_the_object_inside_the_image():
    mask = np.zeros((100, 200), dtype=bool)
    assert frame_around(mask, (1.0, 1.0), 10) is None
    mask[40:60, 100:130] = True
    assert frame_around(mask, (1.0, 1.0), 10) == Frame((29, 71), (94, 136))
    assert frame_around(mask, (2.0, 1.0), 10) == Frame((36, 64), (87, 143))  # 40 x 30 mm: 56 mm square
    assert frame_around(mask, (1.0, 1.0), 60) == Frame((20, 80), (85, 145))
    mask[:] = False
    mask[0:20, 190:200] = True
    assert frame_around(mask, (1.0, 1.0), 10) == Frame((0, 28), (172, 200))
    mask[:] = True
    assert frame_around(mask, (1.0, 1.0), 10) is None


def test_a_frame_stays_until_the_object_leaves_it():
    seen, strokes = (np.zeros((100, 200), dtype=bool) for _ in range(2))
    seen[40:60, 100:130] = True
    first = next_frame(None, seen, strokes, (1.0, 1.0), 10)
    seen[40:60, 96:130] = True
    assert next_frame(first, seen, strokes, (1.0, 1.0), 10) == first
    strokes[50, 70] = True
    moved = next_frame(first, seen, strokes, (1.0, 1.0), 10)
    assert moved.columns[0] <= 70
    assert moved.columns[1] >= 130
    assert next_frame(moved, np.zeros_like(seen), np.zeros_like(seen), (1.0, 1.0), 10) is None


@pytest.mark.parametrize("kind", [BRS, FBRS])
def test_the_second_answer_looks_from_near(kind):
    image, mask = small_object()
    seeds = np.full(mask.shape, -1, dtype=np.int32)
    seeds[40, 58:62] = 1
    engine = kind(model="scribble-net", zoom=True)
    first = engine.segment(image, Scribbles(seeds, 2), engine.prepare(image, "cpu"))
    assert first.state.memory.frames == {1: None}
    more = seeds.copy()
    more[44, 58:62], more[120, 150:160] = 1, 0
    second = engine.segment(image, Scribbles(more, 2), first.state)
    frame = second.state.memory.frames[1]
    assert frame is not None
    assert mask[frame.slicer].sum() == mask.sum()
    inside = np.zeros(mask.shape, dtype=bool)
    inside[frame.slicer] = True
    assert not (second.labels[~inside] == 1).any()
    found = second.labels == 1
    assert (found & mask).sum() / (found | mask).sum() > 0.7
    again = engine.segment(image, Scribbles(more, 2), second.state)
    assert again.state.memory.frames[1] == frame
    fewer = engine.segment(image, Scribbles(seeds, 2), second.state)
    assert fewer.state.memory.frames == {1: None}  # strokes were taken back
    never = kind(model="scribble-net", zoom=False)
    state = never.segment(image, Scribbles(seeds, 2), never.prepare(image, "cpu")).state
    assert never.segment(image, Scribbles(more, 2), state).state.memory.frames == {1: None}


def test_networks_that_take_images_alone_keep_their_scale():
    image, mask = small_object()
    engine = FBRS(model="nuclei-unet", zoom=True)
    state = engine.prepare(image, "cpu")
    assert state.planes is None
    seeds = np.full(mask.shape, -1, dtype=np.int32)
    seeds[40, 58:62] = 1
    for _ in range(2):
        state = engine.segment(image, Scribbles(seeds, 2), state).state
        assert state.memory.frames == {1: None}
        seeds[50, 60] = 0


def test_strokes_have_no_holes_on_a_finer_grid_and_are_not_lost_on_a_coarser_one():
    seeds = np.full((20, 30), -1, dtype=np.int32)
    seeds[4:7, 5:9], seeds[15, 20] = 1, 0
    finer = _on_grid(seeds, (50, 75))
    assert (finer[10:17, 13:22] == 1).all()
    assert set(np.unique(finer)) == {-1, 0, 1}
    coarser = _on_grid(seeds, (4, 6))
    assert coarser[3, 4] == 0
    assert coarser[1, 1] == 1
