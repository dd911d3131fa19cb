"""Options of a tiny crop-based recogniser."""

CROP = ("MODEL.ROI_TEXT_HEAD.NAME", "CropTextHead", "MODEL.ROI_TEXT_HEAD.IN_FEATURE", "image")


TINY = (
    *("MODEL.PP_LCNET_READER.STAGE_CHANNELS", (8, 8, 12)),
    *("MODEL.PP_LCNET_READER.BLOCKS", (2, 1, 3)),
)
