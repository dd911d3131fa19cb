"""The example of a spotter of one's own: it trains under DLD, and learns to find and read."""

import copy

import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances, pairwise_iou
from detectron2.utils.events import EventStorage

from dld_spotter.data.charset import Charset
from dld_spotter.modeling import DLDSpotter
from dld_spotter.structures import WordPolygons

example = toy.load_script("examples/add_a_spotter.py")
CHARSET = Charset.load("alphanumeric36")
SIZE = (96, 128)
BOXES = torch.tensor([[8.0, 12, 68, 36], [40, 52, 116, 80]])


def record(words):
    """An image with a bright box for each word; the boxes are ``BOXES``, the texts are given."""
    image = torch.full((3, *SIZE), 40, dtype=torch.uint8)
    boxes = BOXES[: len(words)]
    for x1, y1, x2, y2 in boxes.int().tolist():
        image[:, y1:y2, x1:x2] = 220
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    instances = Instances(SIZE, gt_boxes=Boxes(boxes))
    instances.gt_masks = WordPolygons(torch.stack([x1, y1, x2, y1, x2, y2, x1, y2], dim=1).reshape(-1, 4, 2))
    instances.gt_classes = torch.zeros(len(words), dtype=torch.long)
    instances.gt_text = CHARSET.encode_rows(words)
    instances.gt_ignore = torch.zeros(len(words), dtype=torch.bool)
    return {"image": image, "height": SIZE[0], "width": SIZE[1], "instances": instances}


def dld():
    cfg = toy.tiny_cfg("MODEL.DLD.SPOTTER", "DenseBoxSpotter", config=toy.light("DLD"))
    return build_model(cfg)


@pytest.mark.parametrize("texts", [(["exit", "to"], ["a"]), (["exit"], []), ([], [])])
def test_a_training_step_of_dld(texts):
    model = dld()
    before = copy.deepcopy(model.teacher.state_dict())
    with EventStorage():
        losses = model.train()([record(words) for words in texts])
    assert {"loss_score", "loss_sides", "loss_text", "loss_skd_sequence", "loss_selector_accuracy"} <= losses.keys()
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert all(torch.equal(value, before[name]) for name, value in model.teacher.state_dict().items())


def test_it_learns_to_find_and_read():
    spotter = build_model(toy.tiny_cfg("MODEL.META_ARCHITECTURE", "DenseBoxSpotter"))
    batch = [record(["exit", "to"])]
    optimizer = torch.optim.Adam(spotter.parameters(), 0.01)
    for _ in range(120):
        with EventStorage():
            losses = spotter.train()(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    found = spotter.eval()(batch)[0]["instances"]
    overlap, order = pairwise_iou(Boxes(BOXES), found.pred_boxes).max(dim=1)
    assert overlap.min() > 0.7 and len(found) == 2
    assert CHARSET.decode(found.pred_text[order]) == ["exit", "to"]


def test_the_example_s_command_trains(tmp_path, monkeypatch):
    json_file, images = toy.write_toy_dataset(tmp_path)
    small = toy.tiny_cfg(config=toy.light("DLD"))
    monkeypatch.setattr(example, "load_cfg", lambda name, opts: small.merge_from_list(opts) or small)
    options = ["DATASETS.CUSTOM", [("example", images, json_file)], "DATASETS.TRAIN", ("example",), "DATASETS.TEST", ()]
    example.main([*options, "SOLVER.MAX_ITER", 1, "OUTPUT_DIR", str(tmp_path)])
    assert isinstance(build_model(small), DLDSpotter) and (tmp_path / "model_final.pth").is_file()
