import numpy as np
import pytest

pytest.importorskip("umap")

from test_looks import clouds

from napari_scribseg import InputError
from napari_scribseg.core import Cancelled
from napari_scribseg.explore import apart
from napari_scribseg.explore.plane import fit_plane

NOBODY = np.zeros(40, np.int32)


@pytest.fixture(autouse=True)
def _ended():
    yield
    apart.stop()


def test_the_helper_finds_the_same_places_lives_on_and_ends_where_it_is_cancelled():
    features, kinds = clouds()
    told = []
    found = apart.fit_plane_apart(features, kinds, report=lambda f, preview=None: told.append(f))
    helper = apart._helper
    assert np.allclose(found, fit_plane(features, kinds), atol=1e-4)
    assert told == sorted(told)
    assert told[-1] > 0.5
    again = apart.fit_plane_apart(features, NOBODY, found, local=True)
    assert np.allclose(again, fit_plane(features, NOBODY, found, local=True), atol=1e-4)
    assert apart._helper is helper

    def stop(fraction, preview=None):
        raise Cancelled

    with pytest.raises(Cancelled):
        apart.fit_plane_apart(features, NOBODY, report=stop)
    assert apart._helper is None
    assert not helper.lives


def test_where_the_helper_cannot_be_or_dies_the_plane_is_made_here(monkeypatch):
    features, _ = clouds()
    expected = fit_plane(features, NOBODY)
    monkeypatch.setattr(apart, "_COMMAND", "raise SystemExit(3)")
    assert np.array_equal(apart.fit_plane_apart(features, NOBODY), expected)
    monkeypatch.setattr(apart.sys, "executable", "/does/not/exist")
    assert np.array_equal(apart.fit_plane_apart(features, NOBODY), expected)
    apart.start()  # not an error


def test_what_goes_wrong_in_the_helper_is_told(monkeypatch):
    features, _ = clouds()
    start = apart._COMMAND
    monkeypatch.setattr(apart, "_COMMAND", "import sys; sys.modules['umap'] = None; " + start)
    with pytest.raises(InputError, match="needs the package umap-learn"):
        apart.fit_plane_apart(features, NOBODY)
