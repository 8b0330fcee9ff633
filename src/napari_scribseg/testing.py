"""The contract that every engine keeps; call :func:`check_engine` from the tests of your own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import (
    Cancelled,
    Engine,
    EngineInfo,
    Image,
    InputError,
    LossCurve,
    PredictsUnprompted,
    Scribbles,
    SeesNeighbours,
    Segmentation,
    ShowsFeatures,
)
from napari_scribseg.numerics.prior import segment_with_prior

__all__ = ["check_engine", "check_prior", "two_discs"]

_UNPAINTED = 1e-3  # probability at most of a class without strokes


def two_discs(
    shape: tuple[int, int] = (48, 64), channels: int = 1, seed: int = 0
) -> tuple[Image, Scribbles, NDArray[np.intp]]:
    """A noisy picture of two bright discs on a dark ground, strokes for three classes, and the truth.

    Returns
    -------
    image : Image
        ``channels`` channels of shape ``shape``, values about 20 (ground), 120 and 220 (discs).
    scribbles : Scribbles
        A short stroke inside each disc, one along the top of the ground.
    truth : ndarray of shape ``shape``
        Class indices.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    middle, radius = shape[0] / 2, min(shape) * 0.25
    truth = np.zeros(shape, dtype=np.intp)
    for index, column in enumerate((shape[1] * 0.27, shape[1] * 0.73), start=1):
        truth[(rows - middle) ** 2 + (columns - column) ** 2 <= radius**2] = index
    values = np.asarray([20.0, 120.0, 220.0])[truth]
    data = np.stack([values + rng.normal(0, 6, shape) for _ in range(channels)], -1)
    seeds = np.full(shape, -1, dtype=np.int32)
    seeds[2, 4:-4] = 0
    for index, column in enumerate((shape[1] * 0.27, shape[1] * 0.73), start=1):
        seeds[int(middle), int(column) - 3 : int(column) + 4] = index
    image = Image.from_array(data[..., 0] if channels == 1 else data, (1.0, 1.0))
    return image, Scribbles(seeds, 3), truth


def check_engine(engine: Engine[Any], *, device: str = "cpu", minimum_accuracy: float = 0.9) -> None:
    """Check that an engine keeps the contract of :class:`~napari_scribseg.core.engine.Engine`.

    It is run on small made pictures of one and three channels: shapes, types, sums and stroke pixels of the answer;
    that inputs are left alone, that the same input gives the same answer, warm or cold; progress, cancelling, and one
    clear error for each kind of bad input; and :func:`check_prior`. If ``info.min_classes`` is 1, it is also given
    strokes of one class of two. Whatever it can do of :mod:`napari_scribseg.core.capabilities` is tried.

    Parameters
    ----------
    engine : Engine
        A frozen dataclass with an ``info``.
    device : str
        Where to run it.
    minimum_accuracy : float
        Share of the pixels that it must get right on the easy picture, in [0, 1].

    Raises
    ------
    AssertionError
        With the promise that was broken.
    """
    _check_declaration(engine)
    for channels in (1, 3):
        image, scribbles, truth = two_discs(channels=channels)
        state = engine.prepare(image, device)
        before = image.data.copy(), scribbles.seeds.copy()
        fractions: list[float] = []

        def report(fraction: float, preview: Any = None, *, _seen: list[float] = fractions) -> None:
            _seen.append(fraction)
            if preview is not None:
                _check_result(preview, scribbles)  # noqa: B023 - called within this turn of the loop only

        result = engine.segment(image, scribbles, state, report)
        _check_result(result, scribbles)
        accuracy = float((result.labels == truth).mean())
        _promise(accuracy >= minimum_accuracy, f"{accuracy:.3f} of the pixels are right; {minimum_accuracy} expected")
        _promise(np.array_equal(before[0], image.data), "segment leaves the image alone")
        _promise(np.array_equal(before[1], scribbles.seeds), "segment leaves the scribbles alone")
        _promise(fractions == sorted(fractions), f"progress never goes back; it went {fractions}")
        _promise(all(0 <= f <= 1 for f in fractions), f"progress lies in [0, 1]; it was {fractions}")
        _check_class_without_strokes(engine, image, scribbles, device)
        _check_repeats(engine, image, scribbles, result, device)
        _check_cancel(engine, image, scribbles, device)
    check_prior(engine, device=device)
    _check_neighbours(engine)
    _check_unprompted(engine, device)
    _check_pictures(engine, device)
    if engine.info.min_classes == 1:
        _check_single_class(engine, device)
    _check_bad_input(engine, device)


