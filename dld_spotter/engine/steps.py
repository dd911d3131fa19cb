"""One step of training: Detectron2's, with gradient accumulation and a check of the losses."""

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from detectron2.engine import AMPTrainer, SimpleTrainer
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel


class TextStep(SimpleTrainer):
    """One step in float32.

    Args:
        accumulation: the batch is passed through the model in this many parts, whose gradients add up: the memory of
            one part, nearly the gradient of the whole batch (losses that are means over words are means of each part).
    """

    def __init__(self, *args, accumulation: int = 1, **kwargs):
        super().__init__(*args, **kwargs)
        self.accumulation = accumulation

    def run_step(self) -> None:
        """As the parent, part by part where the gradient is accumulated."""
        if self.accumulation == 1:
            super().run_step()
        else:
            self._run_parts(self.accumulation)

    def _run_parts(self, count: int) -> None:
        start = time.perf_counter()
        data = next(self._data_loader_iter)
        data_time = time.perf_counter() - start
        self.optimizer.zero_grad()
        # Every process makes as many passes as the others, and every image is in one of them.
        parts = [data[i::count] for i in range(min(count, len(data)))]
        losses: dict[str, Tensor] = {}
        for index, part in enumerate(parts):
            with self._last_synchronises(index == len(parts) - 1):
                self._backward_part(part, len(part) / len(data), losses)
        self.after_backward()
        self._write_metrics(losses, data_time)
        self._update()

    def _last_synchronises(self, last: bool) -> AbstractContextManager:
        """Processes exchange gradients after the last part only."""
        distributed = isinstance(self.model, DistributedDataParallel)
        return self.model.no_sync() if distributed and not last else nullcontext()

    def _backward_part(self, part: list[dict], share: float, losses: dict[str, Tensor]) -> None:
        loss_dict = self._forward(part)
        total: Any = sum(loss_dict.values())
        self._backward(total * share)
        for name, loss in loss_dict.items():
            losses[name] = losses.get(name, 0.0) + loss.detach() * share

    def _forward(self, part: list[dict]) -> dict[str, Tensor]:
        return self.model(part)

    def _backward(self, loss: Tensor) -> None:
        loss.backward()

    def _update(self) -> None:
        self.optimizer.step()

    def _write_metrics(self, loss_dict: dict[str, Tensor], *args, **kwargs) -> None:
        """Stop the process that meets a loss that is not finite, before the weights are changed."""
        finite = torch.stack([loss.detach().float().sum() for loss in loss_dict.values()]).isfinite()
        if not finite.all():
            values = {name: loss.detach().tolist() for name, loss in loss_dict.items()}
            bad = [name for name, good in zip(values, finite.tolist(), strict=True) if not good]
            raise FloatingPointError(
                f"iteration {self.iter}: {', '.join(bad)} not finite; all losses: {values}. Go on from the last "
                "checkpoint (--resume) with a lower SOLVER.BASE_LR or SOLVER.CLIP_GRADIENTS.CLIP_VALUE."
            )
        super()._write_metrics(loss_dict, *args, **kwargs)


class MixedPrecisionStep(TextStep, AMPTrainer):
    """One step in float16 where that is safe, with a loss scale."""

    def __init__(self, *args, grad_scaler: torch.amp.GradScaler | None = None, **kwargs):
        # The names by which Detectron2 scales and casts are deprecated in torch.
        super().__init__(*args, grad_scaler=grad_scaler or torch.amp.GradScaler("cuda"), **kwargs)

    def run_step(self) -> None:
        """As ``TextStep``; one part is the whole batch."""
        self._run_parts(self.accumulation)

    def _forward(self, part: list[dict]) -> dict[str, Tensor]:
        with torch.autocast("cuda", dtype=self.precision):
            return self.model(part)

    def _backward(self, loss: Tensor) -> None:
        self.grad_scaler.scale(loss).backward()

    def _update(self) -> None:
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()


class BFloat16Step(TextStep):
    """One step on the CPU in bfloat16 where that is safe; its range is that of float32, so it needs no loss scale."""

    def run_step(self) -> None:
        """Part by part also where there is one part: Detectron2's own step would cast nothing."""
        self._run_parts(self.accumulation)

    def _forward(self, part: list[dict]) -> dict[str, Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.model(part)
