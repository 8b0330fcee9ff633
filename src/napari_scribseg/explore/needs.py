"""Packages of the extra ``explore``, imported at their first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from napari_scribseg.core import InputError

__all__ = ["need"]

_WHAT = {
    "higra": "cutting images into segments",
    "pytorch_metric_learning": "learning from labels",
    "sklearn": "the uncertainty of segments",
    "timm": "an encoder of timm",
}
_PACKAGE = {"sklearn": "scikit-learn", "pytorch_metric_learning": "pytorch-metric-learning"}


def need(module: str) -> Any:
    """Import a module, or one of its submodules.

    Raises
    ------
    InputError
        If its package is not installed; the message names the extra that has it.
    """
    top = module.partition(".")[0]
    try:
        return import_module(module)
    except ImportError as error:
        extra = "timm" if top == "timm" else "explore"
        raise InputError(
            f"{_WHAT.get(top, module)} needs the package {_PACKAGE.get(top, top)}, which cannot be imported ({error}); "
            f"install it with pip install 'napari-scribseg[{extra}]'"
        ) from error
