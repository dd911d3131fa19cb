"""Attention maps and what is collected through them, against explicit loops."""

import numpy as np
import pytest
import torch
from helpers.mango_toys import CHARSET, equal_parts, maker, rectangle, tiny, words_of
from torch.nn import functional as F

from dld_spotter.data.synthetic import draw_word
from dld_spotter.modeling.mango.attention_fusion import FAINTEST, AttentionFusion
from dld_spotter.modeling.mango.dynamic_attention import DynamicConvolution, KernelTower
from dld_spotter.modeling.mango.grid import cell_of, map_geometry, sample_at_cells
from dld_spotter.modeling.mango.mango_target_maker import cells_without_targets
from dld_spotter.modeling.mango.mango_targets import character_masks
from dld_spotter.modeling.mango.mask_attention import MaskAttention


class MapShape:
    """Of the toy feature map."""

    channels, stride = 6, 4


def attention(*opts) -> MaskAttention:
    return MaskAttention.from_config(tiny("MODEL.TEXT.MAX_LENGTH", 4, *opts), MapShape)


def geometry_of(size, image_sizes=None):
    return map_geometry(size, image_sizes or [(size[0] * 4, size[1] * 4)], 4, torch.device("cpu"))


def test_dynamic_convolution_one_product_at_a_time():
    kernels, feature = torch.randn(2, 3, 4), torch.randn(4, 5, 6)
    found = DynamicConvolution()(kernels, feature)
    for cell, slot, row, column in np.ndindex(2, 3, 5, 6):
        expected = sum(kernels[cell, slot, c].item() * feature[c, row, column].item() for c in range(4))
        assert found[cell, slot, row, column].item() == pytest.approx(expected, abs=1e-5)
    as_weights = F.conv2d(feature[None], kernels.flatten(0, 1)[:, :, None, None])
    torch.testing.assert_close(found.flatten(0, 1), as_weights[0])


def test_the_geometry_of_a_padded_image():
    """An image of 40 x 24 pixels in a frame of 64 x 32, positions of 4 pixels."""
    geometry = geometry_of((8, 16), [(24, 40), (32, 64)])
    assert geometry.valid[0].sum() == 6 * 10 and geometry.valid[0, :6, :10].all() and geometry.valid[1].all()
    torch.testing.assert_close(geometry.extent[0], torch.tensor([40 / 64, 24 / 32]))
    torch.testing.assert_close(geometry.position[0, :, 2, 3], torch.tensor([2 * 14 / 40 - 1, 2 * 10 / 24 - 1]))
    assert cell_of(torch.tensor([[39.9, 0.0], [0.0, 23.9], [50.0, 30.0]]), (24, 40), 8).tolist() == [7, 56, 63]


