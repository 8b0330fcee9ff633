import itertools

import numpy as np
import pytest
import torch

from napari_scribseg.numerics.fused.relaxation import HALO, Relaxation, default_steps, halve_cost, halve_weights
from napari_scribseg.numerics.variational.differences import divergence, gradient
from napari_scribseg.numerics.variational.primal_dual import solve


def problem(shape, labels, seed=0):
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0, 5, (labels, *shape)).astype(np.float32)
    weights = rng.uniform(0.1, 1, shape).astype(np.float32)
    return cost, weights


def after(cost, weights, smoothness, n_steps, **options):
    tensors = torch.from_numpy(cost).double(), torch.from_numpy(weights).double()
    return next(itertools.islice(solve(*tensors, smoothness, **options), n_steps - 1, None))


def primal_energy(primal, cost, weights, smoothness):
    norm = torch.linalg.vector_norm(gradient(primal), dim=(0, 1))
    return float((primal * cost).sum() + smoothness * (weights * norm).sum())


def dual_energy(dual, cost):
    """A lower bound of the primal energy for every feasible dual field."""
    return float((cost - divergence(dual)).amin(dim=0).sum())


def test_gap_closes_and_energies_enclose_the_solution():
    cost, weights = problem((12, 14), 3)
    tensors = torch.from_numpy(cost).double(), torch.from_numpy(weights).double()
    gaps = [
        primal_energy(s.primal, *tensors, 2.0) - dual_energy(s.dual, tensors[0])
        for s in itertools.islice(solve(*tensors, 2.0), 2000)
    ]
    assert all(g > -1e-6 for g in gaps)
    assert gaps[-1] < 1e-3 * gaps[0]


def test_the_authors_steps_lead_to_the_same_energy():
    cost, weights = problem((10, 11), 3)
    tensors = torch.from_numpy(cost).double(), torch.from_numpy(weights).double()
    energies = [
        primal_energy(after(cost, weights, 1.0, 3000, steps=steps).primal, *tensors, 1.0)
        for steps in (None, (0.25, 0.5))
    ]
    assert energies[0] == pytest.approx(energies[1], rel=1e-4)


def test_no_smoothness_gives_the_cheapest_label_and_much_gives_one_label():
    cost, weights = problem((9, 9), 4)
    free = after(cost, weights, 0.0, 200).primal.argmax(0).numpy()
    assert np.array_equal(free, cost.argmin(0))
    one = after(cost, np.ones_like(weights), 100.0, 3000).primal
    assert gradient(one).abs().max() < 1e-2


def test_iterates_keep_their_constraints():
    cost, weights = problem((8, 9), 3)
    for step in itertools.islice(solve(torch.from_numpy(cost), torch.from_numpy(weights), 2.0), 30):
        torch.testing.assert_close(step.primal.sum(0), torch.ones(8, 9))
        assert (step.primal >= 0).all()
        assert (torch.linalg.vector_norm(step.dual, dim=(0, 1)) <= 2.0 * torch.from_numpy(weights) * (1 + 1e-5)).all()


def test_warm_start_at_the_solution_stays_there():
    cost, weights = problem((10, 10), 3)
    solved = after(cost, weights, 1.0, 3000)
    again = after(cost, weights, 1.0, 5, primal=solved.primal, dual=solved.dual)
    assert float((again.primal - solved.primal).abs().max()) < 1e-2
    before = solved.primal.clone()
    after(cost, weights, 1.0, 5, primal=solved.primal, dual=solved.dual)
    assert torch.equal(before, solved.primal)


@pytest.mark.parametrize(
    ("shape", "labels"), [((1, 1), 2), ((1, 40), 2), ((300, 1), 5), ((150, 100), 3), ((40, 700), 5), ((33, 31), 20)]
)
@pytest.mark.parametrize("pixel", [(1.0, 1.0), (1.0, 3.0)])
def test_compiled_steps_match_the_reference(shape, labels, pixel):
    cost, weights = problem(shape, labels)
    compiled = Relaxation(np.ascontiguousarray(cost.transpose(1, 0, 2)), weights, 3.0, pixel)
    compiled.advance(2 * HALO + 3)
    expected = after(cost, weights, 3.0, 2 * HALO + 3, pixel=pixel)
    np.testing.assert_allclose(compiled.primal(), expected.primal.numpy(), atol=2e-5)
    np.testing.assert_allclose(compiled.fields[2:].transpose(0, 2, 1, 3), expected.dual.numpy(), atol=2e-4)


