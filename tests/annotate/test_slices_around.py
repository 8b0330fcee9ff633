"""Engines that see several slices at once are given those around by the session."""

import numpy as np
import pytest
import torch
from brs_networks import SHAPE

from napari_scribseg.annotate import Session
from napari_scribseg.core import InputError, SliceIndex, Source
from napari_scribseg.engines.brs import BRS, ModelCard, write_card


def test_slices_before_and_behind_become_channels():
    values = np.arange(4 * 5 * 6 * 2, dtype=np.float32).reshape(4, 5, 6, 2)
    volume = Source.from_array(values, spacing=(3.0, 1.0, 2.0), channels=True)
    seen = volume.around(volume.slice_index(1), 3)
    assert seen.spacing == (1.0, 2.0)
    np.testing.assert_array_equal(seen.data, np.moveaxis(values[:3], -1, 1).reshape(6, 5, 6))
    ends = volume.around(volume.slice_index(3), 5)
    np.testing.assert_array_equal(ends.data[::2], values[[1, 2, 3, 3, 3], ..., 0])
    across = volume.around(volume.slice_index(0, axis=2), 3)
    np.testing.assert_array_equal(across.data[::2], np.moveaxis(values[:, :, [0, 0, 1], 0], -1, 0))
    with pytest.raises(InputError):
        volume.around(SliceIndex((1, 2), (4,)), 3)


def test_along_the_last_axis_of_several_and_alone_in_an_image():
    values = np.random.default_rng(0).random((2, 3, 4, 5)).astype(np.float32)
    seen = Source.from_array(values).around(SliceIndex((2, 3), (1, 0)), 3)  # time, then depth
    np.testing.assert_array_equal(seen.data, values[1, [0, 0, 1]])
    flat = Source.from_array(values[0, 0])
    np.testing.assert_array_equal(flat.around(flat.slice_index(), 3).data, np.stack([values[0, 0]] * 3))


class Before(torch.nn.Module):
    """Answers with the slice before: to be right it needs the slices around."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 1, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([20.0, 0.0, 0.0]).reshape(1, 3, 1, 1))
            self.conv.bias.fill_(-10.0)

    def forward(self, x):
        return self.conv(x)


def test_a_network_of_several_slices_sees_those_around(tmp_path):
    path = tmp_path / "before.pt"
    torch.jit.script(Before().eval()).save(str(path))
    write_card(path, ModelCard(normalisation="none", slices=3))
    engine = BRS(model=str(path), trust=True)
    assert engine.slices == 3
    values = np.zeros((4, *SHAPE), dtype=np.float32)
    values[1, 5:20, 5:20], values[2, 25:, 30:] = 1, 1
    session = Session(Source.from_array(values), engine)
    painted = np.zeros(SHAPE, dtype=np.uint8)
    painted[10, 8:12], painted[30, 2:20] = 2, 1
    for _ in range(2):  # prepared, and from the cache
        labels = session.draw(painted, 2).result().labels
        assert (labels[5:20, 5:20] != labels[0, 0]).all()  # of the slice before
        assert (labels[25:, 30:] == labels[0, 0]).all()
        painted[12, 8:12] = 2
