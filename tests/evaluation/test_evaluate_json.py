"""tools/evaluate_json.py as a user calls it."""

import json
import subprocess
import sys
import zipfile

import pytest
import toy


@pytest.fixture(scope="module")
def tool():
    return toy.load_script("tools/evaluate_json.py")


@pytest.fixture
def files(tmp_path):
    """A ground-truth zip and a submission zip of two images: one word right, one misread, one missed."""
    quad = "{0},0,{1},0,{1},10,{0},10,"
    truth = {1: quad.format(0, 20) + "Exit\n" + quad.format(30, 50) + "Sale\n", 2: quad.format(0, 20) + "Open\n"}
    read = {1: quad.format(0, 20) + "exit\n" + quad.format(30, 50) + "Salt\n"}
    for name, texts in (("gt.zip", truth), ("submission.zip", read)):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for number, text in texts.items():
                archive.writestr(f"{'gt_' * (name == 'gt.zip')}img_{number}.txt", text)
    (tmp_path / "words.txt").write_text("SALE\nEXIT\n")
    return tmp_path


def arguments(files, *more):
    truth, submission = files / "gt.zip", files / "submission.zip"
    return ["--predictions", str(submission), "--ground-truth", str(truth), *map(str, more)]


def test_table_and_json(tool, files, capsys):
    words = files / "words.txt"
    assert tool.main(arguments(files, "--lexicon", "none", f"weak={words}", words, "--json", files / "out.json")) == 0
    printed = capsys.readouterr().out
    assert "IoU > 0.5" in printed and "lexicon weak, nearest" in printed
    report = json.loads((files / "out.json").read_text())
    assert report["results"]["e2e_none"] == {"precision": 0.5, "recall": pytest.approx(1 / 3), "hmean": 0.4}
    assert report["results"]["e2e_weak"] == report["results"]["e2e_words"]
    assert report["counts"]["e2e_weak"] == {"correct": 2, "truths": 3, "detections": 2}
    assert report["protocols"]["word_spotting_weak"]["lexicon"] == "weak"
    assert (report["images"], report["detections_listed"]) == (2, 2)


def test_our_json_is_scored_without_torch_and_detectron2(files):
    corners = [0, 0, 20, 0, 20, 10, 0, 10]
    image = {"file_name": "a.jpg", "height": 20, "width": 40}
    truth = {"images": [{"id": 1, **image}]}
    truth["annotations"] = [{"id": 1, "image_id": 1, "segmentation": [corners], "text": "Exit"}]
    word = {"text": "exit", "score": 0.9, "polygon": [corners[i : i + 2] for i in range(0, 8, 2)]}
    (files / "truth.json").write_text(json.dumps(truth))
    (files / "read.json").write_text(json.dumps([{**image, "scale": 1, "words": [word]}]))
    code = (
        "import sys; sys.modules |= {'torch': None, 'detectron2': None}; from dld_spotter import cli; "
        "cli.main(['evaluate', '--predictions', 'read.json', '--ground-truth', 'truth.json'])"
    )
    run = subprocess.run([sys.executable, "-c", code], check=False, cwd=files, capture_output=True, text=True)
    assert "1.0000" in run.stdout and not run.stderr


def test_intervals_span_what_other_images_would_give(tool, files, capsys):
    assert tool.main(arguments(files, "--intervals", "--json", files / "out.json")) == 0
    assert "95% interval of the hmean of e2e_none: [0.0000, 0.5000]" in capsys.readouterr().out
    # Of two images, one has the half of its words right and the other none: each alone, or both.
    assert json.loads((files / "out.json").read_text())["hmean_intervals"]["e2e_none"] == [0.0, 0.5]


def test_options_reach_the_protocol(tool, files):
    options = ["--word-spotting", "--iou", 0.3, "--case-sensitive", "--min-word-length", 4, "--score-threshold", 0.1]
    rule = ["--lexicon-rule", "limited", "--lexicon-max-distance", 2]
    assert tool.main(arguments(files, *options, *rule, "--json", files / "out.json")) == 0
    report = json.loads((files / "out.json").read_text())
    assert list(report["results"]) == ["detection", "word_spotting_none"]
    assert report["protocols"]["word_spotting_none"] == {
        "iou_threshold": 0.3,
        "word_spotting": True,
        "case_sensitive": True,
        "min_word_length": 4,
        "score_threshold": 0.1,
        "lexicon": "none",
        "lexicon_rule": "limited",
        "lexicon_max_distance": 2,
        "lexicon_score_threshold": 0.37,
    }
    assert report["counts"]["word_spotting_none"]["correct"] == 0  # "exit" is not "Exit"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (["--predictions", "nowhere.zip"], "nowhere.zip do not exist"),
        (["--ground-truth", "nowhere.json"], "nowhere.json does not exist"),
        (["--ground-truth", "no_such_dataset"], "'no_such_dataset' is not registered"),
        (["--lexicon", "strong"], "give strong=PATH"),
        (["--lexicon", "strong=nowhere"], "lexicon nowhere does not exist"),
        (["--lexicon", "none", "none"], "have one name"),
        (["--iou", "2"], "IoU threshold is 2"),
        (["--layout", "polygon", "--ground-truth", "{folder}/bad.zip"], "bad.zip: img_1.txt, line 1"),
    ],
)
def test_bad_input_gives_one_sentence_and_exit_code_1(tool, files, capsys, changes, problem):
    with zipfile.ZipFile(files / "bad.zip", "w") as archive:
        archive.writestr("img_1.txt", "1,2,3,4,word\n")
    assert tool.main(arguments(files, *(c.format(folder=files) for c in changes))) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and problem in captured.err and captured.out == ""


