"""MANGO as a Detectron2 meta-architecture behind the ``Spotter`` seam.

A grid lies over the image; the cells on a word predict by dynamic convolution where each of its characters is, and what
lies there is read, all characters at once. No regions are cut out. (Qiao et al., "MANGO: A Mask Attention Guided
One-Stage Scene Text Spotter", AAAI 2021.)

Shapes: B images, D channels of the heads, H, W of the feature map, S cells a side of the grid, R words over the whole
batch, L character slots, V characters and special tokens.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import ImageList, Instances
from torch import Tensor, nn

from dld_spotter.data.charset import PAD
from dld_spotter.modeling.backbones.fpn_features import map_size
from dld_spotter.modeling.dld.rescaling import scale_factors
from dld_spotter.modeling.mango.grid import MapGeometry, map_geometry, sample_at_cells
from dld_spotter.modeling.mango.mango_config import check_mango_config
from dld_spotter.modeling.mango.mango_distillation import PlaceOutputs, place_distances, place_outputs
from dld_spotter.modeling.mango.mango_heads import CentreLineHead, GridHead
from dld_spotter.modeling.mango.mango_losses import dice_loss, no_gradient, place_losses
from dld_spotter.modeling.mango.mango_post_processing import LocatedWords, WordLocator, predictions
from dld_spotter.modeling.mango.mango_target_maker import ReadCells, TargetMaker, cells_without_targets
from dld_spotter.modeling.mango.mask_attention import Attended, AttentionMaps, MaskAttention
from dld_spotter.modeling.mango.parallel_recogniser import ParallelRecogniser
from dld_spotter.modeling.mango.slot_sequences import likeliest_sequences, read_greedily, vote
from dld_spotter.modeling.mango.word_attention import word_attention
from dld_spotter.modeling.recognition.roi_feature_recogniser import text_loss
from dld_spotter.modeling.segmentation_spotter import SegmentationSpotter
from dld_spotter.modeling.spotter import RecognitionOutput
from dld_spotter.modeling.spotter_parts import AttentionTrace, Workload

IN_FEATURE = "p2"  # the feature map that all heads stand on, as published


@META_ARCH_REGISTRY.register()
class MANGO(SegmentationSpotter):
    """Centre lines and a grid find words; mask attention and a parallel recogniser recognise them.

    The features that the seam calls ``roi`` are those of a word's character slots, (R, D, 1, L), the mean over the
    word's cells. A word whose every cell is another's has features of 0, and does not count in the recognition loss.
    The recogniser runs along the slots, and nothing is fed back: logits do not depend on the tokens fed in, only their
    number of steps does.

    Args:
        centre_line: logits of the centre lines.
        grid: logits of the cells that hold a word.
        attention: slot features of cells.
        reader: logits of characters.
        target_maker: what the maps should show.
        locator: from maps to words.
        attention_weight: weight of the loss of the characters' attention.
        pretrain_attention: learn places and attention only.
    """

    cost_parts: ClassVar = {
        "backbone": ("backbone",),
        "FPN": ("backbone.fpn_", "backbone.top_block"),
        "centre line": ("centre_line",),
        "grid": ("grid",),
        "attention": ("attention",),
        "fusion": ("attention.fusion",),
        "recognition": ("reader",),
    }

    @configurable
    def __init__(
        self,
        *,
        centre_line: nn.Module,
        grid: nn.Module,
        attention: MaskAttention,
        reader: ParallelRecogniser,
        target_maker: TargetMaker,
        locator: WordLocator,
        attention_weight: float = 3.0,
        pretrain_attention: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.centre_line, self.grid, self.attention, self.reader = centre_line, grid, attention, reader
        self.target_maker, self.locator = target_maker, locator
        self.attention_weight = attention_weight
        self.pretrain_attention = pretrain_attention
        if pretrain_attention:
            reader.requires_grad_(False)
            attention.fusion.requires_grad_(False)
        self.to(memory_format=torch.channels_last)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        check_mango_config(cfg)
        mango = cfg.MODEL.MANGO
        options = cls.map_options(cfg, IN_FEATURE)
        shape = options["backbone"].output_shape()[IN_FEATURE]
        return options | {
            "centre_line": CentreLineHead(shape.channels, mango.CONV_DIM),
            "grid": GridHead(shape.channels, mango.CONV_DIM),
            "attention": MaskAttention.from_config(cfg, shape),
            "reader": ParallelRecogniser.from_config(cfg),
            "target_maker": TargetMaker.from_config(cfg, shape.stride),
            "locator": WordLocator.from_config(cfg, shape.stride),
            "attention_weight": mango.CHARACTER_ATTENTION_LOSS_WEIGHT,
            "pretrain_attention": mango.PRETRAIN_ATTENTION,
        }

    def detection_losses(
        self, images: ImageList, targets: list[Instances], features: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """See ``Spotter.detection_losses``; the losses of attention among them."""
        # First, while the device has little to do: to pick the readable words it is asked how many they are.
        stride = self.target_maker.stride
        height, width = (side // stride for side in images.tensor.shape[-2:])
        prepared = [
            self.target_maker.all_targets(words, size, (height, width), self.training)
            for words, size in zip(targets, images.image_sizes, strict=True)
        ]
        maps, words = [entry[0] for entry in prepared], [entry[1] for entry in prepared]
        feature = self.feature_map(images) if features is None else features[self.in_feature]
        geometry = map_geometry((height, width), images.image_sizes, stride, feature.device)
        line_logits, grid_logits = self._place_logits(feature, geometry, features)
        losses = place_losses(line_logits, grid_logits, geometry.valid, maps)
        attention_maps = self.attention.maps(feature, geometry, not self.pretrain_attention)
        attended = self.attention(attention_maps, words, learn_characters=self.attention_weight > 0)
        losses |= self._attention_losses(attended)
        if not any(len(entry.cells) for entry in words):
            losses["loss_grid"] = losses["loss_grid"] + no_gradient(self.attention)
        return losses, self._as_roi(attended)

    def _place_logits(
        self, feature: Tensor, geometry: MapGeometry, features: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, H, W) centre lines and (B, S * S) grid, unless ``detector_features`` asked for them before."""
        if features is not None and "grid" in features:
            return features["centre_line"], features["grid"]
        cells = sample_at_cells(feature, geometry.extent, self.target_maker.grid_size)
        return self.centre_line(feature), self.grid(cells)

    def detector_features(
        self, images: ImageList, features: Mapping[str, Tensor] | None = None
    ) -> Mapping[str, Tensor]:
        """See ``DetectionOutputSpotter``; the logits of places among them."""
        feature = self.feature_map(images) if features is None else features[self.in_feature]
        geometry = map_geometry(map_size(feature), images.image_sizes, self.target_maker.stride, feature.device)
        centre_line, grid = self._place_logits(feature, geometry)
        return {self.in_feature: feature, "centre_line": centre_line, "grid": grid}

    def detector_outputs(self, images: ImageList, features: Mapping[str, Tensor]) -> list[PlaceOutputs]:
        """See ``DetectionOutputSpotter``."""
        logits = features["centre_line"], features["grid"]
        return place_outputs(*logits, images.image_sizes, self.target_maker.stride)

    def detection_distances(
        self, images: ImageList, features: Mapping[str, Tensor], taught: Sequence[PlaceOutputs]
    ) -> dict[str, Tensor]:
        """See ``DetectionOutputSpotter``."""
        logits = features["centre_line"], features["grid"]
        return place_distances(*logits, images.image_sizes, self.target_maker.stride, scale_factors(images), taught)

    def _attention_losses(self, attended: Sequence[Attended]) -> dict[str, Tensor]:
        losses = {}
        if attended[0].character_sums is not None:
            overlap, predicted, target = _total([entry.character_sums for entry in attended])
            losses["loss_character_attention"] = self.attention_weight * dice_loss(overlap, predicted, target).mean()
        if attended[0].window_sums is not None:
            distance, number = _total([entry.window_sums for entry in attended])
            losses["loss_character_window"] = distance / number.clamp(min=1)
        return losses

    def _as_roi(self, attended: Sequence[Attended]) -> Tensor:
        """(R, D, 1, L), what the slots of all words saw."""
        return torch.cat([entry.slots for entry in attended]).transpose(1, 2)[:, :, None]

    def pool(self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None = None) -> Tensor:
        """See ``Spotter.pool``."""
        return self._as_roi(self.attention(*self._attention_inputs(images, words, features)))

    def attention_maps(
        self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """See ``AttentionMapSpotter``: of the cells that a word covers most."""
        maps, cells = self._attention_inputs(images, words, features, read=False)
        stride = self.target_maker.stride
        sizes = [tuple(max(1, round(side / stride)) for side in size) for size in images.image_sizes]
        return word_attention(self.attention.character, maps, cells, sizes, self.attention.max_cells)

    def _attention_inputs(
        self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None, read: bool = True
    ) -> tuple[AttentionMaps, list[ReadCells]]:
        maker, sizes = self.target_maker, images.image_sizes
        cells = [maker.read_cells(entry, size) for entry, size in zip(words, sizes, strict=True)]
        feature = self.feature_map(images) if features is None else features[self.in_feature]
        geometry = map_geometry(map_size(feature), sizes, maker.stride, feature.device)
        return self.attention.maps(feature, geometry, read), cells

    def recognize(self, roi: Tensor, target: Tensor) -> RecognitionOutput:
        """See ``Spotter.recognize``."""
        context = self.reader.contextual(roi[:, :, 0].transpose(1, 2))
        return RecognitionOutput(roi, context, self.decode(context, target), target, target != PAD)

    def decode(self, context: Tensor, tokens: Tensor) -> Tensor:
        """See ``Spotter.decode``; of the tokens only the number of steps matters.

        Raises:
            ValueError: more steps than there are slots.
        """
        steps = tokens.shape[1]
        if steps > context.shape[1]:
            raise ValueError(
                f"words of {steps - 1} characters do not fit into the {context.shape[1]} character slots: set "
                "MODEL.TEXT.MAX_LENGTH to the longest word's length."
            )
        return self.reader.classify(context[:, :steps])

    def attention_trace(self, output: RecognitionOutput) -> AttentionTrace:
        """See ``AttentionTraceSpotter``: the features of the character slots."""
        steps, where = output.target.shape[1], output.attention
        features = output.roi[:, :, 0].transpose(1, 2)[:, :steps]
        return AttentionTrace(features, None if where is None else where[:, :steps])

    def greedy(self, roi: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Spotter.greedy``."""
        return read_greedily(self.reader(roi[:, :, 0].transpose(1, 2)))

    def recognition_losses(self, output: RecognitionOutput) -> dict[str, Tensor]:
        """See ``Spotter.recognition_losses``; none while attention is pre-trained."""
        if self.pretrain_attention:
            return {}
        # Also without words: the other processes wait for this one's count of characters.
        seen = (output.roi != 0).flatten(1).any(dim=1)
        target = output.target.masked_fill(~seen[:, None], PAD)
        loss = text_loss(output.logits, target)
        if len(output.target) == 0:
            loss = loss + no_gradient(self.reader)
        return {"loss_text": loss}

    def beam_search(self, output: RecognitionOutput, width: int) -> tuple[Tensor, Tensor]:
        """See ``Spotter.beam_search``; exact, over all slots."""
        return likeliest_sequences(self.reader.classify(output.context), width)

    @torch.no_grad()
    def spot(self, images: ImageList) -> list[Instances]:
        """See ``Spotter.spot``; predictions have PolygonBoxes."""
        feature = self.feature_map(images)
        geometry = map_geometry(map_size(feature), images.image_sizes, self.target_maker.stride, feature.device)
        lines = self.centre_line(feature).float().sigmoid().cpu().numpy()
        cells = self.grid(sample_at_cells(feature, geometry.extent, self.target_maker.grid_size))
        cells = cells.float().sigmoid().cpu().numpy()
        located = [self.locator(*maps) for maps in zip(lines, cells, images.image_sizes, strict=True)]
        tokens, scores = self._read_located(feature, geometry, located)
        counts = [len(words.scores) for words in located]
        return [
            predictions(*of_image)
            for of_image in zip(located, tokens.split(counts), scores.split(counts), images.image_sizes, strict=True)
        ]

    def _read_located(
        self, feature: Tensor, geometry: MapGeometry, located: Sequence[LocatedWords]
    ) -> tuple[Tensor, Tensor]:
        """(n, L) tokens and (n,) scores of the words of all images, as their cells vote."""
        device = feature.device
        if not any(len(words.cells) for words in located):
            return torch.zeros(0, 1, dtype=torch.long, device=device), torch.zeros(0, device=device)
        cells = [cells_without_targets(torch.from_numpy(words.cells).to(device)) for words in located]
        attended = self.attention(self.attention.maps(feature, geometry), cells)
        logits = self.reader(torch.cat([entry.slots for entry in attended]))
        word, number = [], 0
        for words in located:
            word.append(torch.from_numpy(words.word + number))
            number += len(words.scores)
        weight = torch.cat([torch.from_numpy(words.weight) for words in located]).to(device)
        return vote(logits, torch.cat(word).to(device), weight, number)

    def dry_run(self, images: ImageList, work: Workload) -> None:
        """See ``CountableSpotter``: each word has MODEL.MANGO.CELLS_PER_WORD cells, and every slot is recognised."""
        feature = self.feature_map(images)
        maker = self.target_maker
        geometry = map_geometry(map_size(feature), images.image_sizes, maker.stride, feature.device)
        self.centre_line(feature)
        self.grid(sample_at_cells(feature, geometry.extent, maker.grid_size))
        if work.words == 0:
            return
        cells = torch.zeros(work.words * maker.cells_per_word, dtype=torch.long, device=feature.device)
        words = [cells_without_targets(cells)] * len(feature)
        attended = self.attention(self.attention.maps(feature, geometry), words)
        self.reader(torch.cat([entry.slots for entry in attended]))


def _total(parts: Sequence[Tensor | None]) -> Tensor:
    """The sum of parts of one shape."""
    return torch.stack([part for part in parts if part is not None]).sum(dim=0)
