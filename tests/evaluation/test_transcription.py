"""The rules for words, by hand, and the edit distance against a naive table."""

import unicodedata

import numpy as np
import pytest

from dld_spotter.evaluation.protocol import Protocol, ReadWord, TruthWord
from dld_spotter.evaluation.transcription import dictionary_word, edit_similarity, reference_word, same_word

END_TO_END = Protocol()
SPOTTING = Protocol(word_spotting=True)
SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)


def naive_distance(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    table[:, 0], table[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a[i - 1] != b[j - 1]))
    return table[-1, -1]


@pytest.mark.parametrize(
    ("annotated", "read", "same"),
    [
        ("Exit", "EXIT", True),
        ("Exit!", "exit", True),
        ("(Exit)", "exit", True),
        ("(Exit)", "(exit", True),
        ("(Exit)", "exit)", True),
        ("Exit!!", "exit!", True),
        ("Exit!!", "exit", False),  # one character at each end, no more
        ("Exit", "Exit!", False),  # only the annotation's may be missing
        ("E.xit", "Exit", False),  # only at the ends
        ("#Exit", "Exit", False),  # not a special character
        ("-Exit", "Exit", False),
        ("·Exit", "Exit", True),
        ("It's", "Its", False),
        ("", "", True),
        ("", "A", False),
        ("!", "", True),
    ],
)
def test_end_to_end(annotated, read, same):
    assert same_word(annotated, read, END_TO_END) is same


def test_case():
    assert not same_word("Exit", "EXIT", Protocol(case_sensitive=True))
    assert same_word("Exit!", "Exit", Protocol(case_sensitive=True))


@pytest.mark.parametrize("rules", [END_TO_END, SPOTTING])
@pytest.mark.parametrize(
    ("annotated", "read", "same"),
    [
        ("Cafe\u0301", "CAFÉ", True),  # two spellings of one character
        ("Cafe\u0301", "CAFE", False),
        ("Straße", "STRASSE", True),  # capitals as Unicode maps them
        ("ﬁre", "FIRE", True),
        ("istanbul", "İstanbul", False),  # the dotted capital is a letter of its own
        ("i\u0307stanbul", "İSTANBUL", True),  # ... of which this is the small one
        ("καφές", "ΚΑΦΈΣ", True),
        ("καφές", "ΚΑΦΕΣ", False),  # accents stay
    ],
)
def test_unicode(annotated, read, same, rules):
    truth, found = TruthWord(SQUARE, annotated), ReadWord(SQUARE, read)
    assert same_word(truth.text, found.text, rules) is same
    assert same_word(found.text, truth.text, rules) is same


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKD"])
def test_either_form_is_a_word_of_word_spotting(form):
    word = TruthWord(SQUARE, unicodedata.normalize(form, "Café's"))
    assert reference_word(word, SPOTTING) == "Café" and reference_word(word, END_TO_END) == "Café's"


@pytest.mark.parametrize(
    ("annotated", "read"),
    [("Ｅxit", "Exit"), ("a\u00a0b", "a b"), ("ex\u200bit", "exit"), ("it’s", "it's"), ("«a»", "a")],
)
def test_other_characters_stay_apart_as_in_the_official_script(annotated, read):
    assert not same_word(TruthWord(SQUARE, annotated).text, ReadWord(SQUARE, read).text, END_TO_END)


def test_outer_white_space_does_not_count():
    assert TruthWord(SQUARE, " Exit\u00a0").text == ReadWord(SQUARE, "Exit ").text == "Exit"


def test_word_spotting_asks_for_equality():
    assert same_word("Exit", "eXIT", SPOTTING)
    assert not same_word("Exit!", "Exit", SPOTTING)


@pytest.mark.parametrize(
    ("annotated", "word"),
    [
        ("JOHN'S", "JOHN"),
        ("John's", "John"),
        ("--Sale-", "Sale"),
        ("e-mail", "e-mail"),
        ("Café!", "Café"),
        ("ΩΜΕΓΑ", "ΩΜΕΓΑ"),
        ("(Open)", "Open"),
        ("U.S.A", None),  # punctuation leaves gaps
        ("New York", None),
        ("it's", None),  # "it" is too short
        ("at", None),
        ("B52", None),
        ("a×bc", None),
        ("a÷bc", None),
        ("日本語", None),
        ("&co", None),
        ("", None),
    ],
)
def test_dictionary_word(annotated, word):
    assert dictionary_word(annotated) == word


def test_minimal_length_is_a_parameter():
    assert dictionary_word("at", min_length=2) == "at"
    assert dictionary_word("exit", min_length=5) is None


def test_reference_word():
    assert reference_word(TruthWord(SQUARE, "JOHN'S"), END_TO_END) == "JOHN'S"
    assert reference_word(TruthWord(SQUARE, "JOHN'S"), SPOTTING) == "JOHN"
    assert reference_word(TruthWord(SQUARE, "at"), SPOTTING) is None
    assert reference_word(TruthWord(SQUARE, "word", ignore=True), END_TO_END) is None


def test_edit_similarity_against_a_naive_table():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abc"), rng.integers(0, 7))) for _ in range(60)]
    pairs = list(zip(words[::2], words[1::2], strict=True))
    shares = [naive_distance(a, b) / max(len(a), len(b)) if a or b else 0 for a, b in pairs]
    assert edit_similarity(pairs) == pytest.approx(1 - np.mean(shares))
    assert edit_similarity([("", "")]) == 1
    assert edit_similarity([]) == 0
