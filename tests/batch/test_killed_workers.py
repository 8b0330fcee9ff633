"""Processes that are killed in the middle of a cohort: nothing is lost, nothing that was finished is done again."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from napari_scribseg.batch import read_table, run_batch
from napari_scribseg.numerics.warm import warm_up

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill so"),
]


def test_a_killed_worker_loses_nothing_and_repeats_nothing_finished(cohort, tmp_path, events, readable, temporaries):
    warm_up()  # the compiled kernels are on the disk for the workers then
    out, count, killed = tmp_path / "out", 200, []

    def kill_one(outcome, done, total):
        if done >= 80 and not killed:
            newest = events(out)[-1]
            os.kill(newest[1], signal.SIGKILL)
            killed.append((time.time(), newest[1]))

    report = run_batch(read_table(cohort(count)), out, workers=2, progress=kill_one)

    assert len(killed) == 1
    assert report.summary == "200 done of 200 images"
    log = events(out)
    processes = {pid for _, pid, _, _ in log}
    assert len(processes) == 3  # two, and the one in the place of the killed one
    assert os.getpid() not in processes
    done = Counter(image for _, _, event, image in log if event == "done")
    assert set(done.values()) == {1}
    assert len(done) >= count - 1  # at most the killed one did not come to log what it had done
    started = Counter(image for _, _, event, image in log if event == "started")
    finished_before = {image for when, _, event, image in log if event == "done" and when < killed[0][0]}
    assert len(finished_before) >= 80
    assert all(started[image] == 1 for image in finished_before)
    assert sum(started.values()) <= count + 1  # none but the image that the killed worker had in its hands
    assert not temporaries(out)
    for outcome in report:
        readable(outcome.labels)
    assert run_batch(read_table(tmp_path / "cohort.csv"), out, workers=2).summary == "200 skipped of 200 images"


COMMAND = """
    import sys
    from napari_scribseg import cli
    from napari_scribseg.batch.command import batch

    if __name__ == "__main__":
        if "batch" not in [command.callback.__name__ for command in cli.app.registered_commands]:
            cli.app.command()(batch)
        cli.main()
"""


def start_command(tmp_path, *arguments):
    """The command in a process group of its own, as a terminal starts it."""
    lines = (
        "import sys",
        "from napari_scribseg.batch import read_table, run_batch",
        "run_batch(read_table(sys.argv[1]), sys.argv[2], workers=1)",
    )
    (tmp_path / "script.py").write_text("\n".join(lines))
    command = [sys.executable, str(tmp_path / "script.py"), str(cohort(1)), str(tmp_path / "out")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert told.returncode == 1
    assert "a script that starts some needs the line `if __name__ == '__main__':`" in told.stderr
