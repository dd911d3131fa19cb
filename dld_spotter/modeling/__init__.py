"""Importing this package registers its modules in Detectron2's registries."""

from dld_spotter import _requirements  # first: says in one sentence what is missing

# isort: split
from dld_spotter.modeling.backbones.pp_lcnet import PPLCNetV4, build_pp_lcnet_fpn_backbone
from dld_spotter.modeling.backbones.residual_fpn import build_light_resnet_fpn_backbone
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.modeling.dld.pyramid_fusion_trainer import PyramidFusionTrainer
from dld_spotter.modeling.dld.selector.backbone_selector import BackboneSelector
from dld_spotter.modeling.dld.selector.selector_network import RESOLUTION_SELECTOR_REGISTRY, build_resolution_selector
from dld_spotter.modeling.mango import MANGO
from dld_spotter.modeling.mask_rcnn.dont_care_regions import TextRPN
from dld_spotter.modeling.mask_rcnn.mask_rcnn_spotter import MaskRCNNSpotter
from dld_spotter.modeling.mask_rcnn.roi_heads import TextROIHeads
from dld_spotter.modeling.recognition.ctc_crop_recogniser import CTCTextHead
from dld_spotter.modeling.recognition.roi_feature_recogniser import (
    ROI_TEXT_HEAD_REGISTRY,
    AttentionTextHead,
    build_text_head,
)
from dld_spotter.modeling.spotter import RecognitionOutput, Spotter
from dld_spotter.modeling.text_perceptron import FiducialTextHead, TextPerceptron
