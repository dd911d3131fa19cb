import json
import logging

import cv2
import engine_toy
import numpy as np
import pytest
import torch
from detectron2.engine import HookBase
from detectron2.structures import Boxes, Instances

from dld_spotter.engine.hooks import BestCheckpoint, DrawSamples
from dld_spotter.engine.steps import MixedPrecisionStep, TextStep
from dld_spotter.engine.trainer import distribute, step_class


def evaluating(figures, **other):
    """A trainer whose n-th evaluation finds ``figures[n]`` as end-to-end hmean."""
    remaining = iter(figures)

    class Evaluating(engine_toy.ToyTrainer):
        @classmethod
        def test(cls, cfg, model, evaluators=None):
            return {"detection": {"hmean": 0.5}, "e2e_none": {"hmean": next(remaining)}} | other

    return Evaluating


def best_state(folder):
    return torch.load(folder / "output" / "model_best.pth", weights_only=True)["best"]


@pytest.mark.parametrize("figures, iteration", [([0.2, 0.4, 0.3], 3), ([0.2, 0.1, 0.4], 6)])
def test_the_best_checkpoint_is_kept(tmp_path, figures, iteration):
    cfg = engine_toy.toy_cfg(tmp_path, "SOLVER.CHECKPOINT_PERIOD", 100)
    engine_toy.train(cfg, trainer_class=evaluating(figures))
    assert best_state(tmp_path) == {"metric": "e2e_none/hmean", "value": 0.4, "iteration": iteration}
    # The best one is not what a run goes on from.
    assert (tmp_path / "output" / "last_checkpoint").read_text() == "model_final.pth"


def test_the_best_figure_survives_a_restart(tmp_path):
    cfg = engine_toy.toy_cfg(tmp_path, "SOLVER.CHECKPOINT_PERIOD", 1)
    engine_toy.train(cfg, stop=3, trainer_class=evaluating([0.5]))
    engine_toy.train(cfg, resume=True, trainer_class=evaluating([0.4, 0.45]))
    assert best_state(tmp_path)["value"] == 0.5
    engine_toy.train(cfg, trainer_class=evaluating([0.1, 0.2, 0.1]))  # another run in the same folder
    assert best_state(tmp_path)["value"] == 0.2


def test_of_several_test_sets_the_mean_counts_and_nan_never(tmp_path):
    cfg = engine_toy.toy_cfg(tmp_path)
    figures = iter([(0.2, 0.4), (0.1, 0.4), (0.9, np.nan)])

    class TwoSets(engine_toy.ToyTrainer):
        @classmethod
        def test(cls, cfg, model, evaluators=None):
            return {name: {"e2e_none": {"hmean": f}} for name, f in zip("ab", next(figures), strict=True)}

    engine_toy.train(cfg, trainer_class=TwoSets)
    assert best_state(tmp_path) == {"metric": "e2e_none/hmean", "value": pytest.approx(0.3), "iteration": 1}


def test_without_an_evaluation_there_is_no_best_checkpoint(tmp_path):
    engine_toy.train(engine_toy.toy_cfg(tmp_path))
    assert not (tmp_path / "output" / "model_best.pth").exists()


def test_a_metric_that_no_evaluation_gives_is_named_once(tmp_path, caplog):
    cfg = engine_toy.toy_cfg(tmp_path, "TEST.BEST_METRIC", "e2e/f1")
    engine_toy.train(cfg, trainer_class=evaluating([0.1, 0.2, 0.3]))
    assert caplog.text.count("BEST_METRIC is 'e2e/f1'") == 1 and "e2e_none/hmean" in caplog.text
    assert not (tmp_path / "output" / "model_best.pth").exists()


def test_train_returns_the_last_results(tmp_path):
    cfg = engine_toy.toy_cfg(tmp_path)
    trainer = evaluating([0.1, 0.2, 0.3])(cfg)
    assert trainer.train()["e2e_none"] == {"hmean": 0.3}
    assert engine_toy.ToyTrainer(cfg).train() is None


class Poison(HookBase):
    def before_step(self):
        if self.trainer.iter == 2:
            with torch.no_grad():
                self.trainer.model.text_head.classify.bias.fill_(torch.nan)


def test_losses_that_are_not_finite_are_named_before_the_weights_change(tmp_path):
    trainer = engine_toy.ToyTrainer(engine_toy.toy_cfg(tmp_path))
    trainer.register_hooks([Poison()])
    with pytest.raises(FloatingPointError, match=r"iteration 2: loss_text not finite; .*'loss_mean': 0\.\d+") as caught:
        trainer.train()
    assert "--resume" in str(caught.value)
    assert trainer.model.conv.weight.isfinite().all()


