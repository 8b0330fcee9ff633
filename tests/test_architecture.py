"""The picture of the rooms is that of the contract, and the page of the Python interface lists all that is public."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PUBLIC = [
    "",
    ".core",
    ".io",
    ".headless",
    ".annotate",
    ".explore",
    ".learn",
    ".nets",
    ".batch",
    ".datasets",
    ".simulate",
    ".testing",
]


def picture(layers: list[str]) -> str:
    """The layers of an import-linter contract, highest first, as a flowchart."""
    boxes = [" · ".join(room.strip().removeprefix("napari_scribseg.") for room in layer.split("|")) for layer in layers]
    nodes = [f'    r{i}["{box}"]' for i, box in enumerate(boxes)]
    arrows = " --> ".join(f"r{i}" for i in range(len(boxes)))
    return "\n".join(["```mermaid", "flowchart TB", *nodes, f"    {arrows}", "```"])


def test_the_picture_of_the_rooms_is_that_of_the_contract():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (doors,) = (c for c in pyproject["tool"]["importlinter"]["contracts"] if c["name"] == "one-way doors")
    expected = picture(doors["layers"])
    assert expected in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), f"expected is\n{expected}"


@pytest.mark.parametrize("room", PUBLIC)
def test_the_page_of_the_python_interface_lists_all_that_is_public(room):
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = {path.rpartition(".")[2] for path in re.findall(r"^::: ([\w.]+)$", page, flags=re.MULTILINE)}
    public = importlib.import_module(f"napari_scribseg{room}").__all__
    assert set(public) - {"__version__"} <= listed


def test_the_page_of_the_python_interface_names_what_there_is():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for path in re.findall(r"^::: ([\w.]+)$", page, flags=re.MULTILINE):
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path
