"""Targets of drawings: links and other names of a photo are the photo."""

import numpy as np
import pytest

from dld_spotter.drawing_files import Drawings
from dld_spotter.photo_sources import to_photos
from dld_spotter.results import TextResult, write_image


@pytest.fixture
def photo(tmp_path):
    write_image(tmp_path / "in" / "a.jpg", np.full((60, 80, 3), 200, np.uint8))
    (found,) = to_photos(tmp_path / "in" / "a.jpg")
    return found


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_link_to_a_photo_is_not_replaced(tmp_path, photo, link):
    (tmp_path / "out").mkdir()
    getattr(tmp_path / "out" / "a.jpg", link)(photo.source)
    with pytest.raises(ValueError, match="would replace the photo"):
        Drawings(tmp_path / "out", [photo], overwrite=True).check([photo])


def test_nothing_is_drawn_without_an_output(photo):
    drawings = Drawings(None, [photo])
    drawings.check([photo])
    assert drawings.write(TextResult("a.jpg", 60, 80, source=photo.source))


def test_a_photo_that_is_gone_costs_its_drawing(tmp_path, photo, capsys):
    drawings = Drawings(tmp_path / "out", [photo])
    drawings.check([photo])
    result = TextResult("a.jpg", 60, 80, name="a", source=photo.source)
    photo.source.unlink()
    assert not drawings.write(result) and "a.jpg" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_no_photo_beside_the_read_ones_is_replaced(tmp_path):
    """in/a.png is read, and its drawing is called like the photo in/a.jpg."""
    for name in ("a.png", "a.jpg"):
        write_image(tmp_path / "in" / name, np.full((60, 80, 3), 200, np.uint8))
    photos = list(to_photos(tmp_path / "in" / "a.png"))
    with pytest.raises(ValueError, match="would replace the photo .*a.jpg"):
        Drawings(tmp_path / "in", photos, overwrite=True).check(photos)
    Drawings(tmp_path / "in" / "a.jpg", photos, overwrite=True).check(photos)  # whoever names a file means it
    Drawings(tmp_path / "out", photos, overwrite=True).check(photos)


def test_a_drawing_that_needs_too_much_memory_costs_itself(tmp_path, photo, capsys, monkeypatch):
    drawings = Drawings(tmp_path / "out", [photo])
    drawings.check([photo])

    def fail(result, **options):
        raise MemoryError

    monkeypatch.setattr(TextResult, "draw", fail)
    assert not drawings.write(TextResult("a.jpg", 60, 80, name="a", source=photo.source))
    assert "a.jpg: no drawing is written" in capsys.readouterr().err


def test_files_that_were_not_known_before_are_not_replaced(tmp_path, photo, capsys):
    """Photos that come one by one are not checked beforehand."""
    drawings = Drawings(tmp_path / "out", [])
    drawings.check([])
    (tmp_path / "out" / "a.jpg").write_text("mine")
    assert not drawings.write(TextResult("a.jpg", 60, 80, name="a", source=photo.source))
    assert "there already" in capsys.readouterr().err and (tmp_path / "out" / "a.jpg").read_text() == "mine"
