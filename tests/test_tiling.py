"""Long images in tiles: where they are cut, and that each word comes out once and whole."""

import logging
from collections import Counter

import numpy as np
import pytest
from fake_spotter import fake_cfg
from helpers.painted_spotter import PaintedSpotter, paint, text_of

from dld_spotter.predictor import TextPredictor
from dld_spotter.results import Word
from dld_spotter.tiling import merge_tiles, plan_tiles, shrinkage

SIZES = {"shortest": 720, "longest": 1280}
WORDS = 110


def box(left, top, width, height):
    return [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]


def word(text, left, width, top=100, height=40, score=0.9):
    return Word(text, score, score, 1.0, box(left, top, width, height))


@pytest.mark.parametrize(
    ("size", "times"),
    [
        ((720, 1280), 1.0),
        ((3000, 4000), 1.0),  # 4:3 is within the limits
        ((500, 20000), 15.625),  # 500 pixels are not enlarged: the limit makes 20000 pixels 1280
        ((1440, 20480), 8.0),  # without the limit half as large, with it a sixteenth
        ((20, 400), 1.0),  # a small image, which is enlarged at any rate
    ],
)
def test_how_much_the_limit_shrinks(size, times):
    assert shrinkage(*size, **SIZES) == pytest.approx(times)
    assert shrinkage(*size[::-1], **SIZES) == pytest.approx(times)
    assert shrinkage(*size, shortest=0, longest=1280) == 1.0


def test_usual_photos_are_read_at_once():
    for size in ((3000, 4000), (1080, 1920), (1000, 3500), (20, 400), (2, 1000)):
        assert plan_tiles(*size, **SIZES) is None
    assert plan_tiles(500, 20000, shortest=0, longest=1280) is None
    assert plan_tiles(500, 20000, shortest=1300, longest=1280) is None  # no tile could be as large as asked for


