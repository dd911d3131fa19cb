"""Fonts: found, checked by their glyphs, split by family."""

import collections
import string

import numpy as np
import pytest
from PIL import ImageFont
from synthetic_checks import BUILT_IN, write_font

from dld_spotter.data.synthetic import fonts
from dld_spotter.data.synthetic.fonts import (
    CLONED,
    FontChoice,
    FontFace,
    capital_height,
    check_face,
    family_stem,
    find_faces,
    is_held_out_family,
)

NAMES = [letter + BUILT_IN[1:] for letter in string.ascii_uppercase]


def make_face(family="Some", style="Regular", ink_share=0.5, single_case=False, characters="abcABC"):
    return FontFace(f"/{family}-{style}.ttf", family, style, frozenset(characters), single_case, ink_share)


def test_a_whole_font_is_usable(face):
    assert face.family == BUILT_IN and face.style == "Regular"
    assert face.characters == set(fonts.PRINTABLE)
    assert not face.single_case and 0.2 < face.ink_share < 0.7


def test_splits_share_no_family_and_leave_none_out(tmp_path):
    for name in NAMES:
        write_font(tmp_path, name)
    train, test = ({face.family for face in find_faces([tmp_path], split)} for split in ("train", "test"))
    assert not train & test and train | test == set(NAMES)
    assert len(train) > len(test) > 0


def test_found_below_the_folder_in_order_and_once(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "is_held_out_family", lambda family: False)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    write_font(tmp_path / "one", "Bileron")
    write_font(tmp_path / "two", "Aileron")
    write_font(tmp_path / "two", "Bileron")
    (tmp_path / "two" / "notes.txt").write_text("not a font")
    found = find_faces([tmp_path / "two", tmp_path / "one"], "train")
    assert [face.family for face in found] == ["Aileron", "Bileron"]


@pytest.mark.parametrize(
    "names",
    [
        ("Foo Sans", "Foo Serif", "FooMono", "Foo Sans Condensed", "foo"),
        ("Bar", "Bar-Bold", "Bar2", "BarSansMono", "Bar Display Pro"),
    ],
)
def test_siblings_are_on_one_side(names):
    assert len({family_stem(name) for name in names}) == 1
    assert len({is_held_out_family(name) for name in names}) == 1


def test_families_with_clones_are_for_training():
    assert not any(is_held_out_family(stem) for stem in CLONED)
    for family in ("Liberation Sans", "Arimo", "Nimbus Sans", "FreeSans", "TeX Gyre Heros", "DejaVu Serif", "C059"):
        assert not is_held_out_family(family), family


def test_share_that_is_held_out():
    names = [f"{first}{second}{third}" for first in "abcdefghij" for second in "klmnop" for third in "qrstuvwxyz"]
    share = np.mean([is_held_out_family(name) for name in names])
    assert abs(share - fonts.HELD_OUT_PERCENT / 100) < 0.06


def test_stem_of_a_name_without_letters():
    assert family_stem("123") == "123" and family_stem("Sans") == "sans"


def test_missing_folder_names_the_option(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.*--fonts"):
        find_faces([tmp_path / "nowhere"], "train")


def test_no_font_of_the_split_says_where_to_get_some(tmp_path):
    write_font(tmp_path)
    (tmp_path / "broken.ttf").write_bytes(b"\0" * 100)
    other = "train" if is_held_out_family(BUILT_IN) else "test"
    with pytest.raises(ValueError, match=f"'{other}'.*2 font files.*tools/fetch_fonts.py.*--fonts"):
        find_faces([tmp_path], other)


def stand_in_glyphs(monkeypatch, replace):
    """Let the checks see the glyph of replace(character) for each character."""
    draw = fonts._glyph
    monkeypatch.setattr(fonts, "_glyph", lambda font, character: draw(font, replace(character)))


def test_characters_without_a_glyph_are_not_drawn(tmp_path, monkeypatch):
    stand_in_glyphs(monkeypatch, lambda character: "\U0010fffd" if character in "&@" else character)
    face = check_face(write_font(tmp_path))
    assert face.characters == set(fonts.PRINTABLE) - set("&@")
    assert face.can_draw("R2-D2") and not face.can_draw("R&B")


@pytest.mark.parametrize("lacking", ["a", "Q", "7"])
def test_a_font_without_a_letter_or_digit_is_left_out(tmp_path, monkeypatch, lacking):
    stand_in_glyphs(monkeypatch, lambda character: "\U0010fffd" if character == lacking else character)
    assert check_face(write_font(tmp_path)) is None


def test_a_font_that_draws_two_letters_alike_is_left_out(tmp_path, monkeypatch):
    stand_in_glyphs(monkeypatch, lambda character: "R" if character == "K" else character)
    assert check_face(write_font(tmp_path)) is None


def test_capitals_for_small_letters_are_a_single_case(tmp_path, monkeypatch):
    stand_in_glyphs(monkeypatch, str.upper)
    face = check_face(write_font(tmp_path))
    assert face.single_case
    assert face.can_draw("EXIT-7") and not face.can_draw("Exit")


@pytest.mark.parametrize("family", ["Wargames", "Foo_Bar", "!!!"])
def test_unreadable_and_nameless_families_are_left_out(tmp_path, monkeypatch, family):
    monkeypatch.setattr(ImageFont.FreeTypeFont, "getname", lambda font: (family, "Regular"))
    assert check_face(write_font(tmp_path)) is None


def test_capital_height_is_that_of_the_pixels(face):
    font = fonts.load_font(face.path, 100)
    mask = font.getmask("H")
    assert capital_height(face.path) == pytest.approx(mask.size[1] / 100)
    assert fonts.load_font(face.path, 100) is font


def test_large_families_do_not_crowd_out_small_ones():
    faces = [make_face("Many Sans" if number % 2 else "Many Serif", f"W{number}") for number in range(16)]
    choice = FontChoice([*faces, make_face("Few")])
    rng = np.random.default_rng(0)
    counts = collections.Counter(family_stem(choice.draw(rng).family) for _ in range(2000))
    assert counts["many"] / counts["few"] == pytest.approx(4, rel=0.2)  # the square root of 16


def test_choice_by_ink_and_case():
    hairline, capitals, plain = (
        make_face("Thin", ink_share=0.1),
        make_face("Caps", single_case=True),
        make_face("Plain"),
    )
    choice = FontChoice([hairline, capitals, plain])
    rng = np.random.default_rng(0)
    assert {choice.draw(rng, least_ink=0.3, plain=True).family for _ in range(50)} == {"Plain"}
    assert {choice.draw(rng).family for _ in range(50)} == {"Thin", "Caps", "Plain"}


def test_choice_is_the_same_for_the_same_seed():
    choice = FontChoice([make_face(f"{letter}x") for letter in string.ascii_lowercase])
    first, second = ([choice.draw(np.random.default_rng(seed)).family for seed in range(9)] for _ in range(2))
    assert first == second and len(set(first)) > 3
