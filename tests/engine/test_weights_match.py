"""Which weights a model takes: its own, parts of them, a relative's, but no other network's."""

from functools import cache
from pathlib import Path

import pytest
import torch
import toy
from detectron2.modeling import build_model

from dld_spotter.config import load_cfg
from dld_spotter.engine.weights_match import Leftovers, describe_misfit, inference_names, whole_parts
from dld_spotter.modeling import PPLCNetV4
from dld_spotter.pretrained import pretrained_models

META = ("MODEL.DEVICE", "meta", "MODEL.WEIGHTS", "")
LIGHT = "MaskRCNNSpotter_Light.yaml"


@cache
def build(config, *opts):
    """A model that has shapes but no numbers."""
    path = toy.ROOT / "configs" / config
    with torch.device("meta"):
        return build_model(load_cfg(path if path.is_file() else config, [*META, *opts]))


def misfits(model, weights, *, complete=False, fresh=()):
    """What ``describe_misfit`` says of weights that were loaded into a model."""
    weights = model.adapt_weights(dict(weights))
    state = model.state_dict()
    shapes = {
        name: (tuple(weights[name].shape), tuple(value.shape))
        for name, value in state.items()
        if name in weights and weights[name].shape != value.shape
    }
    missing = frozenset({*(state.keys() - weights.keys()), *shapes})
    if missing == state.keys():
        return ["nothing fits"]
    left = Leftovers(missing, frozenset(weights.keys() - state.keys()), shapes, frozenset(fresh))
    wanted = inference_names(model) if complete else ()
    return describe_misfit(model, left, foreign=False, wanted=wanted)


def network(cfg):
    """What decides which tensors a model has, as text."""
    cfg = cfg.clone()
    cfg.MODEL.WEIGHTS = cfg.MODEL.DLD.TEACHER_WEIGHTS = ""
    cfg.MODEL.TEXT.READING_ONLY = False
    return cfg.MODEL.dump()


def lineages():
    """(config, config whose run it starts from, whether that is its teacher) of all recipes; one of each kind."""
    loaded = {path: load_cfg(path) for path in sorted((toy.ROOT / "configs").glob("**/*.yaml"))}
    outputs = {Path(cfg.OUTPUT_DIR): path for path, cfg in loaded.items()}
    found = {}
    for path, cfg in loaded.items():
        for weights, as_teacher in ((cfg.MODEL.WEIGHTS, False), (cfg.MODEL.DLD.TEACHER_WEIGHTS, True)):
            source = outputs.get(Path(weights).parent) if weights else None
            if source is not None and Path(weights).name.startswith("model_"):
                found[network(cfg), network(loaded[source]), as_teacher] = path, source
    return [(*pair, as_teacher) for (_, _, as_teacher), pair in found.items()]


def test_every_recipe_can_start_from_the_run_that_it_names():
    pairs = lineages()
    assert pairs
    for path, source, as_teacher in pairs:
        model = build(str(path))
        model = model.teacher if as_teacher else model
        assert misfits(model, build(str(source)).state_dict(), complete=as_teacher) == [], (path.name, source.name)


@pytest.mark.parametrize("name", pretrained_models())
def test_the_models_of_the_project_fit_their_configs(name):
    folder = toy.ROOT / "dld_spotter" / "pretrained" / name
    weights = torch.load(folder / "model.pth", weights_only=True)["model"]
    assert misfits(build(name), weights, complete=True) == []


def test_a_model_of_the_project_does_not_fit_another_network():
    """The example that once trained from noise, though 172 of 427 tensors had a place."""
    for name in pretrained_models():
        weights = torch.load(toy.ROOT / "dld_spotter" / "pretrained" / name / "model.pth", weights_only=True)["model"]
        assert misfits(build(LIGHT), weights)
    for config in ("TextPerceptron_R50.yaml", "MANGO_R50.yaml"):
        files = [str(toy.ROOT / "configs" / name) for name in (config, "Light.yaml")]
        with torch.device("meta"):
            other = build_model(load_cfg(files, META))
        assert misfits(build(LIGHT), other.state_dict(), complete=True)


PARTS = {
    "backbone below the FPN": "backbone.bottom_up.",
    "backbone": "backbone.",
    "recogniser": "roi_heads.text_head.",
    "detector": ("backbone.", "proposal_generator.", "roi_heads.box", "roi_heads.mask"),
}


