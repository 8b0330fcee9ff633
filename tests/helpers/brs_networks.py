"""Small networks for the tests of brs, and pictures that they get wrong."""

import numpy as np
import torch
from torch import nn

from napari_scribseg.core import Image
from napari_scribseg.nets import PlainUNet, PlainUNetConfig

SHAPE = (40, 52)


def discs(rng, shape=SHAPE, levels=(1.0,)):
    """A dark ground with a bright disc for each level, noise, and where they are."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    values, truth = np.zeros(shape), np.zeros(shape, dtype=int)
    for i, level in enumerate(levels):
        middle = rng.uniform(10, shape[0] - 10), (i + rng.uniform(0.35, 0.65)) * shape[1] / len(levels)
        inside = np.hypot(rows - middle[0], columns - middle[1]) < rng.uniform(5, 8)
        values[inside], truth[inside] = level, i + 1
    return (values + rng.normal(0, 0.04, shape)).astype(np.float32), truth


def disc_network(steps=60):
    """A U-Net that was trained a little to find bright discs, from 0..1; dim ones it misses.

    In double precision: in single precision each machine would have another network, by the rounding of its own.
    """
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = PlainUNet(PlainUNetConfig(in_channels=1, channels=(6, 12), patch=1)).double().train()
    optimizer = torch.optim.Adam(net.parameters(), 2e-2)
    for _ in range(steps):
        made = [discs(rng, levels=(1.0, 0.35)) for _ in range(4)]
        x = torch.from_numpy(np.stack([v for v, _ in made]))[:, None].double()
        y = torch.from_numpy(np.stack([t == 1 for _, t in made]).astype(float))[:, None]
        loss = nn.functional.binary_cross_entropy_with_logits(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.float().eval()


class Levels(nn.Module):
    """Tells three intensities apart: a softmax of 0, 1/2 and 1; after ``halvings`` sides must be multiples."""

    def __init__(self, channels=1, halvings=0, softmax=False):
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 3, 1)
        self.factor, self.softmax = 2**halvings, softmax
        with torch.no_grad():
            for value in self.parameters():
                value.zero_()
            self.first.weight[:2, :, 1, 1] = 1 / channels
            self.first.bias[:2] = 1
            self.last.weight[1, 0], self.last.bias[1] = 20.0, -25.0
            self.last.weight[2, 0], self.last.bias[2] = 60.0, -95.0

    def forward(self, x):
        y = torch.relu(self.first(x))
        if self.factor > 1:
            coarse = nn.functional.avg_pool2d(y, self.factor)
            y = y + 1e-3 * nn.functional.interpolate(coarse, scale_factor=float(self.factor))
        y = self.last(y)
        return torch.softmax(y, 1) if self.softmax else y


def levels_picture():
    """Three stripes of 0, 1/2 and 1, and the classes."""
    truth = np.repeat(np.arange(3), 16)[np.newaxis].repeat(30, axis=0)
    return Image.from_array((truth / 2).astype(np.float32), (1.0, 1.0)), truth
