"""Pages of word crops: every word once, in its place, with its own pixels."""

import json

import cv2
import numpy as np
import pytest
from toy import load_script

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


def test_reads_words_and_outlines(folder):
    crops = read_word_crops(folder / "images", folder / "gt.txt", folder / "coords.txt")
    assert [crop.text for crop in crops] == ["a, b", 'say "hi"', "c"]
    assert crops[0].outline.tolist() == [[0, 2], [50, 2], [50, 18], [0, 18]]
    assert crops[1].outline is None


@pytest.mark.parametrize(
    ("annotations", "message"),
    [("word_0.png a", "gt.txt, line 1: expected"), ('gone.png, "a"', "gt.txt, line 1: there is no"), ("\n", "no word")],
)
def test_bad_annotations_name_the_line(folder, annotations, message):
    (folder / "gt.txt").write_text(annotations, encoding="utf-8")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_word_crops(folder / "images", folder / "gt.txt")


def test_bad_coordinates_name_the_line(folder):
    (folder / "coords.txt").write_text("word_0.png,0,2,50\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"coords.txt, line 1: expected NAME and 8 numbers"):
        read_word_crops(folder / "images", folder / "gt.txt", folder / "coords.txt")


def test_packed_crops_lie_apart_on_their_page(folder):
    generator = np.random.default_rng(0)
    sizes = [tuple(generator.integers(5, 150, 2)) for _ in range(200)]
    crops = [(WordCrop(folder, str(i), None), size) for i, size in enumerate(sizes)]
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
    crops = read_word_crops(folder / "images", folder / "gt.txt", folder / "coords.txt")
    path = write_pages(crops, folder / "pages", size=(96, 160), rounds=3, seed=1)
    pages = json.loads(path.read_text())
    assert sorted(a["text"] for a in pages["annotations"]) == sorted(3 * ["a, b", 'say "hi"', "c"])
    colour = {"a, b": 40, 'say "hi"': 80, "c": 120}
    images = {i["id"]: cv2.imread(str(folder / "pages" / "images" / i["file_name"])) for i in pages["images"]}
    for annotation in pages["annotations"]:
        x, y = np.array(annotation["segmentation"][0]).reshape(-1, 2).mean(axis=0).astype(int)
        assert abs(int(images[annotation["image_id"]][y, x, 0]) - colour[annotation["text"]]) <= 3


def test_the_tool_says_what_is_wrong(folder, capsys):
    tool = load_script("tools/pack_word_crops.py")
    options = ["--images", str(folder / "images"), "--annotations", str(folder / "gt.txt")]
    assert tool.main([*options, "--output", str(folder / "pages")]) == 0
    assert "3 words, 1 times each" in capsys.readouterr().out
    (folder / "gt.txt").write_text("nonsense", encoding="utf-8")
    assert tool.main([*options, "--output", str(folder / "pages")]) == 1
    assert "expected NAME" in capsys.readouterr().err