def check_prior(engine: Engine[Any], *, device: str = "cpu") -> None:
    """Check that an engine corrects existing labels, called as a session calls it.

    Half of a disc is missing in the labels. A stroke into that half must get its class, give pixels to its own class
    only, and leave fewer of them wrong, by at least its own; a stroke that agrees with the labels must change nothing.

    Raises
    ------
    AssertionError
        With the promise that was broken.
    """
    image, scribbles, truth = two_discs()
    columns = np.arange(image.shape[1])
    prior = np.where((truth == 2) & (columns > 0.73 * image.shape[1]), 0, truth)
    middle, column = image.shape[0] // 2, int(0.73 * image.shape[1]) + 5
    stroke = np.full(image.shape, -1, dtype=np.int32)
    stroke[middle - 5 : middle + 6, column] = 2
    painted = Scribbles(stroke, 3, prior=prior.astype(np.int32))
    result = segment_with_prior(engine, image, painted, engine.prepare(image, device))
    _check_result(result, painted)
    changed = result.labels != prior
    _promise(bool((result.labels[changed] == 2).all()), "a stroke gives pixels to its own class only")
    before, after = (int(np.count_nonzero(labels != truth)) for labels in (prior, result.labels))
    right = int(np.count_nonzero(stroke >= 0))
    _promise(after <= before - right, f"a stroke of {right} pixels corrects as many; {before} were wrong, {after} are")
    agreeing = Scribbles(np.where(scribbles.seeds == 1, np.int32(1), np.int32(-1)), 3, prior=prior.astype(np.int32))
    same = segment_with_prior(engine, image, agreeing, engine.prepare(image, device))
    _check_result(same, agreeing)
    _promise(np.array_equal(same.labels, prior), "labels that no stroke contradicts stay")


def _promise(kept: bool, what: str) -> None:
    if not kept:
        raise AssertionError(f"broken promise: {what}")


def _check_declaration(engine: Engine[Any]) -> None:
    _promise(isinstance(engine, Engine), "an engine has `info`, `prepare` and `segment`")
    _promise(isinstance(engine.info, EngineInfo), "`info` is an EngineInfo")
    _promise(dataclasses.is_dataclass(engine), "an engine is a dataclass")
    fields = [f.name for f in dataclasses.fields(engine) if f.init]  # type: ignore[arg-type]
    _promise(engine == dataclasses.replace(engine), "engines with equal parameters are equal")  # type: ignore[type-var]
    for name in fields[:1]:
        try:
            setattr(engine, name, getattr(engine, name))
        except dataclasses.FrozenInstanceError:
            continue
        raise AssertionError("broken promise: an engine is frozen")


def _check_result(result: Segmentation[Any], scribbles: Scribbles) -> None:
    _promise(isinstance(result, Segmentation), f"a result is a Segmentation, not a {type(result).__name__}")
    p = result.probabilities
    _promise(p.shape == (scribbles.n_classes, *scribbles.shape), f"probabilities have shape (K, *S), not {p.shape}")
    _promise(p.dtype == np.float32, f"probabilities are float32, not {p.dtype}")
    _promise(bool(np.isfinite(p).all()), "probabilities are finite")
    _promise(bool((p >= 0).all()), "no probability is negative")
    _promise(bool(np.allclose(p.sum(0), 1, atol=1e-4)), "probabilities sum to 1")
    bound = result.binding(scribbles.seeds)
    _promise(
        np.array_equal(result.labels[bound], scribbles.seeds[bound]), "every stroke pixel that is certain has its class"
    )
    _promise(result.curve is None or isinstance(result.curve, LossCurve), "a curve is a LossCurve, or None")


def _check_class_without_strokes(engine: Engine[Any], image: Image, scribbles: Scribbles, device: str) -> None:
    more = Scribbles(scribbles.seeds, scribbles.n_classes + 1)
    result = engine.segment(image, more, engine.prepare(image, device))
    _check_result(result, more)
    most = float(result.probabilities[-1].max())
    _promise(most <= _UNPAINTED, f"a class without strokes gets probability 0, {_UNPAINTED} at most, not {most:.3g}")


def _check_repeats(
    engine: Engine[Any], image: Image, scribbles: Scribbles, result: Segmentation[Any], device: str
) -> None:
    again = engine.segment(image, scribbles, engine.prepare(image, device))
    _promise(np.array_equal(again.probabilities, result.probabilities), "the same input gives the same answer")
    warm = engine.segment(image, scribbles, result.state)
    _check_result(warm, scribbles)
    share = float((warm.labels == result.labels).mean())
    _promise(share >= 0.97, f"a warm start agrees with the cold one at {share:.3f} of the pixels; 0.97 expected")


