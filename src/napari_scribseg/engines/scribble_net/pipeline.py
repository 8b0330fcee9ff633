"""From strokes to probabilities: a first pass, the preview, a second pass, boundaries; the same on every device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_scribseg.core import Image, Report, Scribbles, Segmentation
from napari_scribseg.engines.scribble_net.crop_passes import PreparedImage, first_pass, second_pass
from napari_scribseg.engines.scribble_net.networks import open_network
from napari_scribseg.engines.scribble_net.parameters import ScribbleNetParameters
from napari_scribseg.engines.scribble_net.stroke_parts import Part, joined_parts, stroke_pieces, whole_class
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.numerics.variational.multiscale import converge, halvings_of, open_backend, solve_coarse_to_fine
from napari_scribseg.numerics.variational.parameters import EnergyParameters
from napari_scribseg.numerics.variational.problem import Backend
from napari_scribseg.numerics.variational.refine import MOST_COST, OWN_SHARE, SMOOTHNESS, boundary_weights, refine
from napari_scribseg.numerics.variational.terms import LabelTerms
from napari_scribseg.prompting.channels import three_channels
from napari_scribseg.prompting.crops import image_levels
from napari_scribseg.prompting.predictions import ClassLogits, Grid, Strokes, merge_logits, widest

__all__ = ["ENERGY", "LastPredictions", "NetState", "mix", "prepare", "segment"]

ENERGY = EnergyParameters()  # of the variational model
_MANY_DOTS = 3  # on the background, at which the variational model has half its share
_LONG = 0.6  # image diagonals of strokes, at which it has half its share


@dataclass(frozen=True, slots=True, eq=False)
class LastPredictions:
    """The predictions of the last result.

    Attributes
    ----------
    strokes : Strokes
    parts : mapping of int to Part
        The strokes that were predicted together. A class whose strokes are, or the first part of a class, has the
        number of the class; further parts have numbers above those of all classes.
    predictions : mapping of int to ClassLogits
        Of the network, for each of them.
    pieces : tuple of (Part, ClassLogits)
        The first predictions for the pieces of classes that have several.
    terms : tuple of LabelTerms
        Of the variational energy.
    """

    strokes: Strokes
    parts: Mapping[int, Part]
    predictions: Mapping[int, ClassLogits]
    pieces: tuple[tuple[Part, ClassLogits], ...] = ()
    terms: tuple[LabelTerms, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class NetState:
    """A prepared image, and the last predictions.

    Attributes
    ----------
    image : PreparedImage
        The scaled image, and the network.
    weights : ndarray of shape (H, W), float32
        Of the boundary length.
    device : str
        Where it computes.
    backend : Backend or None
        The image for the variational energy; None if that has no share in the result.
    former : LastPredictions or None
    """

    image: PreparedImage
    weights: NDArray[np.float32]
    device: str
    backend: Backend | None = None
    former: LastPredictions | None = None


def prepare(parameters: ScribbleNetParameters, image: Image, device: str) -> NetState:
    """The state for a fresh image."""
    chosen = choose_device(device)
    network = open_network(parameters.weights, chosen)
    grid = Grid.of(image.shape, image.spacing)
    channels = three_channels(image.data)
    levels = image_levels(torch.from_numpy(channels).to(chosen), grid.pixel)
    prepared = PreparedImage(grid.pixel, grid.shape, levels, network)
    weights = boundary_weights(channels, grid.pixel)
    return NetState(prepared, weights, chosen, open_backend(ENERGY, image, chosen) if parameters.hybrid else None)


@torch.inference_mode()
def segment(
    parameters: ScribbleNetParameters, scribbles: Scribbles, state: NetState, report: Report
) -> Segmentation[NetState]:
    """Segment one set of strokes; earlier predictions are reused where no stroke was added."""
    report(0.0)
    image, strokes = state.image, Strokes.of(scribbles.seeds)
    labels, whole = [int(k) for k in np.flatnonzero(scribbles.counts)], parameters.crop == "whole"
    rest = _rest(scribbles, labels)
    wide = widest(strokes, labels, scribbles.ids, image) if rest is None else None
    notes = _notes(state, scribbles, labels, rest)
    has_objects = not whole and (rest is not None or 0 in scribbles.ids)
    divided = _Divided.of(strokes, labels, {*labels} - {wide} if has_objects else set(), state)
    parts = divided.parts
    valid, stale, drawn = _sort_former(state.former, strokes, parts, image)
    missing = [k for k in parts if k not in valid]
    merged = _Merged(scribbles, labels, rest, wide, divided)

    def predict(some: list[int]) -> dict[int, ClassLogits]:
        ready = {k: divided.first[k] for k in some if k in divided.first}
        fresh = {k: parts[k] for k in some if k not in ready}
        return ready | (first_pass(image, fresh, stale, labels if whole else (wide,)) if fresh else {})

    first = predict([k for k in missing if k in drawn])  # the preview is about these; others keep their predictions
    seen = merged.of({**valid, **stale, **first})
    preview = seen.result(seen.probabilities(image), state, (*notes, "preview"))
    report(0.3, cast("Segmentation[object]", preview))
    first |= predict([k for k in missing if k not in drawn])
    second: dict[int, ClassLogits] = {}
    for i, batch in enumerate(_batches(missing, state.device)):
        report(0.35 + 0.25 * i / max(len(missing), 1))
        some = {k: parts[k] for k in batch}
        second |= second_pass(image, some, first, whole) if parameters.passes == 2 else {k: first[k] for k in batch}
    seen = merged.of({**valid, **second})
    report(0.6)
    probabilities, terms = _with_boundaries(parameters, seen, state, report)
    report(0.95)
    return seen.result(probabilities, state, notes, terms)


def _with_boundaries(
    parameters: ScribbleNetParameters, merged: _Merged, state: NetState, report: Report
) -> tuple[Tensor, tuple[LabelTerms, ...]]:
    """The probabilities with boundaries by the variational energy, or at edges alone; and the terms of that energy."""
    probabilities = merged.probabilities(state.image)
    if state.backend is not None and merged.rest is None:
        former = () if state.former is None else state.former.terms
        return mix(
            probabilities,
            merged.scribbles,
            state.backend,
            former,
            parameters.hybrid * _colour_evidence(merged.divided.strokes, merged.labels, merged.wide, state.image),
            lambda part: report(0.65 + 0.3 * part),
        )
    if parameters.refine == "edges":
        given = merged.scribbles.seeds, state.weights, state.image.pixel
        probabilities = refine(probabilities, *given, lambda part: report(0.7 + 0.25 * part))
    return probabilities, ()


def mix(
    probabilities: Tensor,
    scribbles: Scribbles,
    backend: Backend,
    terms: tuple[LabelTerms, ...],
    share: float,
    progress: Callable[[float], None],
) -> tuple[Tensor, tuple[LabelTerms, ...]]:
    """The relaxed labelling for the sum of the variational cost and that of the network's probabilities.

    Parameters
    ----------
    probabilities : Tensor of shape (K, H, W)
        Of the network.
    scribbles : Scribbles
        Of the same K classes, at least two of them with strokes.
    backend : Backend
        The image, opened with :data:`ENERGY`.
    terms : tuple of LabelTerms
        From the last call for this image, or empty.
    share : float
        Of the variational cost in the sum, above 0 and at most 1; the rest is ``-log`` of the probabilities.
    progress : callable
        Called with the share of the work that is done; may raise to end it.

    Returns
    -------
    Tensor of shape (K, H, W)
        Probabilities: two thirds the labelling, one third those of the network.
    tuple of LabelTerms
        For the next call.
    """
    cost = -torch.log(probabilities.clamp_min(float(np.exp(-MOST_COST))))
    weight = (1 - share) / share
    on_host: NDArray[np.float32] = (weight * cost).to("cpu", torch.float32).numpy()
    problem = backend.pose(ENERGY, scribbles, terms, quick=False)
    progress(0.3)
    added = np.where(scribbles.seeds >= 0, np.float32(0), on_host)
    problem = replace(backend.add(problem, added), smoothness=problem.smoothness + weight * SMOOTHNESS)
    solver = solve_coarse_to_fine(backend, halvings_of(backend, problem))
    converge(solver, lambda part: progress(0.5 + part / 2))
    labelling = torch.from_numpy(solver.primal()).to(probabilities.device)
    return torch.lerp(probabilities, labelling, OWN_SHARE), problem.terms


@dataclass(frozen=True, slots=True, eq=False)
class _Divided:
    """Strokes, divided into those that are predicted together.

    Attributes
    ----------
    strokes : Strokes
    parts : dict of int to Part
        As in :class:`LastPredictions`.
    first : dict of int to ClassLogits
        The first predictions of those of one piece.
    pieces : tuple of (Part, ClassLogits)
    """

    strokes: Strokes
    parts: dict[int, Part]
    first: dict[int, ClassLogits]
    pieces: tuple[tuple[Part, ClassLogits], ...]

    @classmethod
    def of(cls, strokes: Strokes, labels: list[int], objects: set[int], state: NetState) -> _Divided:
        """The parts of all classes; those in ``objects`` have a part for each of their objects."""
        pieces = {k: stroke_pieces(strokes, k) if k in objects else [whole_class(strokes, k)] for k in labels}
        found = _predict_pieces([p for some in pieces.values() if len(some) > 1 for p in some], state)
        made = cls(strokes, {}, {}, tuple(found))
        first = dict(found)
        free = max(labels) + 1
        for k, some in pieces.items():
            for n, part in enumerate(joined_parts(some, [first[p] for p in some if p in first], state.image)):
                number = k if n == 0 else free
                free += n > 0
                made.parts[number] = part
                if part in first:
                    made.first[number] = first[part]
        return made


def _predict_pieces(pieces: list[Part], state: NetState) -> list[tuple[Part, ClassLogits]]:
    """The pieces with their first predictions: earlier ones where no stroke was added in their crops."""
    former = () if state.former is None else state.former.pieces
    found: dict[int, ClassLogits] = {}
    for number, piece in enumerate(pieces):
        for old, prediction in former:
            if old.label == piece.label and np.array_equal(old.own, piece.own):
                changed, _ = piece.strokes.changed(old.strokes)
                if not prediction.covers(changed, state.image.pixel):
                    found[number] = prediction
    fresh = {number: piece for number, piece in enumerate(pieces) if number not in found}
    found |= first_pass(state.image, fresh, {}, ()) if fresh else {}
    return [(piece, found[number]) for number, piece in enumerate(pieces)]


def _sort_former(
    former: LastPredictions | None, strokes: Strokes, parts: Mapping[int, Part], image: PreparedImage
) -> tuple[dict[int, ClassLogits], dict[int, ClassLogits], set[int]]:
    """Earlier predictions that are still valid, those that are not, and the parts that were drawn since or are new.

    A prediction is valid as long as nothing new was drawn in its crops. After strokes were erased, none is used.
    """
    valid: dict[int, ClassLogits] = {}
    stale: dict[int, ClassLogits] = {}
    if former is None or not strokes.changed(former.strokes)[1]:
        return valid, stale, set(parts)
    drawn = set()
    for number, part in parts.items():
        inside = [k for k, old in former.parts.items() if old.label == part.label and part.own[old.own].all()]
        if len(inside) != 1:
            drawn.add(number)
            continue
        old, prediction = former.parts[inside[0]], former.predictions[inside[0]]
        grown = np.count_nonzero(part.own) > np.count_nonzero(old.own)
        if grown or prediction.covers(part.strokes.changed(old.strokes)[0], image.pixel):
            stale[number] = prediction
        else:
            valid[number] = prediction
        if grown:
            drawn.add(number)
    return valid, stale, drawn


def _colour_evidence(strokes: Strokes, labels: list[int], wide: int | None, image: PreparedImage) -> float:
    """How well strokes sample the colours of the classes, 0 to 1: little for short strokes, or dots on the background.

    A short stroke beside an object has the colours of what lies there only; the variational model, which takes them for
    those of the whole background, gives the object what is unlike them.
    """
    n_dots = None if wide is None else strokes.n_dots(wide, image.pixel)
    dotted = 1.0 if n_dots is None else n_dots**2 / (n_dots**2 + _MANY_DOTS**2)
    length = sum(_length(strokes.seeds == label) for label in labels) / np.hypot(*strokes.seeds.shape)
    return float(dotted * length**3 / (length**3 + _LONG**3))


def _length(painted: NDArray[np.bool_]) -> int:
    """Pixels of the centre lines of strokes."""
    from skimage.morphology import skeletonize

    (box,) = ndimage.find_objects(painted.astype(np.uint8))
    return int(np.count_nonzero(skeletonize(painted[box])))  # type: ignore[no-untyped-call]


def _batches(labels: list[int], device: str) -> list[list[int]]:
    """Classes of one pass: all on a graphics card; one by one on a CPU, with a chance to cancel in between."""
    if device == "cpu":
        return [[k] for k in labels]
    return [labels] if labels else []


def _rest(scribbles: Scribbles, labels: list[int]) -> int | None:
    """The class without strokes that gets all that fits none of the others: the other of two, or that of id 0."""
    if len(labels) == 1 and scribbles.n_classes == 2:
        return 1 - labels[0]
    undrawn = 0 in scribbles.ids and scribbles.ids.index(0) not in labels
    return scribbles.ids.index(0) if undrawn else None


def _notes(state: NetState, scribbles: Scribbles, labels: list[int], rest: int | None) -> tuple[str, ...]:
    computed = f"computed on {state.device}"
    if rest is None:
        return (computed,)
    if len(labels) == 1:
        return ("one class was drawn: the other is all that does not belong to it", computed)
    return ("no stroke marks the background: it is all that fits no class that was drawn", computed)


@dataclass(frozen=True, slots=True, eq=False)
class _Merged:
    """The predictions for all classes with strokes, merged on the image grid.

    Attributes
    ----------
    given : Scribbles
        Of all classes.
    labels : list of int
        Classes with strokes.
    rest : int or None
        The class without strokes that gets what fits none of them.
    wide : int or None
        The class that is predicted on the whole image.
    divided : _Divided
    predictions : mapping of int to ClassLogits
        Of its parts.
    """

    given: Scribbles
    labels: list[int]
    rest: int | None
    wide: int | None
    divided: _Divided
    predictions: Mapping[int, ClassLogits] = field(default_factory=dict)

    def of(self, predictions: Mapping[int, ClassLogits]) -> _Merged:
        """The same with these predictions."""
        return replace(self, predictions=predictions)

    @property
    def present(self) -> list[int]:
        """The classes that get pixels."""
        return self.labels if self.rest is None else sorted((*self.labels, self.rest))

    @property
    def scribbles(self) -> Scribbles:
        """The strokes of these classes only."""
        present = self.present
        index = np.full(self.given.n_classes + 1, -1, dtype=np.int32)
        index[present] = np.arange(len(present))
        return Scribbles(index[self.given.seeds], len(present), tuple(self.given.ids[k] for k in present))

    def probabilities(self, image: PreparedImage) -> Tensor:
        """Of the classes with strokes and the rest, shape (K', H, W).

        The network predicts for each part whether a pixel belongs to it; the logit of a class is the largest of its
        parts. Given that a pixel belongs to just one of the classes, and that these predictions are independent, the
        probability of a class is proportional to its odds: the softmax of the logits. The odds of the rest, which has
        no prediction, are even.
        """
        parts = self.divided.parts
        seen = [k for k in parts if k in self.predictions]
        logits = merge_logits({k: self.predictions[k] for k in seen}, image, self.wide)
        fields = dict.fromkeys(self.present, torch.zeros_like(logits[0]))
        for label in self.labels:
            own = [i for i, k in enumerate(seen) if parts[k].label == label]
            fields[label] = logits[own].amax(dim=0)
        return torch.softmax(torch.stack(list(fields.values())), dim=0)

    def result(
        self, probabilities: Tensor, state: NetState, notes: tuple[str, ...], terms: tuple[LabelTerms, ...] = ()
    ) -> Segmentation[NetState]:
        """The result for all classes; those without strokes get nothing."""
        found = probabilities.to("cpu", torch.float32).numpy()
        if len(found) < self.given.n_classes:
            full = np.zeros((self.given.n_classes, *found.shape[1:]), dtype=np.float32)
            full[self.present] = found
            found = full
        divided = self.divided
        former = LastPredictions(divided.strokes, divided.parts, self.predictions, divided.pieces, terms)
        return Segmentation.of(found, self.given, replace(state, former=former), notes)
