"""Cost-efficient end-to-end text spotting on Detectron2 (Dynamic Low-resolution Distillation, ECCV 2022)."""

from dld_spotter.config import add_dld_config, load_cfg
from dld_spotter.data.charset import Charset
from dld_spotter.modeling import MaskRCNNSpotter  # importing registers the models
