"""Where MANGO's slots look, against NumPy, and at two scales of one image."""

import numpy as np
import pytest
import torch
from detectron2.structures import ImageList
from helpers.mango_toys import build
from helpers.toy_words import toy_batch

from dld_spotter.modeling.mango import word_attention as module
from dld_spotter.modeling.mango.dynamic_attention import CharacterAttention
from dld_spotter.modeling.mango.mango_target_maker import ReadCells
from dld_spotter.modeling.mango.mask_attention import AttentionMaps
from dld_spotter.modeling.mango.word_attention import word_attention
from dld_spotter.modeling.spotter import readable_words

D, SLOTS, ROWS, COLUMNS, CELLS = 8, 3, 6, 8, 25


def entry(cells, weight):
    return ReadCells(torch.tensor(cells), torch.tensor(weight), ())


@pytest.mark.parametrize("max_cells", [1, 100])
def test_it_is_the_normalised_mean_of_the_cells_maps(max_cells, monkeypatch):
    """On a grid of the map's own valid size, nothing is resized."""
    monkeypatch.setattr(module, "GRID", 5)
    character = CharacterAttention(D, D, 1, 5, SLOTS).eval()
    cells, features = torch.randn(1, CELLS, D), torch.randn(1, D, ROWS, COLUMNS)
    maps = AttentionMaps(cells, features, None, None, torch.zeros(1, 2, ROWS, COLUMNS))
    words = entry([[3, 7], [20, 1]], [[0.25, 0.75], [1.0, 0.0]])
    found = word_attention(character, maps, [words], [(5, 5)], max_cells).detach().numpy()
    predictor = character.kernel_tower.predictor
    weight, bias = predictor.weight.detach().numpy(), predictor.bias.detach().numpy()
    for word, row in enumerate(found):
        for slot, attention in enumerate(row):
            expected = np.zeros((5, 5))
            for cell, share in zip(words.cells[word].tolist(), words.weight[word].tolist(), strict=True):
                kernel = (weight @ cells[0, cell].numpy() + bias).reshape(SLOTS, D)[slot]
                logits = np.tensordot(kernel, features[0].numpy(), axes=1)[:5, :5]
                expected += share / (1 + np.exp(-logits))
            np.testing.assert_allclose(attention, (expected / expected.sum()).ravel(), rtol=1e-4)


def test_words_without_cells_look_nowhere_and_no_words_have_a_gradient():
    character = CharacterAttention(D, D, 1, 5, SLOTS)
    cells, features = torch.randn(1, CELLS, D, requires_grad=True), torch.randn(1, D, ROWS, COLUMNS)
    maps = AttentionMaps(cells, features, None, None, torch.zeros(1, 2, ROWS, COLUMNS))
    found = word_attention(character, maps, [entry([[0, 0]], [[0.0, 0.0]])], [(ROWS, COLUMNS)], 10)
    assert found.shape == (1, SLOTS, module.GRID**2) and found.abs().max() == 0
    nothing = ReadCells(torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, 2), ())
    none = word_attention(character, maps, [nothing], [(ROWS, COLUMNS)], 10)
    assert none.shape == (0, SLOTS, module.GRID**2)
    none.sum().backward()
    assert cells.grad is not None


@torch.no_grad()
def test_padding_does_not_change_where_a_word_is_looked_for():
    spotter, batch = build().eval(), toy_batch((2,))
    images, words = spotter.preprocess_image(batch), readable_words([batch[0]["instances"]])
    wider = torch.nn.functional.pad(images.tensor, (0, 64, 0, 32))
    alone = spotter.attention_maps(images, words)
    padded = spotter.attention_maps(ImageList(wider, images.image_sizes), words)
    assert alone.shape == (2, spotter.target_maker.num_slots, module.GRID**2)
    torch.testing.assert_close(alone.sum(dim=2), torch.ones(alone.shape[:2]))
    # The zeros beyond the image are seen by convolutions near its edge, so the maps are alike, not the same.
    assert (padded - alone).abs().sum(dim=2).max() < 0.2
