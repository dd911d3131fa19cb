import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from toy import load_script, write_toy_dataset

from dld_spotter.data.text_json import load_text_json


@pytest.fixture(scope="module")
def script():
    return load_script("tools/prepare_dataset.py")


@pytest.fixture
def photos(tmp_path):
    """Two photos in the manner of ICDAR 2015, with the arguments that convert them."""
    (tmp_path / "images").mkdir()
    (tmp_path / "gt").mkdir()
    for number in (1, 2):
        Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(tmp_path / "images" / f"img_{number}.jpg")
        line = f"{number},10,30,10,30,20,10,20,a,b\r\n5,5,9,5,9,9,5,9,###\r\n"
        (tmp_path / "gt" / f"gt_img_{number}.txt").write_text(line, encoding="utf-8-sig", newline="")
    images, output = str(tmp_path / "images"), tmp_path / "out" / "train.json"
    return images, output, ["--images", images, "--annotations", str(tmp_path / "gt"), "--output", str(output)]


def test_convert_then_check(script, photos, capsys):
    images, output, arguments = photos
    assert script.main(["icdar2015", *arguments]) == 0
    captured = capsys.readouterr()
    assert "2 images (0 without words), 4 words: 2 cared for, 2 don't care" in captured.out
    assert "2/2" in captured.err  # the progress bar
    assert json.loads(output.read_text())["info"] == {"source": "icdar2015", "annotations": "gt"}
    assert len(load_text_json(str(output), images)) == 2

    assert script.main(["--check", str(output), "--images", images]) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out
    strict = ["--charset", "alphanumeric36", "--max-length", "2", "--examples", "1"]
    assert script.main(["--check", str(output), "--images", images, *strict]) == 0
    out = capsys.readouterr().out
    assert "warning too_long: 2\n" in out
    assert "warning unknown_characters: 2\n" in out
    assert out.count("img_1.jpg, annotation 1: ") == 2  # one example of each kind
    assert "img_2.jpg" not in out


def test_errors_in_the_annotations_go_into_the_exit_code(script, photos, tmp_path, capsys):
    _, output, arguments = photos
    (tmp_path / "gt" / "gt_img_1.txt").write_text("1,2,3\n")
    assert script.main(["icdar2015", *arguments]) == 1
    out = capsys.readouterr().out
    assert "error bad_word: 1" in out
    assert "gt_img_1.txt, line 1" in out
    assert "2 images (1 without words), 2 words" in out
    assert output.is_file()


