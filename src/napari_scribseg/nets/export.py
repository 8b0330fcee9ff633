"""A network as an ONNX file, for programs without torch."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import torch
from torch import nn

from napari_scribseg.core import InputError
from napari_scribseg.nets.inference import fold_batch_norm

__all__ = ["export_onnx"]

_OPSET = 18


def export_onnx(model: nn.Module, path: str | Path, in_channels: int) -> Path:
    """Write a network as ONNX, batch norm folded, for any number of images of any size.

    Parameters
    ----------
    model : nn.Module
        Takes (N, in_channels, H, W), gives (N, 1, H, W); stays as it is.
    path : str or Path
        Ends in ``.onnx``; replaced if it exists.
    in_channels : int

    Returns
    -------
    Path
        The file has one input ``image`` and one output ``logits``, float32.

    Raises
    ------
    InputError
        If the package ``onnx`` is missing, or the name has another ending.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise InputError(f"the network is to be exported as {path.name}; a name that ends in .onnx is expected")
    if importlib.util.find_spec("onnx") is None:
        raise InputError("exporting needs the package onnx: pip install 'napari-scribseg[onnx]'")
    free = {0: "images", 2: "rows", 3: "columns"}
    with warnings.catch_warnings():
        # The tracing exporter is deprecated; its successor needs two more packages.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            fold_batch_norm(model).cpu().float(),
            (torch.zeros(2, in_channels, 70, 90),),
            str(path),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": free, "logits": free},
            opset_version=_OPSET,
            dynamo=False,
        )
    return path
