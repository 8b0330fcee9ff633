import copy
import csv
import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from napari_scribseg.core import InputError
from napari_scribseg.engines.scribble_net.networks import open_network
from napari_scribseg.kernel.checkpoint import latest, read_checkpoint
from napari_scribseg.nets import build, load_model
from napari_scribseg.nets.average import Average
from napari_scribseg.simulate import bounding_box
from napari_scribseg.train.batches import all_predictions, corrected, predictions
from napari_scribseg.train.first_strokes import DrawingOptions, Prompt
from napari_scribseg.train.loop import first_network, train, training_sources
from napari_scribseg.train.losses import dice_scores, segmentation_loss
from napari_scribseg.train.machine import Machine, computes_bfloat16, make_fabric
from napari_scribseg.train.run_log import RunLog
from napari_scribseg.train.settings import Settings
from napari_scribseg.train.training_samples import TrainingSamples
from napari_scribseg.train.validate import Validation

MACHINE = Machine(device="cpu", workers=0, threads=1, checkpoint=1e6, validation=1e6, rows=2)


@pytest.fixture
def go(pack, tmp_path):
    """Train in a folder of ``tmp_path``."""

    def run(settings, name="run", machine=MACHINE, **options):
        out = tmp_path / name
        out.mkdir(exist_ok=True)
        fabric = make_fabric(machine, settings.precision)
        fabric.launch()
        return train(settings, pack, out, fabric, machine, **options), out

    return run


def weights(path):
    return load_model(path)[0].state_dict()


def losses(out):
    return [line.split(",")[3] for line in (out / "steps.csv").read_text().splitlines()[1:]]


def test_a_resumed_run_is_the_straight_run_bit_for_bit(go, tiny):
    settings = tiny(samples=48, corrections=2)
    straight, a = go(settings, "a")
    half, b = go(settings, "b", until=6)
    assert (half.step, half.finished) == (6, False)
    resumed, _ = go(settings, "b")
    assert straight.step == resumed.step == 12
    assert resumed.finished
    assert straight.scores == resumed.scores
    assert losses(a) == losses(b)
    for name in ("model.safetensors", "average.safetensors"):
        one, two = (weights(latest(out / "checkpoints") / name) for out in (a, b))
        assert all(torch.equal(one[key], two[key]) for key in one)
    states = [read_checkpoint(latest(out / "checkpoints")).optimizer["state"] for out in (a, b)]
    for index, entry in states[0].items():
        assert all(torch.equal(value, states[1][index][key]) for key, value in entry.items())


def test_a_run_starts_from_the_weights_of_another(go, tiny):
    _, first = go(tiny(samples=16), "a")
    valid = first / "weights.safetensors"
    again = first_network(tiny(start=str(valid)))
    assert all(torch.equal(value, weights(valid)[key]) for key, value in again.state_dict().items())
    result, second = go(tiny(samples=16, start=str(valid), seed=5), "b")
    assert result.finished
    different = weights(second / "weights.safetensors")
    assert any(not torch.equal(value, different[key]) for key, value in weights(valid).items())


def test_weights_to_start_from_that_do_not_fit_are_reported(go, tiny, tmp_path):
    _, first = go(tiny(samples=4), "a")
    with pytest.raises(InputError, match=r"weights.safetensors holds a plain-unet of .*; to start from it"):
        first_network(tiny(start=str(first / "weights.safetensors"), config={"channels": (4,)}))
    with pytest.raises(InputError, match="none.safetensors are missing"):
        first_network(tiny(start=str(tmp_path / "none.safetensors")))


def test_workers_change_nothing(go, tiny):
    settings = tiny(samples=16)
    _, alone = go(settings, "a")
    _, helped = go(settings, "b", Machine("cpu", workers=1, threads=1, rows=2))
    assert losses(alone) == losses(helped)
    one, two = (weights(out / "weights.safetensors") for out in (alone, helped))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_the_loss_falls_on_few_objects(go, tiny, monkeypatch):
    draw = TrainingSamples.__getitem__
    monkeypatch.setattr(TrainingSamples, "__getitem__", lambda self, index: draw(self, index % 4))
    settings = tiny(samples=240, iterative=0, synthetic=0, superpixels=0, rate=1e-2)
    _, out = go(settings)
    values = [float(v) for v in losses(out)]
    assert np.mean(values[-5:]) < 0.6 * values[0]
    dice = [float(line.split(",")[4]) for line in (out / "steps.csv").read_text().splitlines()[1:]]
    assert np.mean(dice[-5:]) > dice[0] + 0.1


