import csv
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as Picture
from typer.testing import CliRunner
from waiting import wait_for

from napari_scribseg.cli import app
from napari_scribseg.core import InputError
from napari_scribseg.io.run_folder import RunFolder
from napari_scribseg.nets import load_model
from napari_scribseg.train.pack import read_pack
from napari_scribseg.train.settings import PUBLISHED, Settings

SMALL = ("--samples", 16, "--batch", 4, "--size", 32, "--config", '{"channels": [6, 8]}', "--validate", "cells",
         "--validation-samples", 2, "--workers", 0, "--threads", 1, "--device", "cpu")  # fmt: skip
SMALL_BRS = ("--batch", 4, "--size", 32, "--validate", "cells", "--validation-samples", 2, "--workers", 0,
             "--threads", 1, "--device", "cpu", "--coarse-samples", 4, "--fine-samples", 4)  # fmt: skip


@pytest.fixture
def command():
    """Run ``scribseg train``; returns its exit status and standard output."""

    def run(*arguments):
        result = CliRunner().invoke(app, ["train", *map(str, arguments)])
        if isinstance(result.exception, Exception):
            raise result.exception
        return result.exit_code, result.stdout

    return run


@pytest.fixture
def folder(tmp_path, discs):
    """A folder of images and labels."""
    for n in range(3):
        for kind, values in zip(("images", "labels"), discs(n), strict=True):
            path = tmp_path / "mine" / kind / f"c{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Picture.fromarray(values.astype(np.uint8)).save(path)
    return tmp_path / "mine"


