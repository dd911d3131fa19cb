"""Long images in tiles: where they are cut, and that each word comes out once and whole."""

import logging
from collections import Counter

import numpy as np
import pytest
from fake_spotter import fake_cfg
from helpers.painted_spotter import PaintedSpotter, paint, text_of

from dld_spotter.predictor import TextPredictor
from dld_spotter.results import Word
from dld_spotter.tiling import Cuts, Tiling, merge_tiles, plan_tiles, shrinkage

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
            cuts, others = (tiling.across, tiling.down)[:: 1 - 2 * axis]
            ends = [start + cuts.length for start in cuts.starts]
            assert others == Cuts.whole(short) and cuts.starts[0] == 0 and ends[-1] == long
            shared = [end - start for start, end in zip(cuts.starts[1:], ends, strict=False)]
            assert min(shared) == cuts.overlap >= min(short, cuts.length // 2) - 1
            # Read alone, a tile is as large as the shorter side asks for, or as it is; within rounding.
            assert shrinkage(short, cuts.length, **SIZES) == pytest.approx(1, abs=0.01)
            assert len(tiling) <= 3 * long / cuts.length + 1  # no word is read much more than twice


@pytest.mark.parametrize(("most", "times"), [(None, 3), (2.5, 2.5), (1, 1)])
def test_any_word_of_a_large_image_lies_whole_in_a_tile(most, times):
    """By looking at every pixel row and column where a word of the promised size could begin."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        height, width = (int(side) for side in rng.integers(6481, 16000, 2))
        tiling = plan_tiles(height, width, **SIZES, most_shrinkage=most)
        assert tiling.across.length <= times * 1280 and tiling.down.length == times * 720
        for side, cuts in ((width, tiling.across), (height, tiling.down)):
            size = min(int(cuts.overlap), side // 4)
            assert size >= 0.25 * min(cuts.length, side) - 1
            places = np.arange(side - size + 1)
            starts = np.array(cuts.starts)
            whole = (starts <= places[:, None]) & (places[:, None] + size <= starts + cuts.length)
            assert whole.any(axis=1).all()
    # Photos of 50 million pixels are read at once, unless one asks for tiles.
    assert plan_tiles(6144, 8160, **SIZES) is None
    assert len(plan_tiles(6144, 8160, **SIZES, most_shrinkage=8)) > 1
    assert plan_tiles(700, 1000, **SIZES, most_shrinkage=1) is None


def test_tiles_of_a_grid_are_numbered_row_by_row_and_come_in_batches():
    tiling = Tiling(Cuts((0, 6), 10), Cuts((0, 3, 5), 4))
    image = np.arange(9 * 16).reshape(9, 16, 1)
    corners = [tiling.corner(tile) for tile in range(len(tiling))]
    assert corners == [(0, 0), (6, 0), (0, 3), (6, 3), (0, 5), (6, 5)]
    batches = list(tiling.batches(image, 4))
    assert [len(batch) for batch in batches] == [4, 2]
    for (left, top), tile in zip(corners, [tile for batch in batches for tile in batch], strict=True):
        assert tile.shape == (4, 10, 1) and tile[0, 0] == 16 * top + left and np.shares_memory(tile, image)


def test_crops_are_views_in_order():
    image = np.arange(500 * 5000 * 3, dtype=np.uint8).reshape(500, 5000, 3)
    tiling = plan_tiles(500, 5000, **SIZES)
    crop = tiling.crop(image, 1)
    start, length = tiling.across.starts[1], tiling.across.length
    assert crop.base is not None and crop.shape == (500, length, 3)
    np.testing.assert_array_equal(crop, image[:, start : start + length])
    tall = plan_tiles(5000, 500, **SIZES).crop(image.transpose(1, 0, 2), 1)
    np.testing.assert_array_equal(tall, crop.transpose(1, 0, 2))


@pytest.fixture
def tiling():
    """Tiles of 1280 pixels that begin at 0, 773, 1547 and 2320, so that neighbours share 506."""
    return plan_tiles(500, 3600, **SIZES)


def merged(tiling, tiles, whole=()):
    return {found.text: found.polygon for found in merge_tiles(tiling, [*tiles, *[[]] * (4 - len(tiles))], whole)}


def test_a_word_that_two_tiles_hold_comes_out_once(tiling):
    start = tiling.across.starts[1]
    found = merged(tiling, [[word("once", 900, 200)], [word("0nce", 900 - start, 198, score=0.8)]])
    assert found == {"once": box(900, 100, 200, 40)}


def test_what_a_cut_leaves_of_a_word_gives_way_even_if_it_is_surer(tiling):
    start = tiling.across.starts[1]
    cut = word("who", 1100, tiling.across.length - 1100, score=0.99)
    assert merged(tiling, [[cut], [word("whole", 1100 - start, 300)]]) == {"whole": box(1100, 100, 300, 40)}
    assert list(merged(tiling, [[cut], []])) == ["who"]  # where there is nothing else, it is kept


def test_words_of_one_tile_are_never_merged(tiling):
    assert len(merged(tiling, [[word("store", 100, 300), word("tm", 350, 40, height=15)]])) == 2


def test_a_word_longer_than_the_overlap_is_taken_from_the_whole_image(tiling):
    first, second = tiling.across.starts[1:3]
    parts = [
        [word("gran", 200, tiling.across.length - 200)],
        [word("ndho", 0, tiling.across.length)],
        [word("otel", 0, 2100 - second)],
    ]
    whole = [word("grandhotel", 200, 1900), word("tiny", 50, 60)]
    assert merged(tiling, parts, whole) == {"grandhotel": box(200, 100, 1900, 40)}
    # A row of small words that looked like one word is what the tiles say.
    row = [word("small", 800 - first, 100), word("words", 920 - first, 100)]
    blurred = [word("srnolvvnrdz", 790, 600, score=0.4)]
    assert sorted(merged(tiling, [[], row], blurred)) == ["small", "words"]


def test_a_word_at_a_crossing_of_cuts_comes_out_once_and_whole():
    grid = Tiling(Cuts((0, 600), 1000), Cuts((0, 300), 500))
    # Of the word at x 550 to 700, y 280 to 320, tiles 0 and 2 hold all in x; in y all four do.
    tiles = [
        [word("whole", 550, 150, top=280)],
        [word("ole", 0, 100, top=280, score=0.99)],
        [word("who1e", 550, 150, top=0, height=20, score=0.95)],
        [word("o1e", 0, 100, top=0, height=20, score=0.99)],
    ]
    assert merged(grid, tiles) == {"whole": box(550, 280, 150, 40)}
    # A column of letters that is taller than the 200 pixels which rows share.
    parts = [[word("HO", 100, 40, top=250, height=250)], [], [word("OTEL", 100, 40, top=0, height=300)]]
    tall = [word("HOTEL", 100, 40, top=250, height=350)]
    assert merged(grid, parts, tall) == {"HOTEL": box(100, 250, 40, 350)}


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


def scan(seed=0, height=1500, width=1100):
    """A large image of many small words at any place, apart from each other, with their boxes by text."""
    rng = np.random.default_rng(seed)
    image, boxes = np.zeros((height, width, 3), np.uint8), {}
    while len(boxes) < WORDS:
        size = int(rng.integers(30, 60)), int(rng.integers(20, 34))
        left, top = (
            int(rng.integers(4, side - length - 4)) for side, length in zip((width, height), size, strict=True)
        )
        if not image[top - 4 : top + size[1] + 4, left - 4 : left + size[0] + 4].any():
            paint(image, len(boxes), left, top, *size)
            boxes[text_of(len(boxes))] = box(left, top, *size)
    return image, boxes


@pytest.mark.parametrize(("turned", "batch_size"), [(False, 1), (True, 4)])
def test_a_large_scan_gives_every_word_once_and_whole(make, turned, batch_size):
    image, boxes = scan()
    predictor = make()
    (result,) = predictor(image.transpose(1, 0, 2) if turned else image, batch_size)
    assert Counter(found.text for found in result.words) == Counter(list(boxes))
    for found in result.words:
        expected = np.array(boxes[found.text])[:, ::-1] if turned else np.array(boxes[found.text])
        low, high = np.min(found.polygon, axis=0), np.max(found.polygon, axis=0)
        np.testing.assert_allclose([low, high], [expected.min(axis=0), expected.max(axis=0)], atol=4)
    assert result.tiles == len(plan_tiles(*image.shape[:2][:: -1 if turned else 1], 72, 128))
    assert max(len(batch) for batch in predictor.model.batches) <= batch_size
    assert max(max(shape) for batch in predictor.model.batches for shape in batch) <= 128
    assert len(make(tiles=False)(image)[0].words) < 10  # at once they are too small, or run together


def test_the_user_says_how_much_smaller_words_may_be_seen(make):
    image, boxes = scan(height=600, width=640)  # fewer times larger than the network's 72 pixels than large images are
    (at_once,) = make()(image)
    assert at_once.tiles == 1 and len(at_once.words) < WORDS / 2
    (result,) = make(tiles=2)(image)
    assert Counter(found.text for found in result.words) == Counter(list(boxes)) and result.tiles > 9
    with pytest.raises(ValueError, match="--tiles"):
        make(tiles=0.5)


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
