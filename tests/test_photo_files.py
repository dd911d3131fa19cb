"""The photos of a folder, and the count of what is left."""

import logging
import os

import pytest

from dld_spotter.image_io import ImageError
from dld_spotter.photo_files import list_images

KINDS = ("a.jfif", "b.jpe", "c.HEIC", "d.AVIF", "e.webp", "f.TIF", "g.JPG", "h.PNG", "i.heif", "j.apng")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def listed(folder, **kwargs):
    return [path.relative_to(folder).as_posix() for path in list_images(folder, **kwargs)]


def test_every_kind_of_photo_in_any_case(tmp_path, caplog):
    touch(tmp_path, *KINDS)
    with caplog.at_level(logging.WARNING):
        assert listed(tmp_path) == sorted(KINDS)
    assert not caplog.records


def test_what_is_left_is_counted_by_why(tmp_path, caplog):
    touch(tmp_path, "b.JPG", "a.png", ".hidden.png", ".DS_Store", "1.txt", "2.txt", "3.pdf", "noending", "sub/c.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    with caplog.at_level(logging.WARNING):
        assert listed(tmp_path) == ["a.png", "b.JPG"]
    (line,) = [record.message for record in caplog.records]
    for part in ("2 images", "2 files of kind .txt", "1 files of kind .pdf", "1 subfolders", "1 hidden", "1 broken"):
        assert part in line
    assert "DS_Store" not in line


def test_subfolders_are_read_if_asked_for(tmp_path, caplog):
    touch(tmp_path, "z.jpg", "b/2.jpg", "a/deep/1.JPG", ".git/x.png", "drawn/z.jpg")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    with caplog.at_level(logging.WARNING):
        found = listed(tmp_path, recursive=True, exclude=[tmp_path / "b" / ".." / "drawn"])
    assert found == ["a/deep/1.JPG", "b/2.jpg", "z.jpg"]
    assert "1 links to folders" in caplog.text and "1 folders of the output" in caplog.text


def test_a_folder_without_photos_says_what_it_holds(tmp_path):
    touch(tmp_path, "1.txt", "sub/a.jpg")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="no image.*1 files of kind .txt, 2 subfolders"):
        list_images(tmp_path)
    with pytest.raises(ImageError, match="gone: "):
        list_images(tmp_path / "gone")


def test_a_subfolder_that_cannot_be_opened_is_counted(tmp_path, caplog, monkeypatch):
    touch(tmp_path, "a.jpg", "shut/b.jpg")
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with caplog.at_level(logging.WARNING):
        assert listed(tmp_path, recursive=True) == ["a.jpg"]
    assert "1 subfolders that cannot be opened" in caplog.text
    with pytest.raises(ImageError, match="shut: the folder cannot be opened"):
        list_images(tmp_path / "shut")