def test_tiles_cover_the_image_and_share_what_they_promise():
    rng = np.random.default_rng(0)
    for _ in range(200):
        short = int(rng.integers(10, 3000))
        long = int(short * rng.uniform(4, 60)) + 3000
        for size, axis in (((short, long), 0), ((long, short), 1)):
            tiling = plan_tiles(*size, **SIZES)
            ends = [start + tiling.length for start in tiling.starts]
            assert tiling.axis == axis and tiling.starts[0] == 0 and ends[-1] == long
            shared = [end - start for start, end in zip(tiling.starts[1:], ends, strict=False)]
            assert min(shared) == tiling.overlap >= min(short, tiling.length // 2) - 1
            # Read alone, a tile is as large as the shorter side asks for, or as it is; within rounding.
            assert shrinkage(short, tiling.length, **SIZES) == pytest.approx(1, abs=0.01)
            assert len(tiling.starts) <= 3 * long / tiling.length + 1  # no word is read much more than twice


def test_crops_are_views_in_order():
    image = np.arange(500 * 5000 * 3, dtype=np.uint8).reshape(500, 5000, 3)
    tiling = plan_tiles(500, 5000, **SIZES)
    crop = tiling.crop(image, 1)
    assert crop.base is not None and crop.shape == (500, tiling.length, 3)
    np.testing.assert_array_equal(crop, image[:, tiling.starts[1] : tiling.starts[1] + tiling.length])
    tall = plan_tiles(5000, 500, **SIZES).crop(image.transpose(1, 0, 2), 1)
    np.testing.assert_array_equal(tall, crop.transpose(1, 0, 2))


@pytest.fixture
def tiling():
    """Tiles of 1280 pixels that begin at 0, 773, 1547 and 2320, so that neighbours share 506."""
    return plan_tiles(500, 3600, **SIZES)


def merged(tiling, tiles, whole=()):
    return {found.text: found.polygon for found in merge_tiles(tiling, [*tiles, *[[]] * (4 - len(tiles))], whole)}


def test_a_word_that_two_tiles_hold_comes_out_once(tiling):
    start = tiling.starts[1]
    found = merged(tiling, [[word("once", 900, 200)], [word("0nce", 900 - start, 198, score=0.8)]])
    assert found == {"once": box(900, 100, 200, 40)}


def test_what_a_cut_leaves_of_a_word_gives_way_even_if_it_is_surer(tiling):
    start = tiling.starts[1]
    cut = word("who", 1100, tiling.length - 1100, score=0.99)
    assert merged(tiling, [[cut], [word("whole", 1100 - start, 300)]]) == {"whole": box(1100, 100, 300, 40)}
    assert list(merged(tiling, [[cut], []])) == ["who"]  # where there is nothing else, it is kept


def test_words_of_one_tile_are_never_merged(tiling):
    assert len(merged(tiling, [[word("store", 100, 300), word("tm", 350, 40, height=15)]])) == 2


def test_a_word_longer_than_the_overlap_is_taken_from_the_whole_image(tiling):
    first, second = tiling.starts[1:3]
    parts = [
        [word("gran", 200, tiling.length - 200)],
        [word("ndho", 0, tiling.length)],
        [word("otel", 0, 2100 - second)],
    ]
    whole = [word("grandhotel", 200, 1900), word("tiny", 50, 60)]
    assert merged(tiling, parts, whole) == {"grandhotel": box(200, 100, 1900, 40)}
    # A row of small words that looked like one word is what the tiles say.
    row = [word("small", 800 - first, 100), word("words", 920 - first, 100)]
    blurred = [word("srnolvvnrdz", 790, 600, score=0.4)]
    assert sorted(merged(tiling, [[], row], blurred)) == ["small", "words"]


@pytest.fixture
def make(tmp_path):
    def build(**kwargs):
        opts = {
            "INPUT.MIN_SIZE_TEST": 72,
            "INPUT.MAX_SIZE_TEST": 128,
            "MODEL.META_ARCHITECTURE": PaintedSpotter.__name__,
        }
        return TextPredictor(fake_cfg(tmp_path, **opts)[0], device="cpu", **kwargs)

    return build


def panorama(seed=0, height=100, width=4000):
    """An image of many words at any place, with their boxes by text."""
    rng = np.random.default_rng(seed)
    image, boxes = np.zeros((height, width, 3), np.uint8), {}
    for number in range(WORDS):
        column, row = number // 2, number % 2
        left, top = 4 + column * 72 + int(rng.integers(0, 8)), 8 + 48 * row + int(rng.integers(0, 8))
        size = int(rng.integers(30, 60)), int(rng.integers(12, 24))
        paint(image, number, left, top, *size)
        boxes[text_of(number)] = box(left, top, *size)
    return image, boxes


@pytest.mark.parametrize(("turned", "batch_size"), [(False, 1), (False, 4), (True, 3)])
def test_a_panorama_gives_every_word_once_and_whole(make, turned, batch_size):
    image, boxes = panorama()
    predictor = make()
    (result,) = predictor(image.transpose(1, 0, 2) if turned else image, batch_size)
    assert Counter(found.text for found in result.words) == Counter(list(boxes))
    for found in result.words:
        expected = np.array(boxes[found.text])[:, ::-1] if turned else np.array(boxes[found.text])
        low, high = np.min(found.polygon, axis=0), np.max(found.polygon, axis=0)
        np.testing.assert_allclose([low, high], [expected.min(axis=0), expected.max(axis=0)], atol=3)
    assert result.tiles == result.to_dict()["tiles"] > 20
    assert (result.height, result.width) == (image.shape[1::-1] if turned else image.shape[:2])
    # Never more than the whole image, shrunk, or a batch of tiles at once, each within the limits.
    assert max(len(batch) for batch in predictor.model.batches) <= batch_size
    assert max(max(shape) for batch in predictor.model.batches for shape in batch) <= 128


def test_without_tiles_it_finds_nothing_and_says_why(make, caplog):
    image, _ = panorama()
    with caplog.at_level(logging.WARNING):
        (result,) = make(tiles=False)(image)
    assert result.words == [] and result.tiles == 1 and "tiles" not in result.to_dict()
    assert any("MAX_SIZE_TEST" in record.message for record in caplog.records)


def test_a_tile_that_fails_costs_the_photo_and_no_other(make):
    predictor = make()

    def fail(module, args):
        if args[0][0]["image"].shape[2] == 128 and args[0][0]["image"].max() > 0:
            raise RuntimeError("out of memory")

    predictor.model.register_forward_pre_hook(fail)
    results = predictor([panorama()[0], np.zeros((100, 120, 3), np.uint8)])
    assert "out of memory" in results[0].error and results[1].error is None


def test_the_scale_of_an_image_in_tiles_is_their_mean(make):
    predictor = make()
    scales = iter([0.3, *[0.5, 1.0] * 100])
    predictor.model.register_forward_hook(lambda module, args, outputs: outputs[0].update(scale=next(scales)))
    (result,) = predictor(panorama()[0])
    assert result.scale == pytest.approx(0.75, abs=0.02)


def test_raising_the_size_beyond_its_limit_is_warned_of(make, caplog):
    def warnings(opts):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            make(opts=opts)
        return [record.message for record in caplog.records if "INPUT.MAX_SIZE_TEST" in record.message]

    assert warnings([]) == [] and warnings(["INPUT.MIN_SIZE_TEST", 72]) == []
    assert len(warnings(["INPUT.MIN_SIZE_TEST", 144])) == 1
    assert warnings(["INPUT.MIN_SIZE_TEST", 144, "INPUT.MAX_SIZE_TEST", 256]) == []
