"""What may be written: reports over reports, and nothing over what others made."""

import os

import pytest

from dld_spotter.output_files import OutputFiles, check_report


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"a": 1}', b"[" * 100_000])
def test_a_report_replaces_reports_only(tmp_path, content):
    path = tmp_path / "report.json"
    check_report(path, ("a", "b"))
    check_report(None, ("a", "b"))
    path.write_text('{"a": 1, "b": 2, "c": 3}')
    check_report(path, ("a", "b"))
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"report\.json is there already"):
        check_report(path, ("a", "b"))


def test_folders_pipes_and_broken_links_are_no_reports(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(ValueError, match="is there already"):
            check_report(path, ())


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_photo_is_never_replaced(tmp_path, link):
    photo, other = tmp_path / "photo.jpg", tmp_path / "other.jpg"
    photo.write_bytes(b"photo")
    other.write_bytes(b"other")
    link(photo, tmp_path / "0000_photo.jpg")
    OutputFiles().check(tmp_path / "free.jpg")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="the photo"):
            OutputFiles(overwrite, [photo, tmp_path / "gone.jpg"]).check(tmp_path / "0000_photo.jpg")
    OutputFiles(True, [photo]).check(other)
    with pytest.raises(ValueError, match="--overwrite"):
        OutputFiles(False, [photo]).check(other)
