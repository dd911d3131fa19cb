"""Cost-efficient end-to-end text spotting on Detectron2 (Dynamic Low-resolution Distillation, ECCV 2022).

Importing this registers the models and the data sets of the project with Detectron2.
"""

from dld_spotter import _requirements  # first: says in one sentence what is missing
from dld_spotter.config import add_dld_config, load_cfg
from dld_spotter.data import builtin
from dld_spotter.data.charset import Charset
from dld_spotter.modeling import MaskRCNNSpotter
from dld_spotter.predictor import TextPredictor
from dld_spotter.visualizer import TextVisualizer

__version__ = "0.2.0"

__all__ = [
    "Charset",
    "MaskRCNNSpotter",
    "TextPredictor",
    "TextVisualizer",
    "__version__",
    "add_dld_config",
    "load_cfg",
]
