"""Each picture of the documentation is made by one command, or by one that measures; the first steps are taken."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FIRST_STEPS = DOCS / "first-steps.md"


@pytest.fixture(scope="module")
def command():
    """The module of the one command."""
    spec = importlib.util.spec_from_file_location("make_all_pictures", DOCS / "make_all_pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(page: Path) -> set[Path]:
    """The pictures that a page shows, of this repository."""
    named = re.findall(r"!\[[^\]]*\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8"))
    return {(page.parent / name).resolve() for name in named}


def test_each_picture_is_made_by_a_command_and_shown_on_a_page(command):
    made = [name for names in command.MADE.values() for name in names]
    listed = {(DOCS / "images" / name).resolve() for name in (*made, *command.MEASURED)}
    assert len(listed) == len(made) + len(command.MEASURED)
    assert set().union(*map(shown, PAGES)) == listed
    if (ROOT / ".git").exists():  # source distributions leave the film out
        assert {path.resolve() for path in (DOCS / "images").iterdir()} == listed
    for script, *_options in command.MADE:
        assert (DOCS / script).is_file()


def test_a_page_names_the_command_that_measures_its_curves(command):
    for name, measured in command.MEASURED.items():
        (page,) = (page for page in PAGES if (DOCS / "images" / name).resolve() in shown(page))
        assert measured in page.read_text(encoding="utf-8"), name


def test_the_film_is_short_and_small():
    from PIL import Image

    path = DOCS / "images" / "session.webp"
    if not path.exists() and not (ROOT / ".git").exists():
        pytest.skip("source distributions leave the film out")
    assert path.stat().st_size < 3_000_000
    with Image.open(path) as film:
        durations = []
        for number in range(film.n_frames):
            film.seek(number)
            film.load()
            durations.append(film.info["duration"])
    assert len(durations) > 50
    assert 15_000 < sum(durations) < 40_000


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """The report of the first steps, taken in a window of a process of its own."""
    if not os.environ.get("DISPLAY") or importlib.util.find_spec("qtpy") is None:
        pytest.skip("no X server: install Xvfb, or run under xvfb-run")
    folder = tmp_path_factory.mktemp("pictures")
    settings = tmp_path_factory.mktemp("settings")
    own = {"SCRIBSEG_AUTOSAVE": settings, "XDG_CONFIG_HOME": settings, "NAPARI_CONFIG": settings / "napari.yaml"}
    script = [sys.executable, DOCS / "first_steps.py", folder, "--report", folder / "report.json"]
    done = subprocess.run(
        script, env={**os.environ, **{k: str(v) for k, v in own.items()}}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "report.json").read_text(encoding="utf-8")), folder


@pytest.mark.gui
@pytest.mark.slow
def test_the_first_steps_are_those_of_the_page_and_make_its_pictures(taken, command):
    report, folder = taken
    page = FIRST_STEPS.read_text(encoding="utf-8")
    headings = re.findall(r"^## \d\. (.*)$", page, re.MULTILINE)
    assert [re.sub(r"\W+", "_", heading.lower()) for heading in headings] == report["steps"]
    made = {path.name for path in folder.glob("*.png")}
    assert made == {path.name for path in shown(FIRST_STEPS)} == set(command.MADE["first_steps.py",])


@pytest.mark.gui
@pytest.mark.slow
def test_the_words_that_the_first_steps_show_in_italics_are_in_the_window(taken):
    report, _ = taken
    page = re.sub(r"```.*?```", "", FIRST_STEPS.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = {
        " ".join(part.split()) for words in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", page) for part in words.split(">")
    }
    assert len(named) > 10
    assert named <= set(report["texts"])


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    notebook = nbformat.read(DOCS / "from-python.ipynb", as_version=4)
    client.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    kept = nbformat.read(DOCS / "from-python.ipynb", as_version=4)
    kinds, former = ([{_kind(o) for o in cell.get("outputs", ())} for cell in each.cells] for each in (notebook, kept))
    assert kinds == former
    assert sum("image" in each for each in kinds) == 3
    assert (tmp_path / "head.seg.nrrd").is_file()


def _kind(output) -> str:
    return "image" if "image/png" in output.get("data", {}) else output["output_type"]
