import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from napari_scribseg.bench.methods import ALL_PEERS, parse_method
from napari_scribseg.bench.peers import PEERS, peer_class
from napari_scribseg.bench.peers.shared import channels_last, merge_masks, nearest_class
from napari_scribseg.core import Engine, Image, InputError, Scribbles
from napari_scribseg.testing import two_discs

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.fixture(params=ALL_PEERS)
def peer(request):
    needed = PEERS[request.param.split(":")[0]].needs
    if needed:
        pytest.importorskip(needed)
    return parse_method(request.param).engine


def segment(peer, array, seeds, n_classes=None):
    """The answer, whose contract is checked."""
    image = Image.from_array(array, (1.0, 1.0))
    scribbles = Scribbles(seeds, n_classes or int(seeds.max()) + 1)
    before = image.data.copy(), scribbles.seeds.copy()
    result = peer.segment(image, scribbles, peer.prepare(image, "cpu"))
    p = result.probabilities
    assert p.shape == (scribbles.n_classes, *seeds.shape)
    assert p.dtype == np.float32
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=0), 1, atol=1e-5)
    painted = seeds >= 0
    np.testing.assert_array_equal(result.labels[painted], seeds[painted])
    np.testing.assert_array_equal(image.data, before[0])
    np.testing.assert_array_equal(scribbles.seeds, before[1])
    return result


def two_tones(channels=0, noise=4.0, seed=0):
    """A bright square on a dark ground, a stroke in each; image, seeds, truth."""
    truth = np.zeros((40, 48), dtype=bool)
    truth[12:30, 14:36] = True
    values = np.where(truth, 180.0, 60.0)
    rng = np.random.default_rng(seed)
    if channels:
        tint = np.linspace(1, 0.6, channels)
        values = values[..., np.newaxis] * tint + rng.normal(0, noise, (*truth.shape, channels))
    else:
        values = values + rng.normal(0, noise, truth.shape)
    seeds = np.full(truth.shape, -1, dtype=np.int32)
    seeds[4, 4:44], seeds[20:22, 20:30] = 0, 1
    return values, seeds, truth


def dice(found, true):
    return 2 * np.count_nonzero(found & true) / (np.count_nonzero(found) + np.count_nonzero(true))


def test_every_peer_is_an_engine(peer):
    assert isinstance(peer, Engine)
    assert peer.info.name in PEERS
    assert type(peer) is peer_class(peer.info.name)
    assert peer.info.title
    assert peer.info.summary
    assert peer.info.doi.startswith("10.") or peer.info.name == "grow-cut"  # a workshop's paper, which has none
    assert peer == dataclasses.replace(peer)


@pytest.mark.parametrize("channels", [0, 1, 2, 3, 5])
def test_two_tones_are_separated(peer, channels):
    values, seeds, truth = two_tones(channels)
    assert dice(segment(peer, values, seeds).labels == 1, truth) > 0.95


def test_the_range_of_the_intensities_does_not_matter(peer):
    values, seeds, truth = two_tones()
    assert dice(segment(peer, values * 1e-3 - 5, seeds).labels == 1, truth) > 0.95
    assert dice(segment(peer, (values * 100).astype(np.int16), seeds).labels == 1, truth) > 0.95


def test_three_classes(peer):
    image, scribbles, truth = two_discs()
    found = segment(peer, image.data[0], np.asarray(scribbles.seeds)).labels
    assert (found == truth).mean() > 0.9


def test_a_class_without_strokes_gets_nothing(peer):
    values, seeds, truth = two_tones()
    separate = np.where(seeds >= 0, seeds * 2 + 1, -1).astype(np.int32)  # classes 1 and 3 of five
    found = segment(peer, values, separate, 5).labels
    assert set(np.unique(found)) == {1, 3}
    assert dice(found == 3, truth) > 0.95


def test_one_pixel_for_each_class(peer):
    rng = np.random.default_rng(0)
    seeds = np.full((32, 32), -1, dtype=np.int32)
    seeds[3, 3], seeds[20, 20], seeds[30, 3] = 0, 1, 3
    assert set(np.unique(segment(peer, rng.random((32, 32)), seeds, 5).labels)) <= {0, 1, 3}


def test_strokes_everywhere(peer):
    seeds = np.zeros((32, 32), dtype=np.int32)
    seeds[:, 10:] = 1
    segment(peer, np.random.default_rng(0).random((32, 32)), seeds)


def test_a_pocket_that_strokes_enclose(peer):
    seeds = np.full((32, 32), -1, dtype=np.int32)
    seeds[8:22, 8:22], seeds[10:20, 10:20], seeds[0, 0] = 1, -1, 0
    found = segment(peer, np.random.default_rng(0).random((32, 32)), seeds).labels
    if peer.info.name not in ("graph-cut", "grabcut"):  # their histograms jump over strokes
        assert (found[10:20, 10:20] == 1).all()


