from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_scribseg.core import InputError
from napari_scribseg.datasets import Case, DataSet
from napari_scribseg.numerics.augmentation.intensity_changes import unchanged, vary_intensities
from napari_scribseg.numerics.augmentation.warps import WarpOptions, draw_warp, needed_part, resample
from napari_scribseg.simulate import ScribbleStyle
from napari_scribseg.train.batches import Batch
from napari_scribseg.train.first_strokes import DrawingOptions, draw_stroke_map, draw_style
from napari_scribseg.train.pack import write_pack
from napari_scribseg.train.superpixels import felzenszwalb_regions
from napari_scribseg.train.synthetic import draw_labels, draw_picture
from napari_scribseg.train.targets import choose_object, choose_region, typical_width
from napari_scribseg.train.training_samples import SampleOptions, TrainingSamples, loader


@pytest.fixture
def samples(pack):
    return TrainingSamples(pack, ["grey", "colour"], 3, SampleOptions(size=48))


def arrays(sample):
    return Batch(*(part.numpy() for part in sample))


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_sample_depends_on_its_number_and_the_seed_only(pack, samples):
    late = samples[7]
    again = TrainingSamples(pack, ["colour", "grey"], 3, SampleOptions(size=48))
    assert equal(again[7], late)
    assert not equal(again[8], late)
    assert not equal(TrainingSamples(pack, ["colour", "grey"], 4, SampleOptions(size=48))[7], late)


def test_the_share_of_augmented_samples_rises(pack, monkeypatch):
    bent = []

    def noted(box, shape, size, options, rng):
        bent.append(options.turned > 0 and options.bent > 0 and options.angle > 0 and options.stretch > 1)
        return draw_warp(box, shape, size, options, rng)

    monkeypatch.setattr("napari_scribseg.train.training_samples.draw_warp", noted)
    options = SampleOptions(size=48, synthetic=0, superpixels=0, ramp=10_000)
    samples = TrainingSamples(pack, ["grey"], 3, options)

    def share(numbers):
        bent.clear()
        for number in numbers:
            before = len(bent)
            image = samples[number].image
            if not bent[before]:  # the intensities of the picture, from 45 to 205 of 255
                assert -0.66 < image.min() < image.max() < 0.62
        return np.mean(bent)

    assert share(range(20)) == 0
    assert 0.3 < share(range(4970, 5030)) < 0.7
    assert share(range(10_000, 10_020)) == 1
    assert equal(samples[10_000], TrainingSamples(pack, ["grey"], 3, replace(options, ramp=0))[10_000])


def test_published_scribbles_have_the_pen_of_the_paper():
    options, rng = DrawingOptions(published=True, negative=0, radius=(0.25, 0.5), whole=0), np.random.default_rng(0)
    assert draw_style(options, rng) == ScribbleStyle(radius=2.0, torn_share=0.2, outside="pen")
    for _ in range(10):
        stroke_map = draw_stroke_map(OBJECT, options, rng)
        wide = ndimage.binary_opening(stroke_map == 1, np.hypot(*np.mgrid[-1:2, -1:2]) < 1.5)
        assert wide.any()
        assert not (stroke_map < 0).any()


def test_samples_are_sound(samples):
    for index in range(150):
        sample = arrays(samples[index])
        assert sample.image.shape == (3, 48, 48)
        assert sample.image.dtype == np.float32
        assert np.isfinite(sample.image).all()
        assert np.abs(sample.image).max() <= 1
        assert 0.003 <= sample.target.mean() <= 0.9
        assert (sample.stroke_map == 1).any()
        assert not (sample.stroke_map == -1)[sample.target].any()


def test_strokes_lie_in_the_object(discs):
    target = discs(0)[1] > 0
    rng = np.random.default_rng(0)
    for _ in range(60):
        stroke_map = draw_stroke_map(target, DrawingOptions(negative=0.5), rng)
        assert (stroke_map[target] == 1).any()
        assert not (stroke_map == -1)[target].any()
        # the paper lets a line leave the object between two points whose connection leaves it; discs do not
        assert not (stroke_map == 1)[~target].any()


OBJECT = np.zeros((32, 40), dtype=bool)
OBJECT[8:21, 10:27] = True
OBJECT[5, 14] = OBJECT[12, 31] = True


