"""No GPU is needed to see a tensor made on the wrong device: one made without saying where is found by its call."""

import sys

import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from helpers.placeless_tensors import PlacelessTensors
from helpers.toy_dld import build
from helpers.toy_words import toy_batch
from torch.overrides import TorchFunctionMode


def test_the_watch_sees_a_placeless_tensor():
    with PlacelessTensors("test_devices") as watch:
        torch.zeros(1, device="cpu")
        torch.zeros(2)
    assert len(watch.calls) == 1 and "zeros in" in watch.calls[0]


@pytest.mark.parametrize("opts", [(), ("MODEL.DLD.ACCURACY_TARGET", "ce"), ("MODEL.DLD.SELECTION", "random")])
def test_every_tensor_of_a_step_says_where_it_is(opts):
    model = build("MODEL.DLD.NUM_SEQUENCES", 3, *opts)
    batch = toy_batch((2, 0, 1))
    with PlacelessTensors() as watch:
        with EventStorage():
            losses = model(batch)
        model.eval()(batch)
        model.student.read_words(batch)
    sum(losses.values()).backward()
    assert watch.calls == []


class CopiedNumbers(TorchFunctionMode):
    """Notes where the package's models copy Python's numbers to a tensor's device, and so would wait for a GPU."""

    FILES = ("dld_spotter/modeling", "dld_spotter/structures.py")

    def __init__(self):
        super().__init__()
        self.calls: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        caller = sys._getframe(1)
        copies = func is torch.Tensor.new_tensor or (
            func is torch.Tensor.__setitem__ and not isinstance(args[2], torch.Tensor)
        )
        if copies and any(name in caller.f_code.co_filename for name in self.FILES):
            self.calls.append(f"{caller.f_code.co_filename}:{caller.f_lineno}")
        return func(*args, **(kwargs or {}))


def test_the_watch_sees_a_copied_number():
    lines = ["t = torch.zeros(3)", "t[0] = 1.0", "t.new_tensor([1.0])", "t[0] = t[1]", "t[0].fill_(2.0)"]
    code = compile("\n".join(lines), "dld_spotter/modeling", "exec")
    with CopiedNumbers() as watch:
        exec(code, {"torch": torch})
    assert watch.calls == ["dld_spotter/modeling:2", "dld_spotter/modeling:3"]


def test_a_step_of_reading_copies_no_numbers():
    """Detectron2's sampling of boxes waits for the device anyway; reading, distilling and choosing do not."""
    options = ("MODEL.TEXT.READING_ONLY", True, "MODEL.ROI_TEXT_HEAD.NAME", "CropTextHead")
    model = build(*options, "MODEL.ROI_TEXT_HEAD.IN_FEATURE", "image")
    batch = toy_batch((2, 0, 1))
    with CopiedNumbers() as watch, EventStorage():
        sum(model(batch).values()).backward()
    assert watch.calls == []


@pytest.mark.parametrize("recipe", ["DLD", "TextPerceptron_DLD", "MANGO_DLD"])
def test_distilling_detection_copies_no_numbers(recipe):
    options = ("MODEL.DLD.ETA_DETECTION", 1.0, "MODEL.DLD.SELECTION", "random")
    model = build_model(toy.tiny_cfg(*options, config=toy.light(recipe))).train()
    with CopiedNumbers() as watch, EventStorage():
        assert any("_kd_" in name for name in model(toy_batch((2, 0, 1))))
    assert [call for call in watch.calls if "distillation" in call or "output_losses" in call] == []


def test_parameters_and_buffers_move_together():
    model = build().to("meta")
    tensors = [*model.parameters(), *model.buffers()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert model.device.type == "meta"
