import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from napari_scribseg.numerics.variational.primal_dual import project_simplex


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(0, 2**31), st.sampled_from([0.1, 1.0, 1000.0]))
def test_projection_lies_on_the_simplex_and_is_nearest(labels, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(labels, 11, generator=generator, dtype=torch.float64) * scale
    nearest = project_simplex(points)
    assert (nearest >= 0).all()
    torch.testing.assert_close(nearest.sum(0), torch.ones(11, dtype=torch.float64), rtol=0, atol=1e-9)
    # optimality: points - nearest is constant on the support, and not larger outside
    residual = points - nearest
    top = residual.where(nearest > 0, -torch.inf).amax(0)
    assert (residual <= top + 1e-9 * scale).all()
    assert (residual.where(nearest > 0, top) >= top - 1e-9 * scale).all()


def test_projection_agrees_with_a_general_optimiser():
    point = np.asarray([0.9, 0.4, -0.2, 0.3])
    found = minimize(
        lambda u: ((u - point) ** 2).sum(),
        np.full(4, 0.25),
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda u: u.sum() - 1},
        tol=1e-12,
    )
    np.testing.assert_allclose(project_simplex(torch.from_numpy(point)[:, None])[:, 0], found.x, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_of_the_simplex_stay(dtype):
    points = torch.tensor([[0.2, 1.0], [0.8, 0.0]], dtype=dtype)
    torch.testing.assert_close(project_simplex(points), points)
