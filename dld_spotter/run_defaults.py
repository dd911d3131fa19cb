"""The options of data, training and evaluation, with their defaults; comments are those of ``defaults``."""

from detectron2.config import CfgNode as CN


def add_run_defaults(cfg: CN) -> None:
    """Add these options to a Detectron2 config, in place."""
    # Annotated words. [data/dataset_mapper.py]
    text = cfg.INPUT.TEXT = CN()
    # Words with characters outside the charset, or longer than MAX_LENGTH: "ignore" (treated as don't care), "detect"
    # (found but not read), or "error" (before training starts).
    text.UNKNOWN = "ignore"
    # Words read an image in training at most; of more, a random choice is read (all are detected). 0: no limit.
    text.MAX_WORDS = 64
    # Words whose shorter side is below this many pixels of the network's input become don't care. 0: off.
    text.MIN_SIZE = 0.0
    # For Text Perceptron and MANGO: outlines with one of these numbers of points begin at the word's start and have
    # half of them along each side (Total-Text's training labels 10, CTW1500 14). The ends of others with more than four
    # are looked for. [modeling/text_perceptron/text_perceptron_targets.py, modeling/mango/mango_target_maker.py]
    text.ORDERED_POINTS = (10, 14)

    # The instance-aware random crop, in training. [data/augmentation.py]
    crop = cfg.INPUT.WORD_CROP = CN()
    # Whether images are cropped.
    crop.ENABLED = True
    # Share of the images that are.
    crop.PROBABILITY = 1.0
    # Smallest side of the crop as a share of the image's.
    crop.MIN_RATIO = 0.1

    # Detectron2 flips by default; mirrored text cannot be read.
    cfg.INPUT.RANDOM_FLIP = "none"
    # Degrees: a random rotation in [-ROTATION, ROTATION] in training. 0: off. [data/augmentation.py]
    cfg.INPUT.ROTATION = 15.0
    # Largest relative change of brightness, contrast and saturation, in training; 0: off. [data/augmentation.py]
    cfg.INPUT.COLOR_JITTER = (0.125, 0.5, 0.5)

    # Your own files, registered before training: a list of (name, image folder, JSON file). [data/text_json.py]
    cfg.DATASETS.CUSTOM = []

    # The batch passes through the model in this many parts whose gradients add up, to save memory. [engine/trainer.py]
    cfg.SOLVER.ACCUMULATION = 1
    # "AdamW" or "SGD". [engine/optimizer.py]
    cfg.SOLVER.OPTIMIZER = "AdamW"
    # Detectron2 has "norm" and "value", which clip each parameter by itself; "full_model" clips the joint norm of all.
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "full_model"
    # Pairs (part of a parameter's name, factor on BASE_LR), such as ("text_head", 0.2) for a recogniser that is trained
    # already while the detector still learns much. The first pair that fits counts. [engine/optimizer.py]
    cfg.SOLVER.LR_FACTORS = []
    # Detectron2's default is None: biases decay as weights do.
    cfg.SOLVER.WEIGHT_DECAY_BIAS = 0.0
    # How many of the latest periodic checkpoints stay on the disk; the best and the final one stay besides. 0: all.
    # [engine/trainer.py]
    cfg.SOLVER.CHECKPOINTS_KEPT = 3

    # The rules of evaluation. [evaluation/protocol.py, evaluation/text_evaluator.py, engine/trainer.py]
    evaluation = cfg.TEST.TEXT = CN()
    # Any of "none", "strong", "weak", "generic", "full".
    evaluation.LEXICONS = ("none",)
    # Pairs (lexicon, path) that stand before what the data set's metadata says; "strong" takes a folder.
    evaluation.LEXICON_PATHS = []
    # How a word is replaced: "nearest" (always, by the nearest lexicon word), "limited" (only within
    # LEXICON_MAX_DISTANCE edits; others stay as they were read), or "weighted" (by the weighted edit distance of the
    # Mask TextSpotter papers; but with a generic lexicon, detections 1.5 edits or more away do not count), or
    # "likelihood" (by the word that a CTC recogniser takes for likeliest; set SCORE_THRESHOLD to 0.3 with it).
    evaluation.LEXICON_RULE = "nearest"
    # Edits, for the rule "limited".
    evaluation.LEXICON_MAX_DISTANCE = 1
    # A detection matches a word when their IoU exceeds this (MANGO's tables use 0.1).
    evaluation.IOU_THRESHOLD = 0.5
    # Whether upper and lower case differ.
    evaluation.CASE_SENSITIVE = False
    # Words whose combined score is lower are returned by no model, and do not count. [modeling/score_threshold.py]
    evaluation.SCORE_THRESHOLD = 0.0
    # A word's combined score is det_score ** a * text_score ** b for these a and b: (1, 1) is the product, (0.5, 0.5)
    # the geometric mean. With (1, 0) detection alone decides, and words that are recognised as the empty text are kept,
    # which are left out otherwise: so a detector is scored before its recogniser reads. [modeling/score_threshold.py]
    evaluation.SCORE_POWERS = (1.0, 1.0)
    # Also measure recognition with ground-truth boxes (one more pass over the images).
    evaluation.READ_GROUND_TRUTH = False

    # The evaluation figure by which the best checkpoint is kept; of several test sets, its mean. [engine/trainer.py]
    cfg.TEST.BEST_METRIC = "e2e_none/hmean"
    # At each evaluation in training, so many test images are drawn as they are read, for TensorBoard. 0: off.
    # [engine/hooks.py]
    cfg.TEST.SAMPLES = 4
