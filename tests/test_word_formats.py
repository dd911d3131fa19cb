"""CSV, text and hOCR of results, read again by other programs' rules."""

import csv
import io
import re
from xml.etree import ElementTree

import pytest

from dld_spotter.results import TextResult, Word

XHTML = "{http://www.w3.org/1999/xhtml}"
ODD = "a\"b,<c>&'\n\x01\udce9"


def word(text, left, top, score=0.9):
    return Word(
        text, score, 0.95, 0.97, [[left, top], [left + 60.5, top], [left + 60.5, top + 20], [left, top + 20.25]]
    )


def result(**changes):
    words = [word("first", 10, 10), word("line", 80, 10, 0.876), word(ODD, 10, 60)]
    return TextResult(**{"file_name": 'x"y\\z<&>.jpg', "height": 100, "width": 200, "words": words} | changes)


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_a_row_for_each_word():
    found = rows(result().to_csv())
    assert [row["text"] for row in found] == ["first", "line", ODD.replace("\udce9", "\\udce9")]
    assert [row["line"] for row in found] == ["1", "1", "2"] and {row["page"] for row in found} == {""}
    assert found[0]["file_name"] == 'x"y\\z<&>.jpg' and float(found[1]["score"]) == 0.876
    box = [float(found[0][side]) for side in ("left", "top", "right", "bottom")]
    assert box == [10, 10, 70.5, 30.25]
    points = [[float(value) for value in point.split(",")] for point in found[0]["polygon"].split()]
    assert points == result().words[0].polygon
    assert result().to_csv(header=False) == result().to_csv().split("\n", 1)[1]


def test_csv_of_photos_without_words():
    assert rows(result(words=[]).to_csv()) == []
    (row,) = rows(TextResult("gone.jpg", error="gone.jpg: no such file", page=2).to_csv())
    assert row["error"] == "gone.jpg: no such file" and (row["file_name"], row["page"]) == ("gone.jpg", "2")


def test_hocr_is_xhtml_with_boxes_and_confidences():
    document = ElementTree.fromstring(result().to_hocr().encode())
    (page,) = document.iter(f"{XHTML}div")
    assert page.get("class") == "ocr_page"
    assert page.get("title") == 'image "x\\"y\\\\z<&>.jpg"; bbox 0 0 200 100; ppageno 0'
    lines = page.findall(f"{XHTML}span")
    assert [line.get("class") for line in lines] == ["ocr_line"] * 2
    assert lines[0].get("title") == "bbox 10 10 140 30"
    words = [word for line in lines for word in line]
    assert {word.get("class") for word in words} == {"ocrx_word"}
    assert [word.text for word in words] == ["first", "line", "a\"b,<c>&'\n\ufffd\\udce9"]
    assert [re.fullmatch(r"bbox \d+ \d+ \d+ \d+; x_wconf (\d+)", word.get("title"))[1] for word in words] == [
        *("90", "88", "90")
    ]
    identities = [element.get("id") for element in document.iter() if element.get("id")]
    assert len(set(identities)) == len(identities) == 6
    capabilities = [meta.get("content") for meta in document.iter(f"{XHTML}meta") if meta.get("name")]
    assert "ocr_page ocr_line ocrx_word" in capabilities


@pytest.mark.parametrize(("words", "pages"), [([], 1), (None, 0)])
def test_hocr_of_photos_without_words(words, pages):
    given = TextResult("a.jpg", error="gone") if words is None else result(words=words)
    document = ElementTree.fromstring(given.to_hocr())
    assert len(list(document.iter(f"{XHTML}div"))) == pages and not list(document.iter(f"{XHTML}span"))
