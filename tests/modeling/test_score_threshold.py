"""The score of a word, and the threshold that acts in every model."""

import numpy as np
import pytest
import torch
import toy
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from helpers.toy_words import CHARSET, toy_batch

from dld_spotter.data.charset import END, PAD
from dld_spotter.modeling.score_threshold import WordScoring

FINDS = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, "TEST.DETECTIONS_PER_IMAGE", 8)
METHODS = {
    "spotter": (),
    "dld": ("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.DLD.SCALES", (1.0,), "MODEL.DLD.TEACHER", False),
}


def found(det_scores, text_scores, texts):
    count = len(texts)
    instances = Instances((40, 60), pred_boxes=Boxes(torch.tensor([[2.0, 2, 30, 20]]).repeat(count, 1)))
    instances.scores, instances.pred_text_scores = torch.tensor(det_scores), torch.tensor(text_scores)
    instances.pred_text = CHARSET.encode_rows(texts)
    return instances


@pytest.mark.parametrize("powers", [(1.0, 1.0), (0.5, 0.5), (0.25, 2.0), (0.0, 1.0)])
def test_scores_are_combined_and_the_bound_loses_no_word(powers):
    rng, scoring = np.random.default_rng(0), WordScoring(0.4, powers)
    det, text = rng.random((2, 500)).astype(np.float32)
    combined = scoring.combine(torch.from_numpy(det), torch.from_numpy(text)).numpy()
    np.testing.assert_allclose(combined, det.astype(np.float64) ** powers[0] * text ** powers[1], rtol=1e-5)
    assert np.all(det[combined >= 0.4] >= scoring.least_det_score)
    # No bound is tighter: with a sure text a detection of just that score is kept.
    sure = scoring.combine(torch.tensor([scoring.least_det_score + 1e-4]), torch.ones(1)).item()
    assert sure >= 0.4 and (scoring.least_det_score > 0) == (powers[0] > 0)


def test_words_below_the_threshold_and_empty_ones_are_left_out():
    words = found([0.9, 0.9, 0.5, 0.9], [0.9, 0.5, 0.9, 0.9], ["a", "b", "c", "d"])
    words.pred_text[3] = PAD
    words.pred_text[3, 0] = END
    kept = WordScoring(0.5).finish(words, {"height": 80, "width": 120}, (40, 60))
    assert CHARSET.decode(kept.pred_text) == ["a"] and kept.image_size == (80, 120)
    assert kept.pred_word_scores.tolist() == pytest.approx([0.81])
    torch.testing.assert_close(kept.pred_boxes.tensor, torch.tensor([[4.0, 4, 60, 40]]))


def test_words_of_the_empty_text_are_kept_where_recognition_does_not_count():
    words = found([0.9, 0.4, 0.9], [0.1, 0.9, 0.1], ["a", "b", "c"])
    words.pred_text[2] = PAD
    words.pred_text[2, 0] = END
    kept = WordScoring(0.5, (1.0, 0.0)).finish(words, {"height": 80, "width": 120}, (40, 60))
    assert CHARSET.decode(kept.pred_text) == ["a", ""]
    assert kept.pred_word_scores.tolist() == pytest.approx([0.9, 0.9])


@pytest.mark.parametrize("powers", [(1.0,), (1.0, -1.0)])
def test_powers_that_make_no_sense_are_refused(powers):
    with pytest.raises(ValueError, match=r"TEST\.TEXT\.SCORE_POWERS"):
        WordScoring.from_config(toy.tiny_cfg("TEST.TEXT.SCORE_POWERS", powers))


def recognised(model, batch):
    """What a model returns, and how many words it recognised for it."""
    spotter, counts = getattr(model, "student", model), []
    greedy = spotter.recogniser().greedy
    spotter.recogniser().greedy = lambda roi: counts.append(len(roi)) or greedy(roi)
    return [output["instances"] for output in model(batch)], sum(counts)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("powers", [(1.0, 1.0), (0.2, 0.8)])
def test_a_model_returns_the_words_that_reach_the_threshold_and_recognises_no_others(method, powers):
    options, batch = (*FINDS, *METHODS[method], "TEST.TEXT.SCORE_POWERS", powers), toy_batch((2, 1))
    model = build_model(toy.tiny_cfg(*options)).eval()
    everything, all_recognised = recognised(model, batch)
    scores = torch.cat([words.scores ** powers[0] * words.pred_text_scores ** powers[1] for words in everything])
    torch.testing.assert_close(scores, torch.cat([words.pred_word_scores for words in everything]))
    threshold = scores.median().item()

    strict = build_model(toy.tiny_cfg(*options, "TEST.TEXT.SCORE_THRESHOLD", threshold)).eval()
    strict.load_state_dict(model.state_dict())
    kept, few_recognised = recognised(strict, batch)
    for words, all_words in zip(kept, everything, strict=True):
        expected = all_words[all_words.pred_word_scores >= threshold]
        torch.testing.assert_close(words.pred_boxes.tensor, expected.pred_boxes.tensor)
        torch.testing.assert_close(words.pred_word_scores, expected.pred_word_scores)
        assert torch.equal(words.pred_masks, expected.pred_masks)
    assert 0 < sum(map(len, kept)) < sum(map(len, everything))
    possible = sum(int((words.scores ** powers[0] >= threshold).sum()) for words in everything)
    assert few_recognised == possible <= all_recognised


def test_detectron2_s_own_predictor_has_the_threshold_too():
    cfg = toy.tiny_cfg(*FINDS, "DATASETS.TEST", ())
    image = toy_batch((2,))[0]["image"].permute(1, 2, 0).numpy()
    scores = []
    for threshold in (0.0, 2.0):
        cfg.TEST.TEXT.SCORE_THRESHOLD = threshold
        torch.manual_seed(0)
        scores.append(DefaultPredictor(cfg)(image)["instances"].pred_word_scores)
    assert len(scores[0]) > 0 and len(scores[1]) == 0