def test_predictions_for_other_images(tool, files, capsys):
    with zipfile.ZipFile(files / "submission.zip", "a") as archive:
        archive.writestr("img_5.txt", "")
    assert tool.main(arguments(files)) == 1
    assert "gt.zip does not have, e.g. img_5.txt" in capsys.readouterr().err


def test_where_words_are_lost_and_what_a_lexicon_lacks(tool, files, capsys, caplog):
    (files / "words.txt").write_text("SALE")
    lexicons = ["--lexicon", f"weak={files / 'words.txt'}", "--lexicon-rule", "weighted"]
    assert tool.main(arguments(files, *lexicons, "--json", files / "out.json")) == 0
    report = json.loads((files / "out.json").read_text())
    rows = {"words": 3, "found": 2, "read": 1, "not found": 1, "score below threshold": 0, "misread": 1}
    assert report["breakdown"] == {"scaled": False, "rows": {"size_0": rows, "size_all": rows}}
    assert report["results"]["lexicon_weak"]["coverage"] == pytest.approx(1 / 3)
    # "exit" is far from the list, so that its detection does not count.
    assert report["counts"]["e2e_weak"] == {"correct": 1, "truths": 3, "detections": 1}
    assert "'weak' has only 1 of the 3" in caplog.text
    assert "under 14" in capsys.readouterr().out


def test_sizes_of_photos_come_with_the_predictions(tool, files):
    word = {"text": "exit", "score": 0.5, "polygon": [[0, 0], [20, 0], [20, 10], [0, 10]]}
    results = [{"file_name": f"img_{number}.jpg", "height": 72, "width": 96, "words": [word]} for number in (1, 2)]
    (files / "results.json").write_text(json.dumps(results))
    options = ["--predictions", files / "results.json", "--score-threshold", "0.6", "--json", files / "out.json"]
    assert tool.main(arguments(files, *options)) == 0
    report = json.loads((files / "out.json").read_text())
    assert report["breakdown"]["scaled"] and list(report["breakdown"]["rows"]) == ["size_80", "size_all"]
    assert report["breakdown"]["rows"]["size_all"]["score below threshold"] == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_in_any_unicode_encoding(tool, files, encoding):
    word = {"text": "Cafe\u0301", "polygon": [0, 0, 20, 0, 20, 10, 0, 10]}
    content = [{"file_name": "img_1.jpg", "words": [word]}]
    (files / "results.json").write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    truth = {
        "images": [{"id": 1, "file_name": "img_1.jpg", "height": 30, "width": 30}],
        "annotations": [{"id": 1, "image_id": 1, "segmentation": [word["polygon"]], "text": "CAF\u00c9"}],
    }
    (files / "gt.json").write_text(json.dumps(truth, ensure_ascii=False), encoding=encoding)
    argv = ["--predictions", files / "results.json", "--ground-truth", files / "gt.json", "--json", files / "out.json"]
    assert tool.main([str(value) for value in argv]) == 0
    assert json.loads((files / "out.json").read_text())["results"]["e2e_none"]["hmean"] == 1


def test_published_numbers(tool, real_data, tmp_path):
    folder = real_data / "eval"
    code = tool.main(
        ["--predictions", str(folder / "predictions" / "mango_r50_ic13_none.zip"), "--iou", "0.1"]
        + ["--ground-truth", str(folder / "gt" / "gt-icdar2013.zip"), "--json", str(tmp_path / "out.json")]
    )
    assert code == 0
    results = json.loads((tmp_path / "out.json").read_text())["results"]
    assert [round(results["e2e_none"][name], 4) for name in ("recall", "precision", "hmean")] == [0.795, 0.8256, 0.81]
