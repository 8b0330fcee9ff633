"""A newcomer's first minutes: napari's own command, mouse and keys, twelve actions, a saved file that is right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROBOT = Path(__file__).parents[3] / "benchmarks" / "newcomer.py"
SIZE = ("1366", "768")  # pixels, of the smallest screen


def at_work(task, *options):
    """Let the robot do a task in a process of its own; returns what it reports."""
    command = [sys.executable, str(ROBOT), task, "--size", *SIZE, *map(str, options)]
    environment = {name: value for name, value in os.environ.items() if name != "QT_QPA_PLATFORM"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check(report, organs):
    assert report["actions"] <= 12
    assert report["file"].endswith(".seg.nrrd")
    assert set(report["dice"]) == organs
    assert min(report["dice"].values()) >= 0.9, report


@pytest.mark.gui
def test_from_napari_to_saved_labels_of_the_mr_sample():
    check(at_work("mr-head"), {"brain", "ventricles"})


@pytest.mark.gui
def test_from_napari_to_saved_labels_of_a_ct(shared_data):
    check(at_work("ct", "--data", shared_data), {"liver", "spleen"})
