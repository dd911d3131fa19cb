"""Results as CSV, text and hOCR; JSON is the record of ``TextResult.to_dict``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from dld_spotter import __version__

if TYPE_CHECKING:
    from dld_spotter.results import TextResult, Word

CSV_COLUMNS = (
    *("file_name", "page", "line", "text", "score", "det_score", "text_score", "confidence"),
    *("left", "top", "right", "bottom", "polygon", "error"),
)
HOCR_BEGIN = f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml">
<head>
<title>Words of photos</title>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8"/>
<meta name="ocr-system" content="dld_spotter {__version__}"/>
<meta name="ocr-capabilities" content="ocr_page ocr_line ocrx_word"/>
</head>
<body>
"""
HOCR_END = "</body>\n</html>\n"
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def csv_header() -> str:
    """The line with the names of the columns."""
    return _csv_line(CSV_COLUMNS)


def csv_rows(result: TextResult) -> str:
    """A line for each word in reading order; for a photo that could not be read one with its ``error``.

    ``line`` counts from 1. The box and the polygon are in pixels of the photo; the polygon's points are "x,y", with
    spaces between them.
    """
    page = "" if result.page is None else result.page
    if result.error is not None:
        return _csv_line([result.file_name, page, *[""] * (len(CSV_COLUMNS) - 3), result.error])
    rows = []
    for number, line in enumerate(result.lines, start=1):
        for word in line:
            scores = word.score, word.det_score, word.text_score, "" if word.confidence is None else word.confidence
            points = " ".join(f"{x:g},{y:g}" for x, y in word.polygon)
            box = (f"{value:g}" for value in _box([word]))
            rows.append(_csv_line([result.file_name, page, number, word.text, *scores, *box, points, ""]))
    return "".join(rows)


def text_block(result: TextResult) -> str:
    """The name of a photo, its lines below it, and an empty line; nothing for a photo that could not be read."""
    if result.error is not None:
        return ""
    name = result.file_name if result.page is None else f"{result.file_name} (page {result.page})"
    return printable("\n".join([f"{name}:", *([result.text] if result.words else []), "", ""]))


def hocr_page(result: TextResult, number: int) -> str:
    """An ``ocr_page`` with ``ocr_line`` and ``ocrx_word``; nothing for a photo that could not be read.

    Args:
        result: of one photo.
        number: of the page in its file, from 1.
    """
    if result.error is not None:
        return ""
    name = result.file_name.replace("\\", "\\\\").replace('"', '\\"')
    title = f'image "{name}"; bbox 0 0 {result.width} {result.height}; ppageno {number - 1}'
    parts = [f'<div class="ocr_page" id="page_{number}" title="{_xml(title)}">\n']
    count = 0
    for index, line in enumerate(result.lines, start=1):
        parts.append(f'<span class="ocr_line" id="line_{number}_{index}" title="bbox {_bbox(line)}">')
        words = []
        for word in line:
            count += 1
            sure = word.score if word.confidence is None else word.confidence
            confidence = round(100 * min(max(sure, 0), 1))
            title = f"bbox {_bbox([word])}; x_wconf {confidence}"
            words.append(f'<span class="ocrx_word" id="word_{number}_{count}" title="{title}">{_xml(word.text)}</span>')
        parts.append(" ".join(words) + "</span><br/>\n")
    return "".join([*parts, "</div>\n"])


def hocr(result: TextResult) -> str:
    """A whole document of one page."""
    return HOCR_BEGIN + hocr_page(result, 1) + HOCR_END


def printable(text: str) -> str:
    """A text that can be written in UTF-8: bytes of a file name that are no UTF-8 are escaped, not lost."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _csv_line(values: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return printable(line.getvalue())


def _box(words: Sequence[Word]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of words in pixels."""
    xs, ys = zip(*(point for word in words for point in word.polygon), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _bbox(words: Sequence[Word]) -> str:
    """As hOCR has it: whole pixels."""
    return " ".join(str(round(value)) for value in _box(words))


def _xml(text: str) -> str:
    """Escaped, for text and attributes; characters that XML does not have become U+FFFD."""
    return _NOT_IN_XML.sub("\ufffd", escape(printable(text)))
