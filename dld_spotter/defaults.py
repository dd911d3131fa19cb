"""Every option that this project adds to Detectron2's config, with its default; those of a run in ``run_defaults``.

The comment above a key says what it means, in which unit, and at its end, in brackets, which modules read it; without
brackets, those of its section do. ``docs/generate_options.py`` makes the page of options from these comments.
"""

import importlib

import torch
from detectron2.config import CfgNode as CN

from dld_spotter.migration import VERSION
from dld_spotter.run_defaults import add_run_defaults


def add_dld_config(cfg: CN) -> None:
    """Add the options of the text spotter to a Detectron2 config, in place; its models are registered then."""
    importlib.import_module("dld_spotter.registration")
    _add_spotter(cfg)
    _add_distillation(cfg)
    _add_other_spotters(cfg)
    add_run_defaults(cfg)


def _add_spotter(cfg: CN) -> None:
    # Detectron2's default is "cuda", which fails on machines without one.
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

    # The version of these options that the config was written with. [migration.py]
    cfg.MODEL.VERSION = VERSION
    # In training, the sides of a batch are padded to multiples of so many pixels, itself a multiple of 32. 0: of what
    # the backbone needs. On a GPU, 128 makes training faster where images have many sizes.
    # [modeling/mask_rcnn/mask_rcnn_spotter.py, modeling/segmentation_spotter.py, modeling/dld/dld_spotter.py]
    cfg.MODEL.PAD_MULTIPLE = 0

    # The words that are read. [modeling/recognition/roi_feature_recogniser.py, modeling/mask_rcnn/mask_rcnn_spotter.py,
    # engine/trainer.py]
    text = cfg.MODEL.TEXT = CN()
    # "alphanumeric36" (case-insensitive), "alphanumeric62", "printable68", "printable95", or the path of a UTF-8 file
    # that holds the characters themselves; line breaks in it are ignored.
    text.CHARSET = "printable95"
    # Longest word in characters; the decoder takes at most one step more, for the end token.
    text.MAX_LENGTH = 32
    # What to do with a checkpoint that was trained with other characters: "error", or "reinit" (load the rest, start
    # the character layers afresh).
    text.ON_CHARSET_CHANGE = "error"
    # Training passes recognise words in their given places and detect nothing: a fast first stage, since recognition
    # takes most words to learn. Weights of detection stay as they are.
    text.READING_ONLY = False

    # The recogniser. [modeling/recognition/roi_feature_recogniser.py, modeling/mask_rcnn/roi_heads.py,
    # modeling/recognition/word_jitter.py]
    head = cfg.MODEL.ROI_TEXT_HEAD = CN()
    # Its class: "AttentionTextHead" (RoI features), "CropTextHead" (crops of the image), "FiducialTextHead" (Text
    # Perceptron's).
    head.NAME = "AttentionTextHead"
    # The feature map that words are pooled from (the paper: the stride-4 map of the FPN). With the name "CropTextHead"
    # it is "image": each word is cut out, and MODEL.PP_LCNET_READER has the layers.
    head.IN_FEATURE = "p2"
    # Rows and columns of a word's features; the paper's larger variant has (16, 64).
    head.POOLER_RESOLUTION = (8, 32)
    # Double them with a deconvolution after pooling: a student at (8, 32) then has the size of a teacher at (16, 64).
    # Without it the losses of distillation resize features of another size than the teacher's, bilinearly.
    head.UPSAMPLE = False
    # A word is read top to bottom when its box is taller than this many times its width.
    head.VERTICAL_RATIO = 1.5
    # In training, each side of a word's box moves at random by up to this share of its shorter side, and the outline
    # with it, so that the recogniser bears the detector's boxes; below 0.5. 0: words stay in their ground-truth boxes.
    head.JITTER = 0.0
    # Channels of the recogniser's six convolutions, and of the masked word features.
    head.CONV_DIM = 256
    # Normalisation of those convolutions: "BN", "SyncBN", "GN", "FrozenBN".
    head.NORM = "BN"
    # Hidden units of each LSTM direction and of the decoder.
    head.HIDDEN_SIZE = 256
    # lambda_1 of the paper: the weight of the loss of recognition.
    head.LOSS_WEIGHT = 1.0

    # The crop-based recogniser of ROI_TEXT_HEAD.NAME "CropTextHead", by default with the layers of PP-OCRv6's small
    # text recogniser. [modeling/recognition/crop_recogniser.py]
    reader = cfg.MODEL.PP_LCNET_READER = CN()
    # Channels of the stages; the stem at stride 2 has half as many as the first. The first two stages keep a quarter of
    # the crop's size, the others halve its rows.
    reader.STAGE_CHANNELS = (96, 96, 192, 384)
    # Blocks a stage.
    reader.BLOCKS = (2, 1, 7, 3)
    # How many heights of a word fill the length of its crop; 0: as many as keep the proportions of POOLER_RESOLUTION. A
    # student whose POOLER_RESOLUTION has other proportions than its teacher's needs the teacher's ratio here.
    reader.HEIGHTS = 0.0
    # Cut words out of the image at its full resolution when DLDSpotter detects them at a smaller scale: recognition
    # costs the same at every scale. The selector then learns what each scale detects
    # (tools/fit_selector.py --by spotting).
    reader.FULL_RESOLUTION = False
    # How many parts stay as they are in training: 1 the stem, 2 the first stage as well, and so on.
    reader.FREEZE_AT = 0

    # A narrow residual network for CPUs, of one block a stage. [modeling/backbones/residual_fpn.py]
    light = cfg.MODEL.LIGHT_RESNET = CN()
    # Channels of the stages at strides 4 to 32; the stem has as many as the first.
    light.STAGE_CHANNELS = (32, 64, 128, 256)
    # Normalisation, as in ROI_TEXT_HEAD.NORM.
    light.NORM = "BN"

    # The backbone PP-LCNetV4, by default that of PP-OCRv6's small text detector, whose weights want the pixel means of
    # configs/MaskRCNNSpotter_PPLCNet.yaml. [modeling/backbones/pp_lcnet.py]
    lcnet = cfg.MODEL.PP_LCNET = CN()
    # Channels of the stages at strides 4 to 32; the stem at stride 2 has half as many as the first.
    lcnet.STAGE_CHANNELS = (48, 96, 192, 384)
    # Blocks a stage.
    lcnet.BLOCKS = (2, 3, 5, 3)