def test_a_box_is_the_outline_around_the_object():
    exact = DrawingOptions(radius=(0.5, 0.5), prompt="box", slack=0)
    expected = np.zeros(OBJECT.shape, dtype=np.int8)
    expected[5:21, 10:32] = 1
    expected[6:20, 11:31] = 0
    np.testing.assert_array_equal(draw_stroke_map(OBJECT, exact, np.random.default_rng(0)), expected)
    thick = draw_stroke_map(OBJECT, replace(exact, radius=(2, 2)), np.random.default_rng(0))
    np.testing.assert_array_equal(thick == 1, ndimage.distance_transform_edt(expected == 0) <= 2)
    whole = draw_stroke_map(np.ones((9, 9), dtype=bool), replace(exact, slack=3), np.random.default_rng(0))
    assert (whole == 1).sum() >= 4 * 2  # clipped to the crop, it is still there


def test_a_box_lies_off_by_no_more_than_the_slack():
    options = DrawingOptions(radius=(0.5, 0.5), prompt="box", slack=2)
    found = [np.argwhere(draw_stroke_map(OBJECT, options, np.random.default_rng(seed))) for seed in range(80)]
    ends = np.asarray([[*pixels.min(axis=0), *pixels.max(axis=0)] for pixels in found]) - (5, 10, 20, 31)
    assert ends.min(axis=0).tolist() == [-2] * 4
    assert ends.max(axis=0).tolist() == [2] * 4


@pytest.mark.parametrize("slack", [0, 2])
def test_extreme_points_lie_on_the_object_at_its_sides(slack):
    options = DrawingOptions(radius=(0.5, 0.5), prompt="extreme-points", slack=slack)
    for seed in range(30):
        pixels = np.argwhere(draw_stroke_map(OBJECT, options, np.random.default_rng(seed)))
        assert OBJECT[tuple(pixels.T)].all()
        assert 3 <= len(pixels) <= 4
        assert (pixels.min(axis=0) - (5, 10) <= slack).all()
        assert ((20, 31) - pixels.max(axis=0) <= slack).all()
    dots = draw_stroke_map(OBJECT, replace(options, radius=(2, 2), slack=0), np.random.default_rng(0))
    assert (dots[3:8, 14] == 1).all()
    assert ndimage.label(dots)[1] == 4


@pytest.mark.parametrize("prompt", ["box", "extreme-points"])
def test_a_prompt_is_drawn_with_pens_of_many_widths_and_never_off_the_object(prompt, discs):
    target, rng = discs(0)[1] > 0, np.random.default_rng(0)
    drawn = [draw_stroke_map(target, DrawingOptions(prompt=prompt, negative=1), rng) for _ in range(20)]
    assert {tuple(np.unique(stroke_map)) for stroke_map in drawn} == {(0, 1)}
    assert len({(stroke_map == 1).sum() for stroke_map in drawn}) > 3
    assert not draw_stroke_map(np.zeros((8, 8), dtype=bool), DrawingOptions(prompt=prompt), rng).any()


def test_options_choose_what_samples_are_made_of(pack):
    only = SampleOptions(size=48, synthetic=0, superpixels=0, background=0, vary=False)
    plain = TrainingSamples(pack, ["grey"], 0, only)
    for index in range(20):
        sample = arrays(plain[index])
        assert sample.image[0][sample.target].mean() > 0.1 > sample.image[0][~sample.target].mean()
    unknown = TrainingSamples(pack, ["cells"], 0, only)
    assert any(not unknown[index].valid.all() for index in range(20))
    made_up = TrainingSamples(pack, ["grey"], 0, replace(only, synthetic=1))
    assert made_up[0].valid.all()


def test_weights_of_sources(pack):
    some = TrainingSamples(pack, ["grey", "colour"], 0, SampleOptions(weights={"grey": 3.0, "colour": 1.0}))
    np.testing.assert_allclose(some.weights, [0.25, 0.75])


def test_unknown_sources_and_no_objects_are_reported(pack):
    with pytest.raises(InputError, match="the pack has no source moon; it has cells, colour, grey"):
        TrainingSamples(pack, ["moon"], 0)
    with pytest.raises(InputError, match="no source to train on"):
        TrainingSamples(pack, [], 0)
    none = TrainingSamples(
        pack, ["grey"], 0, SampleOptions(size=32, synthetic=0, superpixels=0, smallest=0.89, largest=0.9)
    )
    with pytest.raises(InputError, match="no usable object was found"):
        none[0]


