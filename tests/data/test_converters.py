"""Benchmarks with a text file an image, with all their quirks, and the real ground truth where it is there."""

import os
import time
import unicodedata
from functools import partial

import numpy as np
import pytest
from helpers.converting import QUAD, add_image, convert, kinds, read
from PIL import Image, ImageOps
from toy import real_data

from dld_spotter.data.converters import write_samples
from dld_spotter.data.converters.common import Sample, make_word
from dld_spotter.data.converters.image_folder import ImageFolder, pair_files
from dld_spotter.data.converters.mat_reader import MatReader
from dld_spotter.data.converters.reading import Entry, read_samples, read_words, upright
from dld_spotter.data.converters.text_folders import (
    parse_icdar2013,
    parse_mlt2017,
    parse_outline,
    parse_points,
    parse_polygon,
    read_lines,
    thin_out_negatives,
)
from dld_spotter.data.converters.totaltext import read_totaltext
from dld_spotter.data.text_files import TextFile, find_text_files
from dld_spotter.data.text_json import check_text_json, load_text_json
from dld_spotter.data.text_validation import Problems, word_records
from dld_spotter.image_io import read_image


@pytest.mark.parametrize(
    ("parse", "line", "outline", "text", "ignore"),
    [
        (parse_points, "1,2,3,4,5,6,7,8,Exit", [1, 2, 3, 4, 5, 6, 7, 8], "Exit", False),
        (parse_points, "1,2,3,4,5,6,7,8,$1,299, now ", [1, 2, 3, 4, 5, 6, 7, 8], "$1,299, now", False),
        (parse_points, "1,2,3,4,5,6,7,8,###", [1, 2, 3, 4, 5, 6, 7, 8], "###", True),
        (parse_points, "1,2,3,4,5,6,7,8,", [1, 2, 3, 4, 5, 6, 7, 8], "", True),
        (parse_points, '-1.5, 2,3,4,5,6,7,8,"quoted"', [-1.5, 2, 3, 4, 5, 6, 7, 8], '"quoted"', False),
        (partial(parse_points, points=3), "1,2,3,4,5,6,7,8", [1, 2, 3, 4, 5, 6], "7,8", False),
        (parse_icdar2013, '158 128 411 181 "Footpath"', [158, 128, 411, 128, 411, 181, 158, 181], "Footpath", False),
        (parse_icdar2013, '38, 43, 920, 215, "Tiredness"', [38, 43, 920, 43, 920, 215, 38, 215], "Tiredness", False),
        (parse_icdar2013, '1, 2, 3, 4, "say \\"a\\\\b\\", c"', [1, 2, 3, 2, 3, 4, 1, 4], 'say "a\\b", c', False),
        (parse_icdar2013, "18,25,454,25,454,412,18,412,###", [18, 25, 454, 25, 454, 412, 18, 412], "###", True),
        (parse_icdar2013, '1,2,3,4,5,6,7,8,"a"', [1, 2, 3, 4, 5, 6, 7, 8], '"a"', False),
        (parse_mlt2017, "1,2,3,4,5,6,7,8,Latin,a,b", [1, 2, 3, 4, 5, 6, 7, 8], "a,b", False),
        (parse_mlt2017, "1,2,3,4,5,6,7,8,Korean,가", [1, 2, 3, 4, 5, 6, 7, 8], "가", True),
        (parse_mlt2017, "1,2,3,4,5,6,7,8,Latin,###", [1, 2, 3, 4, 5, 6, 7, 8], "###", True),
        (parse_polygon, "1,2,3,4,5,6,Square", [1, 2, 3, 4, 5, 6], "Square", False),
        (parse_polygon, "1,2,3,4,5,6,2010", [1, 2, 3, 4, 5, 6], "2010", False),
        (parse_polygon, "1,2,3,4,5,6,a, b", [1, 2, 3, 4, 5, 6], "a, b", False),
        (parse_polygon, "1,2,3,4,5,6,1,299", [1, 2, 3, 4, 5, 6], "1,299", False),
        (parse_polygon, "1,2,3,4,5,6,####1,299", [1, 2, 3, 4, 5, 6], "1,299", False),
        (parse_polygon, "1,2,3,4,5,6,#######", [1, 2, 3, 4, 5, 6], "###", True),
        (parse_polygon, "1,2,3,4,5,6,nan,a", [1, 2, 3, 4, 5, 6], "nan,a", False),
        (parse_polygon, "1,2,3,4,5,6,1_0,a", [1, 2, 3, 4, 5, 6], "1_0,a", False),
        (parse_icdar2013, '1 ,2\t 3 , 4 "a"', [1, 2, 3, 2, 3, 4, 1, 4], "a", False),
        (parse_outline, "1,2,3,4.5,-5,6,7,8", [1, 2, 3, 4.5, -5, 6, 7, 8], "", True),
        (parse_outline, "1,2,3,4,5,6, ", [1, 2, 3, 4, 5, 6], "", True),
    ],
)
def test_lines(parse, line, outline, text, ignore):
    word = parse(line)
    assert (word.outline, word.text, word.ignore) == (outline, text, ignore)


