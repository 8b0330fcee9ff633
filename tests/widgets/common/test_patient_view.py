import itertools

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scribseg.core import Geometry
from napari_scribseg.core.anatomy import axis_letters
from napari_scribseg.io.layer_geometry import display_placement
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.patient_axes import patient_axes
from napari_scribseg.widgets.common.patient_view import PatientView

RAS = np.eye(3)[:, ::-1]  # columns: the head, the front, the right
ORIENTATIONS = [
    np.eye(3)[:, list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
EDGES = {
    "axial": ("A", "P", "R", "L"),
    "coronal": ("S", "I", "R", "L"),
    "sagittal": ("S", "I", "A", "P"),
}


def geometry(directions=RAS, shape=(4, 5, 6)):
    sizes = (3.0, 1.0, 0.5)
    affine = np.eye(4)
    affine[:3, :3] = directions * sizes
    affine[:3, 3] = 30, -20, 10
    return Geometry(shape, sizes[-len(shape) :], affine, "millimeter")


def view_of(grid, ndim=3):
    viewer = ViewerModel()
    left = {"scribseg": {"geometry": grid}}
    viewer.add_image(np.zeros(grid.shape), metadata=left, **display_placement(grid))
    view = PatientView(viewer)
    view.follow(LayerSource(viewer.layers[0]))
    return viewer, view


def letters(viewer):
    overlays = viewer.canvas.overlays
    names = [f"scribseg_{edge}" for edge in ("top", "bottom", "left", "right")]
    return tuple(overlays[name].text if name in overlays else "" for name in names)


@pytest.mark.parametrize("directions", ORIENTATIONS)
def test_radiological_display_of_every_orientation(directions):
    viewer, view = view_of(geometry(directions))
    view.letters = view.radiological = True
    for text, axis in view.slice_axes():
        view.show_slices(axis)
        assert view.slice_axis == axis
        assert letters(viewer) == EDGES[text.split(" ")[0]]


@pytest.mark.parametrize("directions", ORIENTATIONS)
def test_a_3d_view_is_not_mirrored(directions):
    viewer, view = view_of(geometry(directions))
    view.radiological = True
    viewer.dims.ndisplay = 3
    camera = view.camera
    axes = patient_axes(LayerSource(viewer.layers[0]), 3)

    def in_patient(scene):
        """A direction along the three displayed axes, as right, front and head."""
        found = np.zeros(3)
        for axis, part in zip(viewer.dims.displayed, scene, strict=True):
            found[axes[axis].axis] += axes[axis].sign * part
        return found

    right = in_patient((0, 0, 1 if str(camera.orientation[2]) == "right" else -1))
    seen_right = np.cross(in_patient(camera.view_direction), in_patient(camera.up_direction))
    np.testing.assert_allclose(seen_right, right, atol=1e-6)


def test_letters_without_radiological_display_are_those_of_the_array():
    grid = geometry(ORIENTATIONS[13])
    viewer, view = view_of(grid)
    view.letters = True
    ends = axis_letters(grid)
    assert letters(viewer) == (*ends[1], *ends[2])
    view.show_slices(1)
    assert letters(viewer) == (*ends[0], *ends[2])
    viewer.dims.ndisplay = 3
    assert letters(viewer) == ("",) * 4
    viewer.dims.ndisplay = 2
    view.letters = False
    assert letters(viewer) == ("",) * 4


def test_the_layer_stays_as_it_is_and_the_camera_comes_back():
    viewer, view = view_of(geometry(ORIENTATIONS[20]))
    layer, before = viewer.layers[0], viewer.layers[0].affine.affine_matrix.copy()
    placed = LayerSource(layer).geometry()
    orientation, order = view.camera.orientation, viewer.dims.order
    view.radiological = True
    assert view.camera.orientation != orientation
    np.testing.assert_array_equal(layer.affine.affine_matrix, before)
    assert LayerSource(layer).geometry() is placed
    view.close()
    assert (view.camera.orientation, viewer.dims.order) == (orientation, order)


def test_the_order_that_the_user_chose_is_kept():
    viewer, view = view_of(geometry())
    viewer.dims.order = (0, 2, 1)
    view.radiological = True
    assert viewer.dims.order == (0, 1, 2)
    view.radiological = False
    assert viewer.dims.order == (0, 2, 1)


@pytest.mark.parametrize(
    "grid",
    [Geometry((4, 5, 6), (3.0, 1.0, 1.0), None, "millimeter"), Geometry((5, 6), (1.0, 1.0))],
    ids=["no directions", "2D"],
)
def test_an_image_of_unknown_directions_is_left_alone(grid):
    viewer, view = view_of(grid)
    orientation = view.camera.orientation
    view.letters = view.radiological = True
    assert not view.is_placed
    assert letters(viewer) == ("",) * 4
    assert view.camera.orientation == orientation
    assert [text for text, _ in view.slice_axes()] == (
        ["z (axis 0)", "y (axis 1)", "x (axis 2)"] if len(grid.shape) == 3 else []
    )


def test_a_2d_image_that_knows_its_directions_has_letters():
    viewer, view = view_of(geometry(ORIENTATIONS[0], (5, 6)))
    view.letters = True
    ends = axis_letters(geometry(ORIENTATIONS[0], (5, 6)))
    assert letters(viewer) == (*ends[0], *ends[1])


def test_channels_and_time_are_before_the_axes_of_space():
    viewer = ViewerModel()
    grid = geometry()
    placed = {"scale": (1.0, *grid.spacing), "axis_labels": ("channel", "z", "y", "x")}
    viewer.add_image(np.zeros((2, *grid.shape)), metadata={"scribseg": {"geometry": grid}}, **placed)
    view = PatientView(viewer)
    view.follow(LayerSource(viewer.layers[0], channel_axis=0))
    view.letters = view.radiological = True
    view.show_slices(2)
    assert viewer.dims.order == (0, 3, 1, 2)
    assert letters(viewer) == EDGES["sagittal"]
    series = Geometry((2, *grid.shape), (1.0, *grid.spacing), grid.affine, "millimeter")
    viewer, view = view_of(series)
    assert view.slice_axes() == [("axial (axis 1)", 1), ("coronal (axis 2)", 2), ("sagittal (axis 3)", 3)]
    assert view.slice_axis == 1
    view.show_slices(3)
    assert viewer.dims.order == (0, 3, 1, 2)


def test_a_layer_that_another_reader_mirrored():
    """As napari-nifti does: negative scales, and nibabel's affine in the metadata."""
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    viewer = ViewerModel()
    viewer.add_image(
        np.zeros((4, 5, 6)), scale=(-3, -2, -2), translate=(9, 8, 10), metadata={"affine": affine, "header": None}
    )
    view = PatientView(viewer)
    view.follow(LayerSource(viewer.layers[0]))
    view.letters = True
    assert letters(viewer) == ("P", "A", "L", "R")
    view.radiological = True
    assert letters(viewer) == EDGES["axial"]