@pytest.mark.parametrize("accumulation", [1, 2])
def test_mixed_precision_on_the_cpu_is_bfloat16(tmp_path, accumulation):
    cfg = engine_toy.toy_cfg(tmp_path, "SOLVER.AMP.ENABLED", True, "SOLVER.ACCUMULATION", accumulation)
    trainer = engine_toy.ToyTrainer(cfg)
    seen = set()
    trainer.model.conv.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    trainer.train()
    assert seen == {torch.bfloat16}
    assert trainer.model.conv.weight.dtype == trainer.model.conv.weight.grad.dtype == torch.float32


def test_mixed_precision_elsewhere_is_left_out_and_said_so(tmp_path, caplog):
    cfg = engine_toy.toy_cfg(tmp_path, "SOLVER.AMP.ENABLED", True, "MODEL.DEVICE", "meta")
    assert step_class(cfg) is TextStep
    assert "on 'meta' training goes on in float32" in caplog.text


def test_the_loss_scale_of_mixed_precision_survives_a_restart(tmp_path):
    trainers = []
    for scale in (8.0, 4.0, 2.0):
        trainer = engine_toy.ToyTrainer(engine_toy.toy_cfg(tmp_path / str(scale)))
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        trainer._trainer = MixedPrecisionStep(trainer.model, None, trainer.optimizer, grad_scaler=scaler)
        trainers.append(trainer)
    first, resumed, from_float32 = trainers
    state = first.state_dict()
    resumed.load_state_dict(state)
    assert resumed._trainer.grad_scaler.get_scale() == 8.0
    del state["_trainer"]["grad_scaler"]  # as of a run in float32
    from_float32.load_state_dict(state)
    assert from_float32._trainer.grad_scaler.get_scale() == 2.0


def test_processes_for_gpus_do_not_take_a_model_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.distributed, "get_backend", lambda: "nccl")
    model = torch.nn.Linear(1, 1)
    assert distribute(model) is model  # one process
    monkeypatch.setattr("detectron2.utils.comm.get_world_size", lambda: 2)
    with pytest.raises(ValueError, match="hide the GPUs: CUDA_VISIBLE_DEVICES= "):
        distribute(model)


def test_scalars_are_written(tmp_path):
    engine_toy.train(engine_toy.toy_cfg(tmp_path), trainer_class=evaluating([0.1, 0.2, 0.3]))
    rows = [json.loads(line) for line in (tmp_path / "output" / "metrics.json").read_text().splitlines()]
    assert rows[-1]["e2e_none/hmean"] == 0.3
    assert {"total_loss", "loss_text", "lr"} <= {key for row in rows for key in row}
    assert list((tmp_path / "output").glob("events.out.tfevents*"))


class OneWord(torch.nn.Module):
    """Finds the word "a1" in the whole of each image."""

    def forward(self, batched_inputs):
        assert not self.training
        found = []
        for x in batched_inputs:
            instances = Instances((x["height"], x["width"]))
            instances.pred_boxes = Boxes(torch.tensor([[10.0, 10, x["width"] - 10, x["height"] - 10]]))
            instances.scores = torch.ones(1)
            instances.pred_masks = torch.zeros(1, x["height"], x["width"], dtype=torch.bool)
            instances.pred_masks[:, 10:-10, 10:-10] = True
            instances.pred_text, instances.pred_text_scores = torch.tensor([[12, 3, 1]]), torch.ones(1)
            found.append({"instances": instances})
        return found


class FakeTrainer:
    def __init__(self, iteration):
        self.iter, self.max_iter = iteration, 6
        self.model = OneWord().train()
        self.storage = self
        self.images = {}

    def put_image(self, name, image):
        self.images[name] = image


@pytest.mark.parametrize("iteration, drawn", [(0, False), (1, True), (5, False)])
def test_samples_are_drawn_at_each_evaluation(tmp_path, iteration, drawn):
    hook = DrawSamples.from_config(engine_toy.toy_cfg(tmp_path, "TEST.SAMPLES", 3))
    hook.trainer = FakeTrainer(iteration)
    hook.after_step()
    names = [f"samples/toy_{i}.png" for i in (1, 2, 3)] if drawn else []
    assert list(hook.trainer.images) == names
    assert hook.trainer.model.training
    for image in hook.trainer.images.values():
        assert image.shape == (3, 96, 128) and image.dtype == torch.uint8


@pytest.mark.parametrize("iteration, drawn", [(4, 0), (6, 2)])
def test_samples_are_drawn_at_the_end_but_not_after_a_failure(tmp_path, iteration, drawn):
    hook = DrawSamples.from_config(engine_toy.toy_cfg(tmp_path, "TEST.SAMPLES", 2))
    hook.trainer = FakeTrainer(iteration)
    hook.after_train()
    assert len(hook.trainer.images) == drawn


