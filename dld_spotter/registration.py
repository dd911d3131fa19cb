"""Importing this registers the models and the data sets of the project with Detectron2."""

from dld_spotter import modeling
from dld_spotter.data import builtin

__all__ = ["builtin", "modeling"]
