"""Training: the trainer, its hooks, its optimiser and its checkpoints."""

from dld_spotter import _requirements  # first: says in one sentence what is missing

# isort: split
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.engine.optimizer import build_optimizer
from dld_spotter.engine.trainer import Trainer
