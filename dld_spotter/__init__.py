"""Cost-efficient end-to-end text spotting on Detectron2 (Dynamic Low-resolution Distillation, ECCV 2022).

Importing this loads neither PyTorch nor Detectron2: what needs them does so when it is first asked for, and then the
models and data sets of the project are registered with Detectron2. Where Detectron2 is imported already, they are
registered at once.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from dld_spotter.config import add_dld_config, load_cfg
    from dld_spotter.data.charset import Charset
    from dld_spotter.modeling import MaskRCNNSpotter
    from dld_spotter.predictor import TextPredictor
    from dld_spotter.visualizer import TextVisualizer

_PLACES = {
    "Charset": "dld_spotter.data.charset",
    "MaskRCNNSpotter": "dld_spotter.modeling",
    "TextPredictor": "dld_spotter.predictor",
    "TextVisualizer": "dld_spotter.visualizer",
    "add_dld_config": "dld_spotter.config",
    "load_cfg": "dld_spotter.config",
}

__all__ = [
    "Charset",
    "MaskRCNNSpotter",
    "TextPredictor",
    "TextVisualizer",
    "__version__",
    "add_dld_config",
    "load_cfg",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return __all__


if sys.modules.get("detectron2") is not None:
    importlib.import_module("dld_spotter.registration")
