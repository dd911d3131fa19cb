"""Each converter on small files with the quirks of the real ones, and on the real ground truth where it is there."""

import json
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.io import savemat
from toy import real_data

from dld_spotter.data.converters import CONVERTERS, Sample, write_samples
from dld_spotter.data.converters.common import ImageFolder, TextFile, annotation_files, make_sample, make_word, upright
from dld_spotter.data.converters.synthtext import quadrilaterals, shorter_side, split_words
from dld_spotter.data.converters.text_folders import (
    parse_icdar2013,
    parse_mlt2017,
    parse_points,
    parse_polygon,
    read_lines,
    thin_out_negatives,
)
from dld_spotter.data.converters.totaltext import parse_wrapped, read_totaltext
from dld_spotter.data.text_json import load_text_json
from dld_spotter.data.text_validation import Problems, word_records
from dld_spotter.image_io import ImageError, read_image

QUAD = [10, 10, 30, 10, 30, 20, 10, 20]


def add_image(folder, name, size=(60, 40), **options):
    """A grey image, (width, height)."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "grey").save(path, **options)


def convert(name, images, annotations, **options):
    """The samples of a converter, and what it noted."""
    problems = Problems("test")
    source = CONVERTERS[name](images, annotations, problems, **options)
    samples = list(source.samples)
    assert len(samples) <= source.total
    return samples, problems


def read(data, reader, name="gt_img_1.txt"):
    problems = Problems("test")
    return reader(TextFile(name, lambda: data), problems), problems


def kinds(problems):
    return dict(problems.counts)


# Lines


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


# Total-Text


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
    words, problems = read(data, read_totaltext, "poly_gt_img1.txt")
    assert [(len(word.outline), word.text) for word in words] == [(8, "PAUL"), (2, "."), (6, "x: y")]
    (problem,) = problems.kept
    assert "word 3: has 2 x but 1 y" in problem.message


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
    assert [s.file_name for s in samples] == ["img5.JPG", "img6.JPG", "img7.JPG", "img8.JPG"]
    assert [(w.outline, w.text, w.ignore) for w in samples[0].words] == [
        ([1, 3, 20, 4, 20, 9], "PAUL", False),
        ([1, 3, 2, 4, 3, 9], "#", True),
        ([1, 3, 2, 4, 3, 9], "", True),
    ]
    assert kinds(problems) == {("warning", "too_few_points"): 1, ("error", "bad_file"): 2}


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
    assert kinds(problems) == {("warning", "mismatch"): 1, ("error", "unreadable_image"): 1}
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
    """Peak of the allocations while five times as many samples are written."""

    def samples(number):
        for index in range(number):
            words = [make_word(quad, "word") for quad in [LARGE] * 3]
            yield Sample(f"{index % 200}/image_{index}.jpg", 40, 60, words)

    def peak(number):
        tracemalloc.start()
        write_samples(samples(number), tmp_path / "out.json", {})
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)
    assert peak(1500) < 1.5 * peak(300)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no file"), (b"nonsense" * 50, "not a .mat file"), ({"imnames": cells(["a"])}, "has no wordBB, txt")],
)
def test_synthtext_files_that_are_none(tmp_path, content, message):
    if isinstance(content, bytes):
        (tmp_path / "gt.mat").write_bytes(content)
    elif content is not None:
        savemat(tmp_path / "gt.mat", content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        convert("synthtext", tmp_path, tmp_path)


# JSON formats and labelling tools


def write_json(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def test_davar(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        add_image(tmp_path, name)
    size = {"height": 40, "width": 60}
    content = {
        "###": "a comment",
        "a.jpg": {
            **size,
            "content_ann": {
                "bboxes": [[10, 10, 30, 20], [1, 1, 9, 1, 9, 9, 5, 9, 1, 9]],
                "texts": ["box", "curve"],
                "cares": [1, 0],
                "cbboxes": [[QUAD, QUAD, QUAD], []],
            },
        },
        "b.jpg": {**size, "content_ann": {"bboxes": [], "texts": []}},
        "c.jpg": {**size, "content_ann": {"bboxes": [QUAD], "texts": ["a", "b"]}},
        "d.jpg": {"height": 400, "width": 600, "content_ann": {"bboxes": [QUAD], "texts": ["a"]}},
        "e.jpg": {**size, "content_ann": {"bboxes": [QUAD], "texts": ["a"]}},
    }
    samples, problems = convert("davar", tmp_path, write_json(tmp_path / "train.json", content))
    assert [s.file_name for s in samples] == ["a.jpg", "b.jpg"]
    assert [(w.outline, w.text, w.ignore, w.characters) for w in samples[0].words] == [
        (QUAD, "box", False, [QUAD, QUAD, QUAD]),
        ([1, 1, 9, 1, 9, 9, 5, 9, 1, 9], "curve", True, None),
    ]
    assert kinds(problems) == {("error", "bad_entry"): 1, ("error", "wrong_size"): 1, ("error", "unreadable_image"): 1}


def test_cocotext(tmp_path):
    add_image(tmp_path, "COCO_1.jpg")
    add_image(tmp_path, "COCO_2.jpg")
    word = {"mask": [float(v) for v in QUAD], "bbox": [10, 10, 20, 10], "utf8_string": "a", "legibility": "legible"}
    content = {
        "imgs": {
            "1": {"id": 1, "file_name": "COCO_1.jpg", "set": "train"},
            "2": {"id": 2, "file_name": "COCO_2.jpg", "set": "val"},
        },
        "imgToAnns": {"1": [5, 6, 7], "2": []},
        "anns": {
            "5": {**word, "language": "english"},
            "6": {**word, "language": "not english"},
            "7": {**word, "mask": [], "language": "english", "legibility": "illegible"},
        },
    }
    path = write_json(tmp_path / "cocotext.v2.json", content)
    ((sample,), _) = convert("cocotext", tmp_path, path)
    assert [(w.outline, w.ignore) for w in sample.words] == [(QUAD, False), (QUAD, True), (QUAD, True)]
    ((sample,), _) = convert("cocotext", tmp_path, path, split="val")
    assert (sample.file_name, sample.words) == ("COCO_2.jpg", [])


@pytest.mark.parametrize("name", ["davar", "cocotext"])
@pytest.mark.parametrize("content", ["[]", "{", None])
def test_json_files_of_another_kind(tmp_path, name, content):
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=r"a\.json"):
        convert(name, tmp_path, tmp_path / "a.json")


def test_labelme(tmp_path):
    for name in ("a.jpg", "sub/b.jpg", "c.jpg"):
        add_image(tmp_path, name)
    shapes = [
        {"label": "Exit", "points": [[10, 10], [30, 10], [30, 20], [10, 20]], "shape_type": "polygon"},
        {"label": "box", "points": [[30, 20], [10, 10]], "shape_type": "rectangle", "flags": {}},
        {"label": "blurred", "points": [[10, 10], [30, 10], [30, 20], [10, 20]], "flags": {"ignore": True}},
        {"label": "###", "points": [[10, 10], [30, 10], [30, 20], [10, 20]], "description": "word"},
        {"label": "dot", "points": [[10, 10]], "shape_type": "point"},
    ]
    size = {"imageHeight": 40, "imageWidth": 60}
    write_json(tmp_path / "a.json", {"imagePath": "a.jpg", "shapes": shapes, **size})
    write_json(tmp_path / "b.json", {"imagePath": "..\\photos\\sub\\b.jpg", "shapes": [], **size})
    write_json(tmp_path / "c.json", {"imagePath": "c.jpg", "shapes": [], "imageHeight": 80, "imageWidth": 60})
    write_json(tmp_path / "d.json", {"imagePath": "none.jpg", "shapes": []})
    write_json(tmp_path / "e.json", {"shapes": []})
    write_json(tmp_path / "f.json", {"imagePath": "a.jpg", "shapes": []})
    samples, problems = convert("labelme", tmp_path, tmp_path)
    assert [s.file_name for s in samples] == ["a.jpg", "sub/b.jpg"]
    assert [(w.outline, w.text, w.ignore) for w in samples[0].words] == [
        (QUAD, "Exit", False),
        (QUAD, "box", False),
        (QUAD, "blurred", True),
        (QUAD, "###", True),
    ]
    assert kinds(problems) == {("warning", "other_shape"): 1, ("error", "wrong_size"): 1, ("error", "bad_file"): 3}
    samples, _ = convert("labelme", tmp_path, tmp_path, text_field="description")
    assert [w.text for w in samples[0].words] == ["", "", "", "word"]


def test_ppocrlabel(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        add_image(tmp_path, name)
    points = [[10, 10], [30, 10], [30, 20], [10, 20]]
    entries = [
        {"transcription": "Exit, 1", "points": points, "difficult": False},
        {"transcription": "blurred", "points": points, "difficult": True},
        {"transcription": "待识别", "points": points},
    ]
    lines = [
        f"photos/a.jpg\t{json.dumps(entries, ensure_ascii=False)}",
        "photos/b.jpg\t[]",
        "photos/none.jpg\t[]",
        "photos/b.jpg\t[]",
        "photos/b.jpg []",
        "b.jpg\t{",
    ]
    (tmp_path / "Label.txt").write_text("\n".join(lines), encoding="utf-8")
    samples, problems = convert("ppocrlabel", tmp_path, tmp_path)
    assert [(s.file_name, len(s.words)) for s in samples] == [("a.jpg", 3), ("b.jpg", 0)]
    assert [(w.outline, w.text, w.ignore) for w in samples[0].words] == [
        (QUAD, "Exit, 1", False),
        (QUAD, "blurred", True),
        (QUAD, "", True),
    ]
    assert kinds(problems) == {("warning", "placeholder"): 1, ("error", "bad_line"): 4}
    assert all("line " in p.message for p in problems.of("error"))


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