def test_what_a_run_leaves(go, tiny):
    result, out = go(tiny(samples=24))
    assert result.finished
    assert {p.name for p in out.iterdir()} >= {"steps.csv", "validation.csv", "weights.safetensors", "best.safetensors"}
    model, card = load_model(out / "weights.safetensors")
    assert model.config.channels == (6, 8)
    assert card["data"] == "colour, grey"
    assert card["validated on"] == "cells"
    assert "after one correction" in card["dice"]
    assert "CC0" in card["licences"]
    with Picture.open(out / "pictures" / "step-000000006.png") as picture:
        assert picture.size == (5 * 32, 3 * 32)
    rows = (out / "validation.csv").read_text().splitlines()
    assert [row.split(",")[2] for row in rows[1:]] == ["cells", "mean"]


@pytest.mark.parametrize("prompt", ["scribbles", "clicks", "box", "extreme-points", "none"])
def test_a_run_follows_its_prompt(go, tiny, prompt, monkeypatch):
    correction_map = []
    monkeypatch.setattr("napari_scribseg.train.loop.corrected", lambda *a: correction_map.append(1) or corrected(*a))
    result, out = go(tiny(samples=8, iterative=1, prompt=prompt))
    corrects = prompt in ("scribbles", "clicks")
    assert len(correction_map) == (2 if corrects else 0)
    assert len(result.scores) == (2 if corrects else 1)
    card = load_model(out / "best.safetensors")[1]
    assert card["prompt"] == prompt
    assert card["dice"].endswith("after one correction" if corrects else "after the prompt")
    with (out / "validation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == ["cells", "mean"]
    assert [bool(row["corrected"]) for row in rows] == [corrects] * 2
    assert all(float(row["first"]) >= 0 for row in rows)
    with Picture.open(out / "pictures" / "step-000000002.png") as picture:
        assert picture.size == ((5 if corrects else 3) * 32, 3 * 32)


def test_a_click_is_corrected_by_one_on_the_larger_error():
    target = np.zeros((1, 32, 32), dtype=bool)
    target[0, 8:24, 8:24] = True
    stroke_map = np.zeros((1, 32, 32), dtype=np.int8)
    stroke_map[0, 10, 10] = 1
    predicted = np.zeros((1, 32, 32), dtype=np.float32)
    predicted[0, 8:12, 8:24] = 1  # the lower three quarters are missing
    batch = (torch.zeros(1, 3, 32, 32), torch.from_numpy(target), torch.ones(1, 32, 32, dtype=torch.bool))
    correction_map = corrected(
        torch.from_numpy(predicted), (*batch, torch.from_numpy(stroke_map)), [[0]], DrawingOptions(prompt="clicks")
    )
    added = np.argwhere(correction_map.numpy() != stroke_map)
    assert len(added) == 1
    assert correction_map[tuple(added[0])] == 1
    _, row, column = added[0]
    assert 16 <= row <= 19
    assert 13 <= column <= 18  # as far as can be from the border of what is missing
    everywhere = corrected(torch.ones(1, 32, 32), (*batch, correction_map), [[0]], DrawingOptions(prompt="clicks"))
    added = np.argwhere(everywhere.numpy() != correction_map.numpy())
    assert len(added) == 1
    assert everywhere[tuple(added[0])] == -1
    right = corrected(
        torch.from_numpy(target).float(), (*batch, correction_map), [[0]], DrawingOptions(prompt="clicks")
    )
    assert torch.equal(right, correction_map)


def test_the_engine_takes_scribbles_only(go, tiny):
    _, out = go(tiny(samples=4, prompt="extreme-points"))
    expected = r"^the network in weights\.safetensors takes 'extreme-points'; one that takes scribbles is expected$"
    with pytest.raises(InputError, match=expected):
        open_network(str(out / "weights.safetensors"), "cpu")


def test_a_run_saves_and_ends_on_request(go, tiny):
    calls = []

    def stopped():
        calls.append(1)
        return len(calls) == 3

    result, out = go(tiny(), stopped=stopped)
    assert (result.step, result.finished) == (3, False)
    assert latest(out / "checkpoints").name == "step-000000003"
    frequent = Machine("cpu", workers=0, threads=1, checkpoint=0, validation=0, rows=1)
    _, out = go(tiny(samples=20), "often", frequent)
    assert [p.name for p in sorted((out / "checkpoints").iterdir())] == ["step-000000004", "step-000000005"]
    assert len((out / "validation.csv").read_text().splitlines()) == 1 + 2 * 5


def test_steps_without_a_finite_gradient_change_nothing(go, tiny, monkeypatch):
    from napari_scribseg.train import loop

    monkeypatch.setattr(loop, "segmentation_loss", lambda logits, *_, **__: logits.mean((1, 2)) * float("nan"))
    monkeypatch.setattr(loop, "_MOST_SKIPPED", 100)
    settings = tiny(samples=12)
    _, out = go(settings)
    torch.manual_seed(settings.seed)
    fresh = build(settings.architecture, settings.config)
    kept = weights(latest(out / "checkpoints") / "model.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in fresh.named_parameters())
    monkeypatch.setattr(loop, "_MOST_SKIPPED", 2)
    with pytest.raises(InputError, match="2 steps in a row had no finite gradient"):
        go(settings, "b")


def test_damaged_checkpoints_are_reported(go, tiny):
    _, out = go(tiny(samples=8))
    path = latest(out / "checkpoints")
    state = path / "optimizer.pt"
    content = state.read_bytes()
    for broken in (b"", content[:100], b"x" * 50):
        state.write_bytes(broken)
        with pytest.raises(InputError, match=r"optimizer\.pt is missing or damaged"):
            go(tiny(samples=8))
    torch.save({"step": 1, "best": 0.0, "optimizer": {}}, state)
    with pytest.raises(InputError, match="belong to different steps"):
        read_checkpoint(path)
    torch.save({"step": torch.nn.Linear(1, 1), "best": 0.0, "optimizer": {}}, state)  # would run code
    with pytest.raises(InputError, match="missing or damaged"):
        read_checkpoint(path)


def test_validation_is_the_same_each_time(pack):
    torch.manual_seed(0)
    model = build("plain-unet", {"channels": (6, 8)}).eval()
    scores = [Validation(pack, ["cells", "grey"], 4, 32).run(model, 11, pictures=True) for _ in range(2)]
    assert scores[0].sources == scores[1].sources
    assert set(scores[0].sources) == {"cells", "grey"}
    np.testing.assert_array_equal(scores[0].pictures, scores[1].pictures)
    assert scores[0].pictures.shape == (6 * 32, 5 * 32, 3)
    np.testing.assert_allclose(scores[0].mean, np.mean(list(scores[0].sources.values()), axis=0))
    with pytest.raises(InputError, match="no source moon"):
        Validation(pack, ["moon"], 4, 32)


def test_validation_shows_the_same_objects_whatever_the_prompt(pack):
    drawn = {p: Validation(pack, ["cells"], 4, 32, p).batches["cells"][0] for p in get_args(Prompt) if p != "none"}
    for image, target, valid, stroke_map in drawn.values():
        torch.testing.assert_close((image, target, valid), drawn["scribbles"][:3])
        assert (stroke_map == 1).any((1, 2)).all()
    _, target, _, boxes = drawn["box"]
    points = drawn["extreme-points"][3]
    for k, mask in enumerate(target):
        top, left, bottom, right = bounding_box(mask.numpy())
        assert boxes[k, [top, top, bottom, bottom], [left, right, left, right]].tolist() == [1] * 4
        sides = points[k, [top, bottom]].any(1).tolist() + points[k, :, [left, right]].any(0).tolist()
        assert all(sides)
        assert ((points[k] == 1) & mask).any()


def test_validation_of_a_perfect_and_of_an_empty_prediction(pack):
    class Perfect(torch.nn.Module):
        def forward(self, x):  # the objects are the bright places
            return torch.where(x[:, :1] > 0, 9.0, -9.0)

    class Empty(torch.nn.Module):
        def forward(self, x):
            return x[:, :1] * 0 - 9

    validation = Validation(pack, ["grey"], 6, 48)
    assert min(validation.run(Perfect(), 6).mean) > 0.85  # a crop may show the other disc too
    assert max(validation.run(Empty(), 6).mean) == 0


def test_a_correction_goes_where_the_prediction_is_wrong(pack):
    validation = Validation(pack, ["cells"], 4, 48)
    (batch,) = validation.batches["cells"]
    image, target, valid, stroke_map = batch
    seeds = [[i] for i in range(4)]
    missed = corrected(torch.zeros(4, 48, 48), batch, seeds, validation.drawing)
    assert torch.equal(missed, corrected(torch.zeros(4, 48, 48), batch, seeds, validation.drawing))
    assert ((missed == 1) & ~target).sum() == 0
    assert ((missed == 1).sum((1, 2)) >= (stroke_map == 1).sum((1, 2))).all()
    surplus = corrected(torch.ones(4, 48, 48), batch, seeds, validation.drawing)
    assert ((surplus == -1).sum((1, 2)) > 0).all()
    assert not ((surplus == -1) & target).any()
    right = corrected(target.float(), batch, seeds, validation.drawing)
    assert torch.equal(right, stroke_map)
    nothing_valid = (image, target, torch.zeros_like(valid), stroke_map)
    assert torch.equal(
        corrected(torch.full((4, 48, 48), float("nan")), nothing_valid, seeds, validation.drawing), stroke_map
    )


def test_average_of_weights():
    model = build("plain-unet", {"channels": (4,)})
    average = Average(model, copy.deepcopy(model), 0.9)
    before = average.model.head.bias.clone()
    with torch.no_grad():
        model.head.bias += 1
        model.down[0][1].running_mean += 2
    average.update(0)  # decay 0.1 at the first step
    torch.testing.assert_close(average.model.head.bias, before + 0.9)
    torch.testing.assert_close(average.model.down[0][1].running_mean, torch.full((4,), 1.8))
    average.update(1000)
    torch.testing.assert_close(average.model.head.bias, before + 0.9 + 0.1 * 0.1)
    assert not average.model.training


def test_loss_counts_valid_pixels_of_each_sample_alone():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 8, 8), torch.rand(2, 8, 8) > 0.5
    valid = torch.ones_like(target)
    valid[0, 4:] = False
    both = segmentation_loss(logits, target, valid)
    wild = torch.where(valid, logits, 50.0)
    torch.testing.assert_close(segmentation_loss(wild, target, valid), both)
    torch.testing.assert_close(segmentation_loss(logits[1:], target[1:], valid[1:]), both[1:])
    sure = torch.where(target, 50.0, -50.0)
    torch.testing.assert_close(segmentation_loss(sure, target, valid), torch.zeros(2))
    assert torch.isfinite(segmentation_loss(logits, target, torch.zeros_like(valid))).all()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits[1], target[1].float())
    torch.testing.assert_close(segmentation_loss(logits, target, valid, dice=False)[1], entropy)
    assert dice_scores(target, target, valid).tolist() == [1, 1]
    assert dice_scores(~target, target, valid).tolist() == [0, 0]
    assert dice_scores(target, target, torch.zeros_like(valid)).tolist() == [1, 1]


