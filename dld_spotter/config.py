"""Every option that this project adds to Detectron2's config, with its default, unit and effect."""

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from detectron2.config import CfgNode as CN
from detectron2.config import get_cfg

from dld_spotter.modeling.distillation.config import add_distillation_config
from dld_spotter.modeling.mango.config import add_mango_config
from dld_spotter.modeling.text_perceptron.config import add_text_perceptron_config
from dld_spotter.pretrained import find_config, pretrained_models
from dld_spotter.yaml_files import merge_yaml


def add_dld_config(cfg: CN) -> None:
    """Add the options of the text spotter to a Detectron2 config, in place."""
    _add_model_config(cfg)
    add_text_perceptron_config(cfg)
    add_mango_config(cfg)
    _add_input_config(cfg)
    _add_run_config(cfg)


def _add_model_config(cfg: CN) -> None:
    # Detectron2's default is "cuda", which fails on machines without one.
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

    # Keep the channels last in memory: faster on CPUs, and on GPUs with mixed precision; the same results.
    cfg.MODEL.CHANNELS_LAST = True
    # In training, batches are padded to sides that are multiples of so many pixels, itself a multiple of 32; 0: of what
    # the backbone needs. On a GPU, 128 makes it faster where images have many sizes: see modeling/few_shapes.py.
    cfg.MODEL.PAD_MULTIPLE = 0

    text = cfg.MODEL.TEXT = CN()
    # "alphanumeric36" (case-insensitive), "alphanumeric62", "printable95", or the path of a UTF-8 file
    # that holds the characters themselves; line breaks in it are ignored.
    text.CHARSET = "printable95"
    # Longest word in characters; the decoder takes at most one step more, for the end token.
    text.MAX_LENGTH = 32
    # What to do with a checkpoint that was trained with other characters: "error", or "reinit" (load the
    # rest, start the character layers afresh).
    text.ON_CHARSET_CHANGE = "error"
    # Training passes read words in their given places and detect nothing: a fast first stage, since reading is what
    # takes most words to learn. Weights of detection stay as they are.
    text.READING_ONLY = False

    head = cfg.MODEL.ROI_TEXT_HEAD = CN()
    head.NAME = "AttentionTextHead"
    # The feature map that words are read from (the paper: the stride-4 map of the FPN). With the name "CropTextHead"
    # it is "image": each word is cut out, and MODEL.PP_LCNET_READER says how it is read.
    head.IN_FEATURE = "p2"
    # Rows and columns of a word's features; (16, 64) is the paper's larger variant.
    head.POOLER_RESOLUTION = (8, 32)
    # Double them with a deconvolution after pooling: a student at (8, 32) then has the size of a teacher at (16, 64).
    # Without it the losses of distillation resize features of another size than the teacher's, bilinearly.
    head.UPSAMPLE = False
    # Samples a bin and axis; 0 lets RoIAlign adapt them to the word's size.
    head.POOLER_SAMPLING_RATIO = 0
    # Cells of the feature map added around the box on each side.
    head.POOLER_MARGIN = 1.0
    # A word is read top to bottom when its box is taller than this many times its width.
    head.VERTICAL_RATIO = 1.5
    # In training each side of a word's box moves at random by up to this share of its shorter side, and the outline
    # with it, so that the reader bears the detector's boxes; below 0.5. 0: words are read in their true places.
    head.JITTER = 0.0
    # In training an end of a word moves outwards now and then, by up to this many times its box's shorter side, so that
    # the reader learns to leave out what a detector takes of a neighbour.
    head.JITTER_ENDS = 0.0
    # Channels of the reading branch's six convolutions (and of the masked word features).
    head.CONV_DIM = 256
    # Normalisation of those convolutions: "BN", "SyncBN", "GN", "FrozenBN".
    head.NORM = "BN"
    # Hidden units of each LSTM direction and of the decoder.
    head.HIDDEN_SIZE = 256
    # lambda_1 of the paper.
    head.LOSS_WEIGHT = 1.0

    # Narrow residual network for CPUs: channels of the stem and of the stages at strides 4 to 32, and blocks a stage.
    light = cfg.MODEL.LIGHT_RESNET = CN()
    light.STEM_CHANNELS = 32
    light.STAGE_CHANNELS = (32, 64, 128, 256)
    light.BLOCKS = (1, 1, 1, 1)
    light.NORM = "BN"

    # PP-LCNetV4: channels of the stem at stride 2 and of the stages at strides 4 to 32, and blocks a stage. This is the
    # small text detector of PP-OCRv6, whose weights want the pixel means of configs/MaskRCNNSpotter_PPLCNet.yaml.
    lcnet = cfg.MODEL.PP_LCNET = CN()
    lcnet.STEM_CHANNELS = 24
    lcnet.STAGE_CHANNELS = (48, 96, 192, 384)
    lcnet.BLOCKS = (2, 3, 5, 3)

    # The reader of ROI_TEXT_HEAD.NAME "CropTextHead": channels of the stem at stride 2 and of the stages, of which the
    # first two keep a quarter of the cut word's size and the others halve its rows; blocks a stage. This is the small
    # text recogniser of PP-OCRv6.
    reader = cfg.MODEL.PP_LCNET_READER = CN()
    reader.STEM_CHANNELS = 48
    reader.STAGE_CHANNELS = (96, 96, 192, 384)
    reader.BLOCKS = (2, 1, 7, 3)
    # How many heights of a word fill the length of the picture that is cut out; 0: as many as keep its proportions. A
    # student whose POOLER_RESOLUTION has other proportions than its teacher's needs the teacher's ratio here.
    reader.HEIGHTS = 0.0
    # Cut words out of the image at its full resolution when DLDSpotter finds them at a smaller scale: reading costs the
    # same at every scale. The selector then learns what each scale finds (tools/fit_selector.py --by spotting).
    reader.FULL_RESOLUTION = False
    # 1 keeps the stem as it is, 2 the first stage as well, and so on.
    reader.FREEZE_AT = 0

    add_distillation_config(cfg)

    # Candidates covered by a don't-care region by more than this share of their own area are no negatives.
    cfg.MODEL.IGNORE_REGION_THRESHOLD = 0.5


