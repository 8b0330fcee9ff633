"""The work goes to the workers of a scheduler that runs already."""

import importlib
import json
import os
import subprocess
import sys

import pytest
from waiting import wait_for

from napari_scribseg.batch import cluster, read_table, run_batch
from napari_scribseg.core import InputError

distributed = pytest.importorskip("distributed")


@pytest.fixture
def address():
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with distributed.LocalCluster(n_workers=1, **options) as cluster:
        yield cluster.scheduler_address


def test_the_workers_of_a_scheduler_do_the_work(cohort, tmp_path, address, events, readable):
    table = cohort(6)
    (tmp_path / "in" / "i003.nii.gz").unlink()
    report = run_batch(read_table(table), tmp_path / "out", scheduler=address)
    assert report.summary == "5 done, 1 failed of 6 images"
    assert os.getpid() not in {pid for _, pid, _, _ in events(tmp_path / "out")}
    for outcome in report:
        if outcome.status == "done":
            readable(outcome.labels)
    assert not list((tmp_path / "out" / ".scribseg").glob("seen-*"))


def test_an_address_without_a_scheduler(cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "TIMEOUT", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(InputError, match=r"no scheduler answers at .*; an address such as tcp://"):
            run_batch(read_table(cohort(1)), tmp_path / "out", scheduler=address)


def test_a_worker_that_cannot_do_the_work_is_reported_before_it(cohort, tmp_path, address, monkeypatch):
    package = importlib.import_module("napari_scribseg")
    with monkeypatch.context() as patch:
        patch.setattr(package, "__version__", "99.0", raising=False)
        with pytest.raises(InputError, match=r"the worker tcp://.* has napari-scribseg .*; 99\.0 is expected, as here"):
            run_batch(read_table(cohort(1)), tmp_path / "out", scheduler=address)

    def elsewhere(token):  # inside a function: a worker cannot import this module
        """As a machine answers that does not share the folder."""
        from napari_scribseg import __version__

        return __version__, False

    with monkeypatch.context() as patch:
        patch.setattr(cluster, "probe", elsewhere)
        with pytest.raises(InputError, match=r"the worker tcp://.* does not see .*; a folder that all machines share"):
            run_batch(read_table(cohort(1)), tmp_path / "out", scheduler=address)


def _written(path):
    """Whether a file is there and not empty: the scheduler opens it before it writes."""
    return path.is_file() and path.stat().st_size > 0


@pytest.mark.slow
def test_a_scheduler_that_goes_away_leaves_what_is_done(cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "TIMEOUT", 5)
    where = tmp_path / "scheduler.json"
    programs = (
        ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(where)],
        ["worker", "--scheduler-file", str(where), "--nthreads", "1", "--no-dashboard"],
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{name}", *arguments],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, *arguments in programs
    ]
    try:
        wait_for(lambda: _written(where) or running[0].poll() is not None, "the scheduler's file")
        address = json.loads(where.read_text())["address"]
        table = cohort(60)
        with pytest.raises(cluster.SchedulerLost, match="finished images are kept"):
            run_batch(
                read_table(table),
                tmp_path / "out",
                scheduler=address,
                progress=lambda outcome, done, total: running[0].kill() if done == 10 else None,
            )
    finally:
        for process in running:
            process.kill()
            process.wait()
    rows = (tmp_path / "out" / "report.csv").read_text()
    assert 10 <= rows.count(",done,") < 60
    assert rows.count(",done,") + rows.count(",left,") == 60
    assert run_batch(read_table(table), tmp_path / "out", workers=0).count("skipped") >= rows.count(",done,")


def test_processes_have_their_threads_and_the_environment_here_is_as_before(monkeypatch):
    monkeypatch.setenv("MKL_NUM_THREADS", "7")  # what the user has set is left alone
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with cluster.local_client(1, 1) as client:
        found = [client.submit(os.getenv, name).result() for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")]
    assert found == ["1", "7"]
    assert os.environ["MKL_NUM_THREADS"] == "7"
    assert "OMP_NUM_THREADS" not in os.environ
