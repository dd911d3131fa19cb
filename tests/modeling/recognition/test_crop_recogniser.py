"""The reader that sees pixels: its layers, its place in the spotter, in DLD and among checkpoints."""

import math

import numpy as np
import pytest
import torch
import toy
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from helpers.lcnet_graph import Explicit
from helpers.placeless_tensors import PlacelessTensors
from helpers.toy_crops import CROP, TINY
from helpers.toy_dld import build
from helpers.toy_words import toy_batch

from dld_spotter.analysis.flops import CostModel
from dld_spotter.config import load_cfg
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.modeling.recognition.crop_recogniser import CropEncoder, CropPooler
from dld_spotter.modeling.recognition.roi_feature_recogniser import build_text_head
from dld_spotter.modeling.spotter import readable_words
from dld_spotter.modeling.spotter_parts import Workload

READER = "roi_heads.text_head."


@pytest.fixture
def converter():
    return toy.load_script("tools/convert_pp_ocr.py")


def spotter(*opts):
    return build_model(toy.tiny_cfg(*CROP, *TINY, *opts))


class ExplicitReader(Explicit):
    """The published recogniser's graph, small, in NumPy: a second stage of one block, a third of half the rows."""

    def conv(self, x, channels, size, stride=1, pad="SAME_UPPER", groups=1):
        if stride != (2, 1):
            return super().conv(x, channels, size, stride, pad, groups)
        # Every other row of the convolution that keeps the size.
        return super().conv(x, channels, size, 1, pad, groups)[:, ::2]

    def block(self, x, channels, stride, squeeze):
        if stride != (2, 1):
            return super().block(x, channels, stride, squeeze)
        x = self.conv(x, x.shape[0], 3, stride, 1, groups=x.shape[0])
        hidden = self.conv(x, 2 * x.shape[0], 1)
        hidden = 0.5 * hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
        return self.conv(hidden, channels, 1)

    def __call__(self, image):
        x = self.block(self.block(self.stem(image), 8, 1, squeeze=True), 8, 1, squeeze=False)
        roi = self.block(x, 8, 1, squeeze=False)
        x = self.block(roi, 12, (2, 1), squeeze=False)
        return roi, self.block(self.block(x, 12, 1, squeeze=True), 12, 1, squeeze=False)


def test_converted_weights_give_what_the_published_graph_gives(converter):
    rng = np.random.default_rng(5)
    image, graph = rng.normal(size=(3, 16, 44)), ExplicitReader(rng)
    roi, deep = graph(image)
    reader = converter.ReaderBackbone(
        CropPooler(3, 4, (8, 8), (2, 1), (4, 11)), CropEncoder(8, (12,), (3,), hidden_size=4)
    ).double()
    convolutions = [converter.Convolution(f"x{i}", *both) for i, both in enumerate([*graph.drawn, graph.drawn[0]])]
    converter.fill_backbone(reader, convolutions)
    with torch.no_grad():
        ours = reader.pooler.see(torch.as_tensor(image)[None])
        assert ours[0].numpy() == pytest.approx(roi, abs=1e-9)
        assert reader.encoder.stages(ours)[0].numpy() == pytest.approx(deep, abs=1e-9)
    assert len(converter.stage_tensors(reader.parts, convolutions)) == 3


def test_our_pixels_give_what_its_own_do(converter):
    """Away from the border, whose zeros are another colour."""
    reader = converter.ReaderBackbone(CropPooler(3, 4, (8, 8), (2, 1), (4, 11)), CropEncoder(8, (12,), (3,), 4))
    pixels = torch.rand(1, 3, 16, 44) * 255
    mean, deviation = torch.tensor([120.0, 110.0, 100.0]), torch.tensor([60.0, 50.0, 55.0])
    with torch.no_grad():
        expected = reader.pooler.stem.conv1(pixels / 127.5 - 1)
        reader.take_our_pixels(mean, deviation)
        found = reader.pooler.stem.conv1((pixels - mean[:, None, None]) / deviation[:, None, None])
    torch.testing.assert_close(found[..., 1:, 1:], expected[..., 1:, 1:], rtol=1e-4, atol=1e-5)


