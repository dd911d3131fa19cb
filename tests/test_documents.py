"""What the documents say is true: links, commands, options, configs, paths; and their Python blocks run."""

import contextlib
import io
import os
import re
import shutil
from functools import cache

import pytest
import toy
import yaml
from helpers import documents

from dld_spotter import cli, load_cfg
from dld_spotter.pretrained import find_config, pretrained_models

GUIDES = [toy.ROOT / "README.md", toy.ROOT / "CONTRIBUTING.md", *sorted((toy.ROOT / "docs").glob("*.md"))]
DOCUMENTS = [
    *GUIDES,
    *(path for folder in ("configs", "datasets", "projects/DLD") for path in sorted((toy.ROOT / folder).glob("*.md"))),
]
# `make docs` checks the links between the pages of the site.
LINKED = [
    *(path for path in DOCUMENTS if path.parent != toy.ROOT / "docs"),
    *sorted((toy.ROOT / "dld_spotter/pretrained").glob("*/README.md")),
]
# Files that a reader makes by following the page.
MADE_BY_READER = re.compile(r"(output|exported|drawn|my_)\S*|mine\.yaml")
KEY = re.compile(r"(?:[A-Z][A-Z0-9_]*\.)+[A-Z][A-Z0-9_]*")
PATH = re.compile(r"(?:configs|tools|dld_spotter|projects|tests|examples|docs)/[\w./-]+")


def each(paths):
    return pytest.mark.parametrize("document", paths, ids=lambda path: str(path.relative_to(toy.ROOT)))


def read(document):
    """The page as it is shown: with the files that it includes."""
    text = document.read_text(encoding="utf-8")
    return re.sub(r'^--8<-- "(.*)"$', lambda found: (toy.ROOT / found[1]).read_text(encoding="utf-8"), text, flags=re.M)


def is_shipped(name):
    return name in pretrained_models()


@cache
def keys():
    def below(node, prefix=""):
        for name, value in node.items():
            yield prefix + name
            if isinstance(value, dict):
                yield from below(value, f"{prefix}{name}.")

    return set(below(load_cfg()))


@cache
def help_of(tool, first):
    """What a command says to --help, and to its first argument with --help, where that is a subcommand.

    Of a script that is no command, its source.
    """
    script = cli.commands().get(tool, toy.ROOT / tool)
    named = [name for name, path in cli.commands().items() if path == script]
    if not named:
        return script.read_text(encoding="utf-8")
    said = io.StringIO()
    for arguments in ([], [first]):
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            cli.main([named[0], *arguments, "--help"])
    return said.getvalue()


@each(LINKED)
def test_every_link_leads_somewhere(document):
    assert list(documents.dead_links(document)) == []


def test_a_dead_link_is_seen(tmp_path):
    text = (
        "# One, two\n[a](other.md) [b](#one-two) [c](#one) [d](page.md#one-two) [e](https://x.y/z)\n```\n[f](g)\n```\n"
    )
    (tmp_path / "page.md").write_text(text)
    assert list(documents.dead_links(tmp_path / "page.md")) == ["other.md", "#one"]


def test_commands_are_found_in_shell_blocks():
    text = (
        "`dld-spotter inline`\n```bash\ncd x\ndld-spotter read --input a \\\n    KEY 1  # said\n"
        "python tools/demo.py -x\n```\n<!-- no-run -->\n```python\ndld-spotter\n```\n"
    )
    commands = list(documents.tool_commands(text))
    assert [command.tool for command in commands] == ["read", "tools/demo.py"]
    assert [command.arguments for command in commands] == [("--input", "a", "KEY", "1"), ("-x",)]
    assert [block.runs for block in documents.blocks(text)] == [True, False]


@each(DOCUMENTS)
def test_every_command_is_there_with_its_options(document):
    for command in documents.tool_commands(read(document)):
        assert command.tool in [*cli.commands(), cli.MODELS] or (toy.ROOT / command.tool).is_file(), command
        flags = {word.partition("=")[0] for word in command.arguments if re.match(r"--[a-z]", word)}
        flags -= {"--opts"}  # every tool takes KEY VALUE pairs behind it
        unknown = flags - set(re.findall(r"--[\w-]+", help_of(command.tool, next(iter(command.arguments), "--help"))))
        assert not unknown, command


@each(DOCUMENTS)
def test_every_config_of_a_command_is_there(document):
    for command in documents.tool_commands(read(document)):
        files = " ".join(command.arguments).partition("--config-file ")[2].split()
        for name in files:
            if not name.endswith(".yaml") and name != files[0]:
                break
            known = is_shipped(name) or os.path.exists(find_config(name)) or (toy.ROOT / name).is_file()
            assert known or MADE_BY_READER.fullmatch(name), f"{name} in {command}"


@each(DOCUMENTS)
def test_every_config_key_is_there(document):
    text = read(document)
    written = [word for words in documents.shell_lines(text) for word in words if KEY.fullmatch(word)]
    written += [key for code in documents.inline_code(text) for key in KEY.findall(code.partition("=")[0])]
    known = keys() | {key.partition(".")[2] for key in keys()}
    assert [key for key in written if key not in known] == []


@each(DOCUMENTS)
def test_every_path_is_there(document):
    named = [path for code in documents.inline_code(read(document)) for path in PATH.findall(code)]
    assert [path for path in named if "NAME" not in path and not (toy.ROOT / path.rstrip(".")).exists()] == []
    configs = [code for code in documents.inline_code(read(document)) if re.fullmatch(r"[\w/.-]+\.yaml", code)]
    missing = [name for name in configs if not os.path.exists(find_config(name)) and not MADE_BY_READER.fullmatch(name)]
    assert [name for name in missing if name != "model.yaml" and not (toy.ROOT / name).exists()] == []


@each(DOCUMENTS)
def test_every_make_target_is_there(document):
    makefile = (toy.ROOT / "Makefile").read_text()
    code = [
        *documents.inline_code(read(document)),
        *(" ".join(words) for words in documents.shell_lines(read(document))),
    ]
    targets = [found[1] for text in code if (found := re.match(r"make ([\w-]+)", text))]
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, flags=re.MULTILINE)] == []


@each(GUIDES)
def test_every_yaml_block_is_a_config(document, tmp_path):
    for block in documents.blocks(read(document)):
        if block.language == "yaml" and all(key.isupper() for key in yaml.safe_load(block.code)):
            (tmp_path / "block.yaml").write_text(block.code)
            load_cfg(str(tmp_path / "block.yaml"))


def python_blocks(document):
    return [block for block in documents.blocks(read(document)) if block.language == "python"]


@each([document for document in GUIDES if python_blocks(document)])
def test_every_python_block_runs(document, tmp_path, monkeypatch):
    """In their order, in a folder with photos; names are shared within a page."""
    samples = toy.ROOT / "projects/DLD/samples"
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/first.jpg"):
        shutil.copy(samples / "scene_1.jpg", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "documented"}
    for block in python_blocks(document):
        compiled = compile(block.code, str(document), "exec")
        if block.runs and "META_ARCH_REGISTRY" not in block.code:  # a spotter registers once, in its own test
            exec(compiled, names)


def test_the_readme_is_short():
    assert len((toy.ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
