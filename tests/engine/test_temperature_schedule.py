"""The temperature falls from epoch to epoch by the factor that the config gives."""

from types import SimpleNamespace

import pytest
import torch

from dld_spotter.engine.temperature_schedule import TemperatureSchedule


def test_the_temperature_falls_from_epoch_to_epoch():
    hook = TemperatureSchedule(5.0, 0.965, iterations_per_epoch=2.5)
    hook.trainer = SimpleNamespace(model=torch.nn.Identity())
    hook.trainer.model.temperature = torch.zeros(())
    seen = []
    for hook.trainer.iter in (0, 2, 3, 4, 5, 50):
        hook.before_step()
        seen.append(float(hook.trainer.model.temperature))
    assert seen == pytest.approx([5.0, 5.0, 4.825, 4.825, 5 * 0.965**2, 5 * 0.965**20])
