"""Maps of nearness to the strokes, and of brightness."""

import numpy as np
import pytest
import torch

from napari_scribseg.prompting import INPUT_CHANNELS, network_input
from napari_scribseg.prompting.guidance import guidance


@pytest.fixture
def scene():
    """Dark on the left, bright on the right of column 20; a stroke on either side, in the first of two images."""
    image = torch.full((2, 3, 32, 40), -0.6)
    image[..., 20:] = 0.6
    stroke_map = torch.zeros(2, 32, 40, dtype=torch.int8)
    stroke_map[0, 10:20, 5], stroke_map[0, 10:20, 35] = 1, -1
    return image, stroke_map


def test_nearness_is_one_on_the_strokes_and_falls_across_edges(scene):
    image, stroke_map = scene
    own, other, like_own, like_other, _ = guidance(image, stroke_map)[0]
    for near, sign in ((own, 1), (other, -1), (like_own, 1), (like_other, -1)):
        assert torch.allclose(near[stroke_map[0] == sign], torch.ones(()))
        assert near.min() >= 0
        assert near.max() <= 1
    assert own[15, 18] > own[15, 22]
    assert own[15, 18] - own[15, 22] > 3 * (own[15, 16] - own[15, 18])  # a step over the edge counts for many
    assert torch.allclose(like_own[:, :20], torch.ones(()))
    assert like_own[:, 20:].max() < 0.2
    assert like_other[:, :20].max() < 0.2


def test_a_sign_without_strokes_is_nowhere_near(scene):
    image, stroke_map = scene
    assert (guidance(image, stroke_map)[1, :4] == 0).all()
    assert (guidance(image, stroke_map.clamp(min=0))[0, 1] == 0).all()
    assert (guidance(image, stroke_map.clamp(min=0))[0, 3] == 0).all()


def test_brightness_is_the_same_after_any_monotone_change():
    rng = np.random.default_rng(0)
    levels = torch.from_numpy(rng.permutation(64).reshape(1, 1, 8, 8)).float()
    image = (levels / 32 - 1).expand(1, 3, 8, 8)
    stroke_map = torch.zeros(1, 8, 8, dtype=torch.int8)
    rank = guidance(image, stroke_map)[0, 4]
    assert torch.allclose(rank, (levels[0, 0] + 0.5) / 64, atol=1e-6)
    darker = ((image + 1) / 2) ** 1.5 * 1.2 - 1
    assert torch.allclose(guidance(darker, stroke_map)[0, 4], rank, atol=0.1)


def test_a_constant_image_and_strokes_on_every_pixel():
    image, stroke_map = torch.zeros(1, 3, 9, 7), torch.ones(1, 9, 7, dtype=torch.int8)
    maps = guidance(image, stroke_map)
    assert torch.isfinite(maps).all()
    assert (maps[0, [0, 2]] == 1).all()
    assert (maps[0, 4] == 0.5).all()


def test_each_image_has_its_own_maps_in_a_batch(scene):
    image, stroke_map = torch.rand(5, 3, 24, 20) * 2 - 1, torch.randint(-1, 2, (5, 24, 20), dtype=torch.int8)
    together = guidance(image, stroke_map)
    for i in range(5):
        assert torch.equal(together[i : i + 1], guidance(image[i : i + 1], stroke_map[i : i + 1]))


def test_the_input_holds_them_last(scene):
    image, stroke_map = scene
    previous = torch.rand(2, 32, 40)
    whole = network_input(image, stroke_map, previous, max(INPUT_CHANNELS))
    assert torch.equal(whole[:, :6], network_input(image, stroke_map, previous, 6))
    assert torch.equal(whole[:, 6:], guidance(image, stroke_map))
    assert network_input(image.bfloat16(), stroke_map, None, max(INPUT_CHANNELS)).dtype == torch.bfloat16
