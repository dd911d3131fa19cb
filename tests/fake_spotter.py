"""A meta-architecture that finds fixed words in any image that is not black; a stand-in for a trained spotter."""

import torch
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances

from dld_spotter import Charset, load_cfg

# Relative x1, y1, x2, y2; text; detection and text score. Not in the order of a result.
WORDS = (
    ((0.50, 0.50, 0.75, 0.75), "exit", 0.75, 0.50),
    ((0.25, 0.25, 0.75, 0.50), "open24", 0.875, 1.0),
    ((0.00, 0.50, 0.25, 0.75), "vvay", 0.625, 0.25),
)


@META_ARCH_REGISTRY.register()
class FakeSpotter(torch.nn.Module):
    """Its boxes, masks and scores follow the contract of the real models; ``batches`` lists what it was given."""

    def __init__(self, cfg):
        super().__init__()
        self.charset = Charset.load(cfg.MODEL.TEXT.CHARSET)
        self.threshold = cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.roi_heads = torch.nn.Module()
        self.roi_heads.text_head = torch.nn.Module()
        self.roi_heads.text_head.register_buffer("charset_code_points", self.charset.code_points())
        self.batches = []
        self.extra = {}

    def forward(self, batched_inputs):
        self.batches.append([tuple(x["image"].shape) for x in batched_inputs])
        return [{"instances": self._find(x)} | self.extra for x in batched_inputs]

    def _find(self, given):
        height, width = given["image"].shape[1:]
        words = [word for word in WORDS if word[2] > self.threshold and given["image"].max() > 0]
        found = Instances((height, width))
        found.pred_boxes = Boxes(
            torch.tensor([[x * side for x, side in zip(word[0], (width, height) * 2, strict=True)] for word in words])
            .reshape(-1, 4)
            .float()
        )
        found.scores = torch.tensor([word[2] for word in words])
        found.pred_classes = torch.zeros(len(words), dtype=torch.long)
        found.pred_masks = torch.ones(len(words), 1, 28, 28)
        found.pred_text = self.charset.encode_rows([word[1] for word in words])
        found.pred_text_scores = torch.tensor([word[3] for word in words])
        return detector_postprocess(found, given["height"], given["width"])


def fake_cfg(folder, charset="alphanumeric36", **opts):
    """A config of the fake, with a checkpoint of it in the folder, as its YAML file and its weights."""
    pairs = {"MODEL.META_ARCHITECTURE": "FakeSpotter", "MODEL.DEVICE": "cpu", "INPUT.RANDOM_FLIP": "none"}
    pairs |= {
        "MODEL.TEXT.CHARSET": charset,
        "INPUT.MIN_SIZE_TEST": 48,
        "INPUT.MAX_SIZE_TEST": 96,
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.1,
    } | opts
    cfg = load_cfg(opts=[item for pair in pairs.items() for item in pair])
    weights = str(folder / "fake.pth")
    torch.save({"model": FakeSpotter(cfg).state_dict()}, weights)
    cfg.MODEL.WEIGHTS = weights
    path = folder / "fake.yaml"
    path.write_text(cfg.dump(), encoding="utf-8")
    return cfg, str(path)
