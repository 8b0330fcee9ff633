"""A file from an address: whole and as expected, or the former one."""

import hashlib
import socket

import pytest
from web_server import web_server

from napari_scribseg.core import InputError
from napari_scribseg.io.download import digest_of, download

BODY = bytes(range(256)) * 20


@pytest.fixture
def web():
    with web_server() as server:
        yield server


@pytest.fixture
def fetch(tmp_path):
    def run(url, **options):
        path = tmp_path / "folder" / "file"
        return download(url, path, **{"limit": 1 << 20, "instead": "ask the authors"} | options), path

    return run


def test_a_whole_file_with_its_checksum(web, fetch):
    seen = []
    digest, path = fetch(web.put("a", BODY), progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == BODY
    assert digest == digest_of(path) == hashlib.sha256(BODY).hexdigest()
    assert seen[-1] == (len(BODY), len(BODY))
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_length_need_not_be_stated(web, fetch):
    seen = []
    _, path = fetch(web.put("a", BODY, length=""), progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), None)


@pytest.mark.parametrize(
    ("served", "message"),
    [
        ({"body": BODY, "length": len(BODY) + 1}, f"was cut off after {len(BODY)} of {len(BODY) + 1} bytes"),
        ({"body": b"", "length": 7}, "was cut off after 0 of 7 bytes"),
        ({"body": BODY, "chunked": len(BODY) + 1}, r"cannot be fetched \(IncompleteRead.*ask the authors"),
        ({"body": BODY, "length": 1 << 21}, r"has more than 1048576 bytes \(1\.0 MiB\)"),
        ({"body": bytes((1 << 20) + 1), "length": ""}, r"has more than 1048576 bytes"),
        ({"body": b"", "status": 404}, r"cannot be fetched \(HTTP Error 404"),
        ({"body": b"", "status": 500}, r"cannot be fetched \(HTTP Error 500"),
    ],
)
def test_what_is_not_whole_leaves_the_former_file(web, fetch, tmp_path, served, message):
    url = web.put("a", **served)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"former")
    with pytest.raises(InputError, match=message):
        fetch(url)
    assert [(p.name, p.read_bytes()) for p in (tmp_path / "folder").iterdir()] == [("file", b"former")]


def test_what_is_refused_leaves_the_former_file(web, fetch, tmp_path):
    def refuse(digest):
        raise InputError(f"not {digest[:4]}")

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"former")
    with pytest.raises(InputError, match=f"not {hashlib.sha256(BODY).hexdigest()[:4]}"):
        fetch(web.put("a", BODY), check=refuse)
    assert [(p.name, p.read_bytes()) for p in (tmp_path / "folder").iterdir()] == [("file", b"former")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/a", "data:,a", "gopher://127.0.0.1/"])
def test_addresses_of_other_kinds_are_not_followed(web, fetch, tmp_path, status, target):
    url = web.put("a", b"", status=status, headers={"Location": target})
    with pytest.raises(InputError, match="leads on to .*, which is not followed; https:// is expected"):
        fetch(url)
    assert not list((tmp_path / "folder").iterdir())


def test_addresses_of_the_same_kind_are_followed_but_not_for_ever(web, fetch):
    web.put("b", BODY)
    _, path = fetch(web.put("a", b"", status=302, headers={"Location": "/b"}))
    assert path.read_bytes() == BODY
    url = web.put("c", b"", status=302, headers={"Location": "/c"})
    with pytest.raises(InputError, match=r"cannot be fetched \(HTTP Error 302.*infinite loop"):
        fetch(url)


def test_from_https_it_does_not_lead_to_http(monkeypatch, web, fetch):
    """The server speaks no TLS; what it leads to is looked at before anything is sent there."""
    import urllib.request

    from napari_scribseg.io import download as module

    handler = module._Redirects()
    request = urllib.request.Request("https://example.org/a")

    class Body:
        closed = False

        def close(self):
            self.closed = True

    body = Body()
    with pytest.raises(InputError, match="leads on to http://example.org/b, which is not followed"):
        handler.http_error_302(request, body, 302, "Found", {"location": "http://example.org/b"})
    assert body.closed


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/a", "example.org/a", "", "//example.org/a"])
def test_other_addresses_are_refused(fetch, tmp_path, url):
    with pytest.raises(InputError, match="the address is .*; one that begins with https:// is expected"):
        fetch(url)
    assert not (tmp_path / "folder").exists()


def test_no_server_and_no_such_port(fetch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=r"cannot be fetched \(.*refused.*\); ask the authors"):
        fetch(f"http://127.0.0.1:{port}/a")
    with pytest.raises(InputError, match="cannot be fetched .*; ask the authors"):
        fetch("http://127.0.0.1:port/a")