def test_log_drops_what_comes_after_the_step_it_goes_on_from(tmp_path):
    log = RunLog(tmp_path, 0)
    for step in (5, 10):
        log.steps(step=step, samples=step, seconds=step, loss=1.0, dice=0.5, rate=0.1, samples_per_second=2.0)
        log.validation(step, step, {"a": (0.5, 0.6)})
    log.close()
    with (tmp_path / "steps.csv").open("a") as file:
        file.write("11,1")  # cut off by a crash
    log = RunLog(tmp_path, 5)
    log.close()
    assert log.seconds == 5
    assert [line.split(",")[0] for line in (tmp_path / "steps.csv").read_text().splitlines()] == ["step", "5"]
    assert (tmp_path / "validation.csv").read_text().splitlines()[1:] == ["5,5,a,0.5,0.6"]


def test_learning_rate_rises_and_falls():
    settings = Settings(samples=1000, batch=10, warm_up=100, rate=1.0)
    rates = [settings.learning_rate(step) for step in range(settings.steps)]
    assert np.argmax(rates) == 10
    assert (np.diff(rates[:11]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] < 0.02
    assert Settings(samples=11, batch=10).steps == 2


def test_learning_rate_stays_until_the_cooldown():
    settings = Settings(samples=1000, batch=10, warm_up=100, rate=1.0, cooldown=0.2)
    rates = np.asarray([settings.learning_rate(step) for step in range(settings.steps)])
    assert (rates[10:81] == 1).all()
    assert (np.diff(rates[80:]) < 0).all()
    assert rates[-1] < 0.02
    longer = Settings(samples=2000, batch=10, warm_up=100, rate=1.0, cooldown=0.2)
    np.testing.assert_array_equal(rates[:80], [longer.learning_rate(step) for step in range(80)])


def test_corrections_come_in_their_share_of_the_steps():
    settings = Settings(iterative=0.3, corrections=3)
    counts = np.bincount([settings.n_corrections(step) for step in range(3000)], minlength=4) / 3000
    np.testing.assert_allclose(counts, [0.7, 0.1, 0.1, 0.1], atol=0.03)
    assert not any(Settings(iterative=0).n_corrections(step) for step in range(50))
    assert not any(Settings(iterative=1, prompt="box").n_corrections(step) for step in range(50))


@pytest.mark.parametrize(("unchanged", "kept"), [(1.0, True), (0.0, False)])
def test_a_share_of_the_corrections_draws_nothing(go, tiny, monkeypatch, unchanged, kept):
    before, after = [], []

    def noting(work, where):
        return lambda model, image, stroke_map, *rest: (
            where.append(stroke_map.clone()) or work(model, image, stroke_map, *rest)
        )

    monkeypatch.setattr("napari_scribseg.train.loop.predictions", noting(predictions, before))
    monkeypatch.setattr("napari_scribseg.train.loop.all_predictions", noting(all_predictions, after))
    go(tiny(samples=8, iterative=1, unchanged=unchanged))
    assert len(before) == len(after) == 2
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)) is kept