def test_processes_share_each_batch(samples):
    whole = list(loader(samples, 2, 4, 4, 0))
    parts = [list(loader(samples, 2, 4, 4, 0, (rank, 2))) for rank in (0, 1)]
    assert len(whole) == 2
    for step in range(2):
        for k in range(4):
            torch.testing.assert_close(torch.cat([parts[0][step][k], parts[1][step][k]]), whole[step][k])
    assert torch.equal(whole[0][0][1], samples[9][0])
    with pytest.raises(InputError, match="cannot be shared by 3 processes"):
        loader(samples, 0, 1, 4, 0, (0, 3))


def test_workers_draw_the_same(samples):
    alone, helped = (list(loader(samples, 0, 2, 3, n)) for n in (0, 1))
    for a, b in zip(alone, helped, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_crop_shows_the_picture_where_it_lies():
    side = 40
    ramp = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1).astype(np.uint8)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        options = WarpOptions(context=(0.5, 1.2), smallest=8, turned=0.5, bent=0.5)
        warp = draw_warp((12.0, 14.0, 12.0, 10.0), (40, 40), 24, options, rng)
        inside = ((warp.at > 1) & (warp.at < side - 2)).all(axis=0)
        assert inside.any()
        np.testing.assert_allclose(resample(ramp, warp)[:, inside], warp.at[:, inside], atol=0.02)


def test_a_crop_stays_in_the_picture_where_it_must():
    options = WarpOptions(context=(1, 4), largest=1, rim=0, turned=0, angle=0, stretch=1, bent=0)
    for seed in range(30):
        at = draw_warp((0.0, 50.0, 20.0, 10.0), (50, 60), 16, options, np.random.default_rng(seed)).at
        height, width = (np.ptp(axis) * 16 / 15 for axis in at)
        assert width <= 60.01
        assert at[1].min() > -1
        assert at[1].max() < 60
        if height <= 50:
            assert at[0].min() > -1
            assert at[0].max() < 50


def test_a_coarse_view_averages_and_stays_aligned():
    picture = np.random.default_rng(0).integers(0, 81, (128, 128, 1)).astype(np.uint8)
    picture[:, 64:] += 160
    options = WarpOptions(context=(1, 1.0001), shift=0, turned=0, angle=0, stretch=1, bent=0)
    warp = draw_warp((0.0, 0.0, 128.0, 128.0), (128, 128), 32, options, np.random.default_rng(1))
    seen = resample(picture, warp)[0] / 80
    assert seen.std(axis=0).mean() < 0.12  # of single pixels 0.29
    left = warp.at[1] < 60
    np.testing.assert_allclose(seen[left].mean(), 0.5, atol=0.05)
    np.testing.assert_allclose(seen[warp.at[1] > 68].mean(), 2.5, atol=0.05)


def test_image_and_labels_see_the_same(discs):
    image, truth = discs(1)
    channels = np.stack((image, 255 * (truth > 0)), axis=-1).astype(np.uint8)
    for seed in range(10):
        warp = draw_warp((10.0, 12.0, 30.0, 30.0), truth.shape, 48, WarpOptions(), np.random.default_rng(seed))
        seen = resample(channels, warp)
        assert np.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1] > 0.9


def test_intensities_stay_finite_even_of_flat_pictures():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        for channels in (
            np.full((1, 24, 24), 0.5, np.float32),
            np.zeros((3, 24, 24), np.float32),
            rng.random((3, 24, 24)),
        ):
            seen = vary_intensities(np.asarray(channels, np.float32), rng)
            assert seen.shape == (3, 24, 24)
            assert seen.dtype == np.float32
            assert np.isfinite(seen).all()
            assert np.abs(seen).max() <= 1
    assert unchanged(np.ones((1, 2, 2), np.float32)).tolist() == np.ones((3, 2, 2)).tolist()


def test_made_up_pictures():
    kinds = set()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        labels = draw_labels(40, rng)
        kinds.add(int(labels.max()))
        assert labels.shape == (40, 40)
        assert labels.min() >= 0
        channels, _ = draw_picture(40, rng)
        assert channels.shape[1:] == (40, 40)
        assert np.isfinite(channels).all()
        assert 0 <= channels.min() <= channels.max() <= 1
    assert len(kinds) > 5


