import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_scribseg.numerics.fused import filters
from napari_scribseg.numerics.variational.differences import divergence, edge_weights, gradient

SHAPES = [(1, 1), (1, 7), (6, 1), (5, 8)]


def test_gradient_of_a_ramp_is_its_slope():
    ramp = torch.arange(12.0).reshape(3, 4)
    down, right = gradient(ramp)
    assert torch.equal(down, torch.tensor([[4.0] * 4, [4.0] * 4, [0.0] * 4]))
    assert torch.equal(right[:, :-1], torch.ones(3, 3))
    assert torch.equal(right[:, -1], torch.zeros(3))


def test_gradient_counts_in_units_of_the_finest_pixel():
    field = torch.rand(4, 5, generator=torch.Generator().manual_seed(0))
    plain, scaled = gradient(field), gradient(field, (3.0, 1.0))
    torch.testing.assert_close(scaled[0] * 3, plain[0])
    torch.testing.assert_close(scaled[1], plain[1])


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.integers(1, 4),
    st.integers(0, 2**31),
    st.sampled_from([(1.0, 1.0), (2.5, 1.0), (1.0, 4.0)]),
)
def test_divergence_is_the_negative_adjoint(shape, labels, seed, pixel):
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(labels, *shape, generator=generator, dtype=torch.float64)
    p = torch.randn(2, labels, *shape, generator=generator, dtype=torch.float64)
    left = (gradient(u, pixel) * p).sum()
    right = -(u * divergence(p, pixel)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


def test_edge_weights_are_low_on_edges_alone():
    image = torch.zeros(1, 6, 8)
    image[:, :, 4:] = 100
    weights = edge_weights(image, gamma=5.0)
    assert weights.shape == (6, 8)
    torch.testing.assert_close(weights[:, 3], torch.full((6,), float(np.exp(-5.0))))
    assert (weights[:, :3] == 1).all()
    assert (weights[:, 4:] == 1).all()


@pytest.mark.parametrize("gamma", [0.0, 5.0])
def test_edge_weights_of_a_constant_image_are_one(gamma):
    assert (edge_weights(torch.full((3, 4, 5), 7.0), gamma) == 1).all()


@pytest.mark.parametrize("shape", [*SHAPES, (70, 33)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pixel", [(1.0, 1.0), (1.0, 2.5)])
def test_compiled_edge_weights_match_the_reference(shape, channels, pixel):
    image = np.random.default_rng(0).uniform(0, 255, (channels, *shape)).astype(np.float32)
    expected = edge_weights(torch.from_numpy(image).double(), 5.0, pixel).numpy()
    np.testing.assert_allclose(filters.edge_weights(image, 5.0, pixel), expected, rtol=1e-5)


def total_variation(field):
    return torch.linalg.vector_norm(gradient(field), dim=(0, 1)).sum()


def test_total_variation_of_a_disc_is_about_its_perimeter_and_joint_over_labels():
    rows, columns = np.mgrid[:60, :60]
    disc = torch.from_numpy(((rows - 30) ** 2 + (columns - 30) ** 2 <= 400).astype(np.float64))
    one = total_variation(disc[None])
    assert 2 * np.pi * 20 <= one <= 2 * np.pi * 20 * 1.35
    both = total_variation(torch.stack([disc, 1 - disc]))
    torch.testing.assert_close(both, one * 2**0.5)


def test_the_gradient_is_differentiable():
    field = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u: (gradient(u) ** 2).sum(), (field[:, :4, :4],))
