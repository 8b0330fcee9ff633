import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("pytorch_metric_learning")

from disc_pictures import clouds, discs, majority

from napari_scribseg import InputError
from napari_scribseg.core import Cancelled
from napari_scribseg.explore import Workspace, encoders, feature_space
from napari_scribseg.explore.embedding import add_to_embedding, fit_embedding, nearest, principal_components
from napari_scribseg.explore.encoders import CropEncoder, MapEncoder, make_encoder
from napari_scribseg.explore.feature_cache import FeatureCache
from napari_scribseg.explore.metric import Head, learn_head, unit_rows
from napari_scribseg.explore.needs import need
from napari_scribseg.explore.uncertainty import uncertainty


@pytest.mark.parametrize("encoder", [MapEncoder(), CropEncoder()], ids=["maps", "crops"])
def test_features_distinguish_the_discs(encoder, workspace):
    image, truth = discs()
    ids, regions = np.unique(workspace.segments(0), return_inverse=True)
    regions = regions.reshape(image.shape).astype(np.int32)
    rows = encoder.describe(image[None].astype(np.float32), regions)
    assert rows.shape[0] == len(ids)
    assert np.isfinite(rows).all()
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    found = majority(workspace, [truth, truth], ids)
    like = rows @ rows.T
    alike = found[:, None] == found[None]
    assert like[alike & ~np.eye(len(ids), dtype=bool)].mean() > like[~alike].mean() + 0.1


def test_a_region_of_many_is_described_as_alone(workspace):
    image = discs()[0][None].astype(np.float32)
    regions = np.unique(workspace.segments(0), return_inverse=True)[1].reshape(96, 96).astype(np.int32)
    all_of_them = MapEncoder().describe(image, regions)
    alone = np.where(regions == 2, 0, -1).astype(np.int32)
    assert MapEncoder().describe(image, alone)[0] == pytest.approx(all_of_them[2], abs=1e-5)


def test_crops_see_nothing_but_the_segment(monkeypatch):
    seen = []

    def stand_in(backbone, device):
        return lambda batch: seen.append((backbone, batch)) or [batch, batch[..., ::2, ::2]]

    monkeypatch.setattr(encoders, "open_encoder", stand_in)
    image = np.random.default_rng(0).normal(size=(1, 60, 60)).astype(np.float32)
    regions = np.zeros((60, 60), np.int32)
    regions[20:40, 20:40] = 1
    made = make_encoder("crops", "hrnet_w18_small.gluon_in1k", "cpu")
    rows = made.describe(image, regions)
    assert rows.shape == (2, 10 + 3 + 3)
    ((backbone, batch),) = seen
    assert backbone == "hrnet_w18_small.gluon_in1k"
    assert batch.shape == (2, 3, 224, 224)
    assert not batch[1, :, :30].any()  # the margin of 10 pixels is zero
    assert batch[1, :, 70:150, 70:150].abs().mean() > 0.1


def test_embedding_separates_unlike_features_and_takes_more():
    features, kinds = clouds()
    xy = fit_embedding(features, np.where(np.arange(40) < 20, kinds + 1, 0).astype(np.int32))
    middle = [xy[kinds == k].mean(axis=0) for k in (0, 1)]
    within = max(np.linalg.norm(xy[kinds == k] - middle[k], axis=1).mean() for k in (0, 1))
    between = np.linalg.norm(middle[0] - middle[1])
    assert between > 2 * within
    fractions = []
    more = add_to_embedding(features[:2] * 1.001, features, xy, lambda f, preview=None: fractions.append(f))
    assert np.linalg.norm(more - xy[:2], axis=1).max() < between / 2
    assert fractions == [0, 1]


def test_a_new_segment_between_two_groups_joins_the_one_it_is_more_like():
    features, kinds = clouds()
    xy = np.where(kinds[:, None] == 0, [-5.0, 0], [5.0, 0]).astype(np.float32)
    xy += np.random.default_rng(1).normal(scale=0.1, size=xy.shape).astype(np.float32)
    mixed = unit_rows(0.6 * features[:1] + 0.4 * features[1:2])
    assert add_to_embedding(mixed, features, xy)[0] == pytest.approx((-5, 0), abs=0.5)
    lonely = add_to_embedding(features[:3], features[:1], xy[:1])
    assert lonely == pytest.approx(np.repeat(xy[:1], 3, axis=0), abs=1e-4)
    same = add_to_embedding(features[:2], np.repeat(features[:1], 9, axis=0), xy[:9])
    assert np.isfinite(same).all()