def test_regions_are_connected_and_follow_edges():
    channels = np.zeros((1, 40, 40), np.float32)
    channels[:, 10:30, 5:25] = 0.8
    channels += np.random.default_rng(0).normal(0, 0.01, channels.shape).astype(np.float32)
    regions = felzenszwalb_regions(channels, 200, 0.5, 20)
    inside = regions[12:28, 7:23]
    assert (inside == inside[0, 0]).all()
    assert inside[0, 0] not in regions[:8]
    for region in range(regions.max() + 1):
        assert ndimage.label(regions == region)[1] == 1
        assert (regions == region).sum() >= 20
    coarse = felzenszwalb_regions(
        channels + np.random.default_rng(1).random((1, 40, 40)).astype(np.float32), 900, 0.5, 20
    )
    fine = felzenszwalb_regions(channels + np.random.default_rng(1).random((1, 40, 40)).astype(np.float32), 20, 0.5, 20)
    assert coarse.max() < fine.max()
    three = np.repeat(channels, 3, axis=0)
    np.testing.assert_array_equal(felzenszwalb_regions(three, 200, 0.5, 20), regions)


def test_objects_are_chosen_by_kind(pack):
    item = next(i for i in pack.items if i.source == "cells")
    labels = pack.load(item)[1]
    rng = np.random.default_rng(0)
    found = {tuple(np.unique(labels[choose_object(item, labels, rng, 0.2)])) for _ in range(80)}
    assert found == {(0,), (1,), (2,), (1, 2)}
    assert choose_object(item, np.zeros_like(labels), rng) is None
    assert choose_region(np.zeros((20, 20), np.int32), rng) is None


def test_clicks_are_single_pixels_on_the_object_and_near_it():
    target = np.zeros((64, 64), dtype=bool)
    target[20:40, 24:44] = True
    away = ndimage.distance_transform_edt(~target)
    options, counts = DrawingOptions(prompt="clicks"), []
    for seed in range(40):
        stroke_map = draw_stroke_map(target, options, np.random.default_rng(seed))
        assert target[stroke_map == 1].all()
        assert (away[stroke_map == -1] >= 5).all()
        counts.append(((stroke_map == 1).sum(), (stroke_map == -1).sum()))
    assert np.min(counts, axis=0).tolist() == [1, 0]
    assert np.max(counts, axis=0).tolist() == [10, 10]


def test_some_samples_of_clicks_start_with_a_single_one_in_the_middle():
    target = np.zeros((64, 64), dtype=bool)
    target[20:41, 24:45] = True
    options = DrawingOptions(prompt="clicks", single=0.5)
    found = [draw_stroke_map(target, options, np.random.default_rng(seed)) for seed in range(60)]
    middle = [stroke_map[30, 34] == 1 and np.count_nonzero(stroke_map) == 1 for stroke_map in found]
    assert 15 < sum(middle) < 45
    assert max(np.count_nonzero(stroke_map) for stroke_map in found) > 10


def test_some_samples_have_dots_of_the_pen():
    target = np.zeros((64, 64), dtype=bool)
    target[10:50, 12:52] = True
    options, on, off = DrawingOptions(radius=(0.5, 0.5), dots=1), [], []
    for seed in range(60):
        stroke_map = draw_stroke_map(target, options, np.random.default_rng(seed))
        assert target[stroke_map == 1].all()
        assert not target[stroke_map == -1].any()
        on.append(ndimage.label(stroke_map == 1)[1])
        off.append(ndimage.label(stroke_map == -1)[1])
    assert min(on) >= 1
    assert max(on) > 12
    assert min(off) == 0
    assert max(off) > 4
    without = [draw_stroke_map(target, DrawingOptions(dots=share), np.random.default_rng(3)) for share in (0, 1e-9)]
    assert (without[0] != 0).any()
    assert ndimage.label(without[1] == 1)[1] <= 7  # scribbles


def test_without_a_prompt_all_objects_are_to_be_found(pack):
    options = SampleOptions(
        size=48, synthetic=0, superpixels=0, background=0, vary=False, drawing=DrawingOptions(prompt="none")
    )
    found = [arrays(TrainingSamples(pack, ["cells"], 0, options)[index]) for index in range(12)]
    assert not any(sample.stroke_map.any() for sample in found)
    for sample in found:  # every object is bright, whatever its number
        valid = sample.valid & (np.abs(sample.image[0]) > 0.1)
        assert (sample.target == (sample.image[0] > 0))[valid].mean() > 0.95


