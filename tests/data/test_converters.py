"""Benchmarks with a text file an image, with all their quirks, and the real ground truth where it is there."""

import zipfile
from functools import partial

import numpy as np
import pytest
from helpers.converting import QUAD, add_image, convert, kinds, read
from PIL import Image, ImageOps
from toy import real_data

from dld_spotter.data.converters import write_samples
from dld_spotter.data.converters.common import ImageFolder, annotation_files, make_sample, make_word, upright
from dld_spotter.data.converters.text_folders import (
    parse_icdar2013,
    parse_mlt2017,
    parse_points,
    parse_polygon,
    read_lines,
    thin_out_negatives,
)
from dld_spotter.data.converters.totaltext import read_totaltext
from dld_spotter.data.text_json import load_text_json
from dld_spotter.data.text_validation import Problems, word_records
from dld_spotter.image_io import ImageError, read_image


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
    ],
)
def test_lines_that_cannot_be_understood(parse, line):
    with pytest.raises(ValueError, match=r"expected|not numbers|NaN"):
        parse(line)


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


def test_a_bad_line_is_named_and_the_others_go_on():
    words, problems = read(b"1,2,3,4,5,6,7,8,a\n\nnonsense\n1,2,3,4,5,6,7,8,b", partial(read_lines, parse=parse_points))
    assert [word.text for word in words] == ["a", "b"]
    (problem,) = problems.kept
    assert (problem.severity, problem.kind) == ("error", "bad_line")
    assert "gt_img_1.txt, line 3" in problem.message


def test_empty_annotation_files():
    assert read(b"", partial(read_lines, parse=parse_points))[0] == []
    assert read(b"", read_totaltext)[0] == []


# Images and their annotation files


def test_images_are_found_by_the_names_of_annotation_files(tmp_path):
    for name in ("img_1.jpg", "part/img_2.PNG", "img_3.gif", "img11.JPG", "100.jpg", "x/same.jpg", "y/same.jpg"):
        add_image(tmp_path, name)
    folder = ImageFolder(tmp_path)
    assert folder.find("gt_img_1") == "img_1.jpg"
    assert folder.find("gt_img_2") == "part/img_2.PNG"
    assert folder.find("img_3.gif") == "img_3.gif"
    assert folder.find("poly_gt_img11") == "img11.JPG"
    assert folder.find("0000011") == "img11.JPG"
    assert folder.find("gt_100") == "100.jpg"
    with pytest.raises(ImageError, match="has no image"):
        folder.find("gt_img_4")
    with pytest.raises(ImageError, match="fits x/same.jpg, y/same.jpg"):
        folder.find("gt_same")


def test_folders_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image folder"):
        ImageFolder(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="holds no image"):
        ImageFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="neither a folder nor a zip"):
        annotation_files(tmp_path / "none", ".txt")
    with pytest.raises(FileNotFoundError, match=r"holds no \.txt file"):
        annotation_files(tmp_path, ".txt")


def test_annotations_may_stay_in_their_zip_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "gt.zip", "w") as archive:
        for name in ("gt_img_10.txt", "gt_img_2.txt", "__MACOSX/gt_img_2.txt", "readme.md"):
            archive.writestr(name, name)
    files = annotation_files(tmp_path / "gt.zip", ".txt")
    assert [(file.stem, file.read()) for file in files] == [
        ("gt_img_2", b"gt_img_2.txt"),
        ("gt_img_10", b"gt_img_10.txt"),
    ]


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
    sample = make_sample(tmp_path, "a.png", [make_word([5, 4, 15, 4, 15, 8, 5, 8], "a")], Problems("test"), stored=True)
    assert (sample.height, sample.width) == shown.shape[:2] == read_image(tmp_path / "a.png").shape[:2]
    assert sample.words[0].outline == outline


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
def test_share_of_negatives(tmp_path, share, kept):
    add_image(tmp_path, "a.jpg")
    negative = make_sample(tmp_path, "a.jpg", [], Problems("test"))
    assert len(list(thin_out_negatives(iter([negative] * 20), share))) == kept


# The real ground truth of three test sets


@pytest.mark.parametrize(
    ("archive", "reader", "total", "dont_care"),
    [
        ("gt-icdar2013.zip", partial(read_lines, parse=parse_icdar2013), 1637, 720),
        ("gt-icdar2015.zip", partial(read_lines, parse=parse_points), 5230, 3153),
        ("total-text-gt.zip", read_totaltext, 2543, 328),
    ],
)
def test_published_counts_of_the_test_sets(archive, reader, total, dont_care):
    problems = Problems(archive)
    files = annotation_files(real_data() / "eval" / "gt" / archive, ".txt")
    words_of_files = [reader(file, problems) for file in files]
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
