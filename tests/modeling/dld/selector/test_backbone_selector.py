"""The selector on the detector's backbone: what it sees and what learns; other images of a batch change nothing."""

import torch
from detectron2.structures import ImageList
from helpers.toy_dld import SCALES, build, losses_of
from helpers.toy_words import toy_batch

from dld_spotter.modeling.dld.rescaling import rescale_images
from dld_spotter.modeling.dld.selector.backbone_selector import RIDGE, BackboneSelector

OPTS = (
    *("MODEL.RESOLUTION_SELECTOR.NAME", "BackboneSelector", "MODEL.RESOLUTION_SELECTOR.SCALE", 0.5),
    *("MODEL.BACKBONE.NAME", "build_pp_lcnet_fpn_backbone", "MODEL.PP_LCNET.STAGE_CHANNELS", (8, 8, 8, 8)),
    *("MODEL.PP_LCNET.BLOCKS", (1, 1, 1, 1), "MODEL.DLD.TEACHER", False, "MODEL.DLD.LAMBDA_SKD", 0.0),
)


def images_of(*sizes):
    torch.manual_seed(0)
    return ImageList.from_tensors([torch.randn(3, *size) for size in sizes], 32)


def test_it_sees_statistics_of_the_students_backbone():
    model = build(*OPTS).eval()
    selector = model.selector
    assert isinstance(selector, BackboneSelector)
    selector.start_from(model.student)
    images = images_of((64, 96))
    with torch.no_grad():
        small = rescale_images(images, 0.5)
        parts = []
        for feature in model.student.backbone.bottom_up(small.tensor).values():
            shown = feature[0, :, : max(1, round(feature.shape[2] * 32 / small.tensor.shape[2]))].double()
            shown = shown[:, :, : max(1, round(feature.shape[3] * 48 / small.tensor.shape[3]))]
            mean = shown.mean(dim=(1, 2))
            parts += [mean, (shown - mean[:, None, None]).square().mean(dim=(1, 2)).sqrt(), shown.flatten(1).max(1)[0]]
        torch.testing.assert_close(selector.statistics(images)[0], torch.cat(parts).float(), rtol=1e-4, atol=1e-5)
        assert selector(images).shape == (1, len(SCALES))


def test_the_fit_is_the_least_of_the_penalised_squares():
    """At the solution the gradient of |A W - Y|^2 + lambda |W|^2 vanishes, with A standardised and Y centred."""
    selector = build(*OPTS).selector
    torch.manual_seed(2)
    statistics, wanted = torch.randn(9, selector.classify.in_features), torch.randn(9, len(SCALES))
    selector.fit(statistics, wanted)
    centred = statistics - statistics.mean(dim=0)
    features = centred / (centred.square().mean(dim=0) + selector.norm.eps).sqrt()
    weight = selector.classify.weight.detach().T.clone().requires_grad_()
    residual = features @ weight - (wanted - wanted.mean(dim=0))
    (residual.square().sum() + RIDGE * weight.square().sum()).backward()
    assert weight.grad.abs().max() < 1e-3
    torch.testing.assert_close(selector.classify.bias, wanted.mean(dim=0))


def test_other_images_of_a_batch_change_nothing():
    selector = build(*OPTS).eval().selector
    both = images_of((64, 96), (96, 128))
    alone = ImageList(both.tensor[:1], both.image_sizes[:1])
    with torch.no_grad():
        torch.testing.assert_close(selector(both)[:1], selector(alone))


def test_a_fixed_selector_stays_and_chooses_while_the_student_learns_at_all_scales():
    """How a DLD model with a fitted selector is trained on."""
    fixed = ("MODEL.DLD.SELECTION", "fixed", "MODEL.DLD.GAMMA_SHIFT", 0.05)
    model = build(*OPTS, *fixed)
    selector = model.selector
    selector.start_from(model.student)
    before = {name: value.clone() for name, value in model.selector.state_dict().items()}
    assert not any(parameter.requires_grad for parameter in selector.parameters())
    assert not any(module.training for module in selector.modules()) and model.student.training
    losses = losses_of(model, toy_batch((2, 1), size=(96, 136)))
    assert not any("selector" in name for name in losses)
    sum(losses.values()).backward()
    assert any(parameter.grad is not None for parameter in model.student.parameters())
    assert all(torch.equal(value, before[name]) for name, value in selector.state_dict().items())
    with torch.no_grad():
        selector.classify.bias.copy_(torch.tensor([0.0, 50.0, 0.0]))
    assert model.eval().choose_scales(images_of((64, 96))) == [SCALES[1]]
