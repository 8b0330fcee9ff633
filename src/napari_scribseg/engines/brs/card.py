"""Input and output of any network, described by a small JSON file beside it."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path

__all__ = ["ModelCard", "card_path", "read_card", "write_card"]

ENDING = ".scribseg.json"
_LARGEST = 1 << 20  # bytes of a card


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The input that a network takes, and the meaning of its outputs; trials find some fields that have their default.

    Attributes
    ----------
    channels : int
        Image channels that it takes (of one slice); 0: found by trial. A grey image is repeated for a network that
        takes more than one, the channels of a colour image are averaged for one that takes one.
    slices : int
        Slices stacked along the channels, as a 2.5D network takes them, an odd number; the slice itself is repeated.
    normalisation : {"percentiles", "range", "mean-std", "none"}
        ``"percentiles"``: the intensities between ``percentiles`` become ``scale``, what lies beyond is cut;
        ``"range"``: those between the two of ``intensities``, likewise; ``"mean-std"``: ``(image - mean) / std``, those
        of the image itself where none are given; ``"none"``: intensities as they are.
    percentiles : tuple of 2 float
        In per cent.
    intensities : tuple of 2 float
        In the image's own unit, such as Hounsfield units.
    scale : tuple of 2 float
        Ends of the scale that the network was trained on. Empty: -1 and 1 for a network of this package, else 0 and 1.
    mean, std : tuple of float
        One number, or one for each channel, in the image's own unit.
    head : {"auto", "sigmoid", "softmax"}
        ``"sigmoid"``: each output is one class, and what belongs to none is background; ``"softmax"``: the outputs
        share each pixel among them, the first of them the background. ``"auto"``: sigmoid for one output or for
        probabilities that do not sum to 1, else softmax.
    applied : bool or None
        Whether the network's outputs are probabilities already (true), or sigmoid or softmax is still to be applied
        (false); None: probabilities if those of two test images lie in 0 to 1.
    classes : tuple of str
        A name for each output.
    ids : tuple of int
        The label id that each output stands for, 0 for the background; several outputs of a softmax may stand for one.
        Empty: the outputs are the classes of the strokes in their order, and their numbers must agree.
    multiple : int
        Sides of its input must be multiples of this number; 0: found by trial of 1, 8, 16, 32, 64 and 128.
    size : tuple of 2 int
        Rows and columns, for a network that takes no other size: the image is resized.
    spacing : tuple of 2 float
        Pixel size in mm along rows and columns that it was trained on: the image is resampled. Empty: as it is.
    prompt : {"auto", "none", "distance", "scribbles", "clicks"}
        ``"none"``: the network takes images only; ``"distance"``: its last two channels are interaction maps, of the
        object and of the rest (the network of the paper); ``"scribbles"`` or ``"clicks"``: strokes as the networks of
        this package take them, which were trained on scribbles, of the background too, or on clicks on objects.
        ``"auto"``: what the file of a network of this package says, else ``"none"``.
    """

    channels: int = 0
    slices: int = 1
    normalisation: Literal["percentiles", "range", "mean-std", "none"] = "percentiles"
    percentiles: tuple[float, ...] = (0.5, 99.5)
    intensities: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    head: Literal["auto", "sigmoid", "softmax"] = "auto"
    applied: bool | None = None
    classes: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    multiple: int = 0
    size: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    prompt: Literal["auto", "none", "distance", "scribbles", "clicks"] = "auto"

    @property
    def takes_prompt_maps(self) -> bool:
        """Whether it takes strokes as the networks of this package do."""
        return self.prompt in ("scribbles", "clicks")

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = _typed(field.name, getattr(self, field.name), hints[field.name])
            object.__setattr__(self, field.name, value)
        _expect(len(self.percentiles) == 2, "percentiles", self.percentiles, "two numbers")
        for name in ("scale", "intensities", "size", "spacing"):
            _expect(len(getattr(self, name)) in (0, 2), name, getattr(self, name), "two numbers, or none")
        _expect(
            0 <= self.percentiles[0] < self.percentiles[1] <= 100, "percentiles", self.percentiles, "0 <= low < high"
        )
        if self.normalisation == "range" or self.intensities:
            rising = len(self.intensities) == 2 and self.intensities[0] < self.intensities[1]
            _expect(rising, "intensities", self.intensities, "low < high, in the image's unit")
        _expect(not self.scale or self.scale[0] < self.scale[1], "scale", self.scale, "low < high")
        _expect(0 <= self.channels <= 1024, "channels", self.channels, "0 to 1024")
        _expect(1 <= self.slices <= 99 and self.slices % 2 == 1, "slices", self.slices, "an odd number up to 99")
        _expect(0 <= self.multiple <= 1024, "multiple", self.multiple, "0 to 1024")
        _expect(all(s > 0 for s in self.std), "std", self.std, "positive numbers")
        _expect(len(self.mean) == len(self.std), "mean", self.mean, "as many numbers as in std")
        _expect(all(1 <= s <= 1 << 15 for s in self.size), "size", self.size, "1 to 32768 pixels")
        _expect(all(s > 0 for s in self.spacing), "spacing", self.spacing, "positive millimetres")
        _expect(all(i >= 0 for i in self.ids), "ids", self.ids, "label ids from 0")
        _expect(len(set(self.classes)) == len(self.classes), "classes", self.classes, "different names")


