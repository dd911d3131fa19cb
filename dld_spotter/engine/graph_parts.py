"""A Mask R-CNN spotter in the parts that become graphs: what has weights; what lies between them is ``runtime``'s.

Each part holds the whole model as ``model``, so that the weights of the graph are called as in its checkpoint.

Maps leave and features enter the graphs with their channels last, as ``runtime.pooling`` takes them.

Shapes: B images, N words, M regions, H and W of an image, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dld_spotter.data.charset import END, PAD, START
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.modeling.dld.selector.backbone_selector import BackboneSelector
from dld_spotter.modeling.mask_rcnn.mask_rcnn_spotter import MaskRCNNSpotter
from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder, DecoderState, token_log_probs


class SpotterPart(nn.Module):
    """A part of a spotter.

    Args:
        model: a MaskRCNNSpotter, or a DLDSpotter with one as its student.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    @property
    def spotter(self) -> MaskRCNNSpotter:
        """The one that reads."""
        student = self.model.student if isinstance(self.model, DLDSpotter) else self.model
        assert isinstance(student, MaskRCNNSpotter)
        return student


class Detector(SpotterPart):
    """Feature maps, and what the RPN says of them."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W), sides multiples of the backbone's divisor, to maps, logits and deltas; see ``output_names``."""
        spotter = self.spotter
        features = spotter.backbone(image)
        rpn = spotter.proposal_generator
        logits, deltas = rpn.rpn_head([features[name] for name in rpn.in_features])
        maps = [features[name] for name in spotter.roi_heads.box_in_features]
        head = spotter.roi_heads.text_head
        if not head.pools_from_image:
            maps.append(head.pooler.conv(features[spotter.roi_heads.text_in_feature]))
        return tuple(output.permute(0, 2, 3, 1) for output in (*maps, *logits, *deltas))

    def output_names(self) -> list[str]:
        """Of what ``forward`` gives."""
        heads, rpn = self.spotter.roi_heads, self.spotter.proposal_generator
        maps = [*heads.box_in_features] + ([] if heads.text_head.pools_from_image else ["text_map"])
        levels = range(len(rpn.in_features))
        return [*maps, *(f"logits{i}" for i in levels), *(f"deltas{i}" for i in levels)]


class BoxHead(SpotterPart):
    """Class probabilities and box deltas of regions."""

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(M, rows, columns, C) to (M, 2) and (M, 4)."""
        heads = self.spotter.roi_heads
        scores, deltas = heads.box_predictor(heads.box_head(features.permute(0, 3, 1, 2)))
        return scores.softmax(dim=1), deltas


class MaskHead(SpotterPart):
    """Masks of regions."""

    def forward(self, features: Tensor) -> Tensor:
        """(M, rows, columns, C) to (M, 1, S, S) probabilities."""
        return self.spotter.roi_heads.mask_head.layers(features.permute(0, 3, 1, 2)).sigmoid()


class Recogniser(SpotterPart):
    """Characters of words.

    ``forward`` takes pictures (N, 3, rows, columns) of a crop-based recogniser, or word features (N, C, rows, columns).
    """

    def _context(self, words: Tensor) -> Tensor:
        head = self.spotter.roi_heads.text_head
        roi = head.pooler.see(words) if head.pools_from_image else head.pooler.upsample(words)
        return head.encoder(roi)


class CTCRecogniser(Recogniser):
    """With a CTC decoder."""

    def forward(self, words: Tensor) -> Tensor:
        """(N, T, 1 + number of characters) log-probabilities."""
        return self.spotter.roi_heads.text_head.decoder.classify(self._context(words)).log_softmax(dim=2)


class AttentionRecogniser(Recogniser):
    """With an attention decoder, greedy: ``AttentionDecoder.greedy`` for a fixed number of steps."""

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T) token ids and (N,) scores."""
        head = self.spotter.roi_heads.text_head
        decoder: AttentionDecoder = head.decoder
        context = self._context(words)
        token = torch.full_like(context[:, 0, 0], START, dtype=torch.long)
        ended = token != START
        # As decoder.start, for any number of words: a length would be a constant of the graph.
        zeros = 0 * context[:, :1, :1] + context.new_zeros(1, 1, decoder.hidden_size)
        memory, state = decoder.remember(context), DecoderState(zeros, zeros)
        steps, log_probs = [], []
        for _ in range(head.max_steps):
            state = decoder.step(decoder.token_gates(token[:, None]), state, memory)
            log_prob, token = token_log_probs(decoder.classify(state.hidden[:, 0])).max(dim=1)
            token = torch.where(ended, PAD, token)
            steps.append(token)
            log_probs.append(torch.where(ended, 0.0, log_prob))
            ended = ended | (token == END)
        tokens = torch.stack(steps, dim=1)
        count = (tokens != PAD).sum(dim=1).clamp(min=1)
        return tokens, (torch.stack(log_probs, dim=1).sum(dim=1) / count).exp()


class SelectorMaps(SpotterPart):
    """The feature maps whose statistics a selector classifies."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, H, W) to maps (1, C, H', W')."""
        selector: Any = self.model.selector
        if isinstance(selector, BackboneSelector):
            return tuple(selector.backbone(image).values())
        folded = nn.functional.pixel_unshuffle(image, selector.fold)
        return (selector.last(selector.blocks(selector.stem(folded))),)


class SelectorClassifier(SpotterPart):
    """The linear layer of a selector."""

    def forward(self, statistics: Tensor) -> Tensor:
        """(1, D) to (1, k) logits."""
        selector: Any = self.model.selector
        normalised = selector.norm(statistics) if isinstance(selector, BackboneSelector) else statistics
        return selector.classify(normalised)
