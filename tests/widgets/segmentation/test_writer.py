"""napari's own File > Save of a labels layer without a geometry."""

import napari
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scribseg.core import Geometry
from napari_scribseg.io import read_labels
from napari_scribseg.io.layer_geometry import display_placement
from napari_scribseg.widgets.segmentation.writer import write_labels_layer

AFFINE = np.array([[0.0, 0.1, -1.0, 40], [0.2, 2.0, 0, -70], [3.0, 0.0, 0.1, 12], [0, 0, 0, 1]])


@pytest.mark.parametrize("shape", [(5, 40, 60), (5, 40, 61)])
def test_a_layer_takes_the_geometry_of_an_image_of_its_shape(shape, tmp_path, monkeypatch):
    viewer = ViewerModel()
    geometry = Geometry((5, 40, 60), (3.0, 2.0, 1.0), AFFINE, "millimeter", ("z", "y", "x"))
    placed = display_placement(geometry)
    viewer.add_image(np.zeros((5, 40, 60)), **placed, metadata={"scribseg": {"geometry": geometry}})
    layer = viewer.add_labels(np.ones(shape, np.uint8), **placed)  # as napari's own button makes it: without metadata
    monkeypatch.setattr(napari, "current_viewer", lambda: viewer)
    data, meta, _ = layer.as_layer_data_tuple()
    (path, *_) = write_labels_layer(str(tmp_path / "a.nrrd"), data, meta)
    found = read_labels(path).geometry.affine
    assert np.allclose(found, AFFINE, atol=1e-4) == (shape == (5, 40, 60))
