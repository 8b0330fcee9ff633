"""Measures of labels against SimpleITK's label statistics and against NumPy on random volumes."""

import numpy as np
import pytest
import SimpleITK as sitk

from napari_scribseg.core import Cancelled, Geometry, InputError
from napari_scribseg.numerics.measure import measure_labels

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def rotation(rng):
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else q * (1, 1, -1)


def case(seed, shape=(9, 11, 13), n_classes=4):
    """Random blobs that touch each other and the border, an image, and an oblique grid of unequal spacing."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, n_classes + 1, [(n + 2) // 3 for n in shape])
    labels = coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)[tuple(slice(n) for n in shape)]
    labels[rng.random(shape) < 0.15] = 0
    labels[labels == n_classes] = 300
    image = rng.normal(50, 20, shape).astype(np.float32)
    sizes = rng.uniform(0.4, 3.5, 3)
    affine = np.eye(4)
    affine[:3, :3] = rotation(rng)[:, ::-1] * sizes
    affine[:3, 3] = rng.uniform(-90, 90, 3)
    return labels.astype(np.uint16), image, Geometry(shape, tuple(sizes), affine, "millimeter")


def itk(array, geometry):
    image = sitk.GetImageFromArray(array)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.affine[:, [2, 1, 0, 3]]
    image.SetSpacing([float(s) for s in geometry.spacing[::-1]])
    image.SetDirection((lps[:3, :3] / geometry.spacing[::-1]).ravel())
    image.SetOrigin(lps[:3, 3])
    return image


@pytest.mark.parametrize("seed", range(6))
def test_volumes_against_itk(seed):
    labels, image, geometry = case(seed)
    shape, intensity = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelIntensityStatisticsImageFilter()
    shape.ComputePerimeterOn()
    shape.Execute(itk(labels, geometry))
    intensity.Execute(itk(labels, geometry), itk(image, geometry))
    found = measure_labels(labels, geometry, image)
    assert [m.id for m in found] == sorted(shape.GetLabels())
    for m in found:
        assert m.voxels == shape.GetNumberOfPixels(m.id)
        np.testing.assert_allclose(m.volume_ml, shape.GetPhysicalSize(m.id) / 1000, **CLOSE)
        np.testing.assert_allclose(m.surface_mm2, shape.GetPerimeter(m.id), **CLOSE)
        np.testing.assert_allclose(m.centre_mm, np.array(shape.GetCentroid(m.id)) * (-1, -1, 1), **CLOSE)
        np.testing.assert_allclose(m.mean, intensity.GetMean(m.id), **CLOSE)
        np.testing.assert_allclose(m.sd, intensity.GetStandardDeviation(m.id), **CLOSE)
        values = image[labels == m.id]
        np.testing.assert_allclose((m.p5, m.median, m.p95), np.percentile(values, (5, 50, 95)), **CLOSE)
        np.testing.assert_allclose(m.centre_voxel, np.argwhere(labels == m.id).mean(0), **CLOSE)
        assert (m.time, m.slice, m.area_mm2, m.perimeter_mm) == (None, None, None, None)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_against_itk(axis):
    labels, image, geometry = case(7)
    rows = [m for m in measure_labels(labels, geometry, image, axis=axis) if m.slice is not None]
    assert {(m.id, m.slice) for m in rows} == {
        (int(i), n) for n, part in enumerate(np.moveaxis(labels, axis, 0)) for i in np.unique(part) if i
    }
    spacing = [s for a, s in enumerate(geometry.spacing) if a != axis]
    for n, (part, values) in enumerate(zip(np.moveaxis(labels, axis, 0), np.moveaxis(image, axis, 0), strict=True)):
        flat = sitk.GetImageFromArray(np.ascontiguousarray(part))
        flat.SetSpacing(spacing[::-1])
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.ComputePerimeterOn()
        shape.Execute(flat)
        for m in (m for m in rows if m.slice == n):
            assert m.voxels == shape.GetNumberOfPixels(m.id)
            np.testing.assert_allclose(m.area_mm2, shape.GetPhysicalSize(m.id), **CLOSE)
            np.testing.assert_allclose(m.perimeter_mm, shape.GetPerimeter(m.id), **CLOSE)
            np.testing.assert_allclose(m.volume_ml, m.voxels * np.prod(geometry.spacing) / 1000, **CLOSE)
            np.testing.assert_allclose(m.mean, values[part == m.id].mean(dtype=float), **CLOSE)
            assert m.centre_voxel[axis] == n
            np.testing.assert_allclose(m.centre_mm, (geometry.affine @ [*m.centre_voxel, 1])[:3], **CLOSE)
            assert m.surface_mm2 is None


def test_whole_classes_come_before_their_slices_and_slices_add_up():
    labels, image, geometry = case(3)
    rows = measure_labels(labels, geometry, image, axis=1)
    for identity in {m.id for m in rows}:
        own = [m for m in rows if m.id == identity]
        assert [m.slice is None for m in own] == [True] + [False] * (len(own) - 1)
        assert own[0].voxels == sum(m.voxels for m in own[1:])
        assert own[0].volume_ml == pytest.approx(sum(m.volume_ml for m in own[1:]))


def test_every_time_of_a_series():
    parts = [case(seed) for seed in (1, 2)]
    labels, image = (np.stack([part[n] for part in parts]) for n in (0, 1))
    grid = parts[0][2]
    series = Geometry(labels.shape, (2.0, *grid.spacing), grid.affine, "millimeter")
    found = measure_labels(labels, series, image, axis="sagittal")
    for time in (0, 1):
        alone = measure_labels(labels[time], grid, image[time], axis="sagittal")
        own = [m for m in found if m.time == time]
        assert len(own) == len(alone)
        for first, second in zip(own, alone, strict=True):
            assert (first.id, first.slice, first.voxels, first.mean) == (
                second.id, second.slice, second.voxels, second.mean,
            )  # fmt: skip
            assert first.centre_mm == second.centre_mm


def test_a_2d_image_has_an_area_and_no_volume():
    labels = np.zeros((6, 8), np.uint8)
    labels[1:5, 2:6] = 3
    (m,) = measure_labels(labels, Geometry((6, 8), (2.0, 0.5), unit="millimeter"), labels)
    assert (m.voxels, m.area_mm2, m.volume_ml, m.surface_mm2) == (16, 16.0, None, None)
    assert m.centre_voxel == (2.5, 3.5)
    assert m.centre_mm is None
    flat = sitk.GetImageFromArray(labels)
    flat.SetSpacing((0.5, 2.0))
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputePerimeterOn()
    shape.Execute(flat)
    assert m.perimeter_mm == pytest.approx(shape.GetPerimeter(3))


def test_a_sheared_grid_has_the_volume_of_its_parallelepiped():
    labels = np.ones((4, 5, 6), np.uint8)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0.6, 1, 0], [2, 0, 0]])
    spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0))
    (m,) = measure_labels(labels, Geometry(labels.shape, spacing, affine, "millimeter"))
    assert m.volume_ml == pytest.approx(120 * 2 / 1000)


def test_without_a_size_or_an_image_there_are_voxels_only():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1:3] = 2
    (m,) = measure_labels(labels, Geometry(labels.shape, (1.0,) * 3))
    assert (m.voxels, m.centre_voxel) == (60, (1.5, 2.0, 2.5))
    assert (m.volume_ml, m.surface_mm2, m.mean, m.p5, m.centre_mm) == (None,) * 5


def test_missing_values_are_left_out_and_one_voxel_has_no_deviation():
    labels = np.array([[[1, 1, 2], [3, 3, 0]]], np.uint8)
    image = np.array([[[4.0, np.nan, 7.0], [np.nan, np.inf, 1.0]]], np.float32)
    one, two, three = measure_labels(labels, Geometry(labels.shape, (1.0,) * 3), image)
    assert (one.voxels, one.mean, one.sd) == (2, 4.0, None)
    assert (two.mean, two.sd) == (7.0, None)
    assert (three.voxels, three.mean, three.sd) == (2, None, None)


def test_channels_are_measured_by_their_mean():
    labels, image, geometry = case(5)
    channels = np.stack([image, 3 * image], axis=-1)
    for m, expected in zip(measure_labels(labels, geometry, channels), measure_labels(labels, geometry, 2 * image),
                           strict=True):  # fmt: skip
        assert m.mean == pytest.approx(expected.mean)


def test_classes_without_a_voxel_are_rows_too():
    labels, _, geometry = case(2)
    found = {m.id: m for m in measure_labels(labels, geometry, ids=(1, 77))}
    assert set(found) == {1, 2, 3, 77, 300}
    assert found[77].voxels == 0
    assert found[77].volume_ml == 0
    assert found[77].centre_voxel is None


def test_what_does_not_fit():
    labels, image, geometry = case(0)
    with pytest.raises(InputError, match=r"the image has shape \(9, 11, 12\); the labels have \(9, 11, 13\)"):
        measure_labels(labels, geometry, image[..., :-1])
    with pytest.raises(InputError, match="axis 3 was requested"):
        measure_labels(labels, geometry, axis=3)
    with pytest.raises(InputError, match="whole numbers"):
        measure_labels(image, geometry)
    with pytest.raises(InputError, match="the geometry"):
        measure_labels(labels[1:], geometry)


def test_progress_grows_and_stops_the_work():
    labels, image, geometry = case(4)
    seen = []

    def report(fraction, preview=None):
        seen.append(fraction)
        if len(seen) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        measure_labels(labels, geometry, image, report=report)
    assert seen == sorted(seen)
    assert len(seen) == 3
    assert max(seen) <= 1
