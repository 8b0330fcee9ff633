"""A simulated user: first strokes or clicks for every class, then a correction of the largest error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_scribseg.core import InputError
from napari_scribseg.simulate.corrections import object_radius, temporary_label
from napari_scribseg.simulate.human_error import HumanError, apply_error
from napari_scribseg.simulate.masks import distance_field, require_same_shape
from napari_scribseg.simulate.sampling import connected_components
from napari_scribseg.simulate.simulated_scribbles import Line, ScribbleStyle, paint, paint_lines, simulate_scribble

__all__ = ["RobotUser", "human_like", "worth_correcting"]

Hand = Literal["strokes", "clicks"]
Larger = Literal["peak", "pixels"]
Pixels = NDArray[np.int64]
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class RobotUser:
    """A simulated user, who draws and corrects until nothing is wrong.

    Attributes
    ----------
    hand : {"strokes", "clicks"}
        What is drawn.
    style : ScribbleStyle, optional
        How strokes are drawn.
    error : HumanError, optional
        Errors of the user; by default there are none, and every painted pixel has its true class.
    radius : float
        Radius of the dot of a click, in pixels.
    tolerance : float
        A class whose wrong pixels (missing and surplus) are fewer than this share of its own is not corrected (paper
        001, section 2.4: 0.01).
    band : float, optional
        Largest distance of first strokes from the border of their label, the border of the image not counted, in
        pixels: people draw around an object, not all over its background. By default there is no limit.
    larger : {"peak", "pixels"}
        Which error of a result a click corrects: those of the true class whose distance transform has the highest peak
        (code of the authors of paper 003), or those of the true class with the most wrong pixels (their text, section
        4.1). Either way the click is set at the peak.
    """

    hand: Hand = "strokes"
    style: ScribbleStyle | None = None
    error: HumanError | None = None
    radius: float = 2.0
    tolerance: float = 0.01
    band: float | None = None
    larger: Larger = "peak"

    def __post_init__(self) -> None:
        for name, kind in (("hand", Hand), ("larger", Larger)):
            if getattr(self, name) not in get_args(kind):
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; {' or '.join(map(repr, get_args(kind)))} is expected"
                )
        for name in ("radius", "tolerance"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value}; a finite number of at least 0 is expected")
        if self.band is not None and not self.band >= 1:
            raise InputError(f"band is {self.band}; a number of pixels of at least 1 is expected")

    def begin(self, truth: ArrayLike, n_classes: int, seed: int | np.random.Generator) -> NDArray[np.int32]:
        """The first strokes, or one click, for each class in the image.

        Parameters
        ----------
        truth : array_like of shape (H, W), integer
            Class of each pixel, 0 to ``n_classes - 1``, or -1 where it is unknown; nothing is painted there.
        n_classes : int
            Number of classes, from which wrong labels are drawn.
        seed : int or Generator
            The same seed gives the same strokes; a generator is advanced.

        Returns
        -------
        ndarray of shape (H, W), int32
            Seeds: the class painted, or -1. Each class in ``truth`` has at least one pixel in its own label; the
            longest line of a class never has a wrong label.

        Raises
        ------
        InputError
            If ``truth`` holds other values.
        """
        target, seed = _classes(truth, "truth"), np.random.default_rng(seed)
        present = [int(c) for c in np.unique(target) if c != UNKNOWN]
        if present and present[-1] >= n_classes:
            raise InputError(f"the truth holds the class {present[-1]}; classes below {n_classes} are expected")
        seeds = np.full(target.shape, UNKNOWN, dtype=np.int32)
        for c in present:
            label = target == c
            for number, line in enumerate(self._lines(label, seed)):
                painted = self._other(c, n_classes, seed) if number else c
                seeds[self._draw(line, label, target, seed)] = painted
        for c in present:
            if not ((seeds == c) & (target == c)).any():  # overpainted by errors
                seeds[_deepest(target == c)] = c
        return seeds

    def correct(
        self, predicted: ArrayLike, truth: ArrayLike, seeds: ArrayLike, seed: int | np.random.Generator
    ) -> NDArray[np.int32] | None:
        """One more stroke or click, of the true class, where the result is most wrong.

        A stroke is drawn into the largest connected region of wrong pixels of one true class, dilated within its class
        by the radius of the smaller of the two objects concerned (paper 001, section 2.4), and reaches the region
        itself. A click is set at the highest peak of the distance transform of the errors of one true class (paper 003,
        section 4.1), which ``larger`` chooses.

        Parameters
        ----------
        predicted : array_like of shape (H, W), integer
            Class of each pixel in the result.
        truth : array_like of shape (H, W), integer
            True class, or -1 where it is unknown.
        seeds : array_like of shape (H, W), integer
            The pixels painted so far: class or -1.
        seed : int or Generator
            The same seed gives the same stroke; a generator is advanced.

        Returns
        -------
        ndarray of shape (H, W), int32, or None
            The seeds with the new stroke over them; without errors of the user, at least one more pixel of the wrong
            region has its true class. None where no unpainted error is large enough for a correction.

        Raises
        ------
        InputError
            If the shapes differ, or the arrays hold no classes.
        """
        found, target, old = (
            _classes(a, n) for a, n in ((predicted, "prediction"), (truth, "truth"), (seeds, "seeds"))
        )
        require_same_shape(found, target, ("prediction", "truth"))
        require_same_shape(old, target, ("seeds", "truth"))
        seed = np.random.default_rng(seed)
        wrong = worth_correcting(found, target, self.tolerance) & (old != target)
        if not wrong.any():
            return None
        n_classes = int(max(found.max(), target.max(), old.max())) + 1
        pick = _largest_region
        if self.hand == "clicks":
            pick = _largest_peak if self.larger == "peak" else _most_wrong
        c, region = pick(wrong, target)
        painted = self._other(c, n_classes, seed)
        new = old.astype(np.int32)
        if self.hand == "clicks":
            line = _dot(_deepest(region))
        else:
            line = self._line_into(region, target == c, _reach(region, found, target, c), seed)
        drawn = self._draw(line, target == c, target, seed)
        if (drawn & (old != painted) & (region if self.error is None else True)).any():
            new[drawn] = painted
        else:  # no pixel was gained: a dot at the middle of the region
            new[region & paint(_dot(_deepest(region)).points, self.radius, region.shape)] = c
        return new

    def _lines(self, label: NDArray[np.bool_], seed: np.random.Generator) -> tuple[Line, ...]:
        """The intended first lines in a label that is not empty."""
        if self.hand == "clicks":
            return (_dot(_deepest(label)),)
        near = label
        if self.band is not None and not label.all():
            near = label & (ndimage.distance_transform_edt(label) <= self.band)
        return simulate_scribble(near, seed, self.style).lines

    def _line_into(
        self, region: NDArray[np.bool_], label: NDArray[np.bool_], reach: float, seed: np.random.Generator
    ) -> Line:
        """The longest line in the dilated region that reaches the region, else the longest line in the region."""
        parts = connected_components(temporary_label(region, reach) & label)
        near = parts == parts[_deepest(region)]
        style = self.style or ScribbleStyle()
        for line in simulate_scribble(near, seed, style).lines:
            if (paint(line.points, style.radius, region.shape) & region).any():
                return line
        return simulate_scribble(region, seed, style).lines[0]

    def _draw(
        self, line: Line, label: NDArray[np.bool_], target: Pixels, seed: np.random.Generator
    ) -> NDArray[np.bool_]:
        """The pixels painted with ``line`` intended, where the truth is known."""
        style = self.style or ScribbleStyle()
        if self.hand == "clicks":
            style = ScribbleStyle(radius=self.radius)
        if self.error is None:
            return paint_lines((line,), label, style) & label
        drawn = paint_lines((apply_error(line, label, self.error, seed),), label, style)
        valid: NDArray[np.bool_] = drawn & (target != UNKNOWN)
        return valid

    def _other(self, c: int, n_classes: int, seed: np.random.Generator) -> int:
        """The class that is painted where ``c`` is intended."""
        if self.error is None or n_classes < 2 or seed.random() >= self.error.wrong_label:
            return c
        return int((c + seed.integers(1, n_classes)) % n_classes)


def worth_correcting(predicted: Pixels, truth: Pixels, tolerance: float) -> NDArray[np.bool_]:
    """Wrong pixels that a user would correct.

    Parameters
    ----------
    predicted, truth : ndarray of shape (H, W), int64
        Classes; -1 in the truth is never wrong.
    tolerance : float
        A class is good enough when its missing and surplus pixels are fewer than this share of its own.

    Returns
    -------
    ndarray of shape (H, W), bool
        Wrong pixels of which the true class or the class of the result is not good enough. For one object on a larger
        background this is the rule of paper 001, section 2.4.
    """
    wrong: NDArray[np.bool_] = (predicted != truth) & (truth != UNKNOWN)
    n = int(max(predicted.max(), truth.max())) + 2
    missing, surplus = (np.bincount(a[wrong] + 1, minlength=n) for a in (truth, predicted))
    size = np.bincount(truth.ravel() + 1, minlength=n)
    correct_class = missing + surplus >= np.maximum(tolerance * size, 1)
    worth: NDArray[np.bool_] = wrong & (correct_class[truth + 1] | correct_class[predicted + 1])
    return worth


def _classes(values: ArrayLike, name: str) -> Pixels:
    """Classes of shape (H, W), -1 and up."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.size == 0:
        raise InputError(f"the {name} is {array.dtype} of shape {array.shape}; integers of shape (H, W) are expected")
    if int(array.min()) < UNKNOWN:
        raise InputError(f"the {name} holds {int(array.min())}; classes from -1 (unknown) are expected")
    return array.astype(np.int64)


