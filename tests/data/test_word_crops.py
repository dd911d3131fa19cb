"""Pages of word crops: every word once, in its place, with its own pixels."""

import json

import cv2
import numpy as np
import pytest
from toy import load_script

from dld_spotter.data.problems import Problems
from dld_spotter.data.word_crops import WordCrop, pack_pages, read_word_crops, write_pages


@pytest.fixture
def folder(tmp_path):
    """Three crops, each of one colour of its own."""
    (tmp_path / "images").mkdir()
    for number, (height, width) in enumerate([(20, 50), (30, 80), (200, 400)]):
        picture = np.full((height, width, 3), 40 * number + 40, np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"word_{number}.png"), picture)
    (tmp_path / "gt.txt").write_text(
        '\ufeffword_0.png, "a, b"\nword_1.png, "say \\"hi\\""\nword_2.png, "c"\n', encoding="utf-8"
    )
    (tmp_path / "coords.txt").write_text("word_0.png,0,2,50,2,50,18,0,18\n", encoding="utf-8")
    return tmp_path


def read(folder, *coordinates):
    problems = Problems("gt.txt")
    return read_word_crops(folder / "images", folder / "gt.txt", problems, *coordinates), problems


def test_reads_words_and_outlines(folder):
    crops, problems = read(folder, folder / "coords.txt")
    assert [crop.text for crop in crops] == ["a, b", 'say "hi"', "c"]
    assert crops[0].outline.tolist() == [[0, 2], [50, 2], [50, 18], [0, 18]]
    assert crops[1].outline.tolist() == [[0, 0], [80, 0], [80, 30], [0, 30]]  # the whole picture
    assert [crop.size for crop in crops] == [(20, 50), (30, 80), (200, 400)]
    assert not problems.counts


@pytest.mark.parametrize(
    ("line", "severity", "kind"),
    [
        ("word_0.png a", "error", "bad_word"),
        ('gone.png, "a"', "error", "missing_image"),
        ('../word_0.png, "a"', "error", "outside_folder"),
        ('damaged.png, "a"', "error", "bad_word"),
        ('word_0.png, "a\x07"', "error", "control_character"),
        ('word_0.png, "###"', "warning", "no_text"),
    ],
)
def test_a_bad_line_costs_that_line(folder, line, severity, kind):
    (folder / "images" / "damaged.png").write_bytes((folder / "images" / "word_0.png").read_bytes()[:40])
    (folder / "gt.txt").write_text(f'{line}\nword_1.png, "b"\n', encoding="utf-8")
    crops, problems = read(folder)
    assert [crop.text for crop in crops] == ["b"]
    (problem,) = problems.kept
    assert (problem.severity, problem.kind, problem.annotation) == (severity, kind, "line 1")


@pytest.mark.parametrize("values", ["0,2,50", "0,2,50,2,50,18,0,nan", "0,2,50,2,50,18,0,1e9", ""])
def test_bad_coordinates_cost_their_word(folder, values):
    (folder / "coords.txt").write_text(f"word_0.png,{values}\n", encoding="utf-8")
    crops, problems = read(folder, folder / "coords.txt")
    assert [crop.text for crop in crops] == ['say "hi"', "c"]
    assert problems.count("error") == 1


def test_no_word(folder):
    (folder / "gt.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"gt\.txt.*no word"):
        read(folder)


def test_packed_crops_lie_apart_on_their_page(folder):
    generator = np.random.default_rng(0)
    sizes = [tuple(generator.integers(5, 150, 2)) for _ in range(200)]
    crops = [WordCrop(folder, str(i), np.zeros((4, 2)), size) for i, size in enumerate(sizes)]
    pages = pack_pages(crops, (120, 140), (12, 60), generator)
    assert [placed.crop.text for page in pages for placed in page] == [str(i) for i in range(200)]
    for page in pages:
        taken = np.zeros((120, 140), int)
        for placed in page:
            rows, columns = (
                slice(placed.top, placed.top + placed.height),
                slice(placed.left, placed.left + placed.width),
            )
            assert taken[rows, columns].size == placed.height * placed.width  # nothing hangs over the edge
            taken[rows, columns] += 1
        assert taken.max() == 1


def test_a_word_lies_where_its_annotation_says(folder):
    crops, _ = read(folder, folder / "coords.txt")
    path = write_pages(crops, folder / "pages", size=(96, 160), rounds=3, seed=1)
    pages = json.loads(path.read_text())
    assert sorted(a["text"] for a in pages["annotations"]) == sorted(3 * ["a, b", 'say "hi"', "c"])
    colour = {"a, b": 40, 'say "hi"': 80, "c": 120}
    images = {i["id"]: cv2.imread(str(folder / "pages" / "images" / i["file_name"])) for i in pages["images"]}
    for annotation in pages["annotations"]:
        x, y = np.array(annotation["segmentation"][0]).reshape(-1, 2).mean(axis=0).astype(int)
        assert abs(int(images[annotation["image_id"]][y, x, 0]) - colour[annotation["text"]]) <= 3


def test_pages_replace_no_crops(folder):
    crops, _ = read(folder)
    with pytest.raises(ValueError, match="holds the pictures of the words"):
        write_pages(crops, folder)
    write_pages(crops, folder / "pages")
    write_pages(crops, folder / "pages")


def test_the_tool_says_what_is_wrong(folder, capsys):
    tool = load_script("tools/pack_word_crops.py")
    options = ["--images", str(folder / "images"), "--annotations", str(folder / "gt.txt")]
    assert tool.main([*options, "--output", str(folder / "pages")]) == 0
    assert "3 words, 1 times each" in capsys.readouterr().out
    (folder / "gt.txt").write_text("nonsense", encoding="utf-8")
    assert tool.main([*options, "--output", str(folder / "pages")]) == 1
    assert "expected NAME" in capsys.readouterr().err
