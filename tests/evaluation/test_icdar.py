"""The competitions' text files: names, lines, byte-order marks, layouts."""

import logging
import zipfile

import pytest

from dld_spotter.evaluation.icdar import (
    guess_layout,
    image_key,
    image_keys,
    list_text_files,
    parse_line,
    read_word_files,
    result_stems,
)


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (
            ["img_7.jpg", "gt_img_7.txt", "res_img_7.txt", "voc_img_7.txt", "new_voc_img_7.txt", "0000007.txt"]
            + ["poly_gt_img7.txt", "img7.JPG", "a/b/img_7.png", "a\\img_7.png", 7, "7"],
            "7",
        ),
        (["photo.v2.jpg", "gt_photo.v2.txt", "folder/photo.v2.png"], "photo.v2"),
        (["img_7_crop.jpg", "res_img_7_crop.txt"], "img_7_crop"),
    ],
)
def test_image_key(names, key):
    assert {image_key(name) for name in names} == {key}


@pytest.mark.parametrize(
    ("line", "layout", "points", "text"),
    [
        ("1,2,3,2,3,4,1,4,Exit", "quad", 4, "Exit"),
        ("1,2,3,2,3,4,1,4,$1,000", "quad", 4, "$1,000"),
        ("1,2,3,2,3,4,1,4, two words ", "quad", 4, "two words"),
        ("1,2,3,2,3,4,1,4,", "quad", 4, ""),
        ("1, 2, 3, 2, 3.5, 4, -1, 4, Exit", "quad", 4, "Exit"),
        ("1,2,3,2,3,4,558", "polygon", 3, "558"),
        ("1,2,3,2,3,4,2,5,1,4,Exit", "polygon", 5, "Exit"),
        ("1,2,3,2,3,4,2,5,1,4,####$1,000", "polygon", 5, "$1,000"),
        ("1,2,3,2,3,4,1,4,#######", "polygon", 4, "###"),
    ],
)
def test_line(line, layout, points, text):
    polygon, found = parse_line(line, layout)
    assert (polygon.shape, found) == ((points, 2), text)
    assert polygon[1].tolist() == [3, 2]


@pytest.mark.parametrize(
    ("line", "layout", "problem"),
    [
        ("1,2,3,2,3,4,Exit", "quad", "6 coordinates"),
        ("1,2,3,2,x,4,1,4,Exit", "quad", "'x' is no number"),
        ("1,2,3,2,3,4,1,4,5,Exit", "polygon", "9 coordinates"),
        ("1,2,3,4,Exit", "polygon", "4 coordinates"),
        ("1,2,nan,2,3,4,1,4,Exit", "quad", "'nan' is no number"),
        ("Exit", "polygon", "0 coordinates"),
        (f"{'9' * 400},2,3,2,3,4,1,4,Exit", "quad", "too many digits"),
    ],
)
def test_bad_line(line, layout, problem):
    with pytest.raises(ValueError, match=problem):
        parse_line(line, layout)


def test_guess_layout():
    quad, comma, hexagon = "1,2,3,2,3,4,1,4,A", "1,2,3,2,3,4,1,4,1,000", "1,2,3,2,3,4,2,5,1,5,1,4,77"
    assert guess_layout({}) == "quad"
    assert guess_layout({"a": quad, "b": comma}) == "quad"
    assert guess_layout({"a": quad, "b": hexagon}) == "polygon"
    assert guess_layout({"a": quad, "b": "1,2,3,2,3,4,5,A"}) == "quad"  # wrong in both; to be reported as a bad line
    assert guess_layout({"a": "1,2,3,2,3,4,77"}) == "polygon"
    assert guess_layout({"a": "1,2,3,2,3,4,2,5,1,4,####1,000"}) == "polygon"
    with pytest.raises(ValueError, match="place b can only be a quadrilateral.*place c looks like"):
        guess_layout({"place b": comma, "place c": hexagon})