def _largest_region(wrong: NDArray[np.bool_], target: Pixels) -> tuple[int, NDArray[np.bool_]]:
    """The connected region of one true class with the most wrong pixels, and that class."""
    best, largest, region = 0, 0, wrong
    for c in np.unique(target[wrong]):
        parts = connected_components(wrong & (target == c))
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        if sizes.max() > largest:
            best, largest, region = int(c), int(sizes.max()), parts == sizes.argmax()
    return best, region


def _largest_peak(wrong: NDArray[np.bool_], target: Pixels) -> tuple[int, NDArray[np.bool_]]:
    """The wrong pixels of the true class whose distance transform has the highest peak, and that class."""
    classes = np.unique(target[wrong])[::-1]  # the object before the background where the peaks are equal
    peaks = [distance_field(wrong & (target == c)).max() for c in classes]
    c = int(classes[int(np.argmax(peaks))])
    return c, wrong & (target == c)


def _most_wrong(wrong: NDArray[np.bool_], target: Pixels) -> tuple[int, NDArray[np.bool_]]:
    """All wrong pixels of the true class that has most of them, and that class."""
    classes, counts = np.unique(target[wrong], return_counts=True)
    c = int(classes[::-1][int(counts[::-1].argmax())])  # the object before the background where both are equal
    return c, wrong & (target == c)


