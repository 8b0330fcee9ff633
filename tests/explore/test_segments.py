import itertools

import numpy as np
import pytest
from disc_pictures import CENTRES, discs

from napari_scribseg import InputError, Stroke
from napari_scribseg.core import Cancelled
from napari_scribseg.explore import Workspace
from napari_scribseg.explore.edits import split_mask
from napari_scribseg.explore.gradients import as_edge_map, gaussian_edges
from napari_scribseg.explore.hierarchy import CRITERIA, build_hierarchy, common_threshold


def test_gradient_is_high_at_borders_and_zero_on_even_ground():
    image = discs()[0]
    edges = gaussian_edges(image[None].astype(np.float32))
    assert edges.shape == image.shape
    assert edges.min() >= 0
    assert edges.max() == 1
    assert edges[20, 29] > 0.5 > 0.2 > edges[45, 45]
    assert not gaussian_edges(np.full((3, 20, 30), 7, np.float32)).any()


@pytest.mark.parametrize("criterion", CRITERIA)
def test_cuts_are_nested_and_end_with_one_region(criterion):
    hierarchy = build_hierarchy(gaussian_edges(discs()[0][None].astype(np.float32)), criterion)
    heights = np.unique(hierarchy.altitudes)
    cuts = [hierarchy.cut(t) for t in (heights[1] / 2, *np.quantile(heights, (0.3, 0.6, 0.9)), heights[-1])]
    for fine, coarse in itertools.pairwise(cuts):
        assert fine.max() >= coarse.max()
        pairs = np.unique(np.stack((fine.ravel(), coarse.ravel())), axis=1)
        assert len(np.unique(pairs[0])) == pairs.shape[1]  # each fine region lies in one coarse region
    assert cuts[-1].max() == 0


def test_cut_agrees_with_the_hierarchy_of_pixels():
    import higra as hg

    gradient = gaussian_edges(discs()[0][None].astype(np.float32))
    graph = hg.get_4_adjacency_graph(gradient.shape)
    weights = hg.weight_graph(graph, gradient.astype(np.float64), hg.WeightFunction.mean)
    tree, altitudes = hg.watershed_hierarchy_by_dynamics(graph, weights)
    ours = build_hierarchy(gradient, "dynamics", 0)
    for threshold in (0.05, 0.1, 0.3):
        theirs = np.asarray(hg.labelisation_horizontal_cut_from_threshold(tree, altitudes, threshold)).ravel()
        _, theirs = np.unique(theirs, return_inverse=True)
        cut = ours.cut(threshold)
        assert cut.max() == theirs.max()
        table = np.zeros((cut.max() + 1, theirs.max() + 1))
        np.add.at(table, (cut.ravel(), theirs), 1)
        assert table.max(axis=1).sum() > 0.97 * cut.size  # ties on level ground may fall to either side


def test_a_smooth_object_of_one_basin_is_no_part_of_what_lies_around():
    edges = np.zeros((60, 60), np.float32)
    edges[20:40, 20:40] = 1
    edges[22:38, 22:38] = 0
    for criterion, threshold in (("volume", 100), ("area", 200), ("dynamics", 0.5)):
        cut = build_hierarchy(edges, criterion).cut(threshold)
        assert cut.max() == 1
        assert cut[30, 30] != cut[2, 2]


def test_threshold_by_number_of_regions():
    trees = [build_hierarchy(gaussian_edges(discs(s)[0][None].astype(np.float32)), simplification=0) for s in range(3)]
    for regions in (1, 5, 20):
        threshold = common_threshold(trees, regions)
        assert np.mean([t.cut(threshold).max() + 1 for t in trees]) == pytest.approx(regions, abs=1)


def test_segments_follow_the_discs(workspace):
    for k, (r, c) in enumerate(CENTRES):
        own = workspace.segments(0) == workspace.segment_at(0, r, c)
        inside = discs()[1] == (1 if k % 2 else 2)
        rows, columns = np.indices(own.shape)
        inside &= (rows - r) ** 2 + (columns - c) ** 2 <= (9 + k) ** 2
        assert (own & inside).sum() / (own | inside).sum() > 0.85
    assert workspace.segment_at(0, -1, 3) == 0


