"""Fonts that have a text's characters, or one line that none has."""

import logging
from pathlib import Path

import matplotlib
import pytest
from matplotlib.ft2font import FT2Font

from dld_spotter import label_fonts
from dld_spotter.font_files import say_missing
from dld_spotter.label_fonts import DEFAULT_FONT, font_families

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """Every test begins without what earlier ones have looked up and said."""
    cached = (label_fonts._family_with, label_fonts._installed, say_missing)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


def test_the_default_has_latin_greek_and_cyrillic(caplog):
    with caplog.at_level(logging.WARNING):
        assert (
            font_families("Open 24h, \u03a9\u03b4 \u0416\u0443\u043a \u00f1\n\t") == font_families() == [DEFAULT_FONT]
        )
    assert not caplog.records


def test_another_font_is_found_for_what_the_default_lacks(monkeypatch):
    lacking = sorted(
        set(FT2Font(FONTS / "STIXGeneral.ttf").get_charmap()) - set(label_fonts._code_points(FONTS / "DejaVuSans.ttf"))
    )
    character = next(chr(code) for code in lacking if chr(code).isprintable())
    families = font_families(f"a{character}b")
    assert families[0] == DEFAULT_FONT and len(families) == 2
    path = dict(label_fonts._installed())[families[1]]
    assert ord(character) in FT2Font(path).get_charmap()


def test_a_script_without_a_font_is_named_once(monkeypatch, caplog):
    installed = tuple(item for item in label_fonts._installed() if item[0] == DEFAULT_FONT)
    monkeypatch.setattr(label_fonts, "_installed", lambda: installed)
    label_fonts._family_with.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert font_families("\u6587\u5b57 \u0e44\u0e17\u0e22") == [DEFAULT_FONT]
    assert sorted(record.args for record in caplog.records) == [("CJK",), ("THAI",)]


def test_fonts_that_show_something_else_are_left_out():
    names = [name for name, _ in label_fonts._installed()]
    assert names[0] == DEFAULT_FONT
    assert not [name for name in names if name.startswith(("cm", "Last Resort", "STIXNonUnicode"))]
