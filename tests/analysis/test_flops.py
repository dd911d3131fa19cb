"""Multiply-adds against formulas by hand, fvcore, and a real inference; the paper's totals."""

import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.structures import ImageList
from fvcore.nn import FlopCountAnalysis
from torch import nn

from dld_spotter.analysis.flops import PAPER_UNIT, SELECTOR, CostModel, count_multiply_adds, count_parameters, part_of
from dld_spotter.config import load_cfg
from dld_spotter.modeling.acceleration import tiled_convolutions
from dld_spotter.modeling.dld.selector.selector_network import ResidualSelector
from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder
from dld_spotter.modeling.recognition.contextual_encoder import BidirectionalLSTM
from dld_spotter.modeling.spotter_parts import Workload


def count(module, *inputs):
    return count_multiply_adds(lambda: module(*inputs), module, {"all": ("",)})["all"]


def meta(*shape, dtype=torch.float32):
    return torch.zeros(shape, device="meta", dtype=dtype)


def meta_model(*configs, opts=()):
    """A model without values: built in no time, whatever its size."""
    pairs = ["MODEL.DEVICE", "meta", "MODEL.WEIGHTS", "", *opts]
    with torch.device("meta"):
        return build_model(load_cfg([toy.ROOT / "configs" / config for config in configs], pairs)).eval()


def test_convolutions_and_linear_layers():
    with torch.device("meta"):
        conv = nn.Conv2d(6, 8, (3, 5), stride=2, padding=1, groups=2)
        up = nn.ConvTranspose2d(4, 7, 2, stride=2)
        linear = nn.Linear(10, 3)
    # (11 + 2 - 3) // 2 + 1 = 6 rows, (15 + 2 - 5) // 2 + 1 = 7 columns of 8 channels that see 3 x 3 x 5 values each.
    assert count(conv, meta(2, 6, 11, 15)) == 2 * 6 * 7 * 8 * 3 * 3 * 5
    # Each of 5 x 6 positions spreads over 2 x 2.
    assert count(up, meta(3, 4, 5, 6)) == 3 * 5 * 6 * 4 * 7 * 2 * 2
    assert count(linear, meta(4, 5, 10)) == 4 * 5 * 10 * 3


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("fused", [True, False])
def test_lstm(device, fused):
    module = BidirectionalLSTM(12, 8).to(device)
    words, positions = 3, 5
    gates = 4 * 8 * (12 + 8)  # of one step of one direction
    linear = 2 * 8 * 8
    sequence = torch.randn(words, positions, 12, device=device)
    with torch.backends.mkldnn.flags(enabled=fused):
        assert count(module, sequence) == words * positions * (2 * gates + linear)
        if device == "cpu":
            seen = []
            count_multiply_adds(lambda: seen.append(module(sequence)), module, {})
            torch.testing.assert_close(seen[0], module(sequence))


def test_attention_decoder():
    words, positions, steps, hidden, width, tokens = 2, 6, 4, 8, 10, 13
    with torch.device("meta"):
        decoder = AttentionDecoder(tokens, width, hidden)
    keys = positions * width * hidden  # once a word
    query, energy, glimpse = hidden * hidden, positions * hidden, positions * width
    gates, classify = (width + hidden) * 4 * hidden, hidden * tokens
    expected = words * (keys + steps * (query + energy + glimpse + gates + classify))
    assert count(decoder, meta(words, positions, width), meta(words, steps, dtype=torch.long)) == expected


def test_selector():
    width, fold = 4, 4
    with torch.device("meta"):
        selector = ResidualSelector(num_scales=3, width=width, fold=fold)
    images = ImageList(meta(1, 3, 128, 192), [(120, 190)])
    positions = (128 // 8) * (192 // 8)  # after folding and a stride of 2
    expected = positions * 9 * (3 * fold**2 * width + 2 * width**2)
    for block in (1, 2, 3):
        inside, outside = 2 ** (block - 1) * width, 2**block * width
        expected += positions // 4**block * 9 * (inside * outside + outside**2)
    expected += positions // 4**3 * (8 * width) ** 2 + 8 * width * 3
    assert count(selector, images) == expected


def test_an_operation_belongs_to_the_innermost_part():
    with torch.device("meta"):
        net = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 5)), nn.Linear(5, 7))
    outside = meta(4, 4)
    parts = {"all": ("",), "inner": ("0",), "last of inner": ("0.1",), "never": ("nothing",)}

    def run():
        net(meta(1, 2))
        torch.mm(outside, outside)

    expected = {"all": 35, "inner": 6, "last of inner": 15, "never": 0, "other": 64}
    assert count_multiply_adds(run, net, parts) == expected
    counts = count_parameters(net, parts)
    assert counts == {"all": 5 * 7 + 7, "inner": 2 * 3 + 3, "last of inner": 3 * 5 + 5, "never": 0, "other": 0}
    assert sum(counts.values()) == sum(p.numel() for p in net.parameters())
    net(meta(1, 2))  # the hooks are gone
    assert part_of("1", {"inner": ("0",)}) == "other"