def test_segments_that_stay_keep_id_and_class(workspace):
    ids = workspace.ids()
    workspace.assign(ids, 3)
    first = workspace.settings
    workspace.cut(regions=4)
    now = workspace.ids()
    same = np.intersect1d(ids, now)
    assert 0 < len(same) < len(now) < len(ids)
    assert (workspace.table.label[same] == 3).all()
    assert not workspace.table.label[np.setdiff1d(now, ids)].any()
    workspace.cut(threshold=first.threshold)
    assert np.array_equal(np.sort(workspace.ids()), np.sort(ids))
    assert (workspace.labels(0) == 3).all()  # what was cut away is found again with its class


def test_other_criteria_and_gradients(workspace):
    before = set(workspace.ids().tolist())
    assert workspace.cut(criterion="area", regions=6) == (0, 1)
    assert workspace.settings.criterion == "area"
    assert before != set(workspace.ids().tolist())
    workspace.cut([0], gradient="network", regions=8)
    assert workspace.settings.gradient == "network"
    assert workspace.gradient(0).max() == 1
    edges = np.zeros((96, 96))
    edges[:, 48] = 5
    workspace.set_edges(1, edges)
    workspace.cut([1], gradient="given", criterion="dynamics", threshold=0.2)
    assert len(workspace.ids(1)) == 2
    assert workspace.segment_at(1, 3, 3) != workspace.segment_at(1, 3, 90)


def test_preview_changes_nothing(workspace):
    before = workspace.segments(0)
    shown = workspace.preview(0, 0.01, simplification=0)
    assert shown.max() + 1 > len(workspace.ids(0))
    assert np.array_equal(before, workspace.segments(0))
    assert np.array_equal(
        np.unique(workspace.preview(0), return_index=True)[1], np.unique(before, return_index=True)[1]
    )


def test_undo_and_redo_of_everything(workspace):
    first = workspace.segments(0)
    ids = workspace.ids(0)
    workspace.assign(ids[:3], 1)
    workspace.assign(ids[1:4], 2)
    pixels = np.argwhere(first == ids[0])
    workspace.split(int(ids[0]), pixels[:1], pixels[-1:])
    workspace.cut(threshold=workspace.settings.threshold * 1e6)
    assert len(workspace.ids(0)) == 1
    assert [workspace.undo() for _ in range(2)] == ["cut", "split"]
    assert np.array_equal(first, workspace.segments(0))
    assert workspace.table.label[ids[:4]].tolist() == [1, 2, 2, 2]
    assert workspace.undo() == "assign"
    assert workspace.table.label[ids[:4]].tolist() == [1, 1, 1, 0]
    while workspace.undo():
        pass
    assert not workspace.can_undo
    assert not workspace.segments(0).any()  # before the first cut
    kinds = []
    while kind := workspace.redo():
        kinds.append(kind)
    assert kinds == ["cut", "assign", "assign", "split", "cut"]
    assert len(workspace.ids(0)) == 1


def test_split_follows_the_strokes_and_the_gradient():
    gradient = np.zeros((20, 30), np.float32)
    gradient[:, 12] = 1
    mask = np.ones((20, 30), bool)
    mask[:3] = False
    positive, negative = np.zeros((2, 20, 30), bool)
    positive[10, 2] = negative[10, 28] = True
    parts, n_positive = split_mask(gradient, mask, positive, negative)
    assert n_positive == 1
    assert (parts[3:, :12] == 0).all()
    assert (parts[3:, 13:] == 1).all()
    assert (parts[:3] == -1).all()


def _highest_edge_to(seed, gradient, mask):
    """For each pixel the highest edge of the best path to a seed; an edge weighs the mean of its pixels."""
    cost = np.where(seed, -np.inf, np.inf)
    before = None
    while before is None or not np.array_equal(before, cost):
        before = cost.copy()
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            path = np.maximum(np.roll(cost, step, axis), (gradient + np.roll(gradient, step, axis)) / 2)
            np.moveaxis(path, axis, 0)[0 if step == 1 else -1] = np.inf  # no edge across the border
            path[~(mask & np.roll(mask, step, axis))] = np.inf
            cost = np.minimum(cost, path)
    return cost


