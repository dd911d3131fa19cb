"""Scores: counts made by hand, the published numbers of real predictions, the ground truth as a prediction."""

from dataclasses import replace

import numpy as np
import pytest

from dld_spotter.evaluation.ground_truth import PredictedImage, read_ground_truth
from dld_spotter.evaluation.lexicon import ImageLexicons, Lexicon
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord, TruthWord
from dld_spotter.evaluation.scoring import Score, count_images, evaluate_words
from dld_spotter.evaluation.submission import read_predictions
from dld_spotter.evaluation.transcription import dictionary_word


def box(left, width=10.0):
    return np.array([[left, 0], [left + width, 0], [left + width, 10], [left, 10]])


# Words side by side; what was read in them, and why it counts as it does.
FIRST = ImageWords(
    "1",
    [
        TruthWord(box(0), "Exit!"),
        TruthWord(box(20), "JOHN'S"),
        TruthWord(box(40), "A4"),
        TruthWord(box(60), "###", ignore=True),
        TruthWord(box(80), "missed"),
    ],
    [
        ReadWord(box(1), "EXIT", 0.9),  # IoU 9 / 11: right end-to-end, right in word spotting
        ReadWord(box(0), "EXIT!", 0.8),  # the word is taken: a false positive
        ReadWord(box(20), "JOHN", 0.7),  # wrong end-to-end, right in word spotting
        ReadWord(box(40), "A4", 0.6),  # right end-to-end; do not care in word spotting
        ReadWord(box(60, 18), "junk", 0.5),  # 10 / 18 in the don't-care region: ignored
        ReadWord(box(200), "noise", 0.4),  # a false positive
        ReadWord(box(80), "missed", 0.1),  # below the score threshold
    ],
)
SECOND = ImageWords("2", [TruthWord(box(0), "Lost")])  # no predictions: a miss
RULES = Protocol(score_threshold=0.2)


def counts(evaluation):
    return {task: (s.correct, s.truths, s.detections) for task, s in evaluation.scores.items()}


def test_counts_by_hand():
    evaluation = evaluate_words([FIRST, SECOND], RULES, {"none": None})
    assert counts(evaluation) == {
        "detection": (3, 5, 5),
        "e2e_none": (2, 5, 5),
        "word_spotting_none": (2, 4, 4),
    }
    assert evaluation.results()["e2e_none"] == pytest.approx({"precision": 0.4, "recall": 0.4, "hmean": 0.4})
    # EXIT! and EXIT: 1 of 5; JOHN'S and JOHN: 2 of 6; A4: 0.
    assert evaluation.results()["ned_none"]["one_minus_ned"] == pytest.approx(1 - (1 / 5 + 2 / 6) / 3)
    assert (evaluation.num_images, evaluation.num_reads) == (2, 6)
    assert evaluation.samples == [("Exit!", "EXIT"), ("JOHN'S", "JOHN"), ("A4", "A4")]


def test_protocol_changes_the_counts():
    images = [FIRST, SECOND]
    everything = evaluate_words(images, replace(RULES, score_threshold=0.0), {"none": None})
    assert counts(everything)["e2e_none"] == (3, 5, 6)
    sensitive = evaluate_words(images, replace(RULES, case_sensitive=True), {"none": None})
    assert counts(sensitive)["e2e_none"] == (1, 5, 5)
    strict = evaluate_words(images, replace(RULES, iou_threshold=0.9), {"none": None})
    assert counts(strict)["e2e_none"] == (2, 5, 6)  # "EXIT!" finds its word now; the ignored one counts as false
    long_words = evaluate_words(images, replace(RULES, min_word_length=5), {"none": None})
    # "missed" alone is long enough; the detections of the others lie in don't care now, but for the noise.
    assert counts(long_words)["word_spotting_none"] == (0, 1, 1)


def test_counts_of_the_images_add_up_to_the_scores():
    rng = np.random.default_rng(0)
    images = [FIRST, SECOND, ImageWords("3", [])]
    for key in range(4, 30):
        truths = [TruthWord(box(20 * i), text, bool(rng.integers(2))) for i, text in enumerate(("Exit!", "A4", "sale"))]
        texts = rng.choice(["exit", "A4", "5ale", "JOHN"], 3)
        reads = [ReadWord(box(20 * i + rng.integers(6)), str(text), rng.random()) for i, text in enumerate(texts)]
        images.append(ImageWords(str(key), truths, reads))
    lists = {image.key: Lexicon(["EXIT", "SALE"]) for image in images}
    lexicons = {"none": None, "generic": Lexicon(["EXIT", "JOHN'S"]), "strong": ImageLexicons(lists, "lists")}
    by_image = count_images(images, RULES, lexicons)
    assert {task: tuple(c.sum(axis=0).tolist()) for task, c in by_image.items()} == counts(
        evaluate_words(images, RULES, lexicons)
    )
    assert by_image["e2e_none"][:3].tolist() == [[2, 4, 5], [0, 1, 0], [0, 0, 0]]
    with pytest.raises(ValueError, match="no images"):
        count_images([], RULES, lexicons)


