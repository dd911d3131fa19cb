"""Where words are lost: heights, shares found and read, and causes, counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from dld_spotter.evaluation.error_breakdown import CAUSES, LOW_SCORE, MISREAD, NOT_FOUND, RIGHT, ErrorBreakdown
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord, TruthWord
from dld_spotter.evaluation.scoring import evaluate_words


def box(top, height, width=200.0):
    return np.array([[0, top], [width, top], [width, top + height], [0, top + height]], dtype=float)


TALL, LOW = box(0, 90), box(100, 13)
IMAGE = ImageWords(
    "1",
    [
        TruthWord(TALL, "Exit"),
        TruthWord(LOW, "Sale"),
        TruthWord(box(200, 90), "missed"),
        TruthWord(box(300, 90), "###", True),
        TruthWord(box(400, 25), "shy"),
        TruthWord(box(500, 25), "Open"),
    ],
    [
        ReadWord(box(400, 25), "shy", 0.2),
        ReadWord(TALL, "Exit", 0.9),
        ReadWord(LOW, "Salt", 0.9),
        ReadWord(box(300, 90), "junk", 0.9),
        ReadWord(box(500, 25), "0pen", 0.3),  # read wrong, but already lost by its score
        ReadWord(TALL, "second", 0.1),
    ],
    size=(720, 1280),
)
RULES = Protocol(score_threshold=0.5)


def breakdown(*images, rules=RULES):
    return evaluate_words(images, rules, {"none": None}).breakdown


def test_counts_by_hand():
    found = breakdown(IMAGE)
    assert found.scaled
    assert {key: found.count(words) for key, _, words in found.rows()} == {
        "size_0": {"words": 1, "found": 1, "read": 0, NOT_FOUND: 0, LOW_SCORE: 0, MISREAD: 1},
        "size_20": {"words": 2, "found": 2, "read": 1, NOT_FOUND: 0, LOW_SCORE: 2, MISREAD: 0},
        "size_80": {"words": 2, "found": 1, "read": 1, NOT_FOUND: 1, LOW_SCORE: 0, MISREAD: 0},
        "size_all": {"words": 5, "found": 4, "read": 2, NOT_FOUND: 1, LOW_SCORE: 2, MISREAD: 1},
    }
    assert found.results() == {
        "size_0": {"found": 1, "read": 0},
        "size_20": {"found": 1, "read": 0.5},
        "size_80": {"found": 0.5, "read": 0.5},
        "size_all": {"found": 0.8, "read": 0.4},
        "lost": {"not_found": 0.2, "score_below_threshold": 0.4, "misread": 0.2},
    }
    assert found.to_dict()["rows"]["size_80"]["not found"] == 1


def test_shares_found_and_read_do_not_depend_on_the_threshold():
    strict, lax = breakdown(IMAGE), breakdown(IMAGE, rules=Protocol())
    assert [strict.results()[key] for key in strict.results() if key != "lost"] == [
        lax.results()[key] for key in lax.results() if key != "lost"
    ]
    assert lax.results()["lost"] == {"not_found": 0.2, "score_below_threshold": 0, "misread": 0.4}


def test_the_causes_and_the_right_words_make_up_the_recall():
    for threshold in (0.0, 0.25, 0.5, 0.95):
        evaluation = evaluate_words([IMAGE], Protocol(score_threshold=threshold), {"none": None})
        lost = sum(evaluation.results()["lost"].values())
        assert 1 - lost == pytest.approx(evaluation.results()["e2e_none"]["recall"])


@pytest.mark.parametrize(
    ("size", "key"), [((720, 1280), "size_20"), ((1280, 720), "size_20"), ((360, 999), "size_50"), (None, "size_20")]
)
def test_heights_are_scaled_to_the_shorter_side(size, key):
    image = replace(IMAGE, truths=[TruthWord(box(0, 25), "a")], size=size)
    found = breakdown(image)
    assert [row for row, *_ in found.rows()] == [key, "size_all"]
    assert found.scaled is (size is not None)


def test_one_photo_of_unknown_size_leaves_all_as_they_are():
    half = replace(IMAGE, size=(360, 640))
    assert not breakdown(half, replace(IMAGE, size=None)).scaled
    assert breakdown(half, ImageWords("2", [], [])).scaled  # without words its size does not matter
    assert breakdown(half, replace(IMAGE, size=None)).heights.max() == pytest.approx(90)


@pytest.mark.parametrize("angle", [0, 17, 90, 133])
def test_the_height_is_the_shorter_side_of_the_turned_rectangle(angle):
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turned = box(0, 20) @ np.array([[cos, sin], [-sin, cos]]) + 500
    found = breakdown(ImageWords("1", [TruthWord(turned, "a")], size=(720, 720)))
    assert found.heights == pytest.approx([20], rel=1e-4)


def test_edges_belong_to_the_row_above():
    heights = np.array([13.999, 14, 20, 29.99, 30, 50, 79, 80, 500])
    found = ErrorBreakdown(heights, heights > 0, heights > 0, [RIGHT] * len(heights))
    assert {key: int(words.sum()) for key, _, words in found.rows()} == {
        "size_0": 1,
        "size_14": 1,
        "size_20": 2,
        "size_30": 1,
        "size_50": 2,
        "size_80": 2,
        "size_all": 9,
    }


def test_whoever_has_the_model_may_name_finer_causes():
    kinds = ("no proposal", "box score", "mask", "reading")
    lost = [RIGHT, "mask", "mask", "reading"]
    found = ErrorBreakdown(
        np.full(4, 60.0), np.array([1, 0, 0, 1], bool), np.array([1, 0, 0, 0], bool), lost, kinds=kinds
    )
    assert found.results()["lost"] == {"no_proposal": 0, "box_score": 0, "mask": 0.5, "reading": 0.25}
    head, row = found.table().splitlines()[1:3]
    assert [head.index(kind) + len(kind) for kind in kinds] == [
        place + 1 for place in range(head.index("no"), len(row)) if row[place].isdigit()
    ]


def test_no_words_no_rows():
    empty = breakdown(ImageWords("1", []))
    assert empty.results() == {} and len(empty.table().splitlines()) == 2


def test_table_has_a_line_for_each_height():
    lines = breakdown(IMAGE).table().splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["under 14", "20-30", "80 and more", "all"]
    assert all(cause in lines[1] for cause in CAUSES)
    assert "0.50" in lines[4]


def test_word_spotting_alone_has_none():
    assert evaluate_words([IMAGE], RULES, {"none": None}, ["word_spotting"]).breakdown is None