def test_settings_as_text():
    settings = Settings(seed=4, weights={"a": 2.0})
    assert Settings.from_json(settings.to_json()) == settings
    assert settings.validation == ("ct_spleen_msd", "mr_spine_spider", "usiigaci_phase", "us_carotid")
    for text in ("", "[]", '{"moon": 1}', '{"samples": "x"}', '{"weights": 3}', '{"config": []}', "[" * 100_000):
        with pytest.raises(InputError, match="expected"):
            Settings.from_json(text)
    older = json.loads(settings.to_json())
    assert older["samples"] == 1_000_000
    assert older.pop("prompt") == "scribbles"
    assert Settings.from_json(json.dumps(older)) == settings
    del older["unchanged"], older["dots"]  # a run that began without them goes on without them
    assert Settings.from_json(json.dumps(older)) == replace(settings, unchanged=0.0, dots=0.0)
    assert Settings.from_json(Settings(prompt="box").to_json()).prompt == "box"


@pytest.mark.parametrize(
    ("field", "value"),
    [("samples", 0), ("batch", 0), ("corrections", 0), ("size", 8), ("rate", 0), ("rate", float("nan")),
     ("iterative", 1.5), ("ema", -1), ("precision", "half"), ("prompt", "lasso"),
     ("decay", -1), ("seed", -1), ("weights", {"a": 0})],
)  # fmt: skip
def test_bad_settings_are_reported(field, value):
    with pytest.raises(InputError, match=r"expected"):
        Settings(**{field: value})


