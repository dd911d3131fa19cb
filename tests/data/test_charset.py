import time

import pytest
import torch

from dld_spotter.data.charset import END, PAD, Charset


def test_printable95_is_printable_ascii_in_the_stated_order():
    charset = Charset.load("printable95")
    assert set(charset.characters) == {chr(code) for code in range(0x20, 0x7F)}
    assert charset.num_tokens == 97
    assert charset.characters[10] == " " and charset.characters[:10] == tuple("0123456789")
    assert charset.encode("0 a") == [2, 12, 13]


@pytest.mark.parametrize("name, text, read", [("alphanumeric36", "Exit", "exit"), ("alphanumeric62", "Exit", "Exit")])
def test_words_survive_encoding_and_decoding(name, text, read):
    charset = Charset.load(name)
    rows = charset.encode_rows([text, None, "a"])
    assert rows.shape == (3, 5)
    assert rows[0, -1] == END and rows[1].tolist() == [PAD] * 5 and rows[2, 1:].tolist() == [END, PAD, PAD, PAD]
    assert charset.decode(rows) == [read, "", "a"]


def test_decoding_keeps_a_word_without_end_and_skips_padding_inside():
    charset = Charset("abc")
    assert charset.decode(torch.tensor([[2, 3, 4], [2, PAD, 3], [END, 2, 3]])) == ["abc", "ab", ""]


def test_no_words():
    charset = Charset("ab")
    assert charset.encode_rows([]).shape == (0, 1)
    assert charset.decode(torch.zeros(0, 1, dtype=torch.long)) == []


def test_own_file_of_any_language(tmp_path):
    path = tmp_path / "greek.txt"
    path.write_text("\ufeffαβγ\r\nδ é\n", encoding="utf-8")
    charset = Charset.load(str(path))
    assert charset.characters == tuple("αβγδ é")
    assert charset.encode("e\u0301") == [7], "decomposed letters are composed first"
    assert charset.code_points().tolist() == [ord(c) for c in "αβγδ é"]


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"'É'.*INPUT.TEXT.UNKNOWN"):
        Charset.load("alphanumeric62").encode("CAFÉ")
    assert Charset.load("alphanumeric36").unknown("Ünit-5") == ["-", "ü"]
    with pytest.raises(FileNotFoundError, match="MODEL.TEXT.CHARSET 'nowhere'.*alphanumeric36"):
        Charset.load("nowhere")
    with pytest.raises(ValueError, match=r"\['a'\].*more than once"):
        Charset("aba", "my file")
    with pytest.raises(ValueError, match="no characters"):
        Charset("")


def test_a_large_set_loads_at_once(tmp_path):
    characters = "".join(map(chr, range(0x4E00, 0x4E00 + 18_000)))
    (tmp_path / "chinese.txt").write_text(characters, encoding="utf-8")
    start = time.process_time()
    charset = Charset.load(str(tmp_path / "chinese.txt"))
    assert time.process_time() - start < 0.2
    assert "".join(charset.characters) == characters


def test_sets_of_windows_and_damaged_ones(tmp_path):
    path = tmp_path / "set.txt"
    path.write_text("αβγ\n", encoding="utf-16")
    assert Charset.load(str(path)).characters == tuple("αβγ")
    for content in (b"caf\xe9", b"ab\0", b"a\tb", b"\xff\xfea"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"set\.txt"):
            Charset.load(str(path))
