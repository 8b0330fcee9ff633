"""From strokes to probabilities: a first look, the preview, a second look, boundaries; the same for every device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import Image, Report, Scribbles, Segmentation
from napari_scribseg.engines.scribble_net.hybrid import MODEL, SVCDState, with_colours
from napari_scribseg.engines.scribble_net.networks import open_network
from napari_scribseg.engines.scribble_net.passes import first_look, second_look
from napari_scribseg.engines.scribble_net.scene import Scene
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.numerics.refine import boundary_weights, refine
from napari_scribseg.prompting.channels import three_channels
from napari_scribseg.prompting.crops import levels_of
from napari_scribseg.prompting.predictions import ClassLogits, Grid, Strokes, combine, widest

if TYPE_CHECKING:
    from napari_scribseg.engines.scribble_net.engine import ScribbleNet

__all__ = ["Memory", "NetState", "prepare", "segment"]

_MANY_DOTS = 3  # on the background, for which its colours count half as much as for a stroke


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """The last answer.

    Attributes
    ----------
    strokes : Strokes
        What it answered.
    predictions : mapping of int to ClassLogits
        What the network said, by class.
    colours : Any
        What the variational model keeps of its last strokes.
    """

    strokes: Strokes
    predictions: Mapping[int, ClassLogits]
    colours: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class NetState:
    """What the engine remembers of one image.

    Attributes
    ----------
    scene : Scene
        The scaled image, and the network.
    weights : ndarray of shape (H, W), float32
        Of the boundary length.
    device : str
        Where it computes.
    colours : SVCDState or None
        The image as the variational model sees it, where it has a say.
    memory : Memory or None
        The last answer.
    """

    scene: Scene
    weights: NDArray[np.float32]
    device: str
    colours: SVCDState | None = None
    memory: Memory | None = None


def prepare(engine: ScribbleNet, image: Image, device: str) -> NetState:
    """The state for a fresh image."""
    chosen = choose_device(device)
    network = open_network(engine.weights, chosen)
    grid = Grid.of(image.shape, image.spacing)
    channels = three_channels(image.data)
    levels = levels_of(torch.from_numpy(channels).to(chosen), grid.pixel)
    scene = Scene(grid.pixel, grid.shape, levels, network)
    return NetState(
        scene, boundary_weights(channels, grid.pixel), chosen, MODEL.prepare(image, chosen) if engine.hybrid else None
    )


@torch.inference_mode()
def segment(engine: ScribbleNet, scribbles: Scribbles, state: NetState, report: Report) -> Segmentation[NetState]:
    """The answer for one set of strokes, from what was said before where it can help."""
    report(0.0)
    strokes = Strokes.of(scribbles.seeds)
    labels, whole = [int(k) for k in np.flatnonzero(scribbles.counts)], engine.crop == "whole"
    kept, before, drawn = _recalled(state.memory, strokes, labels, state.scene)
    asked = [k for k in labels if k not in kept]
    wide = widest(strokes, labels, scribbles.ids, state.scene) if len(labels) > 1 else None
    notes = _notes(state, labels)

    def look(some: list[int]) -> dict[int, ClassLogits]:
        return first_look(state.scene, strokes, some, before, some if whole else (wide,)) if some else {}

    first = look(
        [k for k in asked if k in drawn]
    )  # the preview is about these; what was said of others serves it still
    preview = _Canvas(state, scribbles, labels, wide, {**kept, **before, **first})
    report(0.3, cast("Segmentation[object]", preview.answer(preview.probabilities(), strokes, (*notes, "preview"))))
    first |= look([k for k in asked if k not in drawn])
    second: dict[int, ClassLogits] = {}
    for i, part in enumerate(_portions(asked, state.device)):
        report(0.35 + 0.25 * i / max(len(asked), 1))
        some = {k: first[k] for k in part}
        if engine.passes == 2:
            second |= second_look(state.scene, strokes, some, whole)
        else:
            second |= some
    canvas = _Canvas(state, scribbles, labels, wide, {**kept, **second})
    report(0.6)
    probabilities, colours = canvas.probabilities(), None
    if state.colours is not None and len(labels) > 1:
        former = None if state.memory is None else state.memory.colours
        probabilities, colours = with_colours(
            probabilities,
            canvas.scribbles,
            state.colours,
            former,
            engine.hybrid * _known(strokes, wide, state.scene),
            lambda share: report(0.65 + 0.3 * share),
        )
    elif engine.refine == "edges":
        given = canvas.seeds, state.weights, state.scene.pixel
        probabilities = refine(probabilities, *given, lambda share: report(0.7 + 0.25 * share))
    report(0.95)
    return canvas.answer(probabilities, strokes, notes, colours)


def _recalled(
    memory: Memory | None, strokes: Strokes, labels: list[int], scene: Scene
) -> tuple[dict[int, ClassLogits], dict[int, ClassLogits], set[int]]:
    """What was said before: of classes for which it still holds, of those to be asked again; and which classes were
    drawn since, or never asked about.

    A prediction holds as long as nothing new was drawn in its crops. After strokes were taken back, none is used.
    """
    if memory is None:
        return {}, {}, set(labels)
    where, added = strokes.changed(memory.strokes)
    if not added:
        return {}, {}, set(labels)
    known = {k: memory.predictions[k] for k in labels if k in memory.predictions}
    renewed = set(np.unique(strokes.seeds[where]).tolist())
    kept = {k: o for k, o in known.items() if k not in renewed and not o.saw(where, scene.pixel)}
    return kept, {k: o for k, o in known.items() if k not in kept}, renewed | (set(labels) - set(known))


def _known(strokes: Strokes, wide: int | None, scene: Scene) -> float:
    """How far the colours near the strokes tell of the background, 0 to 1: a few dots on it tell of little of it."""
    n_dots = None if wide is None else strokes.n_dots(wide, scene.pixel)
    return 1.0 if n_dots is None else n_dots**2 / (n_dots**2 + _MANY_DOTS**2)


def _portions(labels: list[int], device: str) -> list[list[int]]:
    """Classes asked at once: all on a graphics card; one by one on a CPU, to hear in between that nobody waits."""
    if device == "cpu":
        return [[k] for k in labels]
    return [labels] if labels else []


def _notes(state: NetState, labels: list[int]) -> tuple[str, ...]:
    rest = ("one class was drawn: the other is all that does not belong to it",) if len(labels) == 1 else ()
    return (*rest, f"computed on {state.device}")


class _Canvas:
    """The predictions on all classes, on the image's own grid."""

    def __init__(
        self,
        state: NetState,
        scribbles: Scribbles,
        labels: list[int],
        wide: int | None,
        predictions: Mapping[int, ClassLogits],
    ) -> None:
        self._state, self._scribbles, self._predictions = state, scribbles, predictions
        self._wide = wide
        self._labels = labels if len(labels) > 1 else sorted((labels[0], 1 - labels[0]))
        place = np.full(scribbles.n_classes + 1, -1, dtype=np.int32)
        place[self._labels] = np.arange(len(self._labels))
        self.seeds: NDArray[np.int32] = place[scribbles.seeds]

    @property
    def scribbles(self) -> Scribbles:
        """The strokes of the classes that have any."""
        return Scribbles(self.seeds, len(self._labels), tuple(self._scribbles.ids[k] for k in self._labels))

    def probabilities(self) -> Tensor:
        """Of the classes with strokes, shape (K', H, W).

        The network answers for each class whether a pixel belongs to it. Given that just one of these independent
        answers is yes, the probability of a class is proportional to its odds: the softmax of the logits.
        """
        scene = self._state.scene
        fields = combine({k: self._predictions[k] for k in self._labels if k in self._predictions}, scene, self._wide)
        if len(fields) < len(self._labels):  # one class is drawn: 0 for the other, whose odds are even
            rest = torch.zeros_like(fields)
            fields = torch.cat((fields, rest) if self._labels[0] in self._predictions else (rest, fields))
        return torch.softmax(fields, dim=0)

    def answer(
        self, probabilities: Tensor, strokes: Strokes, notes: tuple[str, ...], colours: Any = None
    ) -> Segmentation[NetState]:
        """With certainty for its own class at every stroke pixel; nothing for classes without strokes."""
        found = probabilities.to("cpu", torch.float32).numpy()
        if len(found) < self._scribbles.n_classes:
            full = np.zeros((self._scribbles.n_classes, *found.shape[1:]), dtype=np.float32)
            full[self._labels] = found
            found = full
        rows, columns = strokes.painted
        found[:, rows, columns] = 0
        found[strokes.seeds[rows, columns], rows, columns] = 1
        return Segmentation(found, replace(self._state, memory=Memory(strokes, self._predictions, colours)), notes)
