"""The CTC decoder against sums over all alignments, and its recogniser in a spotter and under DLD."""

import itertools
import math

import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from helpers.toy_dld import build, losses_of
from helpers.toy_words import toy_batch

from dld_spotter.data.charset import END, NUM_SPECIAL, PAD
from dld_spotter.modeling.recognition.ctc_beam_search import prefix_beam_search
from dld_spotter.modeling.recognition.ctc_decoder import CTCDecoder
from dld_spotter.modeling.recognition.light_svtr import LightSVTR
from dld_spotter.modeling.spotter import readable_words

COLUMNS, CLASSES = 5, 4
CTC = (
    *("MODEL.ROI_TEXT_HEAD.NAME", "CTCTextHead", "MODEL.ROI_TEXT_HEAD.IN_FEATURE", "image"),
    *("MODEL.PP_LCNET_READER.STAGE_CHANNELS", (8, 8, 12)),
    *("MODEL.PP_LCNET_READER.BLOCKS", (2, 1, 3), "MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", (4, 20)),
)


@pytest.fixture
def decoder():
    torch.manual_seed(3)
    return CTCDecoder(CLASSES - 1, 6)


@pytest.fixture
def context():
    torch.manual_seed(4)
    return 2 * torch.randn(4, COLUMNS, 6)


def texts(log_probs):
    """Probability of each text, as classes, by the sum over every sequence of columns (N, V)."""
    found = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        merged = [c for c, _ in itertools.groupby(path)]
        text = tuple(c for c in merged if c)
        probability = math.exp(sum(log_probs[i, c].item() for i, c in enumerate(path)))
        found[text] = found.get(text, 0.0) + probability
    return found


def tokens_of(text, width):
    """Classes as a row of token ids."""
    row = [c + NUM_SPECIAL - 1 for c in text] + [END]
    return row + [PAD] * (width - len(row))


def test_likelihood_is_the_sum_over_all_alignments(decoder, context):
    log_probs = decoder(context).log_softmax(dim=2).detach()
    for word, expected in enumerate(map(texts, log_probs)):
        rows = torch.tensor([tokens_of(text, COLUMNS + 1) for text in expected])
        found = decoder.log_likelihood(log_probs[word].expand(len(rows), -1, -1), rows).exp()
        torch.testing.assert_close(found, torch.tensor(list(expected.values())), rtol=1e-4, atol=1e-7)


def test_a_text_that_does_not_fit_has_no_likelihood(decoder, context):
    log_probs = decoder(context[:2]).log_softmax(dim=2)
    repeated = torch.tensor([tokens_of((1, 1, 1), 7), tokens_of((1, 1, 1, 1), 7)])  # needs 5 columns, and 7
    likelihood = decoder.log_likelihood(log_probs, repeated)
    assert likelihood.isfinite().tolist() == [True, False]
    torch.where(likelihood.isfinite(), likelihood, 0.0).sum().backward()
    assert decoder.classify.weight.grad.isfinite().all()


def test_a_wide_beam_finds_every_text_in_the_order_of_its_probability(decoder, context):
    expected = [texts(row) for row in decoder(context).log_softmax(dim=2).detach()]
    width = len(expected[0])
    tokens, scores = decoder.beam_search(context, width + 3, COLUMNS + 1)
    for word, found in enumerate(expected):
        best = sorted(found.items(), key=lambda pair: -pair[1])
        assert tokens[word, :width].tolist() == [tokens_of(text, tokens.shape[2]) for text, _ in best]
        assert scores[word, :width].exp().tolist() == pytest.approx([p for _, p in best], rel=1e-4)
    assert (scores[:, width:] == -torch.inf).all() and (tokens[:, width:] == PAD).all()