def rows(out, name="steps.csv"):
    with (out / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_published_settings_are_those_of_the_paper(command, pack, tmp_path):
    out = tmp_path / "run"
    few = ("--batch", 2, "--until", 2, "--validate", "cells", "--validation-samples", 2, "--workers", 0, "--threads", 1)
    code, _ = command("scribble-net", "--published", "--data", pack.path, "--out", out, *few, "--device", "cpu")
    assert code == 0
    settings = Settings.from_json((out / "settings.json").read_text())
    expected = {
        "architecture": "efficient-unet", "config": {"in_channels": 4}, "loss": "entropy", "optimizer": "adam",
        "rate": 1e-4, "decay": 1e-5, "negative": 0.1, "iterative": 0.3, "corrections": 1, "pen": "published",
        "ramp": 320_000, "samples": 4_800_000, "size": 128, "ema": 0.0, "prompt": "scribbles", "batch": 2,
    }  # fmt: skip
    assert {name: getattr(settings, name) for name in expected} == expected
    assert not any((settings.dots, settings.painted, settings.thin, settings.synthetic, settings.superpixels))
    settings = Settings(**PUBLISHED)
    assert (settings.steps, settings.batch) == (150_000, 32)
    assert {settings.learning_rate(step) for step in (0, 10, 75_000, 149_999)} == {1e-4}
    network = load_model(out / "weights.safetensors")[0]
    assert sum(value.numel() for value in network.parameters()) == 1_082_772
    assert np.isfinite([float(row["loss"]) for row in rows(out)]).all()
    assert rows(out)[-1]["step"] == "2"
    with pytest.raises(InputError, match="--published and --network"):
        command("scribble-net", "--published", "--network", "plain-unet", "--data", pack.path, "--out", out / "b")


def test_from_a_pack_in_two_goes(command, pack, tmp_path):
    out = tmp_path / "run"
    code, text = command("scribble-net", "--data", pack.path, "--out", out, *SMALL, "--until", 2)
    assert (code, text.strip()) == (0, str(out / "weights.safetensors"))
    assert rows(out)[-1]["step"] == "2"
    code, _ = command("scribble-net", "--out", out, "--resume", "--workers", 0, "--threads", 1, "--device", "cpu")
    assert code == 0
    assert rows(out)[-1]["step"] == "4"
    assert rows(out, "validation.csv")[-1]["source"] == "mean"
    assert load_model(out / "weights.safetensors")[1]["samples"] == "16"
    with pytest.raises(InputError, match="holds a run; --resume"):
        command("scribble-net", "--data", pack.path, "--out", out, *SMALL)
    with pytest.raises(InputError, match="seed is 9, but the run has 0"):
        command("scribble-net", "--out", out, "--resume", "--seed", 9)


def test_a_run_may_end_earlier_or_later_until_its_rate_falls(command, pack, tmp_path):
    out, steady = tmp_path / "run", ("--samples", 80, "--cooldown", 0.5, *SMALL[2:])
    command("scribble-net", "--data", pack.path, "--out", out, *steady, "--until", 2)
    go_on = ("scribble-net", "--out", out, "--resume", "--workers", 0, "--threads", 1, "--device", "cpu")
    with pytest.raises(InputError, match="samples is 8 where the run has 80, of which 8 are done"):
        command(*go_on, "--samples", 8)
    with pytest.raises(InputError, match="seed is 9, but the run has 0"):
        command(*go_on, "--samples", 16, "--seed", 9)
    assert Settings.from_json((out / "settings.json").read_text()).samples == 80  # nothing is changed then
    code, _ = command(*go_on, "--samples", 16)
    assert code == 0
    assert rows(out)[-1]["step"] == "4"
    assert Settings.from_json((out / "settings.json").read_text()).samples == 16
    with pytest.raises(InputError, match="of which 16 are done"):
        command(*go_on, "--samples", 80)


def test_resume_refuses_what_the_run_was_begun_without(command, pack, folder, tmp_path):
    out = tmp_path / "run"
    few = ("--batch", 2, "--validate", "cells", "--validation-samples", 2, "--workers", 0, "--device", "cpu")
    command("scribble-net", "--data", pack.path, "--out", out, *SMALL, "--until", 1)
    before = (out / "settings.json").read_bytes()
    with pytest.raises(InputError, match=r"--published is given, but the run in .* was begun without it"):
        command("scribble-net", "--out", out, "--resume", "--published")
    with pytest.raises(InputError, match=r"precision is 'bfloat16', but the run has 'auto'"):
        command("scribble-net", "--out", out, "--resume", "--precision", "bfloat16")
    command("pack", "--data", folder, "--out", tmp_path / "other.pack", "--side", 48)
    with pytest.raises(InputError, match=r"other\.pack is not the data of the run"):
        command("scribble-net", "--out", out, "--resume", "--data", tmp_path / "other.pack")
    assert (out / "settings.json").read_bytes() == before
    command("scribble-net", "--published", "--data", pack.path, "--out", tmp_path / "paper", *few, "--until", 1)
    code, _ = command("scribble-net", "--published", "--out", tmp_path / "paper", "--resume", "--until", 2, *few[-4:])
    assert code == 0  # a batch of 2, which was chosen in place of the paper's, stays
    assert rows(tmp_path / "paper")[-1]["step"] == "2"


def test_resume_refuses_a_run_of_another_kind(command, pack, tmp_path):
    assert command("brs", "--data", pack.path, "--out", tmp_path / "brs", *SMALL_BRS)[0] == 0
    with pytest.raises(InputError, match="trains a brs-net; scribseg train brs is expected"):
        command("scribble-net", "--out", tmp_path / "brs" / "fine", "--resume")
    for given, message in (
        (("--coarse-samples", 8), "--coarse-samples is 8, but the coarse part of .* has 4"),
        (("--fine-samples", 4, "--published"), "config is"),
    ):
        with pytest.raises(InputError, match=message):
            command("brs", "--out", tmp_path / "brs", "--resume", *SMALL_BRS[:-4], *given)
    command("scribble-net", "--data", pack.path, "--out", tmp_path / "mixed" / "coarse", *SMALL, "--until", 1)
    with pytest.raises(InputError, match="trains a plain-unet; scribseg train scribble-net is expected"):
        command("brs", "--out", tmp_path / "mixed", "--resume", *SMALL_BRS)


def test_another_prompt(command, pack, tmp_path):
    out = tmp_path / "run"
    code, _ = command("scribble-net", "--data", pack.path, "--out", out, *SMALL, "--prompt", "box", "--until", 1)
    assert code == 0
    assert load_model(out / "weights.safetensors")[1]["prompt"] == "box"
    with pytest.raises(InputError, match="prompt is 'scribbles', but the run has 'box'"):
        command("scribble-net", "--out", out, "--resume", "--prompt", "scribbles")


def test_resume_starts_where_there_is_nothing_yet(command, pack, tmp_path):
    code, _ = command("scribble-net", "--data", pack.path, "--out", tmp_path / "run", "--resume", *SMALL, "--until", 1)
    assert code == 0
    assert rows(tmp_path / "run")[-1]["step"] == "1"


def test_a_run_resumes_with_the_configuration_that_it_has(command, pack, tmp_path):
    arguments = ("scribble-net", "--out", tmp_path / "run", *SMALL)
    assert command(*arguments, "--data", pack.path, "--until", 1)[0] == 0
    assert command(*arguments, "--resume", "--until", 2)[0] == 0
    assert rows(tmp_path / "run")[-1]["step"] == "2"


def test_a_folder_takes_one_run_at_a_time(command, pack, tmp_path):
    out = tmp_path / "run"
    with RunFolder(out, "settings.json").open(), pytest.raises(InputError, match="another run is at work"):
        command("scribble-net", "--data", pack.path, "--out", out, *SMALL)
    assert not (out / "settings.json").exists()


def test_packing_a_folder_and_training_on_folders(command, folder, tmp_path):
    code, text = command("pack", "--data", folder, "--out", tmp_path / "a.pack", "--side", 48)
    assert (code, text.strip()) == (0, str(tmp_path / "a.pack"))
    packed = read_pack(tmp_path / "a.pack")
    assert (len(packed), packed.sources) == (3, ("mine",))
    assert max(packed.load(packed.items[0])[0].shape) == 48
    other = folder.rename(tmp_path / "cells")
    folder.parent.joinpath("b").mkdir()
    (tmp_path / "b" / "images").symlink_to(other / "images")
    (tmp_path / "b" / "labels").symlink_to(other / "labels")
    out = tmp_path / "run"
    code, _ = command("scribble-net", "--data", other, "--data", tmp_path / "b", "--out", out, *SMALL, "--until", 1)
    assert code == 0
    assert read_pack(out / "data.pack").sources == ("b", "cells")


def test_bad_input_is_reported(command, pack, folder, tmp_path):
    def net(*arguments):
        return command("scribble-net", "--out", tmp_path / "run", *arguments)

    with pytest.raises(InputError, match="there is no data"):
        net(*SMALL)
    with pytest.raises(InputError, match="neither a built-in data set nor a folder"):
        net("--data", "moon", *SMALL)
    with pytest.raises(InputError, match="no source ct_spleen_msd"):
        net("--data", pack.path)
    with pytest.raises(InputError, match="every source of the data validates"):
        net("--data", pack.path, *[a for s in pack.sources for a in ("--validate", s)])
    with pytest.raises(InputError, match="one packed file, or folders"):
        net("--data", pack.path, "--data", folder)
    with pytest.raises(InputError, match="is no JSON"):
        net("--data", pack.path, "--config", "{")
    with pytest.raises(InputError, match="is no table"):
        net("--data", pack.path, "--config", "[]")
    with pytest.raises(InputError, match="the network 'moon' is unknown"):
        net("--data", pack.path, "--network", "moon")
    with pytest.raises(InputError, match="the precision is 'half'"):
        net("--data", pack.path, "--precision", "half")
    with pytest.raises(InputError, match="the prompt is 'lasso'; one of scribbles, clicks, box, extreme-points"):
        net("--data", pack.path, "--prompt", "lasso")
    (tmp_path / "no.pack").write_bytes(b"no zip")
    with pytest.raises(InputError, match="is no packed file"):
        net("--data", tmp_path / "no.pack", *SMALL)
    with pytest.raises(InputError, match="the folder does not exist"):
        command("pack", "--data", folder, "--out", tmp_path / "none" / "a.pack")


@pytest.mark.parametrize(
    "name", ["acdc_scribbles", "graz_scribbles", "totalsegmentator", "dcmqi_ct_dicom", "medscribble_dev"]
)
def test_data_for_measuring_is_refused_under_any_name(command, tmp_path, discs, name):
    folder = tmp_path / name
    if name == "graz_scribbles":
        for part in ("images", "seeds"):
            (folder / part).mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    for ending in (".npz", ".txt", ".dcm", ".nii.gz"):
        (folder / f"patient001_frame01{ending}").write_bytes(b"")
    with pytest.raises(InputError):
        command("pack", "--data", folder, "--out", tmp_path / "a.pack")
    assert not (tmp_path / "a.pack").exists()


def run_separately(*arguments, **options):
    code = "from napari_scribseg.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", "scribble-net", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def test_a_run_that_must_end_saves_first(pack, tmp_path):
    out = tmp_path / "run"
    long = ("--samples", 100_000, *SMALL[2:])
    process = run_separately("--data", pack.path, "--out", out, *long, "--checkpoint-minutes", 0)
    try:
        wait_for(lambda: (out / "weights.safetensors").exists() or process.poll() is not None, "the first weights")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 3, err
    assert "--resume goes on from there" in err
    done = int(rows(out)[-1]["step"])
    assert (out / "checkpoints" / f"step-{done:09d}").is_dir()


@pytest.mark.slow
def test_two_processes_learn_what_one_does(command, pack, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    command("scribble-net", "--data", pack.path, "--out", one, *SMALL, "--log-every", 1)
    script = tmp_path / "main.py"
    script.write_text("from napari_scribseg.cli import main\nmain()\n")
    arguments = ["train", "scribble-net", "--data", pack.path, "--out", two, *SMALL, "--devices", 2, "--log-every", 1]
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments)], capture_output=True, text=True, timeout=300,
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    losses = [[float(row["loss"]) for row in rows(out)] for out in (one, two)]
    assert len(losses[0]) == 4
    np.testing.assert_allclose(*losses, rtol=1e-3)
    a, b = (load_model(out / "weights.safetensors")[0].state_dict() for out in (one, two))
    for name, value in a.items():
        np.testing.assert_allclose(value.numpy(), b[name].numpy(), atol=2e-2, err_msg=name)


