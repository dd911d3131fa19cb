"""Scenes written to disk: complete, readable by the project's own loader, and the same however they are made."""

import hashlib
import json
import shutil

import pytest
import toy
from test_coverage import DEJAVU

from dld_spotter.data.charset import Charset
from dld_spotter.data.synthetic.generate import SceneSource, generate_scenes
from dld_spotter.data.synthetic.style import STYLES
from dld_spotter.data.text_json import check_text_json, load_text_json

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


def draw(tmp_path, fonts, words, *more):
    (tmp_path / "words.txt").write_text("\n".join(words), encoding="utf-8")
    argv = ["--output", str(tmp_path / "out"), "--count", "4", "--size", "160", "240", "--workers", "0"]
    return make_synthetic.main([*argv, "--fonts", str(fonts), "--words", str(tmp_path / "words.txt"), *more])


@pytest.fixture
def both_fonts(face, tmp_path):
    """A folder with a font that has ASCII alone, and one that has Greek."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    for path in (face.path, DEJAVU):
        shutil.copy(path, folder)
    return folder


def test_greek_words(both_fonts, tmp_path, capsys):
    words = ["καφές", "έξοδος", "είσοδος", "φαρμακείο", "ταβέρνα", "οδός", "πλατεία", "出口", "δύο λέξεις"]
    assert draw(tmp_path, both_fonts, words) == 0
    printed = capsys.readouterr().out
    assert "1 of 9 lines" in printed and "'δύο λέξεις' holds a blank" in printed
    assert "Aileron Regular lacks Έ" in printed and "DejaVu Sans Book lacks" in printed
    assert "1 of 8 words" in printed and "出口" in printed
    charset = Charset.load(str(tmp_path / "out" / "charset.txt"))
    assert str(tmp_path / "out" / "charset.txt") in printed
    assert set("καφέςΚΑΦΈΣ") <= set(charset.characters) and "出" not in charset.characters
    path = tmp_path / "out" / "scenes.json"
    assert not check_text_json(str(path), str(tmp_path / "out" / "images"), charset, 20)
    texts = [w["text"] for r in load_text_json(str(path), str(tmp_path / "out" / "images")) for w in r["annotations"]]
    assert any(set(text) & set("αεοςΑΕΟΣ") for text in texts)


def test_words_that_no_font_draws_end_in_a_sentence(face, tmp_path, capsys):
    assert draw(tmp_path, face.path.rpartition("/")[0], ["καφές", "οδός"]) == 1
    assert "lacks" in capsys.readouterr().err


def test_ascii_words_need_no_charset_of_their_own(face, words, tmp_path, capsys):
    assert draw(tmp_path, face.path.rpartition("/")[0], words) == 0
    assert "MODEL.TEXT.CHARSET printable95" in capsys.readouterr().out
    assert not (tmp_path / "out" / "charset.txt").exists()


def test_words_of_ones_own_take_the_place_of_the_english_ones(face, words, tmp_path, capsys):
    sources = tmp_path / "sources"
    for name in ("fonts", "words", "language_fonts"):
        (sources / name).mkdir(parents=True)
    shutil.copy(face.path, sources / "fonts")
    shutil.copy(DEJAVU, sources / "language_fonts")
    (sources / "words" / "american-english.txt").write_text("\n".join(words))
    argv = ["--count", "1", "--size", "120", "160", "--workers", "0", "--sources", str(sources)]
    assert make_synthetic.main(["--output", str(tmp_path / "english"), *argv]) == 0
    assert f"1 fonts, {len(words)} words" in capsys.readouterr().out
    (tmp_path / "own.txt").write_text("über\nöl\ntür\ngrün\nschön\n", encoding="utf-8")
    assert make_synthetic.main(["--output", str(tmp_path / "own"), *argv, "--words", str(tmp_path / "own.txt")]) == 0
    assert "1 fonts, 5 words" in capsys.readouterr().out
