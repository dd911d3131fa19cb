"""Text files of folders and archives: encodings, limits, damaged members, files that never end."""

import os
import zipfile
import zlib

import pytest
from helpers.converting import add_image, convert

from dld_spotter.data import text_files
from dld_spotter.data.text_files import decode_text, find_text_files, parse_json, read_bytes, read_json, read_text


def archive(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def patch(path, offset, old, new):
    """Change bytes at an offset from the last (central) header of an archive."""
    data = bytearray(path.read_bytes())
    start = data.rindex(b"PK\x01\x02") + offset
    assert data[start : start + len(old)] == old
    data[start : start + len(new)] = new
    path.write_bytes(data)


def test_folders_and_archives_hold_the_same_files(tmp_path):
    names = ("gt_img_10.txt", "gt_img_2.txt", "part/gt_img_3.TXT", "__MACOSX/gt_img_2.txt", ".hidden/a.txt", "read.me")
    for name in names:
        (tmp_path / "gt" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "gt" / name).write_text(name)
    expected = [(name, name.encode()) for name in ("gt_img_2.txt", "gt_img_10.txt", "part/gt_img_3.TXT")]
    for path in (tmp_path / "gt", archive(tmp_path / "gt.zip", {name: name for name in names})):
        files = find_text_files(path, ".txt")
        assert [(file.name, file.read()) for file in files] == expected
        assert [(file.stem, file.folder) for file in files][2] == ("gt_img_3", "part")


def test_names_of_any_kind_are_put_in_order(tmp_path):
    for name in ("²", "٣", "b10", "b9", "b" + "9" * 200, "12", "3"):
        (tmp_path / f"{name}.txt").write_text("")
    stems = [file.stem for file in find_text_files(tmp_path, ".txt")]
    assert stems == ["3", "12", "b9", "b10", "b" + "9" * 200, "²", "٣"]


def test_folders_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither a folder nor a zip"):
        find_text_files(tmp_path / "none", ".txt")
    with pytest.raises(FileNotFoundError, match=r"holds no \.txt file"):
        find_text_files(tmp_path, ".txt")


def test_pipes_devices_and_endless_links_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    (tmp_path / "folder").symlink_to(".")
    (tmp_path / "good.txt").write_text("good")
    assert [file.name for file in find_text_files(tmp_path, ".txt")] == ["good.txt"]
    for name in ("pipe.txt", "zero.txt", "folder"):
        with pytest.raises(ValueError, match=f"{name} is no regular file"):
            read_bytes(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "loop.txt")
    with pytest.raises(FileNotFoundError):
        find_text_files(tmp_path / "pipe.txt", ".txt")


def test_a_bad_member_costs_itself(tmp_path):
    path = archive(tmp_path / "gt.zip", {"a.txt": "a" * 100, "b.txt": "b" * 100, "c.txt": "c" * 100})
    data = bytearray(path.read_bytes())
    compressed = zlib.compressobj(wbits=-15)
    start = data.index(compressed.compress(b"b" * 100) + compressed.flush())
    data[start : start + 3] = b"\xff\xff\xff"
    path.write_bytes(data)
    patch(path, 8, b"\x00", b"\x01")  # the flag for encryption, of c.txt
    first, damaged, encrypted = find_text_files(path, ".txt")
    assert first.read() == b"a" * 100
    with pytest.raises(ValueError, match=r"b\.txt in .*gt\.zip is damaged"):
        damaged.read()
    with pytest.raises(ValueError, match=r"c\.txt in .*gt\.zip is encrypted"):
        encrypted.read()


@pytest.mark.parametrize("size", [50, 200])
def test_a_member_whose_size_is_not_as_declared(tmp_path, size):
    path = archive(tmp_path / "gt.zip", {"a.txt": "a" * 100})
    patch(path, 24, (100).to_bytes(4, "little"), size.to_bytes(4, "little"))
    (file,) = find_text_files(path, ".txt")
    with pytest.raises(ValueError, match=r"a\.txt in .* is damaged"):
        file.read()


def test_archives_are_read_within_limits(tmp_path, monkeypatch):
    path = archive(tmp_path / "gt.zip", {"a.txt": b"\0" * 10_000, "b.txt": b"b"})
    monkeypatch.setattr(text_files, "MAX_FILE_BYTES", 5000)
    large, small = find_text_files(path, ".txt")
    assert small.read() == b"b"
    with pytest.raises(ValueError, match="at most 5,000"):
        large.read()
    monkeypatch.setattr(text_files, "MAX_TOTAL_BYTES", 10_000)
    with pytest.raises(ValueError, match="unpacks to 10,001 bytes"):
        find_text_files(path, ".txt")
    monkeypatch.setattr(text_files, "MAX_MEMBERS", 1)
    with pytest.raises(ValueError, match="2 members"):
        find_text_files(path, ".txt")
    monkeypatch.setattr(text_files, "MAX_DIRECTORY_BYTES", 60)
    with pytest.raises(ValueError, match="list of members"):
        find_text_files(path, ".txt")


def test_files_of_a_folder_are_read_within_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MAX_FILE_BYTES", 5000)
    (tmp_path / "a.txt").write_bytes(b"\0" * 5001)
    (file,) = find_text_files(tmp_path, ".txt")
    with pytest.raises(ValueError, match=r"a\.txt has more than the 5,000 bytes"):
        file.read()


def test_other_ways_of_compression_have_no_limit_and_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "gt.zip", "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a.txt", "a")
    (file,) = find_text_files(tmp_path / "gt.zip", ".txt")
    with pytest.raises(ValueError, match="deflation"):
        file.read()


