"""What stops the loading of a text JSON: the message names file, image and word, and says what to do."""

import math

import pytest
from helpers.text_json import SQUARE, image_entry, without, word_entry, write

from dld_spotter.data.text_json import (
    check_text_json,
    load_text_json,
)

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
