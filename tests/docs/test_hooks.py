"""Pages of the site that are made of other files."""

import json

import pytest
import toy

pytest.importorskip("mkdocs", reason="needs requirements-docs.txt")
hooks = toy.load_script("docs/hooks.py")


def test_links_to_other_files_become_text():
    text = "[a](file.py) [b](https://x.y) [c](#here) [d](page.md#part) [e](page.md)"
    assert hooks.without_dead_links(text) == "a [b](https://x.y) [c](#here) d e"
    assert hooks.without_dead_links(text, keep=r"page\.md") == text.replace("[a](file.py)", "a")


def test_a_card_links_other_cards(tmp_path):
    card = tmp_path / "README.md"
    card.write_text(
        "---\nlicense: apache-2.0\n---\n# one\n[two](../two) [three](../three/README.md) [log](../../x.md)\n"
    )
    assert hooks.card_page(card) == "# one\n[two](two.md) [three](three.md) log\n"


def test_a_notebook_s_cells_stand_in_their_order(tmp_path):
    cells = [{"cell_type": "markdown", "source": ["# A\n", "b"]}, {"cell_type": "code", "source": ["x = 1"]}]
    (tmp_path / "page.ipynb").write_text(json.dumps({"cells": cells}))
    page = hooks.notebook_page(tmp_path / "page.ipynb")
    assert page.startswith("# A\nb\n\n```python\nx = 1\n```\n")
