"""Files of ground truth are read as they stand, what is wrong is named, and predictions are paired with them."""

import json

import numpy as np
import pytest
from helpers.truths import truth_of

from dld_spotter.data.text_json import check_text_json
from dld_spotter.evaluation.ground_truth import (
    GroundTruth,
    PredictedImage,
    TruthImage,
    read_ground_truth,
    truth_from_records,
)
from dld_spotter.evaluation.protocol import ReadWord

QUAD = [[10.0, 20.0], [90.4, 22.6], [90.0, 48.0], [10.0, 46.0]]
PENTAGON = [[0.0, 0.0], [8.0, 0.0], [10.0, 4.0], [8.0, 8.0], [0.0, 8.0]]


def our_json(**changes):
    content = {
        "images": [{"id": 1, "file_name": "img_1.jpg", "height": 60, "width": 100}],
        "annotations": [
            {"id": 1, "image_id": 1, "segmentation": [np.ravel(QUAD).tolist()], "text": " Exit ", "ignore": 0},
            {"id": 2, "image_id": 1, "segmentation": [np.ravel(PENTAGON).tolist()], "text": "Hi", "ignore": 1},
            {"id": 3, "image_id": 1, "segmentation": [np.ravel(PENTAGON).tolist()], "text": "###"},
            {"id": 4, "image_id": 1, "segmentation": [np.ravel(PENTAGON).tolist()], "text": ""},
        ],
    }
    return content | changes


def test_our_ground_truth(tmp_path):
    (tmp_path / "gt.json").write_text(json.dumps(our_json()))
    (image,) = read_ground_truth(tmp_path / "gt.json").images
    assert (image.image_id, image.file_name, image.size) == (1, "img_1.jpg", (60, 100))
    assert [(w.text, w.ignore) for w in image.words] == [("Exit", False), ("Hi", True), ("###", True), ("", True)]
    np.testing.assert_array_equal(image.words[0].polygon, QUAD)


ANNOTATION = {"id": 9, "image_id": 1, "segmentation": [[0, 0, 10, 0, 10, 5, 0, 5]], "text": "a"}
IMAGE = {"id": 1, "file_name": "a.jpg", "height": 60, "width": 100}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"images": 3}, "images"),
        ({"images": [], "annotations": []}, "no images to score against"),
        ({"images": [{"id": 1}], "annotations": []}, "file_name"),
        ({"images": [IMAGE] * 2, "annotations": []}, "image a.jpg.* 1 "),
        ({"annotations": [ANNOTATION | {"segmentation": []}]}, "annotation 9: .*segmentation"),
        ({"annotations": [ANNOTATION | {"segmentation": [[0, 0, 1, 0, 1]]}]}, "annotation 9: the outline"),
        ({"annotations": [ANNOTATION | {"image_id": 5}]}, "annotation 9: .* 5 "),
        ({"annotations": [ANNOTATION | {"text": None}]}, "annotation 9: .*text"),
    ],
)
def test_bad_ground_truth(tmp_path, changes, problem):
    (tmp_path / "gt.json").write_text(json.dumps(our_json(**changes)))
    with pytest.raises(ValueError, match=rf"(?s)gt\.json.*{problem}"):
        read_ground_truth(tmp_path / "gt.json")


# What a checked file may hold besides plain words, and whether the word is don't care.
ALLOWED = [
    ({"segmentation": [], "bbox": [0, 0, 10, 5]}, False),
    ({"bbox": [0, 0, 10, 5], "segmentation": None}, False),
    ({"ignore": 1, "text": None}, True),
    ({"iscrowd": 1}, True),
    ({"iscrowd": 1, "text": ""}, True),
    ({"text": "###"}, True),
    ({"text": "  "}, True),
]


