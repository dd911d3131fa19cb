"""The strings of synthetic scenes: what they are made of, and which split they belong to."""

import string

import numpy as np
import pytest

from dld_spotter.data.synthetic.vocabulary import (
    KINDS,
    SIGN_WORDS,
    Vocabulary,
    is_held_out,
    read_any_words,
    read_word_list,
    set_case,
    unusable_reason,
    word_key,
)

PRINTABLE = set(string.ascii_letters + string.digits + string.punctuation)


def draw_many(words, split, count=1500, english=True, **options):
    vocabulary, rng = Vocabulary(words, split, english), np.random.default_rng(1)
    return [vocabulary.draw(rng, **options) for _ in range(count)]


def test_splits_share_no_string_in_any_case_or_punctuation(words):
    train, test = ({word_key(word) for word in draw_many(words, split)} for split in ("train", "test"))
    assert len(train) > 300 and len(test) > 60
    assert not train & test


def test_every_string_belongs_to_its_split(words):
    assert not any(map(is_held_out, draw_many(words, "train")))
    assert all(map(is_held_out, draw_many(words, "test")))


@pytest.mark.parametrize("form", ["{}", "{}!", "({})", "#{}", "-{}-", "{}..."])
@pytest.mark.parametrize("word", ["exit", "Park's", "24h", "B52"])
def test_punctuation_and_case_do_not_change_the_split(word, form):
    assert is_held_out(form.format(word)) == is_held_out(word) == is_held_out(word.upper())


def test_one_word_in_ten_is_held_out():
    share = np.mean([is_held_out(f"word{number}") for number in range(5000)])
    assert abs(share - 0.1) < 0.02


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("longest", [2, 5, 20])
def test_strings_are_printable_and_not_too_long(words, split, longest):
    drawn = draw_many(words, split, 150, longest=longest)
    assert all(0 < len(word) <= longest and set(word) <= PRINTABLE for word in drawn)
    assert all(word_key(word) for word in drawn)


def test_all_characters_come_up(words):
    assert {character for word in draw_many(words, "train", 20000) for character in word} == PRINTABLE


@pytest.mark.parametrize("longest", [6, 20])
def test_both_splits_have_equal_shares_of_the_kinds(words, longest):
    shares = []
    for split in ("train", "test"):
        drawn = draw_many(words, split, 1200, longest=longest)
        shares.append([np.mean([not any(map(str.isalpha, word)) for word in drawn]), np.mean([len(w) for w in drawn])])
    np.testing.assert_allclose(*shares, rtol=0.25)
    assert shares[0][0] > 0.08


def test_short_strings_are_found_where_the_list_has_none():
    words = [word for word in map("longer{}".format, "abcdefghijklmnopqrstuvwxyz") if is_held_out(word)]
    drawn = {word.lower() for word in draw_many(words, "test", 60, longest=1)}
    assert drawn == {letter for letter in string.ascii_lowercase + string.digits if is_held_out(letter)}


def test_dictionary_words_have_the_wanted_case(words):
    dictionary = set(words) | set(SIGN_WORDS)
    drawn = [word for word in draw_many(words, "train", case="upper") if word.lower() in dictionary]
    capitals = [word for word in drawn if word.isupper()]
    assert len(capitals) > 0.9 * len(drawn) > 100  # the others are random strings that happen to be in the list
    free = [word for word in draw_many(words, "train") if word.lower() in dictionary]
    for test in (str.islower, str.istitle, str.isupper):
        assert sum(map(test, free)) > 0.15 * len(free)


GERMAN = ["Straße", "über", "grün", "Äpfel", "Haus", "Gemüse", "schön", "Tür", "Größe", "Öl", "früh", "Käse", "weiß"]
GREEK = ["καφές", "έξοδος", "είσοδος", "φαρμακείο", "ταβέρνα", "οδός", "πλατεία", "αγορά", "λιμάνι", "ήλιος", "νερό"]
CHINESE = ["出口", "入口", "银行", "医院", "药店", "酒店", "地铁站", "超市", "火车站", "咖啡", "茶", "面包", "书店"]


def letters_of(strings):
    return {character for string in strings for character in string if character.isalpha()}


