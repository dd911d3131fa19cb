import pytest
import torch
import toy

from dld_spotter.config import load_cfg

CONFIGS = sorted(str(p.relative_to(toy.ROOT)) for p in (toy.ROOT / "configs").glob("**/*.yaml"))


@pytest.mark.parametrize("config_file", CONFIGS)
def test_every_yaml_builds(config_file):
    from detectron2.modeling import build_model

    # The meta device has shapes but no numbers: building costs neither time nor memory.
    cfg = load_cfg(str(toy.ROOT / config_file), ["MODEL.DEVICE", "meta", "MODEL.WEIGHTS", ""])
    with torch.device("meta"):
        model = build_model(cfg)
    assert sum(p.numel() for p in model.parameters()) > 1e6 or "demo" in config_file


def test_unknown_keys_are_named_with_a_suggestion(tmp_path):
    with pytest.raises(KeyError, match=r"command line.*HEAD.HIDEN_SIZE.*HEAD.HIDDEN_SIZE"):
        load_cfg(None, ["MODEL.ROI_TEXT_HEAD.HIDEN_SIZE", 3])
    path = tmp_path / "wrong.yaml"
    path.write_text("INPUT:\n  ROTATIONS: 3\n")
    with pytest.raises(KeyError, match=r"wrong.yaml.*INPUT.ROTATIONS.*INPUT.ROTATION"):
        load_cfg(str(path))


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("MODEL.DEVICE", "gpu", "MODEL.DEVICE is 'gpu'"),
        ("INPUT.RANDOM_FLIP", "horizontal", "mirrored"),
        ("INPUT.TEXT.UNKNOWN", "drop", "'ignore', 'detect' or 'error'"),
    ],
)
def test_wrong_values_are_named(key, value, message):
    with pytest.raises(ValueError, match=message):
        load_cfg(str(toy.ROOT / "configs/MaskRCNNSpotter_Light.yaml"), [key, value])


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_is_said():
    with pytest.raises(ValueError, match="no GPU here; add MODEL.DEVICE cpu"):
        load_cfg(str(toy.ROOT / "configs/MaskRCNNSpotter_Light.yaml"), ["MODEL.DEVICE", "cuda"])


def test_a_missing_yaml_is_said():
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        load_cfg("nowhere.yaml")