@pytest.mark.parametrize("changes", [{"devices": 0}, {"workers": -1}, {"threads": 0}, {"checkpoint": -1}])
def test_bad_machines_are_reported(changes):
    with pytest.raises(InputError, match=r"expected"):
        Machine(**changes)


def test_sources_and_precision(pack, tiny):
    assert training_sources(pack, tiny()) == ("colour", "grey")
    assert not computes_bfloat16("mps")
    assert make_fabric(MACHINE, "bfloat16")._precision.precision == "bf16-mixed"
    assert make_fabric(MACHINE, "float32")._precision.precision == "32-true"


def test_bfloat16_trains(go, tiny):
    _, out = go(tiny(samples=8, precision="bfloat16"))
    assert all(np.isfinite([float(v) for v in losses(out)]))
    assert all(value.dtype != torch.bfloat16 for value in weights(out / "weights.safetensors").values())


def test_four_channels_train(go, tiny):
    _, out = go(tiny(samples=8, iterative=1, config={"in_channels": 4, "channels": (6, 8)}))
    assert load_model(out / "weights.safetensors")[0].config.in_channels == 4


BRS = {
    "stem": 4, "growth": 2, "blocks": (1, 1, 1, 1), "squeeze": (2, 2, 2, 2), "skips": (2, 2, 2),
    "coarse": (8, 8, 4, 4), "branch": (4, 4, 2),
}  # fmt: skip


