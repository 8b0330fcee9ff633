"""A learned network: its weights, its classes, and its card; it drafts slices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_scribseg.annotate.drafter import Draft
from napari_scribseg.core.classes import ClassTable
from napari_scribseg.core.engine import Report
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.kernel.container import classes_from_json, classes_to_json
from napari_scribseg.learn.agreement import Agreement
from napari_scribseg.learn.slices import SliceReader
from napari_scribseg.nets import PlainUNet, for_inference, load_model, save_model
from napari_scribseg.nets.weights import tensor_checksum
from napari_scribseg.numerics.device import choose_device

__all__ = ["Card", "LearnedNetwork", "on_grid", "working_size"]

_KEY = "learned"  # of the card in the file
_BATCH = 8  # slices
_MOST = 1 << 21  # pixels of a batch at the network's resolution
_LARGEST = 1024  # pixels along a side, at the network's resolution

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Card:
    """What a network was learned from, and how good it is.

    Attributes
    ----------
    spacing : float
        Size of a pixel at the resolution that it works at.
    mirrored : bool
        Whether it was shown mirrored slices: where left and right, up and down mean nothing.
    examples : int
        Number of examples.
    cases : tuple of str
        The images that they are of.
    steps : int
        Number of steps of all learning so far.
    seen : tuple of str
        A checksum of each example.
    agreement : Agreement or None
        How well it agreed with accepted slices before it saw them; None where there were too few.
    """

    spacing: float
    mirrored: bool = False
    examples: int = 0
    cases: tuple[str, ...] = ()
    steps: int = 0
    seen: tuple[str, ...] = ()
    agreement: Agreement | None = None


class LearnedNetwork:
    """A network for the classes of a user; a :class:`~napari_scribseg.annotate.drafter.Drafter`.

    Parameters
    ----------
    model : PlainUNet
        Its outputs are the background, and the other classes in the order of the table. It is not changed.
    classes : ClassTable
    card : Card

    Raises
    ------
    InputError
        If the network has another number of outputs.
    """

    def __init__(self, model: PlainUNet, classes: ClassTable, card: Card) -> None:
        self.ids = ids_of(classes)
        if model.config.out_channels != len(self.ids):
            raise InputError(
                f"the network has {model.config.out_channels} outputs; {len(self.ids)} are expected, one for the "
                "background and one for each other class"
            )
        self.model = model.eval()
        self.classes = classes
        self.card = card

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the weights."""
        return tensor_checksum({name: value.detach().cpu() for name, value in self.model.state_dict().items()})

    def save(self, path: str | Path) -> Path:
        """Write it to a file, which ends in ``.safetensors``; errors as of :func:`~napari_scribseg.nets.save_model`."""
        agreement = self.card.agreement
        content = {
            "classes": classes_to_json(self.classes),
            "card": {
                "spacing": self.card.spacing,
                "mirrored": self.card.mirrored,
                "examples": self.card.examples,
                "cases": self.card.cases,
                "steps": self.card.steps,
                "seen": self.card.seen,
            },
            "agreement": None if agreement is None else [list(agreement.dice.items()), agreement.slices],
        }
        return save_model(path, self.model, {_KEY: json.dumps(content)})

    @classmethod
    def load(cls, path: str | Path) -> LearnedNetwork:
        """Read it from a file; nothing in it runs.

        Raises
        ------
        InputError
            If the file is missing, damaged, or holds no learned network.
        """
        model, metadata = load_model(path)
        if not isinstance(model, PlainUNet) or _KEY not in metadata:
            raise InputError(
                f"{Path(path).name} holds no learned network; a file that LearnedNetwork.save wrote is expected"
            )
        try:
            content = json.loads(metadata[_KEY])
            classes, card = classes_from_json(content["classes"]), _card_from(content)
        except (ValueError, TypeError, KeyError, AttributeError, InputError) as error:
            raise InputError(f"the card of {Path(path).name} is damaged ({error}); learn the network again") from error
        return cls(model, classes, card)

    def draft(self, source: Source, slices: Sequence[SliceIndex], report: Report) -> Iterator[Draft]:
        """Draft slices of an image.

        Parameters
        ----------
        source : Source
        slices : sequence of SliceIndex
        report : Report
            Called after each batch of slices; what it raises ends the work.

        Yields
        ------
        Draft
            In the order of ``slices``.

        Raises
        ------
        InputError
            If a slice does not lie in the image, has another number of channels than those learned from, or a voxel is
            NaN or infinite.
        """
        reader = SliceReader(source)
        report(0.0)
        done = 0
        for batch in self._batches(source, slices):
            read = [reader.read(each) for each in batch]
            found = self.probabilities([image for image, _ in read], read[0][1])
            for slice_index, each in zip(batch, found, strict=True):
                yield Draft(slice_index, self.labels_of(each), each.max(axis=0))
            done += len(batch)
            report(done / len(slices))

    def _batches(self, source: Source, slices: Sequence[SliceIndex]) -> Iterator[list[SliceIndex]]:
        """Neighbouring slices of one orientation, a few at once."""
        batch: list[SliceIndex] = []
        most = _BATCH
        for slice_index in slices:
            if batch and (len(batch) >= most or batch[0].displayed != slice_index.displayed):
                yield batch
                batch = []
            if not batch:
                spacing = tuple(float(source.geometry.spacing[axis]) for axis in slice_index.displayed)
                size = working_size(source.slice_shape(slice_index), spacing, self.card.spacing)
                most = max(min(_BATCH, _MOST // (size[0] * size[1])), 1)
            batch.append(slice_index)
        if batch:
            yield batch

    def probabilities(self, images: Sequence[Float32], spacing: tuple[float, ...]) -> Float32:
        """The probability of each class.

        Parameters
        ----------
        images : sequence of ndarray of shape (C, H, W), float32
            As :class:`~napari_scribseg.learn.slices.SliceReader` reads them, all of one shape.
        spacing : tuple of 2 float
            Size of a pixel.

        Returns
        -------
        ndarray of shape (N, K, H, W), float32
            K classes, the background first.

        Raises
        ------
        InputError
            If they have another number of channels than the network takes.
        """
        x = torch.from_numpy(np.stack([as_channels(image, self.model.config.in_channels) for image in images]))
        size = working_size(x.shape[-2:], spacing, self.card.spacing)
        logits = self._predictor(on_grid(x, size))  # (N, K, h, w)
        return torch.softmax(on_grid(logits, x.shape[-2:]), dim=1).cpu().numpy()

    def labels_of(self, probabilities: Float32) -> NDArray[np.uint16]:
        """The ids of probabilities of shape (K, H, W); shape (H, W)."""
        found: NDArray[np.uint16] = np.asarray(self.ids, np.uint16)[probabilities.argmax(axis=0)]
        return found

    @cached_property
    def _predictor(self) -> Any:
        return for_inference(self.model, choose_device("auto"))

    def with_card(self, **changes: Any) -> LearnedNetwork:
        """The same network with another card."""
        return LearnedNetwork(self.model, self.classes, replace(self.card, **changes))


def ids_of(classes: ClassTable) -> tuple[int, ...]:
    """The ids of a network's outputs: 0 for the background, and those of the other classes."""
    return (0, *(each.id for each in classes if not each.background))


def working_size(shape: Sequence[int], spacing: Sequence[float], working: float) -> tuple[int, int]:
    """Rows and columns of a slice at the resolution of a network, whose pixels have the size ``working``."""
    rows, columns = (max(n * s / working, 1.0) for n, s in zip(shape, spacing, strict=True))
    factor = min(_LARGEST / max(rows, columns), 1.0)
    return max(round(rows * factor), 8), max(round(columns * factor), 8)


def on_grid(x: Tensor, size: Sequence[int]) -> Tensor:
    """``x`` of shape (N, C, H, W) with other rows and columns, averaged where they are fewer."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    fewer = size[0] < x.shape[-2] or size[1] < x.shape[-1]
    return functional.interpolate(x, size=tuple(size), mode="bilinear", antialias=fewer)


def as_channels(image: Float32, channels: int) -> Float32:
    """A slice of shape (C, H, W) for a network with that many channels; grey slices as colours."""
    if image.shape[0] == channels:
        return image
    if channels % image.shape[0]:
        raise InputError(
            f"the slice has {image.shape[0]} channels; the network was learned from slices with {channels}"
        )
    return np.repeat(image, channels // image.shape[0], axis=0)


def _card_from(content: dict[str, Any]) -> Card:
    """The card in a file; raises what nonsense raises."""
    card, agreement = content["card"], content["agreement"]
    spacing = float(card["spacing"])
    if not 0 < spacing < float("inf"):
        raise ValueError(f"pixels of the size {spacing}")
    found = None
    if agreement is not None:
        found = Agreement({int(i): float(value) for i, value in agreement[0]}, int(agreement[1]))
    return Card(
        spacing, bool(card["mirrored"]), int(card["examples"]), tuple(str(c) for c in card["cases"]),
        int(card["steps"]), tuple(str(s) for s in card["seen"]), found,
    )  # fmt: skip