def _add_input_config(cfg: CN) -> None:
    text = cfg.INPUT.TEXT = CN()
    # Words with characters outside the charset, or longer than MAX_LENGTH: "ignore" (treated as don't care),
    # "detect" (found but not read), or "error" (before training starts).
    text.UNKNOWN = "ignore"
    # Words read per image in training at most; of more, a random choice is read (all are detected). 0: no limit.
    text.MAX_WORDS = 64
    # Words whose shorter side is below this many pixels of the network's input become don't care. 0: off.
    text.MIN_SIZE = 0.0

    crop = cfg.INPUT.WORD_CROP = CN()  # the instance-aware random crop, in training
    crop.ENABLED = True
    crop.PROBABILITY = 1.0
    # Smallest side of the crop as a share of the image's.
    crop.MIN_RATIO = 0.1
    # Tries before the whole image is taken.
    crop.TRIES = 50

    # Detectron2 flips by default; mirrored text cannot be read.
    cfg.INPUT.RANDOM_FLIP = "none"

    # Degrees: a random rotation in [-ROTATION, ROTATION] in training. 0: off.
    cfg.INPUT.ROTATION = 15.0

    jitter = cfg.INPUT.COLOR_JITTER = CN()  # largest relative change of each; 0: off
    jitter.BRIGHTNESS = 0.125
    jitter.CONTRAST = 0.5
    jitter.SATURATION = 0.5


def _add_run_config(cfg: CN) -> None:
    # Your own files, registered before training: a list of (name, image folder, json file).
    cfg.DATASETS.CUSTOM = []

    # The batch passes through the model in this many parts whose gradients add up, to save memory.
    cfg.SOLVER.ACCUMULATION = 1
    cfg.SOLVER.OPTIMIZER = "AdamW"  # "AdamW" or "SGD"
    # Detectron2 has "norm" and "value", which clip each parameter by itself; "full_model" clips the joint norm of all.
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "full_model"
    # Pairs (part of a parameter's name, factor on BASE_LR), such as ("text_head", 0.2) for a reader that was trained
    # before while the detector still learns much. The first pair that fits counts.
    cfg.SOLVER.LR_FACTORS = []
    # Detectron2's default is None: biases decay as weights do.
    cfg.SOLVER.WEIGHT_DECAY_BIAS = 0.0
    # How many of the latest periodic checkpoints stay on the disk; the best and the final one stay besides. 0: all.
    cfg.SOLVER.CHECKPOINTS_KEPT = 3

    evaluation = cfg.TEST.TEXT = CN()
    # Any of "none", "strong", "weak", "generic", "full".
    evaluation.LEXICONS = ("none",)
    # Pairs (lexicon, path) that stand before what the data set's metadata says; "strong" takes a folder.
    evaluation.LEXICON_PATHS = []
    # How a word is replaced: "nearest" (always, by the nearest lexicon word), or "limited" (only within
    # LEXICON_MAX_DISTANCE edits; others stay as they were read).
    evaluation.LEXICON_RULE = "nearest"
    evaluation.LEXICON_MAX_DISTANCE = 1
    # A detection matches a word when their IoU exceeds this (MANGO's tables use 0.1).
    evaluation.IOU_THRESHOLD = 0.5
    evaluation.CASE_SENSITIVE = False
    # Detections scored below this do not count.
    evaluation.SCORE_THRESHOLD = 0.0
    # In word spotting, words shorter than this are don't care.
    evaluation.MIN_WORD_LENGTH = 3
    # Also measure recognition with ground-truth boxes (one more pass over the images).
    evaluation.READ_GROUND_TRUTH = False

    # The evaluation figure by which the best checkpoint is kept; of several test sets, its mean.
    cfg.TEST.BEST_METRIC = "e2e_none/hmean"
    # At each evaluation in training, so many test images are drawn as they are read, for TensorBoard. 0: off.
    cfg.TEST.SAMPLES = 4


