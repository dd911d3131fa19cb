"""One failure of each kind, made by hand; words found again among a mapper's targets; the sheet."""

import cv2
import numpy as np
import pytest
import toy

from dld_spotter.analysis.failure_sheet import CELL, COLUMNS, caption, choose_failures, crop_failure, draw_sheet
from dld_spotter.analysis.failures import (
    CHOSEN,
    KINDS,
    STUDENT,
    TEACHER,
    Failure,
    FailureReport,
    assign_readings,
    sort_image,
)
from dld_spotter.data.dataset_mapper import TextDatasetMapper
from dld_spotter.data.text_json import load_text_json
from dld_spotter.evaluation import evaluate_words, read_ground_truth
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord, TruthWord


def box(left, width=10.0):
    return np.array([[left, 0], [left + width, 0], [left + width, 10], [left, 10]])


# Annotated, read (None: not found), read in its true place, and the kind of failure (None: read right).
WORDS = [
    ("right", "RIGHT", {CHOSEN: "right", STUDENT: "right", TEACHER: "right"}, None),
    ("lost", None, {CHOSEN: "lost", STUDENT: "lost", TEACHER: "lost"}, "detection"),
    ("small", "srnall", {CHOSEN: "srnall", STUDENT: "small", TEACHER: "srnall"}, "selection"),
    ("tiny", "liny", {CHOSEN: "liny", STUDENT: "liny", TEACHER: "tiny"}, "selection"),
    ("hard", "bard", {CHOSEN: "bard", STUDENT: "bard", TEACHER: "lard"}, "recognition"),
    ("cut", "cu", {CHOSEN: "cut", STUDENT: "cu", TEACHER: "cu"}, "recognition"),
    ("名", "x", {}, "recognition"),  # not in the charset: it has no reading in its true place
]
IMAGE = ImageWords(
    "1",
    [
        *(TruthWord(box(20 * i), text) for i, (text, *_) in enumerate(WORDS)),
        TruthWord(box(400), "###", ignore=True),
    ],
    [
        *(ReadWord(box(20 * i), read, 0.9) for i, (_, read, *_) in enumerate(WORDS) if read is not None),
        ReadWord(box(400), "junk", 0.9),  # in a don't-care region
        ReadWord(box(300), "noise", 0.8),
        ReadWord(box(320), "faint", 0.1),  # below the threshold
    ],
)
RULES = Protocol(score_threshold=0.2)
PLACES = [*(readers for *_, readers, _ in WORDS), {}]


def test_each_kind():
    failures, words, right = sort_image(IMAGE, RULES, "a.png", 0.5, PLACES)
    assert (words, right) == (len(WORDS), 1)
    assert [(f.truth, f.kind) for f in failures[:-1]] == [(text, kind) for text, *_, kind in WORDS if kind]
    assert (failures[-1].kind, failures[-1].truth, failures[-1].read) == ("false detection", None, "noise")
    by_word = {failure.truth: failure for failure in failures}
    assert (by_word["lost"].read, by_word["lost"].score) == (None, None)
    assert by_word["tiny"].right_in_true_place == [TEACHER]
    assert by_word["cut"].right_in_true_place == [CHOSEN], "its outline was to blame"
    assert by_word["small"].polygon == box(40).tolist()
    assert {f.scale for f in failures} == {0.5} and {f.file_name for f in failures} == {"a.png"}
    report = FailureReport(1, words, right, [], failures)
    assert report.counts() == {"detection": 1, "selection": 2, "recognition": 3, "false detection": 1}


def test_the_sums_are_those_of_the_score():
    failures, words, right = sort_image(IMAGE, RULES, "a.png", 0.5, PLACES)
    scores = evaluate_words([IMAGE], RULES, {"none": None}).scores
    kinds = FailureReport(1, words, right, [], failures).counts()
    assert (right, words) == (scores["e2e_none"].correct, scores["e2e_none"].truths)
    assert words - kinds["detection"] == scores["detection"].correct
    assert scores["detection"].detections - kinds["false detection"] == scores["detection"].correct


def test_at_full_resolution_no_selection_is_to_blame():
    failures, _, _ = sort_image(IMAGE, RULES, "a.png", 1.0, PLACES)
    assert {f.kind for f in failures} == {"detection", "recognition", "false detection"}


def test_an_image_without_words():
    assert sort_image(ImageWords("1", []), RULES, "a.png", 0.5, []) == ([], 0, 0)


def test_words_are_recognised_by_their_places(tmp_path):
    annotations, images = toy.write_toy_dataset(tmp_path, 2, words_per_image=3, dont_care=True)
    cfg = toy.tiny_cfg("INPUT.MIN_SIZE_TEST", 160, "INPUT.MAX_SIZE_TEST", 320)
    mapper = TextDatasetMapper(cfg, is_train=False, keep_annotations=True)
    truth = read_ground_truth(annotations)
    for record, image in zip(load_text_json(annotations, images), truth.pair([]), strict=True):
        record["annotations"][1]["text"] = "ä?"  # cannot be read with this charset
        record["annotations"] = record["annotations"][::-1]
        mapped = mapper(record)
        readable = [w["text"] for w in record["annotations"] if not w["ignore"] and w["text"] != "ä?"]
        places = assign_readings(image, mapped, {STUDENT: readable})
        expected = [{} if w.ignore or i == 1 else {STUDENT: w.text} for i, w in enumerate(image.truths)]
        assert places == expected


def failure(kind, place=0, **fields):
    return Failure(f"{place}.png", kind, 0.5, box(0).tolist(), **fields)


def test_chosen_failures_are_of_all_kinds():
    failures = [failure("recognition", i) for i in range(90)] + [failure("detection", i) for i in range(3)]
    chosen = choose_failures(failures, 13)
    assert [f.kind for f in chosen] == ["detection"] * 3 + ["recognition"] * 10
    assert [f.file_name for f in chosen[3:5]] == ["0.png", "9.png"], "spread over the images"
    assert len(choose_failures(failures, 200)) == 93
    assert choose_failures(failures, 0) == choose_failures([], 10) == []


def test_captions():
    readers = {CHOSEN: "srnall", STUDENT: "small", TEACHER: "smail"}
    shown = caption(failure("selection", truth="small", read="srnall", in_true_place=readers))
    assert shown == "selection, scale 0.5\nsmall: read srnall\nfull resolution: small, smail"
    assert caption(failure("detection", truth="lost")) == "detection, scale 0.5\nlost: not found"
    assert caption(failure("false detection", read="noise")) == "false detection, scale 0.5\nno word: read noise"


def test_crops_and_sheet(tmp_path):
    image = np.full((60, 80, 3), 40, np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    outlines = [[[10, 10], [60, 10], [60, 30], [10, 30]], [[-9, 50], [90, 50], [90, 70], [-9, 70]], [[79, 59]] * 3]
    failures = [
        Failure(str(tmp_path / "a.png"), kind, 0.5, o, "$a_1$") for kind, o in zip(KINDS, outlines, strict=False)
    ]
    for each in failures:
        crop = crop_failure(image, each)
        assert crop.shape == (*CELL, 3) and crop.dtype == np.uint8
    assert (crop_failure(image, failures[0])[CELL[0] // 2] != 40).any(), "the outline is drawn"
    sheet = draw_sheet(failures * 3)
    assert sheet.shape[1] >= COLUMNS * CELL[1] and sheet.shape[2] == 3
    assert sheet.min() < 20 and sheet.max() == 255
    with pytest.raises(ValueError, match="no failures to draw"):
        draw_sheet([])
