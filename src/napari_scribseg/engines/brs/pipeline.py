"""From strokes to probabilities: the network's answer, then its input or a layer corrected until they are met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import Image, InputError, Report, Scribbles, Segmentation
from napari_scribseg.engines.brs.conversion import Prompt, prompt_of
from napari_scribseg.engines.brs.cut import Cut, Values
from napari_scribseg.engines.brs.energy import Annotated, disagreement
from napari_scribseg.engines.brs.minimise import Best, Budget, Tried, minimise
from napari_scribseg.engines.brs.network import Network, first_output
from napari_scribseg.engines.brs.opening import open_network
from napari_scribseg.engines.brs.questions import Question, ask, probabilities
from napari_scribseg.nets.padding import crop_to, pad_to_multiple
from napari_scribseg.numerics.device import choose_device

if TYPE_CHECKING:
    from napari_scribseg.engines.brs.engine import BRS, FBRS

__all__ = ["BRSState", "Memory", "prepare", "segment", "unprompted"]

_BIAS = 10.0  # how many times as much a bias costs as a scale (Sofiuk et al.)
_SPARE = 3  # evaluations between two previews


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """The last answer.

    Attributes
    ----------
    seeds : ndarray of shape (H, W), int32
        The strokes that it answered, as label ids; -1 elsewhere.
    changes : mapping of int to Tensor
        What was found to correct, by the label id of the class that was asked about (-1: about all at once).
    layer : str
        Where it belongs: a layer of f-BRS, or nothing for the maps.
    """

    seeds: NDArray[np.int32]
    changes: Mapping[int, Tensor]
    layer: str


@dataclass(frozen=True, slots=True, eq=False)
class BRSState:
    """What the engine remembers of one image.

    Attributes
    ----------
    network : Network
    x : Tensor of shape (1, C, h, w)
        The image as the network takes it.
    own : Tensor of shape (1, n, h, w) or None
        The network's output without strokes, if it can do without.
    shape : tuple of 2 int
        Of the image.
    memory : Memory or None
    """

    network: Network
    x: Tensor
    own: Tensor | None
    shape: tuple[int, ...]
    memory: Memory | None = None


def prepare(engine: BRS | FBRS, image: Image, device: str) -> BRSState:
    """The state for a fresh image."""
    network = open_network(engine.model, engine.weights, engine.trust, choose_device(device))
    x = network.input(image)
    own = None
    if network.card.prompt == "none":
        with torch.no_grad():
            own = network.raw(x, exact=True)
        _require_finite(own, network)
    if isinstance(layer := getattr(engine, "layer", None), str):
        _cut(network, _padded(x, network), layer)  # kept for all images of this size
    return BRSState(network, x, own, image.shape)


def unprompted(state: BRSState) -> NDArray[np.float32]:
    """Probabilities of the network's own classes without strokes, shape (K, H, W); the first is the rest for a sigmoid.

    Raises
    ------
    InputError
        If the network was trained to be given strokes.
    """
    if state.own is None:
        raise InputError(f"{state.network.name} answers strokes only; a network that takes images is expected")
    found: NDArray[np.float32] = torch.softmax(state.network.fields(state.own, state.shape), dim=0).cpu().numpy()
    return found


def segment(engine: BRS | FBRS, scribbles: Scribbles, state: BRSState, report: Report) -> Segmentation[BRSState]:
    """The answer for one set of strokes; what was corrected before is where it begins."""
    report(0.0)
    budget = Budget(engine.evaluations, engine.seconds)
    questions = ask(state.network, scribbles)
    layer = getattr(engine, "layer", "")
    known = _recalled(state, scribbles, layer)
    ids = {q.key: scribbles.ids[q.key] if q.key >= 0 else q.key for q in questions}
    solvers = {q.key: _Solver(engine, state, q, layer, known.get(ids[q.key])) for q in questions}
    fields, wrong = {}, {}
    for i, (key, solver) in enumerate(solvers.items()):
        fields[key], wrong[key] = solver.first()
        report(0.1 * (i + 1) / len(solvers))
    notes = _notes(state, scribbles)

    def show(fraction: float, better: bool) -> None:
        answer = _answer(scribbles, fields, state, (*notes, "preview")) if better else None
        report(fraction, cast("Segmentation[object] | None", answer))

    show(0.1, True)
    before, n_evaluations = sum(wrong.values()), 0
    changes = {ids[key]: solver.start for key, solver in solvers.items()}
    refined = [key for key in solvers if wrong[key]]
    for i, key in enumerate(refined):
        tell = _teller(i, len(refined), engine.evaluations, fields, key, show)
        best = minimise(solvers[key].start, solvers[key].evaluate, budget, tell)
        fields[key], wrong[key] = best.fields, best.wrong
        changes[ids[key]], n_evaluations = best.values, n_evaluations + best.evaluations
    marks = sum(int((q.targets >= 0).sum()) for q in questions)
    told = _obedience(marks, before, sum(wrong.values()), n_evaluations)
    memory = Memory(_labels(scribbles), changes, layer)
    report(1.0)
    return _answer(scribbles, fields, replace(state, memory=memory), (told, *notes))


def _teller(
    i: int, n: int, most: int, fields: dict[int, Tensor], key: int, show: Callable[[float, bool], None]
) -> Callable[[Best, bool], None]:
    """What is called after each evaluation: the first correction is shown at once, further ones now and then."""
    last = [-_SPARE]

    def tell(best: Best, better: bool) -> None:
        shown = better and best.evaluations > 1 and best.evaluations - last[0] >= _SPARE
        if shown:
            fields[key], last[0] = best.fields, best.evaluations
        show(0.1 + 0.85 * (i + min(best.evaluations / most, 1.0)) / n, shown)

    return tell


def _recalled(state: BRSState, scribbles: Scribbles, layer: str) -> Mapping[int, Tensor]:
    """What was corrected before, by label id; nothing after strokes were taken back."""
    memory = state.memory
    if memory is None or memory.layer != layer:
        return {}
    drawn = memory.seeds >= 0
    return memory.changes if np.array_equal(memory.seeds[drawn], _labels(scribbles)[drawn]) else {}


def _labels(scribbles: Scribbles) -> NDArray[np.int32]:
    """The strokes as label ids."""
    table = np.asarray((*scribbles.ids, -1), dtype=np.int32)
    return table[scribbles.seeds]


def _notes(state: BRSState, scribbles: Scribbles) -> tuple[str, ...]:
    lonely = scribbles.n_classes == 2 and np.count_nonzero(scribbles.counts) == 1
    rest = ("one class was drawn: the other is all that does not belong to it",) if lonely else ()
    return (*rest, f"answered by {state.network.name}", f"computed on {state.network.device}")


def _obedience(marks: int, before: int, after: int, evaluations: int) -> str:
    """How many stroke pixels the network itself got right, before any was forced."""
    share, former = (100 * (1 - n / max(marks, 1)) for n in (after, before))
    if not evaluations:
        return f"the network agrees with {share:.1f} % of the stroke pixels"
    return (
        f"the network agrees with {share:.1f} % of the stroke pixels, {former:.1f} % before {evaluations} evaluations "
        "corrected it"
    )


def _answer(
    scribbles: Scribbles, fields: Mapping[int, Tensor], state: BRSState, notes: tuple[str, ...]
) -> Segmentation[BRSState]:
    """With certainty for its own class at every stroke pixel."""
    found = probabilities(fields, scribbles)
    rows, columns = np.nonzero(scribbles.seeds >= 0)
    found[:, rows, columns] = 0
    found[scribbles.seeds[rows, columns], rows, columns] = 1
    return Segmentation(found, state, notes)


def _require_finite(values: Tensor, network: Network) -> None:
    if not torch.isfinite(values).all():
        raise InputError(f"{network.name} gives NaN or infinite values for this image; finite ones are expected")


def _padded(x: Tensor, network: Network) -> tuple[int, ...]:
    """The shape of an input of the network once it is padded."""
    multiple = network.card.multiple
    return 1, network.n_inputs, *(-(-n // multiple) * multiple for n in x.shape[2:])


@lru_cache(maxsize=4)
def _cut(network: Network, shape: tuple[int, ...], layer: str) -> Cut:
    """A network taken apart for inputs of one size."""
    return Cut(network.fast, torch.zeros(shape, device=network.device), layer, network.name)


class _Solver:
    """One question to the network, and the energy of what is changed for it.

    Attributes
    ----------
    start : Tensor
        What was corrected before, if it helps; else nothing.
    """

    def __init__(
        self, engine: BRS | FBRS, state: BRSState, question: Question, layer: str, known: Tensor | None
    ) -> None:
        self._engine, self._state, self._question = engine, state, question
        network = state.network
        self._prompt: Prompt = prompt_of(network.card.prompt, state.x, network.n_inputs)
        self._base = self._prompt.base(state.x, _on_grid(question.targets, state.x.shape[2:]))
        self._untouched = known is None
        self._annotated = _annotated(question.targets, network.device, bool(layer))
        self._threshold = 0.51 if layer else 0.5
        self._cut = _cut(network, _padded(self._base, network), layer) if layer else None
        self._before: Values = {}
        zero = self._prompt.zero(state.x) if self._cut is None else state.x.new_zeros((2, self._cut.channels))
        self.start = zero if known is None or known.shape != zero.shape else known

    @torch.no_grad()
    def first(self) -> tuple[Tensor, int]:
        """The answer before anything more is corrected, and its number of wrong stroke pixels.

        What was corrected for earlier strokes is kept where the network agrees with as many pixels as without it.
        """
        own, zero = self._state.own, torch.zeros_like(self.start)
        fields, wrong = self._judged(self._raw(zero) if own is None else own)
        if not self._untouched and wrong:
            corrected, fewer = self._judged(self._raw(self.start))
            if fewer <= wrong:
                return corrected, fewer
        self.start = zero
        return fields, wrong

    def _judged(self, raw: Tensor) -> tuple[Tensor, int]:
        _require_finite(raw, self._state.network)
        fields = self._fields(raw)
        return fields, self._annotated.wrong(self._annotated.pick(fields), self._threshold)

    def evaluate(self, change: Tensor) -> Tried:
        """Energy, answer and number of wrong stroke pixels for a change."""
        fields = self._fields(self._raw(change))
        picked = self._annotated.pick(fields)
        size = (
            change.square().sum()
            if self._cut is None
            else (change.square().sum(1) * change.new_tensor((1, _BIAS))).sum()
        )
        energy = disagreement(picked, self._annotated, self._engine.objective) + self._engine.inertia * size
        return energy, fields, self._annotated.wrong(picked.detach(), self._threshold)

    def _fields(self, raw: Tensor) -> Tensor:
        return self._question.merged(self._state.network.fields(raw, self._state.shape))

    def _raw(self, change: Tensor) -> Tensor:
        network = self._state.network
        if self._cut is None:
            return network.raw(self._prompt.changed(self._base, change))
        if not self._before:
            with torch.no_grad():
                self._before = self._cut.before(pad_to_multiple(self._base, network.card.multiple))
        scale, bias = (part.reshape(1, -1, 1, 1) for part in change)
        changed = self._cut.layer(self._before) * (1 + scale) + bias
        return crop_to(first_output(self._cut.after(self._before, changed)), self._base)


def _on_grid(targets: NDArray[np.int32], shape: Any) -> NDArray[np.int32]:
    """Strokes on a grid of another size: each pixel goes where its centre lies."""
    if targets.shape == tuple(shape):
        return targets
    rows, columns = np.nonzero(targets >= 0)
    placed = [
        np.minimum((at + 0.5) * new / old, new - 1).astype(np.intp)
        for at, new, old in zip((rows, columns), shape, targets.shape, strict=True)
    ]
    found = np.full(tuple(shape), -1, dtype=np.int32)
    found[placed[0], placed[1]] = targets[rows, columns]
    return found


def _annotated(targets: NDArray[np.int32], device: str, patches: bool) -> Annotated:
    """The stroke pixels; with patches (Sofiuk et al.) their neighbours too, and each class counts alike."""
    spread = targets.copy()
    if patches:
        padded = np.pad(targets, 1, constant_values=-1)
        height, width = targets.shape
        for down in (0, 1, 2):
            for right in (0, 1, 2):
                near = padded[down : down + height, right : right + width]
                np.copyto(spread, near, where=(spread < 0) & (near >= 0))
    places = np.flatnonzero(spread >= 0)
    classes = spread.reshape(-1)[places]
    weights = 1 / np.bincount(classes)[classes] if patches else np.ones(len(places))
    strict = targets.reshape(-1)[places] >= 0
    tensors = (torch.from_numpy(np.asarray(v)).to(device) for v in (places, classes.astype(np.int64), strict))
    where, what, must = tensors
    return Annotated(where, what, torch.from_numpy(weights.astype(np.float32)).to(device), must)
