"""Every tool gives what a plain scipy reference gives on random label volumes."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.segmentation import watershed

from napari_scribseg.core import Cancelled, InputError
from napari_scribseg.numerics.editing import (
    TOOLS,
    Combine,
    CopySlices,
    FillHoles,
    Grow,
    KeepLargest,
    RemoveSmall,
    Scope,
    Shrink,
    Smooth,
    Split,
    Threshold,
    edit_labels,
    tool_class,
)
from napari_scribseg.numerics.fused.flood import flood

SPACINGS = [0.5, 0.75, 1.0, 2.5]
SHARED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def volumes(draw):
    """Labels of 2 or 3 axes with blobs or noise of up to three classes, the first of which is there; and a spacing."""
    ndim = draw(st.integers(2, 3))
    shape = tuple(draw(st.integers(1, 14)) for _ in range(ndim))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    width = draw(st.sampled_from([0.0, 1.0, 2.0]))
    fields = np.stack([ndimage.gaussian_filter(rng.standard_normal(shape), width) for _ in range(4)])
    labels = fields.argmax(axis=0).astype(draw(st.sampled_from([np.uint8, np.uint16])))
    labels.reshape(-1)[rng.integers(labels.size)] = 1
    return labels, tuple(draw(st.sampled_from(SPACINGS)) for _ in range(ndim))


def distance(mask, spacing):
    """Distance to the voxels of a mask, infinite where there are none."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(~mask, sampling=spacing)


def near(mask, spacing, radius):
    return distance(mask, spacing) <= radius + 1e-6


def ref_largest(labels, spacing, tool, voxel=None):
    parts, n = ndimage.label(labels == 1)
    sizes = ndimage.sum_labels(np.ones(labels.shape), parts, range(1, n + 1))
    kept = sorted(range(1, n + 1), key=lambda i: (-sizes[i - 1], i))[: tool.parts]
    return np.where((labels == 1) & ~np.isin(parts, kept), 0, labels)


def ref_small(labels, spacing, tool, voxel=None):
    parts, n = ndimage.label(labels == 1)
    voxel = 1 if tool.unit == "voxels" else voxel or np.prod(spacing) / 10**labels.ndim
    small = [i for i in range(1, n + 1) if voxel * (parts == i).sum() < tool.size - 1e-12]
    return np.where(np.isin(parts, small) & (parts > 0), 0, labels)


def ref_holes(labels, spacing, tool, voxel=None):
    holes = ndimage.binary_fill_holes(labels == 1) & (labels != 1)
    if tool.largest > 0:
        parts, n = ndimage.label(holes)
        voxel = 1 if tool.unit == "voxels" else voxel or np.prod(spacing) / 10**labels.ndim
        large = [i for i in range(1, n + 1) if voxel * (parts == i).sum() > tool.largest + 1e-12]
        holes &= ~np.isin(parts, large) | (parts == 0)
    return np.where(holes, 1, labels)


def ref_grow(labels, spacing, tool, voxel=None):
    return np.where(near(labels == 1, spacing, tool.distance), 1, labels)


def ref_shrink(labels, spacing, tool, voxel=None):
    return np.where((labels == 1) & near(labels != 1, spacing, tool.distance), 0, labels)


def ref_combine(labels, spacing, tool, voxel=None):
    if tool.operation == "union":
        return np.where(labels == 2, 1, labels)
    close = near(labels == 2, spacing, tool.distance)
    return np.where((labels == 1) & (close if tool.operation == "subtract" else ~close), 0, labels)


def ref_smooth(labels, spacing, tool, voxel=None):
    """Each voxel by itself: who has most votes in the window around it."""
    mask = labels == 1
    if tool.method == "median":
        halves = [int(tool.size / s + 1e-6) for s in spacing]
        votes = {
            k: ndimage.uniform_filter((labels == k).astype(float), [2 * h + 1 for h in halves], mode="nearest")
            for k in range(4)
        }
        smooth = ndimage.median_filter(mask.astype(np.uint8), [2 * h + 1 for h in halves], mode="nearest") > 0
    else:
        sigma = [tool.size / s for s in spacing]
        votes = {k: ndimage.gaussian_filter((labels == k).astype(float), sigma, mode="nearest") for k in range(4)}
        smooth = votes[1] > 0.5
    others = np.stack([votes[0], votes[2], votes[3]])
    return np.where(smooth, 1, np.where(mask, np.asarray([0, 2, 3])[np.round(others, 5).argmax(axis=0)], labels))