def test_samples_show_what_was_read(tmp_path):
    hook = DrawSamples.from_config(engine_toy.toy_cfg(tmp_path, "TEST.SAMPLES", 1))
    hook.trainer = FakeTrainer(6)
    hook.after_train()
    original = cv2.imread(str(tmp_path / "images" / "toy_1.png"))[:, :, ::-1]
    drawn = hook.trainer.images["samples/toy_1.png"].permute(1, 2, 0).numpy()
    changed = np.abs(drawn.astype(int) - original).max(axis=2) > 8
    rows, columns = np.nonzero(changed)
    assert rows.max() >= 80 and columns.max() >= 110 and changed[20:70, 20:100].mean() > 0.5


def test_no_samples_when_not_asked_for(tmp_path):
    assert DrawSamples.from_config(engine_toy.toy_cfg(tmp_path, "TEST.SAMPLES", 0)) is None
    assert DrawSamples.from_config(engine_toy.toy_cfg(tmp_path, "DATASETS.TEST", ())) is None


def test_the_batch_scales_with_the_processes(tmp_path):
    opts = ("SOLVER.REFERENCE_WORLD_SIZE", 2, "SOLVER.IMS_PER_BATCH", 4)
    trainer = engine_toy.ToyTrainer(engine_toy.toy_cfg(tmp_path, *opts))
    assert trainer.cfg.SOLVER.IMS_PER_BATCH == 2 and pytest.approx(0.005) == trainer.cfg.SOLVER.BASE_LR
    assert trainer.max_iter == 12


def test_best_checkpoint_ignores_figures_of_another_metric(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    cfg = engine_toy.toy_cfg(tmp_path, "SOLVER.CHECKPOINT_PERIOD", 1)
    engine_toy.train(cfg, stop=3, trainer_class=evaluating([0.9]))
    cfg.TEST.BEST_METRIC = "detection/hmean"
    trainer, _ = engine_toy.train(cfg, resume=True, trainer_class=evaluating([0.1, 0.2]))
    assert best_state(tmp_path) == {"metric": "detection/hmean", "value": 0.5, "iteration": 3}
    assert any(isinstance(hook, BestCheckpoint) for hook in trainer._hooks)


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path, monkeypatch):
    """The toy spotter's losses are means over the images, and dropout is switched off."""
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, *args, **kwargs: x)
    options = ("SOLVER.IMS_PER_BATCH", 4, "SOLVER.MAX_ITER", 3, "TEST.EVAL_PERIOD", 0)
    whole, expected = engine_toy.train(engine_toy.toy_cfg(tmp_path / "whole", *options))
    parts, losses = engine_toy.train(engine_toy.toy_cfg(tmp_path / "parts", *options, "SOLVER.ACCUMULATION", 3))
    for iteration, values in expected.items():
        assert losses[iteration] == pytest.approx(values, rel=1e-5)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], value, msg=name)


def test_the_temperature_falls_by_epochs_and_survives_a_restart(tmp_path):
    """Six iterations of two images over five images: epochs of 2.5 iterations."""
    cfg = engine_toy.toy_cfg(tmp_path, "MODEL.DLD.SCALES", (0.5, 1.0), model="DLDSpotter")
    trainer, _ = engine_toy.train(cfg)
    assert trainer.storage.history("selector/temperature").latest() == pytest.approx(5 * 0.965**2)
    logged = [value for value, _ in trainer.storage.history("selector/temperature").values()]
    assert logged == pytest.approx([5 * 0.965 ** int(i / 2.5) for i in range(6)])
    resumed, _ = engine_toy.train(cfg, stop=0, resume=True)
    assert resumed.model.temperature.item() == pytest.approx(5 * 0.965**2)


def test_student_and_teacher_start_from_a_spotter_or_from_one_each(tmp_path):
    spotters = {}
    for name in ("one", "other"):
        cfg = engine_toy.toy_cfg(tmp_path / name, "SOLVER.MAX_ITER", 1, model="MaskRCNNSpotter")
        cfg.SEED = len(spotters)
        spotters[name], _ = engine_toy.train(cfg)
    paths = {name: str(tmp_path / name / "output" / "model_final.pth") for name in spotters}
    weights = {name: spotter.model.state_dict() for name, spotter in spotters.items()}
    key = "roi_heads.text_head.decoder.classify.weight"
    options = ("MODEL.DLD.SCALES", (0.5, 1.0), "MODEL.WEIGHTS", paths["one"])
    both, _ = engine_toy.train(engine_toy.toy_cfg(tmp_path / "both", *options, model="DLDSpotter"), stop=0)
    for part in (both.model.student, both.model.teacher):
        assert torch.equal(part.state_dict()[key], weights["one"][key])
    options = (*options, "MODEL.DLD.TEACHER_WEIGHTS", paths["other"])
    each, _ = engine_toy.train(engine_toy.toy_cfg(tmp_path / "each", *options, model="DLDSpotter"), stop=0)
    assert torch.equal(each.model.student.state_dict()[key], weights["one"][key])
    assert torch.equal(each.model.teacher.state_dict()[key], weights["other"][key])
