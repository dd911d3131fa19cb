import engine_toy
import numpy as np
import pytest
import torch
import toy
from detectron2.modeling import build_backbone, build_model
from torch import nn

from dld_spotter.config import load_cfg
from dld_spotter.engine import TextCheckpointer


def toy_model(charset="alphanumeric36"):
    return build_model(toy.tiny_cfg("MODEL.META_ARCHITECTURE", "ToySpotter", "MODEL.TEXT.CHARSET", str(charset)))


def saved(model, folder, name="trained"):
    TextCheckpointer(model, str(folder)).save(name)
    return str(folder / f"{name}.pth")


def same_weights(model, other):
    return [name for name, value in model.state_dict().items() if torch.equal(other.state_dict()[name], value)]


def test_what_is_saved_is_loaded(tmp_path, caplog):
    caplog.set_level("INFO")
    model, other = toy_model(), toy_model()
    TextCheckpointer(other).load(saved(model, tmp_path))
    assert len(same_weights(model, other)) == len(model.state_dict())
    assert "10 of the model's 10 tensors loaded" in caplog.text
    assert (tmp_path / "last_checkpoint").read_text() == "trained.pth"
    assert not list(tmp_path.glob("*.unfinished"))


def test_another_charset_is_an_error_that_shows_the_difference(tmp_path):
    (tmp_path / "chars.txt").write_text("0123456789abcdefghijklmnopqrstuvwxyä é", encoding="utf-8")
    path = saved(toy_model(), tmp_path)
    model = toy_model(tmp_path / "chars.txt")
    with pytest.raises(ValueError, match=r"trained\.pth was trained with other characters") as caught:
        TextCheckpointer(model).load(path)
    message = str(caught.value)
    assert "only in the checkpoint: z; only in the config: ä (space) é" in message
    assert "it has 36, the config 38" in message
    assert "MODEL.TEXT.CHARSET" in message and "ON_CHARSET_CHANGE" in message


def test_the_same_characters_in_another_order_are_another_charset(tmp_path):
    (tmp_path / "chars.txt").write_text("abcdefghijklmnopqrstuvwxyz0123456789")
    path = saved(toy_model(), tmp_path)
    with pytest.raises(ValueError, match="it has 36, the config 36, the same ones in another order"):
        TextCheckpointer(toy_model(tmp_path / "chars.txt")).load(path)


