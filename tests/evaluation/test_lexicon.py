"""Lexicon look-up against a naive search through the whole list."""

import unicodedata
import zipfile

import numpy as np
import pytest
from editdistance import eval as distance

from dld_spotter.evaluation.ground_truth import read_ground_truth
from dld_spotter.evaluation.icdar import image_keys
from dld_spotter.evaluation.lexicon import (
    ImageLexicons,
    Lexicon,
    full_lexicon,
    load_lexicon,
    look_up,
)
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord, TruthWord
from dld_spotter.evaluation.scoring import evaluate_words


def read_word(text):
    return ReadWord(np.zeros((4, 2)), text)


def naive_nearest(word, words):
    """The first of the nearest words, and its distance."""
    distances = [distance(word.upper(), other.upper()) for other in words]
    return words[int(np.argmin(distances))], min(distances)


def random_words(rng, number):
    return ["".join(rng.choice(list("abAB"), rng.integers(1, 9))) for _ in range(number)]


@pytest.mark.parametrize("seed", range(3))
def test_nearest_equals_a_naive_search(seed):
    rng = np.random.default_rng(seed)
    words = random_words(rng, 60)  # short words of four letters: ties all over, also between lengths
    lexicon = Lexicon(words)
    queries = [*random_words(rng, 300), "", "a" * 300, "zzz"]  # more than are looked up together
    assert lexicon.nearest(queries) == [naive_nearest(word, words) for word in queries]
    assert lexicon.nearest([]) == []


def test_real_generic_list_equals_a_naive_search(real_data):
    lexicon = load_lexicon(real_data / "eval" / "lexicons" / "icdar2015" / "GenericVocabulary.txt")
    words = ["Tireneess", "SPECIALTIS", "FESTIVEREEEE", "qqqqq", "THE"]
    assert lexicon.nearest(words) == [naive_nearest(word, lexicon.words) for word in words]


@pytest.mark.parametrize("word", ["at", "A4B", "B+B", "", "12345"])
def test_short_words_and_words_with_digits_stay(word):
    assert look_up([read_word(word)], Lexicon(["atlas", "beta"]), Protocol()) == [word]


def test_nearest_has_no_limit_and_limited_has():
    lexicon = Lexicon(["EXIT", "ENTRANCE"])
    read = [read_word(text) for text in ("xylophone", "no", "exlt", "exlb")]
    far = naive_nearest("xylophone", lexicon.words)[0]
    assert look_up(read, lexicon, Protocol()) == [far, "no", "EXIT", "EXIT"]
    for limit, expected in ((1, ["EXIT", "exlb"]), (2, ["EXIT", "EXIT"])):
        limited = Protocol(lexicon_rule="limited", lexicon_max_distance=limit)
        assert look_up(read, lexicon, limited) == ["xylophone", "no", *expected]


def test_a_word_keeps_the_spelling_of_the_list_and_ties_go_to_the_first():
    assert Lexicon(["Café", "café"]).nearest(["CAFE"]) == [("Café", 1)]
    assert Lexicon(["BAT", "CAT", "AT"]).nearest(["xat"]) == [("BAT", 1)]
    assert Lexicon(["AT", "BAT"]).nearest(["xat"]) == [("AT", 1)]


def test_file_with_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("EXIT\r\n\r\nCAFÉ\r\n".encode("utf-8-sig"))
    assert load_lexicon(path).words == ["EXIT", "CAFÉ"]


def test_one_list_an_image_in_a_folder_and_in_a_zip(tmp_path):
    folder = tmp_path / "strong"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "strong.zip", "w") as archive:
        archive.writestr("__MACOSX/strong/._voc_img_1.txt", b"\x00\xff")
        for number, word in ((1, "ONE"), (2, "TWO")):
            (folder / f"voc_img_{number}.txt").write_text(word)
            archive.writestr(f"strong/voc_img_{number}.txt", word)
    for path in (folder, tmp_path / "strong.zip"):
        lexicons = load_lexicon(path)
        assert isinstance(lexicons, ImageLexicons)
        assert [lexicons.for_image(key).words for key in "12"] == [["ONE"], ["TWO"]]
        with pytest.raises(ValueError, match="no word list for the image '3'.*voc_img_3.txt"):
            lexicons.for_image("3")


