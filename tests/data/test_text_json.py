import logging
import os

import pytest
from detectron2.structures import BoxMode
from helpers.text_json import SQUARE, image_entry, without, word_entry, write
from toy import write_toy_dataset

from dld_spotter.data.charset import Charset
from dld_spotter.data.problems import Problems
from dld_spotter.data.text_json import (
    check_text_json,
    load_text_json,
)


def test_a_record_has_the_form_that_detectron2_expects(tmp_path):
    (record,) = load_text_json(*write(tmp_path))
    assert record == {
        "file_name": str(tmp_path / "a.png"),
        "image_id": 1,
        "height": 40,
        "width": 60,
        "annotations": [
            {
                "id": 1,
                "bbox": [10, 10, 30, 20],
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": 0,
                "segmentation": [SQUARE],
                "text": "Exit",
                "ignore": False,
            }
        ],
    }


def test_no_images_and_no_words(tmp_path):
    (record,) = load_text_json(*write(tmp_path, annotations=[]))
    assert record["annotations"] == []
    (tmp_path / "empty.json").write_text('{"images": [], "annotations": []}')
    assert load_text_json(str(tmp_path / "empty.json"), str(tmp_path)) == []


def test_the_toy_data_set_loads_without_a_warning(tmp_path, caplog):
    records = load_text_json(*write_toy_dataset(tmp_path, dont_care=True, wordless=True))
    assert [len(record["annotations"]) for record in records] == [3, 0]
    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]


def test_characters_are_kept(tmp_path):
    quads = [[10, 10, 15, 10, 15, 20, 10, 20]]
    (record,) = load_text_json(*write(tmp_path, annotations=[word_entry(characters=quads)]))
    assert record["annotations"][0]["characters"] == quads


@pytest.mark.parametrize(
    "characters, message",
    [
        ([[0] * 7], "eight numbers"),
        ("abc", "eight numbers"),
        ([[0] * 7 + [float("nan")]], "NaN or infinity"),
        ([[0] * 8] * 1001, "at most"),
    ],
)
def test_boxes_of_characters_are_checked(tmp_path, characters, message):
    with pytest.raises(ValueError, match=message):
        load_text_json(*write(tmp_path, annotations=[word_entry(characters=characters)]))


# What is mended: kind of the problem, the annotation, and the outline that should come out (None: left out).
MENDED = {
    "clipped": ([-5, 10, 30, 10, 30, 20, -5, 20], [0, 10, 30, 10, 30, 20, 0, 20]),
    "outside": ([-9, 10, -1, 10, -1, 20, -9, 20], None),
    "crosses_itself": ([10, 10, 30, 20, 30, 10, 10, 20], SQUARE),
    "too_few_points": ([10, 10, 30, 20, 10, 10, 30, 20], None),
    "no_area": ([10, 10, 20, 10, 30, 10, 15, 10], None),
}


@pytest.mark.parametrize("kind", MENDED)
def test_outlines_are_mended_and_counted_once(tmp_path, caplog, kind):
    outline, expected = MENDED[kind]
    good = word_entry([40, 30, 50, 30, 50, 38], id=7, text="ok")
    paths = write(tmp_path, annotations=[word_entry(outline), word_entry(outline, id=2, text="other"), good])
    (record,) = load_text_json(*paths)
    words = record["annotations"]
    assert words[-1]["segmentation"] == [[40, 30, 50, 30, 50, 38]]
    assert len(words) == (1 if expected is None else 3)
    if expected is not None:
        assert words[0]["segmentation"] == [expected]
        assert words[0]["bbox"] == [min(expected[::2]), min(expected[1::2]), max(expected[::2]), max(expected[1::2])]
    (entry,) = [entry for entry in caplog.records if entry.levelno == logging.WARNING]
    assert f"2 x {kind}" in entry.getMessage()
    assert "a.png, annotation 1" in entry.getMessage()
    found = check_text_json(*paths)
    assert [(p.severity, p.kind, p.annotation) for p in found] == [("warning", kind, 1), ("warning", kind, 2)]


def test_counter_clockwise_outlines_are_turned_without_a_word(tmp_path):
    paths = write(tmp_path, annotations=[word_entry([10, 10, 10, 20, 30, 20, 30, 10])])
    (record,) = load_text_json(*paths)
    assert record["annotations"][0]["segmentation"] == [SQUARE]
    assert check_text_json(*paths) == []


@pytest.mark.parametrize("segmentation", [None, [], [[]], "missing"])
def test_a_box_stands_in_for_a_missing_outline(tmp_path, segmentation):
    entry = word_entry(bbox=[10, 10, 20, 10], segmentation=segmentation)
    paths = write(tmp_path, annotations=[without(entry, "segmentation") if segmentation == "missing" else entry])
    (record,) = load_text_json(*paths)
    assert record["annotations"][0]["segmentation"] == [SQUARE]
    assert check_text_json(*paths) == []


def test_a_word_without_text_that_is_dont_care(tmp_path):
    (record,) = load_text_json(*write(tmp_path, annotations=[without(word_entry(ignore=1), "text")]))
    assert (record["annotations"][0]["text"], record["annotations"][0]["ignore"]) == ("", True)


