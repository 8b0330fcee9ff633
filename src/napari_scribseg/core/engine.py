"""The engine protocol: prepare an image once, then segment after each stroke."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.curve import LossCurve
from napari_scribseg.core.errors import Cancelled, InputError
from napari_scribseg.core.image import Image
from napari_scribseg.core.scribbles import Scribbles

__all__ = ["ENGINE_GROUPS", "Cancelled", "Engine", "EngineInfo", "Hint", "Report", "Segmentation", "silent"]

ENGINE_GROUPS = ("Start here", "Your own network", "Fitted to this image (slow)", "Research")

State = TypeVar("State")
State_co = TypeVar("State_co", covariant=True)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Description of an engine, for menus, forms and schedulers.

    Attributes
    ----------
    name : str
        Registered name, as in ``get_engine(name)``.
    title : str
        Name for people.
    summary : str
        When to choose it, in one sentence.
    doi : str
        Source of the method.
    ndim : tuple of int
        Numbers of spatial axes that it takes.
    max_classes : int
        Most classes at once.
    min_classes : int
        Fewest classes with strokes that it answers; 1 where strokes of the object alone are enough. It may be
        given a class of the id 0 without strokes for all that fits none of the others (:meth:`Scribbles.with_rest`).
    needs_weights : bool
        Whether it loads trained weights.
    live : bool
        Whether it is fast enough to answer every mouse move.
    group : str
        Heading under which menus list it: one of :data:`ENGINE_GROUPS`, or another, which comes after these.
    needs : str
        What the user has to give it, in a few words; empty: strokes, of as many classes as ``min_classes`` says.
    """

    name: str
    title: str
    summary: str
    doi: str = ""
    ndim: tuple[int, ...] = (2,)
    max_classes: int = 255
    min_classes: int = 2
    needs_weights: bool = False
    live: bool = False
    group: str = "More engines"
    needs: str = ""

    @property
    def needed(self) -> str:
        """What the user has to give it, in a few words."""
        return self.needs or ("one stroke" if self.min_classes == 1 else "strokes of two classes")

    def require(self, image: Image) -> None:
        """Raise InputError if the image has another number of spatial axes than the engine takes."""
        if len(image.shape) not in self.ndim:
            expected = " or ".join(map(str, self.ndim)) + (" (one slice)" if self.ndim == (2,) else "")
            raise InputError(f"the image has {len(image.shape)} spatial axes; {self.name} takes {expected}")


