"""The network that learning begins with: the one for strokes, without its strokes, for other classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from napari_scribseg.core.classes import ClassTable
from napari_scribseg.core.errors import InputError
from napari_scribseg.learn.examples import Example
from napari_scribseg.learn.network import Card, LearnedNetwork, ids_of
from napari_scribseg.learn.slices import N_SLICES
from napari_scribseg.nets import PlainUNet, load_shipped

__all__ = ["beginning", "with_classes"]

OBJECT = 32.0  # pixels along a typical region of a class, at the resolution of the network
FINEST, COARSEST = 2.0, 0.5  # pixels of the network per pixel of the image
_SHIPPED = "scribble-net"
_COLOURS = 3
_EQUALISED = 10  # the channel with the equalised brightness, among the eleven of prompting.network_input


def beginning(examples: Sequence[Example], classes: ClassTable, base: PlainUNet | None = None) -> LearnedNetwork:
    """A network for classes that has learned nothing yet.

    The layers are those of ``base``, so that all it knows of edges and textures is there at the start. Its first layer
    sees the slice where it saw the colours; the weights of the neighbouring slices are 0, and strokes are left out.

    Parameters
    ----------
    examples : sequence of Example
        What it is to learn from; its resolution follows from the size of their regions.
    classes : ClassTable
    base : PlainUNet, optional
        Of eleven input channels; by default the network of the engine ``scribble-net`` that comes with the package.

    Returns
    -------
    LearnedNetwork

    Raises
    ------
    InputError
        If ``base`` takes other channels.
    """
    if base is None:
        shipped = load_shipped(_SHIPPED)[0]
        assert isinstance(shipped, PlainUNet)
        base = shipped
    if base.config.in_channels <= _EQUALISED:
        raise InputError(f"the network takes {base.config.in_channels} channels; one of 11 is expected to begin with")
    channels = max(example.image.shape[0] for example in examples)
    config = replace(base.config, in_channels=channels, out_channels=len(ids_of(classes)))
    model = PlainUNet(config)
    state = {name: value for name, value in base.state_dict().items() if not name.startswith("head.")}
    patch = base.config.patch
    first = state["down.0.0.weight"]  # (c0, 11 patch^2, 3, 3)
    by_channel = first.reshape(first.shape[0], base.config.in_channels, patch**2, 3, 3)
    state["down.0.0.weight"] = _of_slices(by_channel, channels).reshape(first.shape[0], -1, 3, 3)
    if patch > 1:
        refine = state["refine.weight"]
        own = _of_slices(refine[:, : base.config.in_channels], channels)
        state["refine.weight"] = torch.cat((own, refine[:, base.config.in_channels :]), dim=1)
    state |= {f"head.{name}": value for name, value in model.head.state_dict().items()}
    model.load_state_dict(state)
    flat = all(example.slice_index.ndim == 2 for example in examples)
    return LearnedNetwork(model, classes, Card(spacing=_working_spacing(examples), mirrored=flat))


def _of_slices(weight: Tensor, channels: int) -> Tensor:
    """Weights for slices in place of colours and strokes.

    Parameters
    ----------
    weight : Tensor of shape (O, 11, ...)
    channels : int
        3 (slices) or 9 (slices of three colours).

    Returns
    -------
    Tensor of shape (O, channels, ...)
    """
    colours = weight[:, :_COLOURS] + weight[:, _EQUALISED : _EQUALISED + 1] / (2 * _COLOURS)
    each = channels // N_SLICES
    made = weight.new_zeros((weight.shape[0], channels, *weight.shape[2:]))
    middle = N_SLICES // 2 * each
    made[:, middle : middle + each] = colours if each == _COLOURS else colours.sum(dim=1, keepdim=True)
    return made


def _working_spacing(examples: Sequence[Example]) -> float:
    """The size of a pixel at which a typical region of a class is about :data:`OBJECT` pixels large."""
    sides, pixels = [], []
    for example in examples:
        pixel = float(np.sqrt(np.prod(example.spacing)))
        pixels.append(pixel)
        for identity in np.unique(example.labels[example.labels > 0]) if example.accepted else ():
            regions, count = ndimage.label(example.labels == identity)
            areas = np.bincount(regions.ravel(), minlength=count + 1)[1:]
            sides.append(pixel * float(np.sqrt(np.average(areas, weights=areas))))
    pixel = float(np.median(pixels))
    zoom = OBJECT * pixel / float(np.median(sides)) if sides else 1.0
    return pixel / float(np.clip(zoom, COARSEST, FINEST))


def with_classes(network: LearnedNetwork, classes: ClassTable) -> LearnedNetwork:
    """A network for other classes; those that it knows stay as they are.

    Parameters
    ----------
    network : LearnedNetwork
        Not changed.
    classes : ClassTable

    Returns
    -------
    LearnedNetwork
        ``network`` itself where the ids are the same.
    """
    ids = ids_of(classes)
    if ids == network.ids:
        return LearnedNetwork(network.model, classes, network.card)
    model = PlainUNet(replace(network.model.config, out_channels=len(ids)))
    state = dict(network.model.state_dict())
    state |= {f"head.{name}": value for name, value in _head(network, model, ids).items()}
    model.load_state_dict(state)
    return LearnedNetwork(model, classes, network.card)


def _head(network: LearnedNetwork, model: PlainUNet, ids: Sequence[int]) -> Mapping[str, Tensor]:
    """The last layer, with the outputs of the classes that were there."""
    head, before = model.head, network.model.head
    made = nn.Conv2d(head.in_channels, head.out_channels, 1)
    made.load_state_dict(head.state_dict())
    assert made.bias is not None
    assert before.bias is not None
    with torch.no_grad():
        for new, identity in enumerate(ids):
            if identity in network.ids:
                old = network.ids.index(identity)
                made.weight[new], made.bias[new] = before.weight[old], before.bias[old]
    return made.state_dict()
