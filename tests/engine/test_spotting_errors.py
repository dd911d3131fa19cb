"""What spotting at each scale gets wrong."""

import numpy as np
import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from test_selector_fitting import toy_cfg

from dld_spotter.data.charset import Charset
from dld_spotter.engine.spotting_errors import measure_spotting_errors
from dld_spotter.evaluation.ground_truth import GroundTruth, TruthImage
from dld_spotter.evaluation.protocol import Protocol, TruthWord

CHARSET = Charset.load("alphanumeric36")
PLACES = {"left": (0, 0, 20, 10), "right": (40, 0, 60, 10), "below": (0, 30, 20, 40)}
# By image and scale: what is read where, and how surely.
FOUND = {
    1: {0.5: [("left", "exit", 0.9), ("below", "wall", 0.4)], 1.0: [("left", "exit", 0.9), ("right", "way", 0.9)]},
    2: {0.5: [], 1.0: [("left", "shop", 0.9)]},
    3: {0.5: [("below", "tree", 0.9)], 1.0: []},
}


class Scripted(torch.nn.Module):
    """Finds what FOUND says at the scale that it is told."""

    scales = (0.5, 1.0)
    fixed_scale = 0.25

    def forward(self, batch):
        return [{"instances": self.instances(FOUND[record["image_id"]][self.fixed_scale])} for record in batch]

    def instances(self, words):
        found = Instances((48, 64))
        boxes = torch.tensor([PLACES[place] for place, _, _ in words], dtype=torch.float32).reshape(-1, 4)
        found.pred_boxes, found.scores = Boxes(boxes), torch.tensor([score for _, _, score in words])
        masks = torch.zeros(len(words), 48, 64, dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.long(), strict=True):
            mask[y1:y2, x1:x2] = True
        found.pred_masks = masks
        found.pred_text = CHARSET.encode_rows([text for _, text, _ in words])
        found.pred_text_scores = torch.ones(len(words))
        return found


def rectangle(x1, y1, x2, y2):
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=float)


def word(place, text, ignore=False):
    return TruthWord(rectangle(*PLACES[place]), text, ignore)


def truth():
    """In another order than the images are read in, with one that is not read."""
    words = {
        3: [],
        9: [word("left", "unseen")],
        1: [word("left", "exit"), word("right", "away")],
        2: [word("left", "stop"), word("right", "", ignore=True)],
    }
    return GroundTruth([TruthImage(f"{i}.jpg", i, annotated) for i, annotated in words.items()], "toy")


def measure(**protocol):
    batches = [[{"image_id": 1}, {"image_id": 2}], [{"image_id": 3}]]
    model = Scripted()
    losses = measure_spotting_errors(model, batches, truth(), CHARSET, Protocol(**protocol), total=2)
    assert model.fixed_scale == 0.25
    return losses


def test_words_that_are_missed_made_up_or_misread():
    losses = measure()
    assert losses.units.tolist() == [2, 1, 0]
    # Image 1 at 0.5: one right, one missed, one made up; at 1: one right, one misread.
    # Image 2 at 0.5: one missed; at 1: one misread. Image 3 at 0.5: one made up.
    assert losses.lost.tolist() == [[1.0, 1.0], [0.5, 1.0], [0.5, 0.0]]


def test_detections_that_do_not_count():
    assert measure(score_threshold=0.5).lost.tolist()[0] == [0.5, 1.0]


def test_the_harmonic_mean_is_what_is_not_lost():
    """Of the three images at scale 1: one right of three words and three detections."""
    losses = measure()
    words, detections, right = 3, 3, 1
    hmean = 2 * right / (words + detections)
    assert 1 - 2 * losses.lost[:, 1].sum() / (words + detections) == pytest.approx(hmean)


def test_the_tool_fits_by_it(tmp_path, capsys):
    tool = toy.load_script("tools/fit_selector.py")
    json_file, images = toy.write_toy_dataset(tmp_path, 4)
    cfg = toy_cfg("DATASETS.CUSTOM", [["spotting_toy", images, json_file]], "MODEL.DLD.TEACHER", False)
    (tmp_path / "toy.yaml").write_text(cfg.dump(), encoding="utf-8")
    torch.save({"model": build_model(cfg).state_dict()}, tmp_path / "student.pth")
    options = ["--config-file", str(tmp_path / "toy.yaml"), "--data-set", "spotting_toy", "--iterations", "2"]
    options += ["--by", "spotting", "--held-out", "0.5", "--gammas", "0.1", "--output", str(tmp_path / "out")]
    assert tool.main([*options, "MODEL.WEIGHTS", str(tmp_path / "student.pth")]) == 0
    assert "2 images, gamma 0.1: lost" in capsys.readouterr().out
    assert (tmp_path / "out" / "gamma0.1.pth").is_file()
