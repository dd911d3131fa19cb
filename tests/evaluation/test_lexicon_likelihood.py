"""The likelihood of the words of a list: against the sum over all alignments, and against torch's CTC loss."""

import itertools

import numpy as np
import pytest
import torch

from dld_spotter.evaluation.lexicon import Lexicon, look_up
from dld_spotter.evaluation.lexicon_likelihood import FLOOR, word_log_likelihoods
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord, TruthWord
from dld_spotter.evaluation.scoring import evaluate_words

SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)


def random_columns(rng, count, characters):
    """Columns whose every character and blank is listed."""
    return [
        dict(zip(["", *characters], row, strict=True)) for row in rng.dirichlet(np.ones(len(characters) + 1), count)
    ]


def collapse(path):
    merged = [c for c, _ in itertools.groupby(path)]
    return "".join(merged)


def test_all_alignments_are_summed():
    rng = np.random.default_rng(0)
    columns = random_columns(rng, 4, "AB")
    expected: dict[str, float] = {}
    for path in itertools.product(["", "A", "B"], repeat=4):
        text = collapse(path)
        expected[text] = expected.get(text, 0.0) + np.prod([c[p] for c, p in zip(columns, path, strict=True)])
    words = [text for text in expected if text]
    np.testing.assert_allclose(word_log_likelihoods(columns, words), np.log([expected[w] for w in words]), rtol=1e-4)


def test_long_words_are_as_likely_as_torch_says():
    rng = np.random.default_rng(1)
    alphabet = "ABCDE"
    columns = random_columns(rng, 16, alphabet)
    words = ["A", "BEAD", "DEEDED", "AAAA", "ABCDEABC"]
    log_probs = torch.tensor([[c[k] for k in ["", *alphabet]] for c in columns]).log()[:, None]
    theirs = [
        -torch.nn.functional.ctc_loss(
            log_probs, torch.tensor([[alphabet.index(c) + 1 for c in w]]), [16], [len(w)], reduction="sum"
        ).item()
        for w in words
    ]
    np.testing.assert_allclose(word_log_likelihoods(columns, words), theirs, rtol=1e-3)


def test_case_is_added_and_what_is_not_listed_is_unlikely():
    columns = [{"a": 0.5, "A": 0.3, "": 0.2}]
    likelihoods = word_log_likelihoods(columns, ["A", "B", "AA", ""])
    np.testing.assert_allclose(np.exp(likelihoods), [0.8, FLOOR, 0, 0], rtol=1e-4)


def word(text, columns, det_score=1.0, score=0.5):
    return ReadWord(SQUARE, text, score, columns=columns, det_score=det_score)


UNSURE = [{"C": 0.6, "E": 0.39}, {"X": 0.9, "": 0.1}, {"I": 0.9}, {"T": 0.9}]
SURE = [{"C": 1.0}, {"X": 1.0}, {"I": 1.0}, {"T": 1.0}]


def test_the_likeliest_word_is_not_always_the_nearest():
    lexicon = Lexicon(["CHIT", "EXIT"])  # both one edit away
    rule = Protocol(lexicon_rule="likelihood", lexicon="strong", lexicon_score_threshold=0)
    assert look_up([word("CXIT", UNSURE)], lexicon, Protocol()) == ["CHIT"]
    assert look_up([word("CXIT", UNSURE)], lexicon, rule) == ["EXIT"]
    assert look_up([ReadWord(SQUARE, "CXIT", 0.5)], lexicon, rule) == ["CHIT"], "nothing is known: the nearest"


def test_a_list_that_is_not_complete_leaves_what_is_sure():
    lexicon = Lexicon(["EXIT"])
    rule = Protocol(lexicon_rule="likelihood", lexicon="generic", lexicon_score_threshold=0)
    assert look_up([word("CXIT", SURE), word("CXIT", UNSURE)], lexicon, rule) == ["CXIT", "EXIT"]
    complete = Protocol(lexicon_rule="likelihood", lexicon="strong", lexicon_score_threshold=0)
    assert look_up([word("CXIT", SURE)], lexicon, complete) == ["EXIT"]


def test_words_that_are_not_sure_enough_do_not_count():
    rule = Protocol(lexicon_rule="likelihood", lexicon="strong", lexicon_score_threshold=0.4)
    words = [word("CXIT", SURE), word("EXIT", [{c: 1.0} for c in "EXIT"]), word("EXIT", UNSURE, det_score=0.05)]
    assert look_up(words, Lexicon(["EXIT"]), rule) == [None, "EXIT", None]


def test_letters_without_one_capital_are_found():
    columns = [{c: 1.0} for c in "Straße"]
    rule = Protocol(lexicon_rule="likelihood", lexicon="strong", lexicon_score_threshold=0.9)
    assert look_up([word("Straße", columns)], Lexicon(["Strasse", "Straße"]), rule) == ["Straße"]


def test_a_long_list_finds_the_same_word():
    rng = np.random.default_rng(2)
    others = ["".join(rng.choice(list("QWZYKV"), 9)) for _ in range(500)]
    rule = Protocol(lexicon_rule="likelihood", lexicon="weak", lexicon_score_threshold=0)
    assert look_up([word("CXIT", UNSURE)], Lexicon([*others, "CHIT", "EXIT"]), rule) == ["EXIT"]


@pytest.mark.parametrize(("threshold", "correct"), [(0.3, 1), (0.99, 0)])
def test_the_score_of_the_rule_takes_the_place_of_the_other(threshold, correct):
    image = ImageWords("a", [TruthWord(SQUARE, "EXIT")], [word("CXIT", UNSURE, score=0.1)])
    protocol = Protocol(score_threshold=0.5, lexicon_rule="likelihood", lexicon_score_threshold=threshold)
    evaluation = evaluate_words([image], protocol, {"none": None, "strong": Lexicon(["EXIT"])}, ["e2e"])
    assert evaluation.scores["e2e_strong"].correct == correct == evaluation.scores["e2e_strong"].detections
    assert evaluation.scores["e2e_none"].detections == 0
