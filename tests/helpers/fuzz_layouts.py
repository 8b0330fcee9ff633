"""How files fall into fields: where each lies, what kind of value it holds, and how the file is put together again.

A layout is a function that takes the bytes of a valid file and returns its parts.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np

# First byte, end, kind: text, fixed (text in a field of one length), json, key (of JSON), bytes, or a type of struct
# with its byte order.
Span = tuple[int, int, str]


@dataclass(frozen=True)
class Part:
    """Some bytes that fall into fields, and the whole file with other bytes in their place."""

    plain: bytes
    spans: list[Span]
    close: Callable[[bytes], bytes] = bytes


Layout = Callable[[bytes], list[Part]]


def text(data: bytes) -> list[Part]:
    """Text, or a text header before binary data: lines, values and words."""
    end = min([m.end() for m in [re.search(rb"\n\n|ElementDataFile *= *LOCAL\n", data)] if m] + [len(data)])
    return [Part(data, words(data, 0, end))]


def words(data: bytes, start: int, end: int) -> list[Span]:
    patterns = (rb"[^\n]*\n", rb"(?<=[:=])[^\n]+", rb"[^\s,;:=()<>\"']+")
    return [(m.start(), m.end(), "text") for p in patterns for m in re.compile(p).finditer(data, start, end)]


def json_text(data: bytes, close: Callable[[bytes], bytes] = bytes) -> list[Part]:
    token = rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|\[[^][]*\]'
    found = re.finditer(token, data)
    return [
        Part(
            data, [(m.start(), m.end(), "key" if data[m.end() : m.end() + 1] == b":" else "json") for m in found], close
        )
    ]


def nifti(data: bytes) -> list[Part]:
    packed = data[:2] == b"\x1f\x8b"
    plain = gzip.decompress(data) if packed else data
    header: Any = nibabel.Nifti2Header if plain[0:2] == b"\x1c\x02" else nibabel.Nifti1Header
    spans: list[Span] = []
    for dtype, offset, *_ in (header.template_dtype.fields or {}).values():
        base, count = dtype.base, int(np.prod(dtype.shape, dtype=int))
        kind = "bytes" if base.kind == "S" else f"<{base.char}"
        spans += [(offset + i * base.itemsize, offset + (i + 1) * base.itemsize, kind) for i in range(count)]
    part = Part(plain, spans, lambda changed: gzip.compress(changed, 1) if packed else changed)
    return [part, Part(data, [])] if packed else [part]


def tiff(data: bytes) -> list[Part]:
    """Classic TIFF: the entries of every directory, the lists they point to, and descriptions word by word."""
    order = "<" if data[:2] == b"II" else ">"
    sizes = {1: ("B", 1), 2: ("s", 1), 3: ("H", 2), 4: ("I", 4), 5: ("I", 8), 11: ("f", 4), 12: ("d", 8)}
    spans: list[Span] = [(0, 2, "bytes"), (2, 4, f"{order}H"), (4, 8, f"{order}I")]
    (place,) = struct.unpack_from(f"{order}I", data, 4)
    while place and len(spans) < 2000:
        (count,) = struct.unpack_from(f"{order}H", data, place)
        spans.append((place, place + 2, f"{order}H"))
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            _tag, kind, number, value = struct.unpack_from(f"{order}HHII", data, entry)
            spans += [(entry, entry + 2, f"{order}H"), (entry + 2, entry + 4, f"{order}H")]
            spans += [(entry + 4, entry + 8, f"{order}I"), (entry + 8, entry + 12, f"{order}I")]
            letter, size = sizes.get(kind, ("B", 1))
            if letter == "s" and number > 4:
                spans += [(a, b, "fixed") for a, b, _ in words(data, value, value + number)]
            elif letter in "HIfd" and number * size > 4:
                width = struct.calcsize(letter)
                places = range(value, value + min(number * size, 64), width)
                spans += [(p, p + width, order + letter) for p in places]
        place = struct.unpack_from(f"{order}I", data, place + 2 + 12 * count)[0]
    return [Part(data, spans)]


def png(data: bytes) -> list[Part]:
    spans: list[Span] = [(0, 8, "bytes")]
    for start, length in _chunks(data):
        spans += [(start, start + 4, ">I"), (start + 4, start + 8, "bytes"), (start + 8, start + 8 + length, "bytes")]
        spans.append((start, start + 12 + length, "bytes"))
        if data[start + 4 : start + 8] == b"IHDR":
            spans += [(start + 8, start + 12, ">I"), (start + 12, start + 16, ">I")] * 3
            spans += [(start + i, start + i + 1, "B") for i in range(16, 21)] * 3
    return [Part(data, spans, _with_checksums)]


def _chunks(data: bytes) -> Iterator[tuple[int, int]]:
    start = 8
    while start + 12 <= len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        if start + 12 + length > len(data):
            return
        yield start, length
        start += 12 + length


def _with_checksums(data: bytes) -> bytes:
    whole = bytearray(data)
    for start, length in _chunks(data):
        end = start + 8 + length
        whole[end : end + 4] = zlib.crc32(data[start + 4 : end]).to_bytes(4, "big")
    return bytes(whole)


def jpeg(data: bytes) -> list[Part]:
    spans: list[Span] = []
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        spans += [(place, place + 2, ">H"), (place + 2, place + 4, ">H"), (place, place + 2 + length, "bytes")]
        spans += [(p, p + 1, "B") for p in range(place + 4, min(place + 2 + length, place + 24))]
        if data[place + 1] in (0xC0, 0xC2):
            spans += [(place + 5, place + 7, ">H"), (place + 7, place + 9, ">H")] * 5
        place += 2 + length
    spans += [(p, p + 1, "B") for p in range(place, min(place + 40, len(data)))]
    return [Part(data, spans)]


def dicom(data: bytes) -> list[Part]:
    """Little-endian elements up to the pixels, with their types or, where the syntax leaves them out, without."""
    spans: list[Span] = []
    place = 132
    while place + 8 <= len(data):
        typed = data[place : place + 2] == b"\x02\0" or b"1.2.840.10008.1.2\0" not in data[:1000]
        kind = data[place + 4 : place + 6] if typed else b""
        wide = kind in (b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"UC", b"UR")
        head = place + (12 if wide else 8)
        sized = (
            (place + 8, place + 12, "<I")
            if wide
            else (place + 6, place + 8, "<H")
            if typed
            else (place + 4, head, "<I")
        )
        length = int.from_bytes(data[sized[0] : sized[1]], "little")
        end = min(head + length, len(data))
        pixels = data[place] in (0x28, 0xE0)
        value = {b"UL": "<I", b"OW": "bytes", b"OB": "bytes"}.get(kind, "<H" if pixels and length == 2 else "fixed")
        spans += [(place, place + 2, "<H"), (place + 2, place + 4, "<H"), (place + 4, place + 6, "bytes"), sized]
        spans += [(head, end, value)] * (6 if pixels else 2) + [(place, end, "bytes")]
        place = head + length
    return [Part(data, spans)]


def safetensors(data: bytes) -> list[Part]:
    length = int.from_bytes(data[:8], "little")
    header, numbers = data[8 : 8 + length], data[8 + length :]
    whole = json_text(header, lambda changed: len(changed).to_bytes(8, "little") + changed + numbers)
    config = re.search(rb'"config":"((?:[^"\\]|\\.)*)"', header)
    if config:  # JSON in a string of JSON
        start, end = 8 + config.start(1), 8 + config.end(1)
        inner = data[start:end].replace(b'\\"', b'"')

        def close(changed: bytes) -> bytes:
            text = header[: start - 8] + changed.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + header[end - 8 :]
            return len(text).to_bytes(8, "little") + text + numbers

        whole += json_text(inner, close) * 2
    return [*whole, Part(data, [(0, 8, "<Q")])]


def archive(data: bytes) -> list[Part]:
    """A zip: JSON and arrays inside, each put back with a right checksum, and the zip's own lists."""
    parts = [Part(data, _zip_spans(data))]
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = {info.filename: (info, file.read(info)) for info in file.infolist()}
    for name, (info, content) in members.items():
        close = _replacing(members, name)
        if name.endswith(".json"):
            parts += json_text(content, close) * 4
        elif name == "header.npy":
            parts += json_text(content[128:], lambda changed, close=close: close(npy_bytes(changed))) * 4  # type: ignore[misc]
        elif name.endswith(".npy"):
            parts.append(_npy(content, close))
        elif content[:4] == b"\x89PNG":
            parts += [Part(p.plain, p.spans, lambda c, p=p, close=close: close(p.close(c))) for p in png(content)]  # type: ignore[misc]
        else:
            parts.append(Part(content, [(0, len(content), "bytes")] if info.file_size else [], close))
    return parts


