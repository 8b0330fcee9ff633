"""Small volumes in files, and projects of them."""

from __future__ import annotations

import pytest
from learn_cases import write_volume

from napari_scribseg.learn import Project


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