@pytest.mark.parametrize("count", [1, 5, 40])
def test_nearest_neighbours_are_the_nearest(count):
    features, _ = clouds()
    distance = np.linalg.norm(features[:, None] - features, axis=-1)
    index, found = nearest(features, features, count, same=True)
    assert (index[:, 0] == np.arange(40)).all()
    assert found == pytest.approx(np.sort(distance, axis=1)[:, :count], abs=1e-3)
    index, found = nearest(features[:7] + 0.01, features, count)
    assert (np.diff(found, axis=1) >= 0).all()
    assert np.linalg.norm(features[:7] + 0.01 - features[index[:, 0]], axis=1) == pytest.approx(found[:, 0], abs=1e-3)


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_embedding_of_few(n):
    features, _ = clouds(8)
    xy = fit_embedding(features[:n], np.zeros(n, np.int32))
    assert xy.shape == (n, 2)
    assert np.isfinite(xy).all()
    same = fit_embedding(np.repeat(features[:1], 9, axis=0), np.zeros(9, np.int32))
    assert np.isfinite(same).all()


@pytest.mark.parametrize("shape", [(300, 20), (20, 300), (2, 5), (5, 1), (60, 60)])
def test_principal_components_are_those_of_the_whole_decomposition(shape):
    features = (np.random.default_rng(1).normal(size=shape) * np.geomspace(8, 1, shape[1])).astype(np.float32)
    left, values, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    expected = np.zeros((shape[0], 2))
    expected[:, : min(len(values), 2)] = (left * values)[:, :2]
    found = principal_components(features)
    assert np.abs(found).max() == pytest.approx(10, abs=0.1)
    scale = 10 / np.abs(expected).max()
    assert np.abs(found) == pytest.approx(np.abs(scale * expected), abs=0.1)


def test_embedding_reports_its_progress_and_stops():
    features, kinds = clouds()
    reported = []

    def stop(fraction, preview=None):
        reported.append(fraction)
        if fraction > 0.2:
            raise Cancelled

    with pytest.raises(Cancelled):
        fit_embedding(features, kinds * 0, report=stop)
    assert reported[0] == 0
    assert 0.2 < reported[-1] <= 1


def test_embedding_learning_and_new_images(workspace):
    reported = []
    workspace.embedding_changed.connect(lambda: reported.append(1))
    fractions = []
    ids = workspace.embed(report=lambda f, preview=None: fractions.append(f))
    assert np.array_equal(ids, workspace.ids())
    assert np.isfinite(workspace.xy(ids)).all()
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert len(reported) == 1
    before = workspace.xy(ids)
    with pytest.raises(InputError, match="segments of 0 classes"):
        workspace.learn()
    assert (workspace.uncertainty() == 1).all()
    truths = [discs(0)[1], discs(1)[1]]
    found = majority(workspace, truths, ids)
    workspace.assign(ids[found == 1], 1)
    with pytest.raises(InputError, match="segments of 1 class "):
        workspace.learn()
    workspace.assign(ids[found == 2][:2], 2)
    assert workspace.learn() == (found == 1).sum() + 2
    assert not np.array_equal(before, workspace.xy(ids))
    assert set(workspace.most_uncertain(3).tolist()) <= set(workspace.filtered("unlabelled").tolist())
    assert set(workspace.filtered("uncertain").tolist()) <= set(workspace.filtered("unlabelled").tolist())
    xy_before = workspace.xy(ids)
    workspace.add_images(discs(2)[0])
    workspace.cut(workspace.next_batch())
    new = workspace.embed()
    assert set(new.tolist()) == set(workspace.ids(2).tolist())
    assert np.array_equal(xy_before, workspace.xy(ids))  # those that were there stay
    _, xy = workspace.local_embedding(ids[:6])
    assert xy.shape == (6, 2)
    assert np.array_equal(xy_before, workspace.xy(ids))
    pixels = np.argwhere(workspace.segments(0) == ids[0])
    parts = np.concatenate(workspace.split(int(ids[0]), pixels[:1], pixels[-1:]))
    assert (workspace.xy(parts) == xy_before[0]).all()
    assert set(workspace.embed().tolist()) == set(parts.tolist())
    assert workspace.table.described(parts).all()


