"""tools/demo.py, called as the shell would, on a stand-in for a trained spotter."""

import inspect
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from fake_spotter import FakeSpotter, fake_cfg
from PIL import Image
from toy import ROOT, load_script

from dld_spotter.predictor import TextPredictor
from dld_spotter.pretrained import DEFAULT_MODEL, pretrained_models
from dld_spotter.reading import reading_progress
from dld_spotter.reading.read_run import ReadRun


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


def many(folder, number):
    """More photos, with three words each."""
    for index in range(number):
        cv2.imwrite(str(folder / f"c{index}.png"), np.full((60, 80, 3), 200, np.uint8))


def names_of(path):
    text = path.read_text(encoding="utf-8")
    records = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    return [record["file_name"] for record in records]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_an_interrupted_run_keeps_what_was_read_and_goes_on(demo, photos, tmp_path, capsys, monkeypatch, kind):
    folder, config = photos
    many(folder, 4)
    (folder / "broken.jpg").write_bytes(b"")
    words, drawn = tmp_path / f"words.{kind}", tmp_path / "drawn"
    arguments = ["--config-file", config, "--input", str(folder), "--output", str(drawn), f"--{kind}", str(words)]
    read = []
    forward = FakeSpotter.forward

    def interrupt(model, inputs):
        if len(read) == 3:
            raise KeyboardInterrupt
        read.append(inputs)
        return forward(model, inputs)

    monkeypatch.setattr(FakeSpotter, "forward", interrupt)
    assert demo.main(arguments) == 130
    assert "--resume" in capsys.readouterr().err.splitlines()[-1]
    assert names_of(words) == ["a.jpg", "b.png", "broken.jpg", "c0.png"]
    (drawn / "a.jpg").unlink()  # as if it had been interrupted between the record and the drawing
    read.append("goes on")
    assert demo.main([*arguments, "--resume"]) == 1  # broken.jpg failed
    assert names_of(words) == ["a.jpg", "b.png", "broken.jpg", "c0.png", "c1.png", "c2.png", "c3.png"]
    assert len(read) == 3 + 1 + 3  # none was read twice
    printed = capsys.readouterr()
    assert [line.split(":")[0] for line in printed.out.splitlines()] == ["c1.png", "c2.png", "c3.png"]
    assert sorted(path.stem for path in drawn.iterdir()) == ["a", "b", "c0", "c1", "c2", "c3"]
    before = words.read_bytes()
    assert demo.main([*arguments, "--resume"]) == 1 and words.read_bytes() == before and len(read) == 7


def test_ctrl_c_that_a_library_takes_for_its_own_error_is_ctrl_c(demo, photos, monkeypatch, capsys):
    folder, config = photos

    def load(self):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        except KeyboardInterrupt:
            raise ImportError("numpy failed to load") from None

    monkeypatch.setattr(ReadRun, "run", load)
    before = signal.getsignal(signal.SIGINT)
    assert demo.main([str(folder), "--config-file", config]) == 130
    assert capsys.readouterr().err == "error: interrupted.\n" and signal.getsignal(signal.SIGINT) is before


def test_records_and_drawings_are_there_as_soon_as_a_photo_is_read(demo, photos, tmp_path, monkeypatch):
    folder, config = photos
    many(folder, 3)
    words, drawn = tmp_path / "words.json", tmp_path / "drawn"
    seen = []
    forward = FakeSpotter.forward

    def look(model, inputs):
        seen.append((len(names_of(words)), len(list(drawn.iterdir()))))
        return forward(model, inputs)

    monkeypatch.setattr(FakeSpotter, "forward", look)
    arguments = ["--config-file", config, "--input", str(folder), "--output", str(drawn), "--json", str(words)]
    assert demo.main(arguments) == 0
    assert seen == [(number, number) for number in range(5)]


def test_a_closed_pipe_ends_the_run_and_keeps_what_was_read(demo, photos, tmp_path, monkeypatch, capfd):
    folder, config = photos
    many(folder, 3)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        arguments = ["--config-file", config, "--input", str(folder), "--jsonl", str(tmp_path / "words.jsonl")]
        assert demo.main(arguments) == 141
        closed.flush()
    assert names_of(tmp_path / "words.jsonl") == ["a.jpg"] and capfd.readouterr().err == ""


