"""From strokes to probabilities: the network's prediction, corrected until it gets the stroke pixels right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import Image, InputError, Report, Scribbles, Segmentation
from napari_scribseg.engines.brs.corrected_query import CorrectedQuery, cut_for, require_finite
from napari_scribseg.engines.brs.minimise import Best, Budget, minimise
from napari_scribseg.engines.brs.parameters import RefinementParameters
from napari_scribseg.engines.brs.probing import open_network
from napari_scribseg.engines.brs.queries import ALL, Query, probabilities, queries_of
from napari_scribseg.engines.brs.state import BRSState, LastCorrections, ZoomIn
from napari_scribseg.engines.brs.zoom import Zoom
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.numerics.variational.refine import boundary_weights, refine
from napari_scribseg.prompting.crops import image_levels
from napari_scribseg.prompting.predictions import Grid

__all__ = ["prepare", "segment", "unprompted"]

_SPARE = 3  # evaluations between two previews


def prepare(parameters: RefinementParameters, image: Image, device: str) -> BRSState:
    """The state for a fresh image."""
    given = parameters.model, parameters.weights, parameters.trust, choose_device(device)
    network = open_network(*given, parameters.decoder)
    channels = network.channels(image)
    x = network.input(channels, network.grid(image.shape, image.spacing))
    own = None
    if network.card.prompt == "none":
        with torch.no_grad():
            own = network.raw(x, exact=True)
        require_finite(own, network)
    if parameters.layer:
        cut_for(network, x, parameters.layer)
    zooms = parameters.zoom and network.card.prompt != "none" and not network.card.spacing and not network.card.size
    grid = Grid.of(image.shape, image.spacing)
    levels = image_levels(torch.from_numpy(channels).to(network.device), grid.pixel) if zooms else ()
    moved = parameters.refine == "edges" and network.card.takes_prompt_maps
    boundaries = boundary_weights(channels, grid.pixel) if moved else None
    return BRSState(network, x, own, levels, grid, boundaries)


def unprompted(state: BRSState) -> NDArray[np.float32]:
    """Probabilities of the network's own classes without strokes, shape (K, H, W); the first is the rest for a sigmoid.

    Raises
    ------
    InputError
        If the network was trained to be given strokes.
    """
    if state.own is None:
        raise InputError(f"{state.network.name} needs strokes; a network that takes images alone is expected")
    found: NDArray[np.float32] = torch.softmax(state.network.fields(state.own, state.grid.shape), dim=0).cpu().numpy()
    return found


def segment(
    parameters: RefinementParameters, scribbles: Scribbles, state: BRSState, report: Report
) -> Segmentation[BRSState]:
    """Segment one set of strokes, starting from the corrections of the last result."""
    report(0.0)
    correction = _Correction(parameters, scribbles, state, report)
    notes = _notes(state, scribbles)

    def show(fraction: float, better: bool) -> None:
        preview = None
        if better:
            preview = _result(scribbles, correction.probabilities(), state, (*notes, "preview"))
        report(fraction, cast("Segmentation[object] | None", preview))

    show(0.1, True)
    before = correction.accuracy
    correction.run(show)
    found = correction.probabilities()
    if state.boundaries is not None:
        given = scribbles.seeds, state.boundaries, state.grid.pixel
        found = refine(found, *given, lambda part: report(0.95 + 0.05 * part))
    report(1.0)
    notes = (_accuracy_note(before, correction.accuracy, correction.evaluations), *notes)
    return _result(scribbles, found, replace(state, former=correction.former()), notes, correction.accuracy)


class _Correction:
    """The predictions for all queries, and their corrections.

    Attributes
    ----------
    evaluations : int
        Forward and backward passes so far.
    """

    def __init__(self, parameters: RefinementParameters, scribbles: Scribbles, state: BRSState, report: Report) -> None:
        self._parameters, self._scribbles = parameters, scribbles
        self._budget = Budget(parameters.evaluations, parameters.seconds)
        self._queries = {q.key: q for q in queries_of(state.network, scribbles, parameters.zoom)}
        self._ids = {key: scribbles.ids[key] if key >= 0 else key for key in self._queries}
        self._zoom = Zoom(parameters, state, scribbles)
        self._corrected: dict[int, CorrectedQuery] = {}
        self._fields: dict[int, Tensor] = {}
        self._wrong: dict[int, int] = {}
        former = _valid_former(state, scribbles, parameters.layer)
        again = former is not None and np.array_equal(former.seeds, _seed_ids(scribbles))
        for i, (key, query) in enumerate(self._queries.items()):
            zoom_in: ZoomIn | None = None if former is None else former.zoom_ins.get(self._ids[key])
            self._corrected[key], self._fields[key], self._wrong[key] = self._zoom.begin(query, zoom_in, again)
            report(0.1 * ((i + 1) / len(self._queries)))
        self._changes = {key: corrected.start for key, corrected in self._corrected.items()}
        self.evaluations = 0

    @property
    def accuracy(self) -> float:
        """Share of the stroke pixels that the network gives their class, over all queries."""
        n_pixels = sum(int((q.targets >= 0).sum()) for q in self._queries.values())
        return 1 - sum(self._wrong.values()) / max(n_pixels, 1)

    def probabilities(self) -> Tensor:
        """Of all classes, shape (K, H, W)."""
        if ALL in self._fields:
            return probabilities(self._fields, self._scribbles)
        parts: dict[int, tuple[Query, CorrectedQuery, Tensor]] = {
            k: (self._queries[k], self._corrected[k], self._fields[k]) for k in self._queries
        }
        return probabilities(self._zoom.odds(parts), self._scribbles)

    def run(self, show: Callable[[float, bool], None]) -> None:
        """Correct the predictions of all queries with wrong stroke pixels.

        The first correction is shown at once, further ones after every few evaluations.
        """
        keys = [key for key in self._corrected if self._wrong[key]]
        for i, key in enumerate(keys):
            last_shown = -_SPARE

            def progress(best: Best, better: bool, i: int = i, key: int = key) -> None:
                nonlocal last_shown
                shown = better and best.evaluations > 1 and best.evaluations - last_shown >= _SPARE
                if shown:
                    self._fields[key] = best.fields
                    last_shown = best.evaluations
                done = min(best.evaluations / self._parameters.evaluations, 1.0)
                show(0.1 + 0.85 * (i + done) / len(keys), shown)

            corrected = self._corrected[key]
            best = minimise(corrected.start, corrected.evaluate, self._budget, progress, corrected.first_step)
            self._fields[key], self._wrong[key], self._changes[key] = best.fields, best.wrong, best.values
            self.evaluations += best.evaluations

    def former(self) -> LastCorrections:
        """The start of the next result."""
        zoom_ins = {
            self._ids[k]: self._zoom.zoom_in(q, self._corrected[k], self._fields[k], self._changes[k])
            for k, q in self._queries.items()
        }
        return LastCorrections(_seed_ids(self._scribbles), zoom_ins, self._parameters.layer)


def _valid_former(state: BRSState, scribbles: Scribbles, layer: str) -> LastCorrections | None:
    """The last corrections, if they are of the same layer and no strokes were erased since."""
    former = state.former
    if former is None or former.layer != layer:
        return None
    drawn = former.seeds >= 0
    return former if np.array_equal(former.seeds[drawn], _seed_ids(scribbles)[drawn]) else None


def _seed_ids(scribbles: Scribbles) -> NDArray[np.int32]:
    """The strokes as label ids, -1 elsewhere."""
    table = np.asarray((*scribbles.ids, -1), dtype=np.int32)
    return table[scribbles.seeds]


def _notes(state: BRSState, scribbles: Scribbles) -> tuple[str, ...]:
    single = scribbles.n_classes == 2 and np.count_nonzero(scribbles.counts) == 1
    rest = ("one class was drawn: the other is all that does not belong to it",) if single else ()
    return (*rest, f"predicted by {state.network.name}", f"computed on {state.network.device}")


def _accuracy_note(before: float, after: float, evaluations: int) -> str:
    """The share of stroke pixels that the network gets right, before they are given their class."""
    if not evaluations:
        return f"the network agrees with {100 * after:.1f} % of the stroke pixels"
    return (
        f"the network agrees with {100 * after:.1f} % of the stroke pixels, {100 * before:.1f} % before {evaluations} "
        "evaluations corrected it"
    )


def _result(
    scribbles: Scribbles,
    found: Tensor,
    state: BRSState,
    notes: tuple[str, ...],
    raw_seed_accuracy: float | None = None,
) -> Segmentation[BRSState]:
    on_host = found.to("cpu", torch.float32).numpy()
    return Segmentation.of(on_host, scribbles, state, notes, raw_seed_accuracy=raw_seed_accuracy)
