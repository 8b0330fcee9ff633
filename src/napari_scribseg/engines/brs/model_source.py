"""The kind of a model by its name, without loading it. Needs no torch."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import user_path
from napari_scribseg.engines.brs.card import ModelCard, read_card

__all__ = [
    "DEFAULT",
    "ModelSource",
    "card_of",
    "find_source",
    "needs_no_strokes",
    "runs_code",
    "shipped_names",
    "shipped_path",
]

Kind = Literal["shipped", "safetensors", "export", "torchscript", "bundle", "factory"]

EXPECTED = (
    "a .safetensors file of this package, a .pt2 file of torch.export, a TorchScript file, the folder of a MONAI "
    "bundle, package.module:factory, or the name of a network that comes with the package is expected"
)
_FOLDER = Path(str(resources.files("napari_scribseg"))) / "nets" / "data"
DEFAULT = "scribble-net"  # the network if none is named
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model that can be loaded.

    Attributes
    ----------
    kind : str
        ``"shipped"``: a network that comes with the package; ``"safetensors"``: a file that
        :func:`~napari_scribseg.nets.save_model` wrote; ``"export"``, ``"torchscript"``, ``"bundle"`` or ``"factory"``.
    text : str
        As the user gave it; the name of a network that comes with the package.
    path : Path
        Of the file or folder; meaningless for ``"shipped"`` and ``"factory"``.
    """

    kind: Kind
    text: str
    path: Path

    @property
    def name(self) -> str:
        """Short, for messages."""
        return self.text if self.kind in ("shipped", "factory") else self.path.name


def shipped_names() -> tuple[str, ...]:
    """Names of the networks that come with the package."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.safetensors")))


def shipped_path(name: str) -> Path:
    """The file of a network that comes with the package."""
    return _FOLDER / f"{name}.safetensors"


def find_source(model: str) -> ModelSource:
    """The model of a name.

    Parameters
    ----------
    model : str
        A path, ``package.module:factory``, the name of a network that comes with the package, or nothing for
        :data:`DEFAULT`.

    Raises
    ------
    InputError
        If there is no such file, or it is no model.
    """
    path = user_path(model)
    if not model or model in shipped_names():
        return ModelSource("shipped", model or DEFAULT, path)
    if _FACTORY.fullmatch(model) and not path.exists():
        return ModelSource("factory", model, path)
    if path.is_dir():
        if not (path / "configs").is_dir() and not (path / "models").is_dir():
            raise InputError(
                f"the folder {path.name} holds neither configs nor models: it is no MONAI bundle; {EXPECTED}"
            )
        return ModelSource("bundle", model, path)
    if not path.is_file():
        raise InputError(f"the model {model} is missing; {EXPECTED}")
    if path.suffix == ".safetensors":
        return ModelSource("safetensors", model, path)
    stat = path.stat()
    return ModelSource(_archive(path, stat.st_mtime_ns, stat.st_size), model, path)


def card_of(model: str, weights: str) -> ModelCard | None:
    """The card beside a model, or beside the weights of a factory; None where there is none.

    Raises
    ------
    InputError
        If there is no such model, or its card does not fit.
    """
    source = find_source(model)
    beside = Path(weights) if source.kind == "factory" else source.path
    return read_card(beside) if source.kind != "shipped" and beside.name else None


def needs_no_strokes(model: str, weights: str = "") -> bool:
    """Whether a network predicts without strokes; it is not loaded for this.

    A network whose card does not state it counts as one that takes images only.

    Raises
    ------
    InputError
        If there is no such model, or its card or header cannot be read.
    """
    source, card = find_source(model), card_of(model, weights)
    if card is not None and card.prompt != "auto":
        return card.prompt == "none"
    if source.kind not in ("shipped", "safetensors"):
        return True
    path = shipped_path(source.text) if source.kind == "shipped" else source.path
    try:
        with safe_open(str(path), framework="np") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path.name} is no safetensors file, or damaged: its header cannot be read") from error
    if "prompt" in metadata:
        return str(metadata["prompt"]) == "none"
    from napari_scribseg.prompting import WITH_STROKES

    return json.loads(metadata.get("config", "{}")).get("in_channels") not in WITH_STROKES


@lru_cache(maxsize=8)
def _archive(path: Path, modified: int, size: int) -> Literal["export", "torchscript"]:
    """The kind of a zip file, as all files of torch are, by the names of its members."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] or name for name in archive.namelist()} | set(archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path.name} is no model; {EXPECTED}") from error
    if {"serialized_exported_program.json", "models/model.json"} & names:
        return "export"
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return "torchscript"
    if "data.pkl" in names:
        raise InputError(
            f"{path.name} holds weights without their network; name what builds it as model="
            f"'package.module:factory' and this file as weights"
        )
    raise InputError(f"{path.name} is no model; {EXPECTED}")


def runs_code(model: str) -> str:
    """Whether loading a model runs code that came with it; call it before loading.

    A file of :func:`~napari_scribseg.nets.save_model` holds numbers only. Everything else may run code: a factory is
    a function, TorchScript is a program, a MONAI bundle holds expressions, and ``torch.export.load`` unpickles some
    parts of a ``.pt2`` file and evaluates the formulas of its sizes.

    Parameters
    ----------
    model : str
        As for :class:`~napari_scribseg.engines.brs.BRS`.

    Returns
    -------
    str
        A message for the user; empty if no code is run.

    Raises
    ------
    InputError
        If there is no such model.
    """
    source = find_source(model)
    reasons = {
        "export": f"{source.name} is a program written by torch.export, and loading it may run code that it holds",
        "torchscript": f"{source.name} is a TorchScript program: it runs code that it holds",
        "bundle": f"{source.name} is a MONAI bundle: its configuration may run any code",
        "factory": f"{source.text} is a function: its module is imported, and it is called",
    }
    return reasons.get(source.kind, "")
