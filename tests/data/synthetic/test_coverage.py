"""Fonts and words of other languages: which font draws what, and what is said of it."""

from pathlib import Path

import matplotlib
import pytest
from synthetic_checks import write_font

from dld_spotter.data.synthetic.coverage import characters_of, describe_characters, match_fonts
from dld_spotter.data.synthetic.fonts import PRINTABLE, FontFace, check_face

DEJAVU = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")  # Latin, Greek and Cyrillic


def make_face(family, more="", single_case=False):
    return FontFace(f"/{family}.ttf", family, "Regular", frozenset(PRINTABLE + more), single_case, 0.5)


def test_characters_of_the_map_are_added(tmp_path):
    plain, wide = (check_face(path, None, "äΩ出") for path in (write_font(tmp_path), DEJAVU))
    assert plain.characters == set(PRINTABLE)
    assert wide.characters == set(PRINTABLE) | set("äΩ")
    assert check_face(DEJAVU).characters == set(PRINTABLE)


def test_a_character_without_ink_is_not_drawn():
    assert check_face(DEJAVU, None, "\u2003ß").characters == set(PRINTABLE) | {"ß"}


def test_characters_in_any_case():
    assert characters_of(["aß", "Œ"]) == set("aAßSsœŒ")
    assert characters_of(["ΐ"]) == {"ΐ", "Ϊ"}  # the capital has a mark beside it, which is not drawn


def test_fonts_that_draw_hardly_anything_and_words_that_no_font_draws_are_left_out():
    ascii_only, german, both = make_face("Plain"), make_face("German", "äöüÄÖÜß"), make_face("Both", "äöüÄÖÜßőŐ")
    words = ["über", "öl", "tür", "größe", "fő", "出口"]
    coverage = match_fonts([ascii_only, german, both], words)
    assert coverage.faces == [german, both] and coverage.left_out == [ascii_only]
    assert (coverage.words, coverage.undrawable) == (words[:5], ["出口"])
    assert set(coverage.lacking) == {ascii_only, german, both}
    assert set(coverage.lacking[both]) == set("出口")
    assert "ő" in coverage.lacking[german] and "ü" in coverage.lacking[ascii_only]


def test_plain_words_lose_nothing():
    faces = [make_face("One"), make_face("Two", single_case=True)]
    coverage = match_fonts(faces, ["Exit", "don't", "B52"])
    assert coverage.faces == faces and coverage.words == ["Exit", "don't", "B52"]
    assert not (coverage.undrawable or coverage.lacking or coverage.left_out)


def test_no_font_at_all_says_what_the_best_one_lacks():
    with pytest.raises(ValueError, match="best, Near Regular, lacks .*φ.*--fonts"):
        match_fonts([make_face("Plain"), make_face("Near", "καέςΚΑΈΣ")], ["καές", "φως", "φαι", "φ", "φφ"])


def test_description():
    assert describe_characters("äö") == "ä ö"
    assert describe_characters("abc", most=2) == "a b ... (3 in all)"
