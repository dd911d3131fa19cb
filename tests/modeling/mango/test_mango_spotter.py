"""The whole spotter at a tiny size: its losses, the Spotter seam, and what it finds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from detectron2.utils.events import EventStorage
from helpers.mango_toys import (
    CHARSET,
    LOSSES,
    build,
    centres,
    equal_parts,
    keep_statistics,
    knowing,
    losses_of,
    rectangle,
    tiny,
    words_of,
)
from helpers.toy_words import toy_batch
from torch.nn import functional as F

from dld_spotter.analysis.flops import CostModel, count_multiply_adds
from dld_spotter.data.charset import PAD
from dld_spotter.modeling.mango.mango_post_processing import LocatedWords
from dld_spotter.modeling.spotter import readable_words
from dld_spotter.modeling.spotter_parts import Workload
from dld_spotter.predicted_words import instances_to_polygons, to_words
from dld_spotter.predictor import TextPredictor
from dld_spotter.structures import CharacterBoxes


@pytest.mark.parametrize("words_per_image", [(0, 0), (0, 3), (2, 1)])
@pytest.mark.parametrize(
    ("more", "opts"),
    [
        (set(), ()),
        (set(), ("MODEL.MANGO.MAX_CELLS", 1)),
        ({"loss_character_window"}, ("MODEL.MANGO.CHARACTER_WINDOWS", True, "MODEL.MANGO.MAX_CELLS", 1)),
    ],
)
def test_losses_are_finite_and_reach_every_parameter(words_per_image, more, opts):
    spotter = build(*opts)
    losses = losses_of(spotter, toy_batch(words_per_image))
    assert losses.keys() == LOSSES | more
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    gradients = {name: p.grad for name, p in spotter.named_parameters() if p.requires_grad}
    assert not [name for name, gradient in gradients.items() if gradient is None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    for name in ("loss_text", "loss_character_attention"):
        assert (losses[name] == 0) == (sum(words_per_image) == 0)


def test_a_batch_of_dont_care_words():
    batch = toy_batch((2, 1))
    for record in batch:
        record["instances"].gt_text[:] = PAD
        record["instances"].gt_ignore[:] = True
    spotter = build()
    losses = losses_of(spotter, batch)
    assert losses["loss_text"] == losses["loss_character_attention"] == 0
    sum(losses.values()).backward()
    assert not [name for name, p in spotter.named_parameters() if p.grad is None]
    assert len(spotter.eval()(batch)) == 2 and [len(t) for t in spotter.read_words(batch)] == [0, 0]


def test_attention_is_learnt_alone_first():
    spotter = build("MODEL.MANGO.PRETRAIN_ATTENTION", True)
    losses = losses_of(spotter, toy_batch((2, 1)))
    assert losses.keys() == LOSSES - {"loss_text"}
    sum(losses.values()).backward()
    lacking = {name for name, p in spotter.named_parameters() if p.grad is None}
    assert lacking == {n for n, _ in spotter.named_parameters() if n.startswith(("reader.", "attention.fusion."))}
    assert not any(spotter.get_parameter(name).requires_grad for name in lacking)
    assert losses_of(spotter, toy_batch((0,))).keys() == losses.keys()


def test_attention_is_learnt_from_character_boxes_where_words_have_them():
    batch, without = toy_batch((2,)), toy_batch((2,))
    words = batch[0]["instances"]
    lengths = [len(text) for text in CHARSET.decode(words.gt_text)]
    boxes = [equal_parts(o, n) for o, n in zip(words.gt_masks.tensor.numpy(), lengths, strict=True)]
    words.gt_characters = CharacterBoxes.from_list(boxes)
    spotter = build("MODEL.MANGO.SLICE_WORDS", False, "MODEL.MANGO.CELLS_PER_WORD", 50)
    keep_statistics(spotter)
    true, none = losses_of(spotter, batch), losses_of(spotter, without)
    assert true["loss_character_attention"] > 0 and none["loss_character_attention"] == 0
    words.gt_characters = CharacterBoxes.from_list([None, boxes[1]])
    assert 0 < losses_of(spotter, batch)["loss_character_attention"] != true["loss_character_attention"]
    spotter.target_maker = replace(spotter.target_maker, slice_words=True)
    torch.testing.assert_close(
        losses_of(spotter, without)["loss_character_attention"], true["loss_character_attention"]
    )


def test_attention_without_a_weight_is_not_learnt():
    spotter = build("MODEL.MANGO.CHARACTER_ATTENTION_LOSS_WEIGHT", 0.0, "MODEL.MANGO.CHARACTER_WINDOWS", True)
    losses = losses_of(spotter, toy_batch((2,)))
    assert losses.keys() == LOSSES - {"loss_character_attention"}
    sum(losses.values()).backward()
    assert not [n for n, p in spotter.named_parameters() if p.grad is None]


def test_a_word_without_a_cell_is_not_learnt():
    """Twice the same outline: the first word owns all cells; the second, of another text, changes no loss."""
    image = toy_batch((0,))[0]
    outline, spotter = rectangle(20, 30, 90, 50), build("MODEL.MANGO.CELLS_PER_WORD", 50)
    keep_statistics(spotter)
    records = [image | {"instances": words_of([outline] * n, ["ab", "cdef"][:n], (96, 128))} for n in (1, 2)]
    single, double = (losses_of(spotter, [record]) for record in records)
    for name in single:
        torch.testing.assert_close(single[name], double[name], msg=name)
    images, words = spotter.preprocess_image([records[1]]), [records[1]["instances"]]
    reading = spotter.read(images, words)
    assert reading.roi[0].any() and not reading.roi[1].any()


def test_reading_alone_equals_the_reading_of_the_training_pass():
    spotter = build("MODEL.MANGO.CELLS_PER_WORD", 50).train()
    batch = toy_batch((2, 3))
    batch[1]["instances"].gt_text[1] = PAD  # found, not read
    keep_statistics(spotter)
    images = spotter.preprocess_image(batch)
    targets = [record["instances"] for record in batch]
    with EventStorage():
        _, roi = spotter.detection_losses(images, targets)
    alone = spotter.read(images, readable_words(targets))
    torch.testing.assert_close(alone.roi, roi)
    assert alone.roi.shape == (4, 16, 1, 9) and alone.context.shape == (4, 9, 16)
    torch.testing.assert_close(spotter.decode(alone.context, alone.target[:, :2]), alone.logits[:, :2])
    tokens, scores = spotter.beam_search(alone, 3)
    assert tokens.shape == (4, 3, 9) and torch.all(scores[:, :-1] >= scores[:, 1:])
    best = spotter.decode(alone.context, tokens[:, 0]).log_softmax(dim=-1)
    assert torch.isfinite(best).all() and [len(words) for words in spotter.eval().read_words(batch)] == [2, 2]
    with pytest.raises(ValueError, match="9 characters.*9 character slots.*MODEL.TEXT.MAX_LENGTH"):
        spotter.decode(alone.context, tokens.new_zeros(4, 10))


def test_found_words_are_those_of_the_maps_in_the_original_s_pixels():
    batch = toy_batch((2, 0, 3))
    for record in batch:
        record["height"], record["width"] = 192, 384
    spotter = knowing(build(), batch)
    for record, output in zip(batch, spotter(batch), strict=True):
        found, truth = output["instances"], record["instances"].gt_masks.tensor * torch.tensor([3.0, 2.0])
        assert found.image_size == (192, 384) and len(found) == len(truth) == len(found.pred_text)
        assert (found.scores > 0.99).all() and not found.pred_classes.any()
        assert (
            found.pred_text.dtype == torch.long and ((found.pred_text_scores > 0) & (found.pred_text_scores < 1)).all()
        )
        if len(found):
            places = centres(instances_to_polygons(found))
            for expected in centres(truth.numpy()):
                assert np.abs(places - expected).max(axis=1).min() < 8
        assert len(to_words(found, CHARSET)) == len(truth)


def test_images_of_a_batch_do_not_mix():
    batch = toy_batch((2, 0, 3))
    spotter = knowing(build(), batch)
    together = spotter(batch)
    assert [len(output["instances"]) for output in together] == [2, 0, 3]
    for record, output in zip(batch, together, strict=True):
        alone = knowing(spotter, [record])([record])[0]["instances"]
        assert torch.equal(alone.pred_text, output["instances"].pred_text[:, : alone.pred_text.shape[1]])
        torch.testing.assert_close(alone.pred_text_scores, output["instances"].pred_text_scores, rtol=1e-4, atol=1e-5)


def test_the_cell_of_a_word_is_read_alike_where_it_is_found_and_where_it_is_given():
    batch = toy_batch((2, 3), seed=3)
    spotter = build("MODEL.MANGO.CELLS_PER_WORD", 1).eval()
    words, images = [record["instances"] for record in batch], spotter.preprocess_image(batch)
    found = iter(words)

    def locate(_, __, image_size):
        """The true words, each with the cell that a ground-truth pass reads."""
        entry = next(found)
        cells = spotter.target_maker.read_cells(entry, image_size).cells[:, 0].numpy()
        ones = np.ones(len(cells), np.float32)
        return LocatedWords(list(entry.gt_masks.tensor.numpy()), ones, cells, np.arange(len(cells)), ones)

    spotter.locator = locate
    spotted = torch.cat([entry.pred_text for entry in spotter.spot(images)])
    assert torch.equal(spotted, torch.cat(spotter.read_words(batch)))
    found = iter(words)
    scores = torch.cat([entry.pred_text_scores for entry in spotter.spot(images)])
    reading = spotter.read(images, words)
    probabilities = spotter.decode(reading.context, spotted).softmax(dim=-1)
    probabilities = probabilities / (1 - probabilities[..., :1])  # padding cannot be said
    said = probabilities.gather(2, spotted[..., None])[..., 0]
    means = [
        np.exp(np.mean(np.log(row[tokens != PAD].numpy()))) for row, tokens in zip(said.detach(), spotted, strict=True)
    ]
    np.testing.assert_allclose(scores, means, rtol=1e-3)


def test_the_least_certain_words_are_left_out():
    batch = toy_batch((3,))
    assert len(knowing(build("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.99), batch)(batch)[0]["instances"]) == 3
    nothing = knowing(build("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 1.0), batch)(batch)[0]["instances"]
    assert len(nothing) == 0 and nothing.has("pred_text") and nothing.has("pred_text_scores")


def test_training_and_spotting_under_autocast():
    batch = toy_batch((2, 1))
    spotter = build("MODEL.MANGO.MAX_CELLS", 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = losses_of(spotter, batch)
        assert len(knowing(spotter, batch)(batch)[0]["instances"]) == 2
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()


def test_costs_are_those_of_a_run():
    """One word whose cells are as many as the rehearsal's words have."""
    outline = rectangle(10, 30, 100, 50)
    batch = [toy_batch((0,))[0] | {"instances": words_of([outline], ["abc"], (96, 128))}]
    spotter = knowing(build(), batch)
    images = spotter.preprocess_image(batch)
    sizes = []
    spotter.attention.character.dynamic_convolution.register_forward_hook(
        lambda _, inputs, __: sizes.append(inputs[0].shape[0])
    )
    real = count_multiply_adds(lambda: spotter.spot(images), spotter, spotter.cost_parts)
    assert sizes[0] > 1
    rehearsed = build("MODEL.MANGO.CELLS_PER_WORD", sizes[0]).eval()
    counted = CostModel(rehearsed, Workload(words=1)).student((96, 128), 1.0)
    assert counted == real and counted["other"] == 0
    assert all(counted[part] > 0 for part in counted if part != "other")
    empty = CostModel(rehearsed, Workload(words=0)).student((96, 128), 1.0)
    assert empty["attention"] == empty["fusion"] == empty["recognition"] == 0 < empty["grid"]


