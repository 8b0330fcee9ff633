"""Pure functions on arrays and tensors: one reference in torch, hot loops compiled for the CPU."""

from napari_scribseg.numerics.warm import warm_up

__all__ = ["warm_up"]
