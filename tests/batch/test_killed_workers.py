"""Processes that are killed in the middle of a cohort: nothing is lost, nothing that was finished is done again."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest
from waiting import wait_for

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
        if done >= 40 and not killed:
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
    assert len(finished_before) >= 40
    assert all(started[image] == 1 for image in finished_before)
    assert sum(started.values()) <= count + 1  # none but the image that the killed worker had in its hands
    assert not temporaries(out)
    for outcome in report:
        readable(outcome.labels)
    assert run_batch(read_table(tmp_path / "cohort.csv"), out, workers=2).summary == "200 skipped of 200 images"


COMMAND = """
    import os, threading
    from contextlib import contextmanager
    from napari_scribseg import cli
    from napari_scribseg.batch import command

    @contextmanager
    def stop_at_20(*_words):  # a busy machine may come to ask for the end after the last image
        yield lambda done, _total, _note: threading.Event().wait() if done == 20 else None

    if __name__ == "__main__":
        if os.environ.get("STOP"):
            command.show_progress = stop_at_20
        cli.main()
"""


def start_command(tmp_path, *arguments, stop=False):
    """The command in a process group of its own, as in a terminal; it may stop at 20 images until it is ended."""
    script = tmp_path / "scribseg.py"
    script.write_text(textwrap.dedent(COMMAND))
    command = [sys.executable, str(script), "batch", *map(str, arguments)]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "STOP": "yes"} if stop else None
    return subprocess.Popen(command, start_new_session=True, env=environment, **pipes)


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def n_done(events, out):
    return sum(event == "done" for _, _, event, _ in events(out))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc whether processes ended")
@pytest.mark.parametrize("end", ["killed", "interrupted"])
def test_a_run_that_ends_early_goes_on_where_it_stopped(cohort, tmp_path, events, readable, temporaries, end):
    warm_up()
    out, count = tmp_path / "out", 80
    table = cohort(count)
    process = start_command(tmp_path, table, "--out", out, "--workers", 2, stop=True)
    wait_for(lambda: n_done(events, out) >= 20, "20 images")
    if end == "killed":
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    else:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal: the workers get it, too
        _, reported = process.communicate(timeout=300)
        assert process.returncode == 130, reported
        assert "finished images are kept. Run the command again to resume" in reported
        assert "Traceback" not in reported
        assert len((out / "report.csv").read_text().splitlines()) == 1 + count
    workers = {pid for _, pid, _, _ in events(out)}
    wait_for(lambda: not any(map(alive, workers)), "the end of the workers")
    first = Counter(image for _, _, event, image in events(out) if event == "done")
    assert 20 <= len(first) < count

    second = start_command(tmp_path, table, "--out", out, "--workers", 2)
    printed, reported = second.communicate(timeout=300)

    assert second.returncode == 0, reported
    assert printed.strip() == str(out / "report.md")
    done = Counter(image for _, _, event, image in events(out) if event == "done")
    assert len(done) >= count - 2
    assert set(done.values()) == {1}
    started = Counter(image for _, _, event, image in events(out) if event == "started")
    assert all(started[image] == 1 for image in first)
    assert f"{len(first)} skipped" in (out / "report.md").read_text() or end == "killed"
    assert not temporaries(out)
    labels = sorted(out.glob("in/*_labels.nii.gz"))
    assert len(labels) == count
    for path in labels:
        readable(path)


def test_an_image_that_takes_its_worker_along_fails_alone(cohort, tmp_path, events, readable):
    table = cohort(12)
    rng = np.random.default_rng(0)
    strokes = np.zeros((400, 400, 12), np.uint8)
    strokes[20, 20:380], strokes[380, 20:380] = 255, 3
    for name, array in (("large", rng.integers(0, 99, strokes.shape).astype(np.int16)), ("large_s", strokes)):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii")
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:3], "large.nii,large_s.nii,255", *lines[3:]]) + "\n")
    warm_up()
    out, killed, ended = tmp_path / "out", [], threading.Event()

    def kill_who_has_it():
        while not ended.wait(0.01):
            for _, pid, event, image in events(out):
                if event == "started" and image.startswith("large") and pid not in killed:
                    killed.append(pid)
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_who_has_it)
    killer.start()
    try:
        report = run_batch(read_table(table), out, workers=2)
    finally:
        ended.set()
        killer.join()

    assert report.summary == "12 done, 1 failed of 13 images"
    assert len(killed) == 3
    (failure,) = report.failures
    assert failure.id == "large_labels.nii.gz"
    assert failure.error.startswith("the worker process was killed 3 times")
    for outcome in report:
        if outcome.status == "done":
            readable(outcome.labels)
    assert not (out / "large_labels.nii.gz").exists()
    again = run_batch(read_table(table), out, workers=2)  # nobody kills now
    assert again.summary == "1 done, 12 skipped of 13 images"


def test_a_script_without_a_main_block_gets_a_message(cohort, tmp_path):
    lines = (
        "import sys",
        "from napari_scribseg.batch import read_table, run_batch",
        "run_batch(read_table(sys.argv[1]), sys.argv[2], workers=1)",
    )
    (tmp_path / "script.py").write_text("\n".join(lines))
    command = [sys.executable, str(tmp_path / "script.py"), str(cohort(1)), str(tmp_path / "out")]
    reported = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert reported.returncode == 1
    assert "a script that starts some needs the line `if __name__ == '__main__':`" in reported.stderr
