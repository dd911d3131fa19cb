"""Total-Text and SynthText: small files with the quirks of the real ones."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from helpers.converting import add_image, convert, kinds, read
from scipy.io import savemat

from dld_spotter.data.converters import Sample, write_samples
from dld_spotter.data.converters.common import make_word
from dld_spotter.data.converters.mat_reader import MatReader
from dld_spotter.data.converters.synthtext import quadrilaterals, shorter_side, split_words
from dld_spotter.data.converters.totaltext import parse_wrapped, read_totaltext
from dld_spotter.data.text_json import load_text_json


@pytest.mark.parametrize(
    ("record", "outline", "text", "ignore"),
    [
        ("x: [[1 20 20]], y: [[3 4 9]], ornt: [u'c'], transcriptions: [u'PAUL']", [1, 3, 20, 4, 20, 9], "PAUL", False),
        (
            "x: [[  1  -20\n  300]], y: [[3\n 4 9]], ornt: [u'h'],\n transcriptions: [u\"D'Angelo\"]",
            [1, 3, -20, 4, 300, 9],
            "D'Angelo",
            False,
        ),
        ("x: [[1, 2, 3]], y: [[3, 4, 9]], ornt: ['m'], transcriptions: ['a, b]']", [1, 3, 2, 4, 3, 9], "a, b]", False),
        ("x: [[1 2 3]], y: [[3 4 9]], ornt: [u'#'], transcriptions: [u'#']", [1, 3, 2, 4, 3, 9], "#", True),
        ("x: [[1 2 3]], y: [[3 4 9]], ornt: [u'#'], transcriptions: [u'abc']", [1, 3, 2, 4, 3, 9], "abc", True),
        ("x: [[1 2 3]], y: [[3 4 9]], ornt: [], transcriptions: []", [1, 3, 2, 4, 3, 9], "", True),
        ("x: [[1 2 3]], y: [[3 4 9]], ornt: [u'h'], transcriptions: [u',']", [1, 3, 2, 4, 3, 9], "", True),
        ("x: [[1 2 3]], y: [[3 4 9]], ornt: [u'h'], transcriptions: [u'a' u'b']", [1, 3, 2, 4, 3, 9], "a b", False),
    ],
)
def test_totaltext_records(record, outline, text, ignore):
    word = parse_wrapped(record)
    assert (word.outline, word.text, word.ignore) == (outline, text, ignore)


def test_totaltext_wrapped_files():
    data = (
        b"x: [[259 313 389\n  427]], y: [[542 462 417 459]], ornt: [u'c'], transcriptions: [u'PAUL']\n"
        b"x: [[7]], y: [[8]], ornt: [u'h'], transcriptions: [u'.']\n"
        b"x: [[1 2]], y: [[8]], ornt: [u'h'], transcriptions: [u'.']\n"
        b"x: [[1 2 3]], y: [[8 9 7]], ornt: [u'h'], transcriptions: [u'x: y']\n"
    )
    words, problems = read(data, partial(read_totaltext, reader=MatReader()), "poly_gt_img1.txt")
    assert [(len(word.outline), word.text) for word in words] == [(8, "PAUL"), (6, "x: y")]
    assert [(p.severity, p.kind, p.annotation) for p in problems.kept] == [
        ("warning", "too_few_points", "poly_gt_img1.txt, word 2"),
        ("error", "bad_word", "poly_gt_img1.txt, word 3"),
    ]
    assert "has 2 x but 1 y" in problems.kept[1].message


def test_a_bad_record_costs_that_record():
    good = "x: [[1 2 3]], y: [[3 4 9]], ornt: [u'h'], transcriptions: [u'good']\n"
    bad = [
        "x: [[1 2 3]], y: [[3 4 9]], ornt: [u'h'], transcriptions: [u'C:\\xyz']\n",
        "x: [[1 2 3]], y: [[3 4 9]], ornt: [u'h'], transcriptions: [u'open]\n",
        "x: [[1 2 ...]], y: [[3 4 9]], ornt: [u'h'], transcriptions: [u'a']\n",
        f"x: [[1 2 {'9' * 400}]], y: [[3 4 9]], ornt: [u'h'], transcriptions: [u'a']\n",
        "x: [[1 2 3]], y: [[3 4 9]], ornt: [u'h'], transcriptions: [u'\\x07']\n",
        "x: ] transcriptions: [\n",
    ]
    data = "".join([*bad, good]).encode()
    words, problems = read(data, partial(read_totaltext, reader=MatReader()), "poly_gt_img1.txt")
    assert [word.text for word in words] == ["good"]
    assert problems.count("error") == len(bad)


def test_totaltext_coordinates_with_fractions_are_not_taken_apart():
    word = parse_wrapped("x: [[1.5 2. 3]], y: [[3 4 9e0]], ornt: [u'h'], transcriptions: [u'a']")
    assert word.outline == [1.5, 3, 2, 4, 3, 9]


def mat_row(xs, ys, text, orientation):
    cells = ["x:", np.array([xs]), "y:", np.array([ys]), text, orientation]
    row = np.empty(6, dtype=object)
    for place, cell in enumerate(cells):
        row[place] = cell
    return row


@pytest.mark.parametrize("variable", ["polygt", "gt"])
def test_totaltext_mat_files(tmp_path, variable):
    rows = [
        mat_row([1, 20, 20], [3, 4, 9], "PAUL", "c"),
        mat_row([1, 2, 3], [3, 4, 9], "#", "#"),
        mat_row([1, 2, 3], [3, 4, 9], np.zeros((0,)), np.zeros((0,))),
        mat_row([5], [6], "dot", "h"),
    ]
    (tmp_path / "gt").mkdir()
    savemat(tmp_path / "gt" / "poly_gt_img5.mat", {variable: np.stack(rows)})
    savemat(tmp_path / "gt" / "poly_gt_img6.mat", {variable: np.zeros((0, 6), dtype=object)})
    savemat(tmp_path / "gt" / "poly_gt_img7.mat", {"other": 1})
    (tmp_path / "gt" / "poly_gt_img8.mat").write_bytes(b"nonsense")
    for number in (5, 6, 7, 8):
        add_image(tmp_path / "images", f"img{number}.JPG", format="JPEG")
    samples, problems = convert("totaltext", tmp_path / "images", tmp_path / "gt")
    assert [s.file_name for s in samples] == ["img5.JPG", "img6.JPG"]
    assert [(w.outline, w.text, w.ignore) for w in samples[0].words] == [
        ([1, 3, 20, 4, 20, 9], "PAUL", False),
        ([1, 3, 2, 4, 3, 9], "#", True),
        ([1, 3, 2, 4, 3, 9], "", True),
    ]
    assert kinds(problems) == {("warning", "too_few_points"): 1, ("error", "bad_entry"): 2}


# SynthText


def cells(values):
    column = np.empty((1, len(values)), dtype=object)
    for place, value in enumerate(values):
        column[0, place] = value
    return column


def corners(*quads):
    """(2, 4, n), as in gt.mat, from n lists of four points."""
    return np.stack([np.array(quad, dtype=np.float64).reshape(4, 2).T for quad in quads], axis=2)


LARGE = [1, 2, 41, 2, 41, 14, 1, 14]
SMALL = [1, 20, 41, 20, 41, 24, 1, 24]


@pytest.fixture
def synthtext_mat(tmp_path):
    for name in ("8/a_1.jpg", "8/b_1.jpg", "9/c_1.jpg", "9/d_1.jpg"):
        add_image(tmp_path, name)
    letters = [[1, 2, 5, 2, 5, 14, 1, 14]] * 5
    savemat(
        tmp_path / "gt.mat",
        {
            "imnames": cells([np.array(["8/a_1.jpg"]), "8/b_1.jpg", "9/c_1.jpg", "9/d_1.jpg", "9/none.jpg"]),
            "wordBB": cells(
                [
                    corners(LARGE, SMALL),
                    corners(LARGE)[:, :, 0],  # one word: (2, 4)
                    corners(LARGE),  # two words, but one box
                    corners(LARGE),  # three characters, but five boxes
                    corners(LARGE),
                ]
            ),
            "charBB": cells(
                [corners(*letters), corners(*letters), corners(*letters), corners(*letters), corners(*letters)]
            ),
            "txt": cells(
                [
                    np.array(["the \n  ab      "]),
                    np.array(["words"]),
                    np.array(["two  ", "words"]),
                    np.array(["abc"]),
                    np.array(["words"]),
                ]
            ),
        },
    )
    return tmp_path


def test_synthtext(synthtext_mat):
    samples, problems = convert("synthtext", synthtext_mat, synthtext_mat / "gt.mat")
    assert [s.file_name for s in samples] == ["8/a_1.jpg", "8/b_1.jpg", "9/d_1.jpg"]
    assert [(w.text, w.outline, w.ignore) for w in samples[0].words] == [("the", LARGE, False), ("ab", SMALL, True)]
    assert [(w.text, w.outline, w.ignore) for w in samples[1].words] == [("words", LARGE, False)]
    assert kinds(problems) == {("warning", "mismatch"): 1, ("error", "missing_image"): 1}
    assert any("9/c_1.jpg" in str(p) and "2 words but 1 boxes" in str(p) for p in problems.kept)


def test_synthtext_with_characters(synthtext_mat):
    samples, problems = convert("synthtext", synthtext_mat, synthtext_mat, characters=True, min_size=0)
    assert [s.file_name for s in samples] == ["8/a_1.jpg", "8/b_1.jpg"]
    assert [len(w.characters) for w in samples[0].words] == [3, 2]
    assert samples[1].words[0].characters[0] == [1, 2, 5, 2, 5, 14, 1, 14]
    assert not any(w.ignore for s in samples for w in s.words)
    assert problems.counts["warning", "mismatch"] == 2
    write_samples(samples, synthtext_mat / "out.json", {})
    records = load_text_json(str(synthtext_mat / "out.json"), str(synthtext_mat))
    assert len(records[0]["annotations"][0]["characters"]) == 3


def test_synthtext_parts():
    lines = np.array(["Lines:\nI lost\nKevin ", "will                "])
    assert split_words(lines) == ["Lines:", "I", "lost", "Kevin", "will"]
    assert split_words(np.array([])) == []
    assert quadrilaterals(np.zeros((2, 4, 0))) == []
    assert quadrilaterals(corners(LARGE, SMALL)) == [LARGE, SMALL]
    with pytest.raises(ValueError, match="shape"):
        quadrilaterals(np.zeros((4, 2, 3)))
    assert shorter_side([0, 0, 3, 4, 0, 8, -3, 4]) == 5  # a rhombus with sides of 5
    assert shorter_side(SMALL) == 4


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """Peak of the allocations while three times as many samples are written."""

    def samples(number):
        for index in range(number):
            words = [make_word(LARGE, "word")]
            yield Sample(f"{index % 200}/image_{index}.jpg", 40, 60, words)

    def peak(number):
        tracemalloc.start()
        write_samples(samples(number), tmp_path / "out.json", {})
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)
    assert peak(1800) < 1.3 * peak(600)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no file"), (b"nonsense" * 50, "not a .mat file"), ({"imnames": cells(["a"])}, "has no txt, wordBB")],
)
def test_synthtext_files_that_are_none(tmp_path, content, message):
    if isinstance(content, bytes):
        (tmp_path / "gt.mat").write_bytes(content)
    elif content is not None:
        savemat(tmp_path / "gt.mat", content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        convert("synthtext", tmp_path, tmp_path)
