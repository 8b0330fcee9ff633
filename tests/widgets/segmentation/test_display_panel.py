import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scribseg.core import Geometry
from napari_scribseg.core.windows import HOUNSFIELD_WINDOWS
from napari_scribseg.io import napari_hooks
from napari_scribseg.io.layer_geometry import display_placement
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.segmentation.display_panel import DisplayPanel

GEOMETRY = Geometry((6, 40, 50), (3.0, 1.0, 1.0), np.diag([3.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]], "millimeter")


def ct():
    """Air, and a body of soft tissue with bone in it."""
    values = np.random.default_rng(0).normal(-1000, 10, GEOMETRY.shape)
    values[:, 5:35, 5:45] = np.random.default_rng(1).normal(40, 20, (6, 30, 40))
    values[:, 15:20, 20:25] = 900
    return values.astype(np.int16)


def texts(combo):
    return [combo.itemText(i) for i in range(combo.count())]


def choose(combo, text):
    """As a person does: the signal ``activated`` is for people's choices only."""
    index = next(i for i, entry in enumerate(texts(combo)) if entry.startswith(text))
    combo.setCurrentIndex(index)
    combo.activated.emit(index)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def panel(viewer, qtbot):
    panel = DisplayPanel(viewer)
    qtbot.addWidget(panel)
    yield panel
    panel.close_events()


def add(viewer, panel, array=None, geometry=GEOMETRY, **options):
    left = {"scribseg": {"geometry": geometry}}
    layer = viewer.add_image(ct() if array is None else array, metadata=left, **display_placement(geometry), **options)
    panel.follow(LayerSource(layer))
    return layer


def test_windows_of_a_ct_are_offered_and_shown(viewer, panel):
    layer = add(viewer, panel)
    assert panel.contrast_combo.currentText() == "as set by hand"
    choose(panel.contrast_combo, "lung")
    assert tuple(layer.contrast_limits) == (-1350, 150)
    assert panel.contrast_combo.currentText() == "lung: -1350 to 150"
    assert "as set by hand" not in texts(panel.contrast_combo)
    assert [t.split(":")[0] for t in texts(panel.contrast_combo)] == [
        *(w.name for w in HOUNSFIELD_WINDOWS),
        "automatic",
    ]
    layer.contrast_limits = (0, 100)
    assert panel.contrast_combo.currentText() == "as set by hand"


def test_a_layer_of_our_reader_is_in_its_window_and_its_slider_has_room(viewer, panel, shared_data):
    path = str(shared_data / "totalsegmentator" / "example_ct.nii.gz")
    ((array, options, _),) = napari_hooks.get_reader(path)(path)
    layer = viewer.add_image(array, **options)
    panel.follow(LayerSource(layer))
    assert panel.contrast_combo.currentText() == "soft tissue: -160 to 240"
    assert tuple(layer.contrast_limits) == (-160, 240)
    low, high = layer.contrast_limits_range
    assert low <= -1350
    assert high >= 1300


@pytest.mark.parametrize("array", [np.zeros((9, 9, 3), np.uint8), np.zeros((6, 7), np.uint8)], ids=["rgb", "empty"])
def test_what_has_no_windows_cannot_be_chosen(viewer, panel, array):
    panel.follow(LayerSource(viewer.add_image(array, rgb=array.ndim == 3)))
    assert not panel.contrast_combo.isEnabled()
    assert panel.slices_combo.isHidden()
    assert not panel.radiological_box.isEnabled()


def test_slices_are_named_and_follow_the_viewer(viewer, panel):
    add(viewer, panel)
    assert texts(panel.slices_combo) == ["axial (axis 0)", "coronal (axis 1)", "sagittal (axis 2)"]
    choose(panel.slices_combo, "coronal")
    assert viewer.dims.order == (1, 0, 2)
    viewer.dims.order = (2, 0, 1)
    assert panel.slices_combo.currentText() == "sagittal (axis 2)"
    viewer.dims.ndisplay = 3
    assert panel.slices_combo.currentText() == "3D view"
    choose(panel.slices_combo, "axial")
    assert (viewer.dims.ndisplay, viewer.dims.order) == (2, (0, 1, 2))


def test_radiological_display_brings_letters(viewer, panel):
    add(viewer, panel)
    panel.radiological_box.click()
    assert panel.letters_box.isChecked()
    assert viewer.canvas.overlays["scribseg_left"].text == "R"
    assert str(panel.view.camera.orientation[1]) == "up"
    panel.radiological_box.click()
    assert viewer.canvas.overlays["scribseg_left"].text == "L"
    panel.letters_box.click()
    assert "scribseg_left" not in viewer.canvas.overlays


def test_why_an_image_has_no_radiological_display(viewer, panel):
    add(viewer, panel, geometry=Geometry((6, 40, 50), (1.0,) * 3))
    assert not panel.letters_box.isEnabled()
    assert "does not say how it lies in the patient" in panel.radiological_box.toolTip()
    assert texts(panel.slices_combo) == ["z (axis 0)", "y (axis 1)", "x (axis 2)"]


def test_a_patient_is_displayed_as_radiologists_do_when_work_on_it_begins(viewer, panel):
    layer = add(viewer, panel)
    assert not panel.radiological_box.isChecked()
    former = layer.affine.affine_matrix.copy()
    panel.begin()
    assert panel.radiological_box.isChecked()
    assert str(panel.view.camera.orientation[1]) == "up"
    assert viewer.canvas.overlays["scribseg_left"].text == "R"
    assert np.array_equal(layer.affine.affine_matrix, former)


def test_a_user_who_turned_radiological_display_off_has_it_off_for_the_next_image_and_the_next_window(
    viewer, panel, qtbot
):
    add(viewer, panel)
    panel.begin()
    panel.radiological_box.click()
    panel.letters_box.click()
    panel.begin()
    assert not panel.view.radiological
    again = DisplayPanel(viewer)
    qtbot.addWidget(again)
    again.follow(LayerSource(viewer.layers[0]))
    again.begin()
    assert (again.view.radiological, again.view.letters) == (False, False)
    again.close_events()


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry((6, 40, 50), (1.0,) * 3),
        Geometry((6, 40, 50), (0.01,) * 3, np.diag([0.01, 0.01, 0.01, 1.0]), "millimeter"),
    ],
    ids=["no directions", "a specimen"],
)
def test_what_shows_no_patient_stays_as_it_was(viewer, panel, geometry):
    add(viewer, panel, geometry=geometry)
    panel.begin()
    assert not panel.view.radiological
    assert panel.radiological_box.isHidden() == (geometry.affine is None)