@pytest.mark.parametrize("part", PARTS)
def test_whole_parts_are_taken_in_training_and_not_enough_to_predict(part):
    model = build(LIGHT)
    weights = {name: value for name, value in model.state_dict().items() if name.startswith(PARTS[part])}
    assert misfits(model, weights) == []
    assert misfits(model, weights, complete=True)


def test_what_the_converter_writes_of_pp_ocr_is_taken():
    pixels = build("MaskRCNNSpotter_PPLCNet_Crop.yaml")
    prefix = "roi_heads.text_head."
    parts = (f"{prefix}pooler.", f"{prefix}encoder.stages.")
    reader = {name: value for name, value in pixels.state_dict().items() if name.startswith(parts)}
    assert reader and misfits(pixels, reader) == []
    assert isinstance(pixels.backbone.bottom_up, PPLCNetV4)
    swapped = {n: v for n, v in pixels.state_dict().items() if not n.startswith(f"{prefix}encoder.")} | reader
    assert misfits(pixels, swapped) == []


DLD = ("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.DLD.SCALES", (0.5, 1.0))


def test_a_plain_spotter_serves_student_and_teacher():
    plain, dld = build(LIGHT), build(LIGHT, *DLD)
    assert misfits(dld, plain.state_dict()) == []
    assert "selector" in " ".join(misfits(dld, plain.state_dict(), complete=True))
    fixed = build(LIGHT, *DLD, "MODEL.DLD.FIXED_SCALE", 0.5)
    assert misfits(fixed, plain.state_dict(), complete=True) == []
    # An exported student has no teacher, which predictions do not need.
    exported = {name: value for name, value in dld.state_dict().items() if not name.startswith("teacher.")}
    assert misfits(dld, exported, complete=True) == []
    alone = build(LIGHT, *DLD, "MODEL.DLD.TEACHER", False)
    assert misfits(alone, dld.state_dict(), complete=True) == []


@pytest.mark.parametrize(
    "opts, part",
    [
        (("MODEL.LIGHT_RESNET.STAGE_CHANNELS", (8, 16, 16, 24)), "backbone"),
        (("MODEL.LIGHT_RESNET.NORM", "GN"), "backbone"),
        (("MODEL.FPN.OUT_CHANNELS", 32), "backbone"),
        (("MODEL.ROI_MASK_HEAD.NUM_CONV", 3), "mask_head"),
        (("MODEL.ROI_TEXT_HEAD.HIDDEN_SIZE", 64), "text_head"),
        (("MODEL.ROI_TEXT_HEAD.NAME", "CropTextHead", "MODEL.ROI_TEXT_HEAD.IN_FEATURE", "image"), "text_head"),
        (("MODEL.TEXT.CHARSET", "printable95"), "text_head"),
    ],
)
def test_other_sizes_are_another_network_in_either_direction(opts, part):
    for weights, model in ((build(LIGHT), build(LIGHT, *opts)), (build(LIGHT, *opts), build(LIGHT))):
        assert any(part in clause for clause in misfits(model, weights.state_dict()))


def test_scales_of_another_selector_are_another_network():
    two, three = build(LIGHT, *DLD), build(LIGHT, *DLD, "MODEL.DLD.SCALES", (0.3, 0.5, 1.0))
    assert "selector" in " ".join(misfits(three, two.state_dict()))


def test_counters_of_batches_are_no_weights():
    frozen, counting = build(LIGHT, "MODEL.LIGHT_RESNET.NORM", "FrozenBN"), build(LIGHT)
    for one, other in ((frozen, counting), (counting, frozen)):
        assert misfits(one, other.state_dict(), complete=True) == []


def test_parts_are_named_in_few_words():
    model = build(LIGHT)
    names = set(model.state_dict())
    assert whole_parts(model, names) == [name for name, child in model.named_children() if child.state_dict()]
    fpn = {name for name in names if name.startswith("backbone.fpn_")}
    one = "roi_heads.text_head.decoder.classify.weight"
    found = whole_parts(model, fpn | {one})
    assert one in found and all(part.startswith("backbone.fpn_") for part in found if part != one) and len(found) < 12
