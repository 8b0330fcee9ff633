"""Run ``from-python.ipynb`` anew, and keep what it prints and shows: ``python docs/make_notebook.py [FOLDER]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "from-python.ipynb"


def main() -> None:
    """Execute all cells in a folder of their own, and write the notebook."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else NOTEBOOK.parent
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as files:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": files}}).execute()
    for cell in notebook.cells:
        cell.metadata.clear()  # times of the run
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/jpeg", None)  # the same as the PNG beside it
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, folder / NOTEBOOK.name)


if __name__ == "__main__":
    main()