def test_every_part_learns_toy_words():
    spotter, batch = build(), toy_batch((2, 2), seed=1)
    optimizer = torch.optim.AdamW(spotter.parameters(), lr=5e-3)
    first = None
    for _ in range(30):
        losses = losses_of(spotter, batch)
        first = first or {name: loss.item() for name, loss in losses.items()}
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(spotter.parameters(), 5.0)
        optimizer.step()
    for name, loss in losses.items():
        assert loss.item() < 0.7 * first[name], name


def test_from_a_checkpoint_to_words(tmp_path):
    """TextPredictor builds it, loads it, and writes outlines as they are found."""
    batch, weights = toy_batch((2,)), tmp_path / "model.pth"
    torch.save({"model": build().state_dict()}, weights)
    predictor = TextPredictor(tiny(), weights, device="cpu", confidence_threshold=0.25)
    assert predictor.model.locator.score_threshold == 0.25
    knowing(predictor.model, batch)
    image = F.interpolate(batch[0]["image"][None].float(), scale_factor=2)[0].byte().permute(1, 2, 0).numpy()
    result = predictor(image)[0]
    assert len(result.words) == 2 and (result.height, result.width) == (192, 256)
    places = centres([np.array(word.polygon) for word in result.words])
    for expected in centres(batch[0]["instances"].gt_masks.tensor.numpy() * 2):
        assert np.abs(places - expected).max(axis=1).min() < 8
    assert result.draw(image).shape == image.shape


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("MODEL.MANGO.MAX_CELLS", 0, "MAX_CELLS is 0.*1 or more"),
        ("MODEL.MANGO.CELLS_PER_WORD", 0, "CELLS_PER_WORD is 0"),
        ("MODEL.MANGO.CONV_DIM", 20, "CONV_DIM is 20"),
        ("MODEL.MANGO.OUTLINE", "box", "'rectangle' or 'contour'"),
        ("MODEL.TEXT.READING_ONLY", True, "READING_ONLY is True.*PRETRAIN_ATTENTION"),
    ],
)
def test_options_that_clash_are_named(key, value, message):
    with pytest.raises(ValueError, match=message):
        build(key, value)
