"""Compile, or load from the cache, every kernel before the first stroke needs it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["warm_up"]


def warm_up() -> None:
    """Run every compiled kernel once, on tiny arrays of the types that the engines use.

    Takes tens of seconds when nothing is cached on disk, else well under a second. Call it from a thread of its own as
    soon as a window opens: a kernel that is called meanwhile waits for its compilation.
    """
    from napari_scribseg.numerics import volume_cut
    from napari_scribseg.numerics.fused import colour, density, distance, filters, flow, relaxation, upsampling

    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (3, 40, 44)).astype(np.float32)
    seeds = np.full((40, 44), -1, dtype=np.int32)
    seeds[3, 3:9], seeds[20, 3:9] = 0, 1
    cost = rng.random((40, 2, 44), dtype=np.float32)
    weights = np.ones((40, 44), dtype=np.float32)
    enlarged = np.ones((1, 8, 8, 4), dtype=np.float32)

    def relax() -> None:
        coarse = relaxation.Relaxation(relaxation.halve_cost(cost), relaxation.halve_weights(weights), 1.0)
        coarse.advance(1)
        relaxation.Relaxation(cost, weights, 1.0, fields=coarse.fields).advance(1)

    jobs: list[Callable[[], object]] = [
        relax,
        lambda: volume_cut.cut_volume(image, np.stack([seeds] * 3), 2),
        lambda: filters.gaussian_gradient(filters.rgb_to_lab(image), 1.0),
        lambda: filters.edge_weights(image, 5.0),
        lambda: density.spatially_varying_density(image, seeds, np.ones((2, 40, 44), dtype=np.float32), 5.0),
        lambda: colour.colour_density(image, seeds, 2, 8.0),
        lambda: colour.colour_density(image[:1], seeds, 2, 8.0),
        lambda: colour.nearest_colour(image, image[:, 0, :5].copy()),
        lambda: flow.move(image, flow.optical_flow(image[0], image[1])),
        lambda: distance.euclidean_distance(seeds, 2),
        lambda: distance.geodesic_distance(seeds, 2, weights),
        lambda: upsampling.upsampling_gradient(enlarged, (4, 4), (0.5, 0.5)),
        lambda: upsampling.upsampling_gradient(enlarged[..., 2:], (4, 4), (0.5, 0.5)),
    ]
    for job in jobs:
        job()
