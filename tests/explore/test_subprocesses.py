import numpy as np
import pytest

pytest.importorskip("umap")

from test_feature_space import clouds

from napari_scribseg import InputError
from napari_scribseg.core import Cancelled
from napari_scribseg.explore import Workspace, subprocesses
from napari_scribseg.explore.embedding import fit_embedding
from napari_scribseg.explore.hierarchy import build_hierarchy

NOBODY = np.zeros(40, np.int32)


@pytest.fixture(autouse=True)
def _ended():
    yield
    subprocesses.stop()


def test_the_helper_finds_the_same_places_lives_on_and_ends_where_it_is_cancelled():
    features, kinds = clouds()
    told = []
    found = subprocesses.fit_embedding_in_subprocess(features, kinds, report=lambda f, preview=None: told.append(f))
    helper = subprocesses._helpers["plane"]
    assert np.allclose(found, fit_embedding(features, kinds), atol=1e-4)
    assert told == sorted(told)
    assert told[-1] > 0.5
    again = subprocesses.fit_embedding_in_subprocess(features, NOBODY, found, local=True)
    assert np.allclose(again, fit_embedding(features, NOBODY, found, local=True), atol=1e-4)
    assert subprocesses._helpers["plane"] is helper

    def stop(fraction, preview=None):
        raise Cancelled

    with pytest.raises(Cancelled):
        subprocesses.fit_embedding_in_subprocess(features, NOBODY, report=stop)
    assert "plane" not in subprocesses._helpers
    assert not helper.lives


def test_where_the_helper_cannot_be_or_dies_the_plane_is_made_here(monkeypatch):
    features, _ = clouds()
    expected = fit_embedding(features, NOBODY)
    monkeypatch.setattr(subprocesses, "_COMMAND", "raise SystemExit(3)")
    assert np.array_equal(subprocesses.fit_embedding_in_subprocess(features, NOBODY), expected)
    monkeypatch.setattr(subprocesses.sys, "executable", "/does/not/exist")
    assert np.array_equal(subprocesses.fit_embedding_in_subprocess(features, NOBODY), expected)
    subprocesses.start()  # not an error


def test_what_goes_wrong_in_the_helper_is_told(monkeypatch):
    features, _ = clouds()
    start = subprocesses._COMMAND
    monkeypatch.setattr(subprocesses, "_COMMAND", "import sys; sys.modules['umap'] = None; " + start)
    with pytest.raises(InputError, match="needs the package umap-learn"):
        subprocesses.fit_embedding_in_subprocess(features, NOBODY)


@pytest.mark.parametrize("criterion", ["volume", "area", "dynamics"])
def test_hierarchies_are_the_same_from_the_helper(criterion):
    pytest.importorskip("higra")
    gradient = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    here, there = (f(gradient, criterion, 0.05) for f in (build_hierarchy, subprocesses.build_hierarchy_in_subprocess))
    for name in ("basins", "parents", "altitudes"):
        found, expected = getattr(there, name), getattr(here, name)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    assert subprocesses._helpers["hierarchy"].lives
    with pytest.raises(InputError, match="the simplification is 2"):
        subprocesses.build_hierarchy_in_subprocess(gradient, criterion, 2.0)


def test_a_workspace_with_processes_of_its_own_cuts_as_one_without():
    pytest.importorskip("higra")
    image = np.random.default_rng(0).normal(size=(60, 70)).astype(np.float32)
    cuts = []
    for own in (False, True):
        workspace = Workspace(subprocess=own)
        workspace.add_images([image])
        workspace.cut(regions=12)
        cuts.append(workspace.segments(0))
    assert np.array_equal(*cuts)
    assert set(subprocesses._helpers) == {"hierarchy"}
