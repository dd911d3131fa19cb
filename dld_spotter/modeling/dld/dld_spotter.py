"""Dynamic Low-resolution Distillation around any ``Spotter`` (ECCV 2022): training step and inference.

Shapes: B images, k candidate scales, R words over the whole batch, T decoding steps, V characters and special tokens.
"""

from dataclasses import replace

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import ImageList
from torch import Tensor, nn

from dld_spotter.modeling.dld.dld_inference import DLDInference
from dld_spotter.modeling.dld.dld_objective import DLDObjective
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
from dld_spotter.modeling.dld.selector.regression import check_gamma_shift, foreseen_losses, shift_gamma
from dld_spotter.modeling.dld.selector.scale_costs import CandidateScales
from dld_spotter.modeling.dld.selector.selector_log import ScaleChoice, log_choice
from dld_spotter.modeling.dld.selector.selector_network import build_resolution_selector
from dld_spotter.modeling.dld.student_config import student_cfg
from dld_spotter.modeling.dld.teacher_pass import TeacherPass, detector_of, pyramid_of, run_teacher
from dld_spotter.modeling.dld.training_batch import TrainingBatch, evaluating, global_counts, group_by
from dld_spotter.modeling.spotter import RecognitionOutput, Spotter, readable_words
from dld_spotter.modeling.spotter_parts import AttentionMapSpotter
from dld_spotter.scale_costs import NO_SELECTOR, ScaleBound, ScaleCosts


