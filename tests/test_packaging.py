"""What is installed holds the plugin manifest, however it was installed."""

import importlib.resources
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

import napari_scribseg

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "napari.yaml"


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