def _check_cancel(engine: Engine[Any], image: Image, scribbles: Scribbles, device: str) -> None:
    state = engine.prepare(image, device)

    def cancel(fraction: float, preview: Any = None) -> None:
        raise Cancelled

    try:
        engine.segment(image, scribbles, state, cancel)
    except Cancelled:
        _check_result(engine.segment(image, scribbles, state), scribbles)
        return
    raise AssertionError("broken promise: segment reports at least once, and does not catch Cancelled")


def _check_pictures(engine: Engine[Any], device: str) -> None:
    """Pictures are colour pictures of the image's size; another name gets an InputError."""
    if not isinstance(engine, ShowsFeatures):
        parts = [name for name in ("picture", "pictures") if hasattr(engine, name)]
        _promise(not parts, f"an engine with {' and '.join(parts)} has both `pictures` and `picture(name, state)`")
        return
    image, _, _ = two_discs(channels=3)
    state = engine.prepare(image, device)
    for name in engine.pictures:
        found = engine.picture(name, state)
        right = isinstance(found, np.ndarray) and (found.shape, found.dtype) == ((*image.shape, 3), np.dtype("float32"))
        _promise(right, f"the picture {name!r} is a float32 array of shape (H, W, 3)")
        _promise(bool((found >= 0).all() and (found <= 1).all()), f"the picture {name!r} goes from 0 to 1")
    try:
        engine.picture("no such picture", state)
    except InputError:
        return
    raise AssertionError("broken promise: a picture that the engine does not have raises InputError")


def _check_neighbours(engine: Engine[Any]) -> None:
    if isinstance(engine, SeesNeighbours):
        slices: object = engine.slices
        _promise(isinstance(slices, int) and slices >= 1 and slices % 2 == 1, f"`slices` is odd, not {slices!r}")


def _check_unprompted(engine: Engine[Any], device: str) -> None:
    """Probabilities of the image's size, or an InputError of an engine that needs strokes with these parameters."""
    if not isinstance(engine, PredictsUnprompted):
        return
    image, _, _ = two_discs()
    try:
        p = engine.unprompted(engine.prepare(image, device))
    except InputError:
        return
    _promise(p.ndim == 3 and p.shape[1:] == image.shape, f"unprompted gives shape (K, H, W), not {p.shape}")
    _promise(p.dtype == np.float32 and bool(np.allclose(p.sum(0), 1, atol=1e-4)), "unprompted gives probabilities")


def _check_single_class(engine: Engine[Any], device: str) -> None:
    """An engine that needs one class only segments with strokes of one of two, whichever it is."""
    image, scribbles, _ = two_discs()
    for index in (0, 1):
        alone = Scribbles(np.where(scribbles.seeds == 1, index, -1).astype(np.int32), 2)
        try:
            result = engine.segment(image, alone, engine.prepare(image, device))
        except InputError as error:
            raise AssertionError(
                f"broken promise: `min_classes` is 1, but strokes of one class raise {error!r}"
            ) from error
        _check_result(result, alone)
    rest = Scribbles(np.where(scribbles.seeds == 0, -1, scribbles.seeds).astype(np.int32), 3)
    result = engine.segment(image, rest, engine.prepare(image, device))
    _check_result(result, rest)


def _check_bad_input(engine: Engine[Any], device: str) -> None:
    image, scribbles, _ = two_discs()
    state = engine.prepare(image, device)
    empty = np.full(image.shape, -1, dtype=np.int32)
    single = np.where(scribbles.seeds == 1, 0, -1).astype(np.int32)
    cases: dict[str, Callable[[], object]] = {
        "no strokes": lambda: engine.segment(image, Scribbles(empty, 2), state),
        "strokes of one class": lambda: engine.segment(image, Scribbles(single, 1), state),
        "strokes of another shape": lambda: engine.segment(image, Scribbles(scribbles.seeds[:-1], 3), state),
        "an unknown device": lambda: engine.prepare(image, "quantum"),
    }
    for what, call in cases.items():
        try:
            call()
        except InputError as error:
            _promise(len(str(error).splitlines()) == 1, f"{what}: the message is one line, not {error}")
            continue
        except Exception as error:
            raise AssertionError(f"broken promise: {what} raises InputError, not {type(error).__name__}") from error
        raise AssertionError(f"broken promise: {what} raises InputError")