CASES = [
    (st.builds(KeepLargest, parts=st.integers(1, 3)), ref_largest),
    (
        st.builds(
            RemoveSmall,
            size=st.sampled_from([0, 0.002, 0.01, 1, 3, 20]),
            unit=st.sampled_from(["ml", "voxels"]),
        ),
        ref_small,
    ),
    (
        st.builds(
            FillHoles,
            largest=st.sampled_from([0.0, 0.0005, 0.001, 0.004, 1, 2, 5]),
            unit=st.sampled_from(["ml", "voxels"]),
        ),
        ref_holes,
    ),
    (st.builds(Grow, distance=st.sampled_from([0, 0.5, 1.0, 1.5, 2.5, 7.3, 40.0])), ref_grow),
    (st.builds(Shrink, distance=st.sampled_from([0, 0.5, 1.0, 1.5, 2.5, 7.3, 40.0])), ref_shrink),
    (
        st.builds(
            Combine,
            operation=st.sampled_from(["union", "subtract", "intersect"]),
            other=st.just(2),
            distance=st.sampled_from([0, 1.0, 2.5]),
        ),
        ref_combine,
    ),
    (st.builds(Smooth, method=st.just("median"), size=st.sampled_from([0, 0.5, 1.0, 2.0, 3.0])), ref_smooth),
]
IDS = ["keep-largest", "remove-small", "fill-holes", "grow", "shrink", "combine", "smooth"]


def allowed(labels, expected, over, operands=()):
    """The reference where the class may take voxels."""
    if over == "all":
        return expected
    return np.where(np.isin(labels, (0, 1, *operands)), expected, labels)


@pytest.mark.parametrize(("tools", "reference"), CASES, ids=IDS)
@SHARED
@given(data=st.data(), volume=volumes(), over=st.sampled_from(["background", "all"]))
def test_a_tool_gives_what_scipy_gives(tools, reference, data, volume, over):
    labels, spacing = volume
    tool, before = data.draw(tools), labels.copy()
    found = edit_labels(labels, tool, 1, spacing=spacing, over=over)
    if labels.ndim == 3 and len(labels) == 1:  # a single slice, which is edited in two dimensions
        whole = reference(labels[0], spacing[1:], tool, np.prod(spacing) / 10**3)[np.newaxis]
    else:
        whole = reference(labels, spacing, tool)
    expected = allowed(labels, whole, over, tool.operands)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(labels, before)


def test_a_volume_of_one_slice_is_edited_as_a_picture():
    ring = np.zeros((1, 5, 5), np.uint8)
    ring[0, 1:4, 1:4] = 1
    ring[0, 2, 2] = 0
    filled = edit_labels(ring, FillHoles(), 1)
    assert filled[0, 2, 2] == 1
    np.testing.assert_array_equal(filled[0], edit_labels(ring[0], FillHoles(), 1))


@SHARED
@given(volume=volumes(), size=st.sampled_from([0.5, 1.0, 1.7]), over=st.sampled_from(["background", "all"]))
def test_gaussian_smoothing_is_that_of_scipy_where_the_vote_is_clear(volume, size, over):
    labels, spacing = volume
    found = edit_labels(labels, Smooth(method="gaussian", size=size), 1, spacing=spacing, over=over)
    expected = allowed(labels, ref_smooth(labels, spacing, Smooth(method="gaussian", size=size)), over)
    sigma = [size / s for s in spacing]
    votes = np.stack([ndimage.gaussian_filter((labels == k) * 1.0, sigma, mode="nearest") for k in range(4)])
    others = np.sort(votes[[0, 2, 3]], axis=0)
    clear = (np.abs(votes[1] - 0.5) > 1e-5) & (others[-1] - others[-2] > 1e-4)
    np.testing.assert_array_equal(found[clear], expected[clear])


