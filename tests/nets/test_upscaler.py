"""The transposed convolutions that lead from a grid of cells to an image of any size."""

import pytest
import torch

from napari_scribseg.core import InputError
from napari_scribseg.nets.upscaler import Upscaler, UpscalerConfig, plan_grid


def test_the_published_sizes():
    grid, strides = plan_grid((100, 100), 10)
    assert grid == (10, 10)
    assert strides == (2, 2, 2)
    net = Upscaler(UpscalerConfig(4, 3, (100, 100), 10, 256))
    seen = []
    for layer in (*net.wider, *net.larger):
        layer.register_forward_hook(lambda _module, _given, made: seen.append((made.shape[1], made.shape[-1])))
    assert net(torch.zeros(1, 4, 10, 10)).shape == (1, 3, 100, 100)
    assert seen == [(256, 12), (128, 23), (64, 25), (32, 49), (8, 51), (3, 103)]  # the paper cuts 103 to 100


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (48, 64), (33, 200), (100, 101), (130, 71)])
@pytest.mark.parametrize("ratio", [2, 5, 10, 16])
@pytest.mark.parametrize("image_channels", [0, 2])
def test_every_size_and_ratio(size, ratio, image_channels):
    net = Upscaler(UpscalerConfig(2, 1, size, ratio, 8, image_channels))
    cells = torch.ones(2, 1, *net.grid)
    image = torch.zeros(1, image_channels, *size) if image_channels else None
    made = net(torch.zeros(2, 2, *net.grid), cells, image)
    assert made.shape == (2, 1, *size)
    assert ((made >= 0) & (made <= 1)).all()


@pytest.mark.parametrize(("size", "ratio"), [((256, 256), 10), ((512, 400), 16), ((391, 625), 4), ((300, 300), 6)])
def test_cells_are_about_as_wide_as_requested(size, ratio):
    grid, _ = plan_grid(size, ratio)
    for cells, pixels in zip(grid, size, strict=True):
        assert ratio / 1.5 < pixels / cells < ratio * 1.5


def test_the_enlarged_mask_is_where_learning_starts():
    net = Upscaler(UpscalerConfig(1, 1, (60, 60), 6, 8))
    for p in net.parameters():
        torch.nn.init.zeros_(p)
    cells = torch.zeros(1, 1, *net.grid)
    cells[..., : net.grid[1] // 2] = 1
    made = net(torch.zeros(1, 1, *net.grid), cells, start=3.0)[0, 0]
    assert made[:, :20].min() > 0.9
    assert made[:, 40:].max() < 0.1
    assert torch.allclose(net(torch.zeros(1, 1, *net.grid), cells), torch.full((1, 1, 60, 60), 0.5))


def test_a_gradient_reaches_every_weight():
    net = Upscaler(UpscalerConfig(2, 1, (40, 40), 5, 16, 3))
    cells = torch.ones(1, 1, *net.grid)
    net(torch.rand(1, 2, *net.grid), cells, torch.rand(1, 3, 40, 40)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.parametrize("wrong", [{"size": (0, 4)}, {"ratio": 1}, {"width": 0}, {"in_channels": 0}])
def test_bad_shapes_are_refused(wrong):
    with pytest.raises(InputError, match="expected"):
        UpscalerConfig(**{"in_channels": 1, "out_channels": 1, "size": (10, 10), **wrong})
