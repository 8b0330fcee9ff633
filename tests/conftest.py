"""What every test may use."""

import os
import signal
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
