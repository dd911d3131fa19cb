"""Lists of words, one a line: lexicons and dictionaries."""

import logging
import os
import re
import unicodedata

from dld_spotter.data.text_files import decode_text, read_bytes

logger = logging.getLogger(__name__)

# Control characters other than white space: no text has them, but UTF-16 without a byte-order mark has NULs.
_CONTROL = re.compile(r"[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")


def normalize_text(text: str) -> str:
    """The one spelling of a text that is compared with others: Unicode composed (NFC), without outer white space.

    NFC makes equal what the Unicode standard calls the same character ("e" with a combining accent and "é"). Other
    characters stay apart, as in the competitions' protocols: full-width and plain letters, straight and curly quotes,
    a no-break space and a space; invisible characters count.
    """
    return unicodedata.normalize("NFC", text).strip()


def read_word_list(path: str | os.PathLike) -> list[str]:
    """The words of a file; see :func:`parse_word_list`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no text.
    """
    return parse_word_list(read_bytes(path), os.fspath(path))


def parse_word_list(content: bytes, place: str) -> list[str]:
    """The words of a list in any Unicode encoding that has a byte-order mark, or in UTF-8; blank lines are left out.

    Text in no Unicode encoding is taken as Windows-1252, with a warning. Messages call the bytes ``place``.

    Raises:
        ValueError: a line holds a control character, such as a NUL; the message names the place and the line.
    """
    lines = decode_text(content, place, logger.warning).split("\n")
    for number, line in enumerate(lines, start=1):
        found = _CONTROL.search(line)
        if found is not None:
            raise ValueError(
                f"{place}, line {number} holds the control character {found[0]!r}, so this is no list of words in "
                "UTF-8 (is it UTF-16 without a byte-order mark?); save it as UTF-8, one word a line."
            )
    # A mark stands inside where files were joined.
    words = (normalize_text(line.replace("\ufeff", "")) for line in lines)
    return [word for word in words if word]
