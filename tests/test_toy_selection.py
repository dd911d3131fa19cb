"""The toy task of the resolution selector, in seconds: what is drawn, what is counted, and that the tool runs."""

import json

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from toy import load_script

from dld_spotter.data.charset import Charset

tool = load_script("tools/toy_selection.py")
CHARSET = Charset.load("alphanumeric36")


@pytest.mark.parametrize(("kind", "lowest", "highest"), [("large", 33, 44), ("small", 10, 14)])
def test_words_have_the_height_of_their_kind(kind, lowest, highest):
    """No word may shrink to find its place: its height is what makes a scale right."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        words = tool.draw_record(rng, kind, CHARSET)["instances"]
        polygons = words.gt_masks.tensor
        heights = (polygons[:, 3] - polygons[:, 0]).norm(dim=1)
        assert len(words) == tool.WORDS and ((heights >= lowest) & (heights <= highest)).all(), heights


def test_choices_are_counted_by_kind():
    """A selector that always takes one scale is right for one kind, and costs what that scale costs."""
    cfg = tool.toy_cfg("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.DLD.TEACHER", False)
    model = build_model(cfg).eval()
    model.selector.classify.weight.data.zero_()
    model.selector.classify.bias.data = torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0, 0.0])
    rng = np.random.default_rng(0)
    images = {kind: [tool.draw_record(rng, kind, CHARSET) for _ in range(3)] for kind in tool.KINDS}
    right = torch.zeros(7, 3, tool.WORDS, dtype=torch.bool)
    right[1, 0] = True  # at the chosen scale, one image of three
    result = tool.judge(model, images, {kind: (right, torch.tensor([0, 2, 5])) for kind in tool.KINDS})
    assert result["right"] == {"large": 1.0, "small": 0.0} and result["right_choices"] == 0.5
    assert result["mean_cost"] == pytest.approx(0.16)
    assert result["share"]["small"] == [0, 1, 0, 0, 0, 0]
    assert result["words_read"]["large"] == pytest.approx(1 / 3)
    assert result["cheapest_within_one"]["large"] == pytest.approx(2 / 3)


def test_the_frozen_reader_stays_as_it_is():
    cfg = tool.toy_cfg()
    reader = build_model(cfg).state_dict()
    model = tool.train_selector(cfg, reader, gamma=0.1, steps=2, seed=0)
    for spotter in (model.student, model.teacher):
        moved = [n for n, v in spotter.state_dict().items() if not torch.equal(v, reader[n])]
        assert all(name.endswith("num_batches_tracked") for name in moved), moved
    assert model.temperature.item() == pytest.approx(5 * 0.965**25)


def test_the_tool_runs(tmp_path, capsys):
    """Two steps teach nothing: the tool says so, and its tables and figures are there."""
    steps = ["--reader-steps", "2", "--selector-steps", "1", "--images", "2", "--gammas", "0.1", "0.5"]
    assert tool.main([*steps, "--output", str(tmp_path)]) == 1
    assert "gamma 0.1: " in capsys.readouterr().out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures["gammas"]) == {"0.1", "0.5"} and len(figures["words_read_by_scale"]["small"]) == 7
    assert sum(figures["gammas"]["0.1"]["share"]["large"]) == pytest.approx(1)
