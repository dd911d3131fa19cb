"""The tutorial notebook runs from its first cell to its last."""

import os

import pytest
import toy

nbclient = pytest.importorskip("nbclient", reason="needs requirements-docs.txt")
nbformat = pytest.importorskip("nbformat", reason="needs requirements-docs.txt")


def test_the_tutorial_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(toy.ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(toy.ROOT / "docs/tutorial.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])]
    assert "['filterable', 'curtseys', 'be', 'vaped']\n" in printed and "steps: 2\n" in printed
