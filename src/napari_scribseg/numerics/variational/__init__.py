"""Labellings that minimise an energy: a data term for each label and the weighted length of boundaries.

- ``parameters``; ``energy``: image features and weights of the terms; ``terms``: distances and densities of one label
- ``reference``: the data terms in plain torch, for tests and for GPUs; ``differences``: gradient and divergence
- ``problem``: a convex problem, and its solver; ``compiled`` on the CPU, ``tensors`` in torch
- ``primal_dual``: the method in plain torch; the compiled one is ``numerics.fused.relaxation``
- ``multiscale``: coarse to fine, then until nothing moves
- ``refine``: boundaries of a network's prediction moved to edges of the image
"""
