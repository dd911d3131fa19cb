"""Files of predictions and of ground truth: what is written is read again; what is wrong is named."""

import json
import logging
import zipfile

import numpy as np
import pytest
from helpers.truths import truth_of

from dld_spotter.evaluation.submission import read_predictions, write_results, write_submission

QUAD = [[10.0, 20.0], [90.4, 22.6], [90.0, 48.0], [10.0, 46.0]]
PENTAGON = [[0.0, 0.0], [8.0, 0.0], [10.0, 4.0], [8.0, 8.0], [0.0, 8.0]]


def result(file_name, *words):
    return {
        "file_name": file_name,
        "height": 60,
        "width": 100,
        "scale": 1.0,
        "words": [
            {"text": text, "score": score, "det_score": 1.0, "text_score": score, "polygon": polygon}
            for text, score, polygon in words
        ],
    }


RESULTS = [
    result("img_1.jpg", ("low, Ω", 0.25, QUAD), ("hi\nthere", 0.75, PENTAGON)),
    result("sub/img_2.jpg"),
]


def texts(image):
    return [word.text for word in image.words]


def test_results_json_round_trip(tmp_path):
    write_results(tmp_path / "results.json", RESULTS)
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8")) == RESULTS
    first, second = read_predictions(tmp_path / "results.json")
    assert (first.file_name, second.file_name, second.words) == ("img_1.jpg", "sub/img_2.jpg", [])
    assert texts(first) == ["low, Ω", "hi\nthere"]
    assert [word.score for word in first.words] == [0.25, 0.75]
    np.testing.assert_array_equal(first.words[0].polygon, QUAD)


def test_submission_of_polygons(tmp_path):
    write_submission(tmp_path / "submission.zip", RESULTS, prefix="")
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert sorted(archive.namelist()) == ["img_1.txt", "img_2.txt"]
        lines = archive.read("img_1.txt").decode("utf-8").split("\r\n")
        assert archive.read("img_2.txt") == b""
    # By descending score, whole numbers, no commas or line breaks in the words.
    assert lines == ["0,0,8,0,10,4,8,8,0,8,hi there", "10,20,90,23,90,48,10,46,low Ω", ""]
    first, second = read_predictions(tmp_path / "submission.zip")
    assert (texts(first), texts(second)) == (["hi there", "low Ω"], [])


def test_submission_of_quadrilaterals(tmp_path):
    write_submission(tmp_path / "submission.zip", RESULTS, layout="quad")
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        lines = archive.read("res_img_1.txt").decode("utf-8").splitlines()
    assert lines == ["0,0,10,0,10,8,0,8,hi there", "10,20,90,23,90,48,10,46,low, Ω"]
    assert texts(read_predictions(tmp_path / "submission.zip")[0]) == ["hi there", "low, Ω"]


def test_quadrilateral_round_a_turned_outline_is_the_smallest(tmp_path):
    turned = np.array([[10, 0], [20, 10], [15, 15], [10, 10], [5, 5]], dtype=float)  # one corner is not a rectangle's
    write_submission(tmp_path / "s.zip", [result("img_1.jpg", ("a", 1.0, turned.tolist()))], layout="quad")
    (word,) = read_predictions(tmp_path / "s.zip")[0].words
    assert sorted(word.polygon.tolist()) == [[5, 5], [10, 0], [15, 15], [20, 10]]


@pytest.mark.parametrize(
    "names",
    [
        ("a/img_1.jpg", "b/img_1.jpg"),
        ("p.jpg", "p.png"),
        ("p.jpg", "a/p.jpg", "a_p.jpg"),
        ("1.jpg", "img_1.jpg", "01.jpg"),
        ("img_1.jpg", "gt_img_1.jpg"),
        ("res_img_1.jpg", "img_1.jpg", "img_2.jpg"),
        ("a/res_1.jpg", "b/img_1.jpg", "img_1.png"),
        ("Caf\u00e9.jpg", "Cafe\u0301.jpg"),
    ],
)
def test_images_of_one_stem_keep_their_words(tmp_path, names):
    """What is written is scored like the results that it comes from."""
    results = [result(name, (f"word {i}", 0.5, QUAD)) for i, name in enumerate(names)]
    write_submission(tmp_path / "submission.zip", results)
    write_results(tmp_path / "results.json", results)
    for file in ("submission.zip", "results.json"):
        paired = truth_of(*names).pair(read_predictions(tmp_path / file))
        assert [[word.text for word in image.reads] for image in paired] == [[f"word {i}"] for i in range(len(names))]