@pytest.mark.parametrize(
    ("parse", "line"),
    [
        (parse_points, "1,2,3,4,5,6,7,8"),
        (parse_points, "1,2,3,4,5,6,x,8,Exit"),
        (parse_points, "1,2,3,4,5,6,nan,8,Exit"),
        (parse_icdar2013, "1,2,3,4,word"),
        (parse_mlt2017, "1,2,3,4,5,6,7,8,word"),
        (parse_polygon, "word"),
        (parse_polygon, "1,2,3,####word"),
        (parse_points, "1,2,3,4,5,6,7,1e999,Exit"),
        (parse_points, "1,2,3,4,5,6,7,2e6,Exit"),
        (parse_points, f"1,2,3,4,5,6,7,{'9' * 400},Exit"),
        (parse_points, "1,2,3,4,5,6,7,8,Ex\x07it"),
        (parse_outline, "1,2,3,4,5,6,7"),
        (parse_outline, "1,2,3,4,5,6,7,8,Exit"),
    ],
)
def test_lines_that_cannot_be_understood(parse, line):
    with pytest.raises(ValueError, match=r"expected|not a number|infinity|beyond|control|pairs"):
        parse(line)


@pytest.mark.parametrize(
    "data",
    [
        b"\n" * 300_000 + b"x",
        b"x: [[1 2]]" + b"y: [[" * 100_000,
        b"x:" + b"transcriptions: [" * 50_000,
        b"x: [[1]], y: [[1]], transcriptions: [" + b"\\'" * 100_000 + b"]",
        b"1" + b" " * 20_000 + b"2" + b" " * 20_000 + b"3" + b" " * 20_000 + b"4" + b" " * 20_000 + b"x",
        b'1 2 3 4 "' + b'" ' * 50_000 + b"x",
        b"1," * 500_000,
        b"1,2,3,4,5,6,7," + b"9" * 100_000 + b"x,word",
        b"x: [[" + b"9" * 100_000 + b"x]], y: [[1]], transcriptions: [u'a']",
        b"1 2 3 " + b"9" * 100_000 + b'x "a"',
    ],
)
def test_no_file_takes_long(data):
    start = time.process_time()
    for reader in (
        partial(read_totaltext, reader=MatReader()),
        partial(read_lines, parse=parse_icdar2013),
        partial(read_lines, parse=parse_polygon),
    ):
        assert read(data, reader)[0] == []
    assert time.process_time() - start < 2


def test_text_files_with_byte_order_mark_windows_line_ends_and_blank_lines():
    data = b"\xef\xbb\xbf1,2,3,4,5,6,7,8,caf\xc3\xa9\r\n\r\n1,2,3,4,5,6,7,9,b\n"
    words, problems = read(data, partial(read_lines, parse=parse_points))
    assert [word.text for word in words] == ["café", "b"]
    assert words[0].outline == [1, 2, 3, 4, 5, 6, 7, 8]
    assert kinds(problems) == {}