@pytest.mark.parametrize(("tools", "reference"), CASES, ids=IDS)
@SHARED
@given(data=st.data(), volume=volumes())
def test_the_scope_alone_is_seen_and_changed(tools, reference, data, volume):
    labels, spacing = volume
    axis = data.draw(st.integers(0, labels.ndim - 1)) if labels.ndim == 3 else 0
    if labels.ndim == 2:
        return
    start = data.draw(st.integers(0, labels.shape[axis] - 1))
    stop = data.draw(st.integers(start + 1, labels.shape[axis]))
    each, tool = data.draw(st.booleans()), data.draw(tools)
    expected = np.moveaxis(labels.copy(), axis, 0)
    rest = tuple(s for i, s in enumerate(spacing) if i != axis)
    voxel = np.prod(spacing) / 10**3
    if each or stop - start == 1:
        for z in range(start, stop):
            if (expected[z] == 1).any() or tool.info.name == "combine":
                expected[z] = reference(expected[z], rest, tool, voxel)
    else:
        inside = np.moveaxis(expected[start:stop], 0, axis)
        expected[start:stop] = np.moveaxis(reference(inside, spacing, tool), axis, 0)
    expected = np.moveaxis(expected, 0, axis)
    scope = Scope(axis, start, stop, each)
    if tool.info.name != "combine" and not (np.moveaxis(labels, axis, 0)[start:stop] == 1).any():
        with pytest.raises(InputError, match="there are no voxels of the class 1"):
            edit_labels(labels, tool, 1, spacing=spacing, scope=scope, over="all")
        return
    found = edit_labels(labels, tool, 1, spacing=spacing, scope=scope, over="all")
    np.testing.assert_array_equal(found, expected)


@SHARED
@given(
    data=st.data(),
    volume=volumes(),
    locked=st.sets(st.sampled_from([0, 2, 3])),
    over=st.sampled_from(["background", "all"]),
)
def test_what_is_protected_stays_whatever_the_tool(data, volume, locked, over):
    labels, spacing = volume
    tool = data.draw(st.one_of(*[tools for tools, _ in CASES], st.builds(Split, neck=st.sampled_from([0.5, 2.0]))))
    protected = np.random.default_rng(data.draw(st.integers(0, 9))).random(labels.shape) < 0.3
    free = edit_labels(labels, tool, 1, spacing=spacing, over="all")
    found = edit_labels(labels, tool, 1, spacing=spacing, over=over, locked=tuple(locked), protected=protected)
    np.testing.assert_array_equal(found[protected], labels[protected])
    fixed = np.isin(labels, list(locked))
    np.testing.assert_array_equal(found[fixed], labels[fixed])
    got = np.isin(found, list(locked))
    np.testing.assert_array_equal(found[got], labels[got])
    if over == "background":
        others = ~np.isin(labels, (0, 1, *tool.operands))
        np.testing.assert_array_equal(found[others], labels[others])
    changed = found != labels
    np.testing.assert_array_equal(found[changed], free[changed])


@SHARED
@given(volume=volumes(), data=st.data(), over=st.sampled_from(["background", "all"]))
def test_a_threshold_keeps_or_adds_what_lies_in_the_range(volume, data, over):
    labels, _ = volume
    image = np.random.default_rng(1).uniform(-100, 100, labels.shape).astype(np.float32)
    low = data.draw(st.sampled_from([-200.0, -50.0, 0.0]))
    tool = Threshold(low, low + 80, data.draw(st.sampled_from(["class", "everywhere"])))
    inside = (image >= tool.low) & (image <= tool.high)
    if tool.where == "class":
        expected = np.where((labels == 1) & ~inside, 0, labels)
    else:
        expected = allowed(labels, np.where(inside, 1, labels), over)
    np.testing.assert_array_equal(edit_labels(labels, tool, 1, image=image, over=over), expected)


