"""The evaluator: from Instances and a registered data set to numbers and files."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm

from dld_spotter.config import load_cfg
from dld_spotter.data.charset import Charset
from dld_spotter.data.text_json import register_text_json
from dld_spotter.evaluation import TextEvaluator, read_ground_truth, read_predictions
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.evaluation.scoring import evaluate_words
from dld_spotter.structures import WordPolygons

HEIGHT, WIDTH = 40, 100
CHARSET = Charset.load("printable95")


def quad(left):
    return [left, 10.0, left + 20.0, 10.0, left + 20.0, 20.0, left, 20.0]


# file name -> annotated words: (left, text, ignore)
SCENES = {
    "a/photo one.jpg": [(0, "Exit", 0), (30, "Sale", 0), (60, "###", 1)],
    "b/photo two.jpg": [(0, "Open", 0)],
    "b/empty.jpg": [],
}


@pytest.fixture
def dataset(tmp_path):
    """A registered data set of three images, two of them with words; its name."""
    images = [
        {"id": 10 * i, "file_name": name, "height": HEIGHT, "width": WIDTH} for i, name in enumerate(SCENES, start=1)
    ]
    annotations = [
        {"image_id": image["id"], "segmentation": [quad(left)], "text": text, "ignore": ignore}
        for image in images
        for left, text, ignore in SCENES[image["file_name"]]
    ]
    annotations = [{"id": i} | annotation for i, annotation in enumerate(annotations)]
    json_file = tmp_path / "toy.json"
    json_file.write_text(json.dumps({"images": images, "annotations": annotations}))
    name = f"toy_{tmp_path.name}"
    DatasetCatalog.register(name, lambda: records(tmp_path))
    MetadataCatalog.get(name).set(json_file=str(json_file), image_root=str(tmp_path), evaluator_type="text")
    yield name
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def records(root):
    return [
        {
            "file_name": str(root / name),
            "image_id": 10 * i,
            "height": HEIGHT,
            "width": WIDTH,
            "annotations": [
                {"segmentation": [quad(left)], "text": text, "ignore": bool(ignore)} for left, text, ignore in words
            ],
        }
        for i, (name, words) in enumerate(SCENES.items(), start=1)
    ]


def found(*words, masks=False):
    """A model's output with these words: (left, text, detection score)."""
    instances = Instances((HEIGHT, WIDTH))
    outlines = [np.array(quad(left)).reshape(-1, 2) for left, _, _ in words]
    boxes = [[*outline.min(axis=0), *outline.max(axis=0)] for outline in outlines]
    instances.pred_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
    instances.scores = torch.tensor([score for *_, score in words]).reshape(-1)
    instances.pred_text = CHARSET.encode_rows([text for _, text, _ in words])
    instances.pred_text_scores = torch.full((len(words),), 0.5)
    if masks:
        grid = torch.zeros(len(words), HEIGHT, WIDTH, dtype=torch.bool)
        for mask, (left, _, _) in zip(grid, words, strict=True):
            mask[10:20, left : left + 20] = True
        instances.pred_masks = grid
    else:
        instances.pred_polygons = WordPolygons.from_list(outlines)
    return {"instances": instances, "scale": 0.5}


def make(dataset, *opts, **kwargs):
    evaluator = TextEvaluator(dataset, load_cfg(opts=["INPUT.RANDOM_FLIP", "none", *opts]), **kwargs)
    evaluator.reset()
    return evaluator


@pytest.mark.parametrize("masks", [False, True])
def test_results_and_files(dataset, tmp_path, masks):
    evaluator = make(dataset, output_dir=str(tmp_path / "out"))
    outputs = [
        found((30, "sale", 0.8), (0, "Exit", 0.9), (60, "junk", 0.9), masks=masks),
        found((0, "0pen", 0.5), (70, "noise", 0.4), masks=masks),
    ]
    evaluator.process(records(tmp_path)[:2], outputs)
    results = evaluator.evaluate()  # nothing was predicted for the third image, which has no words

    assert list(results)[:4] == ["detection", "e2e_none", "word_spotting_none", "ned_none"]
    assert results["detection"] == pytest.approx({"precision": 3 / 4, "recall": 1, "hmean": 6 / 7})
    assert results["e2e_none"] == pytest.approx({"precision": 2 / 4, "recall": 2 / 3, "hmean": 4 / 7})
    assert results["ned_none"]["one_minus_ned"] == pytest.approx(1 - (1 / 4) / 3)

    first, _second = json.loads((tmp_path / "out" / "text_results.json").read_text())
    assert (first["file_name"], first["scale"], first["height"], first["width"]) == ("a/photo one.jpg", 0.5, 40, 100)
    assert [word["text"] for word in first["words"]] == ["Exit", "sale", "junk"]  # by top, then left
    word = first["words"][0]
    assert (word["det_score"], word["text_score"], word["score"]) == (0.9, 0.5, 0.45)
    assert sorted(map(tuple, word["polygon"])) == [(0, 10), (0, 20), (20, 10), (20, 20)]
    # Both files give the evaluator's numbers.
    truth = read_ground_truth(MetadataCatalog.get(dataset).json_file)
    for name in ("text_results.json", "submission.zip"):
        images = truth.pair(read_predictions(tmp_path / "out" / name))
        assert evaluate_words(images, Protocol(), {"none": None}).results() == results


