"""Benchmarks with a text file an image: lines of each format, with all their quirks."""

import time
from functools import partial

import pytest
from helpers.converting import kinds, read

from dld_spotter.data.converters.mat_reader import MatReader
from dld_spotter.data.converters.text_folders import (
    parse_icdar2013,
    parse_mlt2017,
    parse_outline,
    parse_points,
    parse_polygon,
    read_lines,
)
from dld_spotter.data.converters.totaltext import read_totaltext


@pytest.mark.parametrize(
    ("parse", "line", "outline", "text", "ignore"),
    [
        (parse_points, "1,2,3,4,5,6,7,8,Exit", [1, 2, 3, 4, 5, 6, 7, 8], "Exit", False),
        (parse_points, "1,2,3,4,5,6,7,8,$1,299, now ", [1, 2, 3, 4, 5, 6, 7, 8], "$1,299, now", False),
        (parse_points, "1,2,3,4,5,6,7,8,###", [1, 2, 3, 4, 5, 6, 7, 8], "###", True),
        (parse_points, "1,2,3,4,5,6,7,8,", [1, 2, 3, 4, 5, 6, 7, 8], "", True),
        (parse_points, '-1.5, 2,3,4,5,6,7,8,"quoted"', [-1.5, 2, 3, 4, 5, 6, 7, 8], '"quoted"', False),
        (partial(parse_points, points=3), "1,2,3,4,5,6,7,8", [1, 2, 3, 4, 5, 6], "7,8", False),
        (parse_icdar2013, '158 128 411 181 "Footpath"', [158, 128, 411, 128, 411, 181, 158, 181], "Footpath", False),
        (parse_icdar2013, '38, 43, 920, 215, "Tiredness"', [38, 43, 920, 43, 920, 215, 38, 215], "Tiredness", False),
        (parse_icdar2013, '1, 2, 3, 4, "say \\"a\\\\b\\", c"', [1, 2, 3, 2, 3, 4, 1, 4], 'say "a\\b", c', False),
        (parse_icdar2013, "18,25,454,25,454,412,18,412,###", [18, 25, 454, 25, 454, 412, 18, 412], "###", True),
        (parse_icdar2013, '1,2,3,4,5,6,7,8,"a"', [1, 2, 3, 4, 5, 6, 7, 8], '"a"', False),
        (parse_mlt2017, "1,2,3,4,5,6,7,8,Latin,a,b", [1, 2, 3, 4, 5, 6, 7, 8], "a,b", False),
        (parse_mlt2017, "1,2,3,4,5,6,7,8,Korean,가", [1, 2, 3, 4, 5, 6, 7, 8], "가", True),
        (parse_mlt2017, "1,2,3,4,5,6,7,8,Latin,###", [1, 2, 3, 4, 5, 6, 7, 8], "###", True),
        (parse_polygon, "1,2,3,4,5,6,Square", [1, 2, 3, 4, 5, 6], "Square", False),
        (parse_polygon, "1,2,3,4,5,6,2010", [1, 2, 3, 4, 5, 6], "2010", False),
        (parse_polygon, "1,2,3,4,5,6,a, b", [1, 2, 3, 4, 5, 6], "a, b", False),
        (parse_polygon, "1,2,3,4,5,6,1,299", [1, 2, 3, 4, 5, 6], "1,299", False),
        (parse_polygon, "1,2,3,4,5,6,####1,299", [1, 2, 3, 4, 5, 6], "1,299", False),
        (parse_polygon, "1,2,3,4,5,6,#######", [1, 2, 3, 4, 5, 6], "###", True),
        (parse_polygon, "1,2,3,4,5,6,nan,a", [1, 2, 3, 4, 5, 6], "nan,a", False),
        (parse_polygon, "1,2,3,4,5,6,1_0,a", [1, 2, 3, 4, 5, 6], "1_0,a", False),
        (parse_icdar2013, '1 ,2\t 3 , 4 "a"', [1, 2, 3, 2, 3, 4, 1, 4], "a", False),
        (parse_outline, "1,2,3,4.5,-5,6,7,8", [1, 2, 3, 4.5, -5, 6, 7, 8], "", True),
        (parse_outline, "1,2,3,4,5,6, ", [1, 2, 3, 4, 5, 6], "", True),
    ],
)
def test_lines(parse, line, outline, text, ignore):
    word = parse(line)
    assert (word.outline, word.text, word.ignore) == (outline, text, ignore)