def test_a_part_of_the_picture_shows_the_same_as_all_of_it():
    picture = np.random.default_rng(0).integers(0, 256, (90, 110, 2)).astype(np.uint8)
    alone = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        at = rng.uniform(0, 80, 2)
        warp = draw_warp((*at, 12.0, 10.0), (90, 110), 32, WarpOptions(smallest=8, turned=0.5, bent=0.5), rng)
        (rows, columns), near = needed_part(warp, (90, 110))
        part = picture[rows, columns]
        alone += part.size < picture.size / 2
        assert near.scale == warp.scale
        np.testing.assert_allclose(resample(part, near), resample(picture, warp), atol=0.51)  # averages are rounded
    assert alone > 15


def test_thin_structures_are_seen_from_near(tmp_path):
    truth = np.zeros((300, 300), dtype=np.int32)
    truth[40:260:40, 20:280] = truth[20:280, 60:62] = 1
    truth[41:261:40, 20:280] = 1
    image = (truth * 150 + 50).astype(np.uint8)
    lines = DataSet(
        "lines", "lines", "CC0", True, False, ("a",), lambda name: Case(name, image, truth, (1.0, 1.0), "a", "lines")
    )
    pack = write_pack(tmp_path / "lines.pack", [lines])
    plain = SampleOptions(synthetic=0, superpixels=0, background=0)

    def width(thin):
        samples = TrainingSamples(pack, ["lines"], 0, replace(plain, thin=thin))
        return np.median([typical_width(samples[i].target.numpy()) for i in range(30)])

    assert width(0.0) < 1.5  # the whole tree in one crop
    assert 2.5 < width(1.0) < 6


def test_the_width_of_a_ribbon():
    mask = np.zeros((200, 200), dtype=bool)
    assert typical_width(mask) == 0
    y, x = np.mgrid[:200, :200]
    mask[np.abs((x - y) / np.sqrt(2)) < 3] = True
    assert typical_width(mask) == pytest.approx(6, rel=0.3)


def test_pictures_are_made_up_from_label_maps(tmp_path):
    truth = np.zeros((120, 100), dtype=np.int32)
    truth[20:60, 20:50], truth[60:100, 20:50], truth[20:100, 50:80] = 1, 2, 7
    maps = DataSet(
        "maps", "maps", "CC0", True, False, ("m",),
        lambda name: Case(name, truth.astype(np.uint8), truth, (1.0, 1.0), "m", "maps"), labels_only=True,
    )  # fmt: skip
    pack = write_pack(tmp_path / "maps.pack", [maps])
    assert pack.items[0].labels_only
    samples = TrainingSamples(pack, ["maps"], 0, SampleOptions(size=64, synthetic=0, superpixels=0.5, vary=False))
    drawn = [arrays(samples[i]) for i in range(20)]
    shades = {round(float(s.image[0][s.target].mean()), 2) for s in drawn}
    assert len(shades) > 10  # each time other intensities
    assert all(0.003 <= s.target.mean() <= 0.9 for s in drawn)


def test_some_strokes_are_painted_as_people_do(discs):
    _, truth = discs(1)
    target = truth > 0
    painted = DrawingOptions(painted=1.0, loose=1.0)
    spilled = [
        ((s == 1) & ~target).any()
        for s in (draw_stroke_map(target, painted, np.random.default_rng(i)) for i in range(40))
    ]
    careful = replace(painted, loose=0.0)
    assert np.mean(spilled) > 0.2
    assert not any(
        ((s == 1) & ~target).any()
        for s in (draw_stroke_map(target, careful, np.random.default_rng(i)) for i in range(40))
    )


def test_strokes_on_thin_lines_mostly_run_over_their_border():
    target = np.zeros((64, 64), dtype=bool)
    target[30:32, 4:60] = True
    options = DrawingOptions(painted=0.1, loose=0.1, broad=(2.0, 4.0))
    over = [
        ((s == 1) & ~target).any()
        for s in (draw_stroke_map(target, options, np.random.default_rng(i)) for i in range(80))
    ]
    assert 0.55 < np.mean(over) < 0.9  # 0.8 of them painted, 0.9 of these loose


def test_lines_over_a_picture_differ_from_what_lies_beside_them():
    found = 0
    for i in range(60):
        channels, labels = draw_picture(64, np.random.default_rng(i))
        if labels.max() != 1 or not 0 < typical_width(labels == 1) < 8:
            continue
        beside = ndimage.binary_dilation(labels == 1, iterations=3) & (labels == 0)
        found += abs(channels[:, labels == 1].mean() - channels[:, beside].mean()) > 0.02
    assert found > 12
