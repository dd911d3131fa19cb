"""PP-LCNetV4 against an explicit computation, its weights' way from a graph's convolutions, and one training step."""

import math
import sys

import numpy as np
import pytest
import torch
import toy
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_backbone, build_model
from detectron2.utils.events import EventStorage
from helpers.lcnet_graph import Explicit
from helpers.toy_words import toy_batch
from test_config import difference

from dld_spotter.config import load_cfg
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.modeling import PPLCNetV4
from dld_spotter.modeling.backbones.fpn_features import single_feature_map

CONFIG = "MaskRCNNSpotter_PPLCNet.yaml"
TINY = ("MODEL.PP_LCNET.STAGE_CHANNELS", (8, 12, 16, 24))
RGB = ShapeSpec(channels=3)


@pytest.fixture
def converter():
    return toy.load_script("tools/convert_pp_ocr.py")


@pytest.fixture
def backbone():
    """At the size of the published network, with random weights."""
    return PPLCNetV4(load_cfg(opts=["MODEL.BACKBONE.FREEZE_AT", 0]), RGB)


def two_stages():
    return PPLCNetV4(in_channels=3, stage_channels=(8, 12), blocks=(2, 3)).double()


@pytest.mark.parametrize("size", [(32, 48), (13, 18), (31, 29)])
def test_converted_weights_give_what_the_published_graph_gives(converter, size):
    rng = np.random.default_rng(3)
    image, graph = rng.normal(size=(3, *size)), Explicit(rng)
    expected = graph(image)
    backbone = two_stages()
    convolutions = [converter.Convolution(f"x{i}", *both) for i, both in enumerate([*graph.drawn, graph.drawn[0]])]
    converter.fill_backbone(backbone, convolutions)
    for learning in (True, False):  # the stem takes its maximum in another way where nothing learns
        with torch.set_grad_enabled(learning):
            features = backbone(torch.as_tensor(image)[None])
        assert features.keys() == expected.keys()
        for name, feature in features.items():
            assert feature[0].detach().numpy() == pytest.approx(expected[name], abs=1e-9)
    # A stem of 5; blocks of 3 convolutions, of 5 with squeeze-and-excitation.
    assert converter.stage_tensors([backbone.stem, *backbone.stages.values()], convolutions) == ["x13", "x24"]


def test_graphs_of_another_network_are_named(converter):
    graph = Explicit(np.random.default_rng(0))
    graph(np.zeros((3, 16, 16)))
    convolutions = [converter.Convolution("x", *both) for both in graph.drawn]
    with pytest.raises(ValueError, match="24 convolutions, but the backbone alone has 24"):
        converter.fill_backbone(two_stages(), convolutions)
    with pytest.raises(ValueError, match=r"convolution 0 has .*\(4, 3, 3, 3\).* 'stem.conv1' has .*\(24, .*PP_LCNET"):
        converter.fill_backbone(PPLCNetV4(load_cfg(), RGB), convolutions * 3)
    with pytest.raises(ValueError, match=r"convolution 0 has .*None"):
        converter.fill_backbone(two_stages(), [c._replace(bias=None) for c in convolutions * 2])


