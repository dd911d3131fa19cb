"""Importing this package registers its modules in Detectron2's registries."""

from dld_spotter.modeling.backbone import build_light_resnet_fpn_backbone
from dld_spotter.modeling.dld import DLDSpotter
from dld_spotter.modeling.fusion_trainer import PyramidFusionTrainer
from dld_spotter.modeling.mango import MANGO
from dld_spotter.modeling.mask_rcnn_spotter import MaskRCNNSpotter
from dld_spotter.modeling.pp_lcnet import PPLCNetV4, build_pp_lcnet_fpn_backbone
from dld_spotter.modeling.recognition.ctc_text_head import CTCTextHead
from dld_spotter.modeling.recognition.text_head import ROI_TEXT_HEAD_REGISTRY, AttentionTextHead, build_text_head
from dld_spotter.modeling.resolution_selector import RESOLUTION_SELECTOR_REGISTRY, build_resolution_selector
from dld_spotter.modeling.roi_heads import TextROIHeads, TextRPN
from dld_spotter.modeling.spotter import Reading, Spotter
from dld_spotter.modeling.text_perceptron import FiducialTextHead, TextPerceptron