def test_sampling_at_cells_is_bilinear_at_their_centres():
    feature = torch.randn(2, 3, 12, 20)
    whole = torch.ones(2, 2)
    expected = F.interpolate(feature, (8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(sample_at_cells(feature, whole, 8), expected, atol=1e-5, rtol=1e-4)
    rows, columns = np.mgrid[0:12, 0:20]
    plane = torch.from_numpy(3.0 * columns - 2.0 * rows).float()[None, None]
    sampled = sample_at_cells(plane, torch.tensor([[0.6, 0.5]]), 4)[0, 0]
    for row, column in np.ndindex(4, 4):
        x, y = (column + 0.5) / 4 * 12 - 0.5, (row + 0.5) / 4 * 6 - 0.5
        assert sampled[row, column].item() == pytest.approx(3 * x - 2 * y, abs=1e-3)


def test_a_kernel_tower_predicts_for_each_cell_what_a_1x1_convolution_would():
    tower = KernelTower(6, 16, 8, 12)
    cells = tower(torch.randn(2, 6, 12, 20), geometry_of((12, 20), [(48, 80)] * 2))
    assert cells.shape == (2, 64, 16)
    as_map = F.conv2d(cells.transpose(1, 2).unflatten(2, (8, 8)), tower.predictor.weight[..., None, None])
    torch.testing.assert_close(tower.predictor(cells[:, [19]])[1, 0], as_map[1, :, 2, 3], atol=1e-5, rtol=1e-4)
    assert tower.predictor.weight.std().item() == pytest.approx(0.01, rel=0.2) and not tower.predictor.bias.any()


def test_fusion_one_position_at_a_time():
    fusion = AttentionFusion(6, 16, 1)
    weights, values = torch.rand(2, 3, 4, 5), torch.randn(16, 4, 5)
    valid = torch.ones(4, 5, dtype=torch.bool)
    valid[:, 3:] = False
    found = fusion(weights, values, valid)
    for cell, slot in np.ndindex(2, 3):
        total, mass = np.zeros(16), 0.0
        for row, column in np.ndindex(4, 3):
            total += weights[cell, slot, row, column].item() * values[:, row, column].numpy()
            mass += weights[cell, slot, row, column].item()
        np.testing.assert_allclose(found[cell, slot], total / (mass + FAINTEST * 12), rtol=1e-4, atol=1e-5)


def test_an_empty_slot_sees_nothing():
    values, valid = torch.ones(16, 40, 50), torch.ones(40, 50, dtype=torch.bool)
    seen = torch.zeros(2, 40, 50)
    seen[0, 10:20, 10:20] = 1
    collected = AttentionFusion(6, 16, 1)(seen, values, valid)
    assert collected[0, 0].item() == pytest.approx(1, abs=0.01) and not collected[1].any()


def test_features_do_not_depend_on_the_scale():
    """A smooth map and blobs of attention, at full and half the resolution."""
    full = torch.randn(1, 16, 6, 8)
    values = [F.interpolate(full, size, mode="bicubic", align_corners=False)[0] for size in ((48, 64), (24, 32))]
    place = [torch.stack([torch.linspace(-1, 1, n)[:, None].expand(h, w) if n == h else
                          torch.linspace(-1, 1, n)[None].expand(h, w) for n in (h, w)])
             for h, w in ((48, 64), (24, 32))]  # fmt: skip
    centres = torch.rand(5, 2, 1, 1) * 1.4 - 0.7
    seen = [torch.exp(-(p - centres).square().sum(dim=1) / 0.03) for p in place]
    fusion = AttentionFusion(6, 16, 1)
    large, small = (fusion(s, v, torch.ones(v.shape[1:], dtype=torch.bool)) for s, v in zip(seen, values, strict=True))
    assert np.corrcoef(large.flatten(), small.flatten())[0, 1] > 0.98
    assert (small.norm() / large.norm()).item() == pytest.approx(1, rel=0.1)


def test_the_gradient_reaches_the_kernel_tower_only_at_chosen_cells():
    module, feature = attention(), torch.randn(1, 6, 12, 20)
    maps = module.maps(feature, geometry_of((12, 20)))
    maps.cells.retain_grad()
    chosen = torch.tensor([17, 40, 200])
    module(maps, [cells_without_targets(chosen)])[0].slots.square().sum().backward()
    touched = maps.cells.grad[0].abs().sum(dim=1).nonzero().flatten()
    assert touched.tolist() == chosen.tolist()
    assert module.character.feature_tower[0].weight.grad.abs().max() > 0


def toy_words():
    outlines = [rectangle(8, 8, 40, 20), rectangle(44, 8, 76, 20), rectangle(8, 28, 60, 40), rectangle(30, 33, 32, 35)]
    characters = [equal_parts(outline, 3) for outline in outlines]
    return words_of(outlines, ["abc"] * 4, (48, 80), characters=characters)


def attend(module, max_cells, feature, learn=True):
    module.max_cells = max_cells
    targets = maker(cells_per_word=3, num_slots=5)
    words = [targets.read_cells(toy_words(), (48, 80)), targets.read_cells(toy_words()[:0], (48, 80))]
    maps = module.maps(feature, geometry_of((12, 20), [(48, 80)] * 2))
    return module(maps, words, learn)


def test_parts_give_what_the_whole_gives_and_hold_fewer_cells():
    module = attention()
    feature = torch.randn(2, 6, 12, 20)
    sizes, results, gradients = [], [], []
    module.character.dynamic_convolution.register_forward_hook(
        lambda _, inputs, __: sizes.append(inputs[0].shape[0] * inputs[0].shape[1])
    )
    for max_cells in (100, 6, 1):
        sizes.clear()
        module.zero_grad()
        attended = attend(module, max_cells, feature)
        loss = sum(entry.slots.square().sum() + entry.character_sums.sum() for entry in attended)
        loss.backward()
        results.append(attended[0])
        gradients.append([p.grad.clone() for p in module.parameters()])
        assert max(sizes) <= max(max_cells, 3), "a word's own cells stay together"
        assert len(sizes) == {100: 2, 6: 2 * 2 + 2, 1: 2 * 4 + 2}[max_cells], "parts are done again backward"
    for other in (1, 2):
        for first, again in zip(results[0], results[other], strict=True):
            torch.testing.assert_close(first, again, rtol=1e-4, atol=1e-5)
        for first, again in zip(gradients[0], gradients[other], strict=True):
            torch.testing.assert_close(first, again, rtol=1e-3, atol=1e-5)


def test_words_see_the_mean_of_their_cells_and_those_without_a_cell_nothing():
    module, feature = attention(), torch.randn(2, 6, 12, 20)
    words = maker(cells_per_word=3, num_slots=5).read_cells(toy_words(), (48, 80))
    assert words.weight.sum(dim=1).tolist() == pytest.approx([1, 1, 1, 0]), "the last word lies within another's cell"
    maps = module.maps(feature, geometry_of((12, 20), [(48, 80)] * 2))
    slots = module(maps, [words, cells_without_targets(words.cells[0, :0])])[0].slots
    own = words.cells[2][words.weight[2] > 0]
    single = module(maps, [cells_without_targets(own), cells_without_targets(own[:0])])[0].slots
    torch.testing.assert_close(slots[2], single.mean(dim=0), rtol=1e-4, atol=1e-6)
    assert not slots[3].any()


def test_the_attention_that_the_targets_ask_for_costs_nothing():
    """Where sigmoid(A) is the true characters, the Dice sums of the known slots agree."""
    module = attention()
    words = maker(cells_per_word=3, num_slots=5).read_cells(toy_words()[:3], (48, 80))
    masks, _ = character_masks(words.characters, (12, 20), 4)
    module.character.dynamic_convolution.forward = lambda kernels, _: (masks[:, None] * 80.0 - 40).expand(
        *kernels.shape[:3], 12, 20
    )
    maps = module.maps(torch.randn(1, 6, 12, 20), geometry_of((12, 20)))
    sums = module(maps, [words], learn_characters=True)[0].character_sums
    assert sums.shape == (3, 5) and sums[0, :3].min() > 0 and not sums[:, 3:].round(decimals=4).any()
    torch.testing.assert_close(sums, sums[:1].expand(3, -1), rtol=1e-4, atol=1e-3)


def test_true_masks_and_a_linear_probe_read_clean_words():
    """With the true cells and characters as attention, ridge regression on the collected features reads all."""
    rng = np.random.default_rng(0)
    alphabet = "abcdefghkm"
    fusion = AttentionFusion(3, 64, 2).eval()
    targets = maker(cells_per_word=1, num_slots=6)

    def page():
        """An image of words whose characters' places are known, its true masks and its tokens."""
        image, outlines, quads, texts = np.zeros((96, 160), np.float32), [], [], []
        for row in range(3):
            text, left, boxes = "".join(rng.choice(list(alphabet), 5)), 8 + rng.integers(0, 12), []
            for character in text:
                ink = draw_word(character, 24)
                ink, top = ink[:24], 30 * row + 4
                image[top + 24 - len(ink) : top + 24, left : left + ink.shape[1]] = ink
                boxes.append(rectangle(left - 1, top, left + ink.shape[1] + 1, top + 24))
                left += ink.shape[1] + 4
            quads.append(np.stack(boxes))
            outlines.append(rectangle(boxes[0][0, 0], 30 * row + 4, left, 30 * row + 28))
            texts.append(text)
        words = words_of(outlines, texts, image.shape, characters=quads)
        read = targets.read_cells(words, image.shape)
        assert (read.weight.sum(dim=1) == 1).all()
        return torch.from_numpy(image), character_masks(read.characters, (96, 160), 1)[0].float(), words.gt_text[:, :5]

    def features(number):
        seen, tokens = [], []
        for _ in range(number):
            image, masks, text = page()
            values = fusion.values(image.expand(1, 3, -1, -1))[0]
            seen.append(fusion(masks, values, torch.ones(image.shape, dtype=torch.bool))[:, :5].flatten(0, 1))
            tokens.append(text.flatten())
        seen = torch.cat(seen)
        return torch.cat([seen, torch.ones(len(seen), 1)], dim=1).double(), torch.cat(tokens)

    with torch.no_grad():
        (train, labels), (test, truth) = features(20), features(8)
    wanted = F.one_hot(labels, CHARSET.num_tokens).double()
    probe = torch.linalg.solve(train.T @ train + 1e-6 * torch.eye(train.shape[1]), train.T @ wanted)
    assert ((test @ probe).argmax(dim=1) == truth).float().mean() > 0.99
