import numpy as np

from napari_scribseg.numerics.guided import guided_filter, principal_components


def test_a_guided_filter_keeps_edges_of_the_guide_and_removes_noise():
    rng = np.random.default_rng(0)
    guide = np.zeros((60, 80), dtype=np.float32)
    guide[:, 40:] = 1
    noisy = (guide * 5 + rng.normal(0, 0.5, guide.shape)).astype(np.float32)
    (found,) = guided_filter(noisy[None], guide, 5, 1e-3)
    assert np.abs(found - guide * 5).max() < 0.5
    assert (found - guide * 5).std() < 0.15
    assert found[30, 40] - found[30, 39] > 4


def test_a_guided_filter_is_a_linear_regression_in_each_window():
    rng = np.random.default_rng(1)
    guide, channel = rng.random((2, 7, 7)).astype(np.float32)
    a, b = np.zeros((2, 7, 7))
    for y in range(7):
        for x in range(7):
            window = np.ix_(np.clip(np.arange(y - 1, y + 2), 0, 6), np.clip(np.arange(x - 1, x + 2), 0, 6))
            g, p = guide[window].astype(float), channel[window].astype(float)
            a[y, x] = ((g * p).mean() - g.mean() * p.mean()) / (g.var() + 0.01)
            b[y, x] = p.mean() - a[y, x] * g.mean()
    wide_a, wide_b = np.pad(a, 1, mode="edge"), np.pad(b, 1, mode="edge")
    expected = sum(
        wide_a[i : i + 7, j : j + 7] * guide + wide_b[i : i + 7, j : j + 7] for i in range(3) for j in range(3)
    )
    (found,) = guided_filter(channel[None], guide, 1, 0.01)
    np.testing.assert_allclose(found, expected / 9, atol=1e-5)


def test_a_constant_channel_stays_as_it_is():
    guide = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    found = guided_filter(np.full((2, 20, 30), 3.0, dtype=np.float32), guide, 4, 1e-3)
    np.testing.assert_allclose(found, 3.0, atol=1e-5)


def test_principal_components_are_those_that_vary_most():
    rng = np.random.default_rng(0)
    hidden = rng.normal(0, [[[5.0]], [[2.0]]], (2, 30, 40))
    mixing = np.linalg.qr(rng.normal(size=(6, 6)))[0][:, :2]
    channels = np.tensordot(mixing, hidden, 1).astype(np.float32) + 7
    found = principal_components(channels, 2)
    assert found.shape == (2, 30, 40)
    for ours, true in zip(found, hidden, strict=True):
        assert abs(np.corrcoef(ours.ravel(), true.ravel())[0, 1]) > 0.98
    np.testing.assert_allclose(found.mean(axis=(1, 2)), 0, atol=1e-3)