def _reach(region: NDArray[np.bool_], predicted: Pixels, target: Pixels, c: int) -> float:
    """Radius of the smaller of the true object and the one that most of the region was labelled as, in pixels."""
    taken = predicted[region]
    other = int(np.bincount(taken[taken >= 0], minlength=1).argmax())
    radii = [object_radius(target == k) for k in (c, other)]
    return min(radius for radius in radii if radius > 0)


def _deepest(region: NDArray[np.bool_]) -> tuple[int, int]:
    """The first pixel farthest from the border of a region that is not empty."""
    row, column = np.unravel_index(int(distance_field(region).argmax()), region.shape)
    return int(row), int(column)


def _dot(at: tuple[int, int]) -> Line:
    """A line of one position."""
    return Line((0,), np.asarray([at], dtype=np.float64), np.zeros(1, dtype=bool))


_USERS = {
    "photographs": RobotUser(
        style=ScribbleStyle(
            tiles=8,
            smallest_tile=7,
            tile_share=0.0141,
            skeleton_reach=12,
            point_distance=18.1,
            torn_share=0.0174,
            deviation=8.0,
            radius=0.237,
        ),
        error=HumanError(jitter=2.91, jitter_length=6.33, steered=True, shortened=0.465, spill=1.0, spill_rate=0.0064),
        band=123.0,
    ),
    "cardiac": RobotUser(
        style=ScribbleStyle(
            tiles=7,
            smallest_tile=3,
            tile_share=0.0141,
            skeleton_reach=8,
            point_distance=6.88,
            torn_share=0.0,
            deviation=7.2,
            radius=0.237,
        ),
        error=HumanError(jitter=2.39, jitter_length=20.0, steered=True, shortened=0.265, spill=1.0, spill_rate=0.0037),
        band=146.0,
    ),
}


def human_like(kind: str) -> RobotUser:
    """A simulated user whose parameters were fitted to the strokes of people.

    Parameters
    ----------
    kind : {"photographs", "cardiac"}
        ``"photographs"``: thin seed strokes for the parts of a photograph (Santner et al. 2010, in pixels of images of
        391 x 625). ``"cardiac"``: experts' strokes on short-axis cardiac MR (Valvano et al. 2021, in pixels of slices
        of about 216 x 256). In both, people almost never crossed a border, and never drew a wrong label.

    Returns
    -------
    RobotUser
        Fitted by ``benchmarks/human_strokes.py`` on half of the photographs and patients, and compared with people on
        the other half.

    Raises
    ------
    InputError
        If there is no such kind.
    """
    if kind not in _USERS:
        raise InputError(f"there is no user {kind!r}; one of {', '.join(_USERS)} is expected")
    return _USERS[kind]
