"""A fast exponential for compiled loops: it is inlined, and the loop around it becomes vector instructions."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from napari_scribseg.numerics.fused.kernel import inlined

__all__ = ["exp_negative"]


@intrinsic
def _float_from_bits(typing_context, bits):
    """The float32 whose bits are those of an int32."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), codegen


@inlined
def exp_negative(x):
    """``exp(x)`` for ``x <= 0`` in float32, relative error below 3e-7 + 6e-8 |x|; below -87 it stays at exp(-87).

    ``2^n 2^f`` with n the nearest integer: the first by its exponent bits, the second by a polynomial of degree 6. No
    step of it depends on the order of rounding, so that any compiler option is safe.
    """
    scaled = max(np.float32(x), np.float32(-87.0)) * np.float32(1.4426950408889634)
    whole = np.floor(scaled + np.float32(0.5))
    f = scaled - whole
    p = np.float32(1.535336188319500e-4)
    p = p * f + np.float32(1.339887440266574e-3)
    p = p * f + np.float32(9.618437357674640e-3)
    p = p * f + np.float32(5.550332471162809e-2)
    p = p * f + np.float32(2.402264791363012e-1)
    p = p * f + np.float32(6.931472028550421e-1)
    p = p * f + np.float32(1.0)
    return p * _float_from_bits(np.int32(whole + np.float32(127)) << np.int32(23))