def test_highest_score_is_matched_first_whatever_the_order():
    reversed_reads = replace(FIRST, reads=FIRST.reads[::-1])
    assert counts(evaluate_words([reversed_reads, SECOND], RULES, {"none": None})) == counts(
        evaluate_words([FIRST, SECOND], RULES, {"none": None})
    )


def test_lexicons_are_applied_to_the_same_detections():
    image = ImageWords(
        "1",
        [TruthWord(box(0), "Exit"), TruthWord(box(20), "Sale")],
        [ReadWord(box(0), "exlt"), ReadWord(box(20), "5ale")],
    )
    lexicons = {
        "none": None,
        "generic": Lexicon(["EXIT", "SALE"]),
        "strong": ImageLexicons({"1": Lexicon(["EXTRA"])}, "lists"),
    }
    evaluation = evaluate_words([image, SECOND], Protocol(), lexicons)
    correct = {task: score.correct for task, score in evaluation.scores.items()}
    # "5ale" has a digit, and stays; the strong list turns "exlt" into EXTRA.
    assert (correct["e2e_none"], correct["e2e_generic"], correct["e2e_strong"]) == (0, 1, 0)
    assert correct["word_spotting_generic"] == 1
    assert evaluation.similarities["generic"] == pytest.approx(1 - (0 + 1 / 4) / 2)
    assert evaluation.similarities["strong"] == pytest.approx(1 - (3 / 5 + 1 / 4) / 2)
    assert evaluation.protocols["e2e_strong"].lexicon == "strong"
    assert "lexicon strong, nearest" in evaluation.table() and "IoU > 0.5" in evaluation.table()


def test_one_task_alone():
    evaluation = evaluate_words([FIRST], RULES, {"none": None}, ["word_spotting"])
    assert list(evaluation.results()) == ["detection", "word_spotting_none"]


@pytest.mark.parametrize(
    "images",
    [
        [],
        [ImageWords("1", [])],
        [ImageWords("1", [TruthWord(box(0), "###", ignore=True)])],
        [ImageWords("1", [], [ReadWord(box(0), "a")])],
        [SECOND],
    ],
)
def test_nothing_to_divide_by(images):
    results = evaluate_words(images, Protocol(), {"none": None}).results()
    results.pop("lost", None)
    assert all(value == 0 for metrics in results.values() for value in metrics.values())


def test_score():
    assert Score(3, 4, 6).metrics() == {"precision": 0.5, "recall": 0.75, "hmean": pytest.approx(0.6)}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"iou_threshold": 1.5}, "IoU threshold is 1.5"),
        ({"lexicon_rule": "closest"}, "lexicon rule is 'closest'"),
        ({"min_word_length": -1}, "cannot be negative"),
    ],
)
def test_bad_protocol(options, problem):
    with pytest.raises(ValueError, match=problem):
        Protocol(**options)


def test_published_numbers_of_mango_on_icdar2013(real_data):
    truth = read_ground_truth(real_data / "eval" / "gt" / "gt-icdar2013.zip")
    predictions = read_predictions(real_data / "eval" / "predictions" / "mango_r50_ic13_none.zip")
    evaluation = evaluate_words(truth.pair(predictions), Protocol(iou_threshold=0.1), {"none": None})
    assert (evaluation.scores["e2e_none"].truths, evaluation.num_reads) == (917, 1038)
    rounded = {
        task: {name: round(value, 4) for name, value in metrics.items()}
        for task, metrics in evaluation.results().items()
    }
    assert rounded["detection"] == {"recall": 0.9269, "precision": 0.9626, "hmean": 0.9444}
    assert rounded["e2e_none"] == {"recall": 0.795, "precision": 0.8256, "hmean": 0.81}


@pytest.mark.parametrize(
    ("name", "num_images", "num_words"),
    [("gt-icdar2013", 233, 917), ("gt-icdar2015", 500, 2077), ("total-text-gt", 300, 2215)],
)
def test_ground_truth_as_prediction(real_data, name, num_images, num_words):
    truth = read_ground_truth(real_data / "eval" / "gt" / f"{name}.zip")
    as_read = [
        PredictedImage([ReadWord(w.polygon, w.text) for w in image.words if not w.ignore], file_name=image.file_name)
        for image in truth.images
    ]
    evaluation = evaluate_words(truth.pair(as_read), Protocol(), {"none": None})
    assert len(truth) == num_images
    assert counts(evaluation)["detection"] == counts(evaluation)["e2e_none"] == (num_words,) * 3

    # Word spotting compares with the cleaned words, so these are what a perfect reader gives.
    cleaned = [
        replace(image, words=[replace(w, text=dictionary_word(w.text) or w.text) for w in image.words])
        for image in as_read
    ]
    spotting = evaluate_words(truth.pair(cleaned), Protocol(), {"none": None}).scores["word_spotting_none"]
    assert spotting.correct == spotting.detections
    # In ICDAR 2015 one word lies inside another that word spotting does not care for.
    assert spotting.truths - spotting.correct == (1 if name == "gt-icdar2015" else 0)