def test_text_files_in_latin_1_are_read_with_a_warning():
    words, problems = read(b"1,2,3,4,5,6,7,8,caf\xe9\n", partial(read_lines, parse=parse_points))
    assert words[0].text == "café"
    assert kinds(problems) == {("warning", "not_utf8"): 1}


def test_text_files_of_windows_are_read():
    """PowerShell writes UTF-16; editors write Windows-1252, where Latin-1 has control characters."""
    line = "1,2,3,4,5,6,7,8,it’s"
    for encoding in ("utf-16", "utf-32"):
        words, problems = read(line.encode(encoding), partial(read_lines, parse=parse_points))
        assert [word.text for word in words] == ["it’s"]
        assert kinds(problems) == {}
    words, problems = read(line.encode("cp1252"), partial(read_lines, parse=parse_points))
    assert [word.text for word in words] == ["it’s"]
    assert kinds(problems) == {("warning", "not_utf8"): 1}


def test_a_bad_line_is_named_and_the_others_go_on():
    words, problems = read(b"1,2,3,4,5,6,7,8,a\n\nnonsense\n1,2,3,4,5,6,7,8,b", partial(read_lines, parse=parse_points))
    assert [word.text for word in words] == ["a", "b"]
    (problem,) = problems.kept
    assert (problem.severity, problem.kind) == ("error", "bad_word")
    assert problem.annotation == "gt_img_1.txt, line 3"


def test_empty_annotation_files():
    assert read(b"", partial(read_lines, parse=parse_points))[0] == []
    assert read(b"", partial(read_totaltext, reader=MatReader()))[0] == []


# Images and their annotation files


def pairs(folder, *names):
    """Photo of each annotation file that gets one, and what was noted."""
    problems = Problems("test")
    files = [TextFile(name, bytes) for name in names]
    return {file.name: name for file, name in pair_files(files, ImageFolder(folder), problems)}, problems


def test_images_are_found_by_the_names_of_annotation_files(tmp_path):
    for name in (
        "img_1.jpg",
        "part/img_2.PNG",
        "img_3.gif",
        "img11.JPG",
        "100.jpg",
        "x/same.jpg",
        "y/same.jpg",
        "s.p.jpg",
    ):
        add_image(tmp_path, name)
    found, problems = pairs(
        tmp_path, "gt_img_1.txt", "gt/gt_img_2.txt", "img_3.gif.txt", "poly_gt_img11.mat", "res_100.txt", "S.P.txt",
        "y/same.txt", "gt_img_4.txt", "gt_same.txt",
    )  # fmt: skip
    assert found == {
        "gt_img_1.txt": "img_1.jpg",
        "gt/gt_img_2.txt": "part/img_2.PNG",
        "img_3.gif.txt": "img_3.gif",
        "poly_gt_img11.mat": "img11.JPG",
        "res_100.txt": "100.jpg",
        "S.P.txt": "s.p.jpg",
        "y/same.txt": "y/same.jpg",
    }
    assert kinds(problems) == {
        ("error", "missing_image"): 1,
        ("error", "ambiguous_image"): 1,
        ("warning", "no_annotation_file"): 1,
    }


def test_a_number_alone_pairs_nothing(tmp_path):
    add_image(tmp_path, "IMG_0003.jpg")
    found, problems = pairs(tmp_path, "DSC_0003.txt", "0003.txt", "gt_3.txt")
    assert found == {}
    assert kinds(problems) == {("error", "missing_image"): 3, ("warning", "no_annotation_file"): 1}


@pytest.mark.parametrize("names", [["street_1.txt", "gt_street_1.txt"], ["gt_street_1.txt", "street_1.txt"]])
def test_the_equal_name_wins_over_a_prefix(tmp_path, names):
    add_image(tmp_path, "street_1.jpg")
    found, problems = pairs(tmp_path, *names)
    assert found == {"street_1.txt": "street_1.jpg"}
    assert kinds(problems) == {("error", "duplicate_image"): 1}


