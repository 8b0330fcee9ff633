"""Images of any size in networks that halve them several times."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["crop_to", "pad_to_multiple"]


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Grow the last two axes at their ends to multiples of a number.

    Parameters
    ----------
    x : Tensor of shape (N, C, H, W)
        The values at the rim are repeated.
    multiple : int
        At least 1.

    Returns
    -------
    Tensor of shape (N, C, H', W')
        ``x`` itself where nothing is missing.
    """
    down, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if not tracing and not (down or right):  # a trace must hold for every size: no branch on it
        return x
    return functional.pad(x, (0, right, 0, down), mode="replicate")


def crop_to(x: Tensor, like: Tensor) -> Tensor:
    """Undo :func:`pad_to_multiple`.

    Parameters
    ----------
    x : Tensor of shape (N, C, H', W')
    like : Tensor of shape (..., H, W)

    Returns
    -------
    Tensor of shape (N, C, H, W)
    """
    return x[..., : like.shape[-2], : like.shape[-1]]
