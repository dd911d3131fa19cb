"""The page of options: no key without a meaning, and what is said to read a key reads it."""

import re

import pytest
import toy
from detectron2.config import CfgNode, get_cfg

from dld_spotter.config import add_dld_config

generator = toy.load_script("docs/generate_options.py")
OPTIONS = generator.all_options()
KEYS = [option for option in OPTIONS if not option.is_section]
PACKAGE = toy.ROOT / "dld_spotter"


def keys_of(node: CfgNode, prefix: str = "") -> dict[str, object]:
    found = {}
    for key, value in node.items():
        found |= keys_of(value, f"{prefix}{key}.") if isinstance(value, CfgNode) else {prefix + key: value}
    return found


@pytest.fixture(scope="module")
def cfg():
    cfg = get_cfg()
    add_dld_config(cfg)
    return cfg


def test_every_key_that_the_project_adds_or_changes_is_there_once(cfg):
    theirs, ours = keys_of(get_cfg()), keys_of(cfg)
    own = {key for key, value in ours.items() if key not in theirs or theirs[key] != value}
    listed = [option.key for option in KEYS]
    assert len(listed) == len(set(listed)) and own <= set(listed) <= set(ours)
    assert len([key for key in ours if key not in theirs]) < 100


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_every_key_and_section_has_a_meaning(option):
    assert len(option.meaning) > 10 and option.meaning[-1] in ".)"
    assert not re.search(r"\[[\w/]+\.py", option.meaning)


def test_what_is_said_to_read_a_key_reads_it(cfg):
    theirs = keys_of(get_cfg())
    sections = {option.key: option for option in OPTIONS if option.is_section}
    for option in KEYS:
        section = sections.get(option.key.rpartition(".")[0])
        assert option.key in theirs or generator.readers_of(option, section), option.key
    assert all((PACKAGE / module).is_file() for option in OPTIONS for module in option.modules)


def test_the_page(cfg):
    page = generator.format_page(OPTIONS, cfg)
    assert all(f"| `{option.key}` |" in page for option in KEYS)
    assert "| `MODEL.DLD.GAMMA` | `0.1` | gamma: larger values prefer smaller images. |" in page
    assert page.count("\n| key |") == page.count("\n## ") + 1


def test_a_comment_belongs_to_the_line_below_it():
    source = """
def add(cfg):
    # Above the blank line.

    # A section. [a.py]
    node = cfg.A = CN()
    # Two
    # lines. [b.py, c/d.py]
    node.KEY = (1, 2)
    node.OTHER = 3
"""
    section, key, other = generator.read_options(source)
    assert section == generator.Option("A", "A section.", ("a.py",), True)
    assert key == generator.Option("A.KEY", "Two lines.", ("b.py", "c/d.py"), False)
    assert other == generator.Option("A.OTHER", "", (), False)
