import importlib.util

import pytest
import torch

from napari_scribseg.core import InputError
from napari_scribseg.nets import EfficientUNet, EfficientUNetConfig, PlainUNet, PlainUNetConfig, export_onnx

SMALL = {
    EfficientUNet: EfficientUNetConfig(
        channels=(8, 8, 8),
        repeats=(1, 1, 1),
        expansion=(1, 2, 2),
        fused=(True, True, False),
        squeeze=(False, False, True),
    ),
    PlainUNet: PlainUNetConfig(channels=(8, 8, 8)),
}


@pytest.mark.parametrize("kind", [EfficientUNet, PlainUNet])
def test_onnx_results_as_torch_at_every_size(kind, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    network = kind(SMALL[kind]).eval()
    path = export_onnx(network, tmp_path / "net.onnx", network.config.in_channels)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for size in ((1, 64, 64), (3, 61, 50), (2, 16, 33)):
        x = torch.rand(size[0], network.config.in_channels, *size[1:])
        (logits,) = session.run(["logits"], {"image": x.numpy()})
        torch.testing.assert_close(torch.from_numpy(logits), network(x).detach(), atol=1e-5, rtol=1e-4)


def test_what_export_needs(tmp_path, monkeypatch):
    network = PlainUNet(PlainUNetConfig(channels=(4,)))
    with pytest.raises(InputError, match="ends in .onnx"):
        export_onnx(network, tmp_path / "net.pt", 6)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs the package onnx"):
        export_onnx(network, tmp_path / "net.onnx", 6)
