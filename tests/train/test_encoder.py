"""An encoder from an address: only whole files with their checksum are kept."""

import hashlib

import pytest
import torch
from web_server import web_server

from napari_scribseg.core import InputError
from napari_scribseg.nets import BRSNet, BRSNetConfig, load_encoder
from napari_scribseg.train import encoder
from napari_scribseg.train.encoder import fetch_encoder


@pytest.fixture
def config():
    return BRSNetConfig(3, 8, 4, (1, 1, 1, 1), (2, 2, 2, 2), (4, 4, 4), (8, 8, 8, 8), (2, 2, 2))


@pytest.fixture
def served(tmp_path, config):
    """The address of an encoder on a server of our own, and what was asked of it."""
    torch.manual_seed(0)
    torch.save(BRSNet(config).features.state_dict(), tmp_path / "net.pth")
    content = (tmp_path / "net.pth").read_bytes()
    name = f"densenet-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    with web_server() as web:
        web.put(name, content)
        web.put("densenet-0123abcd.pth", content)
        web.put("densenet-0abc0abc.pth", content, length=len(content) + 1)
        yield f"{web.address}/", name, web.requested


def test_an_encoder_is_fetched_once_and_fits(served, tmp_path, config):
    address, name, requested = served
    path = fetch_encoder(address + name, tmp_path / "cache")
    assert path == tmp_path / "cache" / name
    assert fetch_encoder(address + name, tmp_path / "cache") == path
    assert len(requested) == 1
    torch.manual_seed(3)
    load_encoder(BRSNet(config), path)
    path.write_bytes(b"damaged")
    assert load_encoder(BRSNet(config), fetch_encoder(address + name, tmp_path / "cache"))
    assert len(requested) == 2
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_by_default_it_lies_where_torchvision_has_it(served, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    address, name, _ = served
    assert fetch_encoder(address + name) == tmp_path / "hub" / "checkpoints" / name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("densenet-0123abcd.pth", "gave a file with another checksum than 0123abcd"),
        ("densenet-00000000.pth", "cannot be fetched (HTTP Error 404"),
        ("densenet-0abc0abc.pth", "was cut off after"),
        ("densenet.pth", "has no checksum in its name"),
        ("densenet-best.pth", "has no checksum in its name"),
    ],
)
def test_what_cannot_be_kept_leaves_nothing(served, tmp_path, name, message):
    with pytest.raises(InputError) as caught:
        fetch_encoder(served[0] + name, tmp_path / "cache")
    assert message in str(caught.value)
    assert str(caught.value).count("http") == message.startswith(("gave", "cannot", "was"))
    assert not list((tmp_path / "cache").glob("*"))
    assert not list((tmp_path / "cache").glob(".*"))


def test_too_large_and_no_network(served, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, "LARGEST", 100)
    address, name, _ = served
    with pytest.raises(InputError, match="more than 100 bytes"):
        fetch_encoder(address + name, tmp_path)
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch_encoder("http://127.0.0.1:9/densenet-0123abcd.pth", tmp_path)
    with pytest.raises(InputError, match="begins with https://"):
        fetch_encoder("file:///tmp/densenet-0123abcd.pth", tmp_path)
    assert not list(tmp_path.glob(".densenet*"))


def test_the_published_address_names_the_checksum():
    assert encoder.ENCODER_URL.endswith("densenet121-a639ec97.pth")