@pytest.mark.parametrize("shape", [(1, 24), (24, 1), (2, 2)])
def test_tiny_images(peer, shape):
    seeds = np.full(shape, -1, dtype=np.int32)
    seeds[0, 0], seeds[-1, -1] = 0, 1
    segment(peer, np.arange(np.prod(shape), dtype=float).reshape(shape), seeds)


@pytest.mark.parametrize("seeds_at", [((4, slice(4, 28)), (28, slice(4, 28))), ((0, 0), (0, 1))])
def test_a_constant_image_is_segmented_or_refused(peer, seeds_at):
    seeds = np.full((32, 32), -1, dtype=np.int32)
    seeds[seeds_at[0]], seeds[seeds_at[1]] = 0, 1
    if peer.info.name == "random-walker":
        with pytest.raises(InputError, match="all pixels of the image are alike"):
            segment(peer, np.full((32, 32), 7.0), seeds)
        return
    segment(peer, np.full((32, 32), 7.0), seeds)


def test_the_same_input_gives_the_same_result(peer):
    values, seeds, _ = two_tones(3, noise=40)
    first = segment(peer, values, seeds).probabilities
    np.random.seed(int(first[0, 0, 0]) + 17)  # noqa: NPY002 a library may draw from it
    np.testing.assert_array_equal(first, segment(peer, values, seeds).probabilities)


def test_a_state_serves_several_strokes(peer):
    values, seeds, _ = two_tones(noise=30)
    image = Image.from_array(values, (1.0, 1.0))
    more = seeds.copy()
    more[36, 4:40] = 0
    first = peer.segment(image, Scribbles(seeds, 2), peer.prepare(image, "cpu"))
    second = peer.segment(image, Scribbles(more, 2), first.state)
    np.testing.assert_array_equal(second.probabilities, segment(peer, values, more).probabilities)


@pytest.mark.parametrize("what", ["nothing", "one class", "another shape"])
def test_bad_strokes_are_reported(peer, what):
    values, seeds, _ = two_tones()
    if what == "nothing":
        seeds[:] = -1
    elif what == "one class":
        seeds[seeds == 0] = -1
    else:
        seeds = seeds[:-1]
    image = Image.from_array(values, (1.0, 1.0))
    with pytest.raises(InputError) as raised:
        peer.segment(image, Scribbles(seeds, 2), peer.prepare(image, "cpu"))
    assert len(str(raised.value).splitlines()) == 1


def test_grabcut_survives_degenerate_colours():
    pytest.importorskip("cv2")
    peer = parse_method("grabcut").engine
    seeds = np.full((24, 24), -1, dtype=np.int32)
    seeds[0, 0], seeds[12, 12] = 0, 1
    spot = np.zeros((24, 24))
    spot[12, 12] = 255
    for image in (spot, 255 - spot, np.zeros((24, 24, 3)), np.indices((24, 24))[0] % 2, np.full((24, 24), 1e30)):
        segment(peer, image.astype(float), seeds)


def test_random_walker_goes_without_pyamg(monkeypatch):
    values, seeds, truth = two_tones()
    monkeypatch.setattr("napari_scribseg.bench.peers.walker.find_spec", lambda _: None)
    assert dice(segment(parse_method("random-walker").engine, values, seeds).labels == 1, truth) > 0.95


def test_stronger_edges_hold_the_geodesic_distance_back():
    values, seeds, truth = two_tones()
    blind, sharp = (segment(parse_method(f"geodesic:edge_cost={c}").engine, values, seeds).labels for c in (0, 100))
    assert dice(blind == 1, truth) < 0.9 < dice(sharp == 1, truth)


def test_intensities_from_0_to_1_keep_the_channels_separate():
    image = Image.from_array(np.dstack([np.full((2, 2), 10.0), [[20.0, 30.0], [40.0, 50.0]]]), (1.0, 1.0))
    expected = np.dstack([np.zeros((2, 2)), [[0.25, 0.5], [0.75, 1.0]]])
    np.testing.assert_allclose(channels_last(image), expected)
    assert not channels_last(Image.from_array(np.full((2, 2), 3.0), (1.0, 1.0))).any()


def test_where_none_or_several_claim_the_nearest_stroke_decides():
    seeds = np.full((1, 9), -1, dtype=np.int32)
    seeds[0, 0], seeds[0, 8] = 0, 2
    scribbles = Scribbles(seeds, 3)
    np.testing.assert_array_equal(nearest_class(scribbles), [[0, 0, 0, 0, 0, 2, 2, 2, 2]])
    claims = np.zeros((3, 1, 9), dtype=bool)
    claims[0, 0, :4], claims[2, 0, 1:4] = True, True  # 0: one, 1 to 3: both, 4 to 8: none
    claims[0, 0, 6] = True
    np.testing.assert_array_equal(merge_masks(claims, scribbles), [[0, 0, 0, 0, 0, 2, 0, 2, 2]])


def test_listing_peers_loads_no_library():
    code = "import sys, napari_scribseg.bench.peers; print(*{'cv2', 'higra', 'maxflow', 'skimage'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
