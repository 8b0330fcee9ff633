"""Find words that the project once used in a private sense: ``python .ci/language.py [--count]``.

Identifiers are read by token and compared part by part (``mean_plane`` has the parts *mean* and *plane*); phrases are
looked for in documentation, docstrings and messages. ``language.toml`` beside this file holds both lists.
"""

import re
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTS = tomllib.loads((ROOT / ".ci" / "language.toml").read_text(encoding="utf-8"))
PHRASES = {re.compile(pattern, re.IGNORECASE): use for pattern, use in LISTS["phrases"].items()}
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
Finding = tuple[Path, int, str, str]  # file, line, what was found, what to use


def private_words(file: Path) -> Iterator[Finding]:
    """Identifiers with a private word, and phrases in strings and comments."""
    allowed = {*LISTS["allowed"]["names"]}
    with tokenize.open(file) as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type == tokenize.NAME and token.string not in allowed:
                for part in _PART.findall(token.string):
                    if use := LISTS["words"].get(part.lower()):
                        yield file, token.start[0], token.string, use
            elif token.type in (tokenize.STRING, tokenize.COMMENT):
                yield from private_phrases(file, token.string, token.start[0])


def private_phrases(file: Path, text: str, first: int = 1) -> Iterator[Finding]:
    """Phrases of the list in a text that begins in the line ``first``."""
    for pattern, use in PHRASES.items():
        for found in pattern.finditer(text):
            yield file, first + text.count("\n", 0, found.start()), found.group(), use


def findings() -> Iterator[Finding]:
    """All of the checkout."""
    for room in ("src", "tests", "benchmarks", "docs", "training"):
        for file in sorted((ROOT / room).rglob("*.py")):
            yield from private_words(file)
    for file in (*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        yield from private_phrases(file, file.read_text(encoding="utf-8"))


def main() -> int:
    """Print what was found, or with ``--count`` how often each word; 1 where there is anything."""
    found = list(findings())
    if "--count" in sys.argv:
        for (name, use), count in Counter((f[2], f[3]) for f in found).most_common():
            print(f"{count:5} {name}: use {use}")
    else:
        for file, line, name, use in found:
            print(f"{file.relative_to(ROOT)}:{line}: {name!r}: use {use}")
    print(f"{len(found)} private words" if found else "no private words", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
