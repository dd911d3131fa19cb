"""What a CTC recogniser takes for likely in each column: the same from PyTorch and graphs, and of use to a lexicon."""

import toy

from dld_spotter import TextPredictor
from dld_spotter.cli import read
from dld_spotter.evaluation.submission import read_predictions

SCENE = toy.ROOT / "projects/DLD/samples/scene_1.jpg"


def test_columns_are_told_by_every_runtime():
    (expected,) = TextPredictor("photos-dld", device="cpu", runtime="torch")(SCENE)
    (found,) = TextPredictor("photos-dld", runtime="onnx")(SCENE)
    assert len(found.words) > 2
    for word, other in zip(found.words, expected.words, strict=True):
        assert word.columns is not None and other.columns is not None
        for column, theirs in zip(word.columns, other.columns, strict=True):
            assert next(iter(column)) == next(iter(theirs))
            for character in column.keys() & theirs.keys():
                assert abs(column[character] - theirs[character]) < 5e-3
        best = [next(iter(column)) for column in word.columns]
        merged = [c for c, before in zip(best, [None, *best], strict=False) if c != before]
        assert "".join(merged) == word.text
    record = found.to_dict()
    assert "columns" not in record["words"][0] and "columns" in found.to_dict(columns=True)["words"][0]


def test_a_lexicon_is_weighed_by_them():
    opts = ["TEST.TEXT.LEXICON_RULE", "likelihood", "TEST.TEXT.SCORE_THRESHOLD", "0.3"]
    predictor = TextPredictor("photos-dld", runtime="onnx", opts=opts)
    (result,) = predictor(SCENE, lexicon=["curtsies", "curtseys", "vapid"])
    assert "curtseys" in [word.text for word in result.words]
    # A list holds no words of two letters: these stay.
    assert {word.text for word in result.words if len(word.text) > 2} <= {"curtsies", "curtseys", "vapid"}


def test_records_tell_them_for_the_evaluation(tmp_path):
    files = tmp_path / "with.json", tmp_path / "without.json"
    for file, more in zip(files, (["--columns"], []), strict=True):
        command = [str(SCENE), "--config-file", "photos-dld", "--runtime", "onnx", "--json", str(file), *more]
        assert read.main(command) == 0
    (told,), (silent,) = (read_predictions(file) for file in files)
    assert all(word.columns and word.det_score for word in told.words)
    assert len(told.words) == len(silent.words) > 2 and not any(word.columns for word in silent.words)
