"""Fonts that have a character, told from their files; the truth is what fontTools and FreeType say."""

import logging
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import toy
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

from dld_spotter import font_files
from dld_spotter.font_files import BUILT_IN, font_with, read_ranges
from dld_spotter.label_letters import letter, split_by_font

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.fixture(autouse=True)
def forget():
    """Every test begins and ends without what was looked up and said."""
    cached = (font_files._first_with, font_files._ranges_of_file, font_files.installed_fonts, font_files.say_missing)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


def code_points(ranges):
    return {code for first, last in ranges for code in range(first, last + 1)}


@pytest.mark.parametrize("name", ["DejaVuSans.ttf", "STIXGeneral.ttf", "DejaVuSansMono-Bold.ttf"])
def test_the_characters_of_a_font_are_those_that_freetype_finds(name):
    expected = set(FT2Font(FONTS / name).get_charmap()) - {0xFFFF}
    found = code_points(read_ranges((FONTS / name).read_bytes()))
    assert expected <= found and len(found - expected) <= 0.01 * len(expected)  # ranges may hold a gap


def test_the_built_in_font_has_latin_and_no_greek():
    built_in = ImageFont.load_default(20)
    missing = bytes(built_in.getmask("\uffff"))
    for character in "Az09\u00f1\u00df\u20ac\u03a9\u4e2d":
        has = font_files._has(font_files._built_in_ranges(), ord(character))
        assert has == (bytes(built_in.getmask(character)) != missing), character


def write_font(path, characters):
    """A font in which every one of the characters is a square."""
    names = [".notdef", *(f"u{ord(character):04X}" for character in characters)]
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 500), (500, 500), (500, 0)):
        pen.lineTo(point)
    pen.closePath()
    square = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(character): name for character, name in zip(characters, names[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The only folder with fonts."""
    monkeypatch.setattr(font_files, "_folders", lambda: [tmp_path])
    return tmp_path


def test_the_first_font_that_has_a_character_is_taken(folder):
    for name, characters in (
        ("Zeta.ttf", "\u03a9\u4e2d\U00020000"),
        ("Alpha-Bold.ttf", "\u03a9"),
        ("Beta.ttf", "\u0e01"),
    ):
        write_font(folder / name, characters)
    (folder / "Aaa.ttf").write_bytes(b"")
    (folder / "Aab.ttf").write_bytes(b"no font at all, but some bytes")
    write_font(folder / "LastResort.ttf", "\u05d0")
    assert font_with("a") == BUILT_IN
    assert font_with("\u03a9") == font_with("\u4e2d") == font_with("\U00020000") == str(folder / "Zeta.ttf")
    assert font_with("\u0e01") == str(folder / "Beta.ttf")
    assert font_with("\u05d0") is None


def test_a_script_without_a_font_is_named_once(folder, caplog):
    with caplog.at_level(logging.WARNING):
        for character in "\u6587\u5b57\u0e44\u0e17\u6587":
            assert font_with(character) is None
    assert sorted(record.args for record in caplog.records) == [("CJK",), ("THAI",)]


def test_a_text_is_split_where_the_font_changes(folder):
    write_font(folder / "Thai.ttf", "\u0e01")
    path = str(folder / "Thai.ttf")
    assert split_by_font("ab \u0e01\u0e49 c") == [("ab ", BUILT_IN), ("\u0e01\u0e49 ", path), ("c", BUILT_IN)]
    assert split_by_font("") == [] and split_by_font("a\nb") == [("a b", BUILT_IN)]
    lettering = letter("ab\u0e01", 20)
    assert [left for _, _, left in lettering.pieces] == [0, pytest.approx(lettering.width - 12)]  # 600 of 1000 units


@pytest.mark.parametrize("seed", range(20))
def test_damaged_fonts_have_ranges_or_none(seed):
    rng = np.random.default_rng(seed)
    content = bytearray((FONTS / "cmr10.ttf").read_bytes())
    for place in rng.integers(0, 400, 20):
        content[place] = rng.integers(0, 256)
    ranges = read_ranges(bytes(content[: rng.integers(0, len(content))]))
    assert ranges.ndim == 2 and (ranges[:, 0] <= ranges[:, 1]).all()


def test_fonts_of_matplotlib_are_found_without_loading_it():
    code = (
        "import sys; from dld_spotter.font_files import _folders; "
        "assert 'matplotlib' not in sys.modules; print(*_folders(), sep='\\n')"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=toy.ROOT, capture_output=True, text=True, check=True)
    assert str(FONTS) in run.stdout.splitlines()