def test_a_photo_whose_name_has_a_prefix_keeps_its_file(tmp_path):
    add_image(tmp_path, "gt_a.jpg")
    add_image(tmp_path, "a.jpg")
    found, problems = pairs(tmp_path, "gt_a.txt")
    assert found == {"gt_a.txt": "gt_a.jpg"}
    assert kinds(problems) == {("warning", "ambiguous_image"): 1}
    found, problems = pairs(tmp_path, "gt_a.txt", "a.txt")
    assert found == {"gt_a.txt": "gt_a.jpg", "a.txt": "a.jpg"}
    assert kinds(problems) == {}


def test_photos_of_one_stem_need_the_whole_name(tmp_path):
    add_image(tmp_path, "p.jpg")
    add_image(tmp_path, "p.png")
    found, problems = pairs(tmp_path, "p.png.txt", "p.txt")
    assert found == {"p.png.txt": "p.png"}
    assert kinds(problems)["error", "ambiguous_image"] == 1


@pytest.mark.parametrize("files", [("a/img_1.txt", "b/img_1.txt"), ("b/img_1.txt", "a/img_1.txt")])
def test_a_file_beside_photos_is_about_one_of_them(tmp_path, files):
    """The photo of a/img_1.txt was deleted: it must not give its words to the other of that name."""
    add_image(tmp_path, "a/img_2.jpg")
    add_image(tmp_path, "b/img_1.jpg")
    found, problems = pairs(tmp_path, *files, "b/img_2.txt")
    assert found == {"b/img_1.txt": "b/img_1.jpg"}
    assert kinds(problems) == {("error", "missing_image"): 2, ("warning", "no_annotation_file"): 1}


@pytest.mark.parametrize(
    "files", [("x/img_1.txt", "y/img_1.txt"), ("gt_IMG_1.txt", "gt_img_1.TXT", "poly_gt_img_1.txt")]
)
def test_of_files_that_fit_a_photo_alike_none_is_taken(tmp_path, files):
    add_image(tmp_path, "Img_1.jpg")
    found, problems = pairs(tmp_path, *files)
    assert found == {}
    assert kinds(problems) == {("error", "duplicate_image"): len(files), ("warning", "no_annotation_file"): 1}


@pytest.mark.parametrize("files", [("IMG_1.txt", "img_1.txt"), ("img_1.txt", "IMG_1.txt")])
def test_the_case_of_a_name_counts_first(tmp_path, files):
    add_image(tmp_path, "img_1.jpg")
    found, problems = pairs(tmp_path, *files)
    assert found == {"img_1.txt": "img_1.jpg"}
    assert kinds(problems) == {("error", "duplicate_image"): 1}


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_pair_in_either_form(tmp_path, forms):
    """macOS writes other characters into archives than people type."""
    photo, file = (unicodedata.normalize(form, "Café_ü") for form in forms)
    add_image(tmp_path, f"{photo}.jpg")
    for name in (f"{file}.txt", f"gt_{file.upper()}.txt"):
        found, problems = pairs(tmp_path, name)
        assert found == {name: f"{photo}.jpg"} and kinds(problems) == {}