@SHARED
@given(volume=volumes(), data=st.data())
def test_copied_and_moved_slices(volume, data):
    labels, _ = volume
    if labels.ndim == 2:
        return
    axis = data.draw(st.integers(0, 2))
    n = labels.shape[axis]
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    to, move = data.draw(st.integers(0, n - (stop - start))), data.draw(st.booleans())
    if to == start or not (np.moveaxis(labels, axis, 0)[start:stop] == 1).any():
        return
    expected = np.moveaxis(labels.copy(), axis, 0)
    copied = expected[start:stop] == 1
    if move:
        expected[start:stop][copied] = 0
    target = expected[to : to + stop - start]
    target[copied & (np.moveaxis(labels, axis, 0)[to : to + stop - start] <= 1)] = 1
    found = edit_labels(labels, CopySlices(to, move), 1, scope=Scope(axis, start, stop))
    np.testing.assert_array_equal(found, np.moveaxis(expected, 0, axis))


def balls(shape, centres, radius, spacing):
    grid = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij"), -1)
    return np.any([((grid - c) ** 2).sum(-1) <= radius**2 for c in centres], axis=0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5)])
def test_two_balls_that_touch_become_two_classes(spacing):
    shape = tuple(round(n / s) for n, s in zip((24, 24, 44), spacing, strict=True))
    labels = balls(shape, [(12, 12, 12), (12, 12, 30)], 10, spacing).astype(np.uint8)
    labels[0, 0, 0] = 2
    assert ndimage.label(labels == 1)[1] == 1
    found = edit_labels(labels, Split(neck=12), 1, spacing=spacing)
    assert sorted(np.unique(found)) == [0, 1, 2, 3]
    np.testing.assert_array_equal(np.isin(found, (1, 3)), labels == 1)
    middle = np.argwhere(found == 3)[:, 2] * spacing[2], np.argwhere(found == 1)[:, 2] * spacing[2]
    assert min(abs(middle[0].mean() - 12), abs(middle[0].mean() - 30)) < 1
    assert abs(middle[0].mean() - middle[1].mean()) > 16


@SHARED
@given(volume=volumes(), neck=st.sampled_from([0.5, 1.5, 2.5, 4.0]))
def test_split_parts_grow_from_what_is_left_of_the_shrunk_class(volume, neck):
    labels, spacing = volume
    found = edit_labels(labels, Split(neck=neck, parts=1000), 1, spacing=spacing)
    mask = labels == 1
    np.testing.assert_array_equal(found[~mask], labels[~mask])
    depth = distance(~mask, spacing)
    cores, n = ndimage.label(mask & (depth > neck / 2 + 1e-6))
    reference = watershed(-np.minimum(depth, neck), cores, mask=mask)
    ids = sorted(set(np.unique(found[mask])) - {1})
    assert len(ids) == max(n - 1, 0)
    assert not set(ids) & set(np.unique(labels))
    for core in range(1, n + 1):
        assert len(np.unique(found[cores == core])) == 1
    for one, other in itertools.combinations(range(1, n + 1), 2):
        assert found[cores == one][0] != found[cores == other][0]
    if n:
        assert (found[mask & (reference == 0)] == 1).all()
        for identity in ids:
            assert ndimage.label(found == identity)[1] == 1


def test_more_parts_than_requested_stay_together():
    labels = np.zeros((5, 40), np.uint8)
    labels[1:4, 1:39:4] = labels[1:4, 2:39:4] = labels[1:4, 3:39:4] = 1
    found = edit_labels(labels, Split(neck=1.0, parts=3), 1)
    assert len(np.unique(found)) == 4


def test_new_classes_get_free_ids_and_a_larger_type():
    labels = np.zeros((3, 12), np.uint8)
    labels[:, :5] = labels[:, 7:] = 1
    taken = tuple(range(2, 256))
    found = edit_labels(labels, Split(neck=0.5), 1, taken=taken)
    assert found.dtype == np.uint16
    assert set(np.unique(found)) == {0, 1, 256}


@pytest.mark.parametrize("tool", [t() for t in TOOLS.values() if not t.info.needs_image], ids=lambda t: t.info.name)
def test_a_report_that_raises_ends_the_work(tool):
    labels = np.zeros((20, 30, 30), np.uint8)
    labels[5:10, 5:20, 5:20], labels[0, 0, 0] = 2, 1
    tool = CopySlices(3) if tool.info.across else Combine(other=1) if tool.info.name == "combine" else tool

    def stop(_fraction, _preview=None):
        raise Cancelled

    scope = Scope(stop=15) if tool.info.across else None
    with pytest.raises(Cancelled):
        edit_labels(labels, tool, 2, scope=scope, report=stop)