def test_what_is_no_archive(tmp_path):
    path = archive(tmp_path / "gt.zip", {"a.txt": "a"})
    path.write_bytes(path.read_bytes().replace(b"PK\x01\x02", b"XX\x01\x02"))
    with pytest.raises(ValueError, match=r"gt\.zip is a damaged zip archive"):
        find_text_files(path, ".txt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_recognised(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes("Café\r\nx\ry".encode(encoding))
    assert read_text(tmp_path / "a.txt") == "Café\nx\ny"


def test_marks_inside_joined_files_are_left_out():
    assert decode_text("one\r\n".encode("utf-8-sig") * 2, "a.txt") == "one\none\n"


@pytest.mark.parametrize("data", [b"\xff\xfea", b"caf\xe9", b"\xef\xbb\xbf\xe9"])
def test_what_is_not_in_its_encoding(data):
    with pytest.raises(ValueError, match=r"a\.txt is not in UTF"):
        decode_text(data, "a.txt")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_characters_without_a_mark_cost_the_file_not_each_line(tmp_path, encoding):
    """Its photo would else be one without words."""
    line = "1,2,3,4,5,6,7,8,café\r\n".encode(encoding)
    for warn in (None, print):
        with pytest.raises(ValueError, match=r"a\.txt is in UTF-16 or UTF-32"):
            decode_text(line, "a.txt", warn)
    add_image(tmp_path, "a.png")
    add_image(tmp_path, "b.png")
    (tmp_path / "a.txt").write_bytes(line)
    (tmp_path / "b.txt").write_bytes(b"1,2,3,4,5,6,7,8,b\0\n1,2,3,4,5,6,7,8,b\n")
    samples, problems = convert("icdar2015", tmp_path, tmp_path)
    assert [(sample.file_name, len(sample.words)) for sample in samples] == [("b.png", 1)]
    assert problems.count("error") == 2


@pytest.mark.parametrize("content", [b"[" * 100_000, b"9" * 5000, b"{", b"\xff\xfe["])
def test_json_that_is_none(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_json_of_windows(tmp_path):
    (tmp_path / "a.json").write_bytes('{"a": "é"}'.encode("utf-16"))
    assert read_json(tmp_path / "a.json") == {"a": "é"}
    assert parse_json("[NaN]", "a")[0] != 0  # the checks of the entries see it
