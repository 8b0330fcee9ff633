"""Small volumes in files, projects of them, and a network that has learned."""

from __future__ import annotations

import pytest
from learn_cases import write_volume
from two_discs import CLASSES, QUICK, examples_from

from napari_scribseg.learn import Project, learn


@pytest.fixture
def volumes(tmp_path):
    """Three volumes in a folder."""
    return [write_volume(tmp_path / "images" / f"patient{i}.nii.gz", i) for i in range(3)]


@pytest.fixture
def project(tmp_path, volumes):
    """A project of the three volumes with two classes, by Anna."""
    made = Project.create(tmp_path / "project", ["ball", "rim"], engine="svcd", annotator="anna")
    for path in volumes:
        made.add_image(path)
    return made


@pytest.fixture(scope="session")
def learned():
    """A network that has learned from eight slices; no test changes it."""
    return learn(examples_from(0), CLASSES, settings=QUICK)
