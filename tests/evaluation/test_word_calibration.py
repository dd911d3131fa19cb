"""Right and wrong words, the fitted map and the calibration error, each against an independent computation."""

import json

import numpy as np
import pytest
import toy
from scipy.optimize import minimize

from dld_spotter.calibration import Calibration
from dld_spotter.evaluation.calibration import JudgedWords, describe, fit_calibration, judge_words, reliability
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord, TruthWord
from dld_spotter.runtime.settings import VERSION


def box(x):
    return np.array([[x, 0], [x + 10, 0], [x + 10, 10], [x, 10]], dtype=float)


def words_of(scores, right, confidences=None, images=None):
    image = np.arange(len(scores)) % 4 if images is None else images
    return JudgedWords(int(max(image)) + 1, image, np.array(scores), confidences, np.array(right, dtype=bool))


def test_which_words_are_right():
    truths = [TruthWord(box(0), "Exit"), TruthWord(box(20), "Sale"), TruthWord(box(40), "###", ignore=True)]
    reads = [
        ReadWord(box(20), "salt", 0.8, confidence=0.7),  # misread
        ReadWord(box(0), "EXIT", 0.9, confidence=0.9),  # right, whatever the case
        ReadWord(box(1), "exit", 0.5, confidence=0.2),  # the same word once more
        ReadWord(box(40), "noise", 0.6, confidence=0.3),  # does not count
        ReadWord(box(60), "made up", 0.4, confidence=0.1),
    ]
    judged = judge_words([ImageWords("a", []), ImageWords("b", truths, reads)], Protocol())
    assert judged.images == 2 and judged.image.tolist() == [1] * 4
    assert judged.scores.tolist() == [0.9, 0.8, 0.5, 0.4]
    assert judged.right.tolist() == [True, False, False, False]
    assert judged.confidences.tolist() == [0.9, 0.7, 0.2, 0.1]
    assert len(judge_words([ImageWords("b", truths, reads)], Protocol(score_threshold=0.5)).scores) == 3
    unsure = judge_words([ImageWords("b", truths, [ReadWord(box(0), "exit", 0.9)])], Protocol())
    assert unsure.confidences is None and list(describe(unsure)) == ["score"]
    with pytest.raises(ValueError, match="no word was read"):
        judge_words([ImageWords("b", truths)], Protocol())


def test_the_fit_is_the_likeliest_by_another_optimiser():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.05, 0.99, 400)
    right = rng.uniform(size=400) < 1 / (1 + np.exp(-(1.3 * np.log(scores / (1 - scores)) - 0.7)))
    high, low = (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2)

    def unlikely(values):
        share = 1 / (1 + np.exp(-(values[0] * np.log(scores / (1 - scores)) + values[1])))
        target = np.where(right, high, low)
        return -(target * np.log(share) + (1 - target) * np.log(1 - share)).sum()

    expected = minimize(unlikely, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    found = fit_calibration(scores, right, (0.3, 0.7))
    np.testing.assert_allclose((found.slope, found.intercept), expected, atol=1e-4)
    assert found.words == 400 and found.powers == (0.3, 0.7)


def test_scores_that_tell_all_and_scores_that_tell_nothing():
    scores = np.array([0.1, 0.2, 0.2, 0.8, 0.8, 0.9])
    told = fit_calibration(scores, scores > 0.5, (1, 1))
    assert told.confidence(0.8) > 0.7 and told.confidence(0.2) < 0.3 and told.slope < 100
    with pytest.raises(ValueError, match="scores say nothing"):
        fit_calibration(scores, scores < 0.5, (1, 1))
    with pytest.raises(ValueError, match="6 of 6 words are right"):
        fit_calibration(scores, scores >= 0, (1, 1))


def test_the_error_by_hand():
    # Two groups: 0.2, 0.4 with one right of two, and 0.6, 0.8, of which both are: |0.3 - 0.5| and |0.7 - 1|, halves.
    words = words_of([0.8, 0.2, 0.6, 0.4], [True, False, True, True], images=np.array([0, 0, 1, 1]))
    found = reliability(words, words.scores, groups=2)
    np.testing.assert_allclose(found.said, [0.3, 0.7])
    assert [group.value for group in found.right] == [0.5, 1.0]
    assert found.error.value == pytest.approx((0.2 + 0.3) / 2)
    # Either image alone, or both: of the first (0.2 + 0.2) / 2, of the second (0.6 + 0.4) / 2.
    assert (found.error.low, found.error.high) == (pytest.approx(0.2), pytest.approx(0.5))


def test_true_probabilities_have_a_small_error_and_others_their_own():
    rng = np.random.default_rng(1)
    scores = rng.uniform(size=20_000)
    words = words_of(scores, rng.uniform(size=20_000) < scores, images=rng.integers(0, 50, 20_000))
    assert reliability(words, scores).error.value < 0.015
    assert reliability(words, np.full(20_000, 0.9)).error.value == pytest.approx(0.4, abs=0.02)


def test_the_command_describes_draws_and_fits(tmp_path, capsys):
    tool = toy.load_script("tools/evaluate_json.py")
    truth, read = tmp_path / "gt", tmp_path / "read.json"
    truth.mkdir()
    results = []
    for image in range(10):
        (truth / f"gt_img_{image}.txt").write_text("0,0,10,0,10,10,0,10,exit\n")
        words = [
            {"text": text, "score": score, "confidence": score / 2, "polygon": box(x).tolist()}
            for text, score, x in (("exit", 0.9 if image else 0.4, 0), ("wrong", 0.3 + image / 20, 40))
        ]
        results.append({"file_name": f"img_{image}.jpg", "words": words})
    read.write_text(json.dumps(results))
    settings = {"version": VERSION, "graphs": {}, "network": {}, "characters": "a"}
    (tmp_path / "graphs.json").write_text(json.dumps(settings | {"options": {"TEST.TEXT.SCORE_POWERS": [0.3, 0.7]}}))
    arguments = ["--predictions", str(read), "--ground-truth", str(truth), "--calibration", str(tmp_path / "plot.png")]
    for _ in range(2):  # its own figure is replaced
        assert tool.main([*arguments, "--fit-calibration", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "20 words that count, 10 of them right" in printed
    assert "calibration error of the score: " in printed and "calibration error of the confidence: " in printed
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    fitted = Calibration.read(tmp_path, (0.3, 0.7))
    assert fitted.words == 20 and fitted.confidence(0.9) > 0.5 > fitted.confidence(0.3)
    assert tool.main([*arguments, "--fit-calibration", str(truth)]) == 1
    assert "has no model.yaml" in capsys.readouterr().err
    arguments[-1] = str(read)
    assert tool.main(arguments) == 1
    assert "no figure of this command" in capsys.readouterr().err
