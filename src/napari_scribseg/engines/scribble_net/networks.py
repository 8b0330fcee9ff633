"""Trained networks, loaded once a process and shared by all images."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.nets import Predictor, for_inference, load_model, load_shipped, shipped_weights
from napari_scribseg.prompting import WITH_PREVIOUS, WITH_STROKES, network_input

__all__ = ["SHIPPED", "ScribbleNetwork", "open_network"]

SHIPPED = "scribble-net"  # name of the network that comes with the package
WORKING_SIZE = 128  # pixels along a side of the crops that the network was trained on
_KEPT = 4  # networks


class ScribbleNetwork:
    """A trained network that any thread may call.

    Parameters
    ----------
    predictor : Predictor
    channels : int
        Of its input, one of :data:`~napari_scribseg.prompting.WITH_STROKES`.
    """

    nbytes = 0  # of an image's state: nothing, because all images share it

    def __init__(self, predictor: Predictor, channels: int) -> None:
        self._predictor, self._channels = predictor, channels
        self._lock = threading.Lock()  # recorded CUDA graphs have one input and one output

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._predictor.device

    @property
    def recalls(self) -> bool:
        """Whether the previous output is an input."""
        return self._channels in WITH_PREVIOUS

    def __call__(self, image: Tensor, stroke_map: Tensor, previous: Tensor | None) -> Tensor:
        """Logits of shape (N, H, W); the parameters are those of :func:`~napari_scribseg.prompting.network_input`."""
        seen = network_input(image, stroke_map, previous if self.recalls else None, self._channels)
        with self._lock:
            return self._predictor(seen)[:, 0]


def open_network(weights: str, device: str) -> ScribbleNetwork:
    """The network of a file, loaded if it has not been yet, or has changed since.

    Parameters
    ----------
    weights : str
        Path of a .safetensors file; empty for the network that comes with the package.
    device : str
        As :func:`~napari_scribseg.numerics.device.choose_device` gives it.

    Raises
    ------
    InputError
        If there is no such file, it is damaged or foreign, or its network takes other inputs, or other prompts.
    """
    shipped = shipped_weights().get(SHIPPED)
    if not weights and shipped is None:
        raise InputError(
            "scribble-net has no trained network in this installation; name a .safetensors file with one in its "
            "parameter weights, as in get_engine('scribble-net', weights='network.safetensors')"
        )
    path = user_path(weights) if weights else shipped
    if path is None or not path.is_file():
        raise InputError(f"the weights {weights} are missing; the path of a .safetensors file is expected")
    stat = path.stat()
    return _load("" if not weights else str(path.resolve()), device, (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=_KEPT)
def _load(weights: str, device: str, version: tuple[int, int]) -> ScribbleNetwork:
    """The network of a file as it is now (``version``), warmed up."""
    model, card = load_model(weights) if weights else load_shipped(SHIPPED)
    channels, name = model.config.in_channels, Path(weights).name or SHIPPED
    if channels not in WITH_STROKES:
        expected = ", ".join(map(str, WITH_STROKES))
        raise InputError(f"the network in {name} takes {channels} input channels; {expected} are expected")
    prompt = card.get("prompt", "scribbles")
    if prompt != "scribbles":
        raise InputError(f"the network in {name} takes {prompt[:60]!r}; one that takes scribbles is expected")
    network = ScribbleNetwork(for_inference(model, device), channels)
    for n in (1, 2):
        image = torch.zeros((n, 3, WORKING_SIZE, WORKING_SIZE), device=network.device)
        strokes = torch.eye(WORKING_SIZE, device=network.device).expand(n, -1, -1)
        network(image, strokes, None)
    return network
