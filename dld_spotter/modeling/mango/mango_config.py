"""What fits together in the options of MANGO."""

from detectron2.config import CfgNode as CN

from dld_spotter.modeling.mango.mango_heads import GROUP_CHANNELS


def check_mango_config(cfg: CN) -> None:
    """Raise ValueError, with what to do, for options that do not fit together."""
    mango = cfg.MODEL.MANGO
    for key in ("GRID_SIZE", "NUM_CONVS", "CELLS_PER_WORD", "MAX_CELLS"):
        if mango[key] < 1:
            raise ValueError(f"MODEL.MANGO.{key} is {mango[key]}; set it to 1 or more.")
    if mango.CONV_DIM % GROUP_CHANNELS:
        raise ValueError(
            f"MODEL.MANGO.CONV_DIM is {mango.CONV_DIM}; its normalisation has groups of {GROUP_CHANNELS} channels: set "
            "it to a multiple of that."
        )
    if mango.OUTLINE not in ("rectangle", "contour"):
        raise ValueError(f"MODEL.MANGO.OUTLINE is '{mango.OUTLINE}'; use 'rectangle' or 'contour'.")
    if cfg.MODEL.TEXT.READING_ONLY:
        raise ValueError(
            "MODEL.TEXT.READING_ONLY is True, but MANGO reads only where its maps say: set it to False. Its own first "
            "stage is MODEL.MANGO.PRETRAIN_ATTENTION."
        )
