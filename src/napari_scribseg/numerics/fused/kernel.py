"""How every kernel is compiled: cached on disk, without the interpreter lock, no rounding order promised."""

from __future__ import annotations

from typing import Any

from numba import njit

__all__ = ["inlined", "kernel"]

# "nnan": the kernels' arguments hold no NaN; "contract": multiply and add at once. Nothing reorders a sum, so that the
# same input gives the same output.
_MATH = {"contract", "nsz", "nnan"}

kernel: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath=_MATH)
inlined: Any = njit(inline="always", error_model="numpy", fastmath=_MATH)