@pytest.mark.parametrize("number", range(5))
def test_split_follows_the_lowest_edges(number):
    rng = np.random.default_rng(number)
    gradient = rng.random((14, 17)).astype(np.float32)
    mask = rng.random((14, 17)) < 0.9
    mask[2:4] = mask[:, 8] = True
    positive, negative = np.zeros((2, 14, 17), bool)
    positive[2, 1] = negative[3, 15] = True
    parts, n_positive = split_mask(gradient, mask, positive, negative)
    wide = gradient.astype(np.float64)
    to_positive, to_negative = (_highest_edge_to(seed, wide, mask) for seed in (positive, negative))
    mine = (parts >= 0) & (parts < n_positive)
    reached = mask & np.isfinite(np.minimum(to_positive, to_negative))
    assert (to_positive <= to_negative)[mine].all()
    assert (to_negative <= to_positive)[reached & ~mine].all()
    assert ((parts >= 0) == mask).all()


def test_parts_of_a_split(workspace):
    ground = workspace.segment_at(0, 45, 45)
    workspace.assign([ground], 4)
    top, bottom = Stroke(np.array([[3.0, 3], [3, 90]]), 1, 0), Stroke(np.array([[92.0, 3], [92, 90]]), 1, 0)
    reported = []
    workspace.segments_changed.connect(reported.append)
    positives, negatives = workspace.split(ground, top, [bottom])
    assert reported == [(0,)]
    assert ground not in workspace.ids()
    found = workspace.segments(0)
    assert np.isin(found[3, 3:90], positives).all()
    assert np.isin(found[92, 3:90], negatives).all()
    assert (workspace.table.label[positives] == 4).all()
    assert not workspace.table.label[negatives].any()
    areas = workspace.table.area[np.concatenate((positives, negatives))]
    assert areas.sum() == workspace.table.area[ground]


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        ([[45, 45]], [[20, 20]], "no negative stroke lies in the segment"),
        ([[45, 450]], [[45, 46]], "outside of the image"),
        ([1, 2, 3], [[45, 46]], r"pixels of shape \(N, 2\)"),
    ],
)
def test_split_that_cannot_be(workspace, positive, negative, message):
    with pytest.raises(InputError, match=message):
        workspace.split(workspace.segment_at(0, 45, 45), positive, negative)
    assert not workspace.can_redo
    assert [workspace.undo(), workspace.undo()] == ["cut", ""]


def test_bad_requests(workspace):
    with pytest.raises(InputError, match="there is no segment 9999"):
        workspace.assign([1, 9999], 1)
    with pytest.raises(InputError, match="whole number from 0"):
        workspace.assign([1], 70000)
    with pytest.raises(InputError, match="no image 2"):
        workspace.cut([2])
    with pytest.raises(InputError, match="one of the two is expected"):
        workspace.cut(threshold=1, regions=9)
    with pytest.raises(InputError, match="criterion is 'depth'"):
        workspace.cut(criterion="depth")
    with pytest.raises(InputError, match="settings .'colour'. are unknown"):
        workspace.cut(colour=1)
    with pytest.raises(InputError, match="no edge map"):
        workspace.cut(gradient="given")
    with pytest.raises(InputError, match=r"edge map has shape \(3, 3\)"):
        workspace.set_edges(0, np.zeros((3, 3)))
    with pytest.raises(InputError, match="finite values from 0 on are expected"):
        as_edge_map(np.full((2, 2), -1.0), (2, 2))
    with pytest.raises(InputError, match="add some first"):
        Workspace().cut()


def test_cancelled_cut_changes_nothing(workspace):
    before = workspace.segments(1)

    def stop(fraction, preview=None):
        if fraction >= 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        workspace.cut(criterion="area", threshold=3, report=stop)
    assert np.array_equal(before, workspace.segments(1))
    assert workspace.settings.criterion == "volume"


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (40, 3)])
def test_tiny_and_constant_images(shape):
    workspace = Workspace()
    workspace.add_images(np.full(shape, 5, np.uint8))
    workspace.cut()
    assert len(workspace.ids()) == 1
    workspace.assign(workspace.ids(), 1)
    assert (workspace.labels(0) == 1).all()


def test_thousands_of_tiny_segments():
    workspace = Workspace()
    workspace.add_images(np.random.default_rng(0).integers(0, 255, (128, 128), dtype=np.uint8))
    workspace.set_segments(0, np.arange(128 * 128).reshape(128, 128))
    assert len(workspace.ids()) == 128 * 128
    workspace.assign(workspace.ids()[::2], 7)
    assert (workspace.labels(0)[:, ::2] == 7).all()
    assert not workspace.labels(0)[:, 1::2].any()
    assert workspace.undo() == "assign"
    assert not workspace.labels(0).any()