class Hint(str):
    """A note of a result in the user's words, which the window shows at once; other notes are details.

    Attributes
    ----------
    template : str
        The text with ``{}`` for the classes that it is about; empty if it is about none.
    ids : tuple of int
        Their ids.
    """

    template: str = ""
    ids: tuple[int, ...] = ()

    @classmethod
    def about(cls, template: str, ids: Iterable[int]) -> Hint:
        """A hint about some classes, which an engine knows by their ids only.

        Examples
        --------
        >>> hint = Hint.about("only the middle of {} is certain", (1, 3))
        >>> str(hint), str(hint.named({1: "liver", 3: "spleen"}))
        ('only the middle of class 1 and class 3 is certain', 'only the middle of liver and spleen is certain')
        """
        numbers = tuple(ids)
        hint = cls(template.format(" and ".join(f"class {i}" for i in numbers)))
        hint.template, hint.ids = template, numbers
        return hint

    def named(self, names: Mapping[int, str]) -> Hint:
        """This hint with the names of its classes."""
        if not self.template:
            return self
        hint = type(self)(self.template.format(" and ".join(names.get(i, f"class {i}") for i in self.ids)))
        hint.template, hint.ids = self.template, self.ids
        return hint


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation(Generic[State]):
    """The result of an engine.

    Attributes
    ----------
    probabilities : ndarray of shape (K, \\*S), float32
        Probability of each class, summing to 1 over the first axis, and 1 for its own class at every seed (but for
        ``outlines`` and ``loose``).
    state : State
        To be passed to the next call for the same image, for a warm start.
    notes : tuple of str
        What the engine chose by itself, one short message each; one that everybody should read is a :class:`Hint`.
    outlines : bool
        Whether closed strokes were read as rough outlines, so that their own pixels need not have their class.
    curve : LossCurve or None
        How the fit went, of an engine that fits a network to the image; of a preview, how far it has come.
    raw_seed_accuracy : float or None
        Share of the stroke pixels that the method itself gives their class, before it is set; None where it is not
        counted.
    loose : tuple of int
        Indices of the classes whose strokes were read as loose, so that their own pixels need not have their class.
    """

    probabilities: NDArray[np.float32]
    state: State
    notes: tuple[str, ...] = ()
    outlines: bool = False
    curve: LossCurve | None = None
    raw_seed_accuracy: float | None = None
    loose: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        probabilities: NDArray[np.float32],
        scribbles: Scribbles,
        state: State,
        notes: tuple[str, ...] = (),
        *,
        outlines: bool = False,
        curve: LossCurve | None = None,
        raw_seed_accuracy: float | None = None,
    ) -> Segmentation[State]:
        """An answer in which every stroke pixel has its class with certainty.

        Parameters
        ----------
        probabilities : ndarray of shape (K, \\*S), float32
            Of the K classes of ``scribbles``; its values at stroke pixels are overwritten.
        scribbles : Scribbles
        state, notes, outlines, curve, raw_seed_accuracy
            As the attributes of these names.
        """
        made = cls(probabilities, state, notes, outlines, curve, raw_seed_accuracy)
        made.set_seeds(scribbles.seeds)
        return made

    def set_seeds(self, seeds: NDArray[np.int32]) -> None:
        """Give every painted voxel its class with certainty, in place; ``seeds`` holds class indices, -1 elsewhere."""
        painted = seeds >= 0
        classes = np.arange(len(self.probabilities))[:, np.newaxis]
        self.probabilities[:, painted] = classes == seeds[painted]

    def binding(self, seeds: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which painted voxels have their class: all but those of outlines and of loose strokes, shape (\\*S)."""
        painted = (seeds >= 0) & (not self.outlines)
        return painted & ~np.isin(seeds, self.loose) if self.loose else painted

    @property
    def labels(self) -> NDArray[np.intp]:
        """Most probable class index at each voxel, shape (\\*S); ties go to the lower index."""
        labels = np.zeros(self.probabilities.shape[1:], dtype=np.intp)
        most = self.probabilities[0].copy()
        for k, p in enumerate(self.probabilities[1:], start=1):  # several times as fast as argmax along the first axis
            labels[p > most] = k
            np.maximum(most, p, out=most)
        return labels

    @property
    def entropy(self) -> NDArray[np.float32]:
        """Uncertainty at each voxel, shape (\\*S): entropy over log K, from 0 (certain) to 1 (all classes alike)."""
        n_classes = self.probabilities.shape[0]
        if n_classes < 2:
            return np.zeros(self.probabilities.shape[1:], dtype=np.float32)
        p = np.clip(self.probabilities, np.finfo(np.float32).tiny, 1)
        entropy: NDArray[np.float32] = -(p * np.log(p)).sum(axis=0) / np.float32(np.log(n_classes))
        return np.clip(entropy, 0, 1).astype(np.float32)


class Report(Protocol):
    """How an engine reports its progress; the callee raises :class:`Cancelled` to stop it.

    ``fraction`` grows from 0 to 1. ``preview``, where given, is a usable answer that will still get better.
    """

    def __call__(self, fraction: float, preview: Segmentation[object] | None = None) -> None:
        """Report the progress."""
        ...


def silent(fraction: float, preview: Segmentation[object] | None = None) -> None:
    """A report that does nothing."""


@runtime_checkable
class Engine(Protocol[State]):
    """A segmentation method: a frozen dataclass whose fields are its parameters.

    An engine keeps nothing between calls: what it needs again goes into the state that it returns.

    What only some engines can do is a protocol of its own in :mod:`napari_scribseg.core.capabilities`.
    """

    info: ClassVar[EngineInfo]

    def prepare(self, image: Image, device: str = "auto") -> State:
        """Compute what depends on the image alone; slow, once an image.

        Raises
        ------
        InputError
            If the image cannot be used, or ``device`` is not available.
        """
        ...

    def segment(self, image: Image, scribbles: Scribbles, state: State, report: Report = silent) -> Segmentation[State]:
        """Segment the image; ``state`` comes from :meth:`prepare` or from the previous result.

        Raises
        ------
        InputError
            If the scribbles do not fit the image, or hold strokes of fewer classes than ``info.min_classes``.
        Cancelled
            If ``report`` raised it; ``state`` stays usable.
        """
        ...