def test_the_published_size():
    cfg = load_cfg(opts=[*CROP, "MODEL.TEXT.CHARSET", "alphanumeric36"])
    head = build_text_head(cfg, ShapeSpec(channels=3, stride=1))
    roi = head.pooler.see(torch.zeros(2, 3, 32, 128))
    assert roi.shape == (2, 96, 8, 32) and head.encoder(roi).shape == (2, 32, cfg.MODEL.ROI_TEXT_HEAD.HIDDEN_SIZE)
    assert head.encoder.stages(roi).shape == (2, 384, 2, 32)


def test_another_feature_is_refused():
    with pytest.raises(ValueError, match='IN_FEATURE is "p2"; CropTextHead needs "image"'):
        build_model(toy.tiny_cfg(*CROP[:2], *TINY))


@pytest.mark.parametrize("words_per_image", [(0, 0), (0, 3), (2, 1)])
def test_losses_are_finite_and_reach_every_parameter(words_per_image):
    model = spotter().train()
    with EventStorage():
        losses = model(toy_batch(words_per_image))
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without, "DistributedDataParallel would wait for these"


@pytest.mark.parametrize("words_per_image", [(2, 1), (0, 0)])
@pytest.mark.parametrize("freeze_at", [0, 2])
def test_reading_only_trains_the_reader_and_needs_no_backbone(words_per_image, freeze_at, monkeypatch):
    model = spotter("MODEL.TEXT.READING_ONLY", True, "MODEL.PP_LCNET_READER.FREEZE_AT", freeze_at).train()
    monkeypatch.setattr(model.backbone, "forward", None)
    with EventStorage():
        model(toy_batch(words_per_image))["loss_text"].backward()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(name.startswith(READER) for name in trained)
    assert all(model.get_parameter(name).grad is not None for name in trained)
    assert any(name.startswith(READER + "pooler.stem") for name in trained) == (freeze_at == 0)
    assert any(name.startswith(READER + "pooler.stages.1") for name in trained)