@pytest.mark.parametrize("characters", ["abcdefghijklmnopqrstuvwxyz0123456789", "abc", "cßa", "ß"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_reinit_keeps_the_rows_of_shared_characters(tmp_path, characters, prefix):
    (tmp_path / "chars.txt").write_text(characters, encoding="utf-8")
    trained = toy_model()
    path = tmp_path / "trained.pth"
    torch.save({"model": {prefix + name: value for name, value in trained.state_dict().items()}}, path)
    torch.manual_seed(1)
    model = toy_model(tmp_path / "chars.txt")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    TextCheckpointer(model, on_charset_change="reinit").load(str(path))
    old = "0123456789abcdefghijklmnopqrstuvwxyz"
    for name, value in model.state_dict().items():
        source = trained.state_dict()[name]
        if name.endswith("charset_code_points"):
            assert "".join(map(chr, value.tolist())) == characters
        elif name in ("text_head.embed.weight", "text_head.classify.weight", "text_head.classify.bias"):
            assert torch.equal(value[:2], source[:2]), "the special tokens"
            for row, character in enumerate(characters, 2):
                expected = source[2 + old.index(character)] if character in old else before[name][row]
                assert torch.equal(value[row], expected), (name, character)
        else:
            assert torch.equal(value, source), name


def test_a_run_cannot_go_on_with_another_charset(tmp_path):
    cfg = engine_toy.toy_cfg(tmp_path)
    engine_toy.train(cfg, stop=4)
    cfg.MODEL.TEXT.CHARSET = "printable95"
    cfg.MODEL.TEXT.ON_CHARSET_CHANGE = "reinit"
    with pytest.raises(
        ValueError, match=r"cannot be resumed .* start a new one with MODEL.WEIGHTS .*model_0000002.pth"
    ):
        engine_toy.train(cfg, resume=True)


def test_a_wrong_policy_is_named():
    with pytest.raises(ValueError, match="ON_CHARSET_CHANGE is 'ignore'; use 'error' or 'reinit'"):
        TextCheckpointer(toy_model(), on_charset_change="ignore")


def test_unreadable_files_are_named(tmp_path):
    model = toy_model()
    path = saved(model, tmp_path)
    whole = (tmp_path / "trained.pth").read_bytes()
    checkpointer = TextCheckpointer(model)
    for content in (b"", b"not a checkpoint", whole[: len(whole) // 2]):
        (tmp_path / "trained.pth").write_bytes(content)
        with pytest.raises(ValueError, match=r"trained\.pth cannot be read as a checkpoint .* damaged"):
            checkpointer.load(path)
    (tmp_path / "broken.pkl").write_bytes(b"\x80half")
    with pytest.raises(ValueError, match=r"broken\.pkl cannot be read"):
        checkpointer.load(str(tmp_path / "broken.pkl"))
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*absent\.pth; correct MODEL\.WEIGHTS"):
        checkpointer.load(str(tmp_path / "absent.pth"))
    torch.save({"model": [1, 2]}, path)
    with pytest.raises(ValueError, match=r"trained\.pth is no checkpoint: it holds no dictionary"):
        checkpointer.load(path)
    (tmp_path / "trained.pth").write_bytes(whole)
    checkpointer.load(path)  # the errors have left nothing behind


def test_a_checkpoint_of_another_network_is_an_error(tmp_path):
    path = saved(nn.Sequential(nn.Linear(2, 3)), tmp_path)
    with pytest.raises(ValueError, match=r"nothing in .*trained\.pth fits the model: it holds 0\.weight, .* conv\."):
        TextCheckpointer(toy_model()).load(path)


def test_a_part_of_another_shape_is_an_error_that_names_the_config(tmp_path):
    trained = toy_model()
    trained.mean = nn.Linear(4, 80)
    path = saved(trained, tmp_path)
    for name in ("", "config.yaml", "model.yaml"):
        (tmp_path / (name or "notes")).write_text("")
        with pytest.raises(ValueError, match=r"trained\.pth .*another network: mean\.weight is 80 x 4") as caught:
            TextCheckpointer(toy_model()).load(path)
        assert name in str(caught.value)


def test_what_starts_afresh_is_counted_and_named(tmp_path, caplog):
    caplog.set_level("INFO")
    trained = toy_model()
    del trained.mean
    TextCheckpointer(toy_model()).load(saved(trained, tmp_path))
    assert "8 of the model's 10 tensors loaded, 2 keep their initial values (mean); 0 in the file" in caplog.text


def test_a_model_that_predicts_is_loaded_completely(tmp_path):
    trained, model = toy_model(), toy_model().eval()
    del trained.mean
    path = saved(trained, tmp_path)
    with pytest.raises(ValueError, match="the file has no mean"):
        TextCheckpointer(model).load(path)
    TextCheckpointer(model, complete=False).load(path)
    with pytest.raises(ValueError, match="the file has no mean"):
        TextCheckpointer(model.train(), complete=True).load(path)


def test_what_shall_start_afresh_is_not_loaded(tmp_path):
    trained, model = toy_model(), toy_model().eval()
    trained.mean = nn.Linear(4, 80)
    TextCheckpointer(model, fresh=("mean.",)).load(saved(trained, tmp_path))
    assert torch.equal(model.conv.weight, trained.conv.weight) and model.mean.weight.shape == (1, 4)


def test_a_run_does_not_go_on_with_another_network(tmp_path):
    cfg = engine_toy.toy_cfg(tmp_path, "MODEL.DLD.SCALES", (0.5, 1.0), model="DLDSpotter")
    cfg.MODEL.DLD.SCALES = (0.5,)
    engine_toy.train(cfg, stop=4)
    cfg.MODEL.DLD.SCALES = (0.5, 1.0)
    with pytest.raises(ValueError, match="another network: the file has no selector"):
        engine_toy.train(cfg, resume=True)


class BackboneOnly(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.input_format = cfg.INPUT.FORMAT
        self.backbone = build_backbone(cfg)


def r50_cfg(*opts):
    return load_cfg(str(toy.ROOT / "configs" / "MaskRCNNSpotter_R50.yaml"), ["MODEL.DEVICE", "cpu", *opts])


def test_torchvision_resnets_load_into_the_fpn(tmp_path, caplog):
    resnet50 = pytest.importorskip("torchvision.models").resnet50
    reference = resnet50(weights=None).eval()
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training, so that no statistic can be confused with another
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.bias, -0.1, 0.1)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    torch.save(reference.state_dict(), tmp_path / "resnet50.pth")
    model = BackboneOnly(r50_cfg()).eval()
    TextCheckpointer(model, complete=False).load(str(tmp_path / "resnet50.pth"))
    assert "INPUT.FORMAT RGB" in caplog.text and "STRIDE_IN_1X1" not in caplog.text

    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        found = model.backbone.bottom_up(image)
        x = reference.maxpool(reference.relu(reference.bn1(reference.conv1(image))))
        for index in range(1, 5):
            x = getattr(reference, f"layer{index}")(x)
            torch.testing.assert_close(found[f"res{index + 1}"], x, rtol=1e-4, atol=1e-4)


def test_torchvision_resnets_with_another_stride_are_warned_of(tmp_path, caplog):
    resnet50 = pytest.importorskip("torchvision.models").resnet50
    torch.save(resnet50(weights=None).state_dict(), tmp_path / "resnet50.pth")
    model = BackboneOnly(r50_cfg("MODEL.RESNETS.STRIDE_IN_1X1", True, "INPUT.FORMAT", "RGB"))
    TextCheckpointer(model).load(str(tmp_path / "resnet50.pth"))
    assert "STRIDE_IN_1X1 False" in caplog.text and "INPUT.FORMAT RGB" not in caplog.text


def test_detectron2_mask_rcnn_of_80_classes_loads_but_for_the_predictors(tmp_path, caplog):
    caplog.set_level("INFO")
    import pickle

    spotter_cfg = toy.tiny_cfg()
    plain_cfg = toy.tiny_cfg(
        *("MODEL.META_ARCHITECTURE", "GeneralizedRCNN", "MODEL.ROI_HEADS.NAME", "StandardROIHeads"),
        *("MODEL.ROI_HEADS.NUM_CLASSES", 80, "MODEL.PROPOSAL_GENERATOR.NAME", "RPN"),
        *("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[0.5, 1.0, 2.0]]),
    )
    trained, model = build_model(plain_cfg), build_model(spotter_cfg)
    weights = {name: value.numpy() for name, value in trained.state_dict().items()}
    with open(tmp_path / "model_zoo.pkl", "wb") as stream:  # the zoo's form: NumPy arrays in a pickle
        pickle.dump({"model": weights, "__author__": "Detectron2 Model Zoo"}, stream)
    TextCheckpointer(model).load(str(tmp_path / "model_zoo.pkl"))
    differing = {name for name in weights if not np.array_equal(model.state_dict()[name].numpy(), weights[name])}
    predictors = ("box_predictor", "mask_head.predictor", "rpn_head.objectness_logits", "rpn_head.anchor_deltas")
    assert differing and all(any(p in name for p in predictors) for name in differing), differing
    assert "keep their initial values" in caplog.text and "roi_heads.box_predictor" in caplog.text


def test_a_foreign_backbone_must_be_whole(tmp_path):
    resnet18 = pytest.importorskip("torchvision.models").resnet18
    torch.save(resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(ValueError, match=r"resnet18\.pth is a checkpoint of another network: backbone\.bottom_up"):
        TextCheckpointer(BackboneOnly(r50_cfg())).load(str(tmp_path / "resnet18.pth"))
