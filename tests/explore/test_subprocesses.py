import os
import signal

import numpy as np
import pytest

pytest.importorskip("higra")

from napari_scribseg import InputError
from napari_scribseg.explore import Workspace, subprocesses
from napari_scribseg.explore.hierarchy import build_hierarchy
from napari_scribseg.explore.needs import need
from napari_scribseg.explore.subprocesses import (
    HIERARCHIES,
    build_hierarchy_in_subprocess,
)


@pytest.fixture(autouse=True)
def _ended():
    yield
    subprocesses.stop()


def test_where_the_helper_cannot_run_the_work_is_done_here(monkeypatch):
    gradient = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    expected = build_hierarchy(gradient)
    monkeypatch.setattr(subprocesses.sys, "executable", "")
    assert np.array_equal(build_hierarchy_in_subprocess(gradient).parents, expected.parents)
    assert HIERARCHIES.pid is None


def test_the_helper_is_another_process_that_ends():
    build_hierarchy_in_subprocess(np.eye(9, dtype=np.float32))
    pid = HIERARCHIES.pid
    assert pid not in (None, os.getpid())
    subprocesses.stop()
    assert HIERARCHIES.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_where_the_helper_dies_the_work_is_done_here_and_another_one_follows():
    gradient = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    expected = build_hierarchy(gradient)
    assert np.array_equal(build_hierarchy_in_subprocess(gradient).parents, expected.parents)
    pid = HIERARCHIES.pid
    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert np.array_equal(build_hierarchy_in_subprocess(gradient).parents, expected.parents)
    assert np.array_equal(build_hierarchy_in_subprocess(gradient).parents, expected.parents)
    assert HIERARCHIES.pid not in (None, pid)
    helper = subprocesses.Helper("test", os.abort)  # dies while it warms up
    assert helper.call(int, "7") == 7
    helper.stop()


def test_an_error_in_the_helper_is_raised_here():
    with pytest.raises(InputError, match="no_such_package needs the package no_such_package"):
        HIERARCHIES.call(need, "no_such_package")
    pid = HIERARCHIES.pid
    with pytest.raises(InputError, match="another_package"):
        HIERARCHIES.call(need, "another_package")
    assert HIERARCHIES.pid == pid  # it lives on
    with pytest.raises(ZeroDivisionError):
        HIERARCHIES.call(divmod, 1, 0)
    assert HIERARCHIES.pid != pid


@pytest.mark.parametrize("criterion", ["volume", "area", "dynamics"])
def test_hierarchies_are_the_same_from_the_helper(criterion):
    gradient = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    here, there = (f(gradient, criterion, 0.05) for f in (build_hierarchy, build_hierarchy_in_subprocess))
    for name in ("basins", "parents", "altitudes"):
        found, expected = getattr(there, name), getattr(here, name)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)


def test_a_workspace_with_subprocesses_cuts_as_one_without():
    image = np.random.default_rng(0).normal(size=(60, 70)).astype(np.float32)
    cuts = []
    for subprocess in (False, True):
        workspace = Workspace(subprocess=subprocess)
        workspace.add_images([image])
        workspace.cut(regions=12)
        cuts.append(workspace.segments(0))
    assert np.array_equal(*cuts)
    assert HIERARCHIES.pid is not None
