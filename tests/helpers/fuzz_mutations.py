"""Files that are nearly valid: fields with hostile values, left out, doubled, exchanged; cut off; with random bytes."""

from __future__ import annotations

import struct
from typing import Any

from fuzz_layouts import Part, Span
from hypothesis import strategies as st

NUMBERS = (
    "0", "-1", "1", "2", "3", "7", "255", "256", "4096", "65535", "65536", "70000", "200000000", "2147483647",
    "2147483648", "4294967295", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1" * 400, "0x10",
    "1e3", "1e308", "1e-320", "-1e400", "nan", "inf", "-inf", "1.5", "00012", "1_0", "\u0663",
)  # fmt: skip
TEXTS = (
    "", " ", "x", "x" * 1000, "y" * 70000, "%s%s%s%n", "%d", "%099d", "../../../../etc/passwd", "/dev/zero",
    "/etc/passwd", "LIST", "-", "~root/x", "a:b", "\0", "a\0b", "\r", "\n", "\n\n", "\t", '"', "'", "\\",
    "=cmd|' /C calc'!A0", "none", "NaN", "true", "\U0001f600", "\ud800", "(1,0,0)", "(nan,nan,nan)", "1 2 3", "0 0 0",
    "1 " * 500, "gzip", "bzip2", "hex", "raw", "LOCAL", ": ", ":= ", "<a>" * 200, "&" * 500, "file.tif",
)  # fmt: skip
JSON = (
    "null", "true", "0", "-1", "1.5", "1e999", "NaN", "-Infinity", "2147483648", "9223372036854775808", "200000000",
    "1" * 5000, '""', '"x"', '"%s"', '"../../etc/passwd"', '"/dev/zero"', '"\\u0000"', '"\\ud800"', '"os:abort"', "[]",
    "{}", "[[]]", "[1,2]", "[-1]", "[0,0,0]", "[1e308,1e308,1e308]", "[" * 900 + "]" * 900, '"' + "z" * 100000 + '"',
    "4096", "[4096,4096,4096,4096]", "[999999999,999999999]", '{"a":1}', "1", "2", "7", "65536", "1e-320", "false",
)  # fmt: skip
BINARY = (b"", b"\0", b"\xff" * 4, b"\0" * 4, b"A" * 16, b"%n%s", b"\xff" * 300, b"\0" * 2000)
WHOLE = (
    0, 1, 2, 3, 4, 7, 8, 16, 127, 128, 255, 256, 512, 1000, 4096, 13000, 32767, 32768, 65535, 65536, 1 << 24, 1 << 30,
    (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
)  # fmt: skip
REAL = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-320, 1e30, 3.4e38, 1e308, float("nan"), float("inf"), float("-inf"), 352.5)


def hostile(kind: str) -> st.SearchStrategy[bytes]:
    """Values for a field of this kind."""
    if kind in ("text", "fixed"):
        texts: st.SearchStrategy[str] = st.sampled_from(NUMBERS + TEXTS) | st.text(max_size=8)
        return texts.map(lambda value: value.encode("utf-8", "surrogatepass"))
    if kind in ("json", "key"):
        return st.sampled_from([value.encode() for value in JSON if kind == "json" or value[:1] == '"'])
    if kind == "bytes":
        return st.sampled_from(BINARY) | st.binary(max_size=16)
    size = struct.calcsize(kind)
    if kind[-1] in "efd":
        values: st.SearchStrategy[Any] = st.sampled_from(REAL)
        return values.map(lambda value: _packed_real(kind, value)) | st.binary(min_size=size, max_size=size)
    order = "big" if kind[0] == ">" else "little"
    numbers = st.sampled_from(WHOLE).map(lambda value: (value & ((1 << 8 * size) - 1)).to_bytes(size, order))  # type: ignore[arg-type]
    return numbers | st.binary(min_size=size, max_size=size)


def _packed_real(kind: str, value: float) -> bytes:
    try:
        return struct.pack(kind, value)
    except OverflowError:
        return struct.pack(kind, float("inf"))


@st.composite
def mutants(draw: st.DrawFn, data: bytes, parts: list[Part]) -> bytes:
    """A file made of a valid one, which falls into these parts."""
    how = draw(st.sampled_from(["fields"] * 20 + ["cut", "cut", "noise", "both", "random"]))
    if how == "random":
        return data[: draw(st.sampled_from([0, 4, 16]))] + draw(st.binary(max_size=300))
    if how in ("fields", "both"):
        part: Part = draw(st.sampled_from(parts))
        data = part.close(_with_fields(draw, part))
    if how in ("cut", "both"):
        data = data[: draw(st.integers(0, len(data)))]
    if how in ("noise", "both") and data:
        changed = bytearray(data)
        for place in draw(st.lists(st.integers(0, len(data) - 1), min_size=1, max_size=6)):
            changed[place] = draw(st.integers(0, 255))
        data = bytes(changed)
    return data


def _with_fields(draw: st.DrawFn, part: Part) -> bytes:
    plain = part.plain
    if not part.spans:
        start = draw(st.integers(0, max(len(plain) - 1, 0)))
        return plain[:start] + draw(st.binary(min_size=1, max_size=4)) + plain[start + 1 :]
    chosen = draw(st.lists(st.sampled_from(part.spans), min_size=1, max_size=3))
    free = len(plain)  # what comes behind is changed already
    for start, end, kind in sorted(chosen, reverse=True):
        if end > free:
            continue
        free, old = start, plain[start:end]
        values = 5 if kind == "text" else 30  # elsewhere a field of another length moves all that follows
        new = draw(st.sampled_from(["value"] * values + ["none", "twice", "other"]))
        if new == "value":
            value = draw(hostile(kind))
            if kind == "fixed" or (kind == "bytes" and draw(st.integers(0, 3))):
                value = (value * (len(old) if kind == "bytes" else 1)).ljust(len(old))[: len(old)]
        elif new == "other":
            other: Span = draw(st.sampled_from(part.spans))
            value = part.plain[other[0] : other[1]]
        else:
            value = b"" if new == "none" else old * 2
        plain = plain[:start] + value + plain[end:]
    return plain
