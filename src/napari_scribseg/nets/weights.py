"""Trained networks as files: a safetensors file holds the weights, the configuration of the network, and a card."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as tensor_bytes
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from napari_scribseg.core import InputError
from napari_scribseg.nets.brs_net import BRSNet, BRSNetConfig
from napari_scribseg.nets.efficient_unet import EfficientUNet, EfficientUNetConfig
from napari_scribseg.nets.pixel_net import PixelNet, PixelNetConfig
from napari_scribseg.nets.plain_unet import PlainUNet, PlainUNetConfig

__all__ = [
    "ARCHITECTURES",
    "IMAGE_NETWORKS",
    "build",
    "load_model",
    "load_shipped",
    "save_model",
    "shipped_weights",
    "tensor_checksum",
]

ARCHITECTURES: dict[str, tuple[type[nn.Module], type]] = {
    "brs-net": (BRSNet, BRSNetConfig),
    "efficient-unet": (EfficientUNet, EfficientUNetConfig),
    "pixel-net": (PixelNet, PixelNetConfig),
    "plain-unet": (PlainUNet, PlainUNetConfig),
}

FOLDER = Path(str(resources.files("napari_scribseg.nets"))) / "data"  # of the networks that come with the package
VERSION = "1"
_OWN_KEYS = ("format", "architecture", "config", "sha256")
_FORMAT = f"napari-scribseg weights {VERSION}"
_MAX_HEADER = 1 << 20  # bytes; ours have about 20 thousand
_MAX_PARAMETERS = 1 << 28  # of a network whose configuration comes from a file
_BYTES = {"F16": 2, "BF16": 2, "F32": 4, "I64": 8}
_DTYPES = {"float32": torch.float32, "float16": torch.float16}

Network = BRSNet | EfficientUNet | PixelNet | PlainUNet
#: The networks that take images; a :class:`PixelNet` takes the features of one pixel.
IMAGE_NETWORKS: tuple[type[nn.Module], ...] = (BRSNet, EfficientUNet, PlainUNet)


def build(architecture: str, config: Mapping[str, Any] | None = None) -> Network:
    """An untrained network, by name.

    Parameters
    ----------
    architecture : str
        A key of :data:`ARCHITECTURES`.
    config : mapping, optional
        Fields of its configuration; the others keep their defaults.

    Raises
    ------
    InputError
        If the name or a field is unknown, or a value does not fit.
    """
    if architecture not in ARCHITECTURES:
        expected = ", ".join(ARCHITECTURES)
        raise InputError(f"the network {architecture!r} is unknown; one of {expected} is expected")
    make, kind = ARCHITECTURES[architecture]
    return make(_config(kind, dict(config or {})))  # type: ignore[return-value]


def _config(kind: type, values: dict[str, Any]) -> Any:
    """The configuration from values of a JSON file, each checked by type, because the file may come from anyone."""
    default = kind()
    fields = {f.name: getattr(default, f.name) for f in dataclasses.fields(default)}
    for name, value in values.items():
        if name not in fields:
            raise InputError(f"the network's configuration has {name!r}; one of {', '.join(fields)} is expected")
        values[name] = tuple(value) if isinstance(value, list) else value
        given, expected = (v if isinstance(v, tuple) else (v,) for v in (values[name], fields[name]))
        if type(values[name]) is not type(fields[name]) or any(type(v) is not type(expected[0]) for v in given):
            raise InputError(
                f"the network's configuration has {name} = {value!r}; such as {fields[name]!r} is expected"
            )
        if len(given) > 16 or any(type(v) is int and not 0 < v <= 4096 for v in given):
            raise InputError(
                f"the network's configuration has {name} = {value!r}; at most 16 counts up to 4096 expected"
            )
    return kind(**values)


def save_model(
    path: str | Path,
    model: Network,
    metadata: Mapping[str, str] | None = None,
    dtype: Literal["float32", "float16"] = "float32",
) -> Path:
    """Write a network to one file.

    Parameters
    ----------
    path : str or Path
        Ends in ``.safetensors``; an older file is replaced once the new one is complete.
    model : BRSNet, EfficientUNet, PixelNet or PlainUNet
    metadata : mapping of str to str, optional
        The card: data, licences, steps, scores; any names but ``format``, ``architecture``, ``config`` and ``sha256``.
    dtype : {"float32", "float16"}
        Type of the weights in the file; :func:`load_model` returns float32.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If ``path`` or ``metadata`` is not as described, or a weight is not finite in that type.
    OSError
        If the file cannot be written; an older one is then unchanged.
    """
    path, card = Path(path), dict(metadata or {})
    if path.suffix != ".safetensors":
        raise InputError(f"the weights are to be saved as {path.name}; a name that ends in .safetensors is expected")
    for key, value in card.items():
        if key in _OWN_KEYS or not (isinstance(key, str) and isinstance(value, str)):
            raise InputError(
                f"the metadata holds {key!r}: {value!r}; text under a name other than {_OWN_KEYS} is expected"
            )
    names = [n for n, (kind, _) in ARCHITECTURES.items() if type(model) is kind]
    if not names:
        raise InputError(f"{type(model).__name__} cannot be saved; one of {', '.join(ARCHITECTURES)} is expected")
    tensors = {name: _stored(name, value, _DTYPES[dtype]) for name, value in model.state_dict().items()}
    card |= {
        "format": _FORMAT,
        "architecture": names[0],
        "config": json.dumps(dataclasses.asdict(model.config)),
        "sha256": tensor_checksum(tensors),
    }
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(tensor_bytes(tensors, metadata=card))
    temporary.replace(path)
    return path


def _stored(name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    stored = value.detach().cpu().contiguous()
    if stored.is_floating_point():
        stored = stored.to(dtype)
        if not torch.isfinite(stored).all():
            raise InputError(
                f"the weights {name} hold NaN or a value too large for {dtype}; finite numbers are expected"
            )
    return stored


def tensor_checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values, independent of their order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)};".encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_model(path: str | Path, kinds: tuple[type[nn.Module], ...] = IMAGE_NETWORKS) -> tuple[Network, dict[str, str]]:
    """Read a network from a file that :func:`save_model` wrote; the file runs no code and is checked before it is read.

    Parameters
    ----------
    path : str or Path
    kinds : tuple of type
        The networks that are expected, of :data:`ARCHITECTURES`.

    Returns
    -------
    model : BRSNet, EfficientUNet, PixelNet or PlainUNet
        On the CPU, float32, in eval mode.
    metadata : dict of str to str
        The card, and ``architecture`` and ``config``.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another kind, too large for its network, or of another network.
    """
    path = Path(path)
    header = _header(path)
    metadata = header.pop("__metadata__", {})
    if metadata.get("format") != _FORMAT:
        raise InputError(
            f"{path.name} says it is {str(metadata.get('format', 'of no expected kind'))[:60]!r}; weights written by "
            f"napari-scribseg ({_FORMAT!r}) are expected"
        )
    model = _unbuilt(path, metadata, len(header))
    if not isinstance(model, kinds):
        expected = " or ".join(name for name, (kind, _) in ARCHITECTURES.items() if kind in kinds)
        raise InputError(f"{path.name} holds a {metadata['architecture']}; a {expected} is expected")
    _check_tensors(path, header, model)
    try:
        tensors = load_tensors(path.read_bytes())
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise InputError(f"{path.name} is damaged ({error}); the file as it was written is expected") from error
    if tensor_checksum(tensors) != metadata.get("sha256"):
        raise InputError(f"{path.name} is damaged: its weights have another checksum than the one written with them")
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise InputError(f"{path.name} holds NaN or infinite weights; finite numbers are expected")
    model.load_state_dict(tensors, assign=True)
    return model.requires_grad_(True).eval(), metadata


def _header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: 8 bytes of length, then JSON."""
    if not path.is_file():
        raise InputError(f"the weights {path} are missing; a .safetensors file is expected")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise InputError(f"{path.name} is no safetensors file, or damaged: its header would have {length} bytes")
        text = file.read(length)
    try:
        header: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is no safetensors file, or damaged: its header cannot be read") from error
    card = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(card, dict) or not all(isinstance(value, str) for value in card.values()):
        raise InputError(f"{path.name} is no safetensors file, or damaged: its header holds no table of tensors")
    end = 0
    for name, entry in header.items():
        if name != "__metadata__":
            end = max(end, _end_of(path, name, entry))
    if end != size - 8 - length:
        raise InputError(f"{path.name} has {size} bytes; its header announces {end + 8 + length}: it is damaged")
    return header