def test_image_folders_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image folder"):
        ImageFolder(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    with pytest.raises(FileNotFoundError, match="holds no image"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_words_of_stored_pixels_turn_with_the_photo(tmp_path, orientation):
    stored = np.zeros((20, 30, 3), np.uint8)
    stored[4:8, 5:15] = 255  # the word: x 5 to 15, y 4 to 8 of the stored pixels
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
    ys, xs = np.nonzero(shown[..., 0])
    outline = upright([5, 4, 15, 4, 15, 8, 5, 8], orientation, *shown.shape[:2])
    assert [min(outline[::2]), max(outline[::2])] == [xs.min(), xs.max() + 1]
    assert [min(outline[1::2]), max(outline[1::2])] == [ys.min(), ys.max() + 1]
    word = partial(make_word, [5, 4, 15, 4, 15, 8, 5, 8], "a", False, [[5, 4, 15, 4, 15, 8, 5, 8]])
    entries = [("a.txt", lambda: Entry("a.png", [("line 1", word)]))]
    (sample,) = read_samples(entries, tmp_path, Problems("test"), stored=True)
    assert (sample.height, sample.width) == shown.shape[:2] == read_image(tmp_path / "a.png").shape[:2]
    assert sample.words[0].outline == sample.words[0].characters[0] == outline


@pytest.mark.parametrize("name", ["a.jpg", "a.JPE", "a.jfif", "a.tif", "a.webp", "a.apng"])
def test_words_turn_with_photos_of_all_endings(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6  # the photo is shown turned clockwise
    format = {"j": "JPEG", "t": "TIFF", "w": "WEBP"}.get(name[2].lower(), "PNG")
    Image.new("RGB", (30, 20)).save(tmp_path / name, format, exif=exif)
    entries = [("a.txt", lambda: Entry(name, [("line 1", partial(make_word, [5, 4, 15, 4, 15, 8, 5, 8], "a"))]))]
    (sample,) = read_samples(entries, tmp_path, Problems("test"), stored=True)
    assert (sample.height, sample.width) == (30, 20)
    assert sample.words[0].outline == [16, 5, 16, 15, 12, 15, 12, 5]


def test_what_an_entry_raises_costs_that_entry(tmp_path):
    """Whatever the exception: in the reading of an entry, of the list of its words, and of a word."""
    add_image(tmp_path, "a.png")
    add_image(tmp_path, "b.png")

    def fail(error):
        raise error

    errors = (
        KeyError("x"),
        TypeError(),
        RecursionError(),
        OverflowError(),
        SyntaxError(),
        OSError(),
        ValueError("y"),
    )
    good = ("good", partial(make_word, QUAD, "a"))
    entries = [
        *[("entry", partial(fail, error)) for error in errors],
        ("words", lambda: Entry("b.png", 5)),
        ("image", lambda: Entry(["b.png"], [])),
        ("a.png", lambda: Entry("a.png", [*[("word", partial(fail, error)) for error in errors], good])),
    ]
    problems = Problems("test")
    (sample,) = read_samples(entries, tmp_path, problems)
    assert [word.text for word in sample.words] == ["a"]
    assert kinds(problems) == {("error", "bad_entry"): 8, ("error", "wrong_type"): 1, ("error", "bad_word"): 7}
    assert str(problems.kept[-1]) == "test, image a.png, annotation a.png, word: y; left out."
    with pytest.raises(KeyboardInterrupt):
        list(read_samples([("entry", partial(fail, KeyboardInterrupt()))], tmp_path, problems))


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "a\0.png", "caf\udce9.png", "pipe.png", "a" * 300, "", 5, None])
def test_images_outside_of_the_folder_or_that_are_none(tmp_path, name):
    add_image(tmp_path, "a.png")
    (tmp_path / "images").mkdir()
    os.mkfifo(tmp_path / "images" / "pipe.png")
    problems = Problems("test")
    assert list(read_samples([("entry", lambda: Entry(name, []))], tmp_path / "images", problems)) == []
    assert problems.count("error") == 1


def test_a_word_that_lost_a_letter_is_dont_care():
    words = [("line 1", partial(make_word, QUAD, "Caf\ufffd")), ("line 2", partial(make_word, QUAD, "Cafï¿½"))]
    problems = Problems("test")
    assert [word.ignore for word in read_words(words, problems, "a.jpg", "a.txt")] == [True, True]
    assert kinds(problems) == {("warning", "lost_letter"): 2}


def test_what_a_dont_care_word_says_does_not_matter():
    assert make_word(QUAD, 5, ignore=True).text == ""
    assert make_word(QUAD, "a\x07", ignore=True).text == ""
    assert make_word(QUAD, None).ignore
    assert make_word(QUAD, "a", ignore=True).text == "a"
    with pytest.raises(ValueError, match="not a string"):
        make_word(QUAD, 5)


def test_icdar2015_folder(tmp_path):
    for name in ("img_1.jpg", "img_2.jpg", "img_3.jpg", "img_9.jpg"):
        add_image(tmp_path / "images", name)
    (tmp_path / "images" / "img_3.jpg").write_bytes(b"")
    gt = tmp_path / "gt"
    gt.mkdir()
    (gt / "gt_img_1.txt").write_bytes(b"\xef\xbb\xbf10,10,30,10,30,20,10,20,a,b\r\n1,1,5,1,5,5,1,5,###\r\n")
    (gt / "gt_img_2.txt").write_bytes(b"")
    (gt / "gt_img_3.txt").write_bytes(b"")
    (gt / "gt_img_4.txt").write_bytes(b"")
    samples, problems = convert("icdar2015", tmp_path / "images", gt)
    assert [(s.file_name, s.height, s.width, len(s.words)) for s in samples] == [
        ("img_1.jpg", 40, 60, 2),
        ("img_2.jpg", 40, 60, 0),
    ]
    assert kinds(problems) == {
        ("error", "unreadable_image"): 1,
        ("error", "missing_image"): 1,
        ("warning", "no_annotation_file"): 1,
    }
    assert any("img_3.jpg" in str(p) and "empty" in str(p) for p in problems.kept)
    summary = write_samples(samples, tmp_path / "out.json", {"source": "icdar2015"})
    assert str(summary) == "2 images (1 without words), 2 words: 1 cared for, 1 don't care"
    records = load_text_json(str(tmp_path / "out.json"), str(tmp_path / "images"))
    assert [(w["segmentation"], w["text"], w["ignore"]) for w in records[0]["annotations"]] == [
        ([QUAD], "a,b", False),
        ([[1, 1, 5, 1, 5, 5, 1, 5]], "###", True),
    ]


def test_nothing_is_written_if_nothing_could_be_converted(tmp_path):
    with pytest.raises(ValueError, match="nothing is written"):
        write_samples([], tmp_path / "out.json", {})
    assert list(tmp_path.iterdir()) == []


def test_own_icdar_files_with_polygons(tmp_path):
    add_image(tmp_path, "photo.jpg")
    (tmp_path / "photo.txt").write_text("1,1,9,1,9,9,5,12,1,9,curved\n1,1,2,2,dot\n")
    ((sample,), problems) = convert("icdar", tmp_path, tmp_path, points=0)
    assert [(word.outline, word.text) for word in sample.words] == [([1, 1, 9, 1, 9, 9, 5, 12, 1, 9], "curved")]
    assert kinds(problems) == {("warning", "too_few_points"): 1}


def test_mlt2017_keeps_the_latin_words_and_some_negatives(tmp_path):
    for number in range(1, 12):
        add_image(tmp_path, f"img_{number}.{'gif' if number == 1 else 'jpg'}")
        script = "Latin,word" if number == 1 else "Arabic,كلمة"
        (tmp_path / f"gt_img_{number}.txt").write_text(f"1,1,9,1,9,9,1,9,{script}\n", encoding="utf-8")
    samples, _ = convert("mlt2017", tmp_path, tmp_path, negatives=0.2)
    assert [s.file_name for s in samples] == ["img_1.gif", "img_6.jpg", "img_11.jpg"]
    assert [w.ignore for s in samples for w in s.words] == [False, True, True]
    samples, _ = convert("mlt2017", tmp_path, tmp_path, negatives=0, scripts=["Latin", "Arabic"])
    assert len(samples) == 11
    with pytest.raises(ValueError, match="Klingon"):
        convert("mlt2017", tmp_path, tmp_path, scripts=["Klingon"])


@pytest.mark.parametrize(("share", "kept"), [(0, 0), (0.1, 2), (0.5, 10), (1, 20)])
def test_share_of_negatives(share, kept):
    negative = Sample("a.jpg", 40, 60, [])
    assert len(list(thin_out_negatives(iter([negative] * 20), share))) == kept


# The real ground truth of three test sets


@pytest.mark.parametrize(
    ("archive", "reader", "total", "dont_care"),
    [
        ("gt-icdar2013.zip", partial(read_lines, parse=parse_icdar2013), 1637, 720),
        ("gt-icdar2015.zip", partial(read_lines, parse=parse_points), 5230, 3153),
        ("total-text-gt.zip", partial(read_totaltext, reader=MatReader()), 2543, 328),
    ],
)
def test_published_counts_of_the_test_sets(archive, reader, total, dont_care):
    problems = Problems(archive)
    files = find_text_files(real_data() / "eval" / "gt" / archive, ".txt")
    words_of_files = [read_words(reader(file, problems), problems, None, file.name) for file in files]
    words = [word for words in words_of_files for word in words]
    assert len(words) == total
    assert sum(word.ignore for word in words) == dont_care
    assert kinds(problems) == {}
    # Mending outlines must not lose a word that is cared for: it would change the recall.
    kept = 0
    for words in words_of_files:
        entries = [
            {"id": i, "segmentation": [word.outline], "text": word.text, "ignore": word.ignore}
            for i, word in enumerate(words)
        ]
        size = (720, 1280) if "2015" in archive else (10_000, 10_000)
        record = {"file_name": "any.jpg", "height": size[0], "width": size[1]}
        kept += sum(not word["ignore"] for word in word_records(entries, record, problems))
    assert kept == total - dont_care


def test_all_real_photos_convert_and_check(tmp_path):
    folder = real_data() / "icdar2015_dev"
    samples, problems = convert("icdar2015", folder / "images", folder / "gt")
    assert kinds(problems) == {}
    summary = write_samples(samples, tmp_path / "dev.json", {"source": "icdar2015"})
    assert (summary.images, summary.words, summary.dont_care) == (250, 2759, 1715)
    records = load_text_json(str(tmp_path / "dev.json"), str(folder / "images"))
    assert len(records) == 250
    assert sum(not word["ignore"] for record in records for word in record["annotations"]) == 1044


def test_icdar2003_is_laid_out_as_own_icdar_files():
    folder = real_data() / "icdar2003_train"
    samples, problems = convert("icdar", folder / "images", folder / "gt")
    assert kinds(problems) == {("warning", "lost_letter"): 6}
    assert len(samples) == len(list((folder / "gt").iterdir()))
    (sample,) = [sample for sample in samples if sample.file_name == "100.webp"]
    assert [(word.outline, word.text, word.ignore) for word in sample.words][1:3] == [
        ([309, 217, 470, 217, 470, 269, 309, 269], "SACK", False),
        ([174, 216, 291, 216, 291, 267, 174, 267], "SAD", False),
    ]


def test_photos_without_transcriptions(tmp_path):
    folder = real_data() / "photos_without_text_labels"
    (tmp_path / "images").mkdir()
    (tmp_path / "boxes").mkdir()
    for path in sorted((folder / "boxes").iterdir())[:30]:
        name = path.stem.removeprefix("gt_") + ".webp"
        (tmp_path / "boxes" / path.name).symlink_to(path)
        (tmp_path / "images" / name).symlink_to(folder / "images" / name)
    samples, problems = convert("outlines", tmp_path / "images", tmp_path / "boxes")
    assert kinds(problems) == {}
    assert len(samples) == 30
    assert {(word.text, word.ignore) for sample in samples for word in sample.words} == {("", True)}
    write_samples(samples, tmp_path / "photos.json", {})
    found = check_text_json(str(tmp_path / "photos.json"), str(tmp_path / "images"), read_images=False)
    assert {problem.severity for problem in found} <= {"warning"}