def load_cfg(config_file: str | os.PathLike | None = None, opts: Sequence[str] = ()) -> CN:
    """Detectron2's defaults, ours, a YAML file (with ``_BASE_``) and KEY VALUE pairs, in this order.

    Args:
        config_file: its path, or the name of a model that comes with the project (``dld_spotter.pretrained``). Weights
            and a charset that it names without a folder, and that lie beside it, are taken from there.
        opts: KEY VALUE pairs.

    Raises:
        FileNotFoundError: there is no such YAML file.
        KeyError: an unknown key; the message names it and the keys that look like it.
        ValueError: a value that could only fail later.
    """
    config_file = find_config(os.fspath(config_file)) if config_file else None
    if config_file and "://" not in config_file and not Path(config_file).is_file():
        raise FileNotFoundError(
            f"there is no config file {config_file}; the project's own are in configs/, and its trained models are "
            f"called {', '.join(pretrained_models()) or '(none)'}."
        )
    cfg = get_cfg()
    add_dld_config(cfg)
    try:
        if config_file:
            merge_yaml(cfg, config_file)
            _take_files_beside(cfg, Path(config_file).parent)
        cfg.merge_from_list(list(opts))
    except (KeyError, AssertionError) as error:
        raise KeyError(_explain_unknown_key(cfg, str(error), config_file)) from error
    check_cfg(cfg)
    return cfg


def _take_files_beside(cfg: CN, folder: Path) -> None:
    """Exported models name their files by the name alone, so that their folder can be moved."""
    for node, key in ((cfg.MODEL, "WEIGHTS"), (cfg.MODEL.TEXT, "CHARSET")):
        name = node[key]
        if name and Path(name).name == name and (folder / name).is_file():
            node[key] = str(folder / name)


def check_cfg(cfg: CN) -> None:
    """Raise ValueError, with what to do, for values that could only fail later and less clearly."""
    try:
        device = torch.device(cfg.MODEL.DEVICE)
    except RuntimeError as error:
        raise ValueError(
            f"MODEL.DEVICE is '{cfg.MODEL.DEVICE}', which torch does not know; use 'cpu' or 'cuda'."
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"MODEL.DEVICE is '{cfg.MODEL.DEVICE}', but torch finds no GPU here; add MODEL.DEVICE cpu.")
    if cfg.INPUT.RANDOM_FLIP != "none":
        raise ValueError(
            f"INPUT.RANDOM_FLIP is '{cfg.INPUT.RANDOM_FLIP}', but mirrored text cannot be read; set it to 'none'."
        )
    if cfg.INPUT.TEXT.UNKNOWN not in ("ignore", "detect", "error"):
        raise ValueError(f"INPUT.TEXT.UNKNOWN is '{cfg.INPUT.TEXT.UNKNOWN}'; use 'ignore', 'detect' or 'error'.")
    if cfg.MODEL.PAD_MULTIPLE < 0 or cfg.MODEL.PAD_MULTIPLE % 32:
        raise ValueError(
            f"MODEL.PAD_MULTIPLE is {cfg.MODEL.PAD_MULTIPLE}, but backbones need sides that are multiples of 32; use "
            "such a number, or 0."
        )
    if not 0 <= cfg.MODEL.DLD.FIXED_SCALE <= 1:
        raise ValueError(
            f"MODEL.DLD.FIXED_SCALE is {cfg.MODEL.DLD.FIXED_SCALE}; it is a share of the full resolution above 0, "
            "at most 1, or 0 to let the selector decide."
        )


def _explain_unknown_key(cfg: CN, message: str, config_file: str | None) -> str:
    match = re.search(r"[Nn]on-existent (?:config )?key: ([\w.]+)", message)
    where = f"{config_file or 'the command line'}: "
    if match is None:
        return where + message.strip("'\"")
    known = list(_keys(cfg))
    similar = difflib.get_close_matches(match.group(1), known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(similar)}?" if similar else ""
    return f"{where}there is no config key {match.group(1)}.{hint}"


def _keys(node: CN, prefix: str = ""):
    for key, value in node.items():
        if isinstance(value, CN):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield prefix + key