def _end_of(path: Path, name: str, entry: Any) -> int:
    """End of a tensor, in bytes after the header."""
    try:
        start, end = (int(v) for v in entry["data_offsets"])
        count = math.prod(int(v) for v in entry["shape"])
        fits = (
            0 <= start <= end and min(entry["shape"], default=0) >= 0 and end - start == count * _BYTES[entry["dtype"]]
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise InputError(
            f"{path.name} is damaged: type, shape and place of its tensor {name[:60]!r} do not fit together"
        )
    return end


def _unbuilt(path: Path, metadata: Mapping[str, str], n_tensors: int) -> Network:
    """The network that the file names, on the device ``meta``, with no more tensors than the file has."""
    try:
        config = json.loads(metadata.get("config", ""))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is damaged: the configuration of its network cannot be read") from error
    if not isinstance(config, dict):
        raise InputError(f"{path.name} is damaged: the configuration of its network is no table")
    try:
        with torch.device("meta"), _at_most(n_tensors):
            return build(metadata.get("architecture", ""), config)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error


@contextmanager
def _at_most(n_tensors: int) -> Iterator[None]:
    """Raise an InputError if a network built in this thread gets more tensors than these, or too many parameters."""
    thread, tensors, parameters = threading.get_ident(), 0, 0

    def count(_module: nn.Module, _name: str, value: Tensor | None) -> None:
        nonlocal tensors, parameters
        if threading.get_ident() == thread and value is not None:
            tensors, parameters = tensors + 1, parameters + value.numel()
            if tensors > n_tensors:
                raise InputError(f"its configuration describes more tensors than the {n_tensors} that the file holds")
            if parameters > _MAX_PARAMETERS:
                raise InputError(f"its configuration describes more than {_MAX_PARAMETERS} parameters")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _check_tensors(path: Path, header: Mapping[str, Any], model: nn.Module) -> None:
    """Check that the file has the tensors of the network, in its shapes, before any is read."""
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for name, shape in expected.items():
        if name not in header:
            raise InputError(f"{path.name} lacks the weights {name!r} of its network; the file is foreign or damaged")
        given = tuple(header[name]["shape"])
        if given != shape:
            raise InputError(f"{path.name}: the weights {name!r} have shape {given}; the network expects {shape}")
        whole = header[name]["dtype"] == "I64"
        if whole != name.endswith("num_batches_tracked"):
            raise InputError(f"{path.name}: the weights {name!r} are {header[name]['dtype']}; another type is expected")
    extra = [name for name in header if name not in expected]
    if extra:
        raise InputError(
            f"{path.name} holds {len(extra)} tensors that its network does not have, such as {extra[0][:60]!r}"
        )


def shipped_weights() -> dict[str, Path]:
    """The networks that come with the package: name to file; empty where it ships none."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}


def load_shipped(name: str, kinds: tuple[type[nn.Module], ...] = IMAGE_NETWORKS) -> tuple[Network, dict[str, str]]:
    """A network that comes with the package, its file checked against the checksum in ``data/checksums.json``.

    Raises
    ------
    InputError
        If there is no such network, it is another one than is expected, or its file is not the one that was shipped.
    """
    files = shipped_weights()
    if name not in files:
        raise InputError(f"the package has no weights {name!r}; one of {', '.join(files) or 'none'} is expected")
    listed = json.loads((FOLDER / "checksums.json").read_text(encoding="utf-8"))
    if hashlib.sha256(files[name].read_bytes()).hexdigest() != listed.get(files[name].name):
        raise InputError(f"{files[name].name} differs from the file that was shipped; install the package again")
    return load_model(files[name], kinds)