def _add_distillation(cfg: CN) -> None:
    # The network that chooses a scale. [modeling/dld/selector/selector_network.py]
    selector = cfg.MODEL.RESOLUTION_SELECTOR = CN()
    # Its class, of RESOLUTION_SELECTOR_REGISTRY.
    selector.NAME = "ResidualSelector"
    # For "BackboneSelector": factor on height and width at which it sees the image.
    # [modeling/dld/selector/backbone_selector.py]
    selector.SCALE = 0.3
    # Channels of its first block; each later block has twice as many.
    selector.WIDTH = 32
    # Normalisation, as in ROI_TEXT_HEAD.NORM.
    selector.NORM = "BN"

    # DLD, META_ARCHITECTURE "DLDSpotter"; the symbols are the paper's.
    # [modeling/dld/dld_spotter.py, modeling/dld/dld_inference.py, modeling/dld/dld_objective.py,
    # modeling/dld/losses/loss_weights.py]
    dld = cfg.MODEL.DLD = CN()
    # The meta-architecture of teacher and student.
    dld.SPOTTER = "MaskRCNNSpotter"
    # KEY VALUE pairs in which the student's config differs from the teacher's. [modeling/dld/student_config.py]
    dld.STUDENT_OPTS = []
    # Whether there is a teacher; an exported model has none.
    dld.TEACHER = True
    # The teacher's own checkpoint; empty: MODEL.WEIGHTS serves both. [engine/trainer.py]
    dld.TEACHER_WEIGHTS = ""
    # Candidate factors on height and width of the teacher's resolution; a single one needs no selector.
    dld.SCALES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    # T_i, the cost of each candidate relative to the teacher's, as tools/analyze_cost.py measures it. It depends on
    # network and size. Empty: scale**2, with a warning.
    dld.COSTS = ()
    # "selector"; "random": a random candidate for each image in training, and no selector; or "fixed": the same with a
    # selector that stays as it is, and chooses at inference.
    dld.SELECTION = "selector"
    # Inference at this scale whatever the selector says; 0: the selector decides.
    dld.FIXED_SCALE = 0.0
    # At inference the selector chooses among the scales up to this one alone. 0: among all.
    dld.SCALE_LIMIT = 0.0
    # gamma: larger values prefer smaller images.
    dld.GAMMA = 0.1
    # Added at inference to the gamma of a selector that tools/fit_selector.py made.
    dld.GAMMA_SHIFT = 0.0
    # What L_acc compares the student's mixed output with: "kl" (the teacher's distribution), "ce" (the true text).
    dld.ACCURACY_TARGET = "kl"
    # tau of the Gumbel-softmax is TEMPERATURE * TEMPERATURE_DECAY ** epoch: its start.
    dld.TEMPERATURE = 5.0
    # The factor of an epoch. [engine/trainer.py]
    dld.TEMPERATURE_DECAY = 0.965
    # Weight of L_roi, the distance of word features.
    dld.ETA_ROI = 1.0
    # eta_1, the weight of L_con, the distance of contextual features.
    dld.ETA_CONTEXT = 1.0
    # eta_2, the weight of L_seq, the teacher's sequences.
    dld.ETA_SEQUENCE = 1.0
    # lambda_2, the weight of the selector's losses.
    dld.LAMBDA_DRS = 1.0
    # lambda_3, the factor on all distillation losses, also those below.
    dld.LAMBDA_SKD = 1.0
    # Rivals of SKD, step by step of decoding (Bhunia et al., ICCV 2021): the logits.
    dld.ETA_LOGITS = 0.0
    # Likewise the attended features of a step (hint).
    dld.ETA_HINT = 0.0
    # Likewise the attention of a step.
    dld.ETA_ATTENTION = 0.0
    # Likewise the affinity of attended features within a word.
    dld.ETA_AFFINITY = 0.0
    # The detector's feature pyramid, aligned across resolutions (Qi et al., CVPR 2021; their alpha * tau is 0.6). The
    # weight grows from 0 within SOLVER.WARMUP_ITERS.
    dld.ETA_PYRAMID = 0.0
    # The detector's outputs, what it says of the teacher's regions or in its maps (after Chen et al., NeurIPS 2017).
    dld.ETA_DETECTION = 0.0
    # The teacher's pyramid: "none" (that of the full resolution), or "learned" (fused with that of half of it), for
    # which MODEL.WEIGHTS is a checkpoint of META_ARCHITECTURE "PyramidFusionTrainer".
    # [modeling/dld/losses/pyramid_fusion.py]
    dld.PYRAMID_FUSION = "none"
    # K, teacher sequences a word in L_seq.
    dld.NUM_SEQUENCES = 1


