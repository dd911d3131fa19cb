"""The weighted edit distance against examples computed by hand and against the papers' own table."""

import numpy as np
import pytest

from dld_spotter.evaluation.lexicon import Lexicon, look_up
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord, TruthWord
from dld_spotter.evaluation.scoring import evaluate_words
from dld_spotter.evaluation.weighted_distance import fold_scores, spell_key, weighted_distances

# "CAT": the last letter may well be an R, the second one perhaps a U.
CAT = [{"C": 0.9}, {"A": 0.8, "U": 0.1}, {"T": 0.5, "R": 0.4}]


@pytest.mark.parametrize(
    ("candidate", "distance"),
    [
        ("CAT", 0),
        ("CAR", 0),  # 1 - 5 * 0.4 / 0.5 is below 0
        ("CUT", 1 - 5 * 0.1 / 0.8),
        ("COT", 1),
        ("CT", 0.8),  # without the A
        ("AT", 1),  # at the border of the table an edit is a whole one
        ("CATS", 0.5),  # an S after the last place
        ("CAAT", 0.65),  # an A at the second place: the mean of 0.8 and 0.5
        ("", 3),
    ],
)
def test_by_hand(candidate, distance):
    assert weighted_distances("CAT", [candidate], CAT) == pytest.approx([distance])


def reference_distance(word, candidate, probability):
    """The table of the Mask TextSpotter papers, cell by cell; probability(character, place)."""
    m, n = len(word), len(candidate)
    table = [[float(max(i, j)) if 0 in (i, j) else 0.0 for j in range(m + 1)] for i in range(n + 1)]
    sure = [probability(character, place) for place, character in enumerate(word)]
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            insert = (sure[j - 1] + sure[j]) / 2 if j < m else sure[j - 1]
            same = word[j - 1] == candidate[i - 1]
            replace = 0 if same else max(1 - 5 * probability(candidate[i - 1], j - 1) / sure[j - 1], 0)
            table[i][j] = min(table[i - 1][j] + insert, table[i][j - 1] + sure[j - 1], table[i - 1][j - 1] + replace)
    return table[n][m]


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_papers_table(seed):
    rng = np.random.default_rng(seed)

    def random_word(shortest):
        return "".join(rng.choice(list("ABCD"), rng.integers(shortest, 7)))

    word, candidates = random_word(1), [random_word(0) for _ in range(40)]
    scores = [dict(zip("ABCD", rng.dirichlet(np.full(4, 0.3)), strict=True)) for _ in word]
    expected = [reference_distance(word, c, lambda letter, i: max(scores[i][letter], 1e-6)) for c in candidates]
    assert weighted_distances(word, candidates, scores) == pytest.approx(expected)


def test_letters_and_digits_take_part_without_case():
    assert spell_key("Don't-24h!") == "DONT24H"
    assert spell_key("Straße") == "STRAßE"  # a character for each
    scores = [{"a": 0.25, "A": 0.5, "@": 0.25}, {"-": 1.0}, {"b": 0.5, "-": 0.5}]
    assert fold_scores("a-b", scores) == [{"A": 0.75}, {"B": 0.5}]
    with pytest.raises(ValueError, match="'ab' has 2 characters .* for 3"):
        fold_scores("ab", scores)


def test_the_nearest_of_a_list_is_weighed():
    lexicon = Lexicon(["Cot", "Car!", "Cats", "Elephant"])
    assert lexicon.nearest_weighted(["cat"], [None]) == [("Cot", 1)]  # plain edits: the first of the nearest
    assert lexicon.nearest_weighted(["cat"] * 2, [CAT, None]) == [("Car!", 0), ("Cot", 1)]
    assert lexicon.nearest_weighted([], []) == []


def test_the_rule_leaves_out_what_is_far_but_for_generic_lists():
    lexicon, words = Lexicon(["EXIT", "24"]), ["exlt", "elt", "24h", "no"]
    rule = Protocol(lexicon_rule="weighted", lexicon="strong")
    words = [ReadWord(np.zeros((4, 2)), text) for text in words]
    assert look_up(words, lexicon, rule) == ["EXIT", None, "24", None]
    generic = Protocol(lexicon_rule="weighted", lexicon="GenericVocabulary")
    assert look_up(words, lexicon, generic) == ["EXIT", "EXIT", "24", "24"]


def test_detections_that_are_left_out_do_not_count():
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]])
    reads = [ReadWord(square, "xyz", 0.9), ReadWord(square, "exlt", 0.8), ReadWord(square + 50, "qqq", 0.7)]
    image = ImageWords("1", [TruthWord(square, "Exit")], reads)
    rules = Protocol(lexicon_rule="weighted")
    lexicon = Lexicon(["EXIT"])
    scores = evaluate_words([image], rules, {"none": None, "strong": lexicon, "generic": lexicon}).scores
    assert {task: (s.correct, s.detections) for task, s in scores.items() if task.startswith("e2e")} == {
        "e2e_none": (0, 3),
        "e2e_strong": (1, 1),  # the word is free for the second detection
        "e2e_generic": (1, 3),  # every word becomes EXIT
    }
    assert scores["detection"].detections == 3
