"""Commands that the documentation names exist, and each table of measured figures names the one that makes it."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.main import get_command

from napari_scribseg.bench.methods import parse_method
from napari_scribseg.bench.peers import PEERS
from napari_scribseg.cli import app
from napari_scribseg.core import InputError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Tables with numbers that were not measured here, by the page and the first words of their heading.
NOT_MEASURED = {
    ("docs/data-sets.md", "name | what | cases"): "counts of cases",
    ("docs/editing.md", "tool | what it does"): "values that parameters have at first",
    ("docs/study.md", "| colour | colour, position"): "the papers' figures",
}

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`|]+)`(?!`)")
_TABLE = re.compile(r"^\|(.*)\|\n\|[-:| ]+\|\n((?:\|.*\n?)+)", re.MULTILINE)
_PART = re.compile(r"^(?:#+ |\*\*)", re.MULTILINE)  # a heading, or a paragraph that begins in bold
_NUMBER = re.compile(r"^[^\w.]*\d|(?<![\w.])\d+\.\d")


@dataclass(frozen=True)
class Command:
    """A program that is part of this project, with its arguments."""

    program: str
    arguments: tuple[str, ...]
    line: int


def commands(page: str, start: int = 0, end: int | None = None) -> list[Command]:
    """The commands in a part of a page, from its blocks of shell code and from code in its text."""
    found = []
    for block in _FENCED.finditer(page):
        if start <= block.start() < (end or len(page)) and block[1] in ("sh", "bash", "console"):
            for text in block[2].replace("\\\n", " ").splitlines():
                found += _commands_of(text, page.count("\n", 0, block.start()) + 1)
    prose = _FENCED.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), page)
    for code in _INLINE.finditer(prose, start, end or len(page)):
        found += _commands_of(" ".join(code[1].split()), page.count("\n", 0, code.start()) + 1)
    return found


def _commands_of(text: str, line: int) -> list[Command]:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:  # an apostrophe, no command
        return []
    while words and (re.fullmatch(r"[A-Z_]+=.*", words[0]) or words[0] in ("xvfb-run", "-a")):
        words = words[1:]
    if words[:1] == ["scribseg"]:
        return [Command("scribseg", tuple(words[1:]), line)]
    if words[:1] in (["python"], ["asv"]) and re.match(r"(?:benchmarks|docs|\.ci)/", " ".join(words[1:2])):
        return [Command(words[1], tuple(words[2:]), line)]
    return []


def problem(command: Command, *, whole: bool) -> str:
    """Why a command cannot be run as it stands; empty where it can. ``whole``: no argument may be missing."""
    if command.program != "scribseg":
        return _problem_of_script(command)
    words, part = [word for word in command.arguments if word != "--help"], get_command(app)
    while isinstance(subcommands := getattr(part, "commands", None), dict):
        while words and words[0].startswith("-"):
            if words.pop(0) not in {option for parameter in part.params for option in parameter.opts}:
                return "no such option"
        if not words or words[0].isupper():
            return ""
        choices = words.pop(0).split("|")
        if unknown := [choice for choice in choices if choice not in subcommands]:
            return f"there is no command {unknown[0]}"
        part = subcommands[choices[0]]
    if "--help" in command.arguments or (not words and not whole):
        return ""
    if any(word.startswith("[") or word == "..." for word in words):  # a synopsis
        defined = {option for parameter in part.params for option in (*parameter.opts, *parameter.secondary_opts)}
        return " ".join(sorted({w.strip("[]") for w in words if w.lstrip("[").startswith("--")} - defined))
    try:
        with part.make_context("scribseg", words) as context:
            return _problem_of_methods(context.params.get("engine")) if part.name == "bench" else ""
    except Exception as error:
        if not hasattr(error, "format_message"):  # the errors of click, which newer typers bring along
            raise
        return "" if type(error).__name__ == "MissingParameter" and not whole else error.format_message()


def _problem_of_methods(methods: list[str] | None) -> str:
    """Whether each engine or peer of ``scribseg bench`` has the parameters that are given."""
    for method in methods or ():
        name = method.partition(":")[0]
        if name in PEERS and not PEERS[name].installed:
            continue
        try:
            parse_method(method)
        except InputError as error:
            return str(error)
    return ""


def _problem_of_script(command: Command) -> str:
    script = ROOT / command.program
    if not script.is_file():
        return "there is no such file"
    text = script.read_text(encoding="utf-8")
    options = {word.partition("=")[0] for word in command.arguments if re.match(r"--\w", word)}
    missing = sorted(option for option in options if f'"{option}"' not in text)
    return f"it has no option {missing}" if missing else ""


def tables(page: Path) -> list[tuple[int, int, str]]:
    """The tables of figures of a page: where their part of the page begins, where they stand, and their heading."""
    text, found = page.read_text(encoding="utf-8"), []
    for table in _TABLE.finditer(text):
        cells = [c.strip() for row in table[2].splitlines() for c in row.strip("|").split("|")[1:] if c.strip()]
        numbers = sum(bool(_NUMBER.search(cell)) for cell in cells)
        if numbers >= 4 and numbers >= 0.3 * len(cells):
            part = max((match.start() for match in _PART.finditer(text, 0, table.start())), default=0)
            found.append((part, table.start(), table[1].strip()))
    return found


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_on_the_page_exist(page):
    text = page.read_text(encoding="utf-8")
    wrong = [(c.line, c.program, *c.arguments, why) for c in commands(text) if (why := problem(c, whole=False))]
    assert not wrong


@pytest.mark.parametrize("page", [p for p in PAGES if tables(p)], ids=name)
def test_each_table_of_figures_names_the_command_that_makes_it(page):
    text, unnamed = page.read_text(encoding="utf-8"), []
    for start, end, heading in tables(page):
        if any(name(page) == p and heading.startswith(words) for p, words in NOT_MEASURED):
            continue
        named = commands(text, start, end)
        why = [problem(command, whole=True) for command in named]
        if not named or all(why):
            unnamed.append((text.count("\n", 0, end) + 1, heading, why))
    assert not unnamed


def test_tables_without_measured_figures_are_still_there():
    for page, words in NOT_MEASURED:
        assert any(heading.startswith(words) for _, _, heading in tables(ROOT / page))


def test_tables_of_figures_are_seen():
    pages = {name(page) for page in PAGES if tables(page)}
    engines = {f"docs/engines/{engine}.md" for engine in ("brs", "coarse-to-fine", "scribble-net", "single-image")}
    assert engines | {f"docs/{page}.md" for page in ("benchmark", "explore", "measured", "study")} <= pages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scribseg bnch --out a", "there is no command bnch"),
        ("scribseg bench --out a --nodata b", "--nodata"),
        ("scribseg bench --out a --protocol mice", "mice"),
        ("scribseg bench --data a", "--out"),
        ("scribseg bench --out a --engine svdc", "there is no engine or peer 'svdc'"),
        ("scribseg bench --out a --engine svcd:smooth=3", "has no parameter 'smooth'"),
        ("scribseg train nothing", "there is no command nothing"),
        ("python benchmarks/no_such.py", "there is no such file"),
        ("python benchmarks/brs.py --no-such 3", "it has no option ['--no-such']"),
        ("SCRIBSEG_DATA=a scribseg bench --out a --data b --download  # comment", ""),
        ("xvfb-run -a python benchmarks/window.py 512", ""),
        ("scribseg --debug train brs --help", ""),
    ],
)
def test_what_does_not_exist_is_seen(text, message):
    (command,) = commands(f"text\n\n```sh\n{text}\n```\n")
    assert message in problem(command, whole=True)
    assert bool(message) == bool(problem(command, whole=True))
    assert commands(f"Measured with `{text}` here.") == [Command(command.program, command.arguments, 1)]