def _add_other_spotters(cfg: CN) -> None:
    # META_ARCHITECTURE (or MODEL.DLD.SPOTTER) "TextPerceptron", which recognises words with MODEL.ROI_TEXT_HEAD.
    # MODEL.ROI_HEADS.SCORE_THRESH_TEST and TEST.DETECTIONS_PER_IMAGE bound what it finds. Defaults are those of Qiao et
    # al. (AAAI 2020) and their code.
    # [modeling/text_perceptron/text_perceptron_spotter.py, modeling/text_perceptron/fiducial_recogniser.py]
    perceptron = cfg.MODEL.TEXT_PERCEPTRON = CN()
    # Channels of every convolution of the order-aware segmentation head.
    perceptron.CONV_DIM = 256
    # Points on a word's outline, half of them along each side: an even number, 4 at least. Quadrilaterals need 4,
    # curved words 10.
    perceptron.NUM_FIDUCIALS = 14
    # Train the recogniser on fiducial points of the predicted maps instead of the true ones, so that its loss reaches
    # corners and offsets (the paper; its code does not). For tuning a spotter that finds its words. A student's
    # features are then distilled from those that its teacher has in the ground-truth boxes.
    perceptron.PREDICTED_FIDUCIALS = False
    # Score above which a cell belongs to a word's centre.
    perceptron.CENTER_THRESH = 0.35
    # Score above which a cell belongs to a word's head or tail.
    perceptron.END_THRESH = 0.45
    # Score above which a cell belongs to a word's boundary.
    perceptron.BOUNDARY_THRESH = 0.35

    # META_ARCHITECTURE (or MODEL.DLD.SPOTTER) "MANGO". There are MODEL.TEXT.MAX_LENGTH + 1 character slots, one for the
    # end; MODEL.ROI_HEADS.SCORE_THRESH_TEST leaves out words whose centre line is less certain; the number of words has
    # no limit. MODEL.ROI_TEXT_HEAD.HIDDEN_SIZE and VERTICAL_RATIO mean the same as elsewhere.
    # [modeling/mango/mango_spotter.py, modeling/mango/parallel_recogniser.py, modeling/mango/mango_target_maker.py,
    # modeling/mango/mask_attention.py, modeling/mango/mango_post_processing.py]
    mango = cfg.MODEL.MANGO = CN()
    # Cells a side of the grid over each image (without its padding); the method takes 40, and 60 for small text.
    mango.GRID_SIZE = 40
    # Channels of all heads: a multiple of 8, the channels of a group of their normalisation.
    mango.CONV_DIM = 256
    # 3 x 3 convolutions of the heads before the last layer.
    mango.NUM_CONVS = 4
    # Add to the logits of each character's attention a Gaussian window, whose place and size the cell predicts. The
    # published method has none: a linear function of features must then tell one place of the image from all others,
    # which takes long to learn.
    mango.CHARACTER_WINDOWS = False
    # Cells of a word that are read at most, in training and wherever words' places are given; of more, training draws.
    mango.CELLS_PER_WORD = 2
    # Cells of a batch whose attention maps are kept at once; more are done in parts, and again in the backward pass.
    # A cell at 1440 x 960 pixels and 25 slots takes some 17 MB, and 30 MB where its attention is learnt.
    mango.MAX_CELLS = 120
    # Weight of the loss of the characters' attention, which counts where a word has character boxes.
    mango.CHARACTER_ATTENTION_LOSS_WEIGHT = 3.0
    # Words without character boxes: their outline, cut into equal parts along the word, stands in.
    mango.SLICE_WORDS = False
    # Learn places and attention alone; the recogniser stays as it is.
    mango.PRETRAIN_ATTENTION = False
    # Probability from which a pixel belongs to a centre line.
    mango.CENTRE_LINE_THRESHOLD = 0.5
    # Probability from which a cell holds a word.
    mango.GRID_THRESHOLD = 0.5
    # "rectangle" (the smallest one around the centre line), or "contour" (for curved words). The outlines are words'
    # inner strips, and score at IoU 0.1.
    mango.OUTLINE = "rectangle"