@pytest.mark.parametrize("list_", [GERMAN, GREEK, CHINESE])
def test_words_of_another_language_bring_no_english(list_):
    drawn = draw_many(list_, "train", english=False)
    mine = [word for word in list_ if not is_held_out(word)]
    forms = {set_case(word, case) for word in mine for case in ("lower", "title", "upper")}
    assert forms <= set(drawn)
    signs = {word.lower() for word in SIGN_WORDS if len(word) > 2} - {word.lower() for word in list_}
    assert not {word.strip(string.punctuation).lower() for word in drawn} & signs
    latin = {"km", "kg", "h", "m", "cm", "ml", "a", "b", "x"}  # units
    allowed = letters_of(set_case(word, case) for word in list_ for case in ("lower", "upper")) | letters_of(
        latin | {"A", "B"}
    )
    others = [word for word in drawn if not letters_of([word]) <= allowed]
    assert all("." in word or "@" in word for word in others)  # web addresses


def test_other_letters_come_up_in_random_strings():
    drawn = "".join(draw_many(GREEK, "train", 6000, english=False))
    assert set("αάέήίόςφΦΑΈ") <= set(drawn)
    assert set(string.digits) <= set(drawn)


def test_both_spellings_of_a_sharp_s_are_in_one_split():
    assert word_key("Straße") == word_key("STRASSE") and word_key("ὀδός") == word_key("ὈΔΌΣ")
    assert is_held_out("Straße") == is_held_out("STRASSE")


def test_any_words_are_kept_with_their_marks(tmp_path):
    path = tmp_path / "words.txt"
    lines = ["u\u0308ber", "über", "Straße ", "", "aujourd’hui", "peut-être", "B52", "dấu", "出口", "two words", "שלום"]
    lines += ["कखि", "a" * 21, "---", "a\u200bb", "سوق"]
    path.write_text("\n".join(lines), encoding="utf-16")
    words, others = read_any_words(path)
    assert words == ["über", "Straße", "aujourd’hui", "peut-être", "B52", "dấu", "出口"]
    assert others == ["two words", "שלום", "कखि", "a" * 21, "---", "a\u200bb", "سوق"]
    assert all(unusable_reason(line) for line in others) and not any(map(unusable_reason, words))


@pytest.mark.parametrize("content", ["", "two words\n"])
def test_a_list_that_cannot_be_drawn_names_the_option(tmp_path, content):
    path = tmp_path / "words.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match="words.txt.*--words"):
        read_any_words(path)
    with pytest.raises(FileNotFoundError, match="nowhere.txt.*--words"):
        read_any_words(tmp_path / "nowhere.txt")


@pytest.mark.parametrize("read", [read_word_list, read_any_words])
def test_a_list_that_is_no_text_is_named(tmp_path, read):
    path = tmp_path / "words.txt"
    path.write_bytes("one\ntwo\n".encode("utf-16-le"))
    with pytest.raises(ValueError, match="words.txt is in UTF-16"):
        read(path)


def test_same_seed_same_strings(words):
    assert draw_many(words, "test", 50) == draw_many(words, "test", 50)


@pytest.mark.parametrize(
    ("word", "case", "expected"),
    [
        ("open", "upper", "OPEN"),
        ("OPEN", "lower", "open"),
        ("OPEN", "title", "Open"),
        ('"open"', "title", '"Open"'),
        ("don't", "title", "Don't"),
        ("24h", "title", "24H"),
        ("straße", "upper", "STRASSE"),
        ("über", "title", "Über"),
        ("出口", "upper", "出口"),
        ("...", "title", "..."),
    ],
)
def test_set_case(word, case, expected):
    assert set_case(word, case) == expected


def test_shares_of_the_kinds_add_up():
    assert sum(KINDS.values()) == pytest.approx(1)
    assert all(hasattr(Vocabulary, f"_{kind}") for kind in KINDS)


def test_unknown_split_names_the_known_ones(words):
    with pytest.raises(ValueError, match="'val'.*train, test"):
        Vocabulary(words, "val")


def test_list_without_a_word_of_the_split_names_the_option():
    word = next(word for word in ("a", "b", "c") if not is_held_out(word))
    with pytest.raises(ValueError, match="'test'.*--words"):
        Vocabulary([word], "test")


def test_no_string_short_enough(words):
    with pytest.raises(RuntimeError, match="at most 0 characters"):
        Vocabulary(words, "train").draw(np.random.default_rng(0), longest=0)


def test_word_list_keeps_each_plain_word_once(tmp_path):
    path = tmp_path / "words.txt"
    lines = ["\ufeffapple", "apple", " pear ", "", "don't", "caf\u00e9", "two words", "B52", "'", "a" * 21, "a" * 20]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_word_list(path) == ["apple", "pear", "don't", "a" * 20]


def test_missing_word_list_names_the_option(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.txt.*--words"):
        read_word_list(tmp_path / "nowhere.txt")


def test_word_list_without_words_names_the_option(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("1\n2\n")
    with pytest.raises(ValueError, match="numbers.txt.*one word a line.*--words"):
        read_word_list(path)
