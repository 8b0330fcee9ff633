"""The scripts beside the package, which no other test runs, import what the package has."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(p for folder in ("benchmarks", "docs", ".ci") for p in (ROOT / folder).glob("*.py"))


def module_file(name):
    path = ROOT / "src" / Path(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def names_of(path):
    """What a module binds or exports at its top."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        for inner in ast.walk(node):
            if isinstance(inner, ast.FunctionDef | ast.ClassDef):
                found.add(inner.name)
            elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                found.add(inner.id)
            elif isinstance(inner, ast.Import | ast.ImportFrom):
                found |= {alias.asname or alias.name for alias in inner.names}
            elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):  # of __all__, imported late
                found.add(inner.value)
    return found


def missing(source):
    """Imports of the package that it does not have."""
    absent = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("napari_scribseg"):
            continue
        path = module_file(node.module)
        for alias in node.names:
            if not (path.exists() and alias.name in names_of(path)):
                submodule = module_file(f"{node.module}.{alias.name}")
                absent += [] if submodule.exists() else [f"{node.module}.{alias.name}"]
    return absent


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_imports_exist(script):
    assert missing(script.read_text()) == []


def test_a_missing_import_is_found():
    source = (
        "from napari_scribseg.widgets.segmentation import annotator, watcher\nfrom napari_scribseg.core import Image\n"
    )
    assert missing(source) == ["napari_scribseg.widgets.segmentation.watcher"]
