"""tools/demo.py, called as the shell would, on a stand-in for a trained spotter."""

import json

import cv2
import numpy as np
import pytest
from fake_spotter import fake_cfg
from PIL import Image
from toy import load_script


@pytest.fixture(scope="module")
def demo():
    return load_script("tools/demo.py")


@pytest.fixture
def photos(tmp_path):
    """A folder with two photos, one of them black, and the config file of the stand-in."""
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.jpg"), np.full((60, 80, 3), 200, np.uint8))
    cv2.imwrite(str(folder / "b.png"), np.zeros((60, 80, 3), np.uint8))
    return folder, fake_cfg(tmp_path)[1]


def test_folder_to_drawings_json_and_words(demo, photos, tmp_path, capsys):
    folder, config = photos
    arguments = ["--config-file", config, "--input", str(folder), "--output", str(tmp_path / "out" / "drawn")]
    assert demo.main([*arguments, "--json", str(tmp_path / "out" / "words.json"), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines() == ["a.jpg: open24 vvay exit", "b.png: (no words)"]
    records = json.loads((tmp_path / "out" / "words.json").read_text(encoding="utf-8"))
    assert [record["file_name"] for record in records] == ["a.jpg", "b.png"]
    assert [len(record["words"]) for record in records] == [3, 0]
    assert sorted(path.name for path in (tmp_path / "out" / "drawn").iterdir()) == ["a.jpg", "b.jpg"]
    assert cv2.imread(str(tmp_path / "out" / "drawn" / "a.jpg")).shape == (60, 80, 3)


def test_pattern_and_file_output(demo, photos, tmp_path, capsys):
    folder, config = photos
    arguments = ["--config-file", config, "--input", str(folder / "*.jpg"), "--output", str(tmp_path / "one.png")]
    assert demo.main(arguments) == 0
    assert capsys.readouterr().out.splitlines() == ["a.jpg: open24 vvay exit"]
    assert cv2.imread(str(tmp_path / "one.png")).shape == (60, 80, 3)


def test_failed_images_are_named_and_the_others_done(demo, photos, tmp_path, capsys):
    folder, config = photos
    (folder / "broken.jpg").write_bytes(b"")
    arguments = ["--config-file", config, "--input", str(folder), "gone*.jpg", "--json", str(tmp_path / "words.json")]
    assert demo.main([*arguments, "--batch-size", "4"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["a.jpg: open24 vvay exit", "b.png: (no words)"]
    broken, gone = printed.err.splitlines()
    assert "broken.jpg" in broken and "empty" in broken and "gone*.jpg" in gone
    records = json.loads((tmp_path / "words.json").read_text(encoding="utf-8"))
    assert ["error" in record for record in records] == [False, False, True, True]


def test_threshold_lexicon_weights_and_opts_reach_the_predictor(demo, photos, tmp_path, capsys):
    folder, config = photos
    (tmp_path / "words.txt").write_text("exits\n", encoding="utf-8")
    arguments = ["--config-file", config, "--input", str(folder / "a.jpg"), "--confidence-threshold", "0.7"]
    assert demo.main([*arguments, "--lexicon", str(tmp_path / "words.txt")]) == 0
    assert capsys.readouterr().out.splitlines() == ["a.jpg: open24 exits"]
    assert demo.main([*arguments, "--weights", str(tmp_path / "fake.pth"), "--opts", "MODEL.WEIGHTS", "ignored"]) == 0
    assert demo.main([*arguments, "--opts", "MODEL.WEIGHTS", "other.pth"]) == 1
    assert "other.pth" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--weights", "gone.pth"], "gone.pth"),
        (["--device", "gpu"], "'gpu'"),
        (["--lexicon", "gone.txt"], "gone.txt"),
        (["--batch-size", "0"], "batch_size"),
        (["--confidence-threshold", "2"], "threshold"),
        (["--scale", "0.5"], "needs a DLDSpotter"),
        (["--opts", "MODEL.TEXT.CHARSETS", "printable95"], "Did you mean MODEL.TEXT.CHARSET"),
        (["--opts", "MODEL.TEXT.CHARSET", "printable95"], "other characters"),
        (["--opts", "MODEL.TEXT.CHARSET", "klingon"], "klingon"),
    ],
)
def test_wrong_arguments_give_one_line_and_exit_code_1(demo, photos, arguments, says, capsys):
    folder, config = photos
    assert demo.main(["--config-file", config, "--input", str(folder / "a.jpg"), *arguments]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and says in lines[0]


def test_missing_config(demo, photos, capsys):
    assert demo.main(["--config-file", "gone.yaml", "--input", "a.jpg"]) == 1
    assert "gone.yaml" in capsys.readouterr().err


def test_outputs_that_would_lose_something_are_refused(demo, photos, capsys):
    folder, config = photos
    before = (folder / "a.jpg").read_bytes()
    arguments = ["--config-file", config, "--input", str(folder / "a.jpg"), "--output"]
    for output in (folder, folder / "a.jpg"):
        assert demo.main([*arguments, str(output)]) == 1
        assert "would replace the photo" in capsys.readouterr().err
    assert (folder / "a.jpg").read_bytes() == before
    assert demo.main(["--config-file", config, "--input", str(folder), "--output", str(folder / "c.jpg")]) == 1
    assert "give a folder" in capsys.readouterr().err


def test_show_opens_a_viewer_for_each_image(demo, photos, monkeypatch):
    folder, config = photos
    shown = []
    monkeypatch.setattr(Image.Image, "show", lambda image, title: shown.append((title, image.size)))
    assert demo.main(["--config-file", config, "--input", str(folder), "--show"]) == 0
    assert shown == [("a.jpg", (80, 60)), ("b.png", (80, 60))]
