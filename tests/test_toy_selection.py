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
    cfg = tool.toy_cfg("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.DLD.TEACHER", False, "MODEL.DLD.GAMMA", 1.0)
    model = build_model(cfg).eval()
    model.selector.classify.weight.data.zero_()
    model.selector.classify.bias.data = torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0, 0.0])
    images = tool.draw_images(np.random.default_rng(0), 3)
    right = torch.zeros(7, 3, tool.WORDS, dtype=torch.bool)
    right[1, 0] = True  # at the chosen scale, one image of three
    divergence = torch.tensor([0.5, 0.2, 0.1, 0.0, 0.0, 0.0])  # with scale**2 added: 0.59, 0.36, 0.35, 0.36, 0.49, 0.64
    readings = tool.Readings(right, divergence, torch.tensor([0, 2, 5]))
    result = tool.judge(model, images, dict.fromkeys(tool.KINDS, readings))
    assert result["right"] == {"large": 1.0, "small": 0.0} and result["right_choices"] == 0.5
    assert result["mean_cost"] == pytest.approx(0.16)
    assert result["share"]["small"] == [0, 1, 0, 0, 0, 0]
    assert result["words_read"]["large"] == pytest.approx(1 / 3)
    assert result["cheapest_within_one"]["large"] == pytest.approx(2 / 3)
    assert result["best_fixed_scale"] == {"large": 0.5, "small": 0.5}


def test_what_is_remembered_is_what_the_spotter_reads():
    """Also in another batch, and when DLDSpotter's training step asks; and training leaves the reader as it is."""
    cfg = tool.toy_cfg()
    reader = tool.RememberingReader(cfg).eval()
    plain = build_model(cfg).eval()
    plain.load_state_dict(reader.state_dict())
    before = {name: value.clone() for name, value in reader.state_dict().items()}
    images = tool.draw_images(np.random.default_rng(0), 4)
    tool.train_selector(cfg, reader, images, gamma=0.1, steps=2, seed=0)
    assert all(torch.equal(value, before[name]) for name, value in reader.state_dict().items())
    size_of_scale = {0.3: (38, 58), 1.0: (128, 192)}
    for scale, size in size_of_scale.items():
        number, remembered = next((n, m) for (n, s), m in reader.memory.items() if s == size)
        record = images["large" if number > 0 else "small"][abs(number) - 1]
        with torch.no_grad():
            expected = tool.read_at(plain, [record], scale).logits
        torch.testing.assert_close(remembered, expected, atol=1e-4, rtol=1e-4)


def test_the_tool_runs(tmp_path, capsys):
    """Two steps teach nothing: the tool says so, and its tables and figures are there."""
    few = ["--reader-steps", "2", "--selector-steps", "1", "--images", "2", "--train-images", "2"]
    assert tool.main([*few, "--gammas", "0.1", "0.5", "--output", str(tmp_path)]) == 1
    assert "gamma 0.1: " in capsys.readouterr().out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures["gammas"]) == {"0.1", "0.5"} and len(figures["words_read_by_scale"]["small"]) == 7
    assert sum(figures["gammas"]["0.1"]["share"]["large"]) == pytest.approx(1)
