"""What is installed holds the plugin manifest, however it was installed."""

import importlib.metadata
import importlib.resources
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import napari_scribseg

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "napari.yaml"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOWEST = ROOT / "tests" / "lowest.txt"
# tox.ini says which torch; of the others no test installs the lowest version
UNTESTED = {"torch", "monai", "timm", "huggingface-hub"}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, as someone who just cloned it has it: without the manifest inside the package."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("src", "napari.yaml", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    (copy / "src" / "napari_scribseg" / "napari.yaml").unlink(missing_ok=True)
    return copy


def test_the_installed_package_holds_the_manifest():
    installed = importlib.resources.files(napari_scribseg) / "napari.yaml"
    assert installed.read_text(encoding="utf-8") == MANIFEST.read_text(encoding="utf-8")


def test_npe2_finds_the_manifest_and_all_its_commands():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-scribseg")
    assert manifest.name == "napari-scribseg"
    assert manifest.display_name == "Scribble segmentation"
    for command in manifest.contributions.commands:
        module, _, function = command.python_name.partition(":")
        path = ROOT / "src" / Path(*module.split(".")).with_suffix(".py")
        file = path if path.exists() else path.with_suffix("") / "__init__.py"
        if not module.endswith(".commands"):  # made of the actions
            assert f"{function}" in file.read_text(encoding="utf-8"), command.python_name


def test_wheel_holds_the_manifest_and_the_marker(project, tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(project)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert archive.read("napari_scribseg/napari.yaml") == MANIFEST.read_bytes()
        entry_points = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert "napari_scribseg/py.typed" in names
    assert "scribseg = napari_scribseg.cli:main" in entry_points
    assert "napari-scribseg = napari_scribseg:napari.yaml" in entry_points
    assert not any(n.startswith("tests/") for n in names)


def test_sdist_holds_the_manifest_in_both_places(project, tmp_path):
    from hatchling.builders.sdist import SdistBuilder

    (sdist,) = SdistBuilder(str(project)).build(directory=str(tmp_path))
    with tarfile.open(sdist) as archive:
        names = {n.partition("/")[2] for n in archive.getnames()}
    assert {"napari.yaml", "src/napari_scribseg/napari.yaml", "hatch_build.py", "LICENSE"} <= names


def test_editable_install_finds_the_manifest_in_the_source_tree(project, tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(project)).build(directory=str(tmp_path), versions=["editable"])
    with zipfile.ZipFile(wheel) as archive:
        pth = next(n for n in archive.namelist() if n.endswith(".pth"))
        source = Path(archive.read(pth).decode().strip())
    assert (source / "napari_scribseg" / "napari.yaml").read_bytes() == MANIFEST.read_bytes()


def metadata(project: Path):
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    return ProjectMetadata(str(project), PluginManager())


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(project, tmp_path) -> Path:
    """The project as a repository with one commit and no tag."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    clone = tmp_path / "clone"
    shutil.copytree(project, clone)
    git(clone, "init", "--quiet")
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "-m", "all")
    return clone


def test_a_tag_is_the_version(repository):
    git(repository, "tag", "v1.2.3")
    assert metadata(repository).version == "1.2.3"


def test_after_a_tag_the_version_is_on_the_way_to_the_next(repository):
    git(repository, "tag", "v1.2.3")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "more")
    assert metadata(repository).version.startswith("1.2.4.dev1+g")


def test_a_clone_without_tags_is_before_the_first_release(repository):
    assert metadata(repository).version.startswith("0.1.0.dev1+g")


def test_a_shallow_clone_builds(repository, tmp_path):
    git(repository, "tag", "v1.2.3")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "more")
    git(tmp_path, "clone", "--quiet", "--depth", "1", repository.as_uri(), "shallow")
    assert metadata(tmp_path / "shallow").version.startswith("0.1.0.dev1+g")


def test_without_git_there_is_a_version_all_the_same(project, repository, monkeypatch):
    assert metadata(project).version == "0.1.0.dev0"
    monkeypatch.setenv("PATH", "")
    assert metadata(repository).version == "0.1.0.dev0"


def test_a_source_distribution_keeps_its_version(repository, tmp_path):
    from hatchling.builders.sdist import SdistBuilder

    git(repository, "tag", "v1.2.3")
    (sdist,) = SdistBuilder(str(repository)).build(directory=str(tmp_path / "dist"))
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    assert metadata(tmp_path / "napari_scribseg-1.2.3").version == "1.2.3"


def test_links_and_pictures_of_the_readme_are_absolute_where_it_is_published(project):
    text = metadata(project).core.readme
    assert (
        "](https://raw.githubusercontent.com/napari-scribseg/napari-scribseg/main/docs/images/window-result.png)"
        in text
    )
    assert "](https://github.com/napari-scribseg/napari-scribseg/blob/main/CONTRIBUTING.md)" in text
    assert not re.findall(r"\]\((?!https?:|#)", text)


def promised() -> dict[str, str]:
    """The lowest version of each package, as pyproject.toml gives it."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    groups = [PYPROJECT["dependency-groups"][name] for name in ("test", "gui")]
    requirements = [*map(Requirement, chain(PYPROJECT["project"]["dependencies"], *extras.values(), *groups))]
    bounds = {(canonicalize_name(r.name), s.version) for r in requirements for s in r.specifier if s.operator == ">="}
    lowest = dict(bounds)
    assert len(lowest) == len(bounds), "a package has two lowest versions"
    return {name: version for name, version in lowest.items() if name not in UNTESTED}


def test_the_lowest_versions_that_are_tested_are_those_that_are_promised():
    lines = [line for line in LOWEST.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    tested = [line.partition("==") for line in lines]
    assert {canonicalize_name(name): version for name, _, version in tested} == promised()


@pytest.mark.skipif("SCRIBSEG_LOWEST" not in os.environ, reason="the environment min installs the lowest versions")
def test_the_lowest_versions_are_what_is_installed():
    installed = {name: Version(importlib.metadata.version(name)) for name in promised()}
    assert installed == {name: Version(version) for name, version in promised().items()}


def test_the_pythons_that_are_promised_are_those_that_are_tested():
    prefix = "Programming Language :: Python :: 3."
    promised = [c.removeprefix(prefix) for c in PYPROJECT["project"]["classifiers"] if c.startswith(prefix)]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    tested = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert [f"3.{minor}" for minor in promised] == tested
