"""Files that are whole whenever the disk is full or Ctrl-C comes."""

import resource
from contextlib import contextmanager

import pytest

from dld_spotter.growing_file import GrowingFile

PARTS = [b"one", b"second", b"3"]


@contextmanager
def full_at(size):
    """No file can become larger than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_end_stands_behind_each_addition(tmp_path):
    with GrowingFile(tmp_path / "deep" / "f", b"<", b">\n") as file:
        assert file.path.read_bytes() == b"<>\n"
        for number, part in enumerate(PARTS, start=1):
            file.add(part)
            assert file.path.read_bytes() == b"<" + b"".join(PARTS[:number]) + b">\n"
    with GrowingFile(tmp_path / "deep" / "f", b"<", b"]", kept=4) as file:
        assert file.path.read_bytes() == b"<one]"


@pytest.mark.parametrize("size", range(2, 13))
def test_a_full_disk_takes_away_nothing(tmp_path, size):
    path = tmp_path / "f"
    with GrowingFile(path, b"<", b">") as file:
        with full_at(size):
            fitting = 0
            for part in PARTS:
                try:
                    file.add(part)
                except OSError as error:
                    assert "f cannot be written (File too large)" in str(error)
                    break
                fitting += 1
        assert path.read_bytes() == b"<" + b"".join(PARTS[:fitting]) + b">"
        for part in PARTS[fitting:]:  # there is room again
            file.add(part)
    assert path.read_bytes() == b"<" + b"".join(PARTS) + b">"


def test_an_interruption_takes_away_nothing(tmp_path, monkeypatch):
    with GrowingFile(tmp_path / "f", b"<", b">") as file:
        file.add(PARTS[0])
        stream = file._stream

        class Interrupted:
            """Half of a long content is written when Ctrl-C comes."""

            def write(self, content):
                if len(content) > 2:
                    stream.write(content[:3])
                    raise KeyboardInterrupt
                return stream.write(content)

            def __getattr__(self, name):
                return getattr(stream, name)

        monkeypatch.setattr(file, "_stream", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            file.add(PARTS[1])
        assert file.path.read_bytes() == b"<one>"
