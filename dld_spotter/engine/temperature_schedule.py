"""The temperature of the Gumbel-softmax over a training: tau = TEMPERATURE * TEMPERATURE_DECAY ** epoch."""

from typing import Any

from detectron2.engine import HookBase

from dld_spotter.engine.hooks import unwrapped


class TemperatureSchedule(HookBase):
    """tau = initial * decay ** epoch for the Gumbel-softmax of a model's resolution selector; logged by the model.

    Args:
        initial: tau in epoch 0.
        decay: factor an epoch.
        iterations_per_epoch: from the size of the training sets; a fraction is allowed.
    """

    def __init__(self, initial: float, decay: float, iterations_per_epoch: float):
        self.initial = initial
        self.decay = decay
        self.iterations_per_epoch = iterations_per_epoch

    def before_step(self) -> None:
        epoch = int(self.trainer.iter / self.iterations_per_epoch)
        model: Any = unwrapped(self.trainer.model)
        model.temperature.fill_(self.initial * self.decay**epoch)