def _expect(fits: bool, name: str, value: object, expected: str) -> None:
    if not fits:
        raise InputError(f"the model card has {name} = {value!r}; {expected} expected")


def _typed(name: str, value: Any, hint: Any) -> Any:
    """A value checked against the type of its field, and converted from JSON numbers and lists."""
    if get_origin(hint) is Literal:
        _expect(value in get_args(hint), name, value, f"one of {', '.join(get_args(hint))}")
        return value
    if get_origin(hint) is tuple:
        kind = get_args(hint)[0]
        _expect(isinstance(value, list | tuple), name, value, "a list")
        return tuple(_typed(name, v, kind) for v in value)
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        _expect(number, name, value, "finite numbers")
        return float(value)
    if hint is int:
        _expect(isinstance(value, int) and not isinstance(value, bool), name, value, "whole numbers")
        return value
    if hint is str:
        _expect(isinstance(value, str), name, value, "text")
        return value
    _expect(value is None or isinstance(value, bool), name, value, "true, false or null")
    return value


def card_path(model: str | Path) -> Path:
    """Where the card of a model lies: its own name, followed by ``.scribseg.json``."""
    path = user_path(model)
    return path.with_name(path.name + ENDING)


def read_card(model: str | Path) -> ModelCard | None:
    """The card that lies beside a model (a file or a folder), or None where there is none.

    Raises
    ------
    InputError
        If the card is no JSON object, has a field that is unknown, or a value that does not fit.
    """
    path = card_path(model)
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path.name} cannot be read as JSON; a model card is expected") from error
    names = [f.name for f in dataclasses.fields(ModelCard)]
    if not isinstance(values, dict):
        raise InputError(f"{path.name} holds no JSON object; the fields {', '.join(names)} are expected")
    unknown = [name for name in values if name not in names]
    if unknown:
        raise InputError(f"{path.name} has the field {unknown[0][:60]!r}; expected are {', '.join(names)}")
    try:
        return ModelCard(**values)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error


def write_card(model: str | Path, card: ModelCard) -> Path:
    """Write a card beside a model; fields that have their default are left out.

    Returns
    -------
    Path
        Of the card.
    """
    default = ModelCard()
    values = {
        f.name: getattr(card, f.name)
        for f in dataclasses.fields(card)
        if getattr(card, f.name) != getattr(default, f.name)
    }
    path = card_path(model)
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return path