def test_the_network_of_brs_in_two_stages(go, tiny):
    first = tiny(architecture="brs-net", config={**BRS, "fine": False}, prompt="clicks", samples=8)
    _, out = go(first)
    model, card = load_model(out / "weights.safetensors")
    assert (card["architecture"], card["prompt"], model.config.fine) == ("brs-net", "clicks", False)
    second = replace(first, config=BRS, seed=1, start=str(out / "weights.safetensors"))
    begun = first_network(second)
    assert begun.config.fine
    assert all(torch.equal(begun.state_dict()[name], value) for name, value in model.state_dict().items())
    _, fine = go(second, "fine")
    assert load_model(fine / "weights.safetensors")[0].config == begun.config


def test_a_network_of_brs_with_fewer_channels_is_widened(go, tiny):
    first = tiny(architecture="brs-net", config=BRS, prompt="clicks", samples=8)
    _, out = go(first)
    old, second = out / "weights.safetensors", replace(first, config={**BRS, "in_channels": 8}, seed=1)
    begun, valid = first_network(replace(second, start=str(old))), weights(old)
    assert begun.config.in_channels == 8
    assert torch.equal(begun.features.conv0.weight[:, :5], valid["features.conv0.weight"])
    assert (begun.features.conv0.weight[:, 5:] == 0).all()
    _, further = go(replace(second, start=str(old)), "further")
    assert (weights(further / "weights.safetensors")["features.conv0.weight"][:, 5:] != 0).any()
    with pytest.raises(InputError, match="to start from it"):
        first_network(replace(second, start=str(further / "weights.safetensors"), config=BRS))


def test_an_encoder_learns_more_slowly(go, tiny, tmp_path):
    donor = build("brs-net", {**BRS, "in_channels": 3})
    torch.save(donor.features.state_dict(), tmp_path / "encoder.pth")
    settings = tiny(
        architecture="brs-net", config=BRS, prompt="clicks", samples=8, encoder=str(tmp_path / "encoder.pth"),
        encoder_rate=1e-6, decay=0.0, ema=0.0,
    )  # fmt: skip
    begun = first_network(settings).state_dict()
    assert torch.equal(begun["features.conv0.weight"][:, :3], donor.state_dict()["features.conv0.weight"])
    _, out = go(settings)
    learned = load_model(out / "weights.safetensors")[0].state_dict()
    moved = {name: (learned[name] - value).abs().max() for name, value in begun.items() if name.endswith("weight")}
    encoder = [value for name, value in moved.items() if name.startswith("features.")]
    assert max(encoder) < 1e-6
    assert moved["fine_head.weight"] > 1e-3
    with pytest.raises(InputError, match="an encoder was given for a plain-unet"):
        first_network(tiny(encoder="x.pth"))


def test_three_channels_train_on_the_image_alone(go, tiny):
    _, out = go(tiny(samples=8, prompt="none", config={"in_channels": 3, "channels": (6, 8)}))
    model, card = load_model(out / "weights.safetensors")
    assert (model.config.in_channels, card["prompt"]) == (3, "none")