@pytest.mark.parametrize("name", ["caf\udce9.jpg", "\udcff/a.jpg", "\ud800.jpg"])
def test_a_file_name_that_is_no_text_costs_no_results(tmp_path, name):
    """As os.listdir gives names in another encoding than UTF-8."""
    results = [result(name, ("Exit", 0.5, QUAD)), result("img_2.jpg", ("Way", 0.5, QUAD))]
    write_results(tmp_path / "results.json", results)
    write_submission(tmp_path / "submission.zip", results)
    read = read_predictions(tmp_path / "results.json")
    assert [image.file_name for image in read] == [name, "img_2.jpg"]
    assert [image.reads[0].text for image in truth_of(name, "img_2.jpg").pair(read)] == ["Exit", "Way"]
    texts = sorted(image.words[0].text for image in read_predictions(tmp_path / "submission.zip"))
    assert texts == ["Exit", "Way"]


def test_unknown_layout(tmp_path):
    with pytest.raises(ValueError, match="layout is 'circle'"):
        write_submission(tmp_path / "s.zip", [], layout="circle")


def test_adelaidet_rows(tmp_path):
    rows = [
        {"image_id": 7, "polys": QUAD, "rec": "Exit", "score": 0.5},
        {"image_id": 3, "polys": PENTAGON, "rec": "In", "score": 0.25},
        {"image_id": 7, "polys": PENTAGON, "rec": "Out", "score": 1.0},
    ]
    (tmp_path / "text_results.json").write_text(json.dumps(rows))
    images = read_predictions(tmp_path / "text_results.json")
    assert [(image.image_id, texts(image)) for image in images] == [(7, ["Exit", "Out"]), (3, ["In"])]
    assert images[0].words[0].score == 0.5


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[{", "not valid JSON"),
        ("3", "holds no predictions"),
        ('[{"file_name": "a.jpg"}]', r"result 1 \(a.jpg\) needs 'file_name' and the list 'words'"),
        ('[{"file_name": "a.jpg", "words": [{"text": "x"}]}]', r"result 1 \(a.jpg\), word 1 needs 'polygon'"),
        ('[{"file_name": "a.jpg", "words": [{"text": "x", "polygon": [[1, 2]]}]}]', "word 1: .* three points"),
        (
            '[{"file_name": "a.jpg", "words": [{"text": 1, "polygon": [1,2,3,4,5,7]}]}]',
            "word 1 needs 'polygon', 'text'",
        ),
        ('[{"file_name": "a.jpg", "words": [{"text": "x", "polygon": [1e999,2,3,4,5,7]}]}]', "word 1: .* finite"),
        (
            '[{"file_name": "a", "words": [{"text": "ab", "polygon": [1,2,3,4,5,7], "character_scores": [{"a": 1}]}]}]',
            "word 1: 'character_scores'",
        ),
        ('[{"file_name": "a.jpg", "words": [3]}]', r"result 1 \(a.jpg\), word 1 needs"),
        (
            '[{"file_name": "a", "words": [{"text": "x", "polygon": [1,2,3,4,5,7], "score": 1%s}]}]' % ("0" * 400),
            "word 1: ",
        ),
        ("[" * 100_000, "nested"),
        ('[{"image_id": [1], "rec": "x", "polys": [1,2,3,4,5,7]}]', "row 1 needs 'image_id'"),
        ('[{"image_id": 1, "rec": "x"}]', r"row 1 \(image 1\) needs 'polys'"),
        ('[{"rec": "x"}]', "row 1 needs 'image_id'"),
    ],
)
def test_bad_predictions(tmp_path, content, problem):
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(ValueError, match=rf"p\.json.*{problem}"):
        read_predictions(tmp_path / "p.json")


def test_no_predictions_at_all(tmp_path):
    (tmp_path / "p.json").write_text("[]")
    assert read_predictions(tmp_path / "p.json") == []
    with pytest.raises(FileNotFoundError, match="missing.zip do not exist"):
        read_predictions(tmp_path / "missing.zip")


def test_an_image_that_could_not_be_read_is_reported(tmp_path, caplog):
    (tmp_path / "p.json").write_text('[{"file_name": "a.jpg", "error": "truncated"}, {"file_name": "b", "words": []}]')
    with caplog.at_level(logging.WARNING):
        assert [image.file_name for image in read_predictions(tmp_path / "p.json")] == ["b"]
    assert "a.jpg" in caplog.text and "truncated" in caplog.text