def test_brs_goes_through_both_stages_and_goes_on(command, pack, tmp_path):
    out = tmp_path / "run"
    code, text = command("brs", "--data", pack.path, "--out", out, *SMALL_BRS)
    assert code == 0
    assert text.split() == [str(out / part / "weights.safetensors") for part in ("coarse", "fine")]
    coarse, fine = (load_model(out / part / "weights.safetensors")[0] for part in ("coarse", "fine"))
    assert (coarse.config.fine, fine.config.fine) == (False, True)
    kept = [Settings.from_json((out / part / "settings.json").read_text()) for part in ("coarse", "fine")]
    assert [(one.prompt, one.n_corrections(0), one.iterative) for one in kept] == [("clicks", 0, 0.0)] * 2
    code, text = command("brs", "--out", out, "--resume", *SMALL_BRS)
    assert (code, text.strip()) == (0, str(out / "fine" / "weights.safetensors"))
    with pytest.raises(InputError, match="holds a run"):
        command("brs", "--data", pack.path, "--out", out, *SMALL_BRS)


def test_brs_is_corrected_by_clicks_on_request(command, pack, tmp_path):
    out = tmp_path / "run"
    code, _ = command("brs", "--data", pack.path, "--out", out, *SMALL_BRS, "--corrections", 5)
    assert code == 0
    settings = Settings.from_json((out / "fine" / "settings.json").read_text())
    assert (settings.corrections, settings.iterative, settings.single) == (5, 0.5, 0.5)
    numbers = {settings.n_corrections(step) for step in range(200)}
    assert numbers == set(range(6))