def npy_bytes(content: bytes) -> bytes:
    out = io.BytesIO()
    np.save(out, np.frombuffer(content, np.uint8))
    return out.getvalue()


def _npy(content: bytes, close: Callable[[bytes], bytes]) -> Part:
    """The text of the header, whose length is written anew, and the first values."""
    plain = content[10:]
    start = plain.index(b"\n") + 1
    dtype = np.load(io.BytesIO(content)).dtype
    ends = range(start + dtype.itemsize, min(len(plain), start + 64 * dtype.itemsize) + 1, dtype.itemsize)
    spans = words(plain, 0, start) + [(e - dtype.itemsize, e, f"<{dtype.char}") for e in ends]

    def with_length(changed: bytes) -> bytes:
        length = changed.find(b"\n") + 1
        return close(content[:8] + (length & 0xFFFF).to_bytes(2, "little") + changed)

    return Part(plain, spans, with_length)


def _replacing(members: dict[str, tuple[zipfile.ZipInfo, bytes]], name: str) -> Callable[[bytes], bytes]:
    def close(changed: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            for other, (info, content) in members.items():
                file.writestr(other, changed if other == name else content, info.compress_type)
        return out.getvalue()

    return close


def _zip_spans(data: bytes) -> list[Span]:
    spans: list[Span] = []
    for match in re.finditer(rb"PK\x01\x02|PK\x03\x04|PK\x05\x06", data):
        central, end = match[0] == b"PK\x01\x02", match[0] == b"PK\x05\x06"
        shorts = (4, 6, 8, 10, 20) if end else (8, 10, 28, 30, 32) if central else (6, 8, 26, 28)
        longs = (12, 16) if end else (16, 20, 24, 42) if central else (14, 18, 22)
        spans += [(match.start() + p, match.start() + p + 2, "<H") for p in shorts]
        spans += [(match.start() + p, match.start() + p + 4, "<I") for p in longs]
    return spans