def test_many_new_segments_refit_the_embedding_from_where_it_is(tmp_path, monkeypatch):
    starts = []

    def fit(features, labels, start=None, **_settings):
        starts.append(start)
        return np.arange(2 * len(features), dtype=np.float32).reshape(-1, 2)

    monkeypatch.setattr(feature_space, "fit_embedding", fit)
    workspace = Workspace(cache=tmp_path)
    workspace.add_images([discs(0)[0], discs(1)[0]])
    workspace.cut(regions=5)
    first = workspace.embed()
    before = workspace.xy(first)
    workspace.add_images([discs(seed)[0] for seed in (2, 3, 4)])
    workspace.cut(workspace.next_batch())
    assert len(workspace.embed()) == len(workspace.ids())
    assert starts[0] is None
    assert np.array_equal(starts[1][: len(first)], before)
    assert np.isfinite(starts[1]).all()


def test_cancelled_learning_learns_nothing(workspace):
    workspace.embed()
    ids = workspace.ids()
    workspace.assign(ids[:3], 1)
    workspace.assign(ids[3:6], 2)

    def stop(fraction, preview=None):
        if fraction > 0.4:
            raise Cancelled

    before = workspace.xy(ids)
    with pytest.raises(Cancelled):
        workspace.learn(stop)
    assert workspace.space.head is None
    assert np.array_equal(before, workspace.xy(ids))


def describe(workspace):
    """Describe all segments, without an embedding."""
    with pytest.raises(Cancelled):
        workspace.embed_task()(stop_after(0.6))  # after the features


def stop_after(limit):
    def report(fraction, preview=None):
        if fraction > limit:
            raise Cancelled

    return report


def test_features_are_cached_on_the_disk_and_survive_a_cancel(workspace, tmp_path, monkeypatch):
    describe(workspace)
    assert workspace.table.described(workspace.ids()).all()
    assert not workspace.table.has_embedding[workspace.ids()].any()
    assert len(list((tmp_path / "features").glob("*.safetensors"))) == 2
    other = Workspace(cache=tmp_path / "features")
    other.add_images([discs(0)[0], discs(1)[0]])
    other.cut(regions=5)
    monkeypatch.setattr(MapEncoder, "describe", lambda *_: pytest.fail("computed again"))
    describe(other)
    ids = workspace.ids()
    assert other.table.features[ids] == pytest.approx(workspace.table.features[ids], abs=1e-3)


def test_damaged_cache_is_no_cache(tmp_path):
    cache = FeatureCache(tmp_path)
    rows = {(5, 1, 2): np.ones(4, np.float32)}
    cache.put("image", "encoder", rows)
    assert list(cache.get("image", "encoder")) == [(5, 1, 2)]
    assert not cache.get("image", "another encoder")
    (path,) = tmp_path.iterdir()
    for content in (b"", b"rubbish", path.read_bytes()[:-3]):
        path.write_bytes(content)
        assert cache.get("image", "encoder") == {}


def test_learning_brings_classes_together():
    features, kinds = clouds(60, spread=0.6)
    head = learn_head(features[:40], kinds[:40] + 1)
    for k in (0, 1):
        assert np.linalg.norm(head(features[40:])[kinds[40:] == k].mean(axis=0)) > np.linalg.norm(
            features[40:][kinds[40:] == k].mean(axis=0)
        )
    again = learn_head(features[:40], kinds[:40] + 1)
    assert np.array_equal(head.weight, again.weight)
    assert np.array_equal(Head.identity(12)(features), unit_rows(features))


def test_uncertainty_is_highest_between_classes():
    examples = np.eye(2, 4, dtype=np.float32)
    features = unit_rows(np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0.1, 1, 0, 0]], np.float32))
    found = uncertainty(features, examples, np.array([1, 2], np.int32))
    assert found[1] == pytest.approx(1, abs=1e-3)
    assert found[0] < found[2] < found[1]
    far = uncertainty(features, examples[:1], np.array([1], np.int32))
    assert far.argmax() == 2
    assert uncertainty(features, examples[:0], np.zeros(0, np.int32)).tolist() == [1, 1, 1]


def test_another_encoder_invalidates_the_first(workspace):
    describe(workspace)
    workspace.use_encoder("crops")
    assert not workspace.table.described(workspace.ids()).any()
    with pytest.raises(InputError, match="have no features yet"):
        workspace.local_embedding(workspace.ids())
    with pytest.raises(InputError, match="the view is 'dreams'"):
        workspace.use_encoder("dreams")
    with pytest.raises(InputError, match="cut the images first"):
        Workspace().embed()


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "higra", None)
    with pytest.raises(InputError, match=r"higra, which cannot be imported.*napari-scribseg\[explore\]"):
        need("higra")


def test_importing_the_room_loads_none_of_the_extra():
    extra = "{'higra', 'sklearn', 'pytorch_metric_learning'}"
    code = f"import sys, napari_scribseg.explore; print(*{extra} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