def test_parts_are_stopped_while_they_are_found():
    labels = (np.random.default_rng(0).random((60, 60, 60)) < 0.5).astype(np.uint8)
    calls = []

    def stop(fraction, _preview=None):
        calls.append(fraction)
        if len(calls) > 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        edit_labels(labels, KeepLargest(), 1, report=stop)
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: edit_labels(a.astype(float), FillHoles(), 1), "float64 values; integers are expected"),
        (lambda a: edit_labels(a[0, 0], FillHoles(), 1), "1 axes; 2 or 3 are expected"),
        (lambda a: edit_labels(a, FillHoles(), 5), "no voxels of the class 5"),
        (lambda a: edit_labels(a, FillHoles(), 0), "the id 0; expected 1 to 65535"),
        (lambda a: edit_labels(a, FillHoles(), 1, locked=(1,)), "the class 1 is locked"),
        (lambda a: edit_labels(a, FillHoles(), 1, spacing=(1, 1)), "expected 3 numbers above 0"),
        (lambda a: edit_labels(a, FillHoles(), 1, spacing=(1, 0, 1)), "expected 3 numbers above 0"),
        (lambda a: edit_labels(a, FillHoles(), 1, scope=Scope(3)), "axis 3 was requested"),
        (lambda a: edit_labels(a, FillHoles(), 1, scope=Scope(0, 2, 9)), "expected some from 0 to 3"),
        (lambda a: edit_labels(a, FillHoles(), 1, over="mine"), "expected background or all"),
        (lambda a: edit_labels(a, FillHoles(), 1, protected=np.zeros((2, 2), bool)), "the protected voxels have shape"),
        (lambda a: edit_labels(a, Threshold(), 1), "an image is expected"),
        (lambda a: edit_labels(a, Threshold(), 1, image=np.zeros((2, 2))), "the image has shape"),
        (lambda a: edit_labels(a, Combine(other=1), 1), "two different ones are expected"),
        (lambda a: edit_labels(a[0], CopySlices(1), 1), "the image has one slice only"),
        (lambda a: edit_labels(a, CopySlices(3), 1, scope=Scope(0, 0, 2)), "2 slices do not fit from slice 3 on"),
        (lambda a: edit_labels(a, CopySlices(0), 1, scope=Scope(0, 0, 2)), "another slice is expected"),
        (lambda _: Grow(distance=-1), "distance is -1; expected 0 to 200"),
        (lambda _: Threshold(3, 2), "the lower value is expected first"),
        (lambda _: tool_class("melt"), "there is no tool 'melt'; expected one of keep-largest"),
    ],
)
def test_bad_input_gets_one_message(call, message):
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1:3, 1:4, 1:4] = 1
    with pytest.raises(InputError, match=message):
        call(labels)


def test_several_channels_are_thresholded_by_their_mean():
    labels = np.ones((2, 2), np.uint8)
    image = np.asarray([[[0, 10], [10, 30]], [[5, 5], [40, 0]]], np.float32)
    found = edit_labels(labels, Threshold(5, 10), 1, image=image)
    np.testing.assert_array_equal(found, [[1, 0], [1, 0]])


@pytest.mark.parametrize("seed", range(5))
def test_the_flood_gives_the_parts_of_a_watershed_where_no_levels_are_equal(seed):
    rng = np.random.default_rng(seed)
    levels = rng.permutation(np.arange(1, 241)).reshape(4, 6, 10).astype(np.uint8)
    levels[rng.random(levels.shape) < 0.1] = 0
    markers = np.zeros(levels.shape, np.int32)
    at = rng.choice(np.flatnonzero(levels), 4, replace=False)
    markers.reshape(-1)[at] = [1, 2, 3, 4]
    expected = watershed(-levels.astype(np.int32), markers, mask=levels > 0)
    np.testing.assert_array_equal(flood(levels, markers), expected)
