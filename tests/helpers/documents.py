"""What the project's documents say: their code blocks, commands, paths, options and links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?P<mark><!-- no-run -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^ *```", re.M | re.S
)
_TOOL = re.compile(r"(?:\.\./)?(?:tools|projects|examples)/[\w/]+\.py")


@dataclass(frozen=True)
class Block:
    """A fenced block of code; ``runs`` unless ``<!-- no-run -->`` stands above it."""

    language: str
    code: str
    runs: bool


@dataclass(frozen=True)
class Command:
    """A command line that calls a tool of the project.

    Attributes:
        tool: the command's name of ``dld-spotter``, or the path of a script from the project's root.
        arguments: what stands behind it.
    """

    tool: str
    arguments: tuple[str, ...]


def blocks(text: str) -> list[Block]:
    """All fenced blocks, in their order."""
    return [
        Block(match["language"], re.sub(rf"^{match['indent']}", "", match["code"], flags=re.M), match["mark"] is None)
        for match in _BLOCK.finditer(text)
    ]


def without_blocks(text: str) -> str:
    """The text between the fenced blocks."""
    return _BLOCK.sub("", text)


def shell_lines(text: str) -> Iterator[list[str]]:
    """The words of each command in the shell blocks, continued lines joined and comments left out."""
    for block in blocks(text):
        if block.language in ("bash", "sh", "shell"):
            for line in block.code.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    yield words


def tool_commands(text: str) -> Iterator[Command]:
    """The commands of the shell blocks that call a tool of the project."""
    for words in shell_lines(text):
        if words[0] == "dld-spotter":
            yield Command(words[1], tuple(words[2:]))
        else:
            for place, word in enumerate(words[:2]):
                if _TOOL.fullmatch(word):
                    yield Command(word.removeprefix("../"), tuple(words[place + 1 :]))


def inline_code(text: str) -> list[str]:
    """What stands between single backticks outside the blocks."""
    return re.findall(r"`([^`\n]+)`", without_blocks(text))


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(document: Path) -> Iterator[str]:
    """Links to files or headings that are not there; web addresses are not followed."""
    text = without_blocks(document.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            yield link
