"""Every reader ends in data or in one message, whatever the file: nearly valid files of every format, field by field.

``SCRIBSEG_FUZZ_CASES`` says how many for each format; ``tox run -e fuzz`` tries thousands. With ``SCRIBSEG_FUZZ_KEEP``
the files that a reader stumbled over are kept in that folder.
"""

import hashlib
import os
import sys
import warnings
from pathlib import Path

import pytest
from fuzz_formats import FORMATS
from fuzz_mutations import mutants
from fuzz_reader import Reader
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the bounds are those of Linux")

CASES = int(os.environ.get("SCRIBSEG_FUZZ_CASES", "250"))
KEEP = os.environ.get("SCRIBSEG_FUZZ_KEEP")


@pytest.fixture(scope="module")
def reader():
    child = Reader()
    yield child
    child.close()


@pytest.mark.parametrize("name", FORMATS)
def test_every_reader_ends_in_data_or_one_message(name, tmp_path, reader):
    form = FORMATS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        valid = {path: path.read_bytes() for path in form.samples(tmp_path)}
    parts = {path: form.layout(content) for path, content in valid.items()}
    for path in valid:
        assert reader.read(name, path, bounded=False).kind == "data", f"{path.name} is valid"
    faults: dict[str, str] = {}

    @settings(
        max_examples=CASES, derandomize=CASES <= 250, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def check(data):
        path = data.draw(st.sampled_from(list(valid)))
        content = data.draw(mutants(valid[path], parts[path]))
        path.write_bytes(content)
        outcome = reader.read(name, path)
        path.write_bytes(valid[path])
        if outcome.is_fault:
            kept = _keep(name, path, content)
            faults.setdefault(f"{outcome.kind} {outcome.words[:200]}", f"{path.name} {content[:300]!r} {kept}")

    check()
    assert not faults, "\n\n".join(f"{fault}\n    {content}" for fault, content in faults.items())


def _keep(name: str, path: Path, content: bytes) -> str:
    if KEEP is None:
        return ""
    folder = Path(KEEP) / name / hashlib.sha256(content).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    for other in path.parent.iterdir():
        if other.is_file():
            (folder / other.name).write_bytes(other.read_bytes())
    (folder / path.name).write_bytes(content)
    return str(folder)
