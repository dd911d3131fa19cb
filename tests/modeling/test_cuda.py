"""On a GPU: steps of all spotters, with the losses and gradients of the CPU. Skipped without one."""

import copy

import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from helpers.toy_words import toy_batch

from dld_spotter.engine.steps import MixedPrecisionStep

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CONFIGS = {
    "words": ("MaskRCNNSpotter_Light.yaml",),
    "pixels": ("MaskRCNNSpotter_PPLCNet_Crop.yaml",),
    "perceptron": (("TextPerceptron_R50.yaml", "Light.yaml"),),
    "mango": (("MANGO_R50.yaml", "Light.yaml"),),
    "distilled": ("MaskRCNNSpotter_Light.yaml", "MODEL.META_ARCHITECTURE", "DLDSpotter"),
    **{
        f"distilled detection of {name}": (
            ("DLD/" + recipe, "DLD/Light.yaml"),
            *("MODEL.DLD.ETA_DETECTION", 1.0, "MODEL.DLD.SELECTION", "random"),
        )
        for name, recipe in (
            ("words", "DLD_R50.yaml"),
            ("perceptron", "TextPerceptron_DLD_R50.yaml"),
            ("mango", "MANGO_DLD_R50.yaml"),
        )
    },
}


@pytest.fixture(autouse=True)
def exact_convolutions(monkeypatch):
    """TensorFloat-32 keeps ten bits of a factor."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def model_of(name: str, *opts):
    config, *more = CONFIGS[name]
    torch.manual_seed(0)
    return build_model(toy.tiny_cfg(*more, *opts, config=config)).train()


@pytest.mark.parametrize("name", ["words", "pixels", "distilled"])
def test_reading_losses_and_gradients_are_those_of_the_cpu(name):
    """In given places, where nothing is drawn at random."""
    opts = ("MODEL.TEXT.READING_ONLY", True, "MODEL.ROI_TEXT_HEAD.JITTER", 0.0)
    if name == "distilled":
        opts += ("MODEL.DLD.SCALES", (0.5,), "MODEL.DLD.COSTS", ())
    model, results = model_of(name, *opts), {}
    batch = toy_batch((2, 0, 3))
    for device in ("cpu", "cuda"):
        on_device = copy.deepcopy(model).to(device)
        with EventStorage():
            losses = on_device(batch)
        sum(losses.values()).backward()
        gradients = [p.grad.cpu() for p in on_device.parameters() if p.grad is not None]
        results[device] = {key: loss.item() for key, loss in losses.items()}, gradients
    assert results["cuda"][0] == pytest.approx(results["cpu"][0], rel=1e-3)
    for one, other in zip(results["cuda"][1], results["cpu"][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3 * other.abs().max().item() + 1e-7)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_training_step_and_inference(name):
    model = model_of(name).to("cuda")
    with EventStorage():
        losses = model(toy_batch((2, 0, 1)))
    sum(losses.values()).backward()
    assert all(loss.isfinite() and loss.device.type == "cuda" for loss in losses.values())
    for output in model.eval()(toy_batch((1, 2))):
        assert output["instances"].pred_text.device.type == "cuda"


@pytest.mark.parametrize("name", CONFIGS)
def test_mixed_precision(name):
    model = model_of(name).to("cuda")
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    step = MixedPrecisionStep(model, iter([toy_batch((2, 1))] * 3), optimizer)
    with EventStorage() as step.storage:
        for step.iter in range(3):
            step.run_step()
    assert all(p.isfinite().all() for p in model.parameters())