def explicit_beam(log_probs, width, longest):
    """Prefix beam search with a dictionary, one word: the published algorithm, probabilities in plain floats."""
    beam = {(): (1.0, 0.0)}
    for column in log_probs.exp().tolist():
        grown = {}
        for prefix, (blank, character) in beam.items():
            old = grown.get(prefix, (0.0, 0.0))
            stays = character * column[prefix[-1]] if prefix else 0.0
            grown[prefix] = old[0] + (blank + character) * column[0], old[1] + stays
            for c in range(1, len(column)) if len(prefix) < longest else ():
                before = blank if prefix and c == prefix[-1] else blank + character
                old = grown.get((*prefix, c), (0.0, 0.0))
                grown[(*prefix, c)] = old[0], old[1] + before * column[c]
        beam = dict(sorted(grown.items(), key=lambda pair: -sum(pair[1]))[:width])
    return list(beam)


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("longest", [3, 9])
def test_a_narrow_beam_is_the_published_algorithm(width, longest):
    torch.manual_seed(5)
    log_probs = (2 * torch.randn(20, 9, 6)).log_softmax(dim=2)
    prefixes, lengths = prefix_beam_search(log_probs, width, longest)
    for word in range(20):
        found = [tuple(p[:n].tolist()) for p, n in zip(prefixes[word], lengths[word], strict=True) if n >= 0]
        assert found == explicit_beam(log_probs[word], width, longest)


def test_greedy_merges_repeats_and_drops_blanks(decoder):
    path = torch.tensor([[1, 1, 0, 1, 3], [0, 0, 0, 0, 0], [2, 3, 3, 2, 0]])
    logits = 9.0 * torch.nn.functional.one_hot(path, CLASSES).float()
    decoder.classify = torch.nn.Identity()
    tokens, scores = decoder.greedy(logits, 9)
    assert tokens.tolist() == [tokens_of(text, 6) for text in ((1, 1, 3), (), (2, 3, 2))]
    sure = logits.softmax(dim=2).max().item()
    assert scores.tolist() == pytest.approx([sure, 0.0, sure])
    valid = decoder.valid_steps(logits, tokens)
    assert torch.equal(decoder.best_tokens(logits, valid), tokens)
    assert decoder.greedy(logits, 2)[0].shape == (3, 2)


@pytest.mark.parametrize("words", [0, 2])
def test_the_neck_keeps_the_columns(words):
    assert LightSVTR(12, 16)(torch.zeros(words, 12, 1, 7)).shape == (words, 7, 16)


@pytest.mark.parametrize("words_per_image", [(0, 0), (2, 1)])
def test_losses_are_finite_and_reach_every_parameter(words_per_image):
    model = build_model(toy.tiny_cfg(*CTC)).train()
    with EventStorage():
        losses = model(toy_batch(words_per_image))
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert not [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_a_recogniser_learns_toy_words():
    torch.manual_seed(0)
    model = build_model(toy.tiny_cfg(*CTC, "MODEL.TEXT.READING_ONLY", True)).train()
    batch = toy_batch((2, 2))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 0.003)
    for _ in range(150):
        with EventStorage():
            loss = model(batch)["loss_text"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    read = torch.cat([rows[:, :6] for rows in model.eval().read_words(batch)])
    truth = torch.cat([r["instances"].gt_text for r in batch])
    assert [row[: row.index(END)] for row in read.tolist()] == [row[: row.index(END)] for row in truth.tolist()]


def test_distillation_cannot_tell_it_from_another_recogniser():
    opts = ("MODEL.DLD.ETA_LOGITS", 1.0, "MODEL.DLD.NUM_SEQUENCES", 2)
    model = build(*CTC, *opts)
    losses = losses_of(model, toy_batch((2, 0, 1)))
    wanted = {"loss_skd_roi", "loss_skd_context", "loss_skd_sequence", "loss_kd_logits", "loss_selector_accuracy"}
    assert wanted <= losses.keys() and all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()


def test_accuracy_loss_against_the_text_counts_alignments():
    model = build(*CTC, "MODEL.DLD.ACCURACY_TARGET", "ce", "MODEL.DLD.SCALES", (1.0, 0.5))
    batch = toy_batch((2, 1))
    model.selector.classify.bias.data = torch.tensor([100.0, 0.0])
    with torch.no_grad():
        model.student.eval()
        images = model.student.preprocess_image(batch)
        words = readable_words([record["instances"] for record in batch])
        reading = model.student.read(images, words)
        own = model.student.log_likelihood(reading.logits.log_softmax(dim=2), reading.target)
    loss = losses_of(model, batch)["loss_selector_accuracy"]
    tokens = (reading.target != PAD).sum()
    assert loss.item() == pytest.approx((-own.sum() / tokens).item(), rel=1e-2)