@pytest.mark.parametrize("smoothness", [0.0, 1e-3, 1.0, 100.0])
def test_compiled_steps_survive_any_smoothness_and_hard_costs(smoothness):
    cost, weights = problem((40, 50), 4)
    cost[:, 10, 10:40] = 1000
    cost[1, 10, 10:40] = 0
    compiled = Relaxation(np.ascontiguousarray(cost.transpose(1, 0, 2)), weights, smoothness)
    compiled.advance(50)
    assert np.isfinite(compiled.fields).all()
    np.testing.assert_allclose(compiled.primal().sum(0), 1, atol=1e-4)
    assert (compiled.primal()[1, 10, 10:40] > 0.99).all()


def test_a_given_state_is_not_changed_and_goes_on():
    cost, weights = problem((60, 64), 3)
    middle = np.ascontiguousarray(cost.transpose(1, 0, 2))
    first = Relaxation(middle, weights, 2.0)
    first.advance(HALO)
    kept = first.fields.copy()
    second = Relaxation(middle, weights, 2.0, fields=first.fields)
    second.advance(HALO)
    assert np.array_equal(kept, first.fields)
    first.advance(HALO)
    assert np.array_equal(first.fields, second.fields)
    third = Relaxation(middle, weights, 2.0, fields=kept)
    third.advance(3 * HALO)
    assert not np.array_equal(kept, third.fields)


def test_moves_end_at_the_solution():
    cost, weights = problem((40, 40), 3)
    relaxation = Relaxation(np.ascontiguousarray(cost.transpose(1, 0, 2)), weights, 0.5)
    assert relaxation.advance(HALO) > 0
    assert relaxation.advance(800) == 0


def test_default_steps_satisfy_the_convergence_condition():
    for smoothness in (0.0, 0.01, 1.0, 100.0):
        primal, dual = default_steps(smoothness)
        assert primal * dual == pytest.approx(1 / 8)


@pytest.mark.parametrize("shape", [(7, 9), (8, 8), (1, 5), (70, 41)])
def test_halving_takes_means(shape):
    cost, weights = problem(shape, 3)
    half = halve_cost(np.ascontiguousarray(cost.transpose(1, 0, 2)))
    means = torch.nn.functional.avg_pool2d(torch.from_numpy(cost)[None], 2, ceil_mode=True, count_include_pad=False)[
        0
    ].numpy()
    np.testing.assert_allclose(half.transpose(1, 0, 2), means, rtol=1e-5)
    assert halve_weights(weights).shape == means.shape[1:]


@pytest.mark.parametrize("shape", [(7, 9), (8, 8), (1, 5), (70, 41), (150, 333)])
def test_a_halved_state_is_repeated_and_its_flow_doubled(shape):
    cost, weights = problem(shape, 3)
    middle = np.ascontiguousarray(cost.transpose(1, 0, 2))
    half_shape = [-(-n // 2) for n in shape]
    coarse = np.random.default_rng(1).random((4, half_shape[0], 3, half_shape[1])).astype(np.float32)
    rows, columns = np.arange(shape[0]) // 2, np.arange(shape[1]) // 2
    fine = np.ascontiguousarray(coarse[:, rows][..., columns])
    fine[1] = fine[0]
    fine[2:] *= 2
    for n_steps in (1, 11):
        doubled = Relaxation(middle, weights, 2.0, fields=coarse)
        given = Relaxation(middle, weights, 2.0, fields=fine)
        doubled.advance(n_steps)
        given.advance(n_steps)
        np.testing.assert_array_equal(doubled.fields, given.fields)
