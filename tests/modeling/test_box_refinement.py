"""Found boxes that the box head looks at again."""

import pytest
import torch
import toy
from detectron2.modeling import StandardROIHeads, build_model
from detectron2.structures import Boxes, Instances

TARGET = torch.tensor([[20.0, 10.0, 60.0, 30.0], [80.0, 70.0, 136.0, 110.0]])


@pytest.mark.parametrize("refinements", [0, 1, 3])
def test_boxes_move_by_the_box_head_s_word_as_often_as_asked(refinements, monkeypatch):
    """A box head that always halves the way to the truth; the second word lies beyond the image of 96 x 128."""
    heads = build_model(toy.tiny_cfg("MODEL.ROI_BOX_HEAD.REFINEMENTS", refinements)).eval().roi_heads
    start = TARGET + torch.tensor([[8.0, -8.0, 8.0, 8.0], [0.0, 0.0, 0.0, 0.0]])
    found = Instances((96, 128), pred_boxes=Boxes(start.clone()), scores=torch.tensor([0.9, 0.8]))
    monkeypatch.setattr(StandardROIHeads, "_forward_box", lambda self, features, proposals: [found])
    seen = []

    def halfway(predictions, proposals):
        seen.append(proposals[0].proposal_boxes.tensor.clone())
        return [(seen[-1] + TARGET) / 2]

    monkeypatch.setattr(heads.box_predictor, "predict_boxes", halfway)
    maps = {name: torch.zeros(1, 32, 24, 32) for name in heads.box_in_features}
    monkeypatch.setattr(heads, "box_head", torch.nn.Identity())
    monkeypatch.setattr(heads.box_predictor, "forward", lambda pooled: None)
    result = heads._forward_box(maps, [])[0]
    assert len(seen) == refinements
    torch.testing.assert_close(result.pred_boxes.tensor[0], TARGET[0] + (start[0] - TARGET[0]) / 2**refinements)
    assert result.pred_boxes.tensor[1].tolist() == ([80, 70, 128, 96] if refinements else [80, 70, 136, 110])
    assert result.scores.tolist() == pytest.approx([0.9, 0.8])


def test_words_are_still_found_and_read():
    """The same words with the same scores, in other places."""
    plain = build_model(toy.tiny_cfg("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)).eval()
    refined = build_model(
        toy.tiny_cfg("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, "MODEL.ROI_BOX_HEAD.REFINEMENTS", 2)
    ).eval()
    refined.load_state_dict(plain.state_dict())
    photo = [{"image": torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8), "height": 96, "width": 128}]
    with torch.no_grad():
        before, after = plain(photo)[0]["instances"], refined(photo)[0]["instances"]
    assert len(before) == len(after) > 0 and torch.equal(before.scores, after.scores)
    assert not torch.equal(before.pred_boxes.tensor, after.pred_boxes.tensor)
    assert after.has("pred_text") and after.pred_masks.shape == before.pred_masks.shape
