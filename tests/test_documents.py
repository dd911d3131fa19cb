"""The links of the project's documents lead somewhere."""

import re

import pytest
import toy

DOCUMENTS = [
    toy.ROOT / "README.md",
    *sorted((toy.ROOT / "datasets").glob("*.md")),
    *sorted((toy.ROOT / "projects/DLD").glob("*.md")),
    *sorted((toy.ROOT / "dld_spotter/pretrained").glob("*/README.md")),
]


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(document):
    """Of the headings, as GitHub makes them: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", without_code(document.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(document):
    text = without_code(document.read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(toy.ROOT)))
def test_every_link_leads_somewhere(document):
    assert list(dead_links(document)) == []


def test_a_dead_link_is_seen(tmp_path):
    text = (
        "# One, two\n[a](other.md) [b](#one-two) [c](#one) [d](page.md#one-two) [e](https://x.y/z)\n```\n[f](g)\n```\n"
    )
    (tmp_path / "page.md").write_text(text)
    assert list(dead_links(tmp_path / "page.md")) == ["other.md", "#one"]
