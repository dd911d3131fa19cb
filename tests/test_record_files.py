"""Files of records: whole after each record, cut off anywhere and gone on with, never replaced unasked."""

import json
import os

import pytest

from dld_spotter.record_files import RecordFile, read_records

RECORDS = [
    {"file_name": "a.jpg", "words": [{"text": "caf\u00e9, [x]\n\u2028"}]},
    {"file_name": "b.jpg", "error": "b.jpg: empty"},
    {"file_name": os.fsdecode(b"\xff\xe4.jpg"), "words": []},
]


def content(path, lines):
    text = path.read_bytes().decode("utf-8")
    return [json.loads(line) for line in text.split("\n") if line] if lines else json.loads(text)


@pytest.mark.parametrize("lines", [True, False])
def test_the_file_is_whole_after_each_record(tmp_path, lines):
    path = tmp_path / "deep" / "words.json"
    with RecordFile(path, lines) as records:
        for number in range(len(RECORDS) + 1):
            assert content(path, lines) == RECORDS[:number] == list(read_records(path))
            if number < len(RECORDS):
                records.write(RECORDS[number])
    assert content(path, lines) == RECORDS
    assert os.fsencode(RECORDS[2]["file_name"]) == os.fsencode(content(path, lines)[2]["file_name"])
    assert path.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("lines", [True, False])
def test_a_file_that_was_cut_off_anywhere_is_gone_on_with(tmp_path, lines):
    path = tmp_path / "words.json"
    with RecordFile(path, lines) as records:
        for record in RECORDS:
            records.write(record)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        kept = list(read_records(path))
        assert kept == RECORDS[: len(kept)]
        with RecordFile(path, lines, resume=True) as records:
            assert content(path, lines) == kept
            for record in RECORDS[len(kept) :]:
                records.write(record)
        assert path.read_bytes() == whole
    with RecordFile(tmp_path / "new.json", lines, resume=True):
        assert content(tmp_path / "new.json", lines) == []


def test_a_file_of_another_run_is_kept_unless_it_is_to_be_replaced(tmp_path):
    path = tmp_path / "words.json"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="words.json"):
        RecordFile(path)
    for other in ("mine\nyours\n", '[\n{"images": []}\n]\n', json.dumps([{"file_name": "a"}], indent=1), "1\n", "mine"):
        path.write_text(other)
        with pytest.raises(ValueError, match="words.json: line [12] "):
            RecordFile(path, resume=True)
        assert path.read_text() == other
    with RecordFile(path, overwrite=True) as records:
        records.write(RECORDS[0])
    assert content(path, False) == RECORDS[:1]


def test_numbers_that_json_does_not_have_leave_the_file_whole(tmp_path):
    with RecordFile(tmp_path / "words.json") as records:
        records.write(RECORDS[0])
        with pytest.raises(ValueError, match="JSON"):
            records.write({"file_name": "b", "scale": float("nan")})
        records.write(RECORDS[1])
    assert content(tmp_path / "words.json", False) == RECORDS[:2]
