"""Compiled CPU kernels: numba, no torch. Each is tested against the torch reference of the same name."""
