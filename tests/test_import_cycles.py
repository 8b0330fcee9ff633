"""No file imports, in any number of steps, a file that imports it; imports for type checking and in functions count."""

import ast
from pathlib import Path

import networkx as nx

import napari_scribseg

ROOT = Path(napari_scribseg.__file__).parent
EXCEPTION = ("napari_scribseg.core.image", "napari_scribseg.io")  # Image.read


def modules():
    """Each module's name, and its syntax tree."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text("utf-8"))
    return found


def imports():
    """Which module imports which, wherever in its file."""
    trees = modules()
    graph = nx.DiGraph()
    graph.add_nodes_from(trees)
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [one if one in trees else str(node.module) for one in whole]
            else:
                continue
            graph.add_edges_from((name, target) for target in targets if target in trees)
    return graph


def cycles():
    """Groups of modules that import one another, each sorted."""
    graph = imports()
    graph.remove_edge(*EXCEPTION)
    groups = [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]
    return sorted(groups + [[name] for name in nx.nodes_with_selfloops(graph)])


def test_files_import_one_another_in_one_direction():
    assert not cycles(), "\n".join(" <-> ".join(group) for group in cycles())
