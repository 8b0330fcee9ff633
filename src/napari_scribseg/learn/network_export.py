"""A learned network for other programs: for the engines ``brs`` and ``f-brs``, as ONNX, and as a torch.export file."""

from __future__ import annotations

from pathlib import Path

import torch

from napari_scribseg.core import InputError
from napari_scribseg.engines.brs.card import ModelCard, card_path, write_card
from napari_scribseg.io.atomic import check_writable
from napari_scribseg.learn.labelled import unique_names
from napari_scribseg.learn.network import LearnedNetwork
from napari_scribseg.learn.slices import N_SLICES, TAIL
from napari_scribseg.nets import export_onnx, fold_batch_norm

__all__ = ["ENDINGS", "export_network"]

ENDINGS = (".safetensors", ".onnx", ".pt2")
_LARGEST = 4096  # pixels along a side of a .pt2 file's input


def export_network(network: LearnedNetwork, path: Path, *, overwrite: bool = False) -> tuple[Path, Path]:
    """Write a network, with a model card beside it that describes its input and outputs.

    Its input are images of shape (N, C, H, W) from -1 to 1: the slice between its two neighbours, at the pixel size of
    the card. Its output are logits of shape (N, K, H, W), the background first.

    Parameters
    ----------
    network : LearnedNetwork
    path : Path
        Its ending chooses: ``.safetensors`` for ``get_engine("brs", model=path)`` and for other projects, ``.onnx``
        (package ``onnx``), or ``.pt2`` for ``torch.export.load``, whose sides are multiples of 32 up to 4096 pixels.
    overwrite : bool
        Whether a file that is there is replaced.

    Returns
    -------
    tuple of Path
        The network, and its card: ``path`` followed by ``.scribseg.json``.

    Raises
    ------
    InputError
        If the ending is another one, the file is there, or cannot be written.
    """
    if path.suffix not in ENDINGS:
        raise InputError(f"the network is to be exported as {path.name}; one of {', '.join(ENDINGS)} is expected")
    for file in (path, card_path(path)):
        if file.exists() and not overwrite:
            raise InputError(f"{file} is there already; --overwrite replaces it")
    check_writable(path)
    model, stride = network.model, network.model.config.stride
    channels = model.config.in_channels
    if path.suffix == ".safetensors":
        network.save(path)
    elif path.suffix == ".onnx":
        export_onnx(model, path, channels)
    else:
        images = torch.export.Dim("images", min=1, max=64)
        rows, columns = (torch.export.Dim(n, min=1, max=_LARGEST // stride) for n in ("rows", "columns"))
        example = torch.zeros(2, channels, 2 * stride, 3 * stride)
        shapes = ({0: images, 2: stride * rows, 3: stride * columns},)
        program = torch.export.export(fold_batch_norm(model).cpu().float(), (example,), dynamic_shapes=shapes)
        torch.export.save(program, str(path))
    multiple = stride if path.suffix == ".pt2" else 0
    return path, write_card(path, _card(network, channels // N_SLICES, multiple))


def _card(network: LearnedNetwork, channels: int, multiple: int) -> ModelCard:
    names = unique_names(network.classes, ("background",))
    return ModelCard(
        channels=channels, slices=N_SLICES, percentiles=(TAIL, 100 - TAIL), scale=(-1.0, 1.0), head="softmax",
        applied=False, classes=("background", *(names[i] for i in network.ids[1:])), ids=network.ids,
        multiple=multiple, spacing=(network.card.spacing, network.card.spacing), prompt="none",
    )  # fmt: skip