def test_files_of_folder_and_zip(tmp_path):
    content = "1,2,3,2,3,4,1,4,Café, bar\r\n\r\n5,6,7,6,7,8,5,8,###\r\n".encode("utf-8-sig")
    folder = tmp_path / "gt"
    folder.mkdir()
    (folder / "gt_img_1.txt").write_bytes(content)
    (folder / "gt_img_2.txt").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "gt.zip", "w") as archive:
        archive.writestr("sub/gt_img_1.txt", content)
        archive.writestr("sub/gt_img_2.txt", b"")
    for path in (folder, tmp_path / "gt.zip"):
        words = read_word_files(path)
        assert [text for _, text in words["gt_img_1.txt"]] == ["Café, bar", "###"]
        assert words["gt_img_1.txt"][1][0].tolist() == [[5, 6], [7, 6], [7, 8], [5, 8]]
        assert words["gt_img_2.txt"] == []


def test_other_encodings(tmp_path, caplog):
    line = "1,2,3,2,3,4,1,4,Café"
    for name, encoding in (("one", "latin-1"), ("two", "utf-16"), ("three", "utf-32"), ("four", "utf-8-sig")):
        (tmp_path / f"{name}.txt").write_bytes(line.encode(encoding))
    with caplog.at_level(logging.WARNING):
        assert {text for words in read_word_files(tmp_path).values() for _, text in words} == {"Café"}
    assert len(caplog.records) == 1 and "one.txt" in caplog.text
    (tmp_path / "two.txt").write_bytes(line.encode("utf-16-le"))
    with pytest.raises(ValueError, match=r"two.txt is in UTF-16"):
        read_word_files(tmp_path)


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.zip"):
        list_text_files(tmp_path / "nothing.zip")
    with pytest.raises(FileNotFoundError, match="holds no .txt file"):
        list_text_files(tmp_path)
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    with pytest.raises(FileNotFoundError, match="broken.zip"):
        list_text_files(tmp_path / "broken.zip")
    (tmp_path / "img_1.txt").write_text("1,2,3,2,3,4,1,4,A\n1,2,3,B\n")
    with pytest.raises(ValueError, match=r"img_1.txt, line 2: expected x1.*, found 3 coordinates in '1,2,3,B'"):
        read_word_files(tmp_path)


def test_files_of_one_name_keep_their_folders(tmp_path):
    for name in ("a/img_1.txt", "b/img_1.txt", "b/img_2.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert set(list_text_files(tmp_path)) == {"a/img_1.txt", "b/img_1.txt", "img_2.txt"}


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["img_1.jpg", "sub/img_2.jpg"], ["img_1", "img_2"]),
        (["a/img_1.jpg", "b/img_1.jpg", "b/img_2.jpg"], ["a_img_1", "b_img_1", "img_2"]),
        (["p.jpg", "p.png"], ["p.jpg", "p.png"]),
        (["x/a/p.jpg", "y/a/p.jpg", "a/b/p.jpg"], ["x_a_p", "y_a_p", "b_p"]),
        (["p.jpg", "a/p.jpg"], ["p.jpg", "a_p"]),
        (["a/p.jpg", "a/p.png", "b/p.png"], ["p.jpg", "a_p.png", "b_p"]),
        (["a/b.jpg", "a_b.jpg"], ["b", "a_b"]),  # a stem of its own is kept
        (["a/b/p.jpg", "a_b/p.jpg", "c/p.jpg", "a_b_p.jpg"], None),
        (["img_1.jpg", "1.jpg"], ["img_1", "1.jpg"]),
        (["/root/a/p.jpg", "C:\\b\\p.jpg"], ["a_p", "b_p"]),
    ],
)
def test_result_stems_differ_and_are_short(names, stems):
    found = result_stems(names)
    assert len(set(found)) == len(names)
    assert stems is None or found == stems


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["img_1.jpg", "sub/img_2.jpg"], ["1", "2"]),
        (["a/gt_img_1.txt", "b/gt_img_1.txt", "gt_img_2.txt"], ["a_img_1", "b_img_1", "2"]),
        (["p.jpg", "p.png", "poly_gt_q.txt"], ["p.jpg", "p.png", "q"]),
        (["Cafe\u0301.jpg"], ["Café"]),
    ],
)
def test_keys_differ(names, keys):
    assert image_keys(names) == keys
