"""A workspace of two pictures of discs."""

import pytest

pytest.importorskip("higra")

from disc_pictures import discs

from napari_scribseg.explore import Workspace


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(cache=tmp_path / "features")
    made.add_images([discs(0)[0], discs(1)[0]])
    made.cut(regions=5)
    return made