@META_ARCH_REGISTRY.register()
class DLDSpotter(nn.Module):
    """A frozen high-resolution teacher, a student, and a selector of the student's input scale for each image.

    Args:
        student: the trainable spotter, also used at inference.
        teacher: the same at full resolution, frozen; None where nothing is distilled (inference, export).
        selector: image -> logits over the scales; None with a single scale, or with a random choice among several.
        trains_selector: whether the selector learns; else it chooses at inference only, and training at random.
        candidates: the scales.
        objective: losses and schedules.
        inference: the choice of the scale, and which words are returned.
        fusion: makes the teacher's pyramid of two resolutions, frozen; None for that of the full resolution alone.

    Attributes:
        scale_bound: at inference, choose any scale by what it loses and costs; None chooses among the candidates.
    """

    costs: Tensor
    temperature: Tensor

    @configurable
    def __init__(
        self,
        *,
        student: Spotter,
        teacher: Spotter | None,
        selector: nn.Module | None,
        candidates: CandidateScales,
        objective: DLDObjective,
        inference: DLDInference | None = None,
        fusion: PyramidFusion | None = None,
        trains_selector: bool = True,
    ):
        super().__init__()
        inference = inference or DLDInference()
        check_gamma_shift(inference.gamma_shift, selector)
        self.student = student
        self.teacher = teacher
        self.selector = selector
        self.trains_selector = trains_selector and selector is not None
        self.scales = tuple(candidates.scales)
        self.objective = objective
        self.fusion = fusion
        self.fixed_scale = inference.fixed_scale
        self.gamma_shift = inference.gamma_shift
        self.scale_limit = inference.scale_limit
        self.scoring = inference.scoring
        self.gamma = inference.gamma
        self.scale_bound: ScaleBound | None = None
        self.register_buffer("costs", torch.tensor(candidates.costs, dtype=torch.float32), persistent=False)
        # In the checkpoint, so that a resumed run goes on at the same temperature.
        self.register_buffer("temperature", torch.tensor(float(objective.temperature)))
        for frozen in (teacher, fusion, None if self.trains_selector else selector):
            if frozen is not None:
                frozen.requires_grad_(False).eval()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        dld = cfg.MODEL.DLD
        build = META_ARCH_REGISTRY.get(dld.SPOTTER)
        choosing = len(dld.SCALES) > 1 and dld.SELECTION != "random"
        return {
            "student": build(student_cfg(cfg)),
            "teacher": build(cfg) if dld.TEACHER else None,
            "selector": build_resolution_selector(cfg) if choosing else None,
            "candidates": CandidateScales.from_config(cfg),
            "objective": DLDObjective.from_config(cfg),
            "inference": DLDInference.from_config(cfg),
            "fusion": build_pyramid_fusion(cfg),
            "trains_selector": dld.SELECTION == "selector",
        }

    @property
    def device(self) -> torch.device:
        return self.costs.device

    def train(self, mode: bool = True) -> "DLDSpotter":
        """As usual, but frozen parts stay in evaluation mode: without gradients alone, their BatchNorms would drift."""
        super().train(mode)
        for frozen in (self.teacher, None if self.trains_selector else self.selector):
            if frozen is not None:
                frozen.eval()
        return self

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """Detectron2's contract: L_det + L_rec + L_DRS + L_SKD, by parts. Predictions hold the "scale", too."""
        if not self.training:
            return self.inference(batched_inputs)
        if self.trains_selector:
            self.objective.check(self.student, self.teacher, self.selector, self.gamma_shift)
        else:
            self.objective.check(self.student, self.teacher, None)
        batch = TrainingBatch.from_records(batched_inputs, self.student, self.device)
        weights = self.objective.weights
        recognizes = self.trains_selector or weights.distils_recognition
        taught = run_teacher(self.teacher, batch, weights, recognizes, self.fusion)
        teacher_output = taught.recognition
        chosen, losses = self._choose_scales(batch, teacher_output)
        student_output, order, student_losses = self._train_student(batch, chosen, taught)
        losses |= student_losses
        if self.teacher is not None and teacher_output is not None and weights.distils_recognition:
            compared = student_output, teacher_output.words(order)
            losses |= self.objective.distiller(self.student, self.teacher, *compared, batch.num_words)
        return losses

    def adapt_weights(self, weights: dict) -> dict:
        """Weights of a checkpoint as this model takes them: those of a plain spotter serve student and teacher."""
        weights, fusion = weights_with_fusion(weights, self.fusion)
        if any(name.startswith("student.") for name in weights):
            return weights | fusion
        weights = self.student.adapt_weights(weights)
        parts = ("student",) if self.teacher is None else ("student", "teacher")
        return {f"{part}.{name}": value for part in parts for name, value in weights.items()} | fusion

    def _choose_scales(
        self, batch: TrainingBatch, teacher_output: RecognitionOutput | None
    ) -> tuple[list[int], dict[str, Tensor]]:
        """Index of the scale of each image, and L_DRS = L_acc + gamma L_flops."""
        if self.selector is None or not self.trains_selector:
            return torch.randint(len(self.scales), (len(batch.words),), device="cpu").tolist(), {}
        logits = self.selector(batch.images)
        choice = sample_choice(logits, self.temperature)  # (B, k)
        candidates, valid = self._recognize_at_all_scales(batch)  # (k, R, T, V), (R, T)
        image_of_word = batch.image_of_word()
        if self.objective.accuracy_target == "kl" and teacher_output is not None:
            num_steps = global_counts(valid)[0]
            accuracy = accuracy_loss(choice, candidates, teacher_output.logits, valid, image_of_word, num_steps)
        else:
            likelihood = self.student.log_likelihood
            accuracy = text_accuracy_loss(choice, candidates, batch.tokens, image_of_word, likelihood, batch.num_tokens)
        weights = self.objective.weights
        losses = {
            "loss_selector_accuracy": weights.lambda_selector * accuracy,
            "loss_selector_cost": weights.lambda_selector * weights.gamma * cost_loss(choice, self.costs),
        }
        cheapest = None
        if self.teacher is not None and teacher_output is not None:
            student_tokens = torch.stack([self.student.best_tokens(at_scale, valid) for at_scale in candidates])
            teacher_tokens = self.teacher.best_tokens(teacher_output.logits, valid)
            cheapest = cheapest_equal_scale(student_tokens, teacher_tokens, image_of_word, len(choice), self.costs)
        chosen = ScaleChoice(choice.detach(), logits.detach(), self.temperature, cheapest)
        return log_choice(chosen, self.scales, self.costs), losses

    @torch.no_grad()
    def _recognize_at_all_scales(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """(k, R, T, V) logits of the student at each scale, normalised as at inference, and (R, T) bool: valid steps.

        The recogniser runs once.
        """
        with evaluating(self.student):
            features = []
            for scale in self.scales:
                images = rescale_images(batch.images, scale)
                features.append(self.student.pool(images, rescale_words(batch.words, batch.images, images, scale)))
            k = len(self.scales)
            output = self.student.recognize(torch.cat(features), batch.tokens.repeat(k, 1))
        num_words = len(batch.tokens)
        return output.logits.unflatten(0, (k, num_words)), output.valid[:num_words]

    def _train_student(
        self, batch: TrainingBatch, chosen: list[int], taught: TeacherPass
    ) -> tuple[RecognitionOutput, Tensor, dict[str, Tensor]]:
        """L_det and L_rec, and the losses of distilling detection: images of one scale together.

        Returns:
            the output of all words, group after group; the index of each of them in the batch; the losses.
        """
        losses: dict[str, Tensor] = {}
        weights = self.objective.weights
        roi, attention, order = [], [], []
        for index, group in group_by(chosen):
            images, scale = select_images(batch.images, group, self.objective.pad_multiple), self.scales[index]
            rescaled = rescale_images(images, scale)
            targets = rescale_words([batch.targets[i] for i in group], images, rescaled, scale)
            features = None
            if taught.pyramid is not None or weights.distils_attention:
                own = pyramid_of(self.student).pyramid(rescaled)
                features = own.features
            if taught.detection is not None:
                features = detector_of(self.student).detector_features(rescaled, features)
            group_losses, group_roi = self.student.detection_losses(rescaled, targets, features)
            if taught.pyramid is not None:
                loss = pyramid_loss(own.levels, taught.pyramid, scale, images.image_sizes, group)
                group_losses["loss_kd_pyramid"] = self.objective.pyramid_weight() * loss
            if taught.detection is not None and features is not None:
                given = [taught.detection[i] for i in group]
                for name, loss in detector_of(self.student).detection_distances(rescaled, features, given).items():
                    group_losses[f"loss_kd_{name}"] = weights.lambda_skd * weights.eta_detection * loss
            if weights.distils_attention and isinstance(self.student, AttentionMapSpotter):
                words = rescale_words([batch.words[i] for i in group], images, rescaled, scale)
                attention.append(self.student.attention_maps(rescaled, words, features))
            for name, loss in group_losses.items():
                losses[name] = losses.get(name, 0.0) + loss * (len(group) / len(chosen))
            roi.append(group_roi)
            order += batch.word_indices(group)
        word_order = torch.tensor(order, dtype=torch.long, device="cpu").to(self.device, non_blocking=True)
        output = self.student.recognize(torch.cat(roi), batch.tokens[word_order])
        if attention:
            output = replace(output, attention=torch.cat(attention))
        return output, word_order, losses | self.student.recognition_losses(output)

    @torch.no_grad()
    def inference(self, batched_inputs: list[dict]) -> list[dict]:
        """Each image at its chosen scale, images of one scale together; predictions in the original images' pixels."""
        images = self.student.preprocess_image(batched_inputs)
        results: list[dict] = [{}] * len(batched_inputs)
        for scale, group in group_by(self.choose_scales(images)):
            found = self.student.spot(rescale_images(select_images(images, group), scale))
            for index, instances in zip(group, found, strict=True):
                finished = self.scoring.finish(instances, batched_inputs[index], images.image_sizes[index])
                results[index] = {"instances": finished, "scale": scale}
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
            for index, of_image in zip(group, tokens.split([len(w) for w in placed]), strict=True):
                results[index] = of_image
        return results

    def choose_scales(self, images: ImageList) -> list[float]:
        """The scale of each image at inference: within the bound, or the fixed, the only, or the likeliest one."""
        if self.scale_bound is not None:
            if self.selector is None:
                raise ValueError(NO_SELECTOR)
            losses = foreseen_losses(self.selector(images), self.gamma, self.costs)
            costs = ScaleCosts(self.scales, tuple(self.costs.tolist()))
            return [self.scale_bound.choose(own, costs, self.scale_limit) for own in losses.tolist()]
        if self.fixed_scale > 0:
            return [self.fixed_scale] * len(images.image_sizes)
        if self.selector is None:
            return [self.scales[0]] * len(images.image_sizes)
        logits = shift_gamma(self.selector(images), self.gamma_shift, self.costs)
        allowed = [i for i, scale in enumerate(self.scales) if not 0 < self.scale_limit < scale]
        return [self.scales[allowed[i]] for i in logits[:, allowed].argmax(dim=1).tolist()]
