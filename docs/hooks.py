"""Pages of the site that are made of other files: options, configs, model cards, the tutorial, changes.

MkDocs calls the functions whose names begin with ``on_``.
"""

import contextlib
import io
import json
import re
import runpy
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
CARDS = ROOT / "dld_spotter" / "pretrained"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files of docs/."""
    pages = {
        "options.md": printed_by(ROOT / "docs" / "generate_options.py"),
        "configs.md": without_dead_links((ROOT / "configs" / "README.md").read_text(encoding="utf-8")),
        "tutorial.md": notebook_page(ROOT / "docs" / "tutorial.ipynb"),
        "contributing.md": without_dead_links((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")),
        "changelog.md": without_dead_links((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
    }
    for card in sorted(CARDS.glob("*/README.md")):
        pages[f"models/{card.parent.name}.md"] = card_page(card)
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the table of the README and the list of cards into the model zoo."""
    if page.file.src_uri != "models.md":
        return markdown
    cards = sorted(uri for uri in files.src_uris if uri.startswith("models/"))
    links = "\n".join(f"- [{Path(uri).stem}]({uri})" for uri in cards)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("<!-- models -->")[2].partition("<!-- /models -->")[0]
    return markdown.replace("<!-- models -->", table).replace("<!-- cards -->", links)


def printed_by(script: Path) -> str:
    """What the ``main()`` of a script prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(script))["main"]()
    return printed.getvalue()


def notebook_page(path: Path) -> str:
    """The cells of a notebook as Markdown."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    return "\n\n".join([*parts, "The notebook is `docs/tutorial.ipynb`.", ""])


def card_page(card: Path) -> str:
    """A model card; links to other cards lead to their pages."""
    text = card.read_text(encoding="utf-8")
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)  # the fields that model hubs read
    return without_dead_links(re.sub(r"\]\(\.\./([\w-]+)(?:/README\.md)?/?\)", r"](\1.md)", text), keep=r"[\w-]+\.md")


def without_dead_links(text: str, keep: str = r"$^") -> str:
    """Links to files that are no pages of the site become their text; web addresses and anchors stay."""
    return re.sub(rf"\[([^]]*)\]\((?![a-z]+:|#|(?:{keep})[)#])[^)]*\)", r"\1", text)