def test_check_finds_errors(script, tmp_path, capsys):
    json_file, image_root = write_toy_dataset(tmp_path)
    content = json.loads((tmp_path / "toy.json").read_text())
    content["images"][0]["width"] += 1
    content["annotations"][0]["text"] = 5
    (tmp_path / "toy.json").write_text(json.dumps(content))
    assert script.main(["--check", json_file, "--images", image_root]) == 1
    out = capsys.readouterr().out
    assert "error wrong_size: 1" in out
    assert "error wrong_type: 1" in out
    assert "2 errors, 0 warnings" in out
    assert script.main(["--check", json_file, "--images", image_root, "--skip-images"]) == 1
    assert "1 errors" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--images": "none"}, "no image folder"),
        ({"--annotations": "none"}, "neither a folder nor a zip"),
        ({"--scripts": "Latin"}, "icdar2015 has no option --scripts"),
        ({"--min-size": "3"}, "icdar2015 has no option --min-size"),
    ],
)
def test_one_sentence_for_what_cannot_work(script, photos, capsys, changes, message):
    _, output, arguments = photos
    arguments = [*arguments, *(part for change in changes.items() for part in change)]
    assert script.main(["icdar2015", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize("missing", ["icdar2015", "--annotations", "--output"])
def test_missing_arguments(script, photos, capsys, missing):
    arguments = ["icdar2015", *photos[2]]
    place = arguments.index(missing)
    del arguments[place : place + (2 if missing.startswith("--") else 1)]
    with pytest.raises(SystemExit):
        script.main(arguments)
    assert f"{missing.lstrip('-')} is missing".replace("icdar2015", "format") in capsys.readouterr().err


def test_an_interrupt_leaves_nothing_half_written(script, photos, capsys, monkeypatch):
    _, output, arguments = photos
    real = script.CONVERTERS["icdar2015"]

    def interrupted(*args, **options):
        source = real(*args, **options)

        def samples():
            yield next(source.samples)
            raise KeyboardInterrupt

        return source._replace(samples=samples())

    monkeypatch.setitem(script.CONVERTERS, "icdar2015", interrupted)
    assert script.main(["icdar2015", *arguments]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert list(output.parent.iterdir()) == []


def test_special_options_arrive(script, photos, capsys):
    _, output, arguments = photos
    assert script.main(["icdar", *arguments, "--points", "3"]) == 0
    words = json.loads(output.read_text())["annotations"]
    assert words[0]["segmentation"] == [[1, 10, 30, 10, 30, 20]]
    assert words[0]["text"] == "10,20,a,b"
    assert json.loads(output.read_text())["info"]["points"] == 3


def test_help_names_every_format(script, capsys):
    with pytest.raises(SystemExit):
        script.main(["--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in script.CONVERTERS)


def test_a_command_can_be_repeated(script, tmp_path, capsys):
    """The output stands beside the annotations, as datasets/README.md shows it, and is none of them."""
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(tmp_path / "a.jpg")
    shape = {"label": "Exit", "points": [[10, 10], [30, 10], [30, 20], [10, 20]]}
    (tmp_path / "a.json").write_text(json.dumps({"imagePath": "a.jpg", "shapes": [shape]}))
    arguments = ["labelme", "--images", str(tmp_path), "--annotations", str(tmp_path), "--output"]
    for name in ("train.json", "train.json", "val.json"):
        assert script.main([*arguments, str(tmp_path / name)]) == 0
    assert (tmp_path / "train.json").read_bytes() == (tmp_path / "val.json").read_bytes()
    before = (tmp_path / "a.json").read_bytes()
    assert script.main([*arguments, str(tmp_path / "a.json")]) == 1
    assert "a.json is there already" in capsys.readouterr().err
    assert (tmp_path / "a.json").read_bytes() == before


def test_what_was_found_is_reported_when_nothing_could_be_converted(script, photos, tmp_path, capsys):
    _, output, arguments = photos
    for number in (1, 2):
        (tmp_path / "gt" / f"gt_img_{number}.txt").rename(tmp_path / "gt" / f"DSC_{number}.txt")
    assert script.main(["icdar2015", *arguments]) == 1
    captured = capsys.readouterr()
    assert "error missing_image: 2" in captured.out
    assert "nothing is written" in captured.err
    assert not output.exists()


def test_names_that_are_not_in_unicode_cost_one_entry(script, photos, tmp_path, capfd):
    images, output, arguments = photos
    (tmp_path / "images" / "caf\udce9.jpg").write_bytes((tmp_path / "images" / "img_1.jpg").read_bytes())
    (tmp_path / "gt" / "gt_caf\udce9.txt").write_bytes(b"")
    assert script.main(["icdar2015", *arguments]) == 1
    assert "error control_character: 1" in capfd.readouterr().out
    assert script.main(["--check", str(output), "--images", images]) == 0


def test_a_bad_member_of_an_archive_costs_one_photo(script, photos, tmp_path, capsys):
    images, output, _ = photos
    with zipfile.ZipFile(tmp_path / "gt.zip", "w", zipfile.ZIP_STORED) as archive:
        for number in (1, 2):
            archive.write(tmp_path / "gt" / f"gt_img_{number}.txt", f"gt_img_{number}.txt")
    data = (tmp_path / "gt.zip").read_bytes()
    (tmp_path / "gt.zip").write_bytes(data.replace(b"1,10,30,10", b"1,10,31,10"))  # its sum of check fails
    arguments = ["--images", images, "--annotations", str(tmp_path / "gt.zip"), "--output", str(output)]
    assert script.main(["icdar2015", *arguments]) == 1
    out = capsys.readouterr().out
    assert "error bad_entry: 1" in out
    assert "gt_img_1.txt" in out
    assert [image["file_name"] for image in json.loads(output.read_text())["images"]] == ["img_2.jpg"]
