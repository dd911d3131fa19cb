"""Lists of words in the encodings that people's programs write."""

import logging
import unicodedata

import pytest

from dld_spotter.data.word_lists import normalize_text, parse_word_list, read_word_list

TEXT = "EXIT\r\n\r\nCafé \r\nΚαφές\r\n出口\r\n"
WORDS = ["EXIT", "Café", "Καφές", "出口"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_python_writes(encoding, tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(TEXT.encode(encoding))
    assert read_word_list(path) == WORDS


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_byte_order_marks(encoding, caplog):
    assert parse_word_list(("\ufeff" + TEXT).encode(encoding), "words.txt") == WORDS
    assert not caplog.records


def test_marks_inside_joined_files_are_left_out():
    assert parse_word_list("one\n".encode("utf-8-sig") + "two\n".encode("utf-8-sig"), "words.txt") == ["one", "two"]


def test_words_are_composed():
    decomposed = unicodedata.normalize("NFD", "Café")
    assert len(decomposed) == 5
    assert parse_word_list(decomposed.encode(), "words.txt") == ["Café"]


def test_windows_1252_is_read_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert parse_word_list("Straße\nCafé’s".encode("cp1252"), "old.txt") == ["Straße", "Café’s"]
    assert len(caplog.records) == 1 and "old.txt" in caplog.text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"one\ntwo\0\n", r"words.txt, line 2 .*\\x00"),
        ("one\ntwo\n".encode("utf-16-le"), "words.txt .*UTF-16"),
        ("one\ntwo\n".encode("utf-16-be"), "words.txt .*UTF-16"),
        ("one\ntw\0o".encode("utf-16"), "words.txt, line 2"),
        ("one".encode("utf-16") + b"x", "words.txt"),
        ("one\nコーヒー".encode("shift-jis"), "words.txt, line 2"),
        (b"\x89PNG\r\n\x1a\n\0\0", "words.txt"),
    ],
)
def test_what_is_no_text_is_named(content, problem):
    with pytest.raises(ValueError, match=problem):
        parse_word_list(content, "words.txt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.txt"):
        read_word_list(tmp_path / "nowhere.txt")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Exit\t\u00a0", "Exit"),
        ("Cafe\u0301", "Café"),
        ("\u212b", "\u00c5"),  # the sign of the unit is the letter
        ("Ｅxit", "Ｅxit"),
        ("it’s", "it’s"),
        ("ﬁre", "ﬁre"),
        ("a\u00a0b", "a\u00a0b"),
        ("a\u200bb", "a\u200bb"),
    ],
)
def test_only_canonical_equivalents_are_made_equal(text, expected):
    assert normalize_text(text) == expected
