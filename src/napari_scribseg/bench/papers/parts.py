"""The parts of the study: the methods that are compared, and the results of the papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

__all__ = ["PARTS", "PUBLISHED_SLOPPY", "SLOPPY_METHODS", "Claim", "Part", "all_methods", "with_published_fit"]

_COLUMNS = {
    "c": "colour",
    "c & sp": "colour+position",
    "c & se": "colour+semantic",
    "c & sp & se": "colour+position+semantic",
}
_SIDES = (1, 3, 5, 7)
_WIDTHS = (4, 8, 16, 32, 64)
_DEPTHS = (1, 2, 3, 4, 6)
_LEVELS = (0, 1, 2, 3, 4)
_SEEDS = (0, 1, 2, 3, 4)
_FROZEN = ("nothing", "encoder", "all but the last layer")
_BETAS = (0, 10_000, 100_000, 1_000_000, 10_000_000)


@dataclass(frozen=True, slots=True)
class Claim:
    """That one method is better than another."""

    text: str
    better: str
    worse: str


@dataclass(frozen=True, slots=True)
class Part:
    """One table or figure of a paper.

    Attributes
    ----------
    name : str
        As on the command line.
    title : str
        For people.
    cells : mapping of (row, column) to str
        The method in each place, as for ``scribseg bench``.
    published : mapping of (row, column) to float
        The mean IoU of the paper there.
    claims : tuple of Claim
        The conclusions of the paper.
    axis : str
        Name of the columns where they are numbers; empty for a table.
    """

    name: str
    title: str
    cells: Mapping[tuple[str, str], str]
    published: Mapping[tuple[str, str], float]
    claims: tuple[Claim, ...] = ()
    axis: str = ""


def all_methods(parts: tuple[Part, ...]) -> tuple[str, ...]:
    """The methods of some parts, each once, in their order."""
    return tuple(dict.fromkeys(method for part in parts for method in part.cells.values()))


_FROM_SCRATCH = ("pwn", "cnn", "cnn-reg", "unet-single")
_FIT = "steps=3000,rate=0.0005,held_back=0"


def with_published_fit(part: Part) -> Part:
    """The part with all networks that begin with random weights fitted as by the authors of paper 000.

    That is 3000 steps of Adam of size 5e-4 on all strokes, and the weights of the last step.
    """

    def fitted(method: str) -> str:
        name, _, rest = method.partition(":")
        return f"{name}:{rest + ',' if rest else ''}{_FIT}" if name in _FROM_SCRATCH else method

    claims = tuple(replace(c, better=fitted(c.better), worse=fitted(c.worse)) for c in part.claims)
    return replace(part, cells={place: fitted(method) for place, method in part.cells.items()}, claims=claims)


def _table1() -> Part:
    cells = {("SVCD", "c & sp"): "svcd:model=paper", ("SVCD, model auto", "c & sp"): "svcd"}
    cells |= {("SVCD", "c & sp & se"): "svcd:model=paper,features=colour+semantic"}
    cells |= {("SVCD, model auto", "c & sp & se"): "svcd:features=colour+semantic"}
    for row, name in (("PWN", "pwn"), ("CNN", "cnn"), ("U-Net", "unet-single")):
        cells |= {(row, column): f"{name}:inputs={inputs}" for column, inputs in _COLUMNS.items()}
    cells |= {
        ("CNN + reg.", "c & sp"): "cnn-reg:inputs=colour+position",
        ("CNN + reg.", "c & se"): "cnn-reg:inputs=colour+semantic,penalty=colour",
    }
    values = {
        "SVCD": (None, 0.775, None, 0.845),
        "PWN": (0.607, 0.721, 0.689, 0.731),
        "CNN": (0.673, 0.715, 0.772, 0.739),
        "CNN + reg.": (None, 0.731, 0.774, None),
        "U-Net": (0.654, 0.642, 0.658, 0.648),
    }
    published = {
        (row, column): value
        for row, line in values.items()
        for column, value in zip(_COLUMNS, line, strict=True)
        if value is not None
    }
    both, colour = "inputs=colour+position", "inputs=colour"
    claims = (
        Claim("the model is better than any network", "svcd", f"cnn-reg:{both}"),
        Claim("the published model is better than any network", "svcd:model=paper", f"cnn-reg:{both}"),
        Claim("position helps the pixel-wise network", f"pwn:{both}", f"pwn:{colour}"),
        Claim("position helps the CNN", f"cnn:{both}", f"cnn:{colour}"),
        Claim("position does not help the U-Net", f"unet-single:{colour}", f"unet-single:{both}"),
        Claim("the penalty helps the CNN", f"cnn-reg:{both}", f"cnn:{both}"),
        Claim("semantic features help the CNN", "cnn:inputs=colour+semantic", f"cnn:{colour}"),
        Claim("semantic features help the model", "svcd:features=colour+semantic", "svcd"),
    )
    return Part("table1", "Methods and inputs (paper 000, table 1)", cells, published, claims)


def _figure3(axis: str, title: str, values: tuple[int, ...]) -> Part:
    cells = {(row, str(v)): f"cnn:inputs={inputs},{axis}={v}" for row, inputs in _COLUMNS.items() for v in values}
    return Part(axis, f"{title} (paper 000, figure 3)", cells, {}, axis=axis)


def _beta() -> Part:
    both = _COLUMNS["c & sp"]
    cells = {
        (f"on the {of}", str(v)): f"cnn-reg:inputs={both},penalty={of},beta={v}"
        for of in ("position", "colour")
        for v in _BETAS
    }
    return Part("beta", "Weight of the penalty (paper 000, figure 3)", cells, {}, axis="beta")


def _downscaling() -> Part:
    kinds = ("c", "c & sp")
    cells = {(k, str(v)): f"unet-single:inputs={_COLUMNS[k]},levels={v}" for k in kinds for v in _LEVELS}
    text = "a U-Net without downscaling is better than one with four"
    claims = (Claim(text, "unet-single:inputs=colour,levels=0", "unet-single:inputs=colour,levels=4"),)
    return Part("downscaling", "Downscalings of the U-Net (paper 000, section 3.1)", cells, {}, claims, axis="levels")


def _seeds() -> Part:
    names = {"PWN": "pwn", "CNN": "cnn", "U-Net": "unet-single"}
    cells = {
        (row, str(seed)): f"{name}:inputs=colour+position,seed={seed}" for row, name in names.items() for seed in _SEEDS
    }
    return Part("seeds", "Seeds of the first weights, colour and position (not in the paper)", cells, {}, axis="seed")


def _finetune() -> Part:
    cells = {(f"{part} frozen", "c"): f"finetune:frozen={part}" for part in _FROZEN}
    published = {("ENet (published)", "c"): 0.52, ("DeepLabv3 (published)", "c"): 0.59}
    claims = (Claim("fine-tuning is worse than a small CNN", "cnn:inputs=colour+position", "finetune:frozen=encoder"),)
    cells[("CNN, for comparison", "c")] = "cnn:inputs=colour+position"
    return Part("finetune", "Fine-tuning a trained network (paper 000, section 3.3)", cells, published, claims)


PARTS: tuple[Part, ...] = (
    _table1(),
    _figure3("kernel", "Side of the convolutions", _SIDES),
    _figure3("width", "Channels", _WIDTHS),
    _figure3("depth", "Layers", _DEPTHS),
    _beta(),
    _downscaling(),
    _seeds(),
    _finetune(),
)

#: The methods of the sloppiness experiment, by the name that tables show.
SLOPPY_METHODS: Mapping[str, str] = {
    "rectangles and circles, thresholded": "coarse-to-fine:mask=thresholded,shapes=paper,sloppiness=0",
    "mask predicted": "coarse-to-fine:shapes=smooth",
    "and the image's regions": "coarse-to-fine",
    "and an encoder": "coarse-to-fine:representation=encoder",
}

#: All settings that paper 002 states: grey input, 256 first channels, 1000 masks, 500 epochs, 100 pixels.
PUBLISHED_SLOPPY: Mapping[str, str] = {
    "as published": "coarse-to-fine:mask=thresholded,shapes=paper,sloppiness=0,grey=true,width=256,samples=1000,"
    "epochs=500,resolution=100"
}
