"""Whole synthetic scenes: what is written in them, where, and in whose words."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_checks import inside

from dld_spotter.data.synthetic import scene as scene_module
from dld_spotter.data.synthetic.scene import SceneDrawer
from dld_spotter.data.synthetic.style import STYLES, SceneStyle, SizeKind
from dld_spotter.data.synthetic.vocabulary import Vocabulary, is_held_out

SIZE = (160, 220)
STYLE = SceneStyle(size=SIZE, kinds=(SizeKind("some", 1.0, (10, 30), (3, 7)),), fine_print=0.3, covers=0.3)
READING = replace(STYLES["reading"], size=SIZE, kinds=(SizeKind("reading", 1.0, (16, 24), (6, 9)),))
SEEDS = range(5)


@pytest.fixture(scope="module", params=["scenes", "reading"])
def drawer(request, face, words, bank):
    style = {"scenes": STYLE, "reading": READING}[request.param]
    return SceneDrawer([face], Vocabulary(words, "train"), bank, style)


@pytest.fixture(scope="module")
def scenes(drawer):
    return [drawer.draw(np.random.default_rng(seed)) for seed in SEEDS]


def test_scene_has_words_and_a_quality(drawer, scenes):
    low, high = drawer.style.quality
    for scene in scenes:
        assert scene.image.shape == (*SIZE, 3) and scene.image.dtype == np.uint8
        assert scene.words and low <= scene.quality <= high


def test_same_seed_same_scene(drawer, scenes):
    again = drawer.draw(np.random.default_rng(SEEDS[1]))
    np.testing.assert_array_equal(again.image, scenes[1].image)
    assert [word.text for word in again.words] == [word.text for word in scenes[1].words]
    for one, other in zip(again.words, scenes[1].words, strict=True):
        np.testing.assert_array_equal(one.polygon, other.polygon)
        np.testing.assert_array_equal(one.characters, other.characters)
    assert (scenes[0].image != scenes[1].image).any()


def test_words_lie_inside_the_scene_clockwise(scenes):
    for word in (word for scene in scenes for word in scene.words):
        assert word.polygon.dtype == np.float32 and len(word.polygon) in (4, 14)
        assert (word.polygon >= 0).all() and (word.polygon <= [SIZE[1], SIZE[0]]).all()
        x, y = word.polygon.astype(float).T
        assert (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() > 0
        assert word.characters.shape == (len(word.text), 4, 2)


def test_no_two_words_overlap(scenes):
    for scene in scenes:
        covers = np.sum([inside(word.polygon, SIZE) for word in scene.words if not word.ignore], axis=0)
        assert np.max(covers) <= 1


def test_characters_lie_in_their_word_in_reading_order(scenes):
    for word in (word for scene in scenes for word in scene.words if not word.ignore):
        cover = inside(word.polygon, SIZE)
        middles = word.characters.mean(axis=1)
        columns, rows = np.floor(middles).astype(int).T
        assert cover[rows, columns].all()
        along = word.polygon[len(word.polygon) // 2 - 1] - word.polygon[0]
        assert (np.diff(middles @ along) > 0).all()


@pytest.mark.parametrize("split", ["train", "test"])
def test_words_belong_to_the_split(face, words, bank, split):
    drawer = SceneDrawer([face], Vocabulary(words, split), bank, STYLE)
    texts = [word.text for seed in range(4) for word in drawer.draw(np.random.default_rng(seed)).words]
    assert texts and all(is_held_out(text) == (split == "test") for text in texts)


def test_no_more_words_than_wanted(face, words, bank):
    for most in (1, 4):
        style = replace(STYLE, kinds=(SizeKind("few", 1.0, (10, 16), (most, most)),), fine_print=0.0)
        drawer = SceneDrawer([face], Vocabulary(words, "train"), bank, style)
        assert all(1 <= len(drawer.draw(np.random.default_rng(seed)).words) <= most for seed in range(5))


def test_ink_is_visible_inside_every_outline_and_nowhere_else(face, words, bank, monkeypatch):
    """Against the same scenes without ink: no step after painting reads the generator, nor does painting plain ink."""
    style = replace(STYLE, covers=0.0, light=0.0, blur=0.0, noise=0.0, effects=0.0, fine_print=0.0)
    drawer = SceneDrawer([face], Vocabulary(words, "train"), bank, style)
    drawn = [drawer.draw(np.random.default_rng(seed)) for seed in SEEDS]
    monkeypatch.setattr(scene_module, "paint_word", lambda *arguments: None)
    for seed, scene in zip(SEEDS, drawn, strict=True):
        bare = drawer.draw(np.random.default_rng(seed))
        assert [word.text for word in bare.words] == [word.text for word in scene.words]
        changed = np.abs(scene.image.astype(int) - bare.image).max(axis=-1)
        covers = [inside(word.polygon, SIZE) for word in scene.words]
        assert not ((changed > 40) & ~np.any(covers, axis=0)).any()
        for word, cover in zip(scene.words, covers, strict=True):
            assert (changed[cover] > 25).mean() > 0.06, word.text


def test_fine_print_and_hidden_words_are_not_to_be_read(face, words, bank):
    style = replace(STYLE, fine_print=1.0, covers=0.0, kinds=(SizeKind("large", 1.0, (20, 30), (2, 3)),))
    drawer = SceneDrawer([face], Vocabulary(words, "train"), bank, style)
    ignored = 0
    for seed in range(4):
        for word in drawer.draw(np.random.default_rng(seed)).words:
            half = len(word.polygon) // 2
            thickness = np.linalg.norm(word.polygon[:half] - word.polygon[half:][::-1], axis=1).mean()
            assert word.ignore or thickness >= 0.6 * 20
            ignored += word.ignore
    assert ignored > 5
    covered = SceneDrawer([face], Vocabulary(words, "train"), bank, replace(STYLE, covers=1.0, fine_print=0.0))
    hidden = [word.ignore for seed in range(8) for word in covered.draw(np.random.default_rng(seed)).words]
    assert 0 < sum(hidden) < 0.6 * len(hidden)


def test_fonts_that_cannot_draw_leave_the_scene_empty(face, words, bank):
    blank = replace(face, characters=frozenset())
    scene = SceneDrawer([blank], Vocabulary(words, "train"), bank, STYLE).draw(np.random.default_rng(0))
    assert scene.words == [] and scene.image.std() > 0