@pytest.mark.parametrize(
    ("parse", "line"),
    [
        (parse_points, "1,2,3,4,5,6,7,8"),
        (parse_points, "1,2,3,4,5,6,x,8,Exit"),
        (parse_points, "1,2,3,4,5,6,nan,8,Exit"),
        (parse_icdar2013, "1,2,3,4,word"),
        (parse_mlt2017, "1,2,3,4,5,6,7,8,word"),
        (parse_polygon, "word"),
        (parse_polygon, "1,2,3,####word"),
        (parse_points, "1,2,3,4,5,6,7,1e999,Exit"),
        (parse_points, "1,2,3,4,5,6,7,2e6,Exit"),
        (parse_points, f"1,2,3,4,5,6,7,{'9' * 400},Exit"),
        (parse_points, "1,2,3,4,5,6,7,8,Ex\x07it"),
        (parse_outline, "1,2,3,4,5,6,7"),
        (parse_outline, "1,2,3,4,5,6,7,8,Exit"),
    ],
)
def test_lines_that_cannot_be_understood(parse, line):
    with pytest.raises(ValueError, match=r"expected|not a number|infinity|beyond|control|pairs"):
        parse(line)


@pytest.mark.parametrize(
    "data",
    [
        b"\n" * 300_000 + b"x",
        b"x: [[1 2]]" + b"y: [[" * 100_000,
        b"x:" + b"transcriptions: [" * 50_000,
        b"x: [[1]], y: [[1]], transcriptions: [" + b"\\'" * 100_000 + b"]",
        b"1" + b" " * 20_000 + b"2" + b" " * 20_000 + b"3" + b" " * 20_000 + b"4" + b" " * 20_000 + b"x",
        b'1 2 3 4 "' + b'" ' * 50_000 + b"x",
        b"1," * 500_000,
        b"1,2,3,4,5,6,7," + b"9" * 100_000 + b"x,word",
        b"x: [[" + b"9" * 100_000 + b"x]], y: [[1]], transcriptions: [u'a']",
        b"1 2 3 " + b"9" * 100_000 + b'x "a"',
    ],
)
def test_no_file_takes_long(data):
    start = time.process_time()
    for reader in (
        partial(read_totaltext, reader=MatReader()),
        partial(read_lines, parse=parse_icdar2013),
        partial(read_lines, parse=parse_polygon),
    ):
        assert read(data, reader)[0] == []
    assert time.process_time() - start < 2


def test_text_files_with_byte_order_mark_windows_line_ends_and_blank_lines():
    data = b"\xef\xbb\xbf1,2,3,4,5,6,7,8,caf\xc3\xa9\r\n\r\n1,2,3,4,5,6,7,9,b\n"
    words, problems = read(data, partial(read_lines, parse=parse_points))
    assert [word.text for word in words] == ["café", "b"]
    assert words[0].outline == [1, 2, 3, 4, 5, 6, 7, 8]
    assert kinds(problems) == {}


def test_text_files_in_latin_1_are_read_with_a_warning():
    words, problems = read(b"1,2,3,4,5,6,7,8,caf\xe9\n", partial(read_lines, parse=parse_points))
    assert words[0].text == "café"
    assert kinds(problems) == {("warning", "not_utf8"): 1}


def test_text_files_of_windows_are_read():
    """PowerShell writes UTF-16; editors write Windows-1252, where Latin-1 has control characters."""
    line = "1,2,3,4,5,6,7,8,it’s"
    for encoding in ("utf-16", "utf-32"):
        words, problems = read(line.encode(encoding), partial(read_lines, parse=parse_points))
        assert [word.text for word in words] == ["it’s"]
        assert kinds(problems) == {}
    words, problems = read(line.encode("cp1252"), partial(read_lines, parse=parse_points))
    assert [word.text for word in words] == ["it’s"]
    assert kinds(problems) == {("warning", "not_utf8"): 1}


def test_a_bad_line_is_named_and_the_others_go_on():
    words, problems = read(b"1,2,3,4,5,6,7,8,a\n\nnonsense\n1,2,3,4,5,6,7,8,b", partial(read_lines, parse=parse_points))
    assert [word.text for word in words] == ["a", "b"]
    (problem,) = problems.kept
    assert (problem.severity, problem.kind) == ("error", "bad_word")
    assert problem.annotation == "gt_img_1.txt, line 3"


def test_empty_annotation_files():
    assert read(b"", partial(read_lines, parse=parse_points))[0] == []
    assert read(b"", partial(read_totaltext, reader=MatReader()))[0] == []


# Images and their annotation files
