"""A call of :func:`~napari_scribseg.learn.learn` as files, for another process: nothing in them can run code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensor_bytes

from napari_scribseg.core.classes import ClassTable
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.io.atomic import write_files
from napari_scribseg.kernel.container import classes_from_json, classes_to_json
from napari_scribseg.learn.examples import Example
from napari_scribseg.learn.network import LearnedNetwork
from napari_scribseg.learn.training import LearnSettings

__all__ = ["JobFiles", "read_job", "write_job"]

_EXAMPLES, _START = "examples.safetensors", "start.safetensors"


@dataclass(frozen=True, slots=True)
class JobFiles:
    """The arguments of a call.

    Attributes
    ----------
    examples : list of Example
    classes : ClassTable
    start : LearnedNetwork or None
    device : str
    settings : LearnSettings
    """

    examples: list[Example]
    classes: ClassTable
    start: LearnedNetwork | None
    device: str
    settings: LearnSettings


def write_job(
    folder: Path,
    examples: Sequence[Example],
    classes: ClassTable,
    start: LearnedNetwork | None,
    device: str,
    settings: LearnSettings,
) -> None:
    """Write the arguments of a call into a folder.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    tensors = {}
    for i, example in enumerate(examples):
        tensors[f"image {i}"] = torch.from_numpy(example.image).contiguous()
        tensors[f"labels {i}"] = torch.from_numpy(example.labels).contiguous()
    header = {
        "examples": [
            [e.case, list(e.slice_index.displayed), list(e.slice_index.position), e.accepted, list(e.spacing)]
            for e in examples
        ],
        "classes": classes_to_json(classes),
        "device": device,
        "settings": asdict(settings),
    }
    write_files({folder / _EXAMPLES: tensor_bytes(tensors, metadata={"job": json.dumps(header)})})
    if start is None:
        (folder / _START).unlink(missing_ok=True)
    else:
        start.save(folder / _START)


def read_job(folder: Path) -> JobFiles:
    """The arguments that :func:`write_job` wrote.

    Raises
    ------
    InputError
        If a file is missing or damaged.
    """
    try:
        with safe_open(folder / _EXAMPLES, framework="pt") as file:
            header = json.loads(file.metadata()["job"])
            examples = [
                Example(
                    str(case), SliceIndex((int(displayed[0]), int(displayed[1])), tuple(int(p) for p in position)),
                    file.get_tensor(f"image {i}").numpy(), file.get_tensor(f"labels {i}").numpy(), bool(accepted),
                    (float(spacing[0]), float(spacing[1])),
                )
                for i, (case, displayed, position, accepted, spacing) in enumerate(header["examples"])
            ]  # fmt: skip
        classes, settings = classes_from_json(header["classes"]), LearnSettings(**header["settings"])
        device = str(header["device"])
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, IndexError) as error:
        raise InputError(f"{folder / _EXAMPLES} is missing or damaged ({error})") from error
    start = LearnedNetwork.load(folder / _START) if (folder / _START).is_file() else None
    return JobFiles(examples, classes, start, device, settings)
