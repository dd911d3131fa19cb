"""Whatever an entry of a converter raises costs that entry."""

import os
from functools import partial

import pytest
from helpers.converting import QUAD, add_image, kinds
from PIL import Image

from dld_spotter.data.converters.common import make_word
from dld_spotter.data.converters.reading import Entry, read_samples, read_words
from dld_spotter.data.text_validation import Problems


def test_what_an_entry_raises_costs_that_entry(tmp_path):
    """Whatever the exception: in the reading of an entry, of the list of its words, and of a word."""
    add_image(tmp_path, "a.png")
    add_image(tmp_path, "b.png")

    def fail(error):
        raise error

    errors = (
        KeyError("x"),
        TypeError(),
        RecursionError(),
        OverflowError(),
        SyntaxError(),
        OSError(),
        ValueError("y"),
    )
    good = ("good", partial(make_word, QUAD, "a"))
    entries = [
        *[("entry", partial(fail, error)) for error in errors],
        ("words", lambda: Entry("b.png", 5)),
        ("image", lambda: Entry(["b.png"], [])),
        ("a.png", lambda: Entry("a.png", [*[("word", partial(fail, error)) for error in errors], good])),
    ]
    problems = Problems("test")
    (sample,) = read_samples(entries, tmp_path, problems)
    assert [word.text for word in sample.words] == ["a"]
    assert kinds(problems) == {("error", "bad_entry"): 8, ("error", "wrong_type"): 1, ("error", "bad_word"): 7}
    assert str(problems.kept[-1]) == "test, image a.png, annotation a.png, word: y; left out."
    with pytest.raises(KeyboardInterrupt):
        list(read_samples([("entry", partial(fail, KeyboardInterrupt()))], tmp_path, problems))


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "a\0.png", "caf\udce9.png", "pipe.png", "a" * 300, "", 5, None])
def test_images_outside_of_the_folder_or_that_are_none(tmp_path, name):
    add_image(tmp_path, "a.png")
    (tmp_path / "images").mkdir()
    os.mkfifo(tmp_path / "images" / "pipe.png")
    problems = Problems("test")
    assert list(read_samples([("entry", lambda: Entry(name, []))], tmp_path / "images", problems)) == []
    assert problems.count("error") == 1


def test_a_word_that_lost_a_letter_is_dont_care():
    words = [("line 1", partial(make_word, QUAD, "Caf\ufffd")), ("line 2", partial(make_word, QUAD, "Cafï¿½"))]
    problems = Problems("test")
    assert [word.ignore for word in read_words(words, problems, "a.jpg", "a.txt")] == [True, True]
    assert kinds(problems) == {("warning", "lost_letter"): 2}


def test_what_a_dont_care_word_says_does_not_matter():
    assert make_word(QUAD, 5, ignore=True).text == ""
    assert make_word(QUAD, "a\x07", ignore=True).text == ""
    assert make_word(QUAD, None).ignore
    assert make_word(QUAD, "a", ignore=True).text == "a"
    with pytest.raises(ValueError, match="not a string"):
        make_word(QUAD, 5)


@pytest.mark.parametrize("name", ["a.jpg", "a.JPE", "a.jfif", "a.tif", "a.webp", "a.apng"])
def test_words_turn_with_photos_of_all_endings(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6  # the photo is shown turned clockwise
    format = {"j": "JPEG", "t": "TIFF", "w": "WEBP"}.get(name[2].lower(), "PNG")
    Image.new("RGB", (30, 20)).save(tmp_path / name, format, exif=exif)
    entries = [("a.txt", lambda: Entry(name, [("line 1", partial(make_word, [5, 4, 15, 4, 15, 8, 5, 8], "a"))]))]
    (sample,) = read_samples(entries, tmp_path, Problems("test"), stored=True)
    assert (sample.height, sample.width) == (30, 20)
    assert sample.words[0].outline == [16, 5, 16, 15, 12, 15, 12, 5]
