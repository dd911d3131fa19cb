"""Options of the Text Perceptron spotter; defaults as in Qiao et al. (AAAI 2020) and their code, where not said."""

from detectron2.config import CfgNode as CN


def add_text_perceptron_config(cfg: CN) -> None:
    """Add ``MODEL.TEXT_PERCEPTRON`` to a config, in place.

    It is used by META_ARCHITECTURE (or MODEL.DLD.SPOTTER) "TextPerceptron", which reads with
    ``MODEL.ROI_TEXT_HEAD``, whose POOLER_SAMPLING_RATIO and POOLER_MARGIN have no effect then.
    MODEL.ROI_HEADS.SCORE_THRESH_TEST and TEST.DETECTIONS_PER_IMAGE bound what it finds.
    """
    perceptron = cfg.MODEL.TEXT_PERCEPTRON = CN()
    # Channels of every convolution of the order-aware segmentation head.
    perceptron.CONV_DIM = 256
    # Points on a word's outline, half of them along each side: an even number, 4 at least. Quadrilaterals need 4,
    # curved words 10.
    perceptron.NUM_FIDUCIALS = 14

    # Outlines with one of these numbers of points begin at the start of the reading and have half of them along each
    # side (Total-Text's training labels 10, CTW1500 14). The ends of others with more than four points are looked for.
    perceptron.ORDERED_POINTS = (10, 14)
    # Length of the strips at a word's start and end as a share of its shortest side (CTW1500: 0.35), and the least, in
    # pixels of the network's input. The authors' least is 3; below the stride of 4 some strips have no cell.
    perceptron.END_RATIO = 0.25
    perceptron.MIN_END_LENGTH = 4.0
    # Thickness of the boundary along both sides as a share of the shortest side (CTW1500: 0.15), and its limits in
    # pixels. The authors' lower limit is 3; thinner than the stride of 4, the boundary has gaps.
    perceptron.BOUNDARY_RATIO = 0.09
    perceptron.BOUNDARY_THICKNESS = (4.0, 12.0)
    # rho: background cells are left out at random until this share of them is about as many as the words' cells.
    perceptron.BACKGROUND_RATIO = 0.6

    # Weight of each of the four Dice losses.
    perceptron.SEGMENTATION_WEIGHT = 1.0
    # How the smooth L1 losses of corners and offsets are reduced: "mean" over the cells that have a target, with the
    # weights below, or "sum" (the authors'; times 1/1024, weights 0.1 and 0.01, for 8 images a GPU of 736 pixels).
    # The total of the other form is logged.
    perceptron.REGRESSION_REDUCTION = "mean"
    perceptron.CORNER_WEIGHT = 1.0
    perceptron.OFFSET_WEIGHT = 0.25
    # Below this error, in units of 32 pixels, the loss is quadratic.
    perceptron.SMOOTH_L1_BETA = 0.11
    # Train the reading branch on fiducial points of the predicted maps instead of the true ones, so that the reading
    # loss reaches corners and offsets (the paper; its code does not). For tuning a spotter that finds its words. A
    # student's features are then distilled from those that its teacher has in the true places.
    perceptron.PREDICTED_FIDUCIALS = False

    # Scores above which a cell belongs to a word's centre, an end (head or tail), and the boundary.
    perceptron.CENTER_THRESH = 0.35
    perceptron.END_THRESH = 0.45
    perceptron.BOUNDARY_THRESH = 0.35
    # A word counts if at least this share of the cells around its centre are ends or boundary ...
    perceptron.MIN_ENCLOSED = 0.6
    # ... and its centre has at least so many cells (the authors: 3, which small words of a small image do not have).
    perceptron.MIN_CELLS = 1


def check_text_perceptron_config(cfg: CN) -> None:
    """Raise ValueError, with what to do, for options that do not fit together."""
    perceptron, head = cfg.MODEL.TEXT_PERCEPTRON, cfg.MODEL.ROI_TEXT_HEAD
    if head.NAME != "FiducialTextHead":
        raise ValueError(
            f"MODEL.ROI_TEXT_HEAD.NAME is '{head.NAME}', which pools boxes; the TextPerceptron gives fiducial points: "
            "set it to 'FiducialTextHead'."
        )
    if perceptron.NUM_FIDUCIALS < 4 or perceptron.NUM_FIDUCIALS % 2:
        raise ValueError(
            f"MODEL.TEXT_PERCEPTRON.NUM_FIDUCIALS is {perceptron.NUM_FIDUCIALS}; half of the points lie along each "
            "side of a word: use an even number, 4 or more."
        )
    if any(points < 4 or points % 2 for points in perceptron.ORDERED_POINTS):
        raise ValueError(
            f"MODEL.TEXT_PERCEPTRON.ORDERED_POINTS is {tuple(perceptron.ORDERED_POINTS)}; only outlines with as many "
            "points along one side as along the other can be in it: use even numbers, 4 or more."
        )
    if perceptron.REGRESSION_REDUCTION not in ("mean", "sum"):
        raise ValueError(
            f"MODEL.TEXT_PERCEPTRON.REGRESSION_REDUCTION is '{perceptron.REGRESSION_REDUCTION}'; use 'mean' or 'sum'."
        )
