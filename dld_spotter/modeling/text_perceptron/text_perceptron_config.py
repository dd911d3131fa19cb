"""What fits together in the options of the Text Perceptron."""

from detectron2.config import CfgNode as CN


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