@pytest.mark.parametrize(("changes", "ignored"), [*ALLOWED, ({"ignore": 1, "text": "absent"}, True)])
def test_truths_that_the_check_allows_are_scored(tmp_path, changes, ignored):
    annotation = ANNOTATION | changes
    if annotation["text"] == "absent":
        del annotation["text"]
    path = tmp_path / "gt.json"
    path.write_text(json.dumps({"images": [IMAGE], "annotations": [annotation]}))
    assert not [p for p in check_text_json(str(path), str(tmp_path), read_images=False) if p.severity == "error"][1:]
    (word,) = read_ground_truth(path).images[0].words
    assert word.ignore is ignored
    assert sorted(map(tuple, word.polygon.tolist())) == [(0, 0), (0, 5), (10, 0), (10, 5)]


def test_truths_are_not_clipped_and_repeated_words_count_once(tmp_path):
    outside = ANNOTATION | {"segmentation": [[-5, 0, 10, 0, 10, 5, -5, 5]]}
    path = tmp_path / "gt.json"
    path.write_text(json.dumps({"images": [IMAGE], "annotations": [outside, outside | {"id": 10}]}))
    (word,) = read_ground_truth(path).images[0].words
    assert word.polygon.min() == -5


@pytest.mark.parametrize(("changes", "ignored"), ALLOWED)
def test_records_without_a_json_file(changes, ignored):
    record = {"file_name": "/photos/a.jpg", "image_id": 1, "annotations": [ANNOTATION | {"bbox_mode": 1} | changes]}
    (image,) = truth_from_records([record], "some set").images
    assert image.words[0].ignore is ignored and image.size is None
    assert image.words[0].polygon.tolist() == [[0, 0], [10, 0], [10, 5], [0, 5]]
    del record["annotations"][0]["segmentation"]
    record["annotations"][0].pop("bbox", None)
    with pytest.raises(ValueError, match="some set: /photos/a.jpg"):
        truth_from_records([record], "some set")


def test_pairing_by_id_name_and_number():
    truth = truth_of("img_1.jpg", "img_2.jpg", "img_3.jpg", "img_4.jpg")
    word = ReadWord(np.array(QUAD), "x")
    paired = truth.pair(
        [
            PredictedImage([word], image_id=12),
            PredictedImage([word] * 2, file_name="img_3.jpg"),
            PredictedImage([word] * 3, file_name="res_img_4.txt"),
        ]
    )
    assert [(image.key, len(image.reads)) for image in paired] == [("1", 0), ("2", 1), ("3", 2), ("4", 3)]


def test_pairing_errors():
    truth = truth_of("img_1.jpg", "img_2.jpg")
    with pytest.raises(ValueError, match="predictions for 2 images that the test set does not have, e.g. img_8.txt, 9"):
        truth.pair([PredictedImage([], file_name="img_8.txt"), PredictedImage([], image_id=9)])
    with pytest.raises(ValueError, match="two predictions for the image img_1.jpg"):
        truth.pair([PredictedImage([], file_name="img_1.txt"), PredictedImage([], image_id=11)])
    with pytest.raises(ValueError, match="fits several images of the test set: a/img_1.jpg, b/img_1.jpg"):
        truth_of("a/img_1.jpg", "b/img_1.jpg").pair([PredictedImage([], file_name="img_1.txt")])


def test_pairing_of_images_of_one_stem():
    truth = truth_of("a/img_1.jpg", "b/img_1.jpg", "img_2.jpg", "caf\u00e9.jpg")
    assert truth.keys == ["a_img_1", "b_img_1", "2", "caf\u00e9"]
    word = ReadWord(np.array(QUAD), "x")
    names = ("res_b_img_1.txt", "all/a/res_img_1.txt", "img_2.txt", "cafe\u0301.jpg")
    paired = truth.pair(PredictedImage([word] * i, file_name=name) for i, name in enumerate(names, 1))
    assert [len(image.reads) for image in paired] == [2, 1, 3, 4]


def test_the_size_of_a_photo_comes_from_either_file():
    truth = GroundTruth([TruthImage("a.jpg", 1, []), TruthImage("b.jpg", 2, [], (60, 100))], "the test set")
    paired = truth.pair([PredictedImage([], "a.jpg", size=(30, 40)), PredictedImage([], "b.jpg", size=(1, 1))])
    assert [image.size for image in paired] == [(30, 40), (60, 100)]
