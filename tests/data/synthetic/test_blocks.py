"""Words set in lines on a plane."""

from dataclasses import replace

import numpy as np
import pytest

from dld_spotter.data.synthetic import blocks as blocks_module
from dld_spotter.data.synthetic.blocks import Setting, SetWord, letter_word, random_setting, set_lines
from dld_spotter.data.synthetic.fonts import FontChoice, FontFace
from dld_spotter.data.synthetic.lettering import draw_letters
from dld_spotter.data.synthetic.vocabulary import Vocabulary, is_held_out


@pytest.fixture
def vocabulary(words):
    return Vocabulary(words, "train")


def blocks(vocabulary, face, count=30, lines=3, words=7, widest=400.0, capital=24.0, **options):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        block = set_lines(rng, vocabulary, Setting(face, capital), lines, words, widest, **options)
        if block is not None:
            yield block


def test_box_of_a_word_by_hand(face):
    lettering = draw_letters(face, "Hi", 40)
    word = SetWord(lettering, (10.0, 20.0), 0.5)
    height, width = lettering.ink.shape
    np.testing.assert_allclose(word.box, [10, 20, 10 + width / 2, 20 + height / 2])
    np.testing.assert_allclose(word.character_boxes[:, 0], 10 + lettering.characters[:, 0] / 2)
    np.testing.assert_allclose(word.character_boxes[:, 3], 20 + lettering.characters[:, 3] / 2)


@pytest.mark.parametrize("capital", [8.0, 20.0, 33.0, 60.0])
def test_capitals_have_the_wanted_height(face, vocabulary, capital):
    rng = np.random.default_rng(0)
    for _ in range(20):
        lettering, scale = letter_word(rng, vocabulary, Setting(face, capital, "upper"), 8)
        tallest = [
            box[3] - box[1]
            for box, letter in zip(lettering.characters, lettering.text, strict=True)
            if letter in "EHITZ"
        ]
        if tallest:
            assert scale * max(tallest) == pytest.approx(capital, abs=1.01 * scale)


def test_block_starts_at_zero_and_holds_its_words(face, vocabulary):
    for block in blocks(vocabulary, face):
        boxes = np.stack([word.box for word in block.words])
        assert boxes[:, :2].min() >= -1e-6 and boxes[:, 1].min() == pytest.approx(0, abs=1e-6)
        np.testing.assert_allclose(boxes[:, 2:].max(axis=0), block.size)
        assert block.size[0] <= 400
        assert 1 <= len(block.words) <= 9


@pytest.mark.parametrize("title", [1.0, 1.8])
@pytest.mark.parametrize("tails", [False, True])
def test_words_do_not_touch(face, vocabulary, title, tails, monkeypatch):
    """Not even with the margin of the outlines, nor where letters reach far above and below the line."""
    if tails:
        monkeypatch.setattr(blocks_module, "draw_letters", with_tails)
    margin = 0.5 + 0.05 * 24
    for block in blocks(vocabulary, face, title=title):
        boxes = np.stack([word.box for word in block.words]) + margin * np.array([-1, -1, 1, 1])
        meet = (boxes[:, None, :2] < boxes[None, :, 2:]).all(-1) & (boxes[None, :, :2] < boxes[:, None, 2:]).all(-1)
        assert meet.sum() == len(boxes), [word.lettering.text for word in block.words]


def with_tails(*arguments):
    """The lettering with as much again above it and below."""
    lettering = draw_letters(*arguments)
    height = lettering.ink.shape[0]
    ink = np.pad(lettering.ink, ((height, height), (0, 0)), mode="edge")
    return replace(lettering, ink=ink, core=ink, base=lettering.base + height)


def test_words_of_a_line_share_a_base_line(face, vocabulary):
    for block in blocks(vocabulary, face, lines=1, words=3):
        bases = [word.corner[1] + word.scale * word.lettering.base for word in block.words]
        np.testing.assert_allclose(bases, bases[0])
        lefts = [word.corner[0] for word in block.words]
        assert lefts == sorted(lefts)


def test_words_belong_to_the_split(face, words):
    for split in ("train", "test"):
        found = [w.lettering.text for b in blocks(Vocabulary(words, split), face, 20) for w in b.words]
        assert found and all(is_held_out(text) == (split == "test") for text in found)


def test_title_is_larger(face, vocabulary):
    for block in blocks(vocabulary, face, lines=2, words=2, title=2.0):
        if len(block.words) == 2:
            title, other = sorted(block.words, key=lambda word: word.corner[1])
            ratio = title.scale * title.lettering.ink.shape[0] / (other.scale * other.lettering.ink.shape[0])
            assert ratio > 0.9  # an "x" of a title against a "(" of what follows


def test_no_room_for_two_characters_is_no_block(face, vocabulary):
    assert set_lines(np.random.default_rng(0), vocabulary, Setting(face, 100.0), 1, 1, 60.0) is None


def test_font_without_the_characters_draws_none(face, vocabulary):
    poor = FontFace(face.path, face.family, face.style, frozenset("xyz"), False, 0.5)
    assert letter_word(np.random.default_rng(0), vocabulary, Setting(poor, 20.0), 8) is None


def test_single_case_font_draws_capitals(face, vocabulary):
    capitals = FontFace(face.path, face.family, face.style, face.characters, True, 0.5)
    rng = np.random.default_rng(0)
    drawn = [letter_word(rng, vocabulary, Setting(capitals, 20.0), 8)[0].text for _ in range(50)]
    assert all(text == text.upper() for text in drawn)


def test_random_setting_suits_the_size(face):
    choice, rng = FontChoice([face]), np.random.default_rng(0)
    for capital in (8.0, 40.0):
        settings = [random_setting(rng, choice, capital, outlined=True) for _ in range(40)]
        assert all(one.capital == capital and 1 <= one.stroke <= max(1, 0.1 * capital) for one in settings)
        assert {one.case for one in settings} == {None, "lower", "title", "upper"}
    assert all(one.tracking > 0 for one in (random_setting(rng, choice, 8.0, False) for _ in range(20)))
    assert random_setting(rng, choice, 40.0, outlined=False).stroke == 0
    single = FontFace("x", "x", "x", frozenset(), True, 0.5)
    assert random_setting(rng, FontChoice([single]), 40.0, False).case == "upper"


def test_same_seed_same_block(face, vocabulary):
    first, second = (next(blocks(vocabulary, face, 1)) for _ in range(2))
    assert [word.lettering.text for word in first.words] == [word.lettering.text for word in second.words]
    np.testing.assert_array_equal(*(np.stack([w.box for w in block.words]) for block in (first, second)))