def test_the_backbone_counts_as_in_fvcore():
    backbone = build_model(toy.tiny_cfg()).backbone.eval()
    image = torch.zeros(1, 3, 64, 96)
    theirs = FlopCountAnalysis(backbone, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    assert count(backbone, image) == theirs.by_operator()["conv"] > 0


@pytest.mark.parametrize("config", ["MaskRCNNSpotter_R50.yaml", "MaskRCNNSpotter_Light.yaml"])
def test_every_multiply_add_and_parameter_has_a_part(config):
    model = meta_model(config)
    costs = CostModel(model, Workload())
    counts = costs.student((320, 320), 1.0)
    assert counts["other"] == 0
    assert all(count > 0 for part, count in counts.items() if part != "other")
    parameters = costs.parameters()
    assert parameters["other"] == 0
    assert sum(parameters.values()) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("opts", [(), ("MODEL.ROI_TEXT_HEAD.UPSAMPLE", True)])
def test_the_rehearsal_costs_what_a_real_inference_costs(opts, monkeypatch):
    """The count of ``spot`` itself, values and all, with the proposals and words that it happened to find."""
    monkeypatch.setattr(
        tiled_convolutions, "worthwhile", lambda *args: False
    )  # a CPU's saving, which depends on places
    cfg = toy.tiny_cfg("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, "TEST.DETECTIONS_PER_IMAGE", 7, *opts)
    spotter = build_model(cfg).eval()
    images = spotter.preprocess_image([{"image": torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8)}])
    proposals, found = [], []
    spotter.proposal_generator.register_forward_hook(lambda module, args, result: proposals.extend(result[0]))
    real = count_multiply_adds(lambda: found.extend(spotter.spot(images)), spotter, spotter.cost_parts)
    work = Workload(len(proposals[0]), len(found[0]), found[0].pred_text.shape[1])
    assert work.proposals > 0
    assert work.words > 0
    rehearsed = CostModel(spotter, work).student((90, 120), 1.0)
    # The decoder's attention runs outside of any module's forward when it reads greedily.
    assert sum(rehearsed.values()) == sum(real.values())
    assert {p: n for p, n in rehearsed.items() if p not in ("recognition", "other")} == {
        p: n for p, n in real.items() if p not in ("recognition", "other")
    }


def test_an_empty_image_costs_only_what_depends_on_its_size():
    costs = CostModel(build_model(toy.tiny_cfg()), Workload(0, 0, 0))
    counts = costs.student((96, 128), 1.0)
    assert {part for part, count in counts.items() if count} == {"backbone", "FPN", "RPN"}
    assert costs.selector((96, 128)) == 0


@pytest.mark.parametrize(("size", "published"), [((1280, 2276), 517.2), ((640, 1138), 129.3)])
def test_the_papers_totals(size, published):
    """Table 1, IC15: multiply-adds / 2**30 of ResNet-50, FPN and RPN on 1280 x 720 photos."""
    costs = CostModel(meta_model("MaskRCNNSpotter_R50.yaml"), Workload(0, 0, 0))
    assert sum(costs.student(size, 1.0).values()) / PAPER_UNIT == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize(
    ("configs", "size"), [(("DLD_R50.yaml",), (896, 1592)), (("DLD_R50.yaml", "Light.yaml"), (448, 796))]
)
def test_the_selector_costs_at_most_a_fiftieth_of_the_student(configs, size):
    """Of the student that has found nothing, at the largest candidate."""
    model = meta_model(*(f"DLD/{config}" for config in configs))
    costs = CostModel(model, Workload(0, 0, 0))
    inference = costs.inference(size, max(model.scales))
    assert 0 < inference[SELECTOR] <= 0.02 * (sum(inference.values()) - inference[SELECTOR])


def test_candidates_cost_less_and_the_selector_the_same():
    model = build_model(toy.tiny_cfg("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.DLD.SCALES", (0.25, 0.5)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    costs = CostModel(model, Workload(5, 2, 3))
    half, quarter = (costs.inference((256, 256), scale) for scale in (0.5, 0.25))
    full = costs.teacher((256, 256))
    # Where sizes divide evenly, what depends on the image alone falls with the square of the scale.
    for part in ("backbone", "FPN", "RPN"):
        assert full[part] == 4 * half[part] == 16 * quarter[part]
    for part in ("box", "mask"):
        assert full[part] == half[part] == quarter[part] > 0
    assert half[SELECTOR] == quarter[SELECTOR] == costs.selector((256, 256)) > 0
    # 230 x 250 pads to 256 x 256.
    assert costs.inference((230, 250), 0.5) == half
    after = model.state_dict()
    assert all(value.device.type == "cpu" and torch.equal(value, after[name]) for name, value in before.items())


def test_a_teacher_of_another_shape_is_counted_as_it_is():
    opts = ("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", (16, 64))
    student = ("MODEL.DLD.STUDENT_OPTS", ["MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", [8, 32]])
    costs = CostModel(build_model(toy.tiny_cfg(*opts, "MODEL.DLD.LAMBDA_SKD", 0.0, *student)), Workload(5, 4, 3))
    assert costs.teacher((96, 96))["recognition"] > costs.student((96, 96), 1.0)["recognition"]
    assert costs.teacher((96, 96))["backbone"] == costs.student((96, 96), 1.0)["backbone"]


def test_what_is_no_spotter_is_refused():
    with pytest.raises(ValueError, match="Linear cannot be counted: it is no Spotter"):
        CostModel(nn.Linear(1, 1), Workload())
