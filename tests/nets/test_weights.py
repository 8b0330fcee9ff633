import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from napari_scribseg.core import InputError
from napari_scribseg.nets import (
    EfficientUNet,
    EfficientUNetConfig,
    PixelNet,
    PixelNetConfig,
    PlainUNet,
    PlainUNetConfig,
    build,
    load_model,
    load_shipped,
    save_model,
    shipped_weights,
    weights,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PlainUNet(PlainUNetConfig(channels=(4, 8), in_channels=4)).eval()


@pytest.fixture
def saved(model, tmp_path):
    return save_model(tmp_path / "net.safetensors", model, {"title": "a small one"})


def parts(path: Path) -> tuple[dict, bytes]:
    """Header and numbers of a safetensors file."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write(path: Path, header: object, numbers: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)
    return path


@pytest.mark.parametrize("kind", [EfficientUNet, PlainUNet])
def test_round_trip_gives_the_same_network(kind, tmp_path):
    torch.manual_seed(0)
    network = kind().eval()
    loaded, metadata = load_model(save_model(tmp_path / "net.safetensors", network, {"title": "ours", "steps": "12"}))
    assert type(loaded) is kind
    assert loaded.config == network.config
    assert (metadata["title"], metadata["steps"]) == ("ours", "12")
    assert not loaded.training
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in loaded.state_dict().items())
    x = torch.rand(1, network.config.in_channels, 20, 24)
    assert torch.equal(loaded(x), network(x))


def test_other_configuration_comes_back(tmp_path):
    config = EfficientUNetConfig(
        in_channels=6, channels=(8, 8), repeats=(1, 1), expansion=(2, 3), fused=(False, True), squeeze=(True, False),
        activation="relu",
    )  # fmt: skip
    loaded, _ = load_model(save_model(tmp_path / "net.safetensors", EfficientUNet(config)))
    assert loaded.config == config


def test_half_precision_file_is_small_and_near(model, tmp_path):
    whole = save_model(tmp_path / "whole.safetensors", EfficientUNet())
    half = save_model(tmp_path / "half.safetensors", EfficientUNet(), dtype="float16")
    assert half.stat().st_size < 0.55 * whole.stat().st_size < 5e6
    x = torch.rand(1, 4, 16, 16)
    loaded, _ = load_model(save_model(tmp_path / "half.safetensors", model, dtype="float16"))
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    torch.testing.assert_close(loaded(x), model(x), atol=1e-2, rtol=1e-2)


def test_loaded_network_can_be_trained_on(saved):
    loaded, _ = load_model(saved)
    loaded.train()(torch.rand(2, 4, 8, 8)).sum().backward()
    assert all(p.grad is not None for p in loaded.parameters())


def test_what_cannot_be_saved_is_named(model, tmp_path):
    with pytest.raises(InputError, match="ends in .safetensors"):
        save_model(tmp_path / "net.pt", model)
    with pytest.raises(InputError, match="'config'"):
        save_model(tmp_path / "net.safetensors", model, {"config": "mine"})
    with pytest.raises(InputError, match="text under a name"):
        save_model(tmp_path / "net.safetensors", model, {"steps": 3})
    with pytest.raises(InputError, match="Linear cannot be saved"):
        save_model(tmp_path / "net.safetensors", torch.nn.Linear(1, 1))
    model.head.weight.data[0, 0] = 1e6
    with pytest.raises(InputError, match="too large for torch.float16"):
        save_model(tmp_path / "net.safetensors", model, dtype="float16")
    assert list(tmp_path.iterdir()) == []


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(InputError, match="missing"):
        load_model(tmp_path / "net.safetensors")
    foreign = tmp_path / "net.safetensors"
    for content in (b"", b"abc", b"\x80\x04" * 100, (10**15).to_bytes(8, "little") + b"{}"):
        foreign.write_bytes(content)
        with pytest.raises(InputError, match="no safetensors file, or damaged"):
            load_model(foreign)
    foreign.write_bytes(save({"x": torch.zeros(3)}))
    with pytest.raises(InputError, match="of no expected kind"):
        load_model(foreign)
    with pytest.raises(InputError, match="cannot be read"):
        load_model(write(foreign, b"[" * 5000, b""))
    with pytest.raises(InputError, match="no table of tensors"):
        load_model(write(foreign, [1, 2], b""))


def test_cut_or_lengthened_file(saved):
    content = saved.read_bytes()
    for changed in (content[:-4], content + b"\0\0\0\0"):
        saved.write_bytes(changed)
        with pytest.raises(InputError, match="it is damaged"):
            load_model(saved)


def test_flipped_bit(saved):
    content = bytearray(saved.read_bytes())
    content[-7] ^= 4
    saved.write_bytes(bytes(content))
    with pytest.raises(InputError, match="another checksum"):
        load_model(saved)


def test_unknown_architecture_and_configuration(saved):
    header, numbers = parts(saved)
    for key, value, message in (
        ("architecture", "transformer", "'transformer' is unknown"),
        ("config", "{", "configuration of its network cannot be read"),
        ("config", "[]", "no table"),
        ("config", '{"depth": 3}', "'depth'"),
        ("config", '{"in_channels": "4"}', "in_channels = '4'"),
        ("config", '{"in_channels": true}', "in_channels = True"),
        ("config", '{"in_channels": 1000000000}', "up to 4096"),
        ("config", '{"channels": [-4, 8]}', "up to 4096"),
        ("config", '{"channels": [[4], 8]}', "such as"),
        ("format", "another", "'another'"),
    ):
        changed = header | {"__metadata__": header["__metadata__"] | {key: value}}
        with pytest.raises(InputError, match=message):
            load_model(write(saved.with_name("changed.safetensors"), changed, numbers))


def test_tensors_that_are_not_those_of_the_network(saved):
    header, numbers = parts(saved)
    name = "head.weight"
    changed = header | {name: header[name] | {"shape": [10, 1, 1, 1]}}
    with pytest.raises(InputError, match="has shape|have shape"):
        load_model(write(saved.with_name("changed.safetensors"), changed, numbers))
    renamed = {("feet.weight" if key == name else key): value for key, value in header.items()}
    with pytest.raises(InputError, match="lacks the weights 'head.weight'"):
        load_model(write(saved.with_name("changed.safetensors"), renamed, numbers))
    twice = header | {"feet.weight": header[name]}
    with pytest.raises(InputError, match="1 tensors that its network does not have"):
        load_model(write(saved.with_name("changed.safetensors"), twice, numbers))
    larger = header | {name: header[name] | {"shape": [1, 10**12, 1, 1]}}
    with pytest.raises(InputError, match="do not fit together"):
        load_model(write(saved.with_name("changed.safetensors"), larger, numbers))
    for entry in (7, {}, {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}):
        with pytest.raises(InputError, match="do not fit together"):
            load_model(write(saved.with_name("changed.safetensors"), header | {name: entry}, numbers))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"channels": [4096] * 16, "in_channels": 4096}, "describes more than 268435456 parameters"),
        ({"channels": [1] * 16}, "describes more tensors than the"),
    ],
)
def test_a_configuration_larger_than_its_file_takes_no_memory(saved, config, words):
    header, numbers = parts(saved)
    names = ("repeats", "expansion", "fused", "squeeze")
    if header["__metadata__"]["architecture"] == "efficient-unet":
        config |= {n: [json.loads(header["__metadata__"]["config"])[n][0]] * 16 for n in names}
    changed = header | {"__metadata__": header["__metadata__"] | {"config": json.dumps(config)}}
    with pytest.raises(InputError, match=words):
        load_model(write(saved.with_name("changed.safetensors"), changed, numbers))


def test_nan_in_the_weights(model, tmp_path):
    state = model.state_dict()
    state["head.bias"][:] = float("nan")
    header, _ = parts(
        save_model(tmp_path / "net.safetensors", build("plain-unet", {"channels": [4, 8], "in_channels": 4}))
    )
    card = header["__metadata__"] | {"sha256": weights.tensor_checksum(state)}
    (tmp_path / "net.safetensors").write_bytes(save(state, metadata=card))
    with pytest.raises(InputError, match="NaN or infinite"):
        load_model(tmp_path / "net.safetensors")


def test_weights_of_another_type(model, tmp_path):
    path = save_model(tmp_path / "net.safetensors", model)
    name = next(name for name in model.state_dict() if name.endswith("num_batches_tracked"))
    state = model.state_dict() | {name: torch.tensor(1.0)}
    path.write_bytes(save(state, metadata=parts(path)[0]["__metadata__"]))
    with pytest.raises(InputError, match="are F32; another type is expected"):
        load_model(path)


def test_build_names_what_is_there():
    assert build("efficient-unet").config == EfficientUNetConfig()
    assert build("plain-unet", {"activation": "silu"}).config.activation == "silu"
    with pytest.raises(InputError, match="efficient-unet, pixel-net, plain-unet"):
        build("vgg")


def test_shipped_weights_match_the_checksums():
    for name, path in shipped_weights().items():
        assert path.stat().st_size <= 5e6
        loaded, metadata = load_shipped(name, kinds=(nn.Module,))
        assert not loaded.training
        assert metadata["architecture"] in weights.ARCHITECTURES


def test_a_network_of_pixels_is_read_only_by_who_expects_one(tmp_path):
    path = save_model(tmp_path / "pixels.safetensors", PixelNet(PixelNetConfig(in_channels=11)))
    with pytest.raises(
        InputError, match=r"pixels.safetensors holds a pixel-net; a brs-net or .* is expected"
    ) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert load_model(path, (PixelNet,))[0].config.in_channels == 11
    with pytest.raises(InputError, match="fill-net.safetensors holds a pixel-net"):
        load_shipped("fill-net")


def test_checksum_of_a_shipped_file(model, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    assert shipped_weights() == {}
    with pytest.raises(InputError, match="one of none"):
        load_shipped("net")
    path = save_model(tmp_path / "net.safetensors", model)
    listed = tmp_path / "checksums.json"
    listed.write_text(json.dumps({path.name: hashlib.sha256(path.read_bytes()).hexdigest()}))
    assert list(shipped_weights()) == ["net"]
    assert load_shipped("net")[0].config == model.config
    listed.write_text(json.dumps({path.name: "0" * 64}))
    with pytest.raises(InputError, match="differs from the file that was shipped"):
        load_shipped("net")
