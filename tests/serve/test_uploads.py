"""What a sender calls a photo becomes a label."""

import pytest

from dld_spotter.serve.uploads import int_or_zero, plain_name


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("door.jpg", "door.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\door.jpg", "door.jpg"),
        ("a\0b\nc.png", "abc.png"),
        ("", "photo"),
        ("/", "photo"),
        ("ü" * 300, "ü" * 200),
    ],
)
def test_names(name, plain):
    assert plain_name(name) == plain


@pytest.mark.parametrize(("text", "number"), [(None, 0), ("", 0), ("12", 12), ("-1", 0), ("1e9", 0), ("٣", 0)])
def test_lengths(text, number):
    assert int_or_zero(text) == number