def test_where_words_are_lost(dataset, tmp_path, caplog):
    evaluator = make(dataset, "TEST.TEXT.SCORE_THRESHOLD", 0.3)
    evaluator.process(records(tmp_path)[:2], [found((0, "Exit", 0.9), (30, "Salt", 0.9)), found((0, "Open", 0.5))])
    with caplog.at_level(logging.INFO):
        results = evaluator.evaluate()
    # Words of 10 pixels in photos of 40: as large as 180 of 720.
    assert results["size_80"] == results["size_all"] == {"found": 1, "read": pytest.approx(2 / 3)}
    assert results["lost"]["misread"] == results["lost"]["score_below_threshold"] == pytest.approx(1 / 3)
    assert not {"size_0", "size_14"} & set(results)
    assert "80 and more" in caplog.text


def test_photos_of_one_stem_lose_nothing(tmp_path):
    images = [
        {"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH}
        for i, name in enumerate(("a/img_1.jpg", "b/img_1.jpg", "b/img_1.png"))
    ]
    annotations = [
        {"id": i, "image_id": i, "segmentation": [], "bbox": [0, 10, 20, 10], "text": "abc"[i]} for i in range(3)
    ]
    json_file = tmp_path / "twins.json"
    json_file.write_text(json.dumps({"images": images, "annotations": annotations}))
    name = f"twins_{tmp_path.name}"
    register_text_json(name, str(json_file), str(tmp_path))
    try:
        evaluator = make(name, output_dir=str(tmp_path / "out"))
        for image in images:
            record = image | {"image_id": image["id"], "file_name": str(tmp_path / image["file_name"])}
            evaluator.process([record], [found((0, "abc"[image["id"]], 0.9))])
        assert evaluator.evaluate()["e2e_none"]["hmean"] == 1
        for file in ("text_results.json", "submission.zip"):
            paired = read_ground_truth(json_file).pair(read_predictions(tmp_path / "out" / file))
            assert [[word.text for word in image.reads] for image in paired] == [["a"], ["b"], ["c"]]
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_a_truth_that_is_of_no_use_is_known_before_inference(dataset):
    Path(MetadataCatalog.get(dataset).json_file).write_text('{"images": []')
    with pytest.raises(ValueError, match="toy.json"):
        make(dataset)


def test_what_was_read_is_kept_where_it_cannot_be_scored(dataset, tmp_path):
    evaluator = make(dataset, output_dir=str(tmp_path / "out"))
    stranger = records(tmp_path)[0] | {"image_id": 99, "file_name": "elsewhere/other.jpg"}
    evaluator.process([stranger], [found((0, "Exit", 0.9))])
    with pytest.raises(ValueError, match="other.jpg"):
        evaluator.evaluate()
    assert read_predictions(tmp_path / "out" / "text_results.json")[0].words[0].text == "Exit"


def test_a_lexicon_that_lacks_words_is_told(dataset, tmp_path, caplog):
    (tmp_path / "words.txt").write_text("OPEN\n")
    evaluator = make(
        dataset,
        *("TEST.TEXT.LEXICONS", "('weak',)", "TEST.TEXT.LEXICON_RULE", "weighted"),
        *("TEST.TEXT.LEXICON_PATHS", [("weak", str(tmp_path / "words.txt"))]),
    )
    evaluator.process(records(tmp_path)[:2], [found((0, "Exlt", 0.9)), found((0, "Opem", 0.9))])
    with caplog.at_level(logging.WARNING):
        results = evaluator.evaluate()
    assert results["lexicon_weak"]["coverage"] == pytest.approx(1 / 3)
    assert results["e2e_weak"] == pytest.approx({"precision": 1, "recall": 1 / 3, "hmean": 0.5})  # "Exlt" is too far
    assert any("'weak'" in r.getMessage() and "1 of the 3" in r.getMessage() for r in caplog.records)


def test_images_without_a_prediction_are_misses(dataset, tmp_path):
    evaluator = make(dataset)
    assert evaluator.evaluate()["detection"]["recall"] == 0
    evaluator.process(records(tmp_path)[:1], [found((0, "Exit", 0.9))])
    evaluator.process(records(tmp_path)[2:], [found()])
    assert evaluator.evaluate()["e2e_none"] == pytest.approx({"precision": 1, "recall": 1 / 3, "hmean": 0.5})
    evaluator.reset()
    assert evaluator.evaluate()["e2e_none"]["precision"] == 0


def test_an_image_seen_twice_counts_once(dataset, tmp_path, monkeypatch):
    first, second = make(dataset), make(dataset)
    for evaluator, seen in ((first, [0, 1]), (second, [2, 0])):
        images = [records(tmp_path)[i] for i in seen]
        evaluator.process(images, [found((0, "Exit", 0.9))] * 2)
        evaluator.process(images, [found()] * 2)  # a later reading does not take its place
    monkeypatch.setattr(comm, "gather", lambda data, dst: [first._results, second._results])
    results = first.evaluate()
    # Three images with one detection each, one of them right and one ("Open") found but misread.
    assert results["detection"]["precision"] == pytest.approx(2 / 3)
    assert results["e2e_none"]["precision"] == pytest.approx(1 / 3)
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert second.evaluate() == {}


def test_lexicons(dataset, tmp_path, caplog):
    (tmp_path / "words.txt").write_text("OPEN\nEXIT\n")
    strong = tmp_path / "strong"
    strong.mkdir()
    (strong / "photo one.txt").write_text("SALE\n")
    MetadataCatalog.get(dataset).set(lexicons={"weak": "nowhere.txt", "generic": "nowhere.txt", "strong": str(strong)})
    evaluator = make(
        dataset,
        *("TEST.TEXT.LEXICONS", "('none', 'weak', 'generic', 'strong', 'full')"),
        *("TEST.TEXT.LEXICON_PATHS", [("weak", str(tmp_path / "words.txt"))]),
    )
    evaluator.process(records(tmp_path)[:2], [found((0, "Exlt", 0.9)), found((0, "Opem", 0.9))])
    with caplog.at_level(logging.WARNING):
        results = evaluator.evaluate()
    assert results["e2e_none"]["recall"] == 0
    assert results["e2e_weak"]["recall"] == pytest.approx(2 / 3)
    assert not {"e2e_generic", "e2e_strong", "e2e_full"} & set(results)
    warnings = [r.getMessage() for r in caplog.records if "No scores on" in r.getMessage()]
    assert len(warnings) == 3 and all("TEST.TEXT.LEXICON_PATHS" in warning for warning in warnings)
    assert "lexicon 'generic': the lexicon nowhere.txt does not exist" in warnings[0]
    assert "no word list for the image 'photo two'" in warnings[1]
    assert "has no path for it" in warnings[2]


def test_protocol_comes_from_the_config(dataset, tmp_path, caplog):
    evaluator = make(
        dataset,
        *("TEST.TEXT.CASE_SENSITIVE", True),
        *("TEST.TEXT.IOU_THRESHOLD", 0.1, "TEST.TEXT.SCORE_THRESHOLD", 0.3),
    )
    evaluator.process(
        records(tmp_path)[:2], [found((15, "Exit", 0.9), (30, "SALE", 0.9)), found((0, "Open", 0.5))]
    )  # 5 of 35 pixels: IoU 1 / 7; in capitals; scored 0.25
    with caplog.at_level(logging.INFO):
        results = evaluator.evaluate()
    assert results["detection"] == pytest.approx({"precision": 1, "recall": 2 / 3, "hmean": 0.8})
    assert results["e2e_none"]["recall"] == pytest.approx(1 / 3)
    assert "IoU > 0.1, score >= 0.3, case-sensitive" in caplog.text


def test_predictions_for_unknown_images(dataset, tmp_path):
    evaluator = make(dataset)
    stranger = records(tmp_path)[0] | {"image_id": 99, "file_name": "elsewhere/other.jpg"}
    evaluator.process([stranger], [found((0, "Exit", 0.9))])
    with pytest.raises(ValueError, match="predictions for 1 image that .*toy.json does not have, e.g. other.jpg"):
        evaluator.evaluate()


def test_a_data_set_without_a_json_file(dataset, tmp_path):
    delattr(MetadataCatalog.get(dataset), "json_file")
    evaluator = make(dataset)
    evaluator.process(records(tmp_path)[:1], [found((0, "Exit", 0.9))])
    assert evaluator.evaluate()["e2e_none"]["recall"] == pytest.approx(1 / 3)


def test_words_without_an_area_are_left_out(dataset, tmp_path):
    output = found((0, "Exit", 0.9), (30, "Sale", 0.9), masks=True)
    output["instances"].pred_masks[1] = False
    evaluator = make(dataset)
    evaluator.process(records(tmp_path)[:1], [output])
    assert evaluator.evaluate()["detection"] == pytest.approx({"precision": 1, "recall": 1 / 3, "hmean": 0.5})
