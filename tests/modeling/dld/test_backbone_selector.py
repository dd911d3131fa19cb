"""The selector on the detector's backbone: what it sees and what learns; other images of a batch change nothing."""

import torch
from detectron2.structures import ImageList
from helpers.toy_dld import SCALES, build

from dld_spotter.modeling.dld.rescaling import rescale_images
from dld_spotter.modeling.dld.selector.backbone_selector import BackboneSelector

OPTS = (
    *("MODEL.RESOLUTION_SELECTOR.NAME", "BackboneSelector", "MODEL.RESOLUTION_SELECTOR.SCALE", 0.5),
    *("MODEL.BACKBONE.NAME", "build_pp_lcnet_fpn_backbone", "MODEL.PP_LCNET.STAGE_CHANNELS", (8, 8, 8, 8)),
    *("MODEL.PP_LCNET.BLOCKS", (1, 1, 1, 1), "MODEL.DLD.TEACHER", False, "MODEL.DLD.LAMBDA_SKD", 0.0),
)


def images_of(*sizes):
    torch.manual_seed(0)
    return ImageList.from_tensors([torch.randn(3, *size) for size in sizes], 32)


def test_it_classifies_the_channels_means_of_the_students_backbone():
    model = build(*OPTS).eval()
    selector = model.selector
    assert isinstance(selector, BackboneSelector)
    selector.start_from(model.student)
    images = images_of((64, 96))
    with torch.no_grad():
        small = rescale_images(images, 0.5)
        maps = model.student.backbone.bottom_up(small.tensor).values()
        rows = [m[..., : -(-32 * m.shape[2] // small.tensor.shape[2]), :].mean(dim=(2, 3)) for m in maps]
        pooled = selector.norm(torch.cat(rows, dim=1))
        expected = selector.classify(torch.relu(selector.hidden(pooled)))
        torch.testing.assert_close(selector(images), expected)
    assert expected.shape == (1, len(SCALES))


def test_other_images_of_a_batch_change_nothing():
    selector = build(*OPTS).eval().selector
    both = images_of((64, 96), (96, 128))
    alone = ImageList(both.tensor[:1], both.image_sizes[:1])
    with torch.no_grad():
        torch.testing.assert_close(selector(both)[:1], selector(alone))


def test_its_backbone_stays_as_it_is():
    selector = build(*OPTS).selector.train()
    assert not selector.backbone.training
    selector(images_of((64, 96), (64, 96))).sum().backward()
    learns = {name.split(".")[0] for name, parameter in selector.named_parameters() if parameter.grad is not None}
    assert learns == {"hidden", "classify"}
