"""The Python that the README and the documentation show is run as it stands there."""

import re
from pathlib import Path

import pytest

from napari_scribseg.io.formats import formats, unregister
from napari_scribseg.widgets.segmentation.actions import ACTIONS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def registries():
    """Takes away the formats and actions that a page adds."""
    former, actions = formats(), {action.name for action in ACTIONS}
    yield
    for added in formats()[len(former) :]:
        unregister(added)
    for added in {action.name for action in ACTIONS} - actions:
        ACTIONS.remove(added)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_python_on_the_page_runs(page, tmp_path, monkeypatch, registries):
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {"__name__": "example"}
    for block in blocks(page):
        exec(compile(block, str(page), "exec"), space)
    assert len(space) > 2


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if not (page.parent / t).exists()]
    assert not missing
