"""Learning in a process of its own: the same network, ended with its parent, and gone on with after kill -9."""

import contextlib
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from two_discs import CLASSES, examples_from
from waiting import wait_for

from napari_scribseg.core import InputError
from napari_scribseg.learn import LearnSettings, learn, learn_in_subprocess
from napari_scribseg.learn.job_files import read_job, write_job

SHORT = LearnSettings(steps=6, again=4, batch=2, side=32)
LONG = LearnSettings(steps=100_000, batch=2, side=32)


class StopAtError(Exception):
    pass


@pytest.fixture
def one_thread():
    """As many as a process that learns has: with more, sums are rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same(one, other):
    state, others = one.model.state_dict(), other.model.state_dict()
    return all(torch.allclose(state[name].float(), others[name].float(), atol=1e-5) for name in state)


def test_a_job_is_read_as_it_was_written(learned, tmp_path):
    examples = examples_from(0, 3)
    examples[1] = replace(examples[1], accepted=False)
    write_job(tmp_path, examples, CLASSES, learned, "cpu", SHORT)
    job = read_job(tmp_path)
    assert (job.classes, job.device, job.settings) == (CLASSES, "cpu", SHORT)
    assert job.start.checksum == learned.checksum
    for one, other in zip(job.examples, examples, strict=True):
        assert (one.image == other.image).all()
        assert (one.labels == other.labels).all()
        assert (one.case, one.slice_index, one.accepted, one.spacing) == (
            other.case, other.slice_index, other.accepted, other.spacing,
        )  # fmt: skip
    write_job(tmp_path, examples, CLASSES, None, "cpu", SHORT)
    assert read_job(tmp_path).start is None
    (tmp_path / "examples.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(InputError, match="damaged"):
        read_job(tmp_path)


def test_it_learns_the_same_network(one_thread, tmp_path):
    seen = []
    made = learn_in_subprocess(
        examples_from(0, 5), CLASSES, checkpoints=tmp_path, settings=SHORT, report=lambda f, p=None: seen.append(f)
    )
    assert same(made, learn(examples_from(0, 5), CLASSES, settings=SHORT))
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert made.card.agreement is not None


def test_what_the_report_raises_ends_the_process_and_it_goes_on_later(tmp_path):
    def stop(fraction, preview=None):
        if fraction > 0:
            raise StopAtError

    with pytest.raises(StopAtError):
        learn_in_subprocess(examples_from(0, 2), CLASSES, checkpoints=tmp_path, settings=LONG, report=stop)
    (kept,) = (tmp_path / "checkpoints").glob("step-*")
    first = []

    def stop_again(fraction, preview=None):
        if fraction > 0:
            first.append(fraction)
            raise StopAtError

    with pytest.raises(StopAtError):
        learn_in_subprocess(examples_from(0, 2), CLASSES, checkpoints=tmp_path, settings=LONG, report=stop_again)
    assert first[0] >= int(kept.name.removeprefix("step-")) / LONG.steps


def test_nothing_to_learn_from_is_refused(tmp_path):
    empty = [replace(e, labels=0 * e.labels) for e in examples_from(0, 2)]
    with pytest.raises(InputError, match="accept one"):
        learn_in_subprocess(empty, CLASSES, checkpoints=tmp_path)


def test_an_error_of_the_process_is_raised_here(tmp_path):
    with pytest.raises(InputError, match="device 'cuda:99'"):
        learn_in_subprocess(examples_from(0, 2), CLASSES, checkpoints=tmp_path, device="cuda:99")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_ends_with_its_parent(tmp_path):
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(examples_from.__code__.co_filename).parent)!r})
        from two_discs import CLASSES, examples_from
        from napari_scribseg.learn import LearnSettings, learn_in_subprocess
        from pathlib import Path
        report = lambda f, p=None: f > 0 and print("runs", flush=True)
        learn_in_subprocess(examples_from(0, 2), CLASSES, checkpoints=Path({str(tmp_path)!r}), report=report,
            settings=LearnSettings(steps=100_000, batch=2, side=32))
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"runs\n"
    children = wait_for(lambda: _children(parent.pid), "a process that learns")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not any(_is_alive(pid) for pid in children), "the end of the process that learns")
    wait_for(lambda: list((tmp_path / "checkpoints").glob("step-*")), "its last checkpoint")


def _children(pid):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(folder.name))
    return found


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
