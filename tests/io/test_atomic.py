"""What killed processes leave behind is removed, and nothing else."""

import os
import platform
import subprocess
import sys
import time

import pytest

from napari_scribseg.io.atomic import clean_up, replacing, temporary_name, write_files


@pytest.fixture
def dead(monkeypatch):
    """Names as a process made them that is no more."""
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)

    def name(target, kind="tmp", host=None):
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: int(child.stdout))
            if host is not None:
                patch.setattr(platform, "node", lambda: host)
            return temporary_name(target, kind)

    return name


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("write", ["replacing", "write_files"])
def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path, dead, write):
    for kind in ("tmp", "old"):
        dead(tmp_path / "a.mhd", kind).write_bytes(b"half")
        dead(tmp_path / "another", kind).write_bytes(b"half")
    (dead(tmp_path / "step-1") / "inside").mkdir(parents=True)
    if write == "replacing":
        with replacing(tmp_path / "a.mhd") as file:
            file.write(b"whole")
    else:
        write_files({tmp_path / "a.mhd": lambda file: file.write(b"whole")})
    assert names(tmp_path) == ["a.mhd"]
    assert (tmp_path / "a.mhd").read_bytes() == b"whole"


def test_what_lives_and_what_is_not_ours_stays(tmp_path, dead):
    mine = temporary_name(tmp_path / "a")
    elsewhere = dead(tmp_path / "b", host="another_computer")
    others = [tmp_path / name for name in (".a.tmp", ".a.0123456789ab.tmp", "a.host-1-0123456789ab.tmp", ".hidden")]
    for path in (mine, elsewhere, *others):
        path.write_bytes(b"")
    clean_up(tmp_path)
    assert all(path.exists() for path in (mine, elsewhere, *others))
    old = time.time() - 2 * 86_400
    os.utime(elsewhere, (old, old))
    next_one = (
        f"from pathlib import Path\nfrom napari_scribseg.io.atomic import clean_up\nclean_up(Path({str(tmp_path)!r}))"
    )
    subprocess.run([sys.executable, "-c", next_one], check=True)
    assert not elsewhere.exists()
    assert all(path.exists() for path in (mine, *others))


def test_a_process_killed_amid_a_file_leaves_what_the_next_one_removes(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from napari_scribseg.io.atomic import replacing
with replacing(Path({str(tmp_path / "a")!r})) as file:
    file.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = names(tmp_path)
    assert left.endswith(".tmp")
    with replacing(tmp_path / "a") as file:
        file.write(b"whole")
    assert names(tmp_path) == ["a"]
