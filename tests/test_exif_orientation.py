"""Words of the stored pixels turn with the photo."""

from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageOps

from dld_spotter.data.converters.common import make_word
from dld_spotter.data.converters.reading import Entry, read_samples
from dld_spotter.data.problems import Problems
from dld_spotter.exif_orientation import upright
from dld_spotter.image_io import read_image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_words_of_stored_pixels_turn_with_the_photo(tmp_path, orientation):
    stored = np.zeros((20, 30, 3), np.uint8)
    stored[4:8, 5:15] = 255  # the word: x 5 to 15, y 4 to 8 of the stored pixels
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
    ys, xs = np.nonzero(shown[..., 0])
    outline = upright([5, 4, 15, 4, 15, 8, 5, 8], orientation, *shown.shape[:2])
    assert [min(outline[::2]), max(outline[::2])] == [xs.min(), xs.max() + 1]
    assert [min(outline[1::2]), max(outline[1::2])] == [ys.min(), ys.max() + 1]
    word = partial(make_word, [5, 4, 15, 4, 15, 8, 5, 8], "a", False, [[5, 4, 15, 4, 15, 8, 5, 8]])
    entries = [("a.txt", lambda: Entry("a.png", [("line 1", word)]))]
    (sample,) = read_samples(entries, tmp_path, Problems("test"), stored=True)
    assert (sample.height, sample.width) == shown.shape[:2] == read_image(tmp_path / "a.png").shape[:2]
    assert sample.words[0].outline == sample.words[0].characters[0] == outline
