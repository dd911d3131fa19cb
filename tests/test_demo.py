"""tools/demo.py, called as the shell would, on a stand-in for a trained spotter."""

import inspect
import json
import os
from xml.etree import ElementTree

import cv2
import pytest
from helpers.demo_runs import names_of, two_photos
from PIL import Image
from toy import load_script

from dld_spotter.predictor import TextPredictor
from dld_spotter.pretrained import DEFAULT_MODEL, pretrained_models


@pytest.fixture(scope="module")
def demo():
    return load_script("tools/demo.py")


@pytest.fixture
def photos(tmp_path):
    return two_photos(tmp_path)


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
        (["--scale", "0.5"], "need a DLDSpotter"),
        (["--budget", "40%"], "need a DLDSpotter"),
        (["--max-loss", "1%", "--scale", "0.5"], "leave one out"),
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
        for more in ([], ["--overwrite"]):
            assert demo.main([*arguments, str(output), *more]) == 1
            assert "would replace the photo" in capsys.readouterr().err
    assert (folder / "a.jpg").read_bytes() == before
    assert demo.main(["--config-file", config, "--input", str(folder), "--output", str(folder / "c.jpg")]) == 1
    assert "give a folder" in capsys.readouterr().err
    assert demo.main([*arguments, str(folder / "c.heic")]) == 1
    assert "use .jpg or .png" in capsys.readouterr().err


def test_a_photo_that_is_not_read_is_not_replaced_by_its_twin(demo, photos, tmp_path, capsys):
    folder, config = photos
    (folder / "b.jpg").write_bytes((folder / "a.jpg").read_bytes())
    before = (folder / "b.jpg").read_bytes()
    assert demo.main(["--config-file", config, "--input", str(folder / "b.png"), "--output", str(folder)]) == 1
    assert "b.jpg is there already" in capsys.readouterr().err and (folder / "b.jpg").read_bytes() == before
    arguments = ["--config-file", config, "--input", str(folder), str(folder / "b.jpg")]
    assert demo.main([*arguments, "--output", str(tmp_path / "drawn")]) == 0
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["a.jpg", "b.jpg", "b_2.jpg", "b_3.jpg"]


def test_results_of_another_run_are_kept_unless_they_are_to_be_replaced(demo, photos, tmp_path, capsys):
    folder, config = photos
    arguments = ["--config-file", config, "--input", str(folder / "a.jpg")]
    for given in (["--json", "words.json"], ["--jsonl", "words.jsonl"], ["--output", "drawn"]):
        given = [given[0], str(tmp_path / given[1])]
        assert demo.main([*arguments, *given]) == 0
        assert demo.main([*arguments, *given]) == 1
        assert "there already" in capsys.readouterr().err
        assert demo.main([*arguments, *given, "--overwrite"]) == 0
    with pytest.raises(SystemExit):
        demo.main([*arguments, "--overwrite", "--resume"])


def test_names_that_are_no_utf8_lose_nothing(demo, photos, tmp_path, capsys):
    folder, config = photos
    name = os.fsdecode(b"caf\xe9.jpg")
    (folder / name).write_bytes((folder / "a.jpg").read_bytes())
    words, drawn = tmp_path / "words.json", tmp_path / "drawn"
    arguments = ["--config-file", config, "--input", str(folder), "--json", str(words), "--output", str(drawn)]
    assert demo.main(arguments) == 0
    assert names_of(words) == ["a.jpg", "b.png", name] and (drawn / name).is_file()
    assert "caf\\udce9.jpg: open24" in capsys.readouterr().out
    assert demo.main([*arguments, "--resume"]) == 0


def test_subfolders_pages_and_what_is_left(demo, photos, tmp_path, capfd, monkeypatch):
    folder, config = photos
    (folder / "sub").mkdir()
    (folder / "sub" / "notes.txt").write_text("no photo")
    pages = [Image.new("RGB", (80, 60), colour) for colour in ("white", "black")]
    pages[0].save(folder / "sub" / "scan.TIF", format="TIFF", save_all=True, append_images=pages[1:])
    arguments = ["--config-file", config, "--input", str(folder), "--output", str(folder / "drawn")]
    for _ in range(2):  # the drawings of the first time are not read the second time
        assert demo.main([*arguments, "--recursive", "--overwrite"]) == 0
        assert capfd.readouterr().out.splitlines() == [
            "a.jpg: open24 vvay exit",
            "b.png: (no words)",
            "sub/scan.TIF (page 1): open24 vvay exit",
            "sub/scan.TIF (page 2): (no words)",
        ]
    drawn = ["a.jpg", "b.jpg", "scan_page_1.jpg", "scan_page_2.jpg"]
    assert sorted(path.name for path in (folder / "drawn").iterdir()) == drawn


def test_the_default_model_is_one_that_comes_with_the_project(demo):
    assert demo.build_parser().parse_args(["--input", "a.jpg"]).config_file is None
    assert DEFAULT_MODEL in pretrained_models()
    assert inspect.signature(TextPredictor).parameters["config"].default == DEFAULT_MODEL


def test_show_opens_a_viewer_for_each_image(demo, photos, monkeypatch):
    folder, config = photos
    shown = []
    monkeypatch.setattr(Image.Image, "show", lambda image, title: shown.append((title, image.size)))
    assert demo.main(["--config-file", config, "--input", str(folder), "--show"]) == 0
    assert shown == [("a.jpg", (80, 60)), ("b.png", (80, 60))]


def test_tables_texts_and_hocr(demo, photos, tmp_path, capsys):
    folder, config = photos
    (folder / "broken.jpg").write_bytes(b"")
    names = {kind: str(tmp_path / f"words.{kind}") for kind in ("csv", "text", "hocr")}
    arguments = [str(folder), "--config-file", config, *(part for kind in names for part in (f"--{kind}", names[kind]))]
    assert demo.main(arguments) == 1
    rows = [line.split(",") for line in (tmp_path / "words.csv").read_text(encoding="utf-8").splitlines()]
    assert [row[:4:3] for row in rows[1:4]] == [["a.jpg", text] for text in ("open24", "vvay", "exit")]
    assert len(rows) == 5 and rows[4][0] == "broken.jpg" and "empty" in rows[4][-1]
    assert (tmp_path / "words.text").read_text(encoding="utf-8") == "a.jpg:\nopen24\nvvay exit\n\nb.png:\n\n"
    pages = ElementTree.parse(tmp_path / "words.hocr").findall(".//*[@class='ocr_page']")
    assert [page.get("id") for page in pages] == ["page_1", "page_2"]
    capsys.readouterr()
    for kind, name in names.items():
        assert demo.main([str(folder), "--config-file", config, f"--{kind}", name]) == 1
        assert "there already" in capsys.readouterr().err
    assert demo.main([str(folder), "--config-file", config, "--csv", "new", "--text", "./new"]) == 1
    assert "two kinds" in capsys.readouterr().err
