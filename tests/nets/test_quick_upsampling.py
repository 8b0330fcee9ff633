"""The quicker gradient of bilinear upsampling is torch's own."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional

from napari_scribseg.nets.quick_upsampling import QuickUpsampling
from napari_scribseg.numerics.fused.upsampling import upsampling_gradient


def picture(*shape, dtype=torch.float32):
    values = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    return torch.from_numpy(values).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()


def requested(call, x, *, quick):
    """What a call makes of ``x``, and the gradient of some weighted sum of it."""
    with QuickUpsampling() if quick else torch.enable_grad():
        y = call(x)
    weights = torch.from_numpy(np.random.default_rng(1).normal(0, 1, tuple(y.shape)).astype(np.float32)).to(y.dtype)
    return y.detach(), torch.autograd.grad((y * weights).sum(), x)[0]


@pytest.fixture
def applied(monkeypatch):
    """How often the kernel took a gradient."""
    calls = []
    monkeypatch.setattr(
        "napari_scribseg.nets.quick_upsampling.upsampling_gradient",
        lambda *a, **k: calls.append(a) or upsampling_gradient(*a, **k),
    )
    return calls


CALLS = {
    "twice": {"scale_factor": 2},
    "twice, corners": {"scale_factor": 2, "align_corners": True},
    "four times": {"scale_factor": 4.0},
    "by other factors": {"scale_factor": (1.7, 2.3)},
    "by a factor reckoned anew": {"scale_factor": 1.7, "recompute_scale_factor": True},
    "to a size": {"size": (23, 31)},
    "to a size, corners": {"size": (23, 31), "align_corners": True},
    "to its own size": {"size": (9, 12)},
    "smaller": {"size": (4, 5)},
    "to a row": {"size": (1, 40), "align_corners": True},
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("shape", [(1, 5, 9, 12), (2, 1, 9, 12), (1, 3, 1, 1), (1, 16, 40, 3)])
def test_the_gradient_is_that_of_torch(name, shape, applied):
    x = picture(*shape)

    def call(x):
        return functional.interpolate(x, mode="bilinear", **CALLS[name])

    own, own_gradient = requested(call, x, quick=False)
    assert not applied
    quick, gradient = requested(call, x, quick=True)
    assert len(applied) == 1
    assert torch.equal(quick, own)
    torch.testing.assert_close(gradient, own_gradient, rtol=1e-5, atol=1e-5)


def test_halves_are_as_near_as_halves_are(applied):
    x = picture(2, 8, 10, 12, dtype=torch.bfloat16)
    own, own_gradient = requested(nn.UpsamplingBilinear2d(scale_factor=2), x, quick=False)
    quick, gradient = requested(nn.UpsamplingBilinear2d(scale_factor=2), x, quick=True)
    assert len(applied) == 1
    assert torch.equal(quick, own)
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(gradient, own_gradient, rtol=0.02, atol=0.05)


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 4, 3, padding=1), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(4, 1, 1)
    return nn.Sequential(*layers).eval().to(memory_format=torch.channels_last).requires_grad_(False)


@pytest.mark.parametrize("kind", ["module", "exported", "traced", "script"])
def test_networks_however_they_were_loaded(kind, applied):
    net, x = network(), picture(1, 2, 12, 10)
    loaded = {
        "module": lambda: net,
        "exported": lambda: torch.export.export(net, (x.detach(),)).module(),
        "traced": lambda: make_fx(net)(x.detach()),
        "script": lambda: torch.jit.script(net),
    }[kind]()
    own, own_gradient = requested(net, x, quick=False)
    quick, gradient = requested(loaded, x, quick=True)
    assert len(applied) == (0 if kind == "script" else 1)
    torch.testing.assert_close(quick, own)
    torch.testing.assert_close(gradient, own_gradient)


@pytest.mark.parametrize(
    "given",
    [
        {"scale_factor": 2, "mode": "nearest"},
        {"scale_factor": 2, "mode": "bicubic"},
        {"size": (4, 4), "mode": "bilinear", "antialias": True},
    ],
)
def test_other_kinds_are_left_to_torch(given, applied):
    x = picture(1, 3, 8, 8)
    own, own_gradient = requested(lambda x: functional.interpolate(x, **given), x, quick=False)
    quick, gradient = requested(lambda x: functional.interpolate(x, **given), x, quick=True)
    assert not applied
    assert torch.equal(quick, own)
    assert torch.equal(gradient, own_gradient)


def test_so_are_other_layouts_and_what_needs_no_gradient():
    call = nn.Upsample(scale_factor=2, mode="bilinear")
    planar = picture(1, 3, 8, 8).detach().contiguous().requires_grad_()
    with QuickUpsampling():
        for x in (planar, picture(1, 3, 8, 8).double()):
            assert call(x).grad_fn.name() == "UpsampleBilinear2DBackward0"
        assert call(planar.detach()).grad_fn is None
        with torch.no_grad():
            assert call(picture(1, 3, 8, 8)).grad_fn is None


def test_what_torch_refuses_is_refused():
    with QuickUpsampling(), pytest.raises(ValueError, match="only one of size or scale_factor"):
        functional.interpolate(picture(1, 3, 8, 8), size=(4, 4), scale_factor=2, mode="bilinear")
