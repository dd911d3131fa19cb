import logging
import math
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


# What stops: kind, images, annotations, and a piece of the message that says what to do.
FATAL = [
    ("missing_field", [without(image_entry(), "height")], [], "has no height"),
    ("missing_field", None, [without(word_entry(), "text")], "add the word"),
    ("missing_field", None, [without(word_entry(), "image_id")], "image_id"),
    ("missing_field", None, [without(word_entry(), "id")], "has no id"),
    ("missing_field", None, [without(word_entry(), "segmentation")], "neither segmentation nor bbox"),
    ("wrong_type", ["a.png"], [], "not an object"),
    ("wrong_type", [image_entry(height="40")], [], "whole number from 1"),
    ("wrong_type", [image_entry(width=0)], [], "whole number from 1"),
    ("wrong_type", [image_entry(file_name="")], [], "not a path"),
    ("wrong_type", [image_entry(id="one")], [], "whole number"),
    ("wrong_type", None, [word_entry(text=12)], "between quotes"),
    ("wrong_type", None, [word_entry(ignore="no")], "use 1"),
    ("wrong_type", None, [word_entry(["10", 10, 30, 10, 30, 20])], "not a number"),
    ("wrong_type", None, [word_entry(segmentation={"counts": [1]})], "run lengths"),
    ("wrong_type", None, [word_entry(segmentation=SQUARE)], "[[x1, y1"),
    ("wrong_type", None, [word_entry(segmentation=None, bbox=[1, 2, 3])], "[x, y, width, height]"),
    ("wrong_type", None, [word_entry(id="one")], "whole numbers"),
    ("wrong_type", None, [None], "not an object"),
    ("wrong_type", None, [word_entry(iscrowd="no")], "use 1"),
    ("wrong_type", None, [word_entry(ignore=[])], "use 1"),
    ("wrong_type", None, [word_entry(id=10**400)], "64 bits"),
    ("wrong_type", [image_entry(height=10**400)], [], "whole number from 1"),
    ("wrong_type", [image_entry(width=10**7)], [], "whole number from 1"),
    ("wrong_type", [image_entry(id=2**63)], [], "64 bits"),
    ("outside_folder", [image_entry(file_name="../a.png")], [], "below the image folder"),
    ("outside_folder", [image_entry(file_name="part/../../a.png")], [], "below the image folder"),
    ("outside_folder", [image_entry(file_name="/etc/a.png")], [], "below the image folder"),
    ("outside_folder", [image_entry(file_name="C:\\a.png")], [], "below the image folder"),
    ("outside_folder", [image_entry(file_name="..\\a.png")], [], "below the image folder"),
    ("control_character", [image_entry(file_name="a\0.png")], [], "control character"),
    ("control_character", [image_entry(file_name="a\udcff.png")], [], "not UTF-8"),
    ("control_character", None, [word_entry(text="Ex\x1bit")], "control character"),
    ("control_character", None, [word_entry(text="Ex\0it")], "control character"),
    ("control_character", None, [word_entry(text="Ex\ud800it")], "control character"),
    ("too_long_text", None, [word_entry(text="a" * 2000)], "2,000 characters"),
    ("too_large", None, [word_entry([10, 10, 1e308, 10, 30, 20])], "beyond"),
    ("too_large", None, [word_entry([10, 10, 10**400, 10, 30, 20])], "beyond"),
    ("too_large", None, [without(word_entry(bbox=[0, 0, 1e7, 1e7]), "segmentation")], "beyond"),
    ("too_many_points", None, [word_entry([10, 10, 30, 10] * 1000)], "2,000 points"),
    ("odd_coordinates", None, [word_entry([10, 10, 30, 10, 30])], "pairs"),
    ("not_finite", None, [word_entry([10, 10, 30, math.nan, 30, 20])], "NaN"),
    ("not_finite", None, [word_entry([10, 10, 30, math.inf, 30, 20])], "infinity"),
    ("unknown_image", None, [word_entry(image_id=5)], "image_id 5"),
    ("duplicate_image_id", [image_entry(), image_entry(file_name="b.png")], [], "give each its own"),
    ("duplicate_image", [image_entry(), image_entry(id=2)], [], "listed twice"),
    ("duplicate_image", [image_entry(), image_entry(id=2, file_name="./a.png")], [], "listed twice"),
    ("missing_image", [image_entry(file_name="a" * 300 + ".png")], [], "no such file"),
    ("duplicate_annotation_id", None, [word_entry(), word_entry(text="other")], "give each its own"),
    ("missing_image", [image_entry(file_name="none.png")], [], "no such file"),
]


@pytest.mark.parametrize(("kind", "images", "annotations", "message"), FATAL)
def test_fatal_problems_name_file_image_and_annotation(tmp_path, kind, images, annotations, message):
    paths = write(tmp_path, images, annotations)
    (problem,) = check_text_json(*paths)
    assert (problem.severity, problem.kind, problem.file) == ("error", kind, paths[0])
    assert message in problem.message
    with pytest.raises(ValueError, match="1 problem must be solved first") as raised:
        load_text_json(*paths)
    assert str(problem) in str(raised.value)
    assert paths[0] in str(raised.value)
    if kind == "duplicate_annotation_id":
        assert "image " in str(problem)
        assert "annotation 1" in str(problem)


def test_many_fatal_problems_are_counted_and_ten_are_listed(tmp_path):
    paths = write(tmp_path, annotations=[word_entry(id=number, text=5) for number in range(1, 38)])
    with pytest.raises(ValueError, match="37 problems must be solved first, of which 10 are:") as raised:
        load_text_json(*paths)
    assert str(raised.value).count("between quotes") == 10
    assert f"--check {paths[0]} --images {paths[1]}" in str(raised.value)
    assert len(check_text_json(*paths)) == 37


FOREIGN = ["{", "[]", '{"images": []}', '{"images": {}, "annotations": []}', b"\xff\xfe\x00", "[" * 100_000, "1" * 5000]


@pytest.mark.parametrize("content", FOREIGN)
def test_files_of_another_format(tmp_path, content):
    path = tmp_path / "words.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match="words.json"):
        load_text_json(str(path), str(tmp_path))


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
