"""The fusion of pyramids against NumPy, its own stage of training, and DLD with the teacher that it makes."""

import numpy as np
import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from helpers.toy_words import toy_batch

from dld_spotter.modeling.dld.losses.pyramid_fusion import PyramidFusion

C = 16
SPOTTERS = {
    "MaskRCNNSpotter": "Qi",
    "TextPerceptron": "TextPerceptron_DLD",
    "MANGO": "MANGO_DLD",
}


def cfg_of(spotter, *opts):
    options = ("MODEL.DLD.SCALES", (0.5,), "MODEL.DLD.COSTS", (), "MODEL.DLD.ETA_PYRAMID", 0.6)
    return toy.tiny_cfg(*options, *opts, config=toy.light(SPOTTERS[spotter]))


def losses_of(model, words_per_image, iteration=1000):
    with EventStorage(iteration):
        return model(toy_batch(words_per_image))


def levels(*wanted, size, batch=2):
    return {level: torch.randn(batch, C, -(-size[0] // 2**level), -(-size[1] // 2**level)) for level in wanted}


def test_fused_maps_equal_numpy_s():
    fusion, sizes = PyramidFusion(C), [(64, 96), (32, 64)]
    high, low = levels(2, 3, 4, size=(64, 96)), levels(2, 3, 4, size=(32, 48))
    fused = fusion(high, low, sizes)
    assert set(fused) == {3, 4}
    first, second = (fusion.weigh[i].weight.detach().numpy() for i in (0, 2))
    assert first.shape == (16, 2 * C) and second.shape == (2, 16)
    seen = []
    for level, maps in fused.items():
        for image, (height, width) in enumerate(sizes):
            fine, coarse = high[level][image].numpy(), low[level - 1][image].numpy()
            shown = np.s_[:, : height // 2**level, : width // 2**level]
            mean = np.concatenate([fine[shown].mean(axis=(1, 2)), coarse[shown].mean(axis=(1, 2))])
            scores = np.exp(second @ np.maximum(first @ mean, 0))
            weights = scores / scores.sum()
            seen.append(weights[0])
            expected = weights[0] * fine + weights[1] * coarse
            np.testing.assert_allclose(maps[image].detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(seen) > 0, "each image and level has its own weights"


def test_weights_sum_to_one_and_equal_maps_stay_as_they_are():
    fusion, high = PyramidFusion(C), levels(3, 4, size=(64, 96))
    weights = fusion.weights(high[3], torch.randn_like(high[3]), [(64, 96), (40, 30)], (64, 96))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    fused = fusion(high, {level - 1: maps for level, maps in high.items()}, [(64, 96), (40, 30)])
    for level, maps in high.items():
        torch.testing.assert_close(fused[level], maps)


def test_further_padding_of_the_smaller_images_is_kept():
    fusion = PyramidFusion(C)
    fused = fusion(levels(3, size=(72, 96)), levels(2, size=(64, 64)), [(72, 96), (72, 96)])
    assert fused[3].shape == (2, C, 16, 16) and fused[3][:, :, 9:].abs().max() > 0


@pytest.mark.parametrize("spotter", SPOTTERS)
@pytest.mark.parametrize("words_per_image", [(2, 1), (0, 0)])
def test_only_the_fusion_is_trained(spotter, words_per_image):
    options = ("MODEL.META_ARCHITECTURE", "PyramidFusionTrainer")
    model = build_model(cfg_of(spotter, *options)).train()
    before = {name: value.clone() for name, value in model.spotter.state_dict().items()}
    losses = losses_of(model, words_per_image)
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == {"fusion.weigh.0.weight", "fusion.weigh.2.weight"}
    assert model.fusion.weigh[2].weight.grad.abs().max() > 0
    assert all(torch.equal(value, before[name]) for name, value in model.spotter.state_dict().items())
    assert all("instances" in output for output in model.eval()(toy_batch((1,))))


@pytest.mark.parametrize("spotter", SPOTTERS)
def test_a_student_learns_from_the_fused_teacher(spotter):
    trainer = build_model(cfg_of(spotter, "MODEL.META_ARCHITECTURE", "PyramidFusionTrainer"))
    torch.nn.init.normal_(trainer.fusion.weigh[2].weight, std=0.01)  # neither resolution alone
    model = build_model(cfg_of(spotter, "MODEL.DLD.PYRAMID_FUSION", "learned")).train()
    weights = model.adapt_weights(trainer.state_dict())
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and all(name.startswith(("temperature", "selector")) for name in missing)
    assert torch.equal(model.fusion.weigh[2].weight, trainer.fusion.weigh[2].weight)
    fused = losses_of(model, (2, 1))
    fused["loss_kd_pyramid"].backward()
    with_gradient = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None}
    assert with_gradient == {"student"} and model.student.backbone.fpn_lateral2.weight.grad.abs().max() > 0
    plain = build_model(cfg_of(spotter)).train()
    plain.load_state_dict(plain.adapt_weights(trainer.state_dict()), strict=False)
    assert plain.fusion is None
    assert losses_of(plain, (2, 1))["loss_kd_pyramid"] != fused["loss_kd_pyramid"]
    again = model.adapt_weights(model.state_dict())
    assert again.keys() == model.state_dict().keys(), "a run goes on from its own checkpoint"


def test_a_fusion_that_nothing_has_trained_is_an_error():
    model = build_model(cfg_of("MaskRCNNSpotter", "MODEL.DLD.PYRAMID_FUSION", "learned"))
    with pytest.raises(ValueError, match=r"PYRAMID_FUSION is 'learned'.*PyramidFusionTrainer"):
        model.adapt_weights(model.student.state_dict())
    with pytest.raises(ValueError, match=r"PYRAMID_FUSION is 'mean'; use 'none' or 'learned'"):
        build_model(cfg_of("MaskRCNNSpotter", "MODEL.DLD.PYRAMID_FUSION", "mean"))
