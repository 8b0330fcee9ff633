"""What every test may use."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background job: its children would ignore Ctrl+C too
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data for development; the test is skipped where it is missing."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SCRIBSEG_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no development data in {folder} (SCRIBSEG_DATA names another folder)")
    return folder


@pytest.fixture
def installed(tmp_path):
    """Runs code in a process where a package with the module ``others`` and these entry points is installed.

    The output is returned, and the runtime warnings, sorted.
    """

    def run(entry_points: str, others: str, code: str) -> tuple[str, list[str]]:
        site = tmp_path / "site"
        (site / "others-1.0.dist-info").mkdir(parents=True)
        (site / "others-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
        (site / "others-1.0.dist-info" / "entry_points.txt").write_text(entry_points)
        (site / "others.py").write_text(others)
        path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        parts = [line.partition("RuntimeWarning: ") for line in done.stderr.splitlines()]
        return done.stdout, sorted(message for _, mark, message in parts if mark)

    return run


@pytest.fixture
def scribseg(monkeypatch, capsys):
    """Run the command in this process; returns its exit status, standard output and standard error."""
    from napari_scribseg import cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["scribseg", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run