def test_brs_with_scribbles_is_corrected_as_scribble_net(command, pack, tmp_path):
    out = tmp_path / "run"
    code, _ = command("brs", "--data", pack.path, "--out", out, *SMALL_BRS, "--prompt", "scribbles")
    assert code == 0
    settings, usual = Settings.from_json((out / "coarse" / "settings.json").read_text()), Settings()
    assert settings.prompt == "scribbles"
    names = ("corrections", "iterative", "unchanged")
    assert [getattr(settings, name) for name in names] == [getattr(usual, name) for name in names]


def test_brs_trains_given_weights_further_without_a_coarse_part(command, pack, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert command("brs", "--data", pack.path, "--out", first, *SMALL_BRS)[0] == 0
    start = first / "fine" / "weights.safetensors"
    code, text = command("brs", "--data", pack.path, "--out", second, *SMALL_BRS, "--start", start, "--seed", 9)
    assert code == 0, text
    assert not (second / "coarse").exists()
    assert Settings.from_json((second / "fine" / "settings.json").read_text()).start == str(start)
    assert command("brs", "--out", second, "--resume", *SMALL_BRS, "--seed", 9)[0] == 0
    with pytest.raises(InputError, match=r"both --start .* and --encoder"):
        command("brs", "--data", pack.path, "--out", tmp_path / "third", "--start", start, "--encoder", "net.pth")
    assert not (tmp_path / "third").exists()


def test_what_is_there_is_not_written_over(command, pack, folder, tmp_path):
    there, before = tmp_path / "there.pack", pack.path.read_bytes()
    there.write_bytes(before)
    with pytest.raises(InputError, match="would be written over the input"):
        command("pack", "--data", there, "--out", there, "--overwrite")
    with pytest.raises(InputError, match="is there already; --overwrite replaces it"):
        command("pack", "--data", folder, "--out", there)
    assert there.read_bytes() == before
    assert command("pack", "--data", folder, "--out", there, "--overwrite")[0] == 0
    assert read_pack(there).sources == ("mine",)
    (tmp_path / "run").mkdir()
    for name in ("weights.safetensors", "data.pack", "steps.csv"):
        (tmp_path / "run" / name).write_text("of the user")
        with pytest.raises(InputError, match=f"{name} is there already, and .* holds no earlier run"):
            command("scribble-net", "--data", folder, "--out", tmp_path / "run", *SMALL)
        (tmp_path / "run" / name).unlink()