def test_bad_lists(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.txt does not exist"):
        load_lexicon(tmp_path / "nowhere.txt")
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(ValueError, match="empty.txt: the lexicon holds no words"):
        load_lexicon(tmp_path / "empty.txt")
    (tmp_path / "utf16.txt").write_bytes("ONE\n".encode("utf-16-le"))
    with pytest.raises(ValueError, match="utf16.txt, line 1"):
        load_lexicon(tmp_path / "utf16.txt")


def test_lists_of_images_of_one_stem(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "voc_img_1.txt").write_text(folder)
    (tmp_path / "voc_img_2.txt").write_text("two")
    lexicons = load_lexicon(tmp_path)
    keys = image_keys(["x/a/img_1.jpg", "x/b/img_1.jpg", "x/a/img_2.jpg"])
    assert [lexicons.for_image(key).words for key in keys] == [["a"], ["b"], ["two"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_words_are_composed_whatever_the_encoding(tmp_path, encoding, form):
    path = tmp_path / "words.txt"
    path.write_bytes(unicodedata.normalize(form, "Café\nÖl\n").encode(encoding))
    lexicon = load_lexicon(path)
    assert lexicon.words == ["Café", "Öl"]
    assert lexicon.nearest([unicodedata.normalize("NFD", "CAFÉ")]) == [("Café", 0)]


def test_coverage_counts_the_words_that_lists_are_made_for():
    lexicon = Lexicon(["EXIT", "Café", "24h", "it"])
    words = ["Exit!", "café", "lost", "exits", "24h", "it", "no"]  # a digit or two letters: not asked for
    assert lexicon.covers(words, "1", Protocol()) == (2, 4)
    assert lexicon.covers(words, "1", Protocol(case_sensitive=True)) == (2, 4)
    strong = ImageLexicons({"1": lexicon}, "lists")
    assert (strong.covers(words, "1", Protocol()), strong.covers(words, "2", Protocol())) == ((2, 4), (0, 4))


@pytest.mark.parametrize(
    ("truth", "path", "share"),
    [
        ("gt-icdar2015", "icdar2015/GenericVocabulary.txt", 1941 / 2002),
        ("gt-icdar2015", "icdar2015/strong_lexicon.zip", 1941 / 2002),
        ("gt-icdar2015", "icdar2013/GenericVocabulary.txt", 1546 / 2002),  # it lacks 321 of the other's words
    ],
)
def test_coverage_of_the_benchmarks_own_lists(real_data, truth, path, share):
    images = read_ground_truth(real_data / "eval" / "gt" / f"{truth}.zip").pair([])
    evaluation = evaluate_words(images, Protocol(), {"list": load_lexicon(real_data / "eval" / "lexicons" / path)})
    assert evaluation.results()["lexicon_list"]["coverage"] == pytest.approx(share)
    assert bool(evaluation.warnings()) is (share < 0.9)


def test_full_lexicon_holds_the_distinct_words_that_are_cared_for():
    square = np.array([[0, 0], [1, 0], [1, 1]])
    words = [("Sale", False), ("###", True), ("at", False), ("secret", True), ("Sale", False), ("SALE", False)]
    images = [
        ImageWords("1", [TruthWord(square, text, ignore) for text, ignore in words]),
        ImageWords("2", [TruthWord(square, "exit")], [ReadWord(square, "read")]),
    ]
    assert full_lexicon(images).words == ["Sale", "at", "SALE", "exit"]
    with pytest.raises(ValueError, match="scenes.json: the lexicon holds no words"):
        full_lexicon([ImageWords("1", [TruthWord(square, "###", True)])], "scenes.json")
