"""Dynamic Low-resolution Distillation around any ``Spotter`` (ECCV 2022): training step and inference.

Shapes: B images, k candidate scales, R words over the whole batch, T decoding steps, V characters and special tokens.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import ImageList
from detectron2.utils.events import get_event_storage
from torch import Tensor, nn

from dld_spotter.data.charset import PAD
from dld_spotter.modeling.dld.losses.distiller import ReadingDistiller
from dld_spotter.modeling.dld.losses.loss_weights import DistillationWeights
from dld_spotter.modeling.dld.losses.pyramid_fusion import PyramidFusion, build_pyramid_fusion, weights_with_fusion
from dld_spotter.modeling.dld.losses.pyramid_loss import pyramid_loss
from dld_spotter.modeling.dld.rescaling import rescale_images, rescale_words, select_images
from dld_spotter.modeling.dld.selector.gumbel import (
    accuracy_loss,
    cheapest_equal_scale,
    cost_loss,
    sample_choice,
    text_accuracy_loss,
)
from dld_spotter.modeling.dld.selector.selector_log import log_choice
from dld_spotter.modeling.dld.selector.selector_network import SHARPNESS, build_resolution_selector
from dld_spotter.modeling.dld.training_batch import TrainingBatch, evaluating, global_counts, group_by
from dld_spotter.modeling.spotter import Reading, Spotter, readable_words, target_tokens


@META_ARCH_REGISTRY.register()
class DLDSpotter(nn.Module):
    """A frozen high-resolution teacher, a student, and a selector of the student's input scale for each image.

    Args:
        student: what is trained, and what reads at inference.
        teacher: the same at full resolution, frozen; None where nothing is distilled (inference, export).
        selector: image -> logits over the scales; None with a single scale, or with a random choice among several.
        scales: candidate factors on height and width of the teacher's resolution.
        costs: of each candidate relative to the teacher (T_i of the paper).
        weights: of the losses.
        accuracy_target: "kl" (the teacher's distribution) or "ce" (the true characters), for L_acc.
        distiller: what the student's reading loses against the teacher's.
        fusion: makes the teacher's pyramid of two resolutions, frozen; None for that of the full resolution alone.
        pyramid_warmup: iterations over which the weight of the pyramid's distillation grows from 0.
        fixed_scale: read at this scale at inference, whatever the selector says; 0 lets it decide.
        gamma_shift: added at inference to the gamma that the selector was fitted for.
        temperature: of the Gumbel-softmax, until a hook sets another.
        pad_multiple: in training, sides of a batch are multiples of so many pixels, as the student pads them.
    """

    @configurable
    def __init__(
        self,
        *,
        student: Spotter,
        teacher: Spotter | None,
        selector: nn.Module | None,
        scales: Sequence[float],
        costs: Sequence[float],
        weights: DistillationWeights,
        accuracy_target: str = "kl",
        distiller: ReadingDistiller | None = None,
        fusion: PyramidFusion | None = None,
        pyramid_warmup: int = 500,
        fixed_scale: float = 0.0,
        gamma_shift: float = 0.0,
        temperature: float = 5.0,
        pad_multiple: int = 32,
    ):
        super().__init__()
        self.student = student
        self.teacher = teacher
        self.selector = selector
        self.scales = tuple(scales)
        self.weights = weights
        self.accuracy_target = accuracy_target
        self.distiller = distiller or ReadingDistiller(weights)
        self.fusion = fusion
        self.pyramid_warmup = pyramid_warmup
        self.fixed_scale = fixed_scale
        self.gamma_shift = gamma_shift
        self.pad_multiple = pad_multiple
        self.register_buffer("costs", torch.tensor(costs, dtype=torch.float32), persistent=False)
        # In the checkpoint, so that a resumed run goes on at the same temperature.
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        for frozen in (teacher, fusion):
            if frozen is not None:
                frozen.requires_grad_(False).eval()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        dld = cfg.MODEL.DLD
        build = META_ARCH_REGISTRY.get(dld.SPOTTER)
        weights = DistillationWeights.from_config(cfg)
        choosing = len(dld.SCALES) > 1 and dld.SELECTION == "selector"
        return {
            "student": build(student_cfg(cfg)),
            "teacher": build(cfg) if dld.TEACHER else None,
            "selector": build_resolution_selector(cfg) if choosing else None,
            "scales": dld.SCALES,
            "costs": dld.COSTS or [scale**2 for scale in dld.SCALES],
            "weights": weights,
            "accuracy_target": dld.ACCURACY_TARGET,
            "distiller": ReadingDistiller(weights, dld.NUM_SEQUENCES),
            "fusion": build_pyramid_fusion(cfg),
            "pyramid_warmup": dld.PYRAMID_WARMUP_ITERS,
            "fixed_scale": dld.FIXED_SCALE,
            "gamma_shift": dld.GAMMA_SHIFT,
            "temperature": dld.TEMPERATURE,
            "pad_multiple": cfg.MODEL.PAD_MULTIPLE or 32,
        }

    @property
    def device(self) -> torch.device:
        return self.costs.device

    def train(self, mode: bool = True) -> "DLDSpotter":
        """As usual, but the teacher stays in evaluation mode: without gradients alone, its BatchNorms would drift."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """Detectron2's contract. Predictions hold the chosen "scale" beside "instances"."""
        if not self.training:
            return self.inference(batched_inputs)
        self._check_losses()
        # What is read is known on the CPU: nothing has to be asked of the device for it.
        targets = [record["instances"] for record in batched_inputs]
        words = [w.to(self.device) for w in readable_words(targets)]
        tokens = target_tokens(words)
        batch = TrainingBatch(
            self.student.preprocess_image(batched_inputs),
            [target.to(self.device) for target in targets],
            words,
            tokens,
            *global_counts(tokens != PAD),
        )
        taught, pyramid = self._teach(batch)
        choice, losses = self._choose(batch, taught)
        reading, order, student_losses = self._train_student(batch, choice, pyramid)
        losses |= student_losses
        if self.weights.distils_reading:
            losses |= self.distiller(self.student, self.teacher, reading, taught.words(order), batch.num_words)
        return losses

    def adapt_weights(self, weights: dict) -> dict:
        """Weights of a checkpoint as this model takes them: those of a plain spotter serve student and teacher."""
        weights, fusion = weights_with_fusion(weights, self.fusion)
        if any(name.startswith("student.") for name in weights):
            return weights | fusion
        weights = self.student.adapt_weights(weights)
        parts = ("student",) if self.teacher is None else ("student", "teacher")
        return {f"{part}.{name}": value for part in parts for name, value in weights.items()} | fusion

    def _check_losses(self) -> None:
        if self.selector is not None and self.student.reads_full_resolution:
            raise ValueError(
                "with MODEL.PP_LCNET_READER.FULL_RESOLUTION reading tells nothing of a scale: set MODEL.DLD.SELECTION "
                "to 'random', and fit a selector afterwards (tools/fit_selector.py --by spotting)."
            )
        compared = self.selector is not None and self.accuracy_target == "kl"
        if self.teacher is None and (compared or self.weights.lambda_skd > 0):
            raise ValueError(
                "MODEL.DLD.TEACHER is False, but the losses compare the student with a teacher: set it to True, or "
                "MODEL.DLD.LAMBDA_SKD to 0 and MODEL.DLD.ACCURACY_TARGET to 'ce'."
            )

    @torch.no_grad()
    def _teach(self, batch: TrainingBatch) -> tuple[Reading | None, Mapping[int, Tensor] | None]:
        """The teacher's reading, and the levels of its pyramid; None for what no loss asks for."""
        taught, levels, features = None, None, None
        if self.weights.distils_pyramid:
            pyramid = self.teacher.pyramid(batch.images)
            levels, features = pyramid.levels, pyramid.features
            if self.fusion is not None:
                low = self.teacher.pyramid(rescale_images(batch.images, 0.5)).levels
                levels = {**levels, **self.fusion(levels, low, batch.images.image_sizes)}
        if self.teacher is not None and (self.selector is not None or self.weights.distils_reading):
            taught = self.teacher.read(batch.images, batch.words, features)
            if self.weights.distils_attention:
                attention = self.teacher.attention_maps(batch.images, batch.words, features)
                taught = replace(taught, attention=attention)
        return taught, levels

    def _choose(self, batch: TrainingBatch, taught: Reading | None) -> tuple[list[int], dict[str, Tensor]]:
        """Index of the scale of each image, and the selector's losses."""
        if self.selector is None:
            return torch.randint(len(self.scales), (len(batch.words),), device="cpu").tolist(), {}
        logits = self.selector(batch.images)
        choice = sample_choice(logits, self.temperature)  # (B, k)
        candidates, valid = self._read_at_all_scales(batch)  # (k, R, T, V), (R, T)
        counts = torch.tensor([len(w) for w in batch.words], device="cpu")
        image_of_word = torch.repeat_interleave(torch.arange(len(counts), device="cpu"), counts).to(
            self.device, non_blocking=True
        )
        if self.accuracy_target == "kl":
            num_steps = global_counts(valid)[0]
            accuracy = accuracy_loss(choice, candidates, taught.logits, valid, image_of_word, num_steps)
        else:
            likelihood = self.student.log_likelihood
            accuracy = text_accuracy_loss(choice, candidates, batch.tokens, image_of_word, likelihood, batch.num_tokens)
        losses = {
            "loss_selector_accuracy": self.weights.lambda_selector * accuracy,
            "loss_selector_cost": self.weights.lambda_selector * self.weights.gamma * cost_loss(choice, self.costs),
        }
        cheapest = None
        if taught is not None:
            own = torch.stack([self.student.best_tokens(at_scale, valid) for at_scale in candidates])
            texts = own, self.teacher.best_tokens(taught.logits, valid)
            cheapest = cheapest_equal_scale(*texts, image_of_word, len(choice), self.costs)
        shown = self.scales, self.costs, self.temperature, choice.detach(), logits.detach()
        return log_choice(*shown, cheapest), losses

    @torch.no_grad()
    def _read_at_all_scales(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """(k, R, T, V) logits of the student at each scale, normalised as at inference, and (R, T) bool: valid steps.

        The recogniser runs once.
        """
        with evaluating(self.student):
            features = []
            for scale in self.scales:
                images = rescale_images(batch.images, scale)
                features.append(self.student.pool(images, rescale_words(batch.words, batch.images, images, scale)))
            k = len(self.scales)
            reading = self.student.recognize(torch.cat(features), batch.tokens.repeat(k, 1))
        words = len(batch.tokens)
        return reading.logits.unflatten(0, (k, words)), reading.valid[:words]

    def _train_student(
        self, batch: TrainingBatch, choice: list[int], pyramid: Mapping[int, Tensor] | None
    ) -> tuple[Reading, Tensor, dict[str, Tensor]]:
        """Each image at its own scale, images of one scale together; ``pyramid`` holds the teacher's levels.

        Returns:
            the reading of all words, group after group; the index of each of them in the batch; the losses.
        """
        first_word = [0, *itertools.accumulate(len(w) for w in batch.words)]
        losses, roi, attention, order = {}, [], [], []
        for index, group in group_by(choice):
            images, scale = select_images(batch.images, group, self.pad_multiple), self.scales[index]
            rescaled = rescale_images(images, scale)
            targets = rescale_words([batch.targets[i] for i in group], images, rescaled, scale)
            if pyramid is None and not self.weights.distils_attention:
                group_losses, group_roi = self.student.detection_losses(rescaled, targets)
            else:
                own = self.student.pyramid(rescaled)
                group_losses, group_roi = self.student.detection_losses(rescaled, targets, own.features)
            if pyramid is not None:
                loss = pyramid_loss(own.levels, pyramid, scale, images.image_sizes, group)
                group_losses["loss_kd_pyramid"] = self._pyramid_weight() * loss
            if self.weights.distils_attention:
                words = rescale_words([batch.words[i] for i in group], images, rescaled, scale)
                attention.append(self.student.attention_maps(rescaled, words, own.features))
            for name, loss in group_losses.items():
                losses[name] = losses.get(name, 0.0) + loss * (len(group) / len(choice))
            roi.append(group_roi)
            order += [word for i in group for word in range(first_word[i], first_word[i + 1])]
        order = torch.tensor(order, dtype=torch.long, device="cpu").to(self.device, non_blocking=True)
        reading = self.student.recognize(torch.cat(roi), batch.tokens[order])
        if attention and attention[0] is not None:
            reading = replace(reading, attention=torch.cat(attention))
        return reading, order, losses | self.student.reading_losses(reading)

    def _pyramid_weight(self) -> float:
        done = get_event_storage().iter / self.pyramid_warmup if self.pyramid_warmup else 1.0
        return self.weights.lambda_skd * self.weights.eta_pyramid * min(1.0, done)

    @torch.no_grad()
    def inference(self, batched_inputs: list[dict]) -> list[dict]:
        """Each image at its chosen scale, images of one scale together; predictions in the original images' pixels."""
        images = self.student.preprocess_image(batched_inputs)
        results: list[dict] = [{}] * len(batched_inputs)
        for scale, group in group_by(self.choose_scales(images)):
            found = self.student.spot(rescale_images(select_images(images, group), scale))
            for index, instances in zip(group, found, strict=True):
                size = images.image_sizes[index]
                height = batched_inputs[index].get("height", size[0])
                width = batched_inputs[index].get("width", size[1])
                results[index] = {"instances": detector_postprocess(instances, height, width), "scale": scale}
        return results

    @torch.no_grad()
    def read_words(self, batched_inputs: list[dict]) -> list[Tensor]:
        """As ``Spotter.read_words``: the student, each image at its chosen scale."""
        images = self.student.preprocess_image(batched_inputs)
        words = [w.to(self.device) for w in readable_words([record["instances"] for record in batched_inputs])]
        results: list[Tensor] = [torch.empty(0)] * len(words)
        for scale, group in group_by(self.choose_scales(images)):
            full, placed = select_images(images, group), [words[i] for i in group]
            small = rescale_images(full, scale)
            tokens, _ = self.student.greedy(self.student.pool(small, rescale_words(placed, full, small, scale)))
            for index, read in zip(group, tokens.split([len(w) for w in placed]), strict=True):
                results[index] = read
        return results

    def choose_scales(self, images: ImageList) -> list[float]:
        """The scale that each image is read at: the fixed one, the only one, or the selector's most likely one."""
        if self.fixed_scale > 0:
            return [self.fixed_scale] * len(images.image_sizes)
        if self.selector is None:
            return [self.scales[0]] * len(images.image_sizes)
        logits = self.selector(images) - SHARPNESS * self.gamma_shift * self.costs
        return [self.scales[i] for i in logits.argmax(dim=1).tolist()]


def student_cfg(cfg: CfgNode) -> CfgNode:
    """The student's config: the teacher's, with ``MODEL.DLD.STUDENT_OPTS`` on top."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.merge_from_list(list(cfg.MODEL.DLD.STUDENT_OPTS))
    return cfg