def test_the_truth_of_an_evaluation_needs_no_image_and_keeps_the_outlines(tmp_path):
    """The same words as for training, but with the outlines that their authors drew."""
    entries = [
        word_entry([-5, 10, 30, 10, 30, 20, -5, 20]),  # leaves the image
        word_entry([10, 10, 10, 20, 30, 20, 30, 10], id=2, text="turned", iscrowd=1),
        word_entry([10, 10, 30, 20, 10, 10], id=3, text="no area"),
        word_entry(segmentation=[], bbox=[10, 10, 20, 10], id=4, text="box"),
    ]
    paths = write(tmp_path, annotations=entries)
    (trained,) = load_text_json(*paths)
    (tmp_path / "a.png").unlink()
    (record,) = load_text_json(paths[0], as_annotated=True)
    assert record["file_name"] == "a.png"
    assert [(word["id"], word["segmentation"], word["ignore"]) for word in record["annotations"]] == [
        (1, [[-5, 10, 30, 10, 30, 20, -5, 20]], False),
        (2, [[10, 10, 10, 20, 30, 20, 30, 10]], True),
        (4, [SQUARE], False),
    ]
    assert [(word["id"], word["ignore"]) for word in trained["annotations"]] == [(1, False), (2, True), (4, False)]
    assert trained["annotations"][0]["segmentation"] == [[0, 10, 30, 10, 30, 20, 0, 20]]


def test_pipes_and_endless_links_are_no_images(tmp_path):
    paths = write(tmp_path, [image_entry(file_name="pipe.png"), image_entry(id=2, file_name="loop.png")], [])
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert [(p.severity, p.kind) for p in check_text_json(*paths)] == [("error", "missing_image")] * 2
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ValueError, match=r"pipe\.json is no regular file"):
        load_text_json(str(tmp_path / "pipe.json"), str(tmp_path))


def test_findings_print_without_control_characters():
    problems = Problems("words.json")
    problems.error("kind", "says \x1b[2J", "caf\udce9.jpg", [[[]]] * 10_000)
    (problem,) = problems.kept
    str(problem).encode("utf-8")
    assert "\x1b" not in str(problem)
    assert len(str(problem)) < 500


def test_of_several_outlines_the_largest_is_kept(tmp_path):
    paths = write(tmp_path, annotations=[word_entry(segmentation=[[1, 1, 3, 1, 3, 3], SQUARE])])
    (record,) = load_text_json(*paths)
    assert record["annotations"][0]["segmentation"] == [SQUARE]
    assert [p.kind for p in check_text_json(*paths)] == ["several_parts"]


@pytest.mark.parametrize(
    ("changes", "text", "ignore", "kinds"),
    [
        ({"text": " Exit \n"}, "Exit", False, []),
        ({"text": "  "}, "", True, ["empty_word"]),
        ({"text": "###"}, "###", True, ["unmarked_dont_care"]),
        ({"text": "###", "ignore": 1}, "###", True, []),
        ({"text": "", "ignore": True}, "", True, []),
        ({"text": None, "ignore": 1}, "", True, []),
        ({"iscrowd": 1}, "Exit", True, []),
        ({"iscrowd": 1, "text": None}, "", True, []),
        ({"text": "a\tb\nc"}, "a b c", False, []),
        ({"text": 5, "ignore": 1}, "", True, []),
        ({"text": "bad \x07 text", "ignore": 1}, "", True, []),
    ],
)
def test_texts_and_dont_care(tmp_path, changes, text, ignore, kinds):
    paths = write(tmp_path, annotations=[word_entry(**changes)])
    (record,) = load_text_json(*paths)
    word = record["annotations"][0]
    assert (word["text"], word["ignore"]) == (text, ignore)
    assert [p.kind for p in check_text_json(*paths)] == kinds


def test_a_repeated_word_is_left_out(tmp_path):
    paths = write(tmp_path, annotations=[word_entry(), word_entry(id=2), word_entry(id=3, text="other")])
    (record,) = load_text_json(*paths)
    assert [word["id"] for word in record["annotations"]] == [1, 3]
    assert [(p.kind, p.annotation) for p in check_text_json(*paths)] == [("duplicate_annotation", 2)]


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"prepare_dataset.*DETECTRON2_DATASETS"):
        load_text_json(str(tmp_path / "none.json"), str(tmp_path))


def test_check_reads_the_images(tmp_path):
    paths = write(tmp_path, size=(41, 60))
    (problem,) = check_text_json(*paths)
    assert (problem.severity, problem.kind) == ("error", "wrong_size")
    assert "60x41" in problem.message
    assert "60x40" in problem.message
    assert check_text_json(*paths, read_images=False) == []
    (tmp_path / "a.png").write_bytes(b"")
    (problem,) = check_text_json(*paths)
    assert (problem.severity, problem.kind) == ("error", "unreadable_image")
    assert "a.png" in str(problem)


def test_check_reports_what_the_charset_and_the_longest_word_leave_out(tmp_path):
    words = [
        word_entry(text="café"),
        word_entry([1, 1, 9, 1, 9, 9], id=2, text="Exit"),
        word_entry([1, 1, 5, 1, 5, 5], id=3, text="é", ignore=1),
    ]
    paths = write(tmp_path, annotations=words)
    (unknown,) = check_text_json(*paths, Charset.load("alphanumeric36"))
    assert (unknown.kind, unknown.severity, unknown.annotation) == ("unknown_characters", "warning", 1)
    assert "é" in unknown.message
    too_long = check_text_json(*paths, max_length=3)
    assert [(p.kind, p.annotation) for p in too_long] == [("too_long", 1), ("too_long", 2)]
    assert check_text_json(*paths, max_length=4) == []


def test_check_shows_its_progress(tmp_path):
    seen = []
    check_text_json(*write(tmp_path), progress=lambda records: seen.extend(records) or records)
    assert len(seen) == 1