def test_one_photo_that_the_model_cannot_read_costs_one_photo(demo, photos, tmp_path, monkeypatch, capsys):
    folder, config = photos
    forward = FakeSpotter.forward

    def fail(model, inputs):
        if any(given["image"].max() == 0 for given in inputs):
            raise RuntimeError("out of memory")
        return forward(model, inputs)

    monkeypatch.setattr(FakeSpotter, "forward", fail)
    arguments = ["--config-file", config, "--input", str(folder), "--json", str(tmp_path / "words.json")]
    assert demo.main([*arguments, "--batch-size", "2"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["a.jpg: open24 vvay exit"] and "out of memory" in printed.err
    records = json.loads((tmp_path / "words.json").read_text(encoding="utf-8"))
    assert ["error" in record for record in records] == [False, True]


def test_a_full_disk_costs_the_drawing_and_not_the_record(demo, photos, tmp_path, monkeypatch, capsys):
    folder, config = photos

    def full(path, content):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    words = tmp_path / "words.json"
    arguments = ["--config-file", config, "--input", str(folder), "--json", str(words)]
    assert demo.main([*arguments, "--output", str(tmp_path / "drawn")]) == 1
    assert capsys.readouterr().err.count("No space left") == 2 and names_of(words) == ["a.jpg", "b.png"]
    assert not list((tmp_path / "drawn").iterdir())


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


def test_resume_needs_records(demo, photos, tmp_path, capsys):
    folder, config = photos
    arguments = ["--config-file", config, "--input", str(folder), "--resume"]
    assert demo.main(arguments) == 1 and "--jsonl" in capsys.readouterr().err
    (tmp_path / "other.json").write_text("my own\n")
    assert demo.main([*arguments, "--json", str(tmp_path / "other.json")]) == 1
    assert "other.json: line 1" in capsys.readouterr().err
    assert (tmp_path / "other.json").read_text() == "my own\n"
    assert (
        demo.main(["--config-file", config, "--input", str(folder), "--overwrite", "--json", str(folder / "a.jpg")])
        == 1
    )
    assert "would replace the photo" in capsys.readouterr().err


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


def test_a_run_that_goes_on_replaces_only_files_of_such_a_run(demo, photos, tmp_path, capsys):
    folder, config = photos
    words = str(tmp_path / "words.jsonl")
    arguments = [str(folder), "--config-file", config, "--jsonl", words, "--resume"]
    assert demo.main([str(folder / "a.jpg"), "--config-file", config, "--jsonl", words]) == 0
    for kind in ("csv", "text", "hocr"):
        path = tmp_path / f"mine.{kind}"
        for content in ("mine, and not to be lost\n", "<html>mine</html>"):
            path.write_text(content)
            assert demo.main([*arguments, f"--{kind}", str(path)]) == 1
            assert "no file of the run" in capsys.readouterr().err and path.read_text() == content
        path.unlink()
        assert demo.main([*arguments, f"--{kind}", str(path)]) == 0  # made from the records
        whole = path.read_bytes()
        for length in (0, 1, len(whole) // 2, len(whole)):  # as a kill may leave it
            path.write_bytes(whole[:length])
            assert demo.main([*arguments, f"--{kind}", str(path)]) == 0 and path.read_bytes() == whole


def test_a_run_that_is_no_terminal_s_says_every_minute_how_far_it_is(capsys, monkeypatch):
    times = iter([0.0, 30.0, 61.0, 90.0, 130.0])
    monkeypatch.setattr(reading_progress.time, "monotonic", lambda: next(times))
    with reading_progress.ReadingProgress(9) as progress:
        for failed in (False, True, False, False):
            progress.note(failed)
    assert capsys.readouterr().err.splitlines() == [
        "2 of 9 photos, 1 failed, 0.0328 photos a second",
        "4 of 9 photos, 1 failed, 0.0308 photos a second",
    ]


def test_words_stand_between_the_bar_s_lines_on_a_terminal():
    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    code = (
        "from dld_spotter.reading.reading_progress import ReadingProgress\n"
        "with ReadingProgress(10) as progress:\n"
        "    progress.say('a.jpg: words')\n"
        "    progress.note(False)\n"
    )
    subprocess.run([sys.executable, "-c", code], stdout=terminal, stderr=terminal, check=True, cwd=ROOT)
    shown = os.read(main, 10_000).decode()
    os.close(main)
    os.close(terminal)
    assert "photo/s" in shown and "\ra.jpg: words\r\n" in shown