def test_a_missing_onnx_is_said(converter, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert converter.main(["detector.onnx", str(tmp_path / "out.pth"), "--source", "nowhere"]) == 1
    assert (
        "error: reading an ONNX file needs two packages: run `pip install onnx onnxruntime`." in capsys.readouterr().err
    )


@pytest.mark.parametrize("size", [(64, 96), (33, 50)])
def test_names_channels_and_strides(backbone, size):
    features = backbone(torch.randn(2, 3, *size))
    shapes = backbone.output_shape()
    assert list(shapes) == list(features) == ["res2", "res3", "res4", "res5"]
    assert [shape.stride for shape in shapes.values()] == [4, 8, 16, 32]
    for name, feature in features.items():
        rows, columns = (math.ceil(length / shapes[name].stride) for length in size)
        assert feature.shape == (2, shapes[name].channels, rows, columns)


def test_random_weights_keep_the_magnitude(backbone):
    """With what normalised networks begin with, nothing of the image is left after thirteen blocks."""
    assert all(0.02 < feature.std() < 50 for feature in backbone(torch.randn(2, 3, 96, 96)).values())


def test_gradients_reach_every_parameter_and_training_computes_the_same(backbone):
    image = torch.randn(2, 3, 64, 64)
    trained = backbone.train()(image)
    sum(feature.square().mean() for feature in trained.values()).backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all() and parameter.grad.any(), name
    for name, feature in backbone.eval()(image).items():
        assert torch.equal(feature, trained[name])


@pytest.mark.parametrize("batch_size", [1, 3])
def test_channels_last_change_no_output_and_no_gradient(batch_size):
    outcomes = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        backbone = two_stages().to(memory_format=memory_format)
        features = backbone(torch.randn(batch_size, 3, 39, 50).double().contiguous(memory_format=memory_format))
        sum(feature.square().mean() for feature in features.values()).backward()
        outcomes.append([*features.values(), *(parameter.grad for parameter in backbone.parameters())])
    torch.testing.assert_close(*outcomes)


def test_the_config_changes_only_backbone_and_pixels():
    ours, light = (load_cfg(str(toy.ROOT / "configs" / name)) for name in (CONFIG, "MaskRCNNSpotter_Light.yaml"))
    assert difference(ours, light) == {
        "MODEL.BACKBONE.NAME": "build_pp_lcnet_fpn_backbone",
        "MODEL.PIXEL_MEAN": [123.675, 116.28, 103.53],
        "MODEL.PIXEL_STD": [58.395, 57.12, 57.375],
    }


def test_a_training_step_of_the_spotter():
    spotter = build_model(toy.tiny_cfg(*TINY, config=CONFIG)).train()
    with EventStorage():
        losses = spotter(toy_batch((2, 1)))
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    gradients = {name: p.grad for name, p in spotter.named_parameters() if p.requires_grad}
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients.values())
    feature = single_feature_map(spotter.backbone, torch.randn(1, 3, 64, 96), "p2")
    assert feature.values.shape == (1, 16, 16, 24) and len(feature.pending_convs) == 1


@pytest.mark.parametrize(
    "method", [(), ("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.RESOLUTION_SELECTOR.WIDTH", 4)]
)
def test_weights_of_the_backbone_alone_load(converter, method, tmp_path):
    cfg = toy.tiny_cfg(*TINY, *method, config=CONFIG)
    source = build_backbone(cfg).bottom_up
    weights = {converter.PREFIX + name: value.half() for name, value in source.state_dict().items()}
    torch.save({"model": weights, "origin": {"source": "a test"}}, tmp_path / "backbone.pth")
    model = build_model(cfg)
    TextCheckpointer(model).load(str(tmp_path / "backbone.pth"))
    for spotter in (model.student, model.teacher) if method else (model,):
        for name, value in spotter.backbone.bottom_up.state_dict().items():
            assert value.dtype == torch.float32 and torch.equal(value, source.state_dict()[name].half().float())


@pytest.mark.parametrize("freeze_at, frozen", [(0, ()), (1, ("stem",)), (2, ("stem", "stages.res2"))])
def test_frozen_parts_get_no_gradient(freeze_at, frozen):
    backbone = PPLCNetV4(in_channels=3, stage_channels=(8, 12), blocks=(2, 3), freeze_at=freeze_at).double()
    sum(feature.square().sum() for feature in backbone(torch.rand(1, 3, 16, 16).double()).values()).backward()
    for name, parameter in backbone.named_parameters():
        assert (parameter.grad is None) == name.startswith(frozen), name


def test_freezing_is_detectron2s_key():
    frozen = PPLCNetV4(load_cfg(opts=["MODEL.BACKBONE.FREEZE_AT", 1]), RGB)
    assert not any(parameter.requires_grad for parameter in frozen.stem.parameters())
    assert all(parameter.requires_grad for parameter in frozen.stages.parameters())
