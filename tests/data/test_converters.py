"""Benchmarks with a text file an image, with all their quirks, and the real ground truth where it is there."""

from functools import partial

import pytest
from helpers.converting import QUAD, add_image, convert, kinds
from toy import real_data

from dld_spotter.data.converters import write_samples
from dld_spotter.data.converters.common import Sample
from dld_spotter.data.converters.mat_reader import MatReader
from dld_spotter.data.converters.reading import read_words
from dld_spotter.data.converters.text_folders import (
    parse_icdar2013,
    parse_points,
    read_lines,
    thin_out_negatives,
)
from dld_spotter.data.converters.totaltext import read_totaltext
from dld_spotter.data.text_files import find_text_files
from dld_spotter.data.text_json import check_text_json, load_text_json
from dld_spotter.data.text_validation import Problems, word_records


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
