"""Scenes written to disk: complete, readable by the project's own loader, and the same however they are made."""

import hashlib
import json

import pytest
import toy

from dld_spotter.data.synthetic.generate import SceneSource, generate_scenes
from dld_spotter.data.synthetic.style import STYLES
from dld_spotter.data.text_json import load_text_json

make_synthetic = toy.load_script("tools/make_synthetic.py")


@pytest.fixture(scope="module")
def source(face, words):
    return SceneSource([face], words, "train", STYLES["scenes"].resized(160, 200), seed=3)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.jpg")}


def test_scenes_depend_on_seed_and_number_alone(source, tmp_path):
    """Drawn by another process, in another order, or beside other scenes, a scene is the same."""
    one = generate_scenes(source, tmp_path / "one", [4, 1001])
    other = generate_scenes(source, tmp_path / "other", [1001, 2, 4], workers=1)
    alone, among = digests(tmp_path / "one"), digests(tmp_path / "other")
    assert alone.items() <= among.items() and len(among) == 3
    files = [json.loads(path.read_text()) for path in (one, other)]
    words = [[(a["text"], a["segmentation"]) for a in f["annotations"] if a["image_id"] == 1001] for f in files]
    assert words[0] == words[1] and words[0]


def test_the_loader_takes_what_is_written(source, tmp_path):
    path = generate_scenes(source, tmp_path, range(3))
    records = load_text_json(str(path), str(tmp_path / "images"))
    assert [record["image_id"] for record in records] == [0, 1, 2]
    words = [word for record in records for word in record["annotations"]]
    assert words and all(len(word["characters"]) == len(word["text"]) for word in words)


@pytest.mark.parametrize(
    "argv, message",
    [
        (("--output", "x", "--count", "0"), "--count must be at least 1"),
        (("--output", "x"), "give --sources"),
    ],
)
def test_wrong_options_are_named(argv, message, capsys):
    with pytest.raises(SystemExit):
        make_synthetic.main(list(argv))
    assert message in capsys.readouterr().err


def test_the_tool_draws(face, words, tmp_path, capsys):
    list_file = tmp_path / "words.txt"
    list_file.write_text("\n".join(words))
    fonts = str(face.path).rpartition("/")[0]
    argv = ["--output", str(tmp_path / "out"), "--count", "2", "--size", "120", "160", "--workers", "0"]
    assert make_synthetic.main([*argv, "--fonts", fonts, "--words", str(list_file)]) == 0
    assert "1 fonts" in capsys.readouterr().out
    assert len(digests(tmp_path / "out")) == 2
