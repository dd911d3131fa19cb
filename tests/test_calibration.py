"""The map from scores to confidences: against the formula by hand, its inverse, and through the readers."""

import json
import shutil

import pytest
import toy

from dld_spotter import TextPredictor
from dld_spotter.calibration import FILE, Calibration, Thresholds
from dld_spotter.pretrained import model_folder, pretrained_models
from dld_spotter.results import TextResult

SCENE = toy.ROOT / "projects/DLD/samples/scene_1.jpg"
HALVES = Calibration(2.0, -1.0, (1.0, 1.0), 100)


def test_confidence_by_hand():
    # logit(0.8) = log 4, so 1 / (1 + exp(-(2 log 4 - 1))) = 16 / (16 + e).
    assert HALVES.confidence(0.8) == pytest.approx(16 / (16 + 2.718281828))
    assert 0 < HALVES.confidence(0.0) < HALVES.confidence(0.3) < HALVES.confidence(0.31) < HALVES.confidence(1.0) < 1


@pytest.mark.parametrize("confidence", [0.05, 0.5, 0.9, 0.999])
def test_the_least_score_is_the_inverse(confidence):
    score = HALVES.least_score(confidence)
    assert HALVES.confidence(score) == pytest.approx(confidence)


def test_the_ends_of_the_least_score():
    assert HALVES.least_score(0.0) == 0.0
    assert HALVES.confidence(HALVES.least_score(HALVES.confidence(1.0))) == HALVES.confidence(1.0)
    with pytest.raises(ValueError, match="the highest is 1.0000"):
        HALVES.least_score(1.0)
    with pytest.raises(ValueError, match=r"90; it must lie in \[0, 1\]"):
        HALVES.least_score(90)
    with pytest.raises(ValueError, match="--fit-calibration"):
        Thresholds(confidence=0.9).least_score(None)


def test_files_and_their_errors(tmp_path):
    assert Calibration.read(tmp_path, (1, 1)) is None
    HALVES.write(tmp_path)
    assert Calibration.read(tmp_path, (1, 1)) == HALVES
    assert Calibration.read(tmp_path, (0.3, 0.7)) is None, "scores of other powers are other scores"
    for damaged in ("{", "[]", '{"slope": 1}', '{"slope": -1, "intercept": 0, "powers": [1, 1], "words": 3}'):
        (tmp_path / FILE).write_text(damaged)
        with pytest.raises(ValueError, match=f"{FILE} is damaged"):
            Calibration.read(tmp_path, (1, 1))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A copy of a model, with a calibration."""
    folder = tmp_path_factory.mktemp("calibrated") / "model"
    shutil.copytree(model_folder("photos-dld"), folder)
    Calibration(1.5, -2.0, (0.3, 0.7), 100).write(folder)
    return folder


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_readers_tell_confidences_and_keep_their_words(model, runtime):
    config = model / "model.yaml" if runtime == "torch" else model
    calibration = Calibration.read(model, (0.3, 0.7))
    (told,) = TextPredictor(config, runtime=runtime)(SCENE)
    (model / FILE).rename(model / "away")
    (plain,) = TextPredictor(config, runtime=runtime)(SCENE)
    (model / "away").rename(model / FILE)
    assert len(plain.words) > 2 and all("confidence" not in word.to_dict() for word in plain.words)
    assert [(w.text, w.score, w.polygon) for w in told.words] == [(w.text, w.score, w.polygon) for w in plain.words]
    for word in told.words:
        assert word.confidence == pytest.approx(calibration.confidence(word.score), abs=1e-4)
    assert TextResult.from_dict(json.loads(told.to_json())).words == told.words
    assert ",confidence,left," in told.to_csv() and f",{told.words[0].confidence}," in told.to_csv()
    assert f"x_wconf {round(100 * told.words[0].confidence)}" in told.to_hocr()


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_the_least_confidence_stands_in_place_of_the_score_threshold(model, runtime):
    config = model / "model.yaml" if runtime == "torch" else model
    (every,) = TextPredictor(config, runtime=runtime, min_confidence=0.0)(SCENE)
    sure = sorted(word.confidence for word in every.words)
    assert min(word.score for word in every.words) < 0.75, "more words than the model's own threshold gives"
    wanted = (sure[-3] + sure[-4]) / 2
    (some,) = TextPredictor(config, runtime=runtime, min_confidence=wanted)(SCENE)
    assert sorted(word.confidence for word in some.words) == sure[-3:]
    with pytest.raises(ValueError, match="a least confidence needs"):
        TextPredictor(config, runtime=runtime, min_confidence=0.5, opts=["TEST.TEXT.SCORE_POWERS", "(1.0, 1.0)"])


def test_words_of_a_lexicon_have_none(model):
    (result,) = TextPredictor(model, runtime="onnx")(SCENE, lexicon=["word"])
    assert result.words and all(word.confidence is None for word in result.words)


@pytest.mark.parametrize("name", [name for name in pretrained_models() if name.startswith("photos")])
def test_models_for_photos_have_one(name):
    powers = json.loads((model_folder(name) / "graphs.json").read_text())["options"]["TEST.TEXT.SCORE_POWERS"]
    calibration = Calibration.read(model_folder(name), powers)
    assert calibration is not None and calibration.words > 500
