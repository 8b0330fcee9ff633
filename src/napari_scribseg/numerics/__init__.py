"""Functions on arrays and tensors: references in torch, loops compiled for the CPU."""
