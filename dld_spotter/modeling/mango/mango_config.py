"""The options of MANGO, with defaults, units and effects."""

from detectron2.config import CfgNode as CN


def add_mango_config(cfg: CN) -> None:
    """Add ``MODEL.MANGO`` to a config, in place.

    It is used by META_ARCHITECTURE (or MODEL.DLD.SPOTTER) "MANGO". There are MODEL.TEXT.MAX_LENGTH + 1 character slots,
    one for the end. MODEL.ROI_HEADS.SCORE_THRESH_TEST leaves out words whose centre line is less certain; there is no
    limit to the number of words. MODEL.ROI_TEXT_HEAD.VERTICAL_RATIO means the same as elsewhere.
    """
    mango = cfg.MODEL.MANGO = CN()
    # The feature map that all heads stand on.
    mango.IN_FEATURE = "p2"
    # Cells a side of the grid over each image (without its padding); the method takes 40, and 60 for small text.
    mango.GRID_SIZE = 40
    # Channels of all heads; their 3 x 3 convolutions before the last layer; groups of their group normalisation.
    mango.CONV_DIM = 256
    mango.NUM_CONVS = 4
    # 3 x 3 convolutions over the grid before the kernels; 0: NUM_CONVS. They are cheap, and see how long words are.
    mango.NUM_KERNEL_CONVS = 0
    mango.NORM_GROUPS = 32
    # Add to the logits of each character's attention a Gaussian window, whose place and size the cell predicts. The
    # published method has none: a linear function of features must then tell one place of the image from all others,
    # which takes long to learn.
    mango.CHARACTER_WINDOWS = False
    # Units of each LSTM direction and number of LSTMs; units of the two hidden layers that classify characters.
    mango.HIDDEN_SIZE = 256
    mango.NUM_LSTMS = 2
    mango.FC_DIM = 512

    # Outlines with one of these numbers of points begin at the start of the reading and have half of them along each
    # side (Total-Text's training labels 10, CTW1500 14). The ends of others with more than four are looked for.
    mango.ORDERED_POINTS = (10, 14)
    # A word's outline is shrunk by area * (1 - SHRINK**2) / perimeter for its centre line.
    mango.SHRINK = 0.4
    # Cells of a word that are read at most, in training and wherever words' places are given; of more, training draws.
    mango.CELLS_PER_WORD = 2
    # Cells of a batch whose attention maps are kept at once; more are done in parts, and again in the backward pass.
    # A cell at 1440 x 960 pixels and 25 slots takes some 17 MB, and 30 MB where its attention is learnt.
    mango.MAX_CELLS = 120
    # Divide what a slot collects by its attention, so that features do not grow with the image's area; False: the sum.
    mango.NORMALIZE_ATTENTION = True

    # Weights of the losses. Those of attention count where a word has character boxes.
    mango.CENTRE_LINE_LOSS_WEIGHT = 1.0
    mango.GRID_LOSS_WEIGHT = 1.0
    mango.READING_LOSS_WEIGHT = 1.0
    mango.CHARACTER_ATTENTION_LOSS_WEIGHT = 3.0
    # With CHARACTER_WINDOWS: of the windows' distance from the characters, in cells, which shows them the way at once.
    # It counts as long as the weight above is not 0.
    mango.CHARACTER_WINDOW_LOSS_WEIGHT = 1.0
    # Above 0: a second head also learns each word's whole region, in training only.
    mango.INSTANCE_ATTENTION_LOSS_WEIGHT = 0.0
    # All attention weights fall linearly to 0 over this many iterations; 0: they stay.
    mango.ATTENTION_DECAY_STEPS = 0
    # Weight of the cells that hold words against those that do not, in the loss of the grid. The method's public code
    # has 1, but then the few cells with words long stay below GRID_THRESHOLD, and nothing is found.
    mango.GRID_POSITIVE_WEIGHT = 5.0
    # Words without character boxes: their outline, cut into equal parts along the word, stands in.
    mango.SLICE_WORDS = False
    # Learn places and attention alone; what reads stays as it is.
    mango.PRETRAIN_ATTENTION = False

    # Probabilities from which a pixel belongs to a centre line, and a cell holds a word.
    mango.CENTRE_LINE_THRESHOLD = 0.5
    mango.GRID_THRESHOLD = 0.5
    # Pixels of the feature map of the smallest centre line that counts.
    mango.MIN_PIXELS = 9
    # "rectangle" (the smallest one around the centre line), or "contour" (for curved words).
    mango.OUTLINE = "rectangle"
    # Widen outlines to undo SHRINK. Without, they are the words' inner strips, and score at IoU 0.1.
    mango.UNSHRINK = False


def check_mango_config(cfg: CN) -> None:
    """Raise ValueError, with what to do, for options that do not fit together."""
    mango = cfg.MODEL.MANGO
    for key in ("GRID_SIZE", "NUM_CONVS", "NUM_LSTMS", "CELLS_PER_WORD", "MAX_CELLS", "MIN_PIXELS"):
        if mango[key] < 1:
            raise ValueError(f"MODEL.MANGO.{key} is {mango[key]}; set it to 1 or more.")
    if mango.NUM_KERNEL_CONVS < 0:
        raise ValueError(
            f"MODEL.MANGO.NUM_KERNEL_CONVS is {mango.NUM_KERNEL_CONVS}; set it to 0 (as NUM_CONVS) or more."
        )
    if mango.CONV_DIM % mango.NORM_GROUPS:
        raise ValueError(
            f"MODEL.MANGO.CONV_DIM {mango.CONV_DIM} does not divide into MODEL.MANGO.NORM_GROUPS {mango.NORM_GROUPS}; "
            "change one."
        )
    if not 0 < mango.SHRINK < 1:
        raise ValueError(f"MODEL.MANGO.SHRINK is {mango.SHRINK}; use a number between 0 and 1.")
    if mango.OUTLINE not in ("rectangle", "contour"):
        raise ValueError(f"MODEL.MANGO.OUTLINE is '{mango.OUTLINE}'; use 'rectangle' or 'contour'.")
    if any(points < 4 or points % 2 for points in mango.ORDERED_POINTS):
        raise ValueError(
            f"MODEL.MANGO.ORDERED_POINTS is {tuple(mango.ORDERED_POINTS)}; only outlines with as many points along one "
            "side as along the other can be in it: use even numbers, 4 or more."
        )
    if cfg.MODEL.TEXT.READING_ONLY:
        raise ValueError(
            "MODEL.TEXT.READING_ONLY is True, but MANGO reads only where its maps say: set it to False. Its own first "
            "stage is MODEL.MANGO.PRETRAIN_ATTENTION."
        )