def test_inference_reads_what_it_finds():
    model = spotter("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0).eval()
    batch = toy_batch((2, 1))
    found = [output["instances"] for output in model(batch)]
    assert sum(map(len, found)) > 0 and all(len(i.pred_text) == len(i) for i in found)
    assert [len(tokens) for tokens in model.read_words(batch)] == [2, 1]


def test_true_places_and_perfect_masks_give_the_same_features():
    model = spotter().eval()
    batch = toy_batch((2, 1))
    images = model.preprocess_image(batch)
    words = readable_words([record["instances"] for record in batch])
    true = model.pool(images, words)
    for word in words:
        word.pred_boxes = word.gt_boxes
        word.pred_masks = word.gt_masks.crop_and_resize(word.gt_boxes.tensor, 28).float()[:, None]
    detected = model.roi_heads.text_head.pool_detections(model.roi_heads.source(images, {}), words)
    torch.testing.assert_close(detected, true, rtol=0.2, atol=0.1)


@pytest.mark.parametrize("opts", [(), ("MODEL.PP_LCNET_READER.FULL_RESOLUTION", True, "MODEL.DLD.SELECTION", "random")])
def test_a_distilled_step_with_every_tensor_in_its_place(opts):
    model = build(*CROP, *TINY, *opts)
    batch = toy_batch((2, 0, 1))
    with PlacelessTensors() as watch:
        with EventStorage():
            losses = model(batch)
        model.eval()(batch)
        model.student.read_words(batch)
    assert watch.calls == []
    assert {"loss_skd_roi", "loss_skd_context", "loss_skd_sequence"} <= set(losses)
    sum(losses.values()).backward()
    assert all(p.grad is not None for n, p in model.student.named_parameters() if n.startswith(READER))


def test_a_smaller_reader_learns_from_a_larger_one_for_less():
    opts = ["MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", [4, 24], "MODEL.PP_LCNET_READER.HEIGHTS", 4.0]
    model = build(*CROP, *TINY, "MODEL.DLD.STUDENT_OPTS", opts)
    student, teacher = model.student.roi_heads.text_head.pooler, model.teacher.roi_heads.text_head.pooler
    assert (student.rectifier.size, student.rectifier.heights) == ((16, 96), 4)
    assert (teacher.rectifier.size, teacher.rectifier.heights) == ((32, 128), 4)
    with EventStorage():
        losses = model(toy_batch((2, 1)))
    assert all(loss.isfinite() for loss in losses.values())
    costs = [CostModel(m, Workload(10, 10, 5)).student((96, 128), 1.0) for m in (model.student, model.teacher)]
    assert costs[0]["recognition"] < 0.6 * costs[1]["recognition"]
    assert costs[0]["backbone"] == costs[1]["backbone"]


def test_costs_are_counted_by_the_words():
    model = spotter()
    counts = [CostModel(model, Workload(10, words, 5)).student((96, 128), 1.0)["recognition"] for words in (0, 1, 3)]
    assert counts[0] == 0 and counts[2] == 3 * counts[1] > 0


def test_readers_change_places(tmp_path, capsys):
    swap_reader = toy.load_script("tools/swap_reader.py")
    old, model = build_model(toy.tiny_cfg()), spotter()
    torch.save({"model": old.state_dict(), "iteration": 7}, tmp_path / "old.pth")
    seeing = {n: v for n, v in model.state_dict().items() if n.startswith((READER + "pooler.", READER + "encoder."))}
    torch.save({"model": seeing}, tmp_path / "reader.pth")
    arguments = [str(tmp_path / name) for name in ("old.pth", "reader.pth", "joined.pth")]
    assert swap_reader.main(arguments) == 0
    other = spotter()
    TextCheckpointer(other).load(arguments[2])
    state = other.state_dict()
    for name, value in state.items():
        expected = seeing.get(name, old.state_dict().get(name))
        assert torch.equal(value, expected), name
    assert set(torch.load(arguments[2])["model"]) == set(state), "nothing is left of the old reader's eyes"


def test_a_student_s_reader_goes_into_another_dld_checkpoint(tmp_path):
    swap_reader = toy.load_script("tools/swap_reader.py")
    old, new = build(*CROP, *TINY), build(*CROP, *TINY, "MODEL.DLD.TEACHER", False)
    for name, model in (("old.pth", old), ("new.pth", new)):
        torch.save({"model": model.state_dict()}, tmp_path / name)
    assert swap_reader.main([str(tmp_path / name) for name in ("old.pth", "new.pth", "joined.pth")]) == 0
    joined = torch.load(tmp_path / "joined.pth")["model"]
    assert set(joined) == set(old.state_dict())
    for name, value in joined.items():
        origin = new if name.startswith("student." + READER) else old
        assert torch.equal(value, origin.state_dict()[name]), name


def test_what_is_no_checkpoint_is_said(tmp_path, capsys):
    swap_reader = toy.load_script("tools/swap_reader.py")
    torch.save([1], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("x")
    for name, message in (("list.pth", "no checkpoint"), ("text.pth", "cannot be read"), ("none.pth", "none.pth")):
        assert swap_reader.main([str(tmp_path / name)] * 2 + [str(tmp_path / "out.pth")]) == 1
        assert message in capsys.readouterr().err and not (tmp_path / "out.pth").exists()


def test_text_perceptron_has_no_use_for_it():
    with pytest.raises(ValueError, match="NAME is 'CropTextHead', which pools boxes"):
        build_model(toy.tiny_cfg(*CROP, *TINY, "MODEL.META_ARCHITECTURE", "TextPerceptron"))
